"""What changed between two versions, as text that is safe to show in a terminal and hides nothing."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from core.definition.text import visible

_CONTEXT = 3
_MATCH_LIMIT = 2_000
"""More changed lines than this are shown as removed and added whole: matching takes time that grows with the square."""


class FileDifference(NamedTuple):
    """One file of a version against another: `status` is added, removed or changed; `diff` is unified text."""

    path: str
    status: str
    diff: str


def diff_files(old: Mapping[str, bytes] | None, new: Mapping[str, bytes]) -> list[FileDifference]:
    """Every file that differs, by path; without `old` every file is added.

    The diff is complete however large it is, and every control or invisible character in it is written as `<U+001B>`.
    """
    before = old or {}
    return [
        FileDifference(visible(path), _status(path, before, new), _diff(path, before.get(path), new.get(path)))
        for path in sorted(before.keys() | new.keys())
        if before.get(path) != new.get(path)
    ]


def _status(path: str, before: Mapping[str, bytes], after: Mapping[str, bytes]) -> str:
    if path not in before:
        return "added"
    return "changed" if path in after else "removed"


def _diff(path: str, before: bytes | None, after: bytes | None) -> str:
    name = visible(path)
    heads = [
        f"--- {'a/' + name if before is not None else '/dev/null'}",
        f"+++ {'b/' + name if after is not None else '/dev/null'}",
    ]
    old_lines, new_lines = _lines(before), _lines(after)
    if old_lines is None or new_lines is None:
        sides = [
            f"{sign} {_described(content)}" for sign, content in (("-", before), ("+", after)) if content is not None
        ]
        return "\n".join([*heads, *sides]) + "\n"
    return "\n".join([*heads, *_hunks(old_lines, new_lines)]) + "\n"


def _lines(content: bytes | None) -> list[str] | None:
    """The lines of a text as they are, so that nothing is compared by its looks; None where the content is not text."""
    if content is None or content == b"":
        return []
    if b"\0" in content:
        return None
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    else:
        lines[-1] += "\n\\ No newline at end of file"  # kept in the line, so that it is a difference like any other
    return lines


def _described(content: bytes) -> str:
    return f"binary, {len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()}"


def _hunks(old: Sequence[str], new: Sequence[str]) -> list[str]:
    """The unified diff of two texts without its head."""
    same_start = _common(old, new)
    same_end = min(_common(old[::-1], new[::-1]), min(len(old), len(new)) - same_start)
    changed = len(old) + len(new) - 2 * (same_start + same_end)
    if changed <= _MATCH_LIMIT:
        # What is the same at both ends is cut off first, but for the lines shown around a change.
        start, end = max(0, same_start - _CONTEXT), max(0, same_end - _CONTEXT)
        matcher = difflib.SequenceMatcher(
            None, old[start : len(old) - end], new[start : len(new) - end], autojunk=False
        )
        groups = [
            [(tag, i1 + start, i2 + start, j1 + start, j2 + start) for tag, i1, i2, j1, j2 in group]
            for group in matcher.get_grouped_opcodes(_CONTEXT)
        ]
    else:
        groups = [[("replace", same_start, len(old) - same_end, same_start, len(new) - same_end)]]
    lines: list[str] = []
    for group in groups:
        first, last = group[0], group[-1]
        lines.append(f"@@ -{_range(first[1], last[2])} +{_range(first[3], last[4])} @@")
        for tag, i1, i2, j1, j2 in group:
            if tag == "equal":
                lines += [f" {line}" for line in old[i1:i2]]
                continue
            lines += [f"-{line}" for line in old[i1:i2]]
            lines += [f"+{line}" for line in new[j1:j2]]
    return [visible(line, keep="\t\n") for line in lines]


def _common(old: Sequence[str], new: Sequence[str]) -> int:
    """How many lines two texts share at their start."""
    for count, (left, right) in enumerate(zip(old, new, strict=False)):
        if left != right:
            return count
    return min(len(old), len(new))


def _range(start: int, stop: int) -> str:
    """Lines as a unified diff counts them: from 1, the length left out where it is 1."""
    length = stop - start
    if length == 1:
        return str(start + 1)
    return f"{start + 1 if length else start},{length}"
