"""What clients read of runs: rows from the store, and what only the actors know."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence

import msgspec

from core.engine.call_forms import usage_view
from core.engine.condition_values import seen_conditions
from core.engine.conditions import TAKEN, Conditions, conditions_between
from core.engine.dag_rows import seen_by, settling_of, skipped_view
from core.engine.requests import request_key
from core.engine.runlog import LEVELS
from core.engine.runs import Runs
from core.engine.state_parts import Path as StatePath
from core.engine.state_parts import describe_changes, describe_difference, take_part
from core.engine.subflow_calls import child_of
from core.engine.views import (
    attempt_view,
    child_view,
    line_view,
    log_line,
    parent_view,
    request_view,
    run_row,
    run_view,
    running_view,
    step_view,
)
from core.errors import UnknownLine, UnknownRequest, UnknownRun, UnknownStep, UsageError
from core.flow.graph import Graph
from core.flow.journal import FOR_PEOPLE, SUBFLOW, TIMER
from core.link.routing_types import ConditionsView
from core.link.types import (
    FINAL,
    REPLY_LIMIT,
    ChangeView,
    LineView,
    LogPage,
    LogQuery,
    RequestView,
    RunFilter,
    RunRow,
    RunView,
    SkippedNode,
    StateChunk,
    StatePoint,
    StateView,
    StepPage,
    StepView,
)
from core.places import Workspace
from core.store.records import LogRow, RequestRow, RunRecord, StepRow
from core.store.store import Store

REPLY_BYTES = REPLY_LIMIT * 3 // 4
"""Bytes of JSON that the rows of one reply may have: what is around them needs the rest."""
CHUNK_BYTES = REPLY_LIMIT // 2
STEPS_AT_MOST = 500
ATTEMPTS_AT_MOST = 100
CHILDREN_AT_MOST = 100
TRACEBACKS_BYTES = REPLY_LIMIT // 4
MESSAGE_LENGTH = 300
"""Characters of a text of an error that is not sent whole."""
PROMPT_LENGTH = 4_000
OPTIONS_BYTES = 16 * 1024


class Queries:
    """Reads for clients; nothing here changes anything."""

    def __init__(self, workspace: Workspace, store: Store, runs: Runs) -> None:
        self._workspace = workspace
        self._store = store
        self._runs = runs
        self._chunked: tuple[int, int, bytes] | None = None

    async def record(self, run_id: str) -> RunRecord:
        """The row of a run named by its id or its ending; raises UnknownRun."""
        return await self._store.run(run_id)

    async def get_run(self, run_id: str) -> RunView:
        record = await self.record(run_id)
        actor = self._runs.active(record.id)
        line = record.line or 0
        last = await self._store.last_step(line)
        rows = [] if record.status in FINAL else await self._store.requests(line=line, status="open")
        requests = [request_view(row, record.id, record.workflow) for row in rows]
        log_last = await self._store.last_log_row(record.number)
        position = self._runs.queue_positions().get(record.id, 0)
        inputs_size = len(record.inputs.encode()) or await self._store.large_inputs_size(record.number)
        view = run_view(record, actor, last, requests, log_last, self._workspace.output, position, inputs_size)
        view.skipped = await self._skipped(record, last)
        used = (await self._store.call_totals_of([record.number])).get(record.number)
        view.usage = usage_view(used) if used is not None else None
        await self._add_nesting(view, record, rows)
        return view

    async def _add_nesting(self, view: RunView, record: RunRecord, rows: Sequence[RequestRow]) -> None:
        """Say whose subflow a run is, which runs its own are, and what these ask."""
        if record.parent_run is not None:
            above = await self._store.runs_by_numbers([record.parent_run])
            # The run above may have been pruned.
            view.parent = next((parent_view(parent, record) for parent in above.values()), None)
        awaited = {child_of(row) for row in rows if row.kind == SUBFLOW}
        children = await self._store.children(record.number, CHILDREN_AT_MOST)
        view.children = [child_view(child, child.id in awaited) for child in children]
        if awaited:
            view.nested_input = await self._question_below(awaited)

    async def _question_below(self, run_ids: Iterable[str]) -> RequestView | None:
        """The first question of these runs, and of those that they wait for in turn, oldest first."""
        questions: list[RequestView] = []
        waiting = list(run_ids)
        while waiting:
            try:
                record = await self.record(waiting.pop())
            except UnknownRun:
                continue  # It is about to be started.
            for row in await self._store.requests(line=record.line or 0, status="open"):
                if row.kind == SUBFLOW:
                    waiting.append(child_of(row))
                elif row.kind in FOR_PEOPLE:
                    questions.append(request_view(row, record.id, record.workflow))
        return min(questions, key=lambda question: question.opened_at, default=None)

    async def _skipped(self, record: RunRecord, last: StepRow | None) -> list[SkippedNode]:
        """The nodes of a dag that are skipped; its steps say that it is one."""
        if last is None or '"dag"' not in last.routing:
            return []
        graph = await self.graph_of(record.version)
        if graph is None:
            return []
        return skipped_view(graph, await settling_of(self._store, graph, record.line or 0))

    async def graph_of(self, version: str) -> Graph | None:
        """The graph of a stored version."""
        found = await self._store.version(version)
        return Graph.from_dict(json.loads(found.graph)) if found is not None else None

    async def list_lines(self, run_id: str) -> list[LineView]:
        """Every line of a run, oldest first."""
        record = await self.record(run_id)
        lines = await self._store.lines(record.number)
        totals = await self._store.step_totals([line.line for line in lines])
        views = []
        for number, line in enumerate(lines, start=1):
            parent_run = None
            if number == 1 and line.parent_line is not None:
                parent = await self._store.line_by_number(line.parent_line)
                parent_run = (await self._store.run_by_number(parent.run)).id
            views.append(line_view(line, number, totals.get(line.line, 0), parent_run))
        return views

    async def line_of(self, record: RunRecord, line: int | None) -> int:
        """The run's present line, or one of its lines; raises UnknownLine."""
        if line is None:
            return record.line or 0
        known = [row.line for row in await self._store.lines(record.number)]
        if line not in known:
            raise UnknownLine(
                f"The run {record.id[-8:]} has no such line.",
                cause=f"It has {len(known)} line{'s' if len(known) > 1 else ''}.",
                next_step=f"See them: rondo show {record.id[-8:]}",
            )
        return line

    async def list_runs(self, query: RunFilter) -> list[RunRow]:
        limit = max(1, min(query.limit, 500))
        before = (await self.record(query.before)).id if query.before else None
        records = await self._store.runs(
            query.workflow,
            query.status,
            before,
            limit,
            top=query.top,
            words=query.words,
            created=(query.created_after, query.created_before),
            ids=query.ids,
            between=(query.above, query.below),
        )
        parents = await self._store.runs_by_numbers({r.parent_run for r in records if r.parent_run is not None})
        totals = await self._store.step_totals([record.line or 0 for record in records])
        counts = await self._store.open_request_counts([record.line or 0 for record in records])
        waiting = [record.line or 0 for record in records if record.status == "waiting_timer"]
        dues = await self._store.next_due(waiting) if waiting else {}
        positions = self._runs.queue_positions()
        used = await self._store.call_totals_of([record.number for record in records])
        return [
            run_row(
                record,
                self._runs.active(record.id),
                totals.get(line, 0),
                counts.get(line, 0),
                dues.get(line),
                positions.get(record.id, 0),
                parents[record.parent_run].id if record.parent_run in parents else None,
                usage_view(used[record.number]) if record.number in used else None,
            )
            for record in records
            for line in [record.line or 0]
        ]

    async def list_requests(self) -> list[RequestView]:
        """Every open request that needs a person, oldest first, as many as fit.

        `get_run` has long prompts and options whole.
        """
        views: list[RequestView] = []
        rows = [row for row in await self._store.requests(status="open") if row.kind not in (TIMER, SUBFLOW)]
        rows.sort(key=lambda row: row.opened_at)
        records = await self._store.runs_by_numbers({row.run for row in rows})
        left = REPLY_BYTES
        for row in rows:
            view = request_view(row, records[row.run].id, records[row.run].workflow)
            view.prompt = view.prompt and view.prompt[:PROMPT_LENGTH]
            if len(row.options) > OPTIONS_BYTES:
                view.options = None
            left -= _json_size(view)
            if left < 0:
                break
            views.append(view)
        return views

    async def read_request(self, run_id: str, key: str) -> RequestView:
        record = await self.record(run_id)
        found = [row for row in await self._store.requests(line=record.line or 0) if request_key(row) == key]
        if not found:
            raise UnknownRequest(
                f"This run has no request {key}.",
                cause="It was never asked on the line that the run is on now.",
                next_step=f"See what it waits for: rondo show {record.id[-8:]}",
            )
        view = request_view(found[-1], record.id, record.workflow)
        if _json_size(view) > REPLY_BYTES:
            view.answer = None
        return view

    async def read_steps(self, run_id: str, after: int, limit: int, wanted_line: int | None = None) -> StepPage:
        record = await self.record(run_id)
        line = await self.line_of(record, wanted_line)
        limit = max(1, min(limit, STEPS_AT_MOST))
        actor = self._runs.active(record.id) if line == record.line else None
        flights = list(actor.in_flight.values()) if actor is not None else []
        steps = await self._store.steps(line, after, limit + 1)
        more = len(steps) > limit
        steps = steps[:limit]
        last_seq = steps[-1].seq if more else 2**62
        conditions = await self._conditions_of({step.line for step in steps if step.routing == TAKEN})
        by_seq: dict[int, list[StepView]] = {}
        for row in await self._store.attempts(line, after + 1, last_seq):
            by_seq.setdefault(row.before_seq, []).append(attempt_view(row))
        _shorten_errors([view for seq in sorted(by_seq) for view in by_seq[seq]])
        views: list[StepView] = []
        left = REPLY_BYTES
        for step in steps:
            if step.seq < 1:
                continue
            together = [*by_seq.pop(step.seq, [])[-ATTEMPTS_AT_MOST:], step_view(step, conditions.get(step.line, {}))]
            left -= sum(map(_json_size, together))
            if views and left < 0:
                more = True
                break
            views += together
        if not more:
            views += [view for seq in sorted(by_seq) for view in by_seq[seq]][-ATTEMPTS_AT_MOST:]
            done = {(view.node, view.visit, view.attempt) for view in views}
            views += [running_view(f) for f in flights if (f.node, f.visit, f.attempt) not in done]
        return StepPage(steps=views, total=await self._store.step_total(line), more=more)

    async def _conditions_of(self, lines: set[int]) -> dict[int, Conditions]:
        """The conditions of the graphs by which these lines went; a fork's history has lines of other versions."""
        found: dict[int, Conditions] = {}
        for line in lines:
            graph = await self._graph_of(line)
            if graph is not None:
                found[line] = conditions_between(graph)
        return found

    async def _graph_of(self, line: int) -> Graph | None:
        """The graph of the version that a line belongs to."""
        version = await self._store.version((await self._store.line_by_number(line)).version)
        if version is None:
            return None
        return await asyncio.to_thread(lambda text: Graph.from_dict(json.loads(text)), version.graph)

    async def read_conditions(self, run_id: str, seq: int, wanted_line: int | None = None) -> ConditionsView:
        """What the conditions had before them after a step: in mode dag what its node saw, which may be less than the
        state of the run."""
        record = await self.record(run_id)
        line = await self.line_of(record, wanted_line)
        at, state = await self._state(run_id, seq, line)
        rows = await self._store.steps(line, at - 1, 1)
        view = ConditionsView(
            run_id=record.id, line=line, step=at, node=rows[0].node if rows and at else "", conditions=[]
        )
        # A step that a fork or rewind goes on from was routed by the graph of its own line.
        graph = await self._graph_of(rows[0].line) if view.node else None
        edges = [edge for edge in graph.edges if edge.from_id == view.node] if graph is not None else []
        if graph is None or not any(edge.condition.strip() for edge in edges):
            return view
        if '"dag"' in rows[0].routing and view.node in graph.nodes:
            state = await seen_by(self._store, graph, line, at, view.node, with_own_changes=True)
        view.conditions = await asyncio.to_thread(seen_conditions, edges, state)
        return view

    async def read_state(
        self, run_id: str, seq: int | None, path: StatePath | None, depth: int, line: int | None = None
    ) -> StateView:
        at, state = await self._state(run_id, seq, line)
        record = await self.record(run_id)
        value, elided, size = await asyncio.to_thread(take_part, state, path or [], max(1, min(depth, 32)))
        return StateView(run_id=record.id, seq=at, path=path or [], value=value, elided=elided, size=size)

    async def read_state_chunk(self, run_id: str, seq: int | None, offset: int, line: int | None = None) -> StateChunk:
        at, state = await self._state_for_chunk(run_id, seq, offset, line)
        if offset < 0 or offset > len(state):
            raise UsageError(f"The state has {len(state)} bytes; {offset} is outside.", next_step="Start again at 0.")
        return StateChunk(seq=at, offset=offset, size=len(state), data=state[offset : offset + CHUNK_BYTES])

    async def read_difference(self, before: StatePoint, after: StatePoint) -> list[ChangeView]:
        """What leads from one state to another."""
        _, old = await self._state(before.run_id, before.step, before.line)
        _, new = await self._state(after.run_id, after.step, after.line)
        return await asyncio.to_thread(describe_difference, old, new)

    async def read_changes(self, run_id: str, seq: int, wanted_line: int | None = None) -> list[ChangeView]:
        line = await self.line_of(await self.record(run_id), wanted_line)
        if seq < 1:
            return []
        _, after = await self._state(run_id, seq, line)
        _, before = await self._state(run_id, seq - 1, line)
        operations, _ = await self._store.delta(line, seq)
        return await asyncio.to_thread(describe_changes, before, after, operations)

    async def read_logs(self, query: LogQuery) -> LogPage:
        record = await self.record(query.run_id)
        minimum = LEVELS.get(query.minimum_level.upper()) if query.minimum_level else None
        if query.minimum_level and minimum is None:
            raise UsageError(
                f"{query.minimum_level!r} is not a level.", next_step=f"Use one of {', '.join(LEVELS).lower()}."
            )
        rows, last = await self._store.logs(
            record.number,
            after=query.after,
            before=query.before,
            limit=max(1, min(query.limit, 2_000)),
            node=query.node,
            minimum_level=minimum,
            search=query.search,
        )
        from_end = query.before is not None and query.after is None
        kept: list[LogRow] = []
        size = 0
        for row in reversed(rows) if from_end else rows:
            size += _json_size(row.text) + _json_size(row.node) + 160
            if kept and size > REPLY_BYTES:
                break
            kept.append(row)
        if from_end:
            kept.reverse()
        return LogPage(lines=[log_line(row) for row in kept], last=last, dropped=record.logs_dropped)

    async def _state_for_chunk(
        self, run_id: str, seq: int | None, offset: int, wanted_line: int | None
    ) -> tuple[int, bytes]:
        """The state for a reader of its chunks: kept from one to the next, since it never changes."""
        line = await self.line_of(await self.record(run_id), wanted_line)
        if self._chunked is not None and offset > 0 and self._chunked[:2] == (line, seq):
            at, state = seq or 0, self._chunked[2]
        else:
            at, state = await self._state(run_id, seq, line)
        ends = offset + CHUNK_BYTES >= len(state)
        self._chunked = None if ends else (line, at, state)
        return at, state

    async def _state(self, run_id: str, seq: int | None, wanted_line: int | None) -> tuple[int, bytes]:
        record = await self.record(run_id)
        line = await self.line_of(record, wanted_line)
        total = await self._store.step_total(line)
        if seq is not None and not 0 <= seq <= total:
            raise UnknownStep(
                f"The run {record.id[-8:]} has no step {seq}.",
                cause=f"Its steps go from 0 (the initial state) to {total}.",
                next_step=f"See them: rondo show {record.id[-8:]}",
            )
        return await self._store.state_at(line, seq)


def _shorten_errors(views: list[StepView]) -> None:
    """Keep the errors of the last attempts whole, as far as they fit into a reply beside the steps."""
    left = TRACEBACKS_BYTES
    for view in reversed(views):
        if view.error is not None:
            left -= _json_size(view.error)
            if left < 0:
                view.error.traceback = ""
                view.error.message = view.error.message[:MESSAGE_LENGTH]
                view.error.cause = view.error.cause[:MESSAGE_LENGTH]
                view.error.next_step = view.error.next_step[:MESSAGE_LENGTH]


def _json_size(value: object) -> int:
    return len(msgspec.json.encode(value))
