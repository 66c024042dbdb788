"""What SQLite and the system say when something is wrong, in words a person can act on."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from pathlib import Path

from core.errors import (
    DatabaseBusy,
    DatabaseDamaged,
    DatabaseProblem,
    DatabaseReplaced,
    DiskFull,
    EngineStopping,
    FolderReadOnly,
    RondoError,
    StoreError,
)

TOO_LITTLE_SPACE = 1024 * 1024
"""With fewer free bytes than this an input/output error is taken for a full disk: SQLite can't always tell."""

PRIMARY_CODE = 0xFF
"""Extended result codes carry the primary one in their low byte."""


def problem_from(error: sqlite3.Error, path: Path) -> RondoError:
    """The error to show for what SQLite said about the database at `path`."""
    code = getattr(error, "sqlite_errorcode", None)
    if isinstance(error, sqlite3.ProgrammingError | sqlite3.InterfaceError):
        return value_unusable(error)
    if code is None:
        return DatabaseProblem(f"{path} can't be used.", cause=str(error), next_step=_doctor())
    if code == sqlite3.SQLITE_READONLY_DBMOVED:
        return database_replaced(path, str(error))
    match code & PRIMARY_CODE:
        case sqlite3.SQLITE_FULL:
            return disk_full(path, str(error))
        case sqlite3.SQLITE_IOERR:
            return disk_full(path, str(error)) if free_bytes(path) < TOO_LITTLE_SPACE else _disk_error(path, error)
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return _not_writable(path, str(error))
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED | sqlite3.SQLITE_PROTOCOL:
            return DatabaseBusy(
                f"Another program holds {path}.",
                cause=f"SQLite: {error}.",
                next_step="Close the program that has it open (a database browser, a backup); Rondo then goes on.",
            )
        case sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_CORRUPT:
            return database_damaged(path, f"SQLite: {error}")
        case sqlite3.SQLITE_CONSTRAINT:
            return StoreError(
                "What was to be stored contradicts what is stored.",
                cause=f"SQLite: {error}.",
                next_step="Nothing of it was kept. Report it: Rondo should not have tried.",
            )
        case sqlite3.SQLITE_TOOBIG:
            return StoreError(
                "A value is too large to be stored.",
                cause=f"SQLite: {error}; a value may have at most 1 GB.",
                next_step="Keep it in a file, and the file's name in the state.",
            )
    return DatabaseProblem(f"{path} can't be used.", cause=f"SQLite: {error}.", next_step=_doctor())


def problem_from_system(error: OSError, path: Path) -> RondoError:
    """The error to show for what the system said about a file beside the database or the database itself."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return disk_full(path, error.strerror or str(error))
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return _not_writable(path, error.strerror or str(error))
    return DatabaseProblem(f"{path} can't be used.", cause=f"{error.strerror or error}.", next_step=_doctor())


def value_unusable(error: Exception) -> StoreError:
    """A value has a type, a size or characters that the database can't hold."""
    return StoreError(
        "A value can't be stored.",
        cause=f"{type(error).__name__}: {error}.",
        next_step="Nothing of it was kept. Report it: Rondo should not have tried.",
    )


def database_damaged(path: Path, cause: str) -> DatabaseDamaged:
    """The file as a whole is not a sound database."""
    return DatabaseDamaged(
        f"The database {path} is damaged.",
        cause=f"{cause}.",
        next_step=(
            f"Nothing was changed. Copy {path} and the files {path.name}-wal and {path.name}-shm to a safe place, "
            "then put the newest backup there, or recover what is left with: sqlite3 "
            f"{path} .recover"
        ),
    )


def row_damaged(table: str, row: str, line: int | None = None) -> DatabaseDamaged:
    """One row is not what was written; `row` names it, such as "line 3, seq 12", `line` is the one it belongs to."""
    return DatabaseDamaged(
        f"A row of {table} is damaged: {row}.",
        cause="Its checksum doesn't fit its content: the file was changed from outside, or the disk failed.",
        next_step="Rows before it can be read. Put a backup of the database back, and check the disk.",
        details=_of_line(line),
    )


