"""The canvas: moving by place, and drawing no more than what changed."""

from __future__ import annotations

import random
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from looking import settled, until
from textual.app import App, ComposeResult
from textual.geometry import Size
from textual.pilot import Pilot
from textual.screen import Screen
from textual.strip import Strip

import tui.app
from core.drawing import layout
from core.drawing.geometry import Region
from core.flow.graph import EdgeSpec, Graph, NodeSpec
from tui.graph_drawing import Wanted, make_drawing, nearest
from tui.graph_run import NodeState
from tui.spans import InkWell
from tui.widgets.graph_view import GraphView


def graph_of(*edges: tuple[str, str]) -> Graph:
    ids = dict.fromkeys(name for edge in edges for name in edge)
    return Graph(
        "g", {node: NodeSpec(node, "Step") for node in ids}, tuple(EdgeSpec(*e) for e in edges), next(iter(ids))
    )


def chain(count: int) -> Graph:
    return graph_of(*((f"node_{number:03}", f"node_{number + 1:03}") for number in range(count)))


FAN = graph_of(
    ("top", "left"), ("top", "middle"), ("top", "right"), ("left", "end"), ("middle", "end"), ("right", "end")
)


class CountingView(GraphView):
    """Counts the rows it is asked for."""

    rows_drawn: list[int]

    def render_line(self, y: int) -> Strip:
        self.rows_drawn.append(y)
        return super().render_line(y)


class ViewScreen(InkWell, Screen[None]):
    """A screen with the inks and nothing else."""


class ViewApp(App[None]):
    """The canvas alone."""

    CSS_PATH = Path(tui.app.__file__).parent / "styles" / "app.tcss"

    def get_default_screen(self) -> Screen[None]:
        return ViewScreen()

    def compose(self) -> ComposeResult:
        view = CountingView()
        view.rows_drawn = []
        yield view

    @property
    def view(self) -> CountingView:
        return self.query_exactly_one(CountingView)


async def drawn(pilot: Pilot[None], graph: Graph, zoom: str | None = "box") -> CountingView:
    view = pilot.app.query_exactly_one(CountingView)
    view.focus()
    view.draw(Wanted(graph, zoom))  # type: ignore[arg-type]
    await until(pilot, lambda: view.drawing is not None)
    await settled(pilot)
    return view


async def test_a_status_redraws_the_rows_of_its_node_and_nothing_else(monkeypatch) -> None:
    async with ViewApp().run_test(size=(80, 30)) as pilot:
        view = await drawn(pilot, chain(20))
        view.set_run({}, (), in_run=True)
        await settled(pilot)
        view.rows_drawn.clear()
        before = layout._layout.cache_info()
        view.set_run({"node_001": NodeState("running", 1)}, (), in_run=True)
        await settled(pilot)
        region = view.drawing.geometry.nodes["node_001"]
        assert set(view.rows_drawn) <= set(range(region.y, region.bottom))
        assert 0 < len(view.rows_drawn) <= 3
        assert layout._layout.cache_info() == before


async def test_the_same_status_again_and_one_out_of_sight_draw_nothing() -> None:
    async with ViewApp().run_test(size=(80, 20)) as pilot:
        view = await drawn(pilot, chain(40))
        view.set_run({"node_001": NodeState("running", 1)}, (), in_run=True)
        await settled(pilot)
        view.rows_drawn.clear()
        view.set_run({"node_001": NodeState("running", 1)}, (), in_run=True)
        view.set_run({"node_001": NodeState("running", 1), "node_039": NodeState("failed", 1)}, (), in_run=True)
        await settled(pilot)
        assert view.rows_drawn == []
        view.select("node_039")
        await settled(pilot)
        assert "✗ node_039" in view.text


async def test_many_statuses_at_once_are_drawn_once() -> None:
    async with ViewApp().run_test(size=(80, 30)) as pilot:
        view = await drawn(pilot, chain(5))
        view.set_run({}, (), in_run=True)
        await settled(pilot)
        view.rows_drawn.clear()
        for visits in range(1, 30):
            view.set_run({"node_000": NodeState("running", visits)}, (), in_run=True)
        await settled(pilot)
        assert len(view.rows_drawn) <= 3
        assert "29" in view.text


