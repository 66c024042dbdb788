"""From a run to those that are nested in it, and up again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine_double import EngineDouble
from looking import screen_text, until
from test_run_screen import open_run

from core.link.types import ChildView, ParentView, RequestView, RunView
from tui.app import RondoApp
from tui.screens.run import RunScreen

AppOn = Callable[[EngineDouble], RondoApp]


async def test_enter_on_a_subflows_step_opens_its_run_and_u_leads_up(double: EngineDouble, app_on: AppOn) -> None:
    double.workflow("outer", ["call"])
    double.workflow("inner", ["ask"])
    outer, inner = double.run("outer", status="waiting_run"), double.run("inner", status="waiting_input")
    question = double.ask(inner, "ask", "which", "Which?")
    view_of = double._view

    def with_nesting(run: Any) -> RunView:
        view = view_of(run)
        if run is inner:
            view.parent = ParentView(run_id=outer.id, workflow="outer", node="call", visit=1, status="waiting_run")
            return view
        call = RequestView(
            key="call:1:inner:0", run_id=outer.id, workflow="outer", node="call", visit=1, request_id="inner", nth=0,
            kind="subflow", input_type="subflow", prompt=None, options=None, status="open", opened_at=outer.created_at,
        )  # fmt: skip
        child = ChildView(
            run_id=inner.id, short_id=inner.id[-8:], workflow="inner", status="waiting_input", node="call", visit=1,
            created_at=inner.created_at, awaited=True,
        )  # fmt: skip
        view.open_requests, view.children, view.nested_input = [call], [child], question
        return view

    double._view = with_nesting  # type: ignore[method-assign]
    app = app_on(double)
    async with app.run_test(size=(120, 30)) as pilot:
        screen = await open_run(pilot, outer)
        assert "↳ subflow" in screen_text(app) and f"◐ inner asks in {inner.id[-8:]}" in screen_text(app)
        await until(pilot, lambda: screen.selected_child() is not None)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.run_id == inner.id)
        await until(pilot, lambda: f"part of {outer.id[-8:]}" in screen_text(app))
        await pilot.press("U")
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.run_id == outer.id)
