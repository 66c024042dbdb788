"""The files that runs leave in their output folders: listed and read, never followed out of there."""

from __future__ import annotations

import codecs
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from core.errors import UsageError
from core.link.inspect_types import OutputFile, OutputPage, OutputPart

LOOKED_AT = 20_000
"""Files of a folder that are looked at; one with more is a program's business, not a reader's."""
FILES_AT_MOST = 500
PART_BYTES = 128 * 1024
NAMES_BYTES = 128 * 1024


def list_files(folder: Path, after: str, limit: int) -> OutputPage:
    """The files below a folder, by path; blocking. A folder that was never made has none."""
    found: list[OutputFile] = []
    cut = False
    for file in _walk(folder, ""):
        if len(found) >= LOOKED_AT:
            cut = True
            break
        found.append(file)
    found.sort(key=lambda file: file.path)
    rest = [file for file in found if file.path > after]
    shown: list[OutputFile] = []
    left = NAMES_BYTES
    for file in rest[: max(1, min(limit, FILES_AT_MOST))]:
        left -= len(file.path.encode("utf-8", "replace")) + 100
        if shown and left < 0:
            break
        shown.append(file)
    return OutputPage(
        folder=str(folder),
        files=shown,
        count=len(found),
        size=sum(file.size for file in found),
        more=len(shown) < len(rest),
        cut=cut,
    )


def _walk(folder: Path, below: str) -> Iterator[OutputFile]:
    """Every file; folders that are links are named and not entered."""
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return
    for entry in found:
        path = f"{below}{entry.name}"
        try:
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(folder / entry.name, f"{path}/")
                continue
            status = entry.stat(follow_symlinks=False)
        except OSError:
            continue  # It went while it was looked at.
        yield OutputFile(
            path=path.encode("utf-8", "replace").decode(),
            size=status.st_size,
            modified_at=status.st_mtime,
            kind=_kind(status.st_mode),
        )


def _kind(mode: int) -> str:
    if stat.S_ISREG(mode):
        return "file"
    return "link" if stat.S_ISLNK(mode) else "other"


def read_file(folder: Path, path: str, offset: int, limit: int) -> OutputPart:
    """A piece of a file below a folder; blocking. Raises UsageError for what is no file there."""
    target = folder / path
    real, inside = os.path.realpath(target), os.path.realpath(folder)
    if not path or os.path.isabs(path) or not real.startswith(inside + os.sep) or real != _plain(inside, path):
        raise _no_file(path, "Only files that lie in the run's output folder themselves are read.")
    try:
        # Neither a link nor a pipe that would never answer.
        descriptor = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _no_file(path, error.strerror or str(error)) from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise _no_file(path, "It is a folder, a pipe or a device.")
        data = os.pread(descriptor, max(1, min(limit, PART_BYTES)), max(0, offset))
    finally:
        os.close(descriptor)
    return OutputPart(
        path=path,
        size=status.st_size,
        modified_at=status.st_mtime,
        offset=max(0, offset),
        data=data,
        text=_is_text(data, cut_before=offset > 0),
    )


def _plain(folder: str, path: str) -> str:
    """Where a path leads if nothing on the way is a link."""
    return os.path.normpath(os.path.join(folder, path))


def _is_text(data: bytes, *, cut_before: bool) -> bool:
    if b"\0" in data:
        return False
    # A letter may be cut at either end of a piece.
    begun = next((place for place, byte in enumerate(data[:4]) if not 0x80 <= byte < 0xC0), 0) if cut_before else 0
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data[begun:])
    except UnicodeDecodeError:
        return False
    return True


def _no_file(path: str, cause: str) -> UsageError:
    return UsageError(
        f"There is no file {path!r} to read.", cause=cause, next_step="See what there is: rondo output RUN"
    )
