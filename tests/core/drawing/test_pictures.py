"""Small graphs, drawn: what a person sees, cell by cell."""

from __future__ import annotations

import textwrap

from rich.cells import cell_len

from core.drawing.geometry import Direction, Zoom
from core.drawing.layout import layout_graph
from core.drawing.paint import Drawing, NodeLook
from core.flow.graph import EdgeSpec, Graph, NodeSpec

MAIL = (
    ("fetch", "sort"),
    ("sort", "summarise"),
    ("summarise", "critic"),
    ("critic", "summarise", "shared['score'] <= 80"),
    ("critic", "approve", "shared['score'] > 80"),
)
REVIEW = (
    ("draft", "critic"),
    ("critic", "review", "shared['passed']"),
    ("critic", "revise"),
    ("revise", "critic"),
    ("review", "publish", "shared['decision'] == 'approve'"),
    ("review", "revise", "shared['decision'] == 'revise'"),
    ("review", "reject"),
)


def graph_of(*edges: tuple[str, ...], more: tuple[str, ...] = ()) -> Graph:
    ids = dict.fromkeys([name for edge in edges for name in edge[:2]] + list(more))
    specs = tuple(EdgeSpec(edge[0], edge[1], edge[2] if len(edge) > 2 else "") for edge in edges)
    return Graph("drawn", {node: NodeSpec(node, "Step") for node in ids}, specs, next(iter(ids)))


def drawn(
    graph: Graph, looks: dict[str, NodeLook] | None = None, *, zoom: Zoom = "box", direction: Direction = "down"
) -> str:
    geometry = layout_graph(graph, zoom=zoom, direction=direction, counted=looks is not None)
    return "\n".join(Drawing(geometry).text_rows(looks or {}))


def picture(text: str) -> str:
    return textwrap.dedent(text).strip("\n")


def test_a_loop_back_leaves_and_enters_at_the_side_with_its_condition_above_the_arrow() -> None:
    looks = {
        "fetch": NodeLook("✓", 1),
        "sort": NodeLook("✓", 1),
        "summarise": NodeLook("✓", 2),
        "critic": NodeLook("✓", 2, selected=True),
        "approve": NodeLook("◐", 1),
    }
    assert drawn(graph_of(*MAIL), looks) == picture(
        """
          ┏━━━━━━━━━━━━━┓
          ┃ ✓ fetch     ┃
          ┗━━━━━━━━━━━━━┛
                 │
                 ▼
           ╭───────────╮
           │ ✓ sort    │
           ╰───────────╯
                 │
                 ▼
        ╭─────────────────╮ score <= 80
        │ ✓ summarise   2 │◀───────────╮
        ╰─────────────────╯            │
                 │                     │
                 ▼                     │
          ╔═════════════╗              │
          ║ ✓ critic  2 ║──────────────╯
          ╚═════════════╝
                 │ score > 80
                 ▼
         ╭───────────────╮
         │ ◐ approve     │
         ╰───────────────╯
        """
    )


def test_branches_joins_and_a_loop_around_them() -> None:
    assert drawn(graph_of(*REVIEW)) == picture(
        """
              ┏━━━━━━━┓
              ┃ draft ┃
              ┗━━━━━━━┛
                  │
                  ▼
             ╭─────────╮
        ╭───▶│ critic  │
        │    ╰─────────╯
        │     │   │
        │ ╭───╯   │
        │ │       │ passed
        │ │       ▼
        │ │  ╭─────────╮
        │ │  │ review  │
        │ │  ╰─────────╯
        │ │       │ │ │
        │ │       │ │ ╰───────────────────────────────╮
        │ │       │ ╰───────────────────────╮         │
        │ │       │ decision == 'revise'    │         │ decision == 'approve'
        │ ╰─────╮ │                         │         ╰──╮
        │       ▼ ▼                         ▼            ▼
        │    ╭─────────╮               ╭─────────╮    ╭─────────╮
        ╰────│ revise  │               │ reject  │    │ publish │
             ╰─────────╯               ╰─────────╯    ╰─────────╯
        """
    )


def test_chips_take_one_row_and_show_start_and_selection_too() -> None:
    looks = {"fetch": NodeLook("✓", 1), "sort": NodeLook("●", 3, selected=True)}
    assert drawn(graph_of(("fetch", "sort"), ("sort", "store")), looks, zoom="chip") == picture(
        """
        ┃ ✓ fetch     ┃
               │
               ▼
         ║ ● sort  3 ║
               │
               ▼
        │   store     │
        """
    )


def test_a_chain_to_the_right_stands_on_one_line() -> None:
    chain = graph_of(("a", "b"), ("b", "c", "shared['n'] > 0"))
    assert drawn(chain, direction="right") == picture(
        """
        ┏━━━━━┓   ╭─────╮          ╭─────╮
        ┃  a  ┃──▶│  b  │──n > 0──▶│  c  │
        ┗━━━━━┛   ╰─────╯          ╰─────╯
        """
    )


def test_a_node_that_leads_to_itself_has_an_arrow_back_into_its_side() -> None:
    assert drawn(graph_of(("poll", "poll", "shared['more']"), ("poll", "done"))) == picture(
        """
        ┏━━━━━━━┓
        ┃ poll  ┃◀─╮ more
        ┗━━━━━━━┛  │
            │  ╰───╯
            ▼
        ╭───────╮
        │ done  │
        ╰───────╯
        """
    )


def test_two_edges_between_the_same_nodes_are_two_lines() -> None:
    assert drawn(graph_of(("a", "b", "x"), ("a", "b", "y"))) == picture(
        """
        ┏━━━━━┓
        ┃  a  ┃
        ┗━━━━━┛
           │ │
           │ ╰────╮
           │ x    │ y
           │ ╭────╯
           ▼ ▼
        ╭─────╮
        │  b  │
        ╰─────╯
        """
    )


def test_parts_that_nothing_connects_stand_below_the_part_with_the_start() -> None:
    text = drawn(graph_of(("a", "b"), ("x", "y"), more=("alone",)))
    rows = text.split("\n")
    assert "┃  a  ┃" in rows[1]
    assert next(row for row in rows if "│  x  │" in row) == next(row for row in rows if "alone" in row)


def test_lines_cross_and_never_join() -> None:
    graph = graph_of(("s", "a"), ("s", "b"), ("a", "c"), ("a", "d"), ("b", "c"), ("b", "d"), ("a", "e"), ("b", "e"))
    text = drawn(graph)
    assert "┼" in text
    assert not set(text) & set("├┤┬┴")


def test_many_visits_still_fit_the_box() -> None:
    looks = {"a": NodeLook("✓", 7), "b": NodeLook("✓", 42), "c": NodeLook("✓", 12345)}
    rows = drawn(graph_of(("a", "b"), ("b", "c")), looks, zoom="chip").split("\n")
    assert [row.strip() for row in rows if "✓" in row] == ["┃ ✓ a   7 ┃", "│ ✓ b  42 │", "│ ✓ c  99+│"]


def test_wide_characters_keep_the_borders_straight() -> None:
    rows = drawn(graph_of(("取得", "整理", "共有['数'] > 零"))).split("\n")
    box = [row for row in rows if row.strip()[:1] in "┏┃┗"]
    assert len({cell_len(row.rstrip()) for row in box}) == 1
