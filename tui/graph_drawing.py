"""Making a drawing for a view of some size, and finding one's way on it. Pure: nothing here touches a widget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from textual.geometry import Size

from core.drawing.geometry import Direction, Region, Zoom
from core.drawing.paint import Drawing
from core.flow.graph import Graph

AUTO_ZOOM_NODES = 60
"""With more nodes than this the size of boxes isn't chosen by trying both."""
LOW_VIEW = 24
"""A view with fewer rows than this shows chips where boxes don't fit."""
MARGIN = 1
"""Free cells at both sides of the drawing."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be drawn; a zoom of None is chosen by what fits. `focus` names the node to select then."""

    graph: Graph
    zoom: Zoom | None = None
    direction: Direction = "down"
    focus: str = ""


def depends_on_room(wanted: Wanted) -> bool:
    """Whether another size of the view may mean another drawing."""
    return wanted.zoom is None and len(wanted.graph.nodes) <= AUTO_ZOOM_NODES


def make_drawing(wanted: Wanted, room: Size) -> Drawing:
    """Lay out and paint; takes up to a second for 500 nodes, so it runs in a thread."""
    from core.drawing.layout import layout_graph

    def drawn(zoom: Zoom) -> Drawing:
        return Drawing(layout_graph(wanted.graph, zoom=zoom, direction=wanted.direction, counted=True, apart=True))

    def fits(drawing: Drawing) -> bool:
        return drawing.geometry.width + 2 * MARGIN <= room.width and drawing.geometry.height <= room.height

    if not depends_on_room(wanted):
        return drawn(wanted.zoom or "chip")
    boxes = drawn("box")
    if fits(boxes):
        return boxes
    chips = drawn("chip")
    return chips if fits(chips) or room.height < LOW_VIEW else boxes


def nearest(nodes: Mapping[str, Region], here: str, step_x: int, step_y: int) -> str:
    """The node nearest to another one in a direction (one of the steps is 0), or "".

    What lies straight ahead comes before what lies aside; a row counts twice, because cells are twice as high as wide.
    """
    if here not in nodes:
        return next(iter(nodes), "")
    box = nodes[here]

    def distance(other: Region) -> float | None:
        if step_y:
            ahead = 2 * (other.y - box.bottom if step_y > 0 else box.y - other.bottom)
            aside = max(other.x - box.right + 1, box.x - other.right + 1, 0)
            bend = abs(other.middle.x - box.middle.x)
        else:
            ahead = other.x - box.right if step_x > 0 else box.x - other.right
            aside = 2 * max(other.y - box.bottom + 1, box.y - other.bottom + 1, 0)
            bend = 2 * abs(other.middle.y - box.middle.y)
        return None if ahead < 0 else ahead + 2.0 * aside + bend / 10

    found = [(far, node) for node, other in nodes.items() if node != here and (far := distance(other)) is not None]
    return min(found)[1] if found else ""
