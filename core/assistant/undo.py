"""Taking an applied change back, doing it again, and carrying a proposal over to a workflow that changed meanwhile.

All three are one merge: what an edit changed is changed in files that may have changed otherwise since, unit by unit
(see `core.assistant.units`). Where both touched a unit, or the result could not run, nothing is done.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.assistant.draft import Batch, Draft
from core.assistant.splice import changed_files
from core.assistant.units import Unit, Values, equal, errors_of, put_together, taken_apart
from core.assistant.wording import code_diff, setting_text
from core.definition.text import shortened
from core.errors import ProposalStale, UndoConflict

_SHOWN = 2_000
"""Characters of one side of a conflict that are shown."""


@dataclass(frozen=True, slots=True)
class TakenBack:
    """What the folder's files are to be; `written` and `removed` are paths against what is there now."""

    files: dict[str, bytes]
    written: tuple[str, ...]
    removed: tuple[str, ...]
    kept_later_changes: bool


@dataclass(frozen=True, slots=True)
class Conflict:
    """A unit that both sides changed, or an error that they make together."""

    unit: str
    edit: str
    later: str

    def to_json(self) -> dict[str, str]:
        """`{unit, edit, later}`."""
        return {"unit": self.unit, "edit": self.edit, "later": self.later}


def undo(name: str, before: Mapping[str, bytes], after: Mapping[str, bytes], present: Mapping[str, bytes]) -> TakenBack:
    """Take back an edit that made `after` of `before`, in files that are now `present`. `redo` is this, swapped.

    Exact where nothing changed since. What later changes did not touch is taken back and they stay; raises UndoConflict
    with both sides in `details`: `[{"unit", "edit", "later"}, ...]`.
    """
    return _taken_back(name, before, after, present, "taken back", backward=True)


def redo(name: str, before: Mapping[str, bytes], after: Mapping[str, bytes], present: Mapping[str, bytes]) -> TakenBack:
    """Do an edit again that was taken back; see `undo`."""
    return _taken_back(name, after, before, present, "done again", backward=False)


def _taken_back(
    name: str,
    before: Mapping[str, bytes],
    after: Mapping[str, bytes],
    present: Mapping[str, bytes],
    done: str,
    *,
    backward: bool,
) -> TakenBack:
    files, conflicts = merged(name, after, present, before, backward=backward)
    if conflicts:
        raise UndoConflict(
            f"{_named(conflicts)} changed since, so this can't be {done} by itself.",
            cause="Later changes touch the same parts; nothing was changed.",
            next_step="Take back the later changes first, or put the parts right by hand.",
            details=[conflict.to_json() for conflict in conflicts],
        )
    return TakenBack(
        files,
        tuple(sorted(path for path in files if present.get(path) != files[path])),
        tuple(sorted(path for path in present if path not in files)),
        dict(present) != dict(after),
    )


def rebase_draft(draft: Draft, present: Mapping[str, bytes]) -> Draft:
    """The draft as a change of what is there now; raises ProposalStale where both changed the same part."""
    if dict(present) == draft.base:
        return draft
    files, conflicts = merged(draft.name, draft.base, present, draft.files)
    if conflicts:
        raise ProposalStale(
            f"The workflow has changed since: {_named(conflicts)}.",
            cause="The proposal and the workflow's files changed the same parts; nothing was applied.",
            next_step="Ask the assistant to make the proposal anew.",
            details=[conflict.to_json() for conflict in conflicts],
        )
    again = Draft.of(draft.name, present)
    again.files, again.rev = files, draft.rev + 1
    splices = changed_files(again.base, files)
    if splices:
        # One batch: the exact inverses of the old ones are those of other files.
        done = {"batches": [batch.to_json() for batch in draft.batches]}
        again.batches = [Batch(again.rev, "rebase", done, "The workflow changed meanwhile.", splices)]
    return again


def merged(
    name: str,
    base: Mapping[str, bytes],
    mine: Mapping[str, bytes],
    theirs: Mapping[str, bytes],
    *,
    backward: bool = False,
) -> tuple[dict[str, bytes], list[Conflict]]:
    """`mine` with what lies between `base` and `theirs`, and the conflicts; with any of them the files are `mine`.

    `backward`: the edit made `base` of `theirs`, and is shown so.
    """
    if dict(mine) == dict(base):
        return dict(theirs), []
    old, here, there = taken_apart(name, base, mine, theirs)
    wanted: dict[Unit, Any] = {}
    conflicts: list[Conflict] = []
    for unit in dict.fromkeys([*old, *here, *there]):
        was, is_now, to_be = old.get(unit), here.get(unit), there.get(unit)
        if equal(was, to_be) or equal(is_now, to_be):
            continue
        if not equal(was, is_now):
            edit = (to_be, was) if backward else (was, to_be)
            conflicts.append(Conflict(unit_name(unit), _side(unit, *edit), _side(unit, was, is_now)))
        wanted[unit] = to_be
    if not conflicts:
        files = put_together(name, mine, theirs, wanted)
        conflicts = _new_errors(name, (base, mine, theirs), files, (old, here, there))
        if not conflicts:
            return files, []
    return dict(mine), conflicts


def unit_name(unit: Unit) -> str:
    """A unit in words."""
    kind, *where = unit
    shown = [shortened(text, 60) for text in where]
    words = {
        "node": "node {0}",
        "edges": "edge {0} → {1}",
        "setting": "{0}",
        "def": "{1} in {0}",
        "import": "{1} in {0}",
        "rest": "code between the classes of {0}",
        "file": "file {0}",
    }
    return words[kind].format(*[*shown, *[""] * (2 - len(shown))])


def _new_errors(
    name: str, states: tuple[Mapping[str, bytes], ...], files: Mapping[str, bytes], sides: tuple[Values, ...]
) -> list[Conflict]:
    """What would keep the result from running although each side runs: both sides are then what they changed."""
    known: set[tuple[str, str]] = set().union(*(errors_of(name, state) for state in states))
    new = sorted(errors_of(name, files) - known)
    if not new:
        return []
    old, here, there = sides
    edit = ", ".join(unit_name(unit) for unit in dict.fromkeys([*old, *there]) if not equal(*_both(unit, old, there)))
    later = ", ".join(unit_name(unit) for unit in dict.fromkeys([*old, *here]) if not equal(*_both(unit, old, here)))
    return [Conflict(shortened(message), shortened(edit, _SHOWN), shortened(later, _SHOWN)) for _, message in new]


def _both(unit: Unit, left: Values, right: Values) -> tuple[Any, Any]:
    return left.get(unit), right.get(unit)


def _side(unit: Unit, before: Any, after: Any) -> str:
    """What one side did to a unit, in words or as a diff."""
    kind = unit[0]
    if kind in ("def", "import", "rest", "file"):
        text = code_diff(unit[1], before, after)
    elif kind == "setting":
        text = setting_text(unit[1], before, after)
    else:
        text = f"{_plain(before)} → {_plain(after)}"
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _plain(value: Any) -> str:
    return "nothing" if value is None else shortened(json.dumps(value, ensure_ascii=False), _SHOWN // 2)


def _named(conflicts: list[Conflict]) -> str:
    names = list(dict.fromkeys(conflict.unit for conflict in conflicts))
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
