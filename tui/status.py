"""The sign, the word and the colour of every status: the same on each screen."""

from __future__ import annotations

from dataclasses import dataclass

from tui.text import time_ahead


@dataclass(frozen=True, slots=True)
class Look:
    """How a status is shown; `ink` names one of the colours of `tui.spans`."""

    sign: str
    word: str
    ink: str

    @property
    def text(self) -> str:
        """Sign and word."""
        return f"{self.sign} {self.word}"


LOOKS: dict[str, Look] = {
    "running": Look("●", "running", "running"),
    "waiting_input": Look("◐", "waiting", "waiting"),
    "waiting_timer": Look("◷", "timer", "waiting"),
    "paused": Look("‖", "paused", "waiting"),
    "completed": Look("✓", "completed", "good"),
    "failed": Look("✗", "failed", "bad"),
    "cancelled": Look("⊘", "cancelled", "dim"),
    "queued": Look("○", "queued", "dim"),
    "blocked": Look("!", "blocked", "bad"),
}
UNKNOWN = Look("?", "unknown", "dim")


def waiting_text(due_at: float | None, queue_position: int, now: float) -> str:
    """What is known of the end of a wait: when its time is due, the place in the queue for a process."""
    if due_at is not None:
        return time_ahead(due_at, now)
    return f"place {queue_position} in the queue" if queue_position else ""


def look_of(status: str) -> Look:
    """How a status word of the engine is shown."""
    return LOOKS.get(status, UNKNOWN)
