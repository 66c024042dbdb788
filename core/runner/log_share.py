"""How much of a run's output is kept, shared out so that who prints much silences nobody.

Each attempt may have a quarter of what is left. A fifth of the whole is set aside: from it come the errors and the last
lines of attempts that print more than their share.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.runner.wire import LOG_BYTES, LOG_LINES

TAIL_LINES = 100
"""Last lines that are kept of an attempt which printed more than its share."""
SET_ASIDE = 5
SHARES = 4


class Pool:
    """So many lines and bytes."""

    __slots__ = ("lines", "size")

    def __init__(self, lines: int, size: int) -> None:
        self.lines = lines
        self.size = size

    @property
    def spent(self) -> bool:
        """True where nothing is left."""
        return self.lines <= 0 or self.size <= 0

    def take(self, size: int) -> None:
        """Account for one line."""
        self.lines -= 1
        self.size -= size

    def share(self) -> Pool:
        """What one attempt may have of it: at least a line, where there is one."""
        return Pool(-(-self.lines // SHARES), -(-self.size // SHARES)) if not self.spent else Pool(0, 0)


class Allowance:
    """What a run may still print: `common` for everything, `reserve` for errors and last lines."""

    def __init__(self, common: Pool, reserve: Pool) -> None:
        self.common = common
        self.reserve = reserve

    @classmethod
    def of(cls, limits: Mapping[str, Any]) -> Allowance:
        """The allowance of an init frame's `limits`."""
        lines, size = limits.get("log_lines", LOG_LINES), limits.get("log_bytes", LOG_BYTES)
        set_aside, size_aside = limits.get("log_reserve") or (lines // SET_ASIDE, size // SET_ASIDE)
        return cls(Pool(lines - set_aside, size - size_aside), Pool(set_aside, size_aside))

    @property
    def spent(self) -> bool:
        """True where nothing more is kept of anybody."""
        return self.common.spent and self.reserve.spent

    def take(self, size: int) -> None:
        """Account for one line that somebody else has judged."""
        (self.reserve if self.common.spent else self.common).take(size)


class Share:
    """What one attempt may print."""

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance
        self._common = allowance.common.share()
        self._reserve: Pool | None = None
        self.dropped = 0
        """Lines of the attempt that are not kept."""

    @property
    def spent(self) -> bool:
        """True where only errors and the last lines are kept from here on."""
        return self._common.spent or self._allowance.common.spent

    def take(self, size: int) -> bool:
        """Account for a line if it fits into the share."""
        if self.spent:
            return False
        self._common.take(size)
        self._allowance.common.take(size)
        return True

    def take_reserved(self, size: int) -> bool:
        """Account for an error or a last line, if it fits into what is set aside."""
        if self._reserve is None:
            self._reserve = self._allowance.reserve.share()
        if self._reserve.spent or self._allowance.reserve.spent:
            return False
        self._reserve.take(size)
        self._allowance.reserve.take(size)
        return True


def dropped_text(count: int, following: int) -> str:
    """The line that stands where lines are missing."""
    return f"… {count} lines were not kept: more was printed than one attempt's share; the last {following} follow"


def limits_left(lines: int, size: int, kept_lines: int, kept_size: int) -> dict[str, Any]:
    """The log's part of an init frame's `limits`, for a run of which so much is kept already."""
    left, size_left = max(0, lines - kept_lines), max(0, size - kept_size)
    aside = [min(lines // SET_ASIDE, left), min(size // SET_ASIDE, size_left)]
    return {"log_lines": left, "log_bytes": size_left, "log_reserve": aside}
