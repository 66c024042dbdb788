"""Reading runs, requests, versions and commands."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from core.errors import UnknownLine, UnknownRun
from core.store.reader import Reader
from core.store.records import CommandRecord, LineRecord, RequestRow, RunRecord, VersionRecord, VersionRow, columns

SHORTEST_ENDING = 4
CANDIDATES_NAMED = 5
LAST_CHARACTER = "\U0010ffff"

SELECT_RUNS = f"SELECT {columns(RunRecord)} FROM runs"
SELECT_REQUESTS = f"SELECT {columns(RequestRow)} FROM requests"


class RunReads(Reader):
    """What the store knows of runs as a whole."""

    async def run(self, ref: str) -> RunRecord:
        """The run of that id, or of that unique ending of an id (at least 4 characters). Raises UnknownRun."""
        rows = await self._fetch(f"{SELECT_RUNS} WHERE id = ?", (ref,))
        if not rows and len(ref) >= SHORTEST_ENDING:
            ending = ref[::-1]
            rows = await self._fetch(
                f"{SELECT_RUNS} WHERE reversed_id >= ? AND reversed_id < ? ORDER BY reversed_id LIMIT ?",
                (ending, ending + LAST_CHARACTER, CANDIDATES_NAMED + 1),
            )
        if len(rows) != 1:
            raise _unknown_run(ref, [RunRecord(*row) for row in rows])
        return RunRecord(*rows[0])

    async def is_free(self, id: str) -> bool:
        """True where no run has this id."""
        return await self._fetch_one("SELECT 1 FROM runs WHERE id = ?", (id,)) is None

    async def run_by_number(self, number: int) -> RunRecord:
        """The run of that number. Raises UnknownRun."""
        row = await self._fetch_one(f"{SELECT_RUNS} WHERE number = ?", (number,))
        if row is None:
            raise _unknown_run(f"number {number}", [])
        return RunRecord(*row)

    async def runs_by_numbers(self, numbers: Iterable[int]) -> dict[int, RunRecord]:
        """The runs of these numbers that there are."""
        rows = await self._fetch(
            f"{SELECT_RUNS} WHERE number IN (SELECT value FROM json_each(?))", (json.dumps(list(numbers)),)
        )
        return {record.number: record for record in (RunRecord(*row) for row in rows)}

    async def runs(
        self,
        workflow: str | None = None,
        status: str | None = None,
        before: str | None = None,
        limit: int = 50,
        *,
        top: bool = False,
        words: Sequence[str] = (),
        created: tuple[float | None, float | None] = (None, None),
        ids: Sequence[str] | None = None,
        between: tuple[int | None, int | None] = (None, None),
    ) -> list[RunRecord]:
        """A page of runs, newest first; `before` is the id of the last run seen. Raises UnknownRun for that one.

        With `top`, runs of subflows are left out. Each of `words` is a part of the workflow's name or of the id, in any
        case of ASCII letters; `created` are the first and last time, `between` two numbers that are not among them.
        Where the lower one is given, the page is the one next to it.
        """
        above, below = between
        filters: list[str] = []
        values: list[str | int | float] = []
        for name, value in (("workflow", workflow), ("status", status)):
            if value is not None:
                filters.append(f"{name} = ?")
                values.append(value)
        if top:
            filters.append("parent_run IS NULL")
        for word in words:
            filters.append("(instr(lower(workflow), ?) OR instr(id, ?))")
            values += [_lower(word), _lower(word)]
        if ids is not None:
            filters.append("id IN (SELECT value FROM json_each(?))")
            values.append(json.dumps(list(ids)))
        last_seen = (await self.run(before)).number if before is not None else None
        for comparison, bound in (
            ("created_at >= ?", created[0]),
            ("created_at <= ?", created[1]),
            ("number < ?", last_seen),
            ("number < ?", below),
            ("number > ?", above),
        ):
            if bound is not None:
                filters.append(comparison)
                values.append(bound)
        condition = f"WHERE {' AND '.join(filters)}" if filters else ""
        order = "DESC" if above is None else "ASC"
        rows = await self._fetch(f"{SELECT_RUNS} {condition} ORDER BY number {order} LIMIT ?", (*values, limit))
        records = [RunRecord(*row) for row in rows]
        return records if above is None else records[::-1]

    async def runs_not_at_rest(self) -> list[RunRecord]:
        """Every run that goes on by itself, oldest first."""
        rows = await self._fetch(
            f"{SELECT_RUNS} WHERE status IN ('queued', 'running', 'waiting_timer') ORDER BY number"
        )
        return [RunRecord(*row) for row in rows]

    async def children(self, parent: int, limit: int) -> list[RunRecord]:
        """The runs of subflows that a run's nodes ran or run, the newest first."""
        rows = await self._fetch(f"{SELECT_RUNS} WHERE parent_run = ? ORDER BY number DESC LIMIT ?", (parent, limit))
        return [RunRecord(*row) for row in rows]

    async def unfinished_children(self) -> list[RunRecord]:
        """Every run of a subflow that has no final status."""
        rows = await self._fetch(
            f"{SELECT_RUNS} WHERE parent_run IS NOT NULL"
            " AND status NOT IN ('completed', 'failed', 'cancelled') ORDER BY number"
        )
        return [RunRecord(*row) for row in rows]

    async def run_counts_by_status(self) -> dict[str, int]:
        """How many runs have each status; statuses that no run has are left out."""
        rows = await self._fetch("SELECT status, count(*) FROM runs GROUP BY status")
        return {row[0]: row[1] for row in rows}

    async def last_runs(self, workflows: Iterable[str]) -> dict[str, RunRecord]:
        """The newest run of each of these workflows that has one."""
        rows = await self._fetch(
            f"{SELECT_RUNS} WHERE number IN (SELECT (SELECT max(number) FROM runs WHERE workflow = names.value)"
            " FROM json_each(?) AS names)",
            (json.dumps(list(workflows)),),
        )
        return {record.workflow: record for record in (RunRecord(*row) for row in rows)}

    async def lines(self, run_number: int) -> list[LineRecord]:
        """Every line of a run, oldest first."""
        rows = await self._fetch(f"SELECT {columns(LineRecord)} FROM lines WHERE run = ? ORDER BY line", (run_number,))
        return [LineRecord(*row) for row in rows]

    async def line_by_number(self, number: int) -> LineRecord:
        """One line of some run. Raises UnknownLine."""
        row = await self._fetch_one(f"SELECT {columns(LineRecord)} FROM lines WHERE line = ?", (number,))
        if row is None:
            raise UnknownLine(f"There is no line {number}.", next_step="See the lines of a run: rondo show RUN")
        return LineRecord(*row)

    async def requests(
        self, run_number: int | None = None, line: int | None = None, status: str | None = None
    ) -> list[RequestRow]:
        """Requests of a run, of a line or of all runs, oldest first."""
        filters: list[str] = []
        values: list[str | int] = []
        if run_number is not None:
            filters.append("run = ?")
            values.append(run_number)
        if line is not None:
            # Requests are found by their run; a line's run is one look-up.
            filters.append("run = (SELECT run FROM lines WHERE line = ?) AND line = ?")
            values += [line, line]
        if status == "open":
            # As a literal, because the index of open requests serves nothing else.
            filters.append("status = 'open'")
        elif status is not None:
            filters.append("status = ?")
            values.append(status)
        condition = f"WHERE {' AND '.join(filters)}" if filters else ""
        rows = await self._fetch(f"{SELECT_REQUESTS} {condition} ORDER BY number", values)
        return [RequestRow(*row) for row in rows]

    async def open_timers(self) -> list[RequestRow]:
        """Every open request of kind timer, of all runs."""
        rows = await self._fetch(f"{SELECT_REQUESTS} WHERE status = 'open' AND kind = 'timer' ORDER BY number")
        return [RequestRow(*row) for row in rows]

    async def next_due(self, lines: Sequence[int]) -> dict[int, float]:
        """When the first open timer of each of these lines is due; lines without one are left out."""
        rows = await self._fetch(
            "SELECT line, min(due_at) FROM requests WHERE status = 'open' AND kind = 'timer'"
            f" AND line IN ({', '.join('?' * len(lines))}) GROUP BY line",
            lines,
        )
        return {row[0]: row[1] for row in rows}

    async def open_request_counts(self, lines: Sequence[int]) -> dict[int, int]:
        """How many open requests a person can answer each of these lines has; lines without any are left out."""
        rows = await self._fetch(
            "SELECT line, count(*) FROM requests WHERE status = 'open' AND kind NOT IN ('timer', 'subflow')"
            f" AND line IN ({', '.join('?' * len(lines))}) GROUP BY line",
            lines,
        )
        return {row[0]: row[1] for row in rows}

    async def version(self, hash: str) -> VersionRecord | None:
        """A stored version with its files, each checked against its hash. Raises DatabaseDamaged."""
        row = await self._fetch_one(
            "SELECT hash, workflow, graph, files, created_at FROM versions WHERE hash = ?", (hash,)
        )
        if row is None:
            return None
        names: list[tuple[str, str]] = json.loads(row[3])
        blobs = await self._blobs([bytes.fromhex(name) for _, name in names])
        files = {path: blobs[bytes.fromhex(name)] for path, name in names}
        return VersionRecord(row[0], row[1], row[2], files, row[4])

    async def is_imported(self, hash: str) -> bool:
        """True for a version that came with an imported run and was never in a folder here."""
        rows = await self._fetch("SELECT 1 FROM versions WHERE hash = ? AND imported = 1", (hash,))
        return bool(rows)

    async def versions(self, workflow: str) -> list[VersionRow]:
        """Every stored version of a workflow, newest first, without files."""
        rows = await self._fetch(
            f"SELECT {columns(VersionRow)} FROM versions WHERE workflow = ? ORDER BY created_at DESC, hash", (workflow,)
        )
        return [VersionRow(*row) for row in rows]

    async def version_files(self, workflow: str) -> dict[str, dict[str, str]]:
        """The files of every stored version of a workflow: by its hash, the hash of each content by path."""
        rows = await self._fetch("SELECT hash, files FROM versions WHERE workflow = ?", (workflow,))
        return {row[0]: dict(json.loads(row[1])) for row in rows}

    async def version_runs(self, workflow: str) -> dict[str, tuple[int, float]]:
        """How many runs of a workflow are on each version, and when the last of them began to exist."""
        rows = await self._scan(
            "SELECT version, count(*), max(created_at) FROM runs WHERE workflow = ? GROUP BY version", (workflow,)
        )
        return {row[0]: (row[1], row[2]) for row in rows}

    async def command(self, id: str) -> CommandRecord | None:
        """The command of that id."""
        row = await self._fetch_one(f"SELECT {columns(CommandRecord)} FROM commands WHERE id = ?", (id,))
        return None if row is None else CommandRecord(*row)


def _unknown_run(ref: str, candidates: list[RunRecord]) -> UnknownRun:
    if not candidates:
        short = len(ref) < SHORTEST_ENDING
        return UnknownRun(
            f"There is no run {ref!r} in this workspace.",
            cause=f"An ending of an id needs at least {SHORTEST_ENDING} characters." if short else "No id ends so.",
            next_step="See the runs there are: rondo runs",
        )
    named = candidates[:CANDIDATES_NAMED]
    more = " and more" if len(candidates) > CANDIDATES_NAMED else ""
    return UnknownRun(
        f"{ref!r} is the ending of several runs.",
        cause=f"They are {', '.join(f'{record.id} ({record.workflow})' for record in named)}{more}.",
        next_step="Give more characters of the id.",
        details=[record.id for record in named],
    )


def _lower(word: str) -> str:
    """The word as SQLite's lower() writes it, which knows ASCII letters only."""
    return "".join(letter.lower() if letter.isascii() else letter for letter in word)
