"""Screen 8: every setting as it holds, changed in the person's file or the workspace's, with the way back."""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import Callable, Iterable
from pathlib import Path

from textual.containers import Horizontal
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input

from core.errors import RondoError
from core.places import settings_files
from core.read_only import is_read_only, refused
from core.settings import DEFAULT, Settings, read_settings
from core.settings_edit import KnownSetting, SettingEdit, find_setting, parse_value, set_value, unset_value
from core.settings_fields import value_text
from core.settings_journal import SettingsJournal
from tui.actions import action
from tui.messages import EngineEvents
from tui.screens.base import RondoScreen, error_text
from tui.setting_rows import SettingRow, choices_of, row_details, row_spans, rows_of
from tui.spans import Span, Spans
from tui.text import home_path, visible
from tui.widgets.line_input import FilterLine, LineInput, Note
from tui.widgets.line_list import LineList
from tui.widgets.rule import PaneRule, Title
from tui.widgets.text_list import TextList


class SettingsRead(Message, bubble=False):
    """Both files, as they are now."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings


class SettingWritten(Message, bubble=False):
    """A file was changed, and how it reads now; `text` is what to say of it, `key` the setting."""

    def __init__(self, settings: Settings, key: str, line: str, text: str) -> None:
        super().__init__()
        self.key = key
        self.settings = settings
        self.line = line
        self.text = text


class SettingRefused(Message, bubble=False):
    """A file was not changed."""

    def __init__(self, error: RondoError) -> None:
        super().__init__()
        self.error = error


class SettingsList(LineList):
    """Sections and their settings."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[SettingRow] = []
        self.files: tuple[str, ...] = ()

    def show(self, rows: list[SettingRow], files: tuple[str, ...]) -> None:
        """Show other lines; the cursor stays on the setting it was on."""
        before = self.selected
        self.rows, self.files = rows, files
        self.lines_changed()
        same = (place for place, row in enumerate(rows) if before is not None and _same(row, before))
        self.move_to(next(same, min(self.cursor, max(0, len(rows) - 1))))

    def select(self, key: str) -> None:
        """Put the cursor on a setting, where it is among the lines."""
        for place, row in enumerate(self.rows):
            if row.setting is not None and row.setting.key == key:
                self.move_to(place)

    @property
    def selected(self) -> SettingRow | None:
        """The line under the cursor."""
        return self.rows[self.cursor] if self.rows else None

    def selectable(self, line: int) -> bool:
        return not self.rows[line].title

    def line_count(self) -> int:
        return len(self.rows)

    def line_spans(self, line: int, width: int) -> Spans:
        return row_spans(self.rows[line], width, self.files)


class Details(TextList, can_focus=False):
    """What there is to know of the selected line."""

    def mark(self, line: int) -> Span:
        return (" ", "")


def _same(row: SettingRow, other: SettingRow) -> bool:
    if row.setting is not None and other.setting is not None:
        return row.setting.key == other.setting.key
    return row.problem is not None and row.problem == other.problem


def needs_setting(screen: SettingsScreen) -> str:
    """Why there is no setting to change; "" if there is."""
    return "" if screen.setting is not None else "Select a setting first"


