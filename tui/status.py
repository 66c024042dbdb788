"""The sign, the word and the colour of every status: the same on each screen."""

from __future__ import annotations

from dataclasses import dataclass


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


def look_of(status: str) -> Look:
    """How a status word of the engine is shown."""
    return LOOKS.get(status, UNKNOWN)
