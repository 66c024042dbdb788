"""The keymap file: `keys.toml` in the user's settings folder, which gives actions other keys.

    run.start = "r"                # one key
    run.cancel = ["x", "delete"]   # several
    list.open = []                 # none: it stays in the palette and on the `:` line

Keys are written as the screens show them: a letter, `?`, `ctrl+x`, `f5`, `esc`, `space`, `gg` for a key pressed twice.
What can't hold (an unknown action or key, a clash with another action) is left out and named with its line; the
action keeps the keys it has by itself then, and every other line holds. Reading needs no screen; `settle` needs all.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.places import config_folder
from tui.actions import EVERYWHERE, KEY_SIGNS, MOVING, Action, Registry, key_sign

FILE_LIMIT = 256 * 1024
NAMED = {sign: name for name, sign in KEY_SIGNS.items()} | {
    **{name: name for name in ("up", "down", "left", "right", "home", "end", "tab", "enter", "escape", "insert")},
    **{name: name for name in ("delete", "backspace", "space", "pageup", "pagedown")},
    "return": "enter",
    "del": "delete",
}
REPLACED = {"solidus": "slash", "reverse_solidus": "backslash", "commercial_at": "at", "hyphen_minus": "minus"}
REPLACED |= {"plus_sign": "plus", "low_line": "underscore"}


@dataclass(frozen=True, slots=True)
class KeymapProblem:
    """What is wrong in the keymap file; `line` is 0 where the whole file is meant."""

    line: int
    action: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Keymap:
    """What the file says: keys by action, the line of each, and what could not be read."""

    file: str = ""
    keys: Mapping[str, tuple[str, ...]] | None = None
    lines: Mapping[str, int] | None = None
    problems: tuple[KeymapProblem, ...] = ()

    @property
    def wanted(self) -> Mapping[str, tuple[str, ...]]:
        """Keys by action."""
        return self.keys or {}

    def line_of(self, action: str) -> int:
        """Where an action stands in the file."""
        return (self.lines or {}).get(action, 0)

    def place(self, problem: KeymapProblem) -> str:
        """The file and the line of a problem."""
        return f"{self.file}:{problem.line}" if problem.line else self.file


def keymap_file() -> Path:
    """Where the keymap is."""
    return config_folder() / "keys.toml"


def key_name(text: str) -> str:
    """Textual's name of a key as people write it, `"g g"` for a doubled one; "" where there is no such key."""
    plain = text.strip() or text
    parts = plain.split(" ") if " " in plain.strip() else [plain]
    if len(parts) == 2 and parts[0] == parts[1]:
        single = key_name(parts[0])
        return f"{single} {single}" if single else ""
    if len(plain) == 2 and plain[0] == plain[1] and plain[0].isprintable():
        single = key_name(plain[0])
        return f"{single} {single}" if single else ""
    if plain in NAMED or plain.lower() in NAMED:
        return NAMED.get(plain, NAMED.get(plain.lower(), ""))
    if len(plain) == 1:
        return _character(plain)
    if re.fullmatch(r"f([1-9]|1[0-9]|2[0-4])", plain):
        return plain
    modifier, plus, rest = plain.lower().rpartition("+")
    if plus and rest and all(part in ("ctrl", "shift", "alt") for part in modifier.split("+")):
        inner = NAMED.get(rest) or (_character(rest) if len(rest) == 1 else rest if re.fullmatch(r"f\d+", rest) else "")
        return f"{modifier}+{inner}" if inner else ""
    return plain if plain in KEY_SIGNS else ""


def _character(text: str) -> str:
    if text.isalnum():
        return text
    try:
        name = unicodedata.name(text).lower().replace("-", "_").replace(" ", "_")
    except ValueError:
        return ""
    return REPLACED.get(name, name)


