"""Text as it is shown: times, durations, sizes, and characters that a terminal must not get."""

from __future__ import annotations

import os
import re
from datetime import datetime

from rich.cells import cell_len, set_cell_size

_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")

# A paste's escape characters come as \x1a from a terminal, see tui/terminal.py.
_SEQUENCE = re.compile("(?:[\x1b\x1a]\\[|\x9b)[0-?]*[ -/]*[@-~]|[\x1b\x1a]\\][^\x07\x1b\x1a]*(?:\x07|[\x1b\x1a]\\\\)")
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def _shown(match: re.Match[str]) -> str:
    character = match.group()
    code = ord(character)
    if character == "\t":
        return "    "
    if character == "\n":
        return "⏎"
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def visible(text: str) -> str:
    """The text on one line with every control, direction and zero-width character made visible."""
    return _UNSAFE.sub(_shown, text)


def one_line(text: str) -> str:
    """Pasted text as one line to type: lines joined by spaces, without control characters and colours."""
    plain = _CONTROL.sub("", _SEQUENCE.sub("", text))
    return " ".join(line for line in plain.replace("\t", " ").splitlines() if line)


def many_lines(text: str) -> str:
    """Pasted text with its lines kept, without control characters and colours."""
    plain = _SEQUENCE.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return "\n".join(_CONTROL.sub("", line.replace("\t", "    ")) for line in plain.split("\n"))


def fit(text: str, width: int, *, right: bool = False) -> str:
    """The text cut or padded to exactly `width` cells; what is cut ends in an ellipsis."""
    if width <= 0:
        return ""
    length = cell_len(text)
    if length > width:
        return set_cell_size(text, width - 1) + "…"
    padding = " " * (width - length)
    return padding + text if right else text + padding


def shorten(text: str, width: int) -> str:
    """The text cut to at most `width` cells."""
    return text if cell_len(text) <= width else fit(text, width)


def wrap(text: str, width: int) -> list[str]:
    """The text in lines of at most `width` cells, broken between words where there are any. Never empty."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        # Only the plain space is where a line may break and what is dropped there: a no-break space is a letter.
        for word in re.findall(r" *[^ ]+| +$", visible(paragraph)) or [""]:
            if cell_len(line) + cell_len(word) <= width:
                line += word
                continue
            if line:
                lines.append(line)
                word = word.lstrip(" ")
            while cell_len(word) > width > 0:
                head = set_cell_size(word, width).rstrip(" ") or word[:1]
                lines.append(head)
                word = word[len(head) :]
            line = word
        lines.append(line)
    return lines


def relative_time(then: float, now: float) -> str:
    """How long ago, in one unit: `now`, `3m ago`, `2h ago`, `5d ago`, `3mo ago`, `2y ago`."""
    seconds = now - then
    if seconds < 5:
        return "now"
    if seconds < 60:
        return f"{int(seconds)}s ago"
    if seconds < 3600:
        return f"{int(seconds // 60)}m ago"
    if seconds < 86400:
        return f"{int(seconds // 3600)}h ago"
    if seconds < 86400 * 60:
        return f"{int(seconds // 86400)}d ago"
    if seconds < 86400 * 365:
        return f"{int(seconds // (86400 * 30))}mo ago"
    return f"{int(seconds // (86400 * 365))}y ago"


def time_ahead(then: float, now: float) -> str:
    """How far ahead, in one unit, rounded down: `now`, `in 12 s`, `in 3 min`, `in 2 h`, `in 5 d`."""
    seconds = then - now
    if seconds < 1:
        return "now"
    for length, limit, unit in ((1, 60, "s"), (60, 3600, "min"), (3600, 2 * 86_400, "h")):
        if seconds < limit:
            return f"in {int(seconds // length)} {unit}"
    return f"in {int(seconds // 86_400)} d"


def waiting_text(due_at: float | None, queue_position: int, now: float) -> str:
    """What is known of the end of a wait: when its time is due, the place in the queue for a process."""
    if due_at is not None:
        return time_ahead(due_at, now)
    return f"place {queue_position} in the queue" if queue_position else ""


def clock_time(at: float) -> str:
    """The local time of day: `05:41:07`."""
    return datetime.fromtimestamp(at).strftime("%H:%M:%S")


def exact_time(at: float) -> str:
    """Local date and time to the second."""
    return datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M:%S")


def duration(seconds: float) -> str:
    """How long something took: `<1ms`, `12ms`, `1.2s`, `42s`, `1:10`, `2:05:00`."""
    if seconds < 0.0005:
        return "<1ms"
    if seconds < 0.9995:
        return f"{round(seconds * 1000)}ms"
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    if seconds < 59.5:
        return f"{round(seconds)}s"
    return stopwatch(seconds)


def stopwatch(seconds: float) -> str:
    """Whole seconds as a stopwatch shows them: `0:42`, `1:10`, `2:05:00`."""
    total = max(0, int(seconds))
    hours, rest = divmod(total, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def size(count: int) -> str:
    """Bytes in a short form: `812 B`, `12 kB`, `3.4 MB`."""
    if count < 1000:
        return f"{count} B"
    if count < 1_000_000:
        return f"{count / 1000:.0f} kB"
    return f"{count / 1_000_000:.1f} MB"


def number(count: int) -> str:
    """A count with thousands apart."""
    return f"{count:,}"


def plural(count: int, one: str, many: str = "") -> str:
    """A count with its word: `1 node`, `3 nodes`."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def bar(share: float, width: int) -> str:
    """A bar of at most `width` cells for a share of 0..1; a share above 0 always shows."""
    cells = round(min(1.0, share) * width)
    return "▇" * cells if cells or share <= 0 else "▏"


def home_path(path: str) -> str:
    """A path with the user's own folder written as `~`."""
    home = os.path.expanduser("~")
    return "~" + path[len(home) :] if home != "/" and (path == home or path.startswith(home + "/")) else path
