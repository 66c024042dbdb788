"""A graph that was read already is on the screen before the engine answers, and right when it did."""

from __future__ import annotations

from collections.abc import Callable

from engine_double import EngineDouble
from looking import settled, shows, until
from test_quick_hands import SlowDouble

from core.link.types import RunFilter
from tui.app import RondoApp
from tui.known import KEPT, KnownWorkflows
from tui.screens.graph import GraphScreen

AppOn = Callable[[EngineDouble], RondoApp]


def known_of(double: EngineDouble, *names: str) -> KnownWorkflows:
    known = KnownWorkflows()
    for name in names:
        known.note(double.workflow(name, ["a", "b"]))
    return known


async def test_a_run_of_another_version_is_not_shown_on_todays_graph(double: EngineDouble) -> None:
    detail = double.workflow("loop", ["a", "b"])
    double.run("loop")
    known = KnownWorkflows()
    (row,) = await double.list_runs(RunFilter(workflow="loop"))
    known.note(detail, [row])
    assert known.find("loop") is detail
    assert known.find("loop", row.run_id) is detail
    row.version = "another"
    known.note(detail, [row])
    assert known.find("loop", row.run_id) is None
    assert known.find("loop", "a run nobody listed") is None


def test_what_changed_and_what_was_read_long_ago_is_forgotten(double: EngineDouble) -> None:
    names = [f"flow_{number}" for number in range(KEPT + 1)]
    known = known_of(double, *names)
    assert [known.find(name) is not None for name in names] == [False] + [True] * KEPT
    known.forget(names[-1])
    assert known.find(names[-1]) is None


async def test_the_graph_of_the_selected_workflow_does_not_wait_for_the_engine(app_on: AppOn) -> None:
    double = SlowDouble()
    double.workflow("loop", ["draft", "critic", "done"])
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        await shows(pilot, "loop")
        await settled(pilot)
        double.may_answer.clear()
        await pilot.press("2")
        await until(pilot, lambda: isinstance(app.screen, GraphScreen) and app.screen.view_of_graph.drawing is not None)
        await shows(pilot, "critic")
        double.workflow("loop", ["draft", "judge", "done"])
        double.may_answer.set()
        await shows(pilot, "judge")
