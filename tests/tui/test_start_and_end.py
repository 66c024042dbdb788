"""What the app reads before its first paint, and what it keeps when the line is lost."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import scenes
from engine_double import EngineDouble
from looking import shows, until

from core.places import Workspace, config_folder
from tui.app import RondoApp
from tui.first_reading import FirstRead, FirstReading, theme_by_terminal
from tui.last_place import Kept, file_of, keep, take
from tui.navigation import Place

AppOn = Callable[[EngineDouble], RondoApp]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setattr("tui.first_reading.LATE_SECONDS", 60)
    return Workspace(tmp_path, tmp_path / "workflows", tmp_path / "runs")


def test_the_theme_of_the_workspace_goes_over_the_person_s(workspace: Workspace) -> None:
    assert FirstReading(workspace).result() == FirstRead()
    config_folder().mkdir(parents=True)
    (config_folder() / "settings.toml").write_text('[app]\ntheme = "nord"\n')
    assert FirstReading(workspace).result().theme == "nord"
    (workspace.root / "rondo.toml").write_text('[app]\ntheme = "ansi-dark"\n')
    (config_folder() / "keys.toml").write_text('run.start = "f9"\n')
    assert FirstReading(workspace).result() == FirstRead({"run.start": ("f9",)}, "ansi-dark")


@pytest.mark.parametrize("text", ["[app\ntheme = 1", "[app]\ntheme = 5\n", 'app = "theme"\n', "\x00theme"])
def test_a_broken_file_gives_no_theme_and_stops_nothing(workspace: Workspace, text: str) -> None:
    (workspace.root / "rondo.toml").write_text(text)
    assert FirstReading(workspace).result().theme == ""


def test_a_slow_disk_is_not_waited_for(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()
    monkeypatch.setattr("tui.first_reading.LATE_SECONDS", 0.01)
    monkeypatch.setattr("tui.first_reading._theme_of", lambda path: answered.wait(60) and "")
    reading = FirstReading(workspace)
    assert reading.result().late
    answered.set()


@pytest.mark.parametrize(
    ("environment", "theme"),
    [
        ({"TERM": "xterm-256color"}, "rondo"),
        ({"TERM": "xterm", "COLORTERM": "truecolor"}, "rondo"),
        ({"TERM": "xterm-kitty"}, "rondo"),
        ({"TERM": "linux"}, "ansi-dark"),
        ({"TERM": "xterm"}, "ansi-dark"),
        ({}, "ansi-dark"),
    ],
)
def test_a_terminal_of_sixteen_colours_gets_its_own(environment: dict[str, str], theme: str) -> None:
    assert theme_by_terminal(environment) == theme


async def test_an_unknown_theme_falls_back_to_what_suits_the_terminal(double: EngineDouble, app_on: AppOn) -> None:
    app = app_on(double)
    app.show_theme("pink")
    assert app.theme == "rondo"
    app.show_theme("dracula")
    assert app.theme == "dracula"


def test_a_place_is_kept_for_the_person_alone_and_taken_once(workspace: Workspace) -> None:
    kept = Kept(Place("run", run_id="abc"), {"abc/name": "Ada", "odd": object()})
    keep(workspace, kept)
    assert stat.S_IMODE(os.stat(file_of(workspace)).st_mode) == 0o600
    assert take(workspace) == Kept(kept.place, {"abc/name": "Ada"})
    assert take(workspace) is None


@pytest.mark.parametrize(
    "text", ["", "[]", '{"place": {"view": 1}, "drafts": {}}', '{"place": {"x": "y"}, "drafts": {}}']
)
def test_a_place_that_can_not_be_read_is_as_good_as_none(workspace: Workspace, text: str) -> None:
    file_of(workspace).parent.mkdir(parents=True)
    file_of(workspace).write_text(text)
    assert take(workspace) is None


async def test_the_app_opens_where_the_line_was_lost(double: EngineDouble, app_on: AppOn) -> None:
    run = scenes.mail(double)
    app = app_on(double)
    keep(app.workspace, Kept(Place("run", run_id=run.id)))
    async with app.run_test(size=(100, 30)) as pilot:
        await shows(pilot, "run 7f3a09c1")
        await shows(pilot, "Back where the line was lost")
        await pilot.press("q")
        await shows(pilot, "NODES")


async def test_a_signal_keeps_the_place_and_ends_the_app(
    double: EngineDouble, app_on: AppOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = scenes.mail(double)
    app = app_on(double)
    monkeypatch.setattr("tui.ending.threading.Timer", lambda *_: threading.Thread(daemon=True))
    async with app.run_test(size=(100, 30)) as pilot:
        await shows(pilot, "mail_digest")
        app.go_run(run.id)
        await shows(pilot, "run 7f3a09c1")
        app.end_by_signal(15)
        await until(pilot, lambda: app.return_value == 143)
    kept = take(app.workspace)
    assert kept is not None and kept.place.run_id == run.id
