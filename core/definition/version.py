"""A version: the files of a workflow that decide what it does, and the one hash of their contents.

To it belong NAME.json, tools.json, requirements.txt, every *.py below the folder and the paths listed under `files`.
Not to it: backups/, output/, dot files, dot folders and __pycache__.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from core.definition.finding import Report
from core.definition.json_text import SIZE_LIMIT
from core.definition.text import visible

FILE_LIMIT = SIZE_LIMIT
"""Largest file of a version in bytes."""
TOTAL_LIMIT = 32 * 1024 * 1024
"""Largest version in bytes."""
COUNT_LIMIT = 2_000
"""Most files of a version."""
_ENTRY_LIMIT = 20_000
"""Most folder entries that are looked at: a workflow's folder is no place for a data lake."""
_DEPTH_LIMIT = 30

_OUTSIDE = frozenset({"backups", "output"})
"""Folders right below the workflow's that never belong to a version."""

_LENGTHS = struct.Struct("!QQ")


def version_hash(files: Mapping[str, bytes]) -> str:
    """The version of files by path: SHA-256 in hex over every path, length and content, in order of the paths."""
    digest = hashlib.sha256(b"rondo version 1\n")
    for path in sorted(files, key=str.encode):
        name, content = path.encode(), files[path]
        digest.update(_LENGTHS.pack(len(name), len(content)))
        digest.update(name)
        digest.update(content)
    return digest.hexdigest()


class FolderReader:
    """Reads a version's files from a folder; whatever can't be read becomes a finding and makes it incomplete."""

    def __init__(self, folder: Path, name: str, report: Report) -> None:
        self.files: dict[str, bytes] = {}
        self.complete = True
        self._folder = folder
        self._name = name
        self._report = report
        self._size = 0

    def read_own(self) -> None:
        """Read what belongs to every version: the graph, tools.json, requirements.txt and the code."""
        for path in (f"{self._name}.json", "tools.json", "requirements.txt"):
            if os.path.lexists(self._folder / path):
                self._read(path)
        for path in self._code_paths():
            if len(self.files) >= COUNT_LIMIT:
                self._problem("E112", f"The workflow has more than {COUNT_LIMIT} files.", "", _TOO_MUCH_HINT)
                return
            self._read(path)
            if self._size > TOTAL_LIMIT:
                return

    def read_listed(self, listed: Mapping[int, str]) -> None:
        """Read the files that the graph lists under `files`, by their position there."""
        if len(listed) + len(self.files) > COUNT_LIMIT:
            message = f"The workflow has more than {COUNT_LIMIT} files."
            self._problem("E112", message, "files", _TOO_MUCH_HINT, ("files",))
            return
        for index, text in listed.items():
            where = ("files", index)
            problem = listed_path_problem(text)
            if problem:
                self.complete = False
                self._report.add("E113", f"{text!r} {problem}.", path=where, hint=_FILES_HINT)
                continue
            path = str(PurePosixPath(text))
            if path in self.files:
                continue
            if not os.path.lexists(self._folder / path):
                self.complete = False
                self._report.add("E113", f"{text!r} is listed but not there.", path=where, hint=_FILES_HINT)
                continue
            self._read(path, listed_at=where)
            if self._size > TOTAL_LIMIT:
                return

    def _code_paths(self) -> Iterator[str]:
        """Every *.py below the folder, in order."""
        entries = 0
        stack: list[str] = [""]
        while stack:
            below = stack.pop()
            try:
                names = sorted(os.listdir(self._folder / below))
            except OSError as error:
                self._problem("E112", f"The folder can't be read: {_reason(error)}.", below)
                continue
            folders: list[str] = []
            for name in names:
                entries += 1
                if entries > _ENTRY_LIMIT:
                    self._problem("E112", f"The folder holds more than {_ENTRY_LIMIT} entries.", "", _TOO_MUCH_HINT)
                    return
                if name.startswith(".") or name == "__pycache__" or (not below and name in _OUTSIDE):
                    continue
                path = f"{below}/{name}" if below else name
                if name.endswith(".py"):
                    yield path
                elif self._is_folder(path):
                    folders.append(path)
            stack += reversed(folders)

    def _is_folder(self, path: str) -> bool:
        try:
            mode = os.lstat(self._folder / path).st_mode
        except OSError:
            return False  # it went away, or can't be looked at: no code of it is known, and importing it will say so
        if stat.S_ISLNK(mode) and os.path.isdir(self._folder / path):
            self._report.add(
                "W206", "Links to folders are not followed: their code is not part of the workflow.", file=path
            )
            return False
        if stat.S_ISDIR(mode) and path.count("/") >= _DEPTH_LIMIT:
            self._problem("E112", f"Folders are nested deeper than {_DEPTH_LIMIT} levels.", path)
            return False
        return stat.S_ISDIR(mode)

    def _read(self, path: str, *, listed_at: tuple[str | int, ...] | None = None) -> None:
        """Read one file into `files`, or report why it can't be."""
        if not _is_utf8_name(path):
            self._problem("E112", "The file's name is not valid UTF-8.", path, "Rename the file.")
            return
        # A listed file stays in the workflow's folder; code may be a link into the folder of all workflows.
        border = self._folder if listed_at is not None else self._folder.parent
        try:
            real = os.path.realpath(self._folder / path, strict=True)
            if not Path(real).is_relative_to(os.path.realpath(border)):
                code = "E113" if listed_at is not None else "E118"
                self._problem(
                    code, "The link leaves the folder, so it is not read.", path, "Copy the file here.", listed_at
                )
                return
            content = _read_regular_file(real)
        except OSError as error:
            self._problem("E112", f"Can't be read: {_reason(error)}.", path, "", listed_at)
            return
        if len(content) > FILE_LIMIT:
            code = "E114" if path == f"{self._name}.json" else "E112"
            message = f"Larger than {FILE_LIMIT // 1024} KiB."
            self._problem(code, message, path, "Keep large data outside the workflow's folder.", listed_at)
            return
        self._size += len(content)
        if self._size > TOTAL_LIMIT:
            message = f"The workflow's files are larger than {TOTAL_LIMIT >> 20} MiB in all."
            self._problem("E112", message, path, _TOO_MUCH_HINT)
            return
        self.files[path] = content

    def _problem(
        self, code: str, message: str, file: str, hint: str = "", listed_at: tuple[str | int, ...] | None = None
    ) -> None:
        self.complete = False
        if listed_at is not None:
            self._report.add(code, f"{file!r}: {message}", path=listed_at, hint=hint)
        else:
            self._report.add(code, message, file=file, hint=hint)


