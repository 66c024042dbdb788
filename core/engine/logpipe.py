"""The engine's ends of a run process's output pipes: always drained, kept up to the run's limits."""

from __future__ import annotations

import array
import asyncio
import contextlib
import fcntl
import logging
import os
import termios
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from core.runner.capture import cut
from core.runner.log_share import TAIL_LINES, Allowance, Share, dropped_text
from core.runner.wire import RECORD_LIMIT, RECORD_PREFIX, decode_json

LogRecord = tuple[float, int, str, str, int, int, str]
"""At, level number, stream, node, visit, attempt, text."""

READ_BYTES = 256 * 1024
REPORT_SECONDS = 0.25
FLOOD_READS = 4
FLOOD_REST = 9
"""Once the limits are used up, reading rests this many times as long as it took: a flood costs a tenth of a core."""
RAW_LEVEL = 20
REPORT_LEVEL = 40
"""Of the lines in which Python's fault handler says where the code stood."""
REPORT_BEGINS = (b"Fatal Python error:", b"Timeout (")
REPORT_GOES_ON = (
    b"Current thread ",
    b"Thread ",
    b"Stack (most recent",
    b'  File "',
    b"  ...",
    b"  <",
    b"Extension modules:",
)
DIGITS = b"0123456789"
TAIL_BYTES = 8 * 1024


class LogBudget:
    """What one run may still print, and the count of lines beyond it, reported now and then."""

    def __init__(self, report: Callable[[int], None], allowance: Allowance) -> None:
        self._report = report
        self.allowance = allowance
        self._dropped = 0
        self._reporting: asyncio.TimerHandle | None = None

    @property
    def spent(self) -> bool:
        """True once nothing more is kept."""
        return self.allowance.spent

    def take(self, size: int) -> None:
        """Account for one line of `size` characters."""
        self.allowance.take(size)

    def drop(self, count: int) -> None:
        """Count lines that are not kept."""
        self._dropped += count
        if count and self._reporting is None:
            self._reporting = asyncio.get_running_loop().call_later(REPORT_SECONDS, self.report)

    def report(self) -> None:
        """Say how many lines were dropped since the last report."""
        if self._reporting is not None:
            self._reporting.cancel()
            self._reporting = None
        if self._dropped:
            count, self._dropped = self._dropped, 0
            self._report(count)