async def test_after_a_new_layout_the_selected_node_stays_where_it_was_on_the_screen() -> None:
    async with ViewApp().run_test(size=(80, 20)) as pilot:
        view = await drawn(pilot, chain(60))
        view.select("node_030")
        await settled(pilot)
        before = view.drawing.geometry.nodes["node_030"].y - view.scroll_offset.y
        longer = graph_of(("early", "node_000"), *((e.from_id, e.to_id) for e in chain(60).edges))
        drawing = view.drawing
        view.draw(Wanted(longer, "box"))
        await until(pilot, lambda: view.drawing is not drawing)
        await settled(pilot)
        assert view.selected == "node_030"
        assert view.drawing.geometry.nodes["node_030"].y - view.scroll_offset.y == before


async def test_a_click_selects_and_a_second_one_chooses() -> None:
    chosen: list[str] = []

    class ClickApp(ViewApp):
        def on_graph_view_chosen(self, event: GraphView.Chosen) -> None:
            chosen.append(event.node)

    async with ClickApp().run_test(size=(80, 30)) as pilot:
        view = await drawn(pilot, FAN)
        row = next(y for y, line in enumerate(view.text.split("\n")) if "right" in line)
        column = view.text.split("\n")[row].index("right")
        margin = (80 - view.drawing.geometry.width) // 2
        await pilot.click(CountingView, offset=(margin + column, row))
        assert view.selected == "right"
        assert chosen == []
        await pilot.click(CountingView, offset=(margin + column, row))
        assert chosen == ["right"]
        await pilot.click(CountingView, offset=(0, 29))
        assert view.selected == "right"


async def test_arrows_go_to_the_node_that_lies_there() -> None:
    async with ViewApp().run_test(size=(100, 30)) as pilot:
        view = await drawn(pilot, FAN)
        nodes = view.drawing.geometry.nodes
        across = sorted(("left", "middle", "right"), key=lambda node: nodes[node].x)
        view.move(0, 1)
        first = view.selected
        assert first in across
        view.move(-1, 0)
        view.move(-1, 0)
        assert view.selected == across[0]
        view.move(1, 0)
        assert view.selected == across[1]
        view.move(1, 0)
        assert view.selected == across[2]
        view.move(0, 1)
        assert view.selected == "end"
        view.move(0, -1)
        view.move(0, -1)
        assert view.selected == "top"


async def test_tab_goes_through_all_nodes_from_the_start_and_around() -> None:
    async with ViewApp().run_test(size=(100, 30)) as pilot:
        view = await drawn(pilot, FAN)
        seen = [view.selected]
        for _ in range(5):
            view.step(1)
            seen.append(view.selected)
        assert seen[0] == "top"
        assert seen[4] == "end"
        assert seen[5] == "top"
        assert sorted(seen[:5]) == sorted(FAN.nodes)


def test_the_size_is_chosen_by_what_fits() -> None:
    assert make_drawing(Wanted(chain(3)), Size(80, 40)).geometry.zoom == "box"
    assert make_drawing(Wanted(chain(8)), Size(80, 30)).geometry.zoom == "chip"
    assert make_drawing(Wanted(chain(40)), Size(80, 40)).geometry.zoom == "box"
    assert make_drawing(Wanted(chain(40)), Size(80, 12)).geometry.zoom == "chip"
    assert make_drawing(Wanted(chain(8), "box"), Size(80, 12)).geometry.zoom == "box"


@given(st.integers(2, 25), st.integers(0, 1000))
def test_an_arrow_leads_to_a_node_on_that_side_wherever_there_is_one(count: int, seed: int) -> None:
    chance = random.Random(seed)
    cells = chance.sample([(x, y) for x in range(8) for y in range(8)], count)
    nodes = {f"n{number}": Region(x * 14, y * 5, 10, 3) for number, (x, y) in enumerate(cells)}
    for step_x, step_y in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        for node, here in nodes.items():
            there = [
                name
                for name, other in nodes.items()
                if step_x * (other.x - here.x) >= 10 or step_y * (other.y - here.y) >= 3
            ]
            found = nearest(nodes, node, step_x, step_y)
            assert found in there if there else found == ""
