"""Runs of the Grapheteria API in an SQLite file."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

from core.errors import DatabaseProblem
from core.grapheteria.errors import StoreUnreadable
from core.grapheteria.storage import StorageBackend, TrackingData, join_data, split_data

WAIT_SECONDS = 30

# `workflow_states` is what programs read: one row a run. As a table it would be written whole with every step.
SCHEMA = """
CREATE TABLE IF NOT EXISTS run_headers (
    workflow_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    header_json TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (workflow_id, run_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS run_steps (
    workflow_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    step INTEGER NOT NULL,
    state_json TEXT NOT NULL,
    PRIMARY KEY (workflow_id, run_id, step)
) WITHOUT ROWID;
CREATE VIEW IF NOT EXISTS workflow_states AS
SELECT workflow_id, run_id,
    substr(header_json, 1, length(header_json) - 1) || ',"steps":[' || coalesce((
        SELECT group_concat(state_json, ',') FROM (
            SELECT state_json FROM run_steps
            WHERE run_steps.workflow_id = run_headers.workflow_id AND run_steps.run_id = run_headers.run_id
            ORDER BY step
        )
    ), '') || ']}' AS state_json,
    updated_at
FROM run_headers;
"""


class SQLiteStorage(StorageBackend):
    """Runs in an SQLite file; `workflow_states(workflow_id, run_id, state_json, updated_at)` has one row a run.

    A step is one row of its own, committed before the call returns. `updated_at` is UTC. Engines of several threads
    and processes may share the file.
    """

    def __init__(self, db_path: str | os.PathLike[str] = "workflows.db") -> None:
        self.db_path = os.fspath(db_path)
        with self._transaction() as connection:
            kind = connection.execute("SELECT type FROM sqlite_master WHERE name = 'workflow_states'").fetchone()
            if kind == ("table",):
                raise StoreUnreadable(
                    f"{self.db_path} has a table workflow_states that this program did not make.",
                    cause="Another program keeps its runs there; reading them could run code.",
                    next_step="Give SQLiteStorage another db_path.",
                )
            for statement in SCHEMA.split(";\n"):
                connection.execute(statement)

    def save_state(self, workflow_id: str, run_id: str, data: TrackingData) -> None:
        """Keep the whole tracking data of a run in place of what was there."""
        with self._transaction() as connection:
            self._save(connection, workflow_id, run_id, data, 0)

    def save_last_step(self, workflow_id: str, run_id: str, data: TrackingData) -> None:
        """Add the last step to those that are stored."""
        last = len(data["steps"]) - 1
        with self._transaction() as connection:
            stored = connection.execute(
                "SELECT count(*) FROM run_steps WHERE workflow_id = ? AND run_id = ?", (workflow_id, run_id)
            ).fetchone()[0]
            self._save(connection, workflow_id, run_id, data, last if stored == last else 0)

    def load_state(self, workflow_id: str, run_id: str) -> TrackingData | None:
        """The tracking data of a run, None where there is none."""
        run = (workflow_id, run_id)
        with self._transaction() as connection:
            header = connection.execute(
                "SELECT header_json FROM run_headers WHERE workflow_id = ? AND run_id = ?", run
            ).fetchone()
            steps = connection.execute(
                "SELECT state_json FROM run_steps WHERE workflow_id = ? AND run_id = ? ORDER BY step", run
            ).fetchall()
        return join_data(header[0], (step for (step,) in steps)) if header is not None else None

    def list_runs(self, workflow_id: str) -> list[str]:
        """The ids of a workflow's runs, sorted."""
        with self._transaction() as connection:
            rows = connection.execute(
                "SELECT run_id FROM run_headers WHERE workflow_id = ? ORDER BY run_id", (workflow_id,)
            ).fetchall()
        return [run_id for (run_id,) in rows]

    def list_workflows(self) -> list[str]:
        """The ids of the workflows that have runs, sorted."""
        with self._transaction() as connection:
            rows = connection.execute("SELECT DISTINCT workflow_id FROM run_headers ORDER BY workflow_id").fetchall()
        return [workflow_id for (workflow_id,) in rows]

    def _save(
        self, connection: sqlite3.Connection, workflow_id: str, run_id: str, data: TrackingData, first: int
    ) -> None:
        """Write the run's header and its steps from `first` on."""
        header, steps = split_data({**data, "steps": data["steps"][first:]})
        connection.execute(
            "INSERT OR REPLACE INTO run_headers VALUES (?, ?, ?, strftime('%Y-%m-%d %H:%M:%f', 'now'))",
            (workflow_id, run_id, header.decode()),
        )
        connection.execute(
            "DELETE FROM run_steps WHERE workflow_id = ? AND run_id = ? AND step >= ?", (workflow_id, run_id, first)
        )
        connection.executemany(
            "INSERT INTO run_steps VALUES (?, ?, ?, ?)",
            ((workflow_id, run_id, number, step.decode()) for number, step in enumerate(steps, first)),
        )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """A connection of its own for each call, so that threads and forked processes never share one."""
        try:
            with closing(sqlite3.connect(self.db_path, timeout=WAIT_SECONDS, isolation_level=None)) as connection:
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise DatabaseProblem(
                f"{self.db_path}: {error}",
                cause="SQLite could not do what the run's storage asked of it; nothing of it was kept.",
                next_step="Check the file, its folder's rights and the space on the disk.",
            ) from error
