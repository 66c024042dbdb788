"""The engine's card, `runs/engine.json`: which process owns the workspace and where it listens."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

import msgspec


class EngineCard(msgspec.Struct, kw_only=True):
    """`pid_started` is the process's start in the system's ticks (None where the system doesn't tell), so that another
    process that got the same pid later is not taken for the engine; `started_at` is in seconds since 1970."""

    pid: int
    pid_started: int | None
    started_at: float
    workspace: str
    socket: str
    app_version: str
    protocol: int
    schema: int

    def is_alive(self) -> bool:
        """True while that very process lives."""
        return process_lives(self.pid, self.pid_started)


def process_started(pid: int) -> int | None:
    """When a process started, in ticks since the machine did; None where it is gone or the system doesn't tell."""
    if not sys.platform.startswith("linux"):
        return None
    fields = _process_fields(pid)
    return int(fields[19]) if fields else None


def process_lives(pid: int, started: int | None) -> bool:
    """True where the process that had this pid and this start is there and has not ended, reaped or not."""
    if sys.platform.startswith("linux"):
        fields = _process_fields(pid)
        return bool(fields) and fields[0] not in ("Z", "X") and started in (None, int(fields[19]))
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _process_fields(pid: int) -> list[str]:
    """What /proc says of a process from its state on; nothing where it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return []
    # The second field is the program's name in brackets and may hold anything.
    return text[text.rindex(")") + 2 :].split()


def read_card(path: Path) -> EngineCard | None:
    """The card as it stands there; None where there is none or it can't be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=EngineCard)
    except (OSError, msgspec.MsgspecError):
        return None


def write_card(path: Path, card: EngineCard) -> None:
    """Put the card in place in one go, so that nobody reads half of it; raises OSError."""
    partial = path.with_name(f"{path.name}.{card.pid}")
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(card), indent=2) + b"\n")
    os.replace(partial, path)


def remove_card(path: Path, pid: int) -> None:
    """Take the card away if it is that process's own."""
    card = read_card(path)
    if card is not None and card.pid == pid:
        # One that can't be taken away names a process that is gone, and nobody believes it.
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
