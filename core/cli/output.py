"""How the command line speaks: rich text for people, one JSON document for programs, nothing raw from strangers."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from core.errors import RondoError
from core.link.status import look_of, run_seconds

STATUS_STYLES = {"running": "cyan", "waiting": "yellow", "good": "green", "bad": "red", "dim": "dim"}
"""Style of each ink of `core.link.status`."""

SEVERITY_STYLES = {"error": "red", "warning": "yellow", "note": "dim"}
LEVEL_STYLES = {"ERROR": "red", "CRITICAL": "red", "WARNING": "yellow", "EDGE": "dim", "DEBUG": "dim"}

NAME_WIDTH = 32
"""Most columns of a name in a table on a terminal."""
UNLIMITED_WIDTH = 100_000
"""Columns of a "screen" that is a file or a pipe: no cell is cut there."""

_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
"""What a terminal may obey or hide: control characters but tab and newline, changes of direction, lone surrogates."""

_UNSAFE_IN_JSON = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""The part of the same that a JSON text may hold unescaped."""

Part = str | tuple[str, str]
"""A piece of a line: a text, or a text and its style."""


def _shown(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20 or code == 0x7F:
        return "^" + chr(code ^ 0x40)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def visible(text: str) -> str:
    """The text with everything a terminal would obey written out: ESC becomes `^[`. Tabs and newlines stay."""
    return _UNSAFE.sub(_shown, text)


def one_line(text: str) -> str:
    """The text made visible, on a single line."""
    return visible(" ".join(text.split("\n"))).replace("\t", " ")


def iso_time(seconds: float | None) -> str | None:
    """Seconds since 1970 as ISO 8601 in UTC with milliseconds: `2026-01-02T03:04:05.678Z`."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clock_time(seconds: float) -> str:
    """The time of day where the reader is: `05:41:07`."""
    return time.strftime("%H:%M:%S", time.localtime(seconds))


def ago(seconds: float | None, now: float | None = None) -> str:
    """How long ago that was: `now`, `12s ago`, `3m ago`, `2h ago`, `5d ago`; `never` without a time."""
    if seconds is None:
        return "never"
    age = max(0.0, (time.time() if now is None else now) - seconds)
    if age < 5:
        return "now"
    for size, limit, unit in ((1, 60, "s"), (60, 3600, "m"), (3600, 86400, "h")):
        if age < limit:
            return f"{int(age // size)}{unit} ago"
    return f"{int(age // 86400)}d ago"


def until(seconds: float, now: float | None = None) -> str:
    """How far ahead that is: `now`, `in 12 s`, `in 3 min`, `in 2 h`, `in 5 d`; rounded down."""
    left = seconds - (time.time() if now is None else now)
    if left < 1:
        return "now"
    for size, limit, unit in ((1, 60, "s"), (60, 3600, "min"), (3600, 2 * 86400, "h")):
        if left < limit:
            return f"in {int(left // size)} {unit}"
    return f"in {int(left // 86400)} d"


def waiting_parts(status: str, due_at: float | None, queue_position: int) -> list[Part]:
    """A status with what is known of its end: when its time is due, its place in the queue."""
    parts: list[Part] = [status_part(status)]
    if due_at is not None:
        parts.append((f" {until(due_at)}", "dim"))
    if queue_position:
        parts.append((f" #{queue_position}", "dim"))
    return parts


def duration(seconds: float) -> str:
    """A stretch of time: `12ms`, `1.2s`, `0:42`, `1:02:03`."""
    seconds = max(0.0, seconds)
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = int(seconds + 0.5)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def byte_size(count: int) -> str:
    """A number of bytes: `812 B`, `4.1 kB`, `2.3 MB`."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def took_text(started_at: float | None, ended_at: float | None) -> str:
    """How long a run took; nothing where it never started or goes on."""
    seconds = run_seconds(started_at, ended_at)
    return "" if seconds is None else duration(seconds)


def status_part(status: str) -> Part:
    """Sign and word of a status, with its style."""
    look = look_of(status)
    return look.text, STATUS_STYLES[look.ink]


def to_text(*parts: Part) -> Text:
    """One styled text of parts, each made visible."""
    text = Text()
    for part in parts:
        if isinstance(part, str):
            text.append(visible(part))
        else:
            text.append(visible(part[0]), style=part[1])
    return text


def encode_document(document: Any, *, indent: int = 0) -> str:
    """The JSON text of a document; parts given as `msgspec.Raw` go in as they are."""
    data = msgspec.json.encode(document)
    if indent:
        data = msgspec.json.format(data, indent=indent)
    return _UNSAFE_IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", data.decode())


class ReaderGone(Exception):
    """Whoever read our output has closed it: there is nobody to tell anything."""


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise ReaderGone


class Output:
    """Where a command writes: people's lines to stdout and stderr, or one document to stdout."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        self._out = _console(stderr=False)
        self._err = _console(stderr=True)

    @property
    def width(self) -> int | None:
        """Columns of the terminal; None where stdout is none."""
        return self._out.width if self._out.is_terminal else None

    @property
    def canvas(self) -> tuple[int, int]:
        """Columns and rows in which notes can be drawn in colours; (0, 0) where stderr is no terminal for that."""
        console = self._err
        coloured = console.color_system is not None and not console.no_color
        if not (sys.stderr.isatty() and coloured and console.encoding.startswith("utf")):
            return 0, 0
        return console.width, console.height

    @property
    def can_ask(self) -> bool:
        """True where a person reads along and can type: never with --json."""
        return (
            not self.as_json
            and sys.stdin is not None
            and sys.stdin.isatty()
            and (self._out.is_terminal or self._err.is_terminal)
        )

    def document(self, document: Any) -> None:
        """Write the one JSON document."""
        self._write(encode_document(document, indent=2 if sys.stdout.isatty() else 0) + "\n")

    def line(self, *parts: Part) -> None:
        """Write one line for people to stdout."""
        self._out.print(to_text(*parts), soft_wrap=True)

    def lines(self, lines: Iterable[Sequence[Part]]) -> None:
        """Write many lines for people to stdout at once."""
        if self._out.is_terminal:
            self._out.print(Text("\n").join(to_text(*line) for line in lines), soft_wrap=True)
        else:
            plain = (visible("".join(part if isinstance(part, str) else part[0] for part in line)) for line in lines)
            self._write("".join(f"{line}\n" for line in plain))

    def _write(self, text: str) -> None:
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except BrokenPipeError:
            raise ReaderGone from None

    def part(self, text: str) -> None:
        """Write a piece of text for people to stdout, without a newline after it."""
        self._out.print(to_text(text), soft_wrap=True, end="")
        self._out.file.flush()

    def note(self, *parts: Part) -> None:
        """Write one line for people to stderr: what happens around the result."""
        self._err.print(to_text(*parts), soft_wrap=True)

    def ask(self, *parts: Part) -> None:
        """Write a prompt without a newline to where the person reads."""
        console = self._err if self._err.is_terminal else self._out
        console.print(to_text(*parts), soft_wrap=True, end="")

    def table(self, headings: Sequence[str], rows: Iterable[Sequence[Part | list[Part]]]) -> None:
        """Write a table. A cell is one part or a list of parts.

        Those below a heading with `>` are right-aligned; those below one with `~` are names, which are cut on a
        terminal so that the others stay on the line.
        """
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        for heading in headings:
            cut = heading.startswith("~") and self._out.is_terminal
            table.add_column(
                heading.lstrip(">~"),
                justify="right" if heading.startswith(">") else "left",
                overflow="ellipsis" if cut else "fold",
                no_wrap=cut,
                max_width=NAME_WIDTH if cut else None,
            )
        for row in rows:
            table.add_row(*(to_text(*cell) if isinstance(cell, list) else to_text(cell) for cell in row))
        self._out.print(table)

    def error(self, error: RondoError) -> None:
        """Say what happened, why and what to do: people's on stderr, a program's as the document."""
        if self.as_json:
            self.document({"error": error.to_dict()})
            return
        self.note(("error: ", "bold red"), error.message)
        if error.cause:
            self.note(("cause: ", "bold"), error.cause)
        if error.next_step:
            self.note(("next:  ", "bold"), error.next_step)


def _console(*, stderr: bool) -> Console:
    console = _Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console = _Console(stderr=stderr, highlight=False, markup=False, emoji=False, width=UNLIMITED_WIDTH)
    return console
