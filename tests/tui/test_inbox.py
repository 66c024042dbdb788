"""Screen 5: every open question, answered without going to its run; and the word to one who looks elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import scenes
from engine_double import EngineDouble
from looking import hides, line_with, screen_text, settled, shows, until
from pytest_textual_snapshot import SVGImageExtension
from syrupy import SnapshotAssertion
from textual.pilot import Pilot

from core.errors import InvalidAnswer
from core.link.event_types import RunChanged
from core.places import Workspace
from tui.app import RondoApp
from tui.notify import Notifier, osc9
from tui.screens.inbox import InboxScreen
from tui.screens.run import RunScreen

AppOn = Callable[[EngineDouble], RondoApp]


async def open_inbox(pilot: Pilot[Any], key: str = "i") -> InboxScreen:
    """To the questions, once they are read."""
    app = pilot.app
    assert isinstance(app, RondoApp)
    await until(pilot, lambda: app.connected_once)
    await pilot.press(key)
    await until(pilot, lambda: isinstance(app.screen, InboxScreen) and app.screen.requests.loaded)
    assert isinstance(app.screen, InboxScreen)
    return app.screen


async def answering(pilot: Pilot[Any], screen: InboxScreen, request_id: str) -> None:
    """Wait until the form of a question has the focus and takes Enter."""
    form = screen.question
    await until(pilot, lambda: form.request is not None and form.request.request_id == request_id, request_id)
    await until(pilot, lambda: form.typing and form.armed and form.field is not None and form.field.is_mounted)
    await until(pilot, lambda: form.field is not None and screen.focused is form.field.entry)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=lambda size: f"{size[0]}x{size[1]}")
async def test_picture_of_the_inbox(
    size: tuple[int, int], double: EngineDouble, app_on: AppOn, snapshot: SnapshotAssertion
) -> None:
    scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=size) as pilot:
        await open_inbox(pilot)
        await shows(pilot, "Which folder?")
        await settled(pilot)
        assert app.export_screenshot(title="rondo") == snapshot.use_extension(SVGImageExtension)


async def test_questions_are_answered_one_after_the_other(double: EngineDouble, app_on: AppOn) -> None:
    run = scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await open_inbox(pilot, "5")
        await shows(pilot, "◐ 2 (i)")
        await pilot.press("tab", *"archive")
        await answering(pilot, screen, "folder")
        double.problems["answer"] = InvalidAnswer("There is no such folder.")
        await pilot.press("enter")
        await shows(pilot, "There is no such folder.")
        await pilot.press(*"d", "enter")
        await answering(pilot, screen, "decision")
        assert [len(known.open_requests) for known in double.runs.values()].count(1) == 1
        await pilot.press("right", "enter")
        await shows(pilot, "Nothing waits for you.")
        assert [request.answer for known in double.runs.values() for request in known.requests] == [
            "archived",
            "edit first",
        ]
        await until(pilot, lambda: not screen.question.shows)
        double.ask(run, "post", "sure", "Sure?", "confirm")
        await shows(pilot, "Sure?")
        assert not screen.question.typing, "a question that comes by itself takes no keys"


async def test_what_was_typed_never_goes_to_another_question(double: EngineDouble, app_on: AppOn) -> None:
    scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await open_inbox(pilot)
        triage = next(run for run in double.runs.values() if run.workflow == "mail_triage")
        other = double.run("mail_triage", run_id="triage-again-eeee0005")
        double.ask(other, "ask", "folder", "Which folder?", "text")
        await shows(pilot, "◐ 3 (i)")
        await pilot.press("enter", *"mine")
        await answering(pilot, screen, "folder")
        double.answer_elsewhere(triage, triage.requests[0], "theirs")
        await shows(pilot, 'answered elsewhere: "theirs" by cli')
        assert screen.question.request is triage.requests[0] and "mine" in screen_text(app)
        await pilot.press("enter")
        await until(pilot, lambda: screen.question.request is not None and not screen.question.overtaken)
        assert "Not sent: mine" in screen_text(app)
        assert all(
            request.answer is None for run in double.runs.values() if run is not triage for request in run.requests
        )
        await hides(pilot, "cccc0003")


async def test_a_draft_stays_with_its_question_and_a_settled_one_stays_until_a_key(
    double: EngineDouble, app_on: AppOn
) -> None:
    run = scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await open_inbox(pilot)
        await pilot.press("a", *"half")
        await answering(pilot, screen, "folder")
        await pilot.press("escape", "j")
        await shows(pilot, "Post this digest to #team?")
        await until(pilot, lambda: screen.question.request is not None and screen.question.request.run_id == run.id)
        double.answer_elsewhere(run, run.requests[0], "post")
        await shows(pilot, 'answered elsewhere: "post" by cli')
        assert screen.requests.selected is not None and screen.requests.selected.run_id == run.id
        await pilot.press("a")
        assert not screen.question.typing
        await pilot.press("k")
        await hides(pilot, "answered elsewhere")
        await shows(pilot, "› half")
        await pilot.press("s")
        await shows(pilot, "empty dict")
        await pilot.press("escape", "o")
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.run_id.endswith("cccc0003"))


async def test_an_empty_inbox_says_so(double: EngineDouble, app_on: AppOn) -> None:
    async with app_on(double).run_test(size=(80, 24)) as pilot:
        await open_inbox(pilot)
        await shows(pilot, "Nothing waits for you.")
        await pilot.press("a")
        assert line_with(pilot.app, "! Nothing waits for you")  # type: ignore[arg-type]


def changed(run_id: str, status: Any) -> RunChanged:
    return RunChanged(run_id=run_id, workflow="mail", line=1, status=status, step=1)


@pytest.mark.parametrize(
    ("how", "told"), [("off", []), ("bell", ["bell"]), ("osc9", ["\x1b]9;rondo: mail failed\x07"])]
)
def test_one_who_looks_elsewhere_is_told_once(
    how: str, told: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TMUX", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "rondo.toml").write_text(f'[app]\nnotify = "{how}"\n')
    said: list[str] = []
    workspace = Workspace(tmp_path, tmp_path / "workflows", tmp_path / "runs")
    notifier = Notifier(workspace, lambda: said.append("bell"), said.append)
    assert notifier.news([changed("a", "running"), changed("b", "completed")]) == ""
    assert notifier.news([changed("a", "waiting_input")]) == "mail waits for you"
    assert notifier.news([changed("a", "waiting_input")]) == ""
    assert notifier.news([changed("a", "running"), changed("a", "failed"), changed("c", "failed")]).endswith(
        "other run"
    )
    asyncio.run(notifier.say("mail failed"))
    assert said == told
    assert osc9("a\x1bb", in_tmux=True) == "\x1bPtmux;\x1b\x1b]9;a␛b\x07\x1b\\"
