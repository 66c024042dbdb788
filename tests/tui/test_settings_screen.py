"""Screen 8: settings are shown as they hold, written with comments kept, and taken back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import scenes
from engine_double import NOW, EngineDouble
from looking import hides, line_with, screen_text, settled, shows, until
from pytest_textual_snapshot import SVGImageExtension
from syrupy import SnapshotAssertion
from textual.pilot import Pilot

from core.places import Workspace, config_folder, state_folder
from core.settings import THEMES
from tui.app import RondoApp
from tui.screens.settings import SettingsScreen
from tui.setting_rows import kind_text

AppOn = Callable[[EngineDouble], RondoApp]

MINE = """[limits]
log_lines = 700   # few
future = "kept"
memory_mb = "much"
"""


@pytest.fixture
def user() -> Path:
    config_folder().mkdir(parents=True)
    return config_folder() / "settings.toml"


@pytest.fixture
def app(tmp_path: Path, double: EngineDouble, monkeypatch: pytest.MonkeyPatch) -> RondoApp:
    """The app on a workspace whose folder is there."""
    for variable in ("VISUAL", "EDITOR", "TMUX"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("COLORTERM", "truecolor")
    scenes.mail(double)
    workspace = Workspace(tmp_path, tmp_path / "workflows", tmp_path / "runs")
    return RondoApp(workspace, make_client=lambda _: double, now=lambda: NOW)


async def open_settings(pilot: Pilot[int]) -> SettingsScreen:
    """To the settings, read."""
    await shows(pilot, "mail_digest")
    await pilot.press("8")
    await shows(pilot, "max_runs")
    screen = pilot.app.screen
    assert isinstance(screen, SettingsScreen)
    return screen


async def select(pilot: Pilot[int], words: str) -> None:
    """Filter to one setting."""
    await pilot.press("slash", *words, "enter")
    await shows(pilot, "1 found")


async def test_a_number_is_typed_written_and_taken_back(app: RondoApp, user: Path) -> None:
    user.write_text(MINE)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await open_settings(pilot)
        await select(pilot, "loglines")
        assert screen.setting == "limits.log_lines"
        await pilot.press("enter")
        await until(pilot, lambda: screen.line.has_focus)
        await pilot.press("ctrl+u", *"900", "enter")
        await shows(pilot, "limits.log_lines is 900")
        assert "log_lines = 900   # few" in user.read_text()
        assert 'future = "kept"' in user.read_text()
        await pilot.press("u")
        await shows(pilot, "Taken back")
        assert user.read_text() == MINE
        await pilot.press("Z")
        await shows(pilot, "Done again")
        assert "900" in line_with(app, "log_lines")
    assert app.command_log.entries[-3].line == "rondo settings set limits.log_lines 900"


async def test_a_wrong_value_is_refused_and_the_line_stays_open(app: RondoApp, user: Path) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await open_settings(pilot)
        await select(pilot, "loglines")
        await pilot.press("s", "ctrl+u", *"few", "enter")
        await shows(pilot, "limits.log_lines must be a whole number; got 'few'.")
        assert screen.line.has_focus and screen.line.value == "few"
        await pilot.press("escape")
        await until(pilot, lambda: not screen.line_row.display)
    assert not user.exists()


async def test_the_workspace_s_file_is_written_when_it_is_chosen(app: RondoApp, tmp_path: Path) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await open_settings(pilot)
        await pilot.press("w")
        await shows(pilot, "(this workspace's)")
        await pilot.press("n")
        await shows(pilot, "key = value")
        await pilot.press(*"report.max_runs = 1", "enter")
        await shows(pilot, "workflows.report.max_runs is 1")
        await shows(pilot, "rondo settings set workflows.report.max_runs 1")
        assert (tmp_path / "rondo.toml").read_text().strip() == "[workflows.report]\nmax_runs = 1"
        await select(pilot, "report.max")
        await pilot.press("d")
        await hides(pilot, "[workflows.report]")
        assert (tmp_path / "rondo.toml").read_text().strip() == "[workflows.report]"


async def test_default_says_where_a_value_is_set_if_not_in_this_file(app: RondoApp, user: Path) -> None:
    user.write_text("[limits]\nlog_lines = 700\n")
    async with app.run_test(size=(120, 40)) as pilot:
        await open_settings(pilot)
        await select(pilot, "loglines")
        await pilot.press("w", "d")
        await shows(pilot, "w changes the file")
        await pilot.press("w", "d")
        await shows(pilot, "is not set there any more")
        assert user.read_text() == "[limits]\n"


async def test_themes_are_seen_while_one_chooses_and_kept_when_one_has(app: RondoApp, user: Path) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await open_settings(pilot)
        assert app.theme == "rondo"
        await pilot.press("T")
        await shows(pilot, "● rondo")
        await pilot.press("j")
        await until(pilot, lambda: app.theme == "rondo-light")
        await pilot.press("escape")
        await until(pilot, lambda: app.theme == "rondo")
        await pilot.press("T", "j", "j", "enter")
        await shows(pilot, "app.theme is ansi-dark")
        assert app.theme == "ansi-dark"
        assert 'theme = "ansi-dark"' in user.read_text()


async def test_what_has_no_effect_is_shown_with_file_and_line_and_stays(app: RondoApp, user: Path) -> None:
    user.write_text(MINE)
    async with app.run_test(size=(120, 40)) as pilot:
        await open_settings(pilot)
        await shows(pilot, "What has no effect")
        text = screen_text(app)
        assert "settings.toml:3  there is no" in text
        assert "settings.toml:4  limits.memory_mb" in text
        await pilot.press("k")
        await shows(pilot, "there is no setting limits.future")


async def test_a_file_that_is_not_toml_is_never_written(app: RondoApp, user: Path) -> None:
    user.write_text("[limits\n")
    async with app.run_test(size=(120, 40)) as pilot:
        await open_settings(pilot)
        await select(pilot, "loglines")
        await pilot.press("s", "ctrl+u", *"900", "enter")
        await shows(pilot, "is not TOML, so no setting is written")
    assert user.read_text() == "[limits\n"


async def test_read_only_nothing_is_written(app: RondoApp, user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RONDO_READ_ONLY", "1")
    async with app.run_test(size=(120, 40)) as pilot:
        await open_settings(pilot)
        await select(pilot, "loglines")
        await pilot.press("s", "ctrl+u", *"900", "enter")
        await shows(pilot, "`rondo settings set limits.log_lines 900` was not done.")
        await pilot.press("escape", "K")
        await shows(pilot, "in an editor was not done")
    assert not list(config_folder().iterdir())
    assert not (state_folder() / "settings_edits.json").exists()


async def test_a_line_of_the_list_is_copied_as_its_command(
    app: RondoApp, user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied: list[str] = []
    async with app.run_test(size=(120, 40)) as pilot:
        monkeypatch.setattr(app, "copy", copied.append)
        await open_settings(pilot)
        await select(pilot, "loglines")
        await pilot.press("y")
        await until(pilot, lambda: copied)
    assert copied == ["rondo settings set limits.log_lines 50000"]


async def test_every_theme_that_can_be_set_is_there(app: RondoApp) -> None:
    assert set(THEMES) <= set(app.available_themes)


def test_what_a_setting_may_be_is_said_in_words() -> None:
    assert kind_text("engine.max_runs") == "a whole number from 1 to 1,000"
    assert kind_text("limits.log_lines") == "a whole number from 100"
    assert kind_text("app.notify") == "one of: off, bell, osc9"
    assert kind_text("llm.providers.mine.tools") == "true or false"
    assert kind_text("llm.model").startswith("a provider and a model")


@pytest.fixture
def picture(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    return snapshot.use_extension(SVGImageExtension)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize(
    ("theme", "keys"),
    [
        ("rondo", []),
        ("rondo-light", []),
        ("ansi-dark", ["j"]),
        ("rondo", ["T"]),
        ("rondo", ["at"]),
    ],
    ids=["settings", "light", "ansi", "theme", "log"],
)
async def test_picture_of_the_settings(
    theme: str,
    keys: list[str],
    size: tuple[int, int],
    double: EngineDouble,
    app_on: AppOn,
    picture: SnapshotAssertion,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "/home/me/.config")
    scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=size) as pilot:
        await open_settings(pilot)
        app.theme = theme
        await settled(pilot)
        # Not all of them: another setting should not be another picture.
        await pilot.press("slash", *"limits.", "enter")
        await pilot.press(*keys)
        await settled(pilot)
        assert app.export_screenshot(title="rondo") == picture
