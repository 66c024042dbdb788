"""How statuses and times of runs are shown: the same signs, words and rule on each screen and in each table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Look:
    """How a status is shown; `ink` is running, waiting, good, bad or dim: the screens and the tables colour it."""

    sign: str
    word: str
    ink: str

    @property
    def text(self) -> str:
        """Sign and word."""
        return f"{self.sign} {self.word}"


LOOKS: dict[str, Look] = {
    "queued": Look("○", "queued", "dim"),
    "running": Look("●", "running", "running"),
    "waiting_input": Look("◐", "waiting", "waiting"),
    "waiting_timer": Look("◷", "timer", "waiting"),
    "waiting_run": Look("↳", "subflow", "running"),
    "paused": Look("‖", "paused", "waiting"),
    "completed": Look("✓", "completed", "good"),
    "failed": Look("✗", "failed", "bad"),
    "cancelled": Look("⊘", "cancelled", "dim"),
    "blocked": Look("!", "blocked", "bad"),
}
"""The statuses of runs; steps and nodes have these and one more."""
SKIPPED = Look("↷", "skipped", "dim")


def look_of(status: str) -> Look:
    """How a status word of the engine is shown."""
    if status == "skipped":
        return SKIPPED
    return LOOKS.get(status) or Look("?", status or "unknown", "dim")


def status_of_word(word: str) -> str | None:
    """The engine's status for one of its own words or for a shown one (`waiting`); None where it is neither."""
    if word in LOOKS:
        return word
    return next((status for status, look in LOOKS.items() if look.word == word), None)


def run_seconds(started_at: float | None, ended_at: float | None, now: float | None = None) -> float | None:
    """How long a run took since it started, or takes so far where `now` is given; None where there is no such time.

    The time in the queue before it doesn't count.
    """
    end = now if ended_at is None else ended_at
    return None if started_at is None or end is None else max(0.0, end - started_at)


NO_ACCOUNT = Look("○", "no account", "dim")
ACCOUNT_LOOKS: dict[str, Look] = {
    "ACTIVE": Look("●", "connected", "good"),
    "INITIATED": Look("◐", "begun", "waiting"),
    "INITIALIZING": Look("◐", "begun", "waiting"),
    "EXPIRED": Look("✗", "expired", "bad"),
    "FAILED": Look("✗", "failed", "bad"),
    "INACTIVE": Look("✗", "inactive", "bad"),
    "REVOKED": Look("✗", "taken back", "bad"),
}
"""The states of accounts."""
SERVER_LOOKS: dict[str, Look] = {"ACTIVE": Look("●", "trusted", "good"), "EXPIRED": Look("!", "changed", "waiting")}
"""An MCP server has no account: it is trusted or not."""


def account_look(provider: str, state: str | None, *, needed: bool = True) -> Look:
    """How an account is shown; `state` is None where there is none, `needed` False where none is needed."""
    if state is None and not needed:
        return Look("·", "not needed", "dim")
    if provider == "mcp":
        return Look("!", "not trusted", "waiting") if state is None else SERVER_LOOKS.get(state, NO_ACCOUNT)
    if state is None:
        return NO_ACCOUNT
    return ACCOUNT_LOOKS.get(state) or Look("?", state.lower(), "dim")
