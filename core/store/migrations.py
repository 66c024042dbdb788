"""Schema changes: each leads from one version to the next, in one transaction, after a backup."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import DatabaseBusy, DatabaseDamaged, DatabaseProblem, DiskFull, SchemaTooNew
from core.store.backup import copy_database
from core.store.problems import problem_from
from core.store.schema import SCHEMA_VERSION
from core.version import VERSION


@dataclass(frozen=True, slots=True)
class Migration:
    """How a database of version `to` - 1 becomes one of `to`; it only adds, so that rows keep their meaning."""

    to: int
    statements: tuple[str, ...]


MIGRATIONS: tuple[Migration, ...] = (
    Migration(
        to=2,
        statements=(
            "ALTER TABLE requests ADD COLUMN due_at REAL",
            "CREATE TABLE inputs (run INTEGER PRIMARY KEY REFERENCES runs(number), size INTEGER NOT NULL,"
            " operations BLOB NOT NULL, blobs BLOB NOT NULL)",
            "ALTER TABLE steps ADD COLUMN own BLOB NOT NULL DEFAULT x''",
            "CREATE INDEX lines_by_parent ON lines(parent_line) WHERE parent_line IS NOT NULL",
            "CREATE INDEX requests_by_line ON requests(line)",
            "CREATE INDEX commands_by_run ON commands(run) WHERE run IS NOT NULL",
            "CREATE TABLE pruning (what TEXT NOT NULL, name NOT NULL, PRIMARY KEY (what, name)) WITHOUT ROWID",
            "ALTER TABLE versions ADD COLUMN imported INTEGER NOT NULL DEFAULT 0",
            "ALTER TABLE runs ADD COLUMN parent_run INTEGER",
            "ALTER TABLE runs ADD COLUMN parent_node TEXT",
            "ALTER TABLE runs ADD COLUMN parent_visit INTEGER",
            "CREATE INDEX runs_by_parent ON runs(parent_run, number) WHERE parent_run IS NOT NULL",
        ),
    ),
    Migration(
        to=3,
        statements=(
            "CREATE TABLE calls ( number INTEGER PRIMARY KEY, kind TEXT NOT NULL, status TEXT NOT NULL, key "
            "TEXT NOT NULL, nth INTEGER NOT NULL, hash TEXT NOT NULL, run INTEGER, line INTEGER, node TEXT "
            "NOT NULL DEFAULT '', visit INTEGER NOT NULL DEFAULT 0, chat TEXT, model TEXT NOT NULL DEFAULT "
            "'', role TEXT NOT NULL DEFAULT '', title TEXT NOT NULL DEFAULT '', started_at REAL NOT NULL, "
            "ended_at REAL, input_tokens INTEGER NOT NULL DEFAULT 0, output_tokens INTEGER NOT NULL DEFAULT "
            "0, cache_read_tokens INTEGER NOT NULL DEFAULT 0, cost REAL, request BLOB NOT NULL, reply BLOB "
            "NOT NULL DEFAULT x'', error TEXT, crc INTEGER NOT NULL, spent INTEGER NOT NULL DEFAULT 0 )",
            "ALTER TABLE runs ADD COLUMN replay TEXT NOT NULL DEFAULT ''",
            "ALTER TABLE runs ADD COLUMN pause_reason TEXT NOT NULL DEFAULT ''",
            "CREATE TABLE breakpoints ( workflow TEXT NOT NULL, run INTEGER NOT NULL, node TEXT NOT NULL, set_at "
            "REAL NOT NULL, PRIMARY KEY (workflow, run, node) ) WITHOUT ROWID",
            "CREATE INDEX requests_of_budgets ON requests(answered_at) WHERE kind = 'budget'",
            "CREATE INDEX calls_by_key ON calls(key, nth, number)",
            "CREATE INDEX calls_by_run ON calls(run, number) WHERE run IS NOT NULL",
            "CREATE INDEX calls_by_chat ON calls(chat, number) WHERE chat IS NOT NULL",
            "CREATE INDEX calls_by_time ON calls(started_at)",
            "CREATE TABLE chats ( id TEXT PRIMARY KEY, workflow TEXT, title TEXT NOT NULL, mode TEXT NOT "
            "NULL, created_at REAL NOT NULL, updated_at REAL NOT NULL, busy INTEGER NOT NULL DEFAULT 0, "
            "tainted INTEGER NOT NULL DEFAULT 0, tries INTEGER NOT NULL DEFAULT 0 ) WITHOUT ROWID",
            "CREATE TABLE memories ( chat TEXT PRIMARY KEY, content BLOB NOT NULL, crc INTEGER NOT NULL ) "
            "WITHOUT ROWID",
            "CREATE INDEX chats_by_workflow ON chats(workflow, updated_at)",
            "CREATE TABLE entries ( chat TEXT NOT NULL, number INTEGER NOT NULL, kind TEXT NOT NULL, at REAL "
            "NOT NULL, revision INTEGER NOT NULL, replaced INTEGER NOT NULL DEFAULT 0, content BLOB NOT "
            "NULL, crc INTEGER NOT NULL, PRIMARY KEY (chat, number) ) WITHOUT ROWID",
            "CREATE INDEX entries_by_revision ON entries(chat, revision)",
            "CREATE TABLE proposals ( id TEXT PRIMARY KEY, number INTEGER NOT NULL, chat TEXT NOT NULL, "
            "workflow TEXT NOT NULL, status TEXT NOT NULL, base TEXT, created_at REAL NOT NULL, decided_at "
            "REAL, content BLOB NOT NULL, crc INTEGER NOT NULL ) WITHOUT ROWID",
            "CREATE INDEX proposals_by_workflow ON proposals(workflow, status)",
            "CREATE INDEX proposals_by_chat ON proposals(chat, created_at)",
            "CREATE TABLE edits ( number INTEGER PRIMARY KEY, workflow TEXT NOT NULL, at REAL NOT NULL, "
            "author TEXT NOT NULL, title TEXT NOT NULL, before TEXT, after TEXT, chat TEXT, proposal TEXT, "
            "undoes INTEGER, undone_by INTEGER, content BLOB NOT NULL, crc INTEGER NOT NULL )",
            "CREATE INDEX edits_by_workflow ON edits(workflow, number)",
            "CREATE TABLE changing ( workflow TEXT PRIMARY KEY, version TEXT NOT NULL, command TEXT NOT NULL, "
            "method TEXT NOT NULL, arguments TEXT NOT NULL ) WITHOUT ROWID",
        ),
    ),
)
"""In order, without gaps, the last one leading to SCHEMA_VERSION; version 1 is where databases begin."""


def schema_version(connection: sqlite3.Connection) -> int:
    """The version that the database says it has."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def newest_version(migrations: Sequence[Migration]) -> int:
    """The version that this Rondo works with."""
    return migrations[-1].to if migrations else SCHEMA_VERSION


