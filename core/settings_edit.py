"""Changing a settings file: one value at a time, with every comment, order and blank line left as it is.

The text of the file is changed by tomlkit, compared with what it said before, and put in place in one move. So a file
that can't be written as it should stays as it was.
"""

from __future__ import annotations

import difflib
import os
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from core.errors import EnvironmentProblem, RondoError, UsageError
from core.places import Workspace, config_folder, settings_files
from core.settings import SECTIONS, TABLES, Settings
from core.settings_fields import ChoiceKind, NumberKind, SwitchKind, Value, meant, refusal

YES = frozenset({"true", "yes", "on"})
NO = frozenset({"false", "no", "off"})


class SettingsNotEdited(RondoError):
    """A settings file can't be changed without harm to what stands in it; nothing changed."""


class SettingsChanged(RondoError):
    """The file is not what the edit left, so it can't be taken back; nothing changed."""


@dataclass(frozen=True, slots=True)
class KnownSetting:
    """A key with its place in the file, and the field that says what it may be."""

    key: str
    path: tuple[str, ...]
    entry: Any
    """Its field: `default`, and `metadata` with text and kind."""


@dataclass(frozen=True, slots=True)
class SettingEdit:
    """One change of a settings file; `before` and `after` are the file's whole texts, None where it was not there."""

    file: str
    key: str
    before: str | None
    after: str | None


def known_keys() -> list[str]:
    """Every key that stands in a section of its own; those in tables with names are not among them."""
    return [f"{section}.{entry.name}" for section, kind in SECTIONS.items() for entry in fields(kind)]


def find_setting(key: str) -> KnownSetting:
    """The setting of a key such as `limits.max_runs` or `workflows.report.max_runs`; raises UsageError."""
    section, _, name = key.partition(".")
    for table in sorted(TABLES, key=len, reverse=True):
        if not key.startswith(table + "."):
            continue
        named, _, setting = key.removeprefix(table + ".").rpartition(".")
        found = {entry.name: entry for entry in TABLES[table].entries}.get(setting)
        if found is not None and named and _may_be_called(table, named):
            return KnownSetting(key, (*table.split("."), named, setting), found)
    entries = {entry.name: entry for entry in fields(SECTIONS[section])} if section in SECTIONS else {}
    if name in entries:
        return KnownSetting(key, (section, name), entries[name])
    raise _unknown(key)


def _may_be_called(table: str, name: str) -> bool:
    import re

    known = TABLES[table]
    return name in known.names if known.names else re.fullmatch(known.form, name) is not None


def _unknown(key: str) -> UsageError:
    close = difflib.get_close_matches(key, known_keys(), n=1, cutoff=0.5)
    tables = ", ".join(f"{table}.NAME" for table in TABLES)
    return UsageError(
        f"There is no setting {key}.",
        cause=f"Did you mean {close[0]}?" if close else f"Settings stand in {', '.join(SECTIONS)}, {tables}.",
        next_step="See all of them: rondo settings",
    )


def parse_value(setting: KnownSetting, text: str) -> Value:
    """What a text means as the value of a setting; raises UsageError where it can't be one."""
    kind = setting.entry.metadata["kind"]
    value: Any = text
    if isinstance(kind, SwitchKind) and text.lower() in YES | NO:
        value = text.lower() in YES
    elif isinstance(kind, NumberKind):
        value = _number(text, kind.whole)
    elif isinstance(kind, ChoiceKind) and text == "-" and "" in kind.words:
        value = ""
    wrong = refusal(value, setting.entry)
    if wrong:
        hint = meant(value, setting.entry)
        raise UsageError(
            f"{setting.key} {wrong}.",
            cause=str(setting.entry.metadata["text"]),
            next_step=f"{hint}Nothing was changed." if hint else "Give another value; nothing was changed.",
        )
    parsed: Value = value
    return parsed


def _number(text: str, whole: bool) -> int | float | str:
    """The number that a text is, or the text where it is none."""
    plain = text.strip().replace("_", "")
    try:
        return int(plain)
    except ValueError:
        pass
    try:
        return text if whole else float(plain)
    except ValueError:
        return text


def file_of(workspace: Workspace, *, here: bool) -> Path:
    """The file that is written: the workspace's with `here`, else the user's own."""
    return settings_files(workspace)[1 if here else 0]


def set_value(path: Path, setting: KnownSetting, value: Value) -> SettingEdit:
    """Write one value into a file; raises SettingsNotEdited and EnvironmentProblem, and leaves the file then."""

    def change(document: Any) -> None:
        import tomlkit

        place = document
        for depth, name in enumerate(setting.path[:-1]):
            if name not in place:
                # Only the innermost table gets a line of its own: [llm.roles.chat], not [llm] and [llm.roles] before.
                outer = depth < len(setting.path) - 2
                place[name] = tomlkit.table(is_super_table=outer)
            place = place[name]
            if not isinstance(place, Mapping):
                raise _no_table(path, ".".join(setting.path[: depth + 1]))
        place[setting.path[-1]] = value

    return _edit(path, setting, change, value)


