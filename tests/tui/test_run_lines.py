"""Screen 4, older lines: what a rewind left behind is looked at as the present."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import scenes
from looking import hides, shows, until
from test_run_screen import open_run
from test_run_travel import agree
from travelling import Travelling

from core.link.types import ChangeView, LineView, StateView, StepPage
from tui.app import RondoApp
from tui.screens.choose import ChooseSheet

AppOn = Callable[[Any], RondoApp]
OLD = 7001


class Rewound(Travelling):
    """An engine with a run that was rewound: its older line failed after three nodes of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.present = scenes.mail(self)
        self.old = self.run("mail_digest", status="failed")
        for node in ("gather", "weigh", "scrap"):
            self.complete(self.old, node, {"written_by": node})

    def _on_line(self, run_id: str, line: int | None) -> str:
        return self.old.id if line == OLD else run_id

    async def list_lines(self, run_id: str) -> list[LineView]:
        at = self.now()
        past = LineView(line=OLD, number=1, version="v", status="failed", step=self.old.step, created_at=at)
        present = LineView(line=1, number=2, version="v", status="waiting_input", step=6, created_at=at)
        present.parent_line, present.parent_step = OLD, 1
        return [past, present] if run_id == self.present.id else [present]

    async def read_steps(self, run_id: str, after: int = 0, limit: int = 500, line: int | None = None) -> StepPage:
        return await super().read_steps(self._on_line(run_id, line), after, limit)

    async def read_state(
        self,
        run_id: str,
        seq: int | None = None,
        path: list[str | int] | None = None,
        depth: int = 3,
        line: int | None = None,
    ) -> StateView:
        return await super().read_state(self._on_line(run_id, line), seq, path, depth)

    async def read_changes(self, run_id: str, seq: int, line: int | None = None) -> list[ChangeView]:
        return await super().read_changes(self._on_line(run_id, line), seq)


@pytest.fixture
def double() -> Rewound:
    return Rewound()


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
async def test_an_older_line_is_chosen_looked_at_and_left_with_escape(
    double: Rewound, app_on: AppOn, size: tuple[int, int]
) -> None:
    app = app_on(double)
    async with app.run_test(size=size) as pilot:
        screen = await open_run(pilot, double.present)
        await pilot.press("H")
        await until(pilot, lambda: isinstance(app.screen, ChooseSheet))
        await shows(pilot, "from step 1 of line 1")
        await pilot.press("j", "enter")
        await shows(pilot, "scrap")
        await shows(pilot, "steps of line 1")
        await until(pilot, lambda: screen.state.step == 3)
        assert screen.state.state_tree.at(("written_by",)) == "scrap"
        await hides(pilot, "5 summarise#2")
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: screen.state.step == 2 and screen.state.state_tree.at(("written_by",)) == "weigh")
        await pilot.press("escape")
        await hides(pilot, "scrap")
        await shows(pilot, "5 summarise#2")
        await until(pilot, lambda: screen.state.step == double.present.step)


async def test_a_rewind_on_an_older_line_names_that_line(double: Rewound, app_on: AppOn) -> None:
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await open_run(pilot, double.present)
        screen.choose_line("1")
        await until(pilot, lambda: screen.state.step == 3)
        await pilot.press("F")
        await agree(pilot, "at step 3?")
        await until(pilot, lambda: len(double.sent) == 1)
        assert (double.sent[0].line, double.sent[0].step) == (OLD, 3)
        assert any(entry.line.endswith("--line 1") for entry in app.command_log.entries)


async def test_a_run_with_one_line_and_a_line_that_is_not_there_are_said(double: Rewound, app_on: AppOn) -> None:
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await open_run(pilot, double.old)
        await pilot.press("H")
        await shows(pilot, "The run has one line")
        screen.choose_line("9")
        await shows(pilot, "The run has no line 9")
