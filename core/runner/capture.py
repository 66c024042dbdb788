"""What node code prints and logs, turned into log records tagged with the visit that said it."""

from __future__ import annotations

import codecs
import io
import logging
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any

from core.redaction import cleaned
from core.runner.log_share import TAIL_LINES, Allowance, Share, dropped_text
from core.runner.wire import LINE_LIMIT, RECORD_PREFIX, encode_json

Visit = tuple[str, int, int]
"""Node, visit, attempt."""

NO_VISIT: Visit = ("", 0, 0)
VISIT: ContextVar[Visit] = ContextVar("visit", default=NO_VISIT)
"""The visit whose code runs; what no visit can be named for belongs to the run."""

STDOUT_LEVEL = logging.INFO
STDERR_LEVEL = logging.WARNING
REPORT_SECONDS = 0.25
OWN_LOGGERS = ("root", "nodes", "__main__")


class LogWriter:
    """Writes log records to the engine's pipe, as far as the run's allowance goes; other lines are only counted.

    Of an attempt that has used up its share errors are written, and the last lines when it ends.

    A child forked by node code would mix its records into ours, so there everything goes to file descriptor 1 as text.
    """

    def __init__(self, fd: int, allowance: Allowance) -> None:
        self._fd = fd
        self._allowance = allowance
        self._shares: dict[Visit, Share] = {}
        self._held: dict[Visit, deque[list[Any]]] = {}
        self.full = allowance.spent
        """True once nothing more is kept of anybody."""
        self._dropped = 0
        self._reported_at = 0.0
        self._forked = False
        # Re-entrant: a finalizer or a signal handler may print while its own thread writes.
        self.lock = threading.RLock()
        os.register_at_fork(after_in_child=self._after_fork)

    @property
    def forked(self) -> bool:
        """True in a child that node code forked."""
        return self._forked

    def write(self, level: int, stream: str, text: str, visit: Visit | None = None, at: float | None = None) -> None:
        """Write one line, without its line end; a lone surrogate becomes a question mark, NUL is left out."""
        with self.lock:
            if self._forked:
                _write_all(1, f"{text}\n".encode(errors="replace"))
                return
            if self.full:
                self.drop(1)
                return
            if "\0" in text:
                text = text.replace("\0", "")
            node, number, attempt = visit or VISIT.get()
            record = [at or time.time(), level, stream, node, number, attempt, text]
            key = (node, number, attempt)
            share = self._shares.get(key) or self._shares.setdefault(key, Share(self._allowance))
            if share.take(len(text)) or (level >= logging.ERROR and share.take_reserved(len(text))):
                self._send(record)
            else:
                self._hold(key, share, record)

    def _send(self, record: list[Any]) -> None:
        try:
            data = encode_json(record)
        except (TypeError, UnicodeEncodeError):
            record[6] = record[6].encode(errors="replace").decode()
            data = encode_json(record)
        self.full = self._allowance.spent
        _write_all(self._fd, RECORD_PREFIX.pack(len(data)) + data)

    def _hold(self, visit: Visit, share: Share, record: list[Any]) -> None:
        """Keep a line for the case that it is one of the attempt's last."""
        held = self._held.setdefault(visit, deque(maxlen=TAIL_LINES))
        if len(held) == TAIL_LINES:
            share.dropped += 1
            self.drop(1)
        held.append(record)

    def end_visit(self, visit: Visit) -> None:
        """Write the last lines of a visit that printed more than its share; what it prints later has a new one."""
        with self.lock:
            share, held = self._shares.pop(visit, None), self._held.pop(visit, None)
            if share is None or not held or self._forked:
                return
            if share.dropped:
                text = dropped_text(share.dropped, len(held))
                self._send([held[0][0], logging.WARNING, "log", *visit, text])
            for record in held:
                if share.take_reserved(len(record[6])):
                    self._send(record)
                else:
                    self.drop(1)

    def end_visits(self) -> None:
        """Write the last lines of every visit."""
        for visit in list(self._shares):
            self.end_visit(visit)

    def drop(self, count: int) -> None:
        """Count lines that are not written, and say so now and then."""
        with self.lock:
            self._dropped += count
            if time.monotonic() - self._reported_at > REPORT_SECONDS:
                self.report()

    def report(self) -> None:
        """Tell the engine how many lines were dropped since the last report."""
        with self.lock:
            if self._dropped and not self._forked:
                data = encode_json([time.time(), STDOUT_LEVEL, "stdout", *NO_VISIT, self._dropped])
                self._dropped = 0
                self._reported_at = time.monotonic()
                _write_all(self._fd, RECORD_PREFIX.pack(len(data)) + data)

    def _after_fork(self) -> None:
        self._forked = True
        self.lock = threading.RLock()