_FILES_HINT = "Paths under files are relative to the workflow's folder and stay inside it."
_TOO_MUCH_HINT = (
    "Only the workflow's own code belongs here; an environment goes into a folder whose name starts with a dot."
)


def listed_path_problem(text: str) -> str:
    """Why a path under `files` can't belong to a version, or the empty text."""
    path = PurePosixPath(text)
    if not text.strip() or "\0" in text:
        return "is not a path"
    if path.is_absolute():
        return "is an absolute path"
    if ".." in path.parts:
        return "leaves the workflow's folder"
    if not path.parts:
        return "is not a file"
    if path.parts[0] in _OUTSIDE or any(part.startswith(".") or part == "__pycache__" for part in path.parts):
        return "is in a place that never belongs to a version"
    return ""


def folder_problem(folder: Path) -> tuple[str, str] | None:
    """Why a folder can't be read as a workflow at all, as (code, message); None where it can."""
    try:
        if not os.path.realpath(folder, strict=True).startswith(os.path.join(os.path.realpath(folder.parent), "")):
            return "E118", "The link leaves the folder of the workflows, so it is not followed."
        mode = folder.stat().st_mode
        if stat.S_ISDIR(mode):
            os.stat(os.path.join(folder, "."))
            os.scandir(folder).close()
    except (OSError, ValueError) as error:
        return "E112", f"The folder can't be read: {_reason(error)}."
    return None if stat.S_ISDIR(mode) else ("E112", "This is not a folder.")


def _is_utf8_name(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _read_regular_file(path: str) -> bytes:
    """At most FILE_LIMIT + 1 bytes of a file; raises OSError, also for pipes, devices and folders."""
    # Not blocking: opening a named pipe would otherwise wait for someone to write to it.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(FILE_LIMIT + 1)
    finally:
        os.close(descriptor)


def _reason(error: OSError | ValueError) -> str:
    """The system's words for an error, without the path, which the finding names by itself."""
    strerror = error.strerror if isinstance(error, OSError) else str(error)
    return visible(strerror or type(error).__name__)