class OutputPipe:
    """One pipe of a run process on the event loop; a subclass makes lines of its bytes.

    Takes over the descriptor, which must be non-blocking.
    """

    def __init__(self, fd: int, budget: LogBudget, deliver: Callable[[list[LogRecord]], None]) -> None:
        self._fd = fd
        self._budget = budget
        self._deliver = deliver
        self._loop = asyncio.get_running_loop()
        self._resting: asyncio.TimerHandle | None = None
        self._wide = False
        self._waiting = array.array("i", [0])
        self._loop.add_reader(fd, self._on_readable)

    @property
    def closed(self) -> bool:
        """True once every writer is gone, or the pipe was closed here."""
        return self._fd < 0

    def drain(self) -> None:
        """Take what lies in the pipe at this moment, so that it comes before what is handed on next."""
        if self.closed:
            return
        fcntl.ioctl(self._fd, termios.FIONREAD, self._waiting)
        while self._waiting[0] > 0 and (got := self._read()):
            self._waiting[0] -= got

    def drain_to_end(self) -> bool:
        """Take what there is; returns True where the pipe has ended, False where a process still holds it open."""
        self.drain()
        if not self.closed:
            self._read()
        return self.closed

    def close(self) -> None:
        """Hand on what was begun and close the pipe."""
        if self.closed:
            return
        if self._resting is not None:
            self._resting.cancel()
        self._loop.remove_reader(self._fd)
        os.close(self._fd)
        self._fd = -1
        self._last()

    @property
    def flooded(self) -> bool:
        """True once lines are only counted, for the most part."""
        return self._budget.spent

    def _on_readable(self) -> None:
        if not self.flooded:
            self._read()
            return
        begun = time.perf_counter()
        self._widen()
        for _ in range(FLOOD_READS):
            if not self._read():
                break
        if not self.closed:
            self._loop.remove_reader(self._fd)
            self._resting = self._loop.call_later((time.perf_counter() - begun) * FLOOD_REST, self._go_on)

    def _widen(self) -> None:
        """Let the pipe hold more, so that a writer need not wait for each of our rests; some systems refuse."""
        if not self._wide and hasattr(fcntl, "F_SETPIPE_SZ"):
            with contextlib.suppress(OSError):
                fcntl.fcntl(self._fd, fcntl.F_SETPIPE_SZ, FLOOD_READS * READ_BYTES)
        self._wide = True

    def _go_on(self) -> None:
        self._resting = None
        if not self.closed:
            self._loop.add_reader(self._fd, self._on_readable)

    def _read(self) -> int:
        """Read once and hand on the lines; returns how many bytes there were."""
        try:
            data = os.read(self._fd, READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError:
            data = b""
        if not data:
            self.close()
            return 0
        lines = self._lines_of(data)
        if lines:
            self._deliver(lines)
        return len(data)

    def _lines_of(self, data: bytes) -> list[LogRecord]:
        raise NotImplementedError

    def _last(self) -> None:
        """Hand on what was begun and not ended."""


class RecordPipe(OutputPipe):
    """Log records, as the capture in a run process writes them. What is not a record is dropped and counted."""

    def __init__(self, fd: int, budget: LogBudget, deliver: Callable[[list[LogRecord]], None]) -> None:
        super().__init__(fd, budget, deliver)
        self._begun = b""
        self._garbage = False

    def _lines_of(self, data: bytes) -> list[LogRecord]:
        if self._garbage:
            self._budget.drop(1)
            return []
        if self._begun:
            data = self._begun + data
        lines: list[LogRecord] = []
        start, size = 0, len(data)
        budget, dropped = self._budget, 0
        while size - start >= 4:
            (length,) = RECORD_PREFIX.unpack_from(data, start)
            if length > RECORD_LIMIT:
                # Node code wrote into the pipe itself: nothing tells any more where a record begins.
                self._garbage = True
                dropped += 1
                start = size
                break
            end = start + 4 + length
            if end > size:
                break
            # Past the limits only records that end in a number are looked into: they count lines of the other side.
            if not budget.spent or data[end - 2] in DIGITS:
                line = _record(data[start + 4 : end])
                if isinstance(line, int):
                    # What is no record takes its part of the limits, lest a flood of it be looked into for ever.
                    budget.take(length)
                    dropped += line
                elif budget.spent:
                    dropped += 1
                else:
                    budget.take(len(line[6]))
                    lines.append(line)
            else:
                dropped += 1
            start = end
        self._begun = data[start:]
        budget.drop(dropped)
        return lines


def _record(data: bytes) -> LogRecord | int:
    """One record checked, or how many dropped lines it stands for."""
    try:
        at, level, stream, node, visit, attempt, text = decode_json(data)
    except (ValueError, TypeError):
        return 1
    if type(text) is int:
        return max(text, 0)
    kinds = (type(level), type(stream), type(node), type(visit), type(attempt), type(text))
    if kinds != (int, str, str, int, int, str) or type(at) not in (float, int):
        return 1
    if "\0" in text:
        text = text.replace("\0", "")
    return (at, level, stream, node, visit, attempt, text)


class RawPipe(OutputPipe):
    """Plain bytes from below Python or from other programs: lines of the run, of no node."""

    def __init__(self, fd: int, budget: LogBudget, deliver: Callable[[list[LogRecord]], None]) -> None:
        super().__init__(fd, budget, deliver)
        self._begun = b""
        self._report = False
        self.tail = b""
        """The last bytes, kept or not: where a process crashed, they name the place."""
        self._share = Share(budget.allowance)
        self._held: deque[bytes] = deque(maxlen=TAIL_LINES)

    @property
    def flooded(self) -> bool:
        return self._share.spent

    def end_visit(self) -> None:
        """Hand on the last lines where more was written than one attempt's share; what comes later has a new one."""
        if self._held:
            now, records = time.time(), list[LogRecord]()
            if self._share.dropped:
                text = dropped_text(self._share.dropped, len(self._held))
                records.append((now, logging.WARNING, "raw", "", 0, 0, text))
            for line in self._held:
                text = line.decode(errors="replace").replace("\0", "")
                if self._share.take_reserved(len(text)):
                    records.append((now, self._level(line), "raw", "", 0, 0, text))
                else:
                    self._budget.drop(1)
            self._held.clear()
            self._deliver(records)
        self._share = Share(self._budget.allowance)

    def _lines_of(self, data: bytes) -> list[LogRecord]:
        self.tail = (self.tail + data)[-TAIL_BYTES:] if len(data) < TAIL_BYTES else data[-TAIL_BYTES:]
        if self._share.spent:
            self._hold_last(self._begun + data)
            return []
        *lines, self._begun = (self._begun + data).split(b"\n")
        now = time.time()
        records: list[LogRecord] = []
        for line in lines:
            self._add(records, now, line)
        *pieces, self._begun = cut(self._begun)
        for piece in pieces:
            self._add(records, now, piece)
        return records

    def _add(self, records: list[LogRecord], now: float, line: bytes) -> None:
        for piece in cut(line):
            if self._share.spent:
                self._hold(piece)
                continue
            text = piece.decode(errors="replace").replace("\0", "")
            self._share.take(len(text))
            records.append((now, self._level(piece), "raw", "", 0, 0, text))

    def _level(self, line: bytes) -> int:
        """Lines of a report of the fault handler are errors; empty ones stand between its parts."""
        if line.startswith(REPORT_BEGINS):
            self._report = True
        elif self._report and line and not line.startswith(REPORT_GOES_ON):
            self._report = False
        return REPORT_LEVEL if self._report else RAW_LEVEL

    def _hold_last(self, data: bytes) -> None:
        """Look at the last lines only: a flood passes here, so this way is short."""
        first, *lines = data.rsplit(b"\n", TAIL_LINES + 1)
        if len(lines) > TAIL_LINES:
            many = first.count(b"\n") + 1
            self._share.dropped += many
            self._budget.drop(many)
        elif lines:
            lines.insert(0, first)
        *whole, begun = lines or [first]
        *pieces, self._begun = cut(begun)
        for line in (*whole, *pieces):
            for piece in cut(line):
                self._hold(piece)

    def _hold(self, line: bytes) -> None:
        """Keep a line for the case that it is one of the last."""
        if len(self._held) == TAIL_LINES:
            self._share.dropped += 1
            self._budget.drop(1)
        self._held.append(line)

    def _last(self) -> None:
        if self._begun:
            records: list[LogRecord] = []
            self._add(records, time.time(), self._begun)
            self._begun = b""
            if records:
                self._deliver(records)
        self.end_visit()


def log_pipes(
    records: int, raw: int, deliver: Callable[[list[LogRecord]], None], report: Callable[[int], None], limits: Any
) -> tuple[RecordPipe, RawPipe, LogBudget]:
    """The two pipes of a run process on one budget; `limits` as in the init frame."""
    budget = LogBudget(report, Allowance.of(limits))
    return RecordPipe(records, budget, deliver), RawPipe(raw, budget, deliver), budget
