"""Where one can be: a screen and what it shows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """A screen by its view, and the workflow, run or proposal on it."""

    view: str
    workflow: str = ""
    run_id: str = ""
    proposal: str = ""
