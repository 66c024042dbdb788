"""Identifiers that are unique and sort by the time at which they were made."""

from __future__ import annotations

import os
import threading
import time
import uuid

_lock = threading.Lock()
_last = 0
"""Milliseconds and a 12-bit counter of the last identifier, in one number."""


def uuid7() -> uuid.UUID:
    """A UUID of version 7; those of one process come out in order, also within a millisecond."""
    global _last
    with _lock:
        _last = max(_last + 1, time.time_ns() // 1_000_000 << 12)
        moment = _last
    milliseconds, counter = moment >> 12, moment & 0xFFF
    random = int.from_bytes(os.urandom(8)) & (1 << 62) - 1
    return uuid.UUID(int=milliseconds << 80 | 0x7 << 76 | counter << 64 | 0b10 << 62 | random)


def new_run_id() -> str:
    """The id of a new run."""
    return str(uuid7())