def read_keymap(path: Path) -> Keymap:
    """Read the file; one that is not there says nothing. Blocking; never raises."""
    try:
        with path.open("rb") as file:
            text = file.read(FILE_LIMIT + 1).decode()
    except FileNotFoundError:
        return Keymap(str(path))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        return _broken(path, 0, f"the keymap can't be read: {reason}")
    import tomllib

    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        found = re.search(r"at line (\d+)", str(error))
        return _broken(path, int(found[1]) if found else 0, f"the keymap is not TOML: {error}")
    keys: dict[str, tuple[str, ...]] = {}
    lines: dict[str, int] = {}
    problems: list[KeymapProblem] = []
    rows = text.splitlines()
    for action, value in _flat(document, ""):
        line = _line_of(rows, action)
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            hint = f'Write {action} = "key", or a list of keys, or [] for none.'
            problems.append(KeymapProblem(line, action, f"{action} must be a key or a list of keys", hint))
            continue
        read = [(name, key_name(name)) for name in names]
        unknown = [name for name, key in read if not key]
        if unknown:
            hint = "Write a letter, a sign, esc, space, f5, ctrl+x, or a key twice (gg). The line has no effect."
            problems.append(KeymapProblem(line, action, f"there is no key {unknown[0]!r} ({action})", hint))
            continue
        keys[action] = tuple(key for _, key in read)
        lines[action] = line
    return Keymap(str(path), keys, lines, tuple(problems))


def _broken(path: Path, line: int, message: str) -> Keymap:
    return Keymap(str(path), problems=(KeymapProblem(line, "", message, "Mend it; until then no line of it holds."),))


def _flat(document: Mapping[str, Any], above: str) -> Iterable[tuple[str, Any]]:
    for name, value in document.items():
        key = f"{above}.{name}" if above else name
        if isinstance(value, dict):
            yield from _flat(value, key)
        else:
            yield key, value


def _line_of(rows: list[str], action: str) -> int:
    """Where an action stands, as far as the text shows it; 0 where it doesn't."""
    table = ""
    for number, row in enumerate(rows, start=1):
        if found := re.match(r"\s*\[\s*([^\[\]]+?)\s*\]", row):
            table = found[1].replace('"', "") + "."
            continue
        name, separator, _ = row.partition("=")
        if separator and table + re.sub(r"[\s\"']", "", name) == action:
            return number
    return 0


# Does it hold? -----------------------------------------------------------------------------------------------------


def settle(keymap: Keymap, registry: Registry, views: Mapping[str, str]) -> list[KeymapProblem]:
    """Take out of the registry what can't hold, and say why; `views` says of each view if it is a screen, a sheet or a
    part of a screen. All screens must be imported, or their actions would be unknown."""
    problems = list(keymap.problems)
    actions = {found.id: found for found in registry}
    wanted = dict(keymap.wanted)
    for action in [action for action in wanted if action not in actions]:
        close = difflib.get_close_matches(action, actions, n=1)
        hint = f"Did you mean {close[0]}?" if close else "rondo keys lists every action."
        problems.append(KeymapProblem(keymap.line_of(action), action, f"there is no action {action}", hint))
        del wanted[action]
    while (clash := _first_clash(wanted, actions, views)) is not None:
        action, key, other = clash
        message = f"{key_sign(key)} is the key of {other.id} ({other.title}) too"
        hint = f"{action} keeps {_signs(actions[action].own_keys)}. Give {other.id} another key as well, or []."
        problems.append(KeymapProblem(keymap.line_of(action), action, message, hint))
        del wanted[action]
    registry.set_keys(wanted)
    return sorted(problems, key=lambda problem: problem.line)


def _signs(keys: tuple[str, ...]) -> str:
    return " ".join(key_sign(key) for key in keys) or "no key"


def _first_clash(
    wanted: Mapping[str, tuple[str, ...]], actions: Mapping[str, Action], views: Mapping[str, str]
) -> tuple[str, str, Action] | None:
    """The last action of the file whose key another one has where both can be meant, with that key and the other."""
    for action in reversed(wanted):
        mine = actions[action]
        for other in actions.values():
            theirs = wanted.get(other.id, other.own_keys)
            if other.id == action or not _meet(mine.view, other.view, views):
                continue
            for key in wanted[action]:
                if key in theirs and key not in mine.own_keys:
                    return action, key, other
                if key in theirs and other.id in wanted and key not in other.own_keys:
                    return other.id, key, mine
    return None


def _meet(one: str, other: str, views: Mapping[str, str]) -> bool:
    """True where actions of two views can be meant at one time."""
    if one == other:
        return True
    pair = {one, other}
    if MOVING in pair:
        return True
    return EVERYWHERE in pair and "screen" in {views.get(view, "") for view in pair - {EVERYWHERE}}
