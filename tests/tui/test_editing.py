"""What is saved in the editor that the app opened may run; what changed beside it is asked about as ever."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from engine_double import EngineDouble
from looking import settled, shows, until

from core.link.workflow_types import FileChange
from tui.app import RondoApp

AppOn = Callable[[EngineDouble], RondoApp]


@pytest.mark.parametrize(
    ("approved_before", "changed", "approved_after"),
    [
        (True, ["nodes.py"], True),
        (True, ["nodes.py", "helpers.py"], False),
        (True, ["helpers.py"], False),
        (False, ["nodes.py"], False),
    ],
)
async def test_a_save_in_the_editor_needs_no_approval_of_its_own(
    approved_before: bool,
    changed: list[str],
    approved_after: bool,
    double: EngineDouble,
    app_on: AppOn,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    double.workflow("mail", ["a"], approved=approved_before, version="v1")
    opened: list[str] = []

    def edit(app: RondoApp, path: str, line: int) -> str:
        opened.append(path)
        double.approvals["mail"] = msgspec.structs.replace(
            double.approvals["mail"],
            version="v2",
            approved=False,
            reason="changed",
            previous="v1",
            changes=[FileChange(path=name, status="changed", diff="") for name in changed],
        )
        return ""

    monkeypatch.setattr("tui.editor.edit", edit)
    app = app_on(double)
    async with app.run_test(size=(100, 30)) as pilot:
        await shows(pilot, "mail")
        await settled(pilot)
        await pilot.press("e")
        await until(pilot, lambda: opened == [f"{double.workflows['mail'].folder}/nodes.py"])
        await until(pilot, lambda: not any(worker.group in ("editor", "saves") for worker in app.workers))
        await settled(pilot)
        assert double.approvals["mail"].approved is approved_after


async def test_the_editor_opens_also_where_the_engine_fails(
    double: EngineDouble, app_on: AppOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    double.workflow("mail", ["a"])
    opened: list[str] = []
    monkeypatch.setattr("tui.editor.edit", lambda app, path, line: opened.append(path) or "No editor is set.")
    app = app_on(double)
    async with app.run_test(size=(100, 30)) as pilot:
        await shows(pilot, "mail")
        await settled(pilot)
        double.workflows.pop("mail")
        await pilot.press("e")
        await shows(pilot, "No editor is set.")
        assert opened