class LineStream(io.TextIOWrapper):
    """What stands for `sys.stdout` or `sys.stderr`: text cut into lines, kept apart by visit and thread."""

    def __init__(self, writer: LogWriter, name: str, level: int, fd: int) -> None:
        self._writer = writer
        self._stream = name
        self._level = level
        self._begun: dict[tuple[Visit, int], str] = {}
        super().__init__(_Bytes(self, name, fd), "utf-8", "replace", "\n", write_through=True)

    def write(self, text: str, /) -> int:
        """Take text; every complete line becomes a record."""
        writer = self._writer
        if writer.full:
            # A flood of prints passes here, so this way is short.
            if "\n" in text or len(text) > LINE_LIMIT:
                writer.drop(max(text.count("\n"), len(text) // LINE_LIMIT))
            return len(text)
        visit = VISIT.get()
        key = (visit, threading.get_ident())
        with writer.lock:
            begun = self._begun.pop(key, "")
            if text == "\n":
                self._say(begun, visit)
                return 1
            *lines, rest = (begun + text).split("\n")
            for line in lines:
                self._say(line, visit)
            if len(rest) > LINE_LIMIT:
                *pieces, rest = cut_text(cleaned(rest))
                for piece in pieces:
                    self._say(piece, visit)
            if rest:
                self._begun[key] = rest
        return len(text)

    def flush(self) -> None:
        """Do nothing, since lines go out as they are complete; in a forked child, write what is there."""
        if self._writer.forked:
            self.end_lines()

    def end_lines(self, visit: Visit | None = None) -> None:
        """Write lines that were begun and not ended: those of one visit, or all."""
        with self._writer.lock:
            for key in [key for key in self._begun if visit is None or key[0] == visit]:
                self._say(self._begun.pop(key), key[0])

    def _say(self, line: str, visit: Visit) -> None:
        for piece in cut_text(cleaned(line)):
            self._writer.write(self._level, self._stream, piece, visit)


class _Bytes(io.BufferedIOBase):
    """The `buffer` of a LineStream, for code that writes bytes."""

    def __init__(self, lines: LineStream, name: str, fd: int) -> None:
        self.name = f"<{name}>"
        self._lines = lines
        self._fd = fd
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def writable(self) -> bool:
        """Always."""
        return True

    def fileno(self) -> int:
        """The descriptor that programs started by node code write to."""
        return self._fd

    def write(self, data: Any) -> int:
        """Take bytes as UTF-8; what is none is replaced."""
        content = bytes(data)
        self._lines.write(self._decoder.decode(content))
        return len(content)


def cut_text(line: str) -> list[str]:
    """Cut a line into pieces of at most LINE_LIMIT bytes; an empty line is one piece."""
    if len(line) * 4 <= LINE_LIMIT:
        return [line]
    return [piece.decode(errors="replace") for piece in cut(line.encode(errors="replace"))]


def cut(line: bytes) -> list[bytes]:
    """Cut a line into pieces of at most LINE_LIMIT bytes, never inside a character; an empty line is one piece."""
    if len(line) <= LINE_LIMIT:
        return [line]
    pieces = []
    start = 0
    while len(line) - start > LINE_LIMIT:
        end = start + LINE_LIMIT
        while end > start + LINE_LIMIT - 3 and line[end] & 0xC0 == 0x80:
            end -= 1
        pieces.append(line[start:end])
        start = end
    pieces.append(line[start:])
    return pieces


class RecordHandler(logging.Handler):
    """Passes records of the logging module on, line by line."""

    def __init__(self, writer: LogWriter) -> None:
        super().__init__()
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; loggers other than the workflow's own are named."""
        try:
            text = self.format(record)
            if record.name not in OWN_LOGGERS:
                text = f"{record.name}: {text}"
            for line in text.split("\n"):
                for piece in cut_text(cleaned(line)):
                    self._writer.write(record.levelno, "log", piece, at=record.created)
        except Exception:
            # As every handler of the logging module does: a bad record must not fail who logged it.
            self.handleError(record)


class Capture:
    """Output of this process as log records: `sys.stdout`, `sys.stderr` and the logging module."""

    def __init__(self, writer: LogWriter) -> None:
        self.writer = writer
        self._streams = (
            LineStream(writer, "stdout", STDOUT_LEVEL, 1),
            LineStream(writer, "stderr", STDERR_LEVEL, 2),
        )

    def install(self) -> None:
        """Take over this process's output, for good."""
        sys.stdout, sys.stderr = self._streams
        handler = RecordHandler(self.writer)
        logging.root.addHandler(handler)
        logging.root.setLevel(logging.INFO)
        _keep_handler(handler)
        _tag_threads()

    def write(self, level: int, stream: str, text: str) -> None:
        """Add a line to the present visit."""
        self.writer.write(level, stream, text)

    def end_visit(self) -> None:
        """Write the lines that the present visit has begun and not ended."""
        for stream in self._streams:
            stream.end_lines(VISIT.get())
        self.writer.end_visit(VISIT.get())
        self.writer.report()

    def end(self) -> None:
        """Write everything that is left."""
        for stream in self._streams:
            stream.end_lines()
        self.writer.end_visits()
        self.writer.report()


def _keep_handler(handler: RecordHandler) -> None:
    """Let `logging.basicConfig` work as its callers expect, though the root logger has a handler already."""
    configure = logging.basicConfig

    def basic_config(**options: Any) -> None:
        ours = options.get("stream") in (None, sys.stdout, sys.stderr)
        if ours and not options.get("filename") and not options.get("handlers"):
            if options.get("level") is not None:
                logging.root.setLevel(options["level"])
            return
        logging.root.removeHandler(handler)
        try:
            configure(**options)
        finally:
            streams = [getattr(other, "stream", None) for other in logging.root.handlers]
            if sys.stdout not in streams and sys.stderr not in streams:
                logging.root.addHandler(handler)

    logging.basicConfig = basic_config


def _tag_threads() -> None:
    """Give threads the visit of the code that started them; nothing else of its context, as Python has it."""
    start = threading.Thread.start
    submit = ThreadPoolExecutor.submit

    def start_tagged(thread: threading.Thread) -> None:
        run, visit = thread.run, VISIT.get()

        def run_tagged() -> None:
            vars(thread).pop("run", None)
            VISIT.set(visit)
            run()

        if visit != NO_VISIT:
            vars(thread)["run"] = run_tagged
        start(thread)

    def submit_tagged(
        pool: ThreadPoolExecutor, function: Callable[..., Any], /, *arguments: Any, **named: Any
    ) -> Future[Any]:
        visit = VISIT.get()

        def call_tagged(*arguments: Any, **named: Any) -> Any:
            token = VISIT.set(visit)
            try:
                return function(*arguments, **named)
            finally:
                VISIT.reset(token)

        return submit(pool, call_tagged, *arguments, **named)

    threading.Thread.start = start_tagged  # type: ignore[method-assign, assignment]
    ThreadPoolExecutor.submit = submit_tagged  # type: ignore[method-assign, assignment]


def _write_all(fd: int, data: bytes) -> None:
    """Write to a blocking descriptor; a reader that is gone ends this process soon, so its loss says nothing."""
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(fd, view) :]
    except OSError:
        return