def check_version(connection: sqlite3.Connection, path: Path, migrations: Sequence[Migration]) -> None:
    """Raise SchemaTooNew for a database that a newer Rondo wrote."""
    newest, present = newest_version(migrations), schema_version(connection)
    if present > newest:
        raise _too_new(connection, path, present, newest)


def migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[Migration]) -> Path | None:
    """Bring the database up to the newest version that is known; return where the backup is, None if nothing was to do.

    The caller holds the engine's lock. Raises the DatabaseProblem family where it fails: then all is as it was.
    """
    newest, present = newest_version(migrations), schema_version(connection)
    waiting = [migration for migration in migrations if migration.to > present]
    if not waiting:
        return None
    backup = path.with_name(f"{path.name}.schema-{present}.backup")
    copy_database(connection, backup)
    connection.execute("BEGIN IMMEDIATE")
    try:
        for migration in waiting:
            for statement in migration.statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {newest:d}")
        connection.execute("UPDATE meta SET value = ? WHERE key = 'written_by'", (VERSION,))
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        connection.rollback()
        problem = problem_from(error, path)
        if isinstance(problem, DiskFull | DatabaseBusy | DatabaseDamaged):
            raise problem from error
        raise DatabaseProblem(
            f"The database {path} could not be brought from schema {present} to {newest}.",
            cause=f"SQLite: {error}.",
            next_step=f"Nothing was changed. Use the Rondo you had before, and report it; a copy is at {backup}.",
        ) from error
    return backup


def _too_new(connection: sqlite3.Connection, path: Path, present: int, newest: int) -> SchemaTooNew:
    try:
        row = connection.execute("SELECT value FROM meta WHERE key = 'written_by'").fetchone()
    except sqlite3.Error:
        row = None
    writer = f"Rondo {row[0]}" if row else "a newer Rondo"
    return SchemaTooNew(
        f"The database {path} was written by {writer}.",
        cause=f"It has schema {present}; this Rondo ({VERSION}) knows schemas up to {newest}.",
        next_step=f"Use {writer} or newer for this workspace. Nothing was changed.",
    )