class SettingsScreen(RondoScreen):
    """The settings of this workspace."""

    view = "settings"

    DEFAULT_CSS = """
    SettingsScreen SettingsList { height: 1fr; min-height: 4; }
    SettingsScreen TextList { height: auto; max-height: 6; }
    SettingsScreen #value { height: 1; display: none; }
    SettingsScreen #value Note { padding: 0 1 0 0; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.filter_line = FilterLine("words of a setting", id="filter")
        self.target = Note()
        self.list = SettingsList()
        self.rule = PaneRule()
        self.details = Details([])
        self.line = LineInput()
        self.asked = Note()
        self.line_row = Horizontal(id="value")
        self.settings = Settings()
        self.here = False
        """Whether changes go to the workspace's file."""
        self._take: Callable[[str], None] | None = None

    def compose_body(self) -> Iterable[Widget]:
        yield self.target
        yield self.filter_line
        yield self.list
        yield self.rule
        yield self.details
        with self.line_row:
            yield self.asked
            yield self.line

    def on_mount(self) -> None:
        self.list.focus()
        self._show_target()
        self.read_files()

    def crumbs(self) -> tuple[str, ...]:
        return (home_path(str(self.rondo.workspace.root)), "settings")

    def read_all(self) -> None:
        """The engine has no part in this screen."""

    def on_engine_events(self, message: EngineEvents) -> None:
        """Nor have its events, but for the chat beside."""

    def on_screen_resume(self) -> None:
        """Shown again, after an editor too: the files may be others."""
        if self.is_mounted:
            self.read_files()

    @property
    def setting(self) -> str | None:
        """The key of the selected setting."""
        row = self.list.selected
        return row.setting.key if row is not None and row.setting is not None else None

    def copied_text(self) -> str:
        row = self.list.selected
        if row is None or row.setting is None:
            return f"{row.problem.file}:{row.problem.line}" if row is not None and row.problem is not None else ""
        return shlex.join(["rondo", "settings", "set", row.setting.key, value_text(row.setting.value)])

    # Reading -----------------------------------------------------------------------------------------------------

    def read_files(self) -> None:
        """Read both files behind the screen."""

        async def work() -> None:
            self.post_message(SettingsRead(await asyncio.to_thread(read_settings, self.rondo.workspace)))

        self.run_worker(work, group="settings", name="reading the settings")  # type: ignore[arg-type]

    def on_settings_read(self, message: SettingsRead) -> None:
        self.settings = message.settings
        self._show_rows()

    def _show_rows(self) -> None:
        rows = rows_of(self.settings, self.filter_line.text)
        self.list.show(rows, self.settings.files)
        count = sum(1 for row in rows if not row.title)
        self.filter_line.show_count(f"{count} found")
        self._show_details()
        self.refresh_footer()

    def _show_details(self) -> None:
        row = self.list.selected
        if row is None:
            self.rule.titles = ()
            self.details.set_lines([])
            return
        title = row.setting.key if row.setting is not None else row.problem.key if row.problem is not None else ""
        self.rule.titles = (Title(visible(title) or "the file"),)
        self.details.set_lines(row_details(row, self.settings.files))

    def _show_target(self) -> None:
        file = home_path(str(settings_files(self.rondo.workspace)[1 if self.here else 0]))
        whose = "this workspace's" if self.here else "yours, for all workspaces"
        self.target.spans = ((" changes go to ", "dim"), (visible(file), "strong"), (f"  ({whose})", "dim"))

    def on_line_list_moved(self, event: LineList.Moved) -> None:
        if event.lines is self.list:
            self._show_details()
            self.refresh_footer()

    def on_line_list_chosen(self, event: LineList.Chosen) -> None:
        if event.lines is self.list and self.setting is not None:
            self.change()

    # Changing ----------------------------------------------------------------------------------------------------

    @action(
        "settings.change",
        "set",
        keys="s",
        words="settings set",
        help="Give it another value",
        footer=1,
        when=needs_setting,
    )
    def change(self) -> None:
        key = self.setting
        row = self.list.selected
        if key is None or row is None or row.setting is None:
            return
        choices = choices_of(key)
        if choices:
            self._choose(key, choices, value_text(row.setting.value))
        else:
            given = str(row.setting.value) if isinstance(row.setting.value, str) else value_text(row.setting.value)
            self._ask(f"{key} =", given, lambda text: self._set(key, text))

    def _choose(self, key: str, choices: tuple[str, ...], present: str) -> None:
        from tui.screens.choose import ChooseSheet

        preview = self.rondo.show_theme if key == "app.theme" else None

        def chosen(value: str | None) -> None:
            if value is not None:
                self._set(key, value or "-")
            elif preview is not None:
                preview(self.settings.app.theme if self._themed() else "")

        words = [(word, word or "-") for word in choices]
        self.rondo.push_screen(ChooseSheet(key, words, present, preview), chosen)

    def _themed(self) -> bool:
        return "app.theme" in self.settings.sources

    def _ask(self, sign: str, given: str, take: Callable[[str], None]) -> None:
        """Ask for a text on the line at the bottom."""
        self._take = take
        self.asked.spans = ((f" {visible(sign)}", "key"),)
        self.line.value = given
        self.line.cursor_position = len(given)
        self.line_row.display = True
        self.set_focus(self.line)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if event.input is self.line and self._take is not None:
            self._take(event.value)

    def _end_asking(self) -> None:
        self.line_row.display = False
        self._take = None
        self.set_focus(self.list)

    def close_top_layer(self) -> bool:
        if self.line_row.display:
            self._end_asking()
            return True
        if super().close_top_layer():
            return True
        if self.filter_line.display:
            self.filter_line.close()
            self.set_focus(self.list)
            return True
        return False

    def _set(self, key: str, text: str) -> None:
        """Write a value; one that can't be leaves the line open with the reason."""
        try:
            setting = find_setting(key)
            value = parse_value(setting, text)
        except RondoError as error:
            self.say(error_text(error), "problem")
            return
        if self.line_row.display:
            self._end_asking()
        line = self._line("set", key, text)
        self._write(line, f"{key} is {value_text(value)}", lambda path: set_value(path, setting, value))

    def _line(self, word: str, key: str, *more: str) -> str:
        return shlex.join(["rondo", "settings", word, key, *more, *(["--here"] if self.here else [])])

    def _write(self, line: str, text: str, change: Callable[[Path], SettingEdit | None]) -> None:
        """Change a file behind the screen, note it for undo, and read it again."""
        path = settings_files(self.rondo.workspace)[1 if self.here else 0]

        def work() -> str:
            edit = change(path)
            if edit is None:
                return ""
            SettingsJournal().note(edit)
            return edit.key

        self._do(line, text, work)

    def _do(self, line: str, text: str, work: Callable[[], str]) -> None:
        if is_read_only():
            self.say(error_text(refused(f"`{line}`")), "problem")
            return

        async def write() -> None:
            try:
                key = await asyncio.to_thread(work)
                settings = await asyncio.to_thread(read_settings, self.rondo.workspace)
            except RondoError as error:
                self.post_message(SettingRefused(error))
            else:
                self.post_message(SettingWritten(settings, key, line, text))

        self.run_worker(write, group="write", name="writing a setting")  # type: ignore[arg-type]

    def on_setting_written(self, message: SettingWritten) -> None:
        self.settings = message.settings
        self.rondo.command_log.did(message.line)
        self.say(message.text, "good")
        if "TEXTUAL_THEME" not in os.environ:
            self.rondo.show_theme(self.settings.app.theme if self._themed() else "")
        self._show_rows()
        self.list.select(message.key)

    def on_setting_refused(self, message: SettingRefused) -> None:
        self.say(error_text(message.error), "problem")
        self.read_files()

    @action(
        "settings.unset",
        "default",
        keys="d",
        words="settings unset",
        help="Take it out of the file: the other file or the default holds",
        footer=2,
        when=needs_setting,
    )
    def unset(self) -> None:
        key = self.setting
        if key is None:
            return
        setting: KnownSetting = find_setting(key)
        source = self.settings.sources.get(key, DEFAULT)
        file = str(settings_files(self.rondo.workspace)[1 if self.here else 0])
        if source != file:
            where = "No file sets it" if source == DEFAULT else f"It is set in {home_path(source)}: w changes the file"
            self.say(where, "hint")
            return
        self._write(
            self._line("unset", key), f"{key} is not set there any more", lambda path: unset_value(path, setting)
        )

    @action("settings.file", "file", keys="w", help="Write to the workspace's file, or to yours", footer=4)
    def other_file(self) -> None:
        self.here = not self.here
        self._show_target()

    @property
    def undoes_deeds(self) -> bool:
        """Undo is about settings here."""
        return True

    @property
    def redoes_deeds(self) -> bool:
        """And so is redo."""
        return True

    def undo_change(self) -> None:
        """Take the last change of a setting back."""
        self._travel("undo", SettingsJournal().undo)

    def redo_change(self) -> None:
        """Do again what undo took back."""
        self._travel("redo", SettingsJournal().redo)

    def _travel(self, word: str, step: Callable[[], SettingEdit]) -> None:
        said = "Taken back" if word == "undo" else "Done again"
        self._do(f"rondo settings {word}", said, lambda: step().key)

    @action("settings.new", "other", keys="n", help="Set one in a table: workflows.NAME.max_runs = 1", footer=7)
    def set_other(self) -> None:
        self._ask("key = value", "workflows.", self._set_other)

    def _set_other(self, text: str) -> None:
        key, sign, value = text.partition("=")
        if not sign:
            self.say("Write it as key = value, such as llm.roles.chat.effort = high", "hint")
        else:
            self._set(key.strip(), value.strip().strip('"'))

    @action("settings.theme", "theme", keys="T", words="theme", help="Choose the colours, seen as you choose", footer=8)
    def choose_theme(self) -> None:
        self._choose("app.theme", choices_of("app.theme"), self.rondo.theme)

    @action("settings.open-file", "open file", keys="E", help="The file in your editor, at the selected line", footer=9)
    def open_file(self) -> None:
        row = self.list.selected
        if row is not None and row.problem is not None:
            self.rondo.edit_file(row.problem.file, row.problem.line)
            return
        source = self.settings.sources.get(self.setting or "", "")
        self._edit(Path(source) if source else settings_files(self.rondo.workspace)[1 if self.here else 0], "")

    @action(
        "settings.keymap", "keymap", keys="K", words="keymap", help="keys.toml in your editor; `rondo keys` checks it"
    )
    def open_keymap(self) -> None:
        from tui.keymap import keymap_file

        self._edit(keymap_file(), KEYMAP_BEGINNING)

    def _edit(self, path: Path, beginning: str) -> None:
        """Open a file in the editor; one that is not there begins with a few words."""
        if not path.exists() and not is_read_only():
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(beginning, encoding="utf-8")
            except OSError as error:
                self.say(f"{home_path(str(path))} can't be made: {error.strerror}", "problem")
                return
        self.rondo.edit_file(str(path))

    # The filter --------------------------------------------------------------------------------------------------

    @action("settings.filter", "filter", keys="slash", help="Keep settings whose words match", footer=3)
    def filter(self) -> None:
        self.filter_line.open()

    def on_filter_line_changed(self, event: FilterLine.Changed) -> None:
        self._show_rows()

    def on_filter_line_done(self, event: FilterLine.Done) -> None:
        if not event.kept or not event.line.text:
            event.line.close()
        self.set_focus(self.list)


KEYMAP_BEGINNING = """# Keys of actions, from the next start on. `rondo keys` lists them and says what is wrong here.
# run.start = ["r", "f5"]
# list.open = []            # none: it stays on the : line
"""
