"""The lines of the settings screen, made of the settings as they hold. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from core.settings import DEFAULT, EffectiveSetting, SettingProblem, Settings
from core.settings_edit import find_setting
from core.settings_fields import ChoiceKind, NumberKind, SwitchKind, TextKind, value_text
from tui.filtering import keep
from tui.spans import Spans
from tui.text import fit, home_path, visible

PROBLEMS = "What has no effect"


@dataclass(frozen=True, slots=True)
class SettingRow:
    """A line: the title of a section, a setting, or something in a file that has no effect."""

    title: str = ""
    setting: EffectiveSetting | None = None
    problem: SettingProblem | None = None

    @property
    def words(self) -> str:
        """What a filter looks through."""
        if self.setting is not None:
            return f"{self.setting.key} {self.setting.text}"
        return f"{self.problem.key} {self.problem.message}" if self.problem is not None else ""


def rows_of(settings: Settings, text: str = "") -> list[SettingRow]:
    """What is wrong first, then every setting below the title of its section; only what matches, where one filters."""
    rows: list[SettingRow] = []
    problems = keep([SettingRow(problem=problem) for problem in settings.problems], text, lambda row: row.words)
    if problems:
        rows += [SettingRow(PROBLEMS), *problems]
    section = ""
    kept = {row.words for row in keep(_settings(settings), text, lambda row: row.words)}
    for row in _settings(settings):
        if row.setting is None or row.words not in kept:
            continue
        above = row.setting.key.rpartition(".")[0]
        if above != section:
            section = above
            rows.append(SettingRow(section))
        rows.append(row)
    return rows


def _settings(settings: Settings) -> list[SettingRow]:
    return [SettingRow(setting=setting) for setting in settings.effective()]


def source_word(source: str, files: tuple[str, ...]) -> str:
    """Where a value comes from, in a word."""
    if source == DEFAULT:
        return DEFAULT
    return "workspace" if files and source == files[-1] else "yours"


def row_spans(row: SettingRow, width: int, files: tuple[str, ...]) -> Spans:
    """A line of the list."""
    if row.problem is not None:
        problem = row.problem
        place = f"{home_path(problem.file)}:{problem.line}" if problem.line else home_path(problem.file)
        return [("! ", "waiting"), (f"{visible(place)}  ", "dim"), (visible(problem.message), "")]
    if row.setting is None:
        return [(row.title, "waiting")] if row.title == PROBLEMS else [(f"[{row.title}]", "dim")]
    setting = row.setting
    name = setting.key.rpartition(".")[2]
    value_width = 28 if width >= 100 else 22
    changed = setting.source != DEFAULT
    return [
        ("  ", ""),
        (fit(visible(name), 24), ""),
        (fit(visible(value_text(setting.value)), value_width), "accent" if changed else ""),
        (fit(source_word(setting.source, files), 11), "" if changed else "dim"),
        (fit(visible(setting.text), max(0, width - 37 - value_width)), "dim"),
    ]


def kind_text(key: str) -> str:
    """What a setting may be, in words."""
    match find_setting(key).entry.metadata["kind"]:
        case NumberKind(whole, least, most):
            until = f" to {most:,g}" if most < 1e9 else ""
            return f"a {'whole ' if whole else ''}number from {least:g}{until}"
        case ChoiceKind(words):
            return "one of: " + ", ".join(word or "-" for word in words)
        case SwitchKind():
            return "true or false"
        case TextKind(must=must):
            return must.removeprefix("must be ").removeprefix("must ")
    return ""


def choices_of(key: str) -> tuple[str, ...]:
    """The words among which one chooses; empty where the value is typed."""
    kind = find_setting(key).entry.metadata["kind"]
    if isinstance(kind, ChoiceKind):
        return kind.words
    return ("true", "false") if isinstance(kind, SwitchKind) else ()


def row_details(row: SettingRow, files: tuple[str, ...]) -> list[Spans]:
    """What stands below the list about the selected line."""
    if row.problem is not None:
        return [[(visible(row.problem.message), "")], [(visible(row.problem.hint), "dim")], _open_line()]
    if row.setting is None:
        return []
    setting = row.setting
    where = "no file sets it" if setting.source == DEFAULT else f"set in {home_path(setting.source)}"
    return [
        [(visible(setting.text), "")],
        [(f"{kind_text(setting.key)} · default {value_text(setting.default)} · {where}", "dim")],
        [(f"rondo settings set {visible(setting.key)} {_quoted(value_text(setting.value))}", "code")],
    ]


def _open_line() -> Spans:
    return [("E", "key"), (" opens the file at this line; everything in it stays as it is", "dim")]


def _quoted(text: str) -> str:
    import shlex

    return shlex.quote(visible(text))
