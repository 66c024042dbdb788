"""Where one can be: a screen and what it shows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """A screen by its view, and the workflow, run or proposal on it, or the two versions that it compares."""

    view: str
    workflow: str = ""
    run_id: str = ""
    proposal: str = ""
    versions: str = ""
    """Two hashes, or `now` for the folder as it is, apart by two dots: the older one first."""
