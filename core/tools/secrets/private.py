"""Files for the user alone: written in one go, read only where nobody else can, changed by one writer at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from core.errors import SecretsUnreadable

LOCK_SECONDS = 15.0
SIZE_LIMIT = 16 * 1024 * 1024
"""Bytes of the largest file that is read."""


def read_private(path: Path) -> bytes | None:
    """The content; None where there is no such file. Raises SecretsUnreadable where others can read or change it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise unreadable(path, error.strerror or "It can't be opened.", f"Look at it: ls -l {path}") from error
    with os.fdopen(descriptor, "rb") as stream:
        facts = os.fstat(stream.fileno())
        if not stat.S_ISREG(facts.st_mode):
            raise unreadable(path, "It is not a plain file.", "Move it away.")
        if facts.st_uid != os.getuid():
            raise unreadable(path, "It belongs to another user.", "Move it away, and set the secrets anew.")
        if facts.st_mode & 0o077:
            raise unreadable(
                path,
                f"Others may read or change it: its mode is {stat.S_IMODE(facts.st_mode):04o}.",
                f"If you trust what is in it: chmod 600 {path}; if others were there, change the secrets themselves.",
            )
        if facts.st_size > SIZE_LIMIT:
            raise unreadable(path, f"It has {facts.st_size} bytes.", "Put back a copy of it, or move it away.")
        return stream.read()


def write_private(path: Path, content: bytes) -> None:
    """Put a file with mode 0600 in place in one go; raises SecretsUnreadable where the folder takes none."""
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as stream:
                os.fchmod(stream.fileno(), 0o600)
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _not_writable(path.parent, error) from error


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Stands around a change in that folder, which is made with mode 0700: no other process changes it meanwhile."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if stat.S_IMODE(folder.stat().st_mode) & 0o077:
            folder.chmod(0o700)
        descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise _not_writable(folder, error) from error
    try:
        _lock(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise unreadable(
                    folder, "Another process has been changing it for a while.", "Try again in a moment."
                ) from None
            time.sleep(0.01)


def unreadable(path: Path, cause: str, next_step: str) -> SecretsUnreadable:
    """The refusal to use a file; it stays as it is."""
    return SecretsUnreadable(f"{path} is not used.", cause=cause, next_step=next_step)


def _not_writable(folder: Path, error: OSError) -> SecretsUnreadable:
    return SecretsUnreadable(
        f"{folder} can't be written.",
        cause=error.strerror or type(error).__name__,
        next_step="Make that folder writable, or name another place with XDG_DATA_HOME. Nothing was changed.",
    )
