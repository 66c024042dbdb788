"""A newer Rondo takes an older database over, after a backup and all at once."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from pathlib import Path

import pytest
from store_rows import started, step

from core.errors import DatabaseProblem, SchemaTooNew
from core.store.migrations import MIGRATIONS, Migration
from core.store.opening import open_database
from core.store.schema import APPLICATION_ID, SCHEMA_VERSION
from core.store.store import Store

NEXT = (
    *MIGRATIONS,
    Migration(
        SCHEMA_VERSION + 1,
        (
            "ALTER TABLE runs ADD COLUMN label TEXT NOT NULL DEFAULT ''",
            "UPDATE runs SET label = 'was here before'",
            "CREATE TABLE notes (run INTEGER NOT NULL, text TEXT NOT NULL)",
        ),
    ),
    Migration(SCHEMA_VERSION + 2, ("CREATE INDEX notes_by_run ON notes(run)",)),
)
BACKUP = f"rondo.db.schema-{SCHEMA_VERSION}.backup"


@pytest.fixture
def older(path: Path) -> Path:
    """A database of the present version with one run of three steps."""

    async def fill() -> None:
        store = await asyncio.to_thread(Store.open, path)
        _, line = await started(store, id="the-run-abcd")
        await store.commit([step(line, 1, ["set", ["n"], 1]), step(line, 2, ["set", ["n"], 2])])
        await store.close()

    asyncio.run(fill())
    return path


def versions(path: Path) -> tuple[int, list[str]]:
    connection = sqlite3.connect(path)
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    connection.close()
    return version, tables


def test_the_versions_follow_each_other_without_a_gap() -> None:
    assert [migration.to for migration in MIGRATIONS] == list(range(2, SCHEMA_VERSION + 1))


def test_an_older_database_is_brought_up_step_by_step(older: Path) -> None:
    connection = open_database(older, migrations=NEXT)
    assert connection.execute("SELECT id, label FROM runs").fetchall() == [("the-run-abcd", "was here before")]
    assert connection.execute("SELECT count(*) FROM steps").fetchone() == (3,)
    connection.close()
    version, tables = versions(older)
    assert version == SCHEMA_VERSION + 2 and "notes" in tables
    assert sorted(os.listdir(older.parent)) == ["rondo.db", BACKUP]


def test_the_backup_is_the_database_as_it_was(older: Path) -> None:
    open_database(older, migrations=NEXT).close()

    async def check() -> None:
        store = await asyncio.to_thread(lambda: Store.open(older.with_name(BACKUP), check=True))
        await store.start_reads()
        record = await store.run("the-run-abcd")
        assert record.line is not None and await store.state_at(record.line) == (2, b'{"n":2}')
        await store.close()

    asyncio.run(check())


def test_a_database_that_is_up_to_date_is_left_alone(older: Path) -> None:
    open_database(older, migrations=NEXT).close()
    os.unlink(older.with_name(BACKUP))
    open_database(older, migrations=NEXT).close()
    assert os.listdir(older.parent) == ["rondo.db"]


def test_after_a_migration_an_older_rondo_refuses_the_database(older: Path) -> None:
    open_database(older, migrations=NEXT).close()
    with pytest.raises(SchemaTooNew):
        open_database(older)


@pytest.mark.parametrize("broken", ["CREATE TABLE notes (again)", "INSERT INTO runs(number) VALUES (7)", "no SQL"])
def test_a_migration_that_fails_changes_nothing(older: Path, broken: str) -> None:
    before = versions(older)
    first = NEXT[-2]
    failing = (Migration(first.to, (*first.statements, broken)),)
    with pytest.raises(DatabaseProblem, match=f"from schema {SCHEMA_VERSION} to {first.to}") as caught:
        open_database(older, migrations=failing)
    assert BACKUP in caught.value.next_step
    assert versions(older) == before
    connection = open_database(older)
    assert connection.execute("SELECT count(*) FROM steps").fetchone() == (3,)
    connection.close()
    open_database(older, migrations=NEXT).close()
    assert versions(older)[0] == SCHEMA_VERSION + 2


def shape(connection: sqlite3.Connection) -> dict[str, object]:
    """Every table's columns and every index's, whatever text made them."""
    tables = connection.execute("SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'").fetchall()
    found: dict[str, object] = {}
    for kind, name in tables:
        pragma = "table_xinfo" if kind == "table" else "index_xinfo"
        columns = connection.execute(f"PRAGMA {pragma}('{name}')").fetchall()
        # Columns that came later stand last in one and may stand elsewhere in the other.
        found[name] = sorted(column[1:] for column in columns) if kind == "table" else columns
        if kind == "table":
            indexes = connection.execute(f"PRAGMA index_list('{name}')").fetchall()
            found[f"indexes of {name}"] = sorted(index[1:] for index in indexes)
    return found


def test_a_database_of_the_first_version_becomes_equal_to_a_fresh_one(path: Path) -> None:
    old = sqlite3.connect(path)
    old.executescript((Path(__file__).parent / "schema_1.sql").read_text())
    old.executescript(f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 1")
    old.execute("INSERT INTO meta VALUES ('written_by', '0.1.0')")
    old.commit()
    old.close()
    migrated = open_database(path)
    fresh = open_database(path.with_name("fresh.db"))
    assert migrated.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    assert shape(migrated) == shape(fresh)
    migrated.close()
    fresh.close()
