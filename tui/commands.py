"""What stands on the `:` line: which action it means, and what it could become."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from textual.fuzzy import FuzzySearch

from tui.actions import Action
from tui.text import visible

SHOWN_AT_MOST = 12
HISTORY_LENGTH = 200

Words = Mapping[str, Sequence[str]]
"""What can be completed, by kind of argument: `{"workflow": ("hello", ...)}`."""


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole command that the line could become."""

    text: str
    action: Action
    argument: str = ""


def parse(text: str, actions: Sequence[Action]) -> tuple[Action, str] | None:
    """The action whose words or id begin the text, and what follows them; None if there is none, or if something
    follows that the action doesn't take. The longest words win."""
    line = " ".join(text.split())
    best: tuple[int, Action, str] | None = None
    for found in actions:
        for words in (found.command, found.id):
            if line != words and not line.startswith(words + " "):
                continue
            argument = line[len(words) :].strip()
            if argument and not found.argument:
                continue
            if best is None or len(words) > best[0]:
                best = (len(words), found, argument)
    return None if best is None else (best[1], best[2])


def meant(typed: tuple[Action, str], words: Words) -> tuple[Action, str]:
    """The same with the argument written out, where it begins just one of the words."""
    found, argument = typed
    known = words.get(found.argument, ())
    begun = [word for word in known if word.startswith(argument)]
    return (found, begun[0]) if argument and argument not in known and len(begun) == 1 else typed


def complete(text: str, actions: Sequence[Action], words: Words, history: Sequence[str] = ()) -> list[Completion]:
    """What the text could become, best first: arguments where the command is complete, else commands."""
    if not text.strip():
        recent = [made for line in reversed(history) if (made := _completion(line, actions)) is not None]
        unique = {made.text: made for made in recent}
        rest = [Completion(found.command, found) for found in actions if found.command not in unique]
        return [*list(unique.values())[: SHOWN_AT_MOST // 3], *rest]
    search = FuzzySearch()
    parsed = parse(text, actions)
    if parsed is not None and parsed[0].argument and (parsed[1] or text.endswith(" ")):
        found, begun = parsed
        scored = [(search.match(begun, word)[0] if begun else 1.0, word) for word in words.get(found.argument, ())]
        kept = sorted((pair for pair in scored if pair[0] > 0), key=lambda pair: -pair[0])
        return [Completion(f"{found.command} {word}", found, word) for _, word in kept]
    query = text.strip()
    ranked = []
    for found in actions:
        # Of commands that begin so the shortest is the one that was begun: `ru` is run, not runs.
        begins = 1000 - len(found.command) if found.command.startswith(query) else 0
        score = max(search.match(query, found.command)[0] * 1.5, search.match(query, f"{found.title} {found.id}")[0])
        if score > 0:
            ranked.append((begins, score, found))
    ranked.sort(key=lambda entry: (-entry[0], -entry[1]))
    return [Completion(found.command, found) for _, _, found in ranked]


def not_a_command(text: str, actions: Sequence[Action]) -> str:
    """Why nothing can be done with a line, and what may have been meant; "" for a command."""
    if not text.strip() or parse(text, actions) is not None:
        return ""
    first = text.split()[0]
    whole = [found.command for found in actions if text.split()[: len(found.command.split())] == found.command.split()]
    if whole:
        return f"{max(whole, key=len)} takes nothing after it."
    near = get_close_matches(first, sorted({found.command.split()[0] for found in actions}), n=1, cutoff=0.5)
    meant_perhaps = f" Did you mean {near[0]}?" if near else ""
    return f"There is no command {visible(first)}.{meant_perhaps} An empty line shows all of them."


def _completion(line: str, actions: Sequence[Action]) -> Completion | None:
    parsed = parse(line, actions)
    return None if parsed is None else Completion(line, *parsed)


class History:
    """The commands of this and earlier sessions, oldest first, in one small file of JSON lines."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.lines: list[str] = []

    def load(self) -> None:
        """Read the file; one that can't be read is as good as none, since history is only a comfort."""
        try:
            text = self._path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return
        for entry in text.splitlines()[-HISTORY_LENGTH:]:
            try:
                line = json.loads(entry)
            except ValueError:
                continue
            if isinstance(line, str):
                self.lines.append(line)

    def add(self, line: str) -> None:
        """Remember a command as the latest one."""
        if line in self.lines:
            self.lines.remove(line)
        self.lines = [*self.lines, line][-HISTORY_LENGTH:]

    def save(self) -> None:
        """Write the file; blocking, and quiet where the folder can't be written."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.write_text("".join(json.dumps(line) + "\n" for line in self.lines), encoding="utf-8")
        except OSError:
            return
