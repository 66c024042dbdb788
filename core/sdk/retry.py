"""How long to wait between two tries."""

from __future__ import annotations

LONGEST_WAIT = 30 * 86_400.0
"""Seconds; what grows beyond all bounds ends here."""


def pause_after(
    tries: int,
    *,
    wait: float,
    backoff: float = 1.0,
    jitter: float = 0.0,
    max_wait: float | None = None,
    draw: float = 0.5,
) -> float:
    """Seconds to wait after `tries` failed tries: `wait`, times `backoff` for each after the first, at most `max_wait`.

    `jitter` is the part of it, 0 to 1, by which it becomes shorter or longer; `draw`, in [0, 1), says where between.
    """
    longest = LONGEST_WAIT if max_wait is None else min(max_wait, LONGEST_WAIT)
    try:
        seconds = wait * float(backoff) ** max(tries - 1, 0)
    except OverflowError:
        seconds = longest if wait else 0.0
    seconds = min(seconds, longest)
    return min(seconds * (1 + jitter * (2 * draw - 1)), longest)