def rows_missing(table: str, rows: str, line: int | None = None) -> DatabaseDamaged:
    """Rows that must be there are not."""
    return DatabaseDamaged(
        f"Rows of {table} are missing: {rows}.",
        cause="They were stored before: the file was changed from outside, or the disk failed.",
        next_step="Put a backup of the database back, and check the disk.",
        details=_of_line(line),
    )


def step_unusable(line: int, seq: int, error: Exception) -> DatabaseDamaged:
    """A step is as it was written, but what it says can't be applied to the state before it."""
    return DatabaseDamaged(
        f"Step {seq} of line {line} can't be applied to the state before it.",
        cause=f"Its delta was stored like that: {type(error).__name__}: {error}.",
        next_step=f"The state up to step {seq - 1} can be read; go on from there, and report it.",
        details=_of_line(line),
    )


def database_replaced(path: Path, cause: str) -> DatabaseReplaced:
    """The open file is not the one at the path any more."""
    return DatabaseReplaced(
        f"The database {path} was removed or replaced while it was open.",
        cause=f"{cause}.",
        next_step="Put the file back, then start the engine again: rondo engine stop, then rondo engine start.",
    )


def disk_full(path: Path, cause: str) -> DiskFull:
    """No room for the database or its log."""
    return DiskFull(
        f"The disk that holds {path.parent} is full.",
        cause=f"{free_bytes(path) // 1024} KiB are free there; SQLite: {cause}.",
        next_step="Free some space. Nothing that was acknowledged is lost, and runs go on by themselves.",
    )


def store_closed() -> EngineStopping:
    """The store takes no more work."""
    return EngineStopping(
        "The store is closed.", cause="The engine is stopping.", next_step="Try again when the engine runs."
    )


def folder_read_only(path: Path) -> FolderReadOnly | None:
    """The error to show where nothing new can be written beside the database; None where all is well."""
    folder = path.parent
    if not folder.is_dir() or os.access(folder, os.W_OK | os.X_OK):
        return None
    return FolderReadOnly(
        f"The folder {folder} can't be written.",
        cause=f"{_rights(folder)}. What is open is still written, but no new file can be made there.",
        next_step=f"Give yourself the right to: chmod u+rwx {folder}. Rondo then goes on by itself.",
    )


def free_bytes(path: Path) -> int:
    """Free space where the file is, for this user; a folder that can't be asked counts as roomy."""
    try:
        return shutil.disk_usage(path.parent).free
    except OSError:
        return TOO_LITTLE_SPACE


def _not_writable(path: Path, cause: str) -> DatabaseProblem:
    folder = path.parent
    if not os.access(folder, os.W_OK | os.X_OK):
        return FolderReadOnly(
            f"The folder {folder} can't be written.",
            cause=f"{_rights(folder)}; SQLite: {cause}.",
            next_step="Give yourself the right to write there, or use a workspace elsewhere: --workspace DIR.",
        )
    if path.is_file():
        return FolderReadOnly(
            f"The database {path} can't be read and written.",
            cause=f"{_rights(path)}; SQLite: {cause}.",
            next_step=f"Give yourself the rights: chmod u+rw {path}",
        )
    return DatabaseProblem(
        f"The database {path} can't be opened.", cause=f"{_rights(path)}; SQLite: {cause}.", next_step=_doctor()
    )


def _rights(path: Path) -> str:
    """Who owns a file and who may do what with it."""
    try:
        facts = path.stat()
    except OSError as error:
        return f"{path}: {error.strerror}"
    return f"It belongs to user {facts.st_uid}, its mode is {facts.st_mode & 0o7777:04o}, you are user {os.geteuid()}"


def _disk_error(path: Path, error: sqlite3.Error) -> DatabaseProblem:
    return DatabaseProblem(
        f"The disk that holds {path} refused to read or write.",
        cause=f"SQLite: {error} ({error.sqlite_errorname}).",
        next_step="Check the disk and the system's log. Nothing that was acknowledged was taken back.",
    )


def _of_line(line: int | None) -> dict[str, int] | None:
    return None if line is None else {"line": line}


def _doctor() -> str:
    return "Look at it with: rondo doctor"
