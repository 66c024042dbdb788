"""Taking an applied change back, doing it again, and carrying a proposal over to a workflow that changed meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from core.assistant.draft import Draft


@dataclass(frozen=True, slots=True)
class TakenBack:
    """What the folder's files are to be; `written` and `removed` are paths against what is there now."""

    files: dict[str, bytes]
    written: tuple[str, ...]
    removed: tuple[str, ...]
    kept_later_changes: bool


def undo(name: str, before: Mapping[str, bytes], after: Mapping[str, bytes], present: Mapping[str, bytes]) -> TakenBack:
    """Take back an edit that made `after` of `before`, in files that are now `present`. `redo` is this, swapped.

    Exact where nothing changed since. What later changes did not touch is taken back and they stay; raises UndoConflict
    with both sides in `details`: `[{"unit", "edit", "later"}, ...]`.
    """
    raise NotImplementedError


def rebase_draft(draft: Draft, present: Mapping[str, bytes]) -> Draft:
    """The draft as a change of what is there now; raises ProposalStale where both changed the same part."""
    raise NotImplementedError