def unset_value(path: Path, setting: KnownSetting) -> SettingEdit | None:
    """Take one value out of a file, so that what is below it holds again; None where the file does not set it."""
    before = _read(path)
    place: Any = _parsed(path, before or "")
    for name in setting.path:
        if not isinstance(place, Mapping) or name not in place:
            return None
        place = place[name]

    def change(document: Any) -> None:
        place = document
        for name in setting.path[:-1]:
            place = place[name]
        del place[setting.path[-1]]

    return _edit(path, setting, change, None)


def put_back(edit: SettingEdit) -> None:
    """Take an edit back; raises SettingsChanged where somebody wrote the file since."""
    path = Path(edit.file)
    if _read(path) != edit.after:
        raise SettingsChanged(
            f"The change of {edit.key} can't be taken back: {edit.file} was changed since.",
            cause="The file is not what that change left.",
            next_step=f"Change the value itself: rondo settings set {edit.key} VALUE, or edit the file.",
        )
    _write(path, edit.before)


def reverse(edit: SettingEdit) -> SettingEdit:
    """The edit that takes an edit back."""
    return SettingEdit(edit.file, edit.key, edit.after, edit.before)


def overruled_by(settings: Settings, path: Path, key: str) -> str:
    """The file whose value goes over the one that was written to `path`, or ""."""
    source = settings.sources.get(key, str(path))
    return "" if source == str(path) else source


# The file ----------------------------------------------------------------------------------------------------------


def _edit(path: Path, setting: KnownSetting, change: Any, value: Value | None) -> SettingEdit:
    """Change the text and make sure that nothing but the one value is another now."""
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    before = _read(path)
    old = _parsed(path, before or "")
    try:
        document = tomlkit.parse(before or "")
        change(document)
        after = tomlkit.dumps(document)
        new = tomllib.loads(after)
    except (TOMLKitError, tomllib.TOMLDecodeError, KeyError, TypeError, AttributeError) as error:
        raise _not_edited(path, setting, str(error)) from error
    if _without(new, setting.path) != _without(old, setting.path) or _at(new, setting.path) != value:
        raise _not_edited(path, setting, "The file would say something else in another place too")
    if _read(path) != before:
        raise _not_edited(path, setting, "Somebody else wrote it at the same moment")
    _write(path, after)
    return SettingEdit(str(path), setting.key, before, after)


def _read(path: Path) -> str | None:
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise EnvironmentProblem(
            f"{path} can't be read.", cause=str(reason), next_step="Mend or remove the file; nothing was changed."
        ) from error


def _parsed(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsNotEdited(
            f"{path} is not TOML, so no setting is written to it.",
            cause=str(error),
            next_step="Mend that line in an editor; `rondo settings` shows it too.",
        ) from error


def _write(path: Path, text: str | None) -> None:
    """Put the file in place in one move, with the rights it had; a link stays a link. None removes it."""
    target = Path(os.path.realpath(path))
    try:
        if text is None:
            target.unlink(missing_ok=True)
            return
        if path.parent == config_folder():
            # Only that one is Rondo's to make.
            target.parent.mkdir(parents=True, exist_ok=True)
        mode = target.stat().st_mode & 0o777 if target.exists() else 0o644
        handle, fresh = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
            os.chmod(fresh, mode)
            os.replace(fresh, target)
        except BaseException:
            Path(fresh).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise EnvironmentProblem(
            f"{path} can't be written.",
            cause=error.strerror or str(error),
            next_step=f"Give yourself the right to write in {target.parent}; nothing was changed.",
        ) from error


def _at(document: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        document = document.get(name) if isinstance(document, Mapping) else None
    return document


def _without(document: Any, path: tuple[str, ...]) -> Any:
    """The document without what stands at a path, and without tables that are empty then."""
    if not isinstance(document, Mapping):
        return document
    made = {}
    for name, value in document.items():
        if path and name == path[0]:
            if len(path) == 1:
                continue
            value = _without(value, path[1:])
            if value == {}:
                continue
        made[name] = value
    return made


def _no_table(path: Path, key: str) -> SettingsNotEdited:
    return SettingsNotEdited(
        f"{key} is a value in {path}, and must be a table to hold settings.",
        cause="The setting would have to stand below it.",
        next_step=f"Remove {key} from the file, or write [{key}] there.",
    )


def _not_edited(path: Path, setting: KnownSetting, cause: str) -> SettingsNotEdited:
    return SettingsNotEdited(
        f"{setting.key} was not written to {path}: nothing was changed.",
        cause=cause,
        next_step="Change it in an editor; `rondo settings` says whether it is read as you mean it.",
    )
