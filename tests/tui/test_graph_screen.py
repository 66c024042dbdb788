"""Screen 2: the graph of a workflow with a run on it."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
import scenes
from engine_double import EngineDouble
from looking import hides, line_with, screen_text, settled, shows, until
from textual.pilot import Pilot

from core.link.types import ErrorView
from core.link.workflow_types import FindingView
from tui.app import RondoApp
from tui.navigation import Place
from tui.screens.graph import GraphScreen
from tui.widgets.graph_view import GraphView

AppOn = Callable[[EngineDouble], RondoApp]
LOOP = [
    ("draft", "critic"),
    ("critic", "review", "shared['passed']"),
    ("critic", "revise"),
    ("revise", "critic"),
    ("review", "done"),
]


def loop(double: EngineDouble) -> None:
    double.workflow("loop", ["draft", "critic", "review", "revise", "done"], edges=LOOP)


async def opened(pilot: Pilot[Any], workflow: str = "loop", run_id: str = "") -> GraphScreen:
    """Go to the graph and wait until it is drawn."""
    app = pilot.app
    await until(pilot, lambda: app.connected_once)
    app.go(Place("graph", workflow, run_id))
    await until(pilot, lambda: any(view.drawing is not None for view in app.screen.query(GraphView)), "a drawing")
    await settled(pilot)
    return app.screen


async def test_the_graph_is_drawn_with_its_start_conditions_and_loop(double: EngineDouble, app_on: AppOn) -> None:
    loop(double)
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(pilot)
        text = screen_text(app)
        assert "rondo › workflows › loop › graph" in text
        assert all(node in text for node in ("draft", "critic", "review", "revise", "done"))
        assert "passed" in text
        assert "▶" in text or "◀" in text
        assert screen.view_of_graph.selected == "draft"
        assert "class   Draft   nodes.py:10" in text


async def test_statuses_of_the_newest_run_are_live(double: EngineDouble, app_on: AppOn) -> None:
    loop(double)
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        run = double.run("loop")
        double.begin(run, "draft")
        await shows(pilot, "● draft")
        double.complete(run, "draft", next_node="critic")
        double.begin(run, "critic")
        await shows(pilot, "✓ draft")
        await shows(pilot, "● critic")
        double.complete(run, "critic", next_node="revise")
        double.complete(run, "revise", next_node="critic")
        double.begin(run, "critic", visit=2)
        await shows(pilot, "● critic  2")
        double.complete(run, "critic", visit=2, next_node="review", condition="shared['passed']")
        double.begin(run, "review")
        double.ask(run, "review", "decision", "Good enough?", "confirm")
        await shows(pilot, "◐ review")
        await shows(pilot, "◐ waiting")


async def test_a_newer_run_takes_the_place_of_the_last_one(double: EngineDouble, app_on: AppOn) -> None:
    loop(double)
    first = double.run("loop", created_at=1.0)
    double.complete(first, "draft", at=1.0)
    double.finish(first)
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        await shows(pilot, "✓ draft")
        second = double.run("loop", created_at=2.0)
        double.begin(second, "draft")
        await shows(pilot, "● draft")


async def test_a_run_that_was_asked_for_stays(double: EngineDouble, app_on: AppOn) -> None:
    loop(double)
    first = double.run("loop", run_id="0194-run-0000-aaaa0001", created_at=1.0)
    double.complete(first, "draft", at=1.0)
    double.finish(first)
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot, run_id=first.id)
        await shows(pilot, "run aaaa0001")
        second = double.run("loop", created_at=2.0)
        double.begin(second, "draft")
        await settled(pilot)
        assert "✓ draft" in screen_text(app)
        assert "run aaaa0001" in screen_text(app)


async def test_the_screen_opens_at_the_node_that_waits(double: EngineDouble, app_on: AppOn) -> None:
    scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(pilot, "mail_digest")
        await until(pilot, lambda: screen.view_of_graph.selected == "approve")
        await shows(pilot, "Post this digest to #team?")


async def test_a_failed_run_shows_why_at_its_node(double: EngineDouble, app_on: AppOn) -> None:
    loop(double)
    run = double.run("loop")
    double.complete(run, "draft")
    error = ErrorView(type="ValueError", message="no score", node="critic")
    double.fail_attempt(run, "critic", error)
    double.finish(run, "failed", error=error)
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        await shows(pilot, "✗ critic")
        await shows(pilot, "ValueError: no score")


async def test_keys_move_between_nodes_and_the_pane_follows(double: EngineDouble, app_on: AppOn) -> None:
    loop(double)
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(pilot)
        for key, node in (
            ("j", "critic"),
            ("down", "review"),
            ("k", "critic"),
            ("up", "draft"),
            ("G", ""),
            ("home", "draft"),
        ):
            await pilot.press(key)
            await settled(pilot)
            if node:
                assert screen.view_of_graph.selected == node, key
                assert f"class   {node.title()}" in screen_text(app)
        order = screen.view_of_graph.drawing.geometry.order
        await pilot.press("tab", "tab")
        assert screen.view_of_graph.selected == order[2]
        await pilot.press("shift+tab")
        assert screen.view_of_graph.selected == order[1]


async def test_enter_goes_into_the_details_and_along_an_edge(double: EngineDouble, app_on: AppOn) -> None:
    loop(double)
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(pilot)
        await pilot.press("enter")
        assert screen.pane.has_focus
        await pilot.press("j", "enter")
        await settled(pilot)
        assert screen.view_of_graph.selected == "critic"
        await pilot.press("escape")
        assert screen.view_of_graph.has_focus
        assert isinstance(app.screen, GraphScreen)


async def test_an_edge_tells_its_condition_what_it_saw_and_how_often_it_was_taken(
    double: EngineDouble, app_on: AppOn
) -> None:
    scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(pilot, "mail_digest")
        await until(pilot, lambda: screen.view_of_graph.selected == "approve")
        await pilot.press("k")
        await shows(pilot, "→ summarise   was 81: no   taken 1×")
        assert "→ approve   was 81: yes   taken 1×" in screen_text(app)
        await pilot.press("greater_than_sign")
        await shows(pilot, "─ critic → summarise ─")
        await shows(pilot, "taken   1× in 2 visits")
        assert "last    no   step 6" in screen_text(app)
        await pilot.press("greater_than_sign")
        await shows(pilot, "─ critic → approve ─")
        assert "last    yes   step 6" in screen_text(app)
        assert "if      shared['digest']['score'] > 80" in screen_text(app)
        assert "saw digest.score = 81" in screen_text(app)
        await pilot.press("greater_than_sign")
        await shows(pilot, "─ summarise → critic ─")
        await shows(pilot, "always: it is the only way on")
        await pilot.press("less_than_sign", "enter")
        assert screen.view_of_graph.selected == "approve"
        assert screen.view_of_graph.selected_edge is None
        await pilot.press("less_than_sign")
        await shows(pilot, "─ critic → approve ─")
        await pilot.press("escape")
        await shows(pilot, "class   Approve")
        assert screen.view_of_graph.selected == "approve"


async def test_a_click_on_a_line_selects_its_edge(double: EngineDouble, app_on: AppOn) -> None:
    loop(double)
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(pilot)
        view = screen.view_of_graph
        path = view.drawing.geometry.edges[0]
        assert (path.source, path.target) == ("draft", "critic")
        cell = path.cells()[0]
        left = max(1, (view.size.width - view.drawing.geometry.width) // 2)
        await pilot.click(GraphView, offset=(cell.x + left, cell.y))
        await shows(pilot, "─ draft → critic ─")
        await pilot.press("enter")
        await until(pilot, lambda: view.selected == "critic")


async def test_search_goes_to_nodes_by_name_and_class(double: EngineDouble, app_on: AppOn) -> None:
    loop(double)
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(pilot)
        await pilot.press("slash", *"rev")
        await shows(pilot, "2 nodes")
        first = screen.view_of_graph.selected
        assert first in ("review", "revise")
        await pilot.press("enter", "n")
        assert screen.view_of_graph.selected == ({"review", "revise"} - {first}).pop()
        await pilot.press("N")
        assert screen.view_of_graph.selected == first
        await pilot.press("escape", "n")
        await shows(pilot, "Nothing found")


async def test_the_drawing_changes_size_and_direction(double: EngineDouble, app_on: AppOn) -> None:
    loop(double)
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(pilot)
        assert "╭" in screen.view_of_graph.text
        await pilot.press("z")
        await until(pilot, lambda: screen.view_of_graph.zoom == "chip")
        await pilot.press("z", "t")
        await until(pilot, lambda: screen.view_of_graph.drawing.geometry.direction == "right")
        assert "▶" in screen.view_of_graph.text


async def test_only_what_is_near_a_node_can_be_shown(double: EngineDouble, app_on: AppOn) -> None:
    double.workflow("long", [f"node_{number:02}" for number in range(30)])
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(pilot, "long")
        await pilot.press("tab", "tab", "tab", "tab", "o")
        await shows(pilot, "5 of 30 nodes, near node_04")
        assert set(screen.view_of_graph.drawing.geometry.nodes) == {f"node_{number:02}" for number in range(2, 7)}
        assert screen.view_of_graph.selected == "node_04"
        await pilot.press("escape")
        await until(pilot, lambda: len(screen.view_of_graph.drawing.geometry.nodes) == 30)
        assert screen.view_of_graph.selected == "node_04"


async def test_the_plus_key_shows_the_details_alone(double: EngineDouble, app_on: AppOn) -> None:
    loop(double)
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("enter", "plus")
        await hides(pilot, "║")
        await shows(pilot, "return prepared")
        await pilot.press("plus", "escape")
        await shows(pilot, "║")


async def test_the_plus_key_draws_larger_up_to_the_whole_screen_and_begins_again(
    double: EngineDouble, app_on: AppOn
) -> None:
    loop(double)
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(pilot)
        await until(pilot, lambda: screen.view_of_graph.zoom == "box")
        await pilot.press("plus")
        await hides(pilot, "class   Draft")
        await pilot.press("plus")
        await shows(pilot, "class   Draft")
        await until(pilot, lambda: screen.view_of_graph.zoom == "chip")
        await pilot.press("plus")
        await until(pilot, lambda: screen.view_of_graph.zoom == "box")
        assert "class   Draft" in screen_text(app)
        await pilot.press("plus", "enter")
        await shows(pilot, "class   Draft")
        assert screen.pane.has_focus


async def test_a_saved_change_redraws_the_graph_and_keeps_the_selection(double: EngineDouble, app_on: AppOn) -> None:
    loop(double)
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(pilot)
        await pilot.press("j")
        double.workflow(
            "loop", ["draft", "critic", "review", "revise", "done", "extra"], edges=[*LOOP, ("done", "extra")]
        )
        double.change_workflow("loop")
        await shows(pilot, "extra")
        assert screen.view_of_graph.selected == "critic"


async def test_a_broken_workflow_shows_its_findings_and_what_to_press(double: EngineDouble, app_on: AppOn) -> None:
    finding = FindingView(
        code="E001", severity="error", message="Expecting ',' delimiter.", file="loop.json", line=7, hint="Add a comma."
    )
    double.workflow("loop", [], findings=[finding], version=None)
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.connected_once)
        app.go(Place("graph", "loop"))
        await shows(pilot, "There is no graph to show: 1 finding.")
        await shows(pilot, "loop.json:7")
        await shows(pilot, "Add a comma.")
        await shows(pilot, "e opens the file at the finding")
        await shows(pilot, "r runs the last good version, v0")
        for key in ("j", "tab", "z", "o", "slash"):
            await pilot.press(key)
        loop(double)
        double.change_workflow("loop")
        await shows(pilot, "║")
        await pilot.press("j")
        await until(pilot, lambda: app.screen.view_of_graph.selected == "critic")


async def test_an_empty_workflow_says_what_to_do(double: EngineDouble, app_on: AppOn) -> None:
    double.workflow("empty", [])
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.connected_once)
        app.go(Place("graph", "empty"))
        await shows(pilot, "The graph has no nodes yet.")
        await shows(pilot, "empty.json")


async def test_the_editor_opens_at_the_class_or_the_line(
    double: EngineDouble, app_on: AppOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop(double)
    app = app_on(double)
    opened_at: list[tuple[str, int]] = []
    monkeypatch.setattr(RondoApp, "edit_file", lambda self, path, line, *_: opened_at.append((path, line)))
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(pilot)
        await pilot.press("j", "e")
        await pilot.press("enter", "G", "enter")
        await settled(pilot)
        folder = screen.detail.folder
        assert opened_at == [(f"{folder}/nodes.py", 24), (f"{folder}/nodes.py", 26)]


async def test_copy_takes_the_drawing_or_the_line(
    double: EngineDouble, app_on: AppOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop(double)
    app = app_on(double)
    copied: list[str] = []
    monkeypatch.setattr(RondoApp, "copy", lambda self, text: copied.append(text))
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        await pilot.press("y", "enter", "y")
        assert "draft" in copied[0]
        assert "▼" in copied[0]
        assert copied[1] == "class   Draft   nodes.py:10"


async def test_below_the_pane_is_narrow_and_beside_it_is_wide(double: EngineDouble, app_on: AppOn) -> None:
    loop(double)
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot)
        assert screen.pane.region.y > screen.view_of_graph.region.y
        await pilot.resize_terminal(120, 40)
        await until(pilot, lambda: screen.pane.region.x > screen.view_of_graph.region.x)
        await settled(pilot)
        assert "┬" in line_with(app, "─ graph")


async def test_a_covered_graph_rests_and_is_right_when_it_is_shown_again(double: EngineDouble, app_on: AppOn) -> None:
    loop(double)
    run = double.run("loop")
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        app.go(Place("run", "loop", run.id))
        await settled(pilot)
        double.begin(run, "draft")
        await settled(pilot)
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, GraphScreen))
        await shows(pilot, "● draft")


async def test_an_unknown_workflow_says_what_is_wrong(double: EngineDouble, app_on: AppOn) -> None:
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.connected_once)
        app.go(Place("graph", "gone"))
        await shows(pilot, "There is no workflow gone.")


async def test_edges_to_nowhere_leave_the_rest_drawn(double: EngineDouble, app_on: AppOn) -> None:
    finding = FindingView(code="E110", severity="error", message="The edge leads to gone.", file="loop.json", line=3)
    double.workflow("loop", ["a", "b"], edges=[("a", "b"), ("a", "gone"), ("lost", "b")], findings=[finding])
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(pilot)
        assert "✗ 1 error" in screen_text(app)
        assert "→ gone   no such node" in screen_text(app)
        assert "The edge leads to gone." in screen_text(app)
        run = double.run("loop")
        double.complete(run, "a", next_node="b")
        await shows(pilot, "✓ a")
        await pilot.press("j")
        assert screen.view_of_graph.selected == "b"


async def test_any_keys_in_any_order_do_no_harm(double: EngineDouble, app_on: AppOn) -> None:
    loop(double)
    run = double.run("loop")
    app = app_on(double)
    chance = random.Random(8)
    keys = [*"hjklzotnN+yG<>", "tab", "shift+tab", "enter", "escape", "home", "end", "pageup", "pagedown", "slash"]
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot)
        for number in range(100):
            await pilot.press(chance.choice(keys))
            if number % 20 == 0:
                node = chance.choice(["draft", "critic", "review", "revise"])
                double.begin(run, node)
                double.complete(run, node, visit=number)
            if number % 31 == 0:
                await pilot.resize_terminal(*chance.choice([(80, 24), (120, 40), (60, 10), (200, 60)]))
        await pilot.press("escape", "escape", "escape")
        await settled(pilot)
        assert app.screen is screen
        assert screen.view_of_graph.selected in screen.graph.nodes
