"""Opening the database: made if it is new, refused if it is not ours, damaged, locked or newer."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path

from core.crash_points import crash_point
from core.errors import DatabaseDamaged, ForeignDatabase, WorkspaceMissing
from core.store.backup import remove_database, sync_folder
from core.store.migrations import MIGRATIONS, Migration, check_version, migrate
from core.store.problems import database_damaged, problem_from, problem_from_system
from core.store.schema import APPLICATION_ID, SCHEMA, SCHEMA_VERSION
from core.version import VERSION

BUSY_SECONDS = 5.0
"""How long a statement waits for another program to let the database go."""

LOG_SIZE_LIMIT = 8 * 1024 * 1024
"""Bytes of the write-ahead log that are kept after a checkpoint."""

PAGE_BYTES = 2048
"""Size of a new database's pages. A step writes one or two whole pages into the log, and waits for their sync."""

CACHED_STATEMENTS = 256
DAMAGES_NAMED = 3


def open_database(
    path: Path, *, check: bool = False, migrations: Sequence[Migration] = MIGRATIONS
) -> sqlite3.Connection:
    """The writer's connection to the database at `path`, which is made where there is none.

    With `check` every page is looked at first (about a second for 200 MB). Raises the DatabaseProblem family and
    WorkspaceMissing; a database that is refused is not changed.
    """
    try:
        _prepare_path(path)
        _sync_log(path)
        connection = connect(path)
        try:
            _check_is_ours(connection, path)
            check_version(connection, path, migrations)
            if check:
                _check_pages(connection, path)
            _configure(connection)
            migrate(connection, path, migrations)
            _check_tables(connection, path)
            _check_writable(connection)
        except BaseException:
            connection.close()
            raise
        return connection
    except sqlite3.Error as error:
        raise problem_from(error, path) from error
    except OSError as error:
        raise problem_from_system(error, path) from error


def connect(path: Path) -> sqlite3.Connection:
    """A connection to a database that must be there, with no transactions but those that are asked for."""
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        isolation_level=None,
        timeout=BUSY_SECONDS,
        check_same_thread=False,
        cached_statements=CACHED_STATEMENTS,
    )


def _prepare_path(path: Path) -> None:
    """Make the database where there is none; refuse what only looks as if there was none."""
    if not path.parent.is_dir():
        raise WorkspaceMissing(
            f"The folder {path.parent} is not there.",
            cause="The database lives in it.",
            next_step="Make it, or name another workspace: --workspace DIR.",
        )
    log = Path(f"{path}-wal")
    if not path.exists():
        if log.exists() and log.stat().st_size > 0:
            raise DatabaseDamaged(
                f"The database {path} is gone.",
                cause=f"Its log {log.name} is still there and may hold the last steps; a new database would spoil it.",
                next_step=f"Put {path.name} back beside it; or move the log away, and Rondo begins anew.",
            )
        _create(path)
    elif path.is_file() and path.stat().st_size == 0:
        raise database_damaged(path, "The file is empty: it was cut off, because Rondo never leaves one like that")


def _sync_log(path: Path) -> None:
    """Bring what an engine before this one wrote to the disk.

    One that was killed between writing and syncing leaves commits in the log that everybody can read, and that a power
    cut would still take back: nothing may be built on them before they are on the disk.
    """
    try:
        log = os.open(f"{path}-wal", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        os.fsync(log)
    finally:
        os.close(log)
    sync_folder(path.parent)


def _create(path: Path) -> None:
    """Make a new database under another name and give it its name when it is whole."""
    part = path.with_name(f"{path.name}.new")
    remove_database(part)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{path}-wal")
    try:
        with contextlib.closing(sqlite3.connect(part, isolation_level=None)) as connection:
            connection.execute(f"PRAGMA page_size = {PAGE_BYTES:d}")
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.executescript(SCHEMA)
            connection.execute("INSERT INTO meta(key, value) VALUES ('written_by', ?)", (VERSION,))
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID:d}")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION:d}")
        crash_point("store.create.made")
        os.rename(part, path)
        crash_point("store.create.named")
        sync_folder(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            remove_database(part)
        raise


def _check_is_ours(connection: sqlite3.Connection, path: Path) -> None:
    found = connection.execute("PRAGMA application_id").fetchone()[0]
    if found != APPLICATION_ID:
        mark = f"the mark of another program ({found:#x})" if found else "no program's mark"
        raise ForeignDatabase(
            f"{path} is not a database of Rondo.",
            cause=f"It is a sound SQLite file, but carries {mark}.",
            next_step="Move it away or use another workspace: --workspace DIR. Nothing was changed.",
        )


def _check_tables(connection: sqlite3.Connection, path: Path) -> None:
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()}
    missing = _expected_tables() - tables
    if missing:
        raise database_damaged(path, f"Tables are missing: {', '.join(sorted(missing))}")


def _expected_tables() -> set[str]:
    return set(re.findall(r"^CREATE TABLE (\w+)", SCHEMA, re.MULTILINE))


def _check_pages(connection: sqlite3.Connection, path: Path) -> None:
    findings = [row[0] for row in connection.execute("PRAGMA quick_check").fetchall()]
    if findings != ["ok"]:
        raise database_damaged(path, "; ".join(" ".join(text.split()) for text in findings[:DAMAGES_NAMED]))


def _configure(connection: sqlite3.Connection) -> None:
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise sqlite3.OperationalError(f"this file system can't hold a shared write-ahead log (journal mode {mode})")
    connection.execute("PRAGMA synchronous = FULL")
    if sys.platform == "darwin":
        # There, a plain fsync leaves the data in the disk's own cache.
        connection.execute("PRAGMA fullfsync = ON")
        connection.execute("PRAGMA checkpoint_fullfsync = ON")
    connection.execute(f"PRAGMA journal_size_limit = {LOG_SIZE_LIMIT:d}")
    connection.execute("PRAGMA foreign_keys = ON")


def _check_writable(connection: sqlite3.Connection) -> None:
    """Fail now and not at the first commit; this also makes the log, whose identity is watched from here on."""
    connection.execute("BEGIN IMMEDIATE")
    # For a file without write permission it is this statement that fails, not the one before.
    connection.execute("UPDATE meta SET value = value")
    connection.execute("ROLLBACK")
