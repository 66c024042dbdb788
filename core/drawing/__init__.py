"""The graph, drawn with characters: where everything goes, and how it looks. Used by the command line and the screens.

    geometry = layout_graph(graph)                  # core.drawing.layout: places nodes, edges and conditions
    drawing = Drawing(geometry)                     # core.drawing.paint: rows of characters
    text = draw_text(graph, width=80)               # core.drawing.text: the whole as text

Nothing here knows a screen, a run or a store; nothing here imports or executes a workflow's code.
"""
