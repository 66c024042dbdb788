"""What an edit did to the bytes of a file, and how it is taken back exactly."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from core.errors import ProposalProblem


@dataclass(frozen=True, slots=True)
class Splice:
    """In a file, at an offset in bytes, `removed` became `inserted`.

    `made` says that the file was not there before, `unmade` that it is not there after.
    """

    path: str
    offset: int
    removed: bytes
    inserted: bytes
    made: bool = False
    unmade: bool = False

    def to_json(self) -> dict[str, Any]:
        """The splice as JSON values."""
        form: dict[str, Any] = {"path": self.path, "offset": self.offset}
        form |= {"removed": base64.b64encode(self.removed).decode()}
        form |= {"inserted": base64.b64encode(self.inserted).decode()}
        if self.made or self.unmade:
            form |= {"made": self.made, "unmade": self.unmade}
        return form

    @classmethod
    def from_json(cls, form: Mapping[str, Any]) -> Splice:
        """From the plain form; raises KeyError, TypeError or ValueError where it is none."""
        return cls(
            str(form["path"]),
            int(form["offset"]),
            base64.b64decode(form["removed"], validate=True),
            base64.b64decode(form["inserted"], validate=True),
            bool(form.get("made", False)),
            bool(form.get("unmade", False)),
        )


def changed_files(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> tuple[Splice, ...]:
    """What lies between two states of the files, one splice for each file that differs, by path."""
    return tuple(
        _splice(path, before.get(path), after.get(path))
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    )


def revert(files: Mapping[str, bytes], splices: Iterable[Splice]) -> dict[str, bytes]:
    """The files as they were before the splices; raises ProposalProblem where they are not as the splices left them."""
    result = dict(files)
    for splice in splices:
        content = result.get(splice.path, b"")
        end = splice.offset + len(splice.inserted)
        if content[splice.offset : end] != splice.inserted or (splice.path in result) == splice.unmade:
            raise ProposalProblem(
                f"{splice.path} is not as this edit left it, so it can't be taken back exactly.",
                next_step="Undo what came after it first.",
            )
        if splice.made:
            del result[splice.path]
        else:
            result[splice.path] = content[: splice.offset] + splice.removed + content[end:]
    return result


def _splice(path: str, before: bytes | None, after: bytes | None) -> Splice:
    old, new = before or b"", after or b""
    start = _common(old, new)
    limit = min(len(old), len(new)) - start
    end = min(_common(old[::-1], new[::-1]), limit)
    removed, inserted = old[start : len(old) - end], new[start : len(new) - end]
    return Splice(path, start, removed, inserted, before is None, after is None)


def _common(old: bytes, new: bytes) -> int:
    """How many bytes two contents share at their start."""
    low, high = 0, min(len(old), len(new))
    while low < high:
        middle = (low + high + 1) // 2
        if old[low:middle] == new[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
