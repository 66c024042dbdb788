"""Moments and stretches of time, as node code gives them."""

from __future__ import annotations

import math
from datetime import datetime

LATEST = 253_402_300_799.0
"""The last second of the year 9999, in seconds since 1970."""


def checked_seconds(seconds: float) -> float:
    """A stretch of time in seconds; raises ValueError where it is negative or endless, TypeError for other things."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(f"seconds must be a number, not {type(seconds).__name__}")
    if not 0 <= seconds <= LATEST:
        raise ValueError(f"a wait takes 0 seconds or more, and ends before the year 10000; got {seconds!r}")
    return float(seconds)


def seconds_of(moment: datetime | str) -> float:
    """A moment in seconds since 1970; without a time zone it is local time.

    Raises ValueError for a text that is not ISO 8601, TypeError for other things.
    """
    if isinstance(moment, str):
        try:
            moment = datetime.fromisoformat(moment)
        except ValueError as error:
            raise ValueError(f"a moment is written as 2026-12-24T18:00:00+01:00; got {moment!r}") from error
    if not isinstance(moment, datetime):
        raise TypeError(f"a moment is a datetime or a text in ISO 8601, not {type(moment).__name__}")
    try:
        seconds = moment.timestamp()
    except (OverflowError, OSError) as error:
        raise ValueError(f"the moment {moment} is out of range") from error
    return min(max(seconds, 0.0), LATEST) if math.isfinite(seconds) else LATEST
