"""Any sequence of groups, committed in any batches, does what plain dictionaries would."""

from __future__ import annotations

import asyncio
from collections import Counter
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_rows import NOON, log_lines, new_run, request, step

from core.errors import AlreadyAnswered, RepeatedCommand, RunAtRest, StoreError, UnknownRequest, UnknownStep
from core.store.operations import (
    AnswerRequest,
    InsertLine,
    MarkRequest,
    Operation,
    RecordCommand,
    UpdateLine,
    UpdateRun,
    WithdrawRequests,
)
from core.store.request_operations import RequestStatus
from core.store.store import Store

FINAL = ("completed", "failed", "cancelled")
NUMBERS = st.integers(1, 3)
SEQS = st.integers(-1, 1)
STATUSES = st.sampled_from(["queued", "running", "waiting_input", *FINAL])

ACTIONS = st.one_of(
    st.tuples(st.just("run"), st.sampled_from("abcdef"), STATUSES),
    st.tuples(st.just("run"), st.sampled_from("abcdef"), STATUSES),
    st.tuples(st.just("line"), NUMBERS, NUMBERS, st.integers(-1, 3), STATUSES),
    st.tuples(st.just("status"), NUMBERS, STATUSES),
    st.tuples(st.just("line status"), NUMBERS, STATUSES),
    st.tuples(st.just("step"), NUMBERS, SEQS, st.sampled_from("ab"), st.integers(0, 3)),
    st.tuples(st.just("step"), NUMBERS, st.just(0), st.sampled_from("ab"), st.integers(0, 3)),
    st.tuples(st.just("log"), NUMBERS, st.booleans(), st.text(max_size=3)),
    st.tuples(st.just("request"), NUMBERS, st.sampled_from("xy")),
    st.tuples(st.just("answer"), NUMBERS, st.integers(0, 9)),
    st.tuples(st.just("mark"), NUMBERS, st.sampled_from(["open", "stale", "withdrawn", "answered"])),
    st.tuples(st.just("withdraw"), NUMBERS),
    st.tuples(st.just("command"), st.sampled_from("pqr")),
)
GROUPS = st.lists(st.lists(ACTIONS, min_size=1, max_size=4), min_size=1, max_size=30)


class Step(NamedTuple):
    """A step that sets one key of the state."""

    node: str
    key: str
    value: int


@dataclass
class Model:
    """The store as dictionaries; numbers count from 1 as in the tables.

    Each action returns the store's operation for it, and notes in `refused` which errors are right if it must fail.
    """

    runs: dict[int, dict[str, Any]] = field(default_factory=dict)
    lines: dict[int, dict[str, Any]] = field(default_factory=dict)
    steps: dict[int, dict[int, Step]] = field(default_factory=dict)
    logs: dict[int, dict[int, str]] = field(default_factory=dict)
    requests: dict[int, dict[str, Any]] = field(default_factory=dict)
    commands: set[str] = field(default_factory=set)
    refused: list[type[Exception]] = field(default_factory=list)

    def next_seq(self, line: int) -> int:
        parent_seq = self.lines[line]["parent_seq"]
        own = self.steps[line]
        return max(own) + 1 if own else (parent_seq + 1 if parent_seq is not None else 0)

    def history(self, line: int) -> dict[int, Step]:
        """The steps of a line with those it came from."""
        row = self.lines[line]
        if row["parent_line"] is None:
            return self.steps[line]
        before = self.history(row["parent_line"])
        return {seq: step for seq, step in before.items() if seq <= row["parent_seq"]} | self.steps[line]

    def act(self, name: str, *values: Any) -> Operation:
        operation: Operation = getattr(self, name.replace(" ", "_"))(*values)
        return operation

    def run(self, id: str, status: str) -> Operation:
        if any(run["id"] == id for run in self.runs.values()):
            self.refused.append(StoreError)
        else:
            number, line = len(self.runs) + 1, len(self.lines) + 1
            self.runs[number] = {"id": id, "status": status, "line": line}
            self.lines[line] = {"run": number, "parent_line": None, "parent_seq": None, "status": status}
            self.steps[line] = {}
            self.logs.setdefault(number, {})
        return new_run(id, status=status)

    def line(self, run: int, parent: int, parent_seq: int, status: str) -> Operation:
        if parent not in self.lines or not 0 <= parent_seq < self.next_seq(parent):
            self.refused.append(UnknownStep)
        elif run not in self.runs:
            self.refused.append(StoreError)
        else:
            number = len(self.lines) + 1
            self.lines[number] = {"run": run, "parent_line": parent, "parent_seq": parent_seq, "status": status}
            self.steps[number] = {}
            self.runs[run] |= {"status": status, "line": number}
        return InsertLine(run, parent, parent_seq, "v1", status, NOON)

    def status(self, run: int, status: str) -> Operation:
        self._set_status(self.runs.get(run), status)
        return UpdateRun(run, status=status)

    def line_status(self, line: int, status: str) -> Operation:
        self._set_status(self.lines.get(line), status)
        return UpdateLine(line, status=status)

    def _set_status(self, row: dict[str, Any] | None, status: str) -> None:
        if row is None:
            self.refused.append(StoreError)
        elif row["status"] in FINAL:
            self.refused.append(RunAtRest)
        else:
            row["status"] = status

    def step(self, line: int, offset: int, node: str, value: int) -> Operation:
        known = line in self.lines
        seq = (self.next_seq(line) if known else 0) + offset
        if not known or offset:
            self.refused.append(StoreError)
        else:
            self.steps[line][seq] = Step(node if seq else "", node, value)
        return step(line, seq, ["set", [node], value], node=node)

    def log(self, run: int, repeat: bool, text: str) -> Operation:
        rows = self.logs.setdefault(run, {})
        row = len(rows) + (0 if repeat and rows else 1)
        if row in rows:
            self.refused.append(StoreError)
        rows[row] = text
        return log_lines(run, 1, row, [text])

    def request(self, line: int, request_id: str) -> Operation:
        run = self.lines[line]["run"] if line in self.lines else 1
        live = {(row["line"], row["id"]) for row in self.requests.values() if row["status"] in ("open", "answered")}
        if (line, request_id) in live or line not in self.lines:
            self.refused.append(StoreError)
        else:
            row = {"line": line, "id": request_id, "status": "open", "answer": None}
            self.requests[len(self.requests) + 1] = row
        return request(line, run, request_id)

    def answer(self, number: int, value: int) -> Operation:
        row = self.requests.get(number)
        if row is None or row["status"] != "open":
            self.refused += [AlreadyAnswered, UnknownRequest]
        else:
            row |= {"status": "answered", "answer": f"{value}"}
        return AnswerRequest(number, f"{value}", "ann", NOON)

    def mark(self, number: int, status: RequestStatus) -> Operation:
        row = self.requests.get(number)
        if row is None or (status in ("open", "answered") and row["status"] != status):
            self.refused.append(StoreError)
        else:
            row["status"] = status
        return MarkRequest(number, status)

    def withdraw(self, line: int) -> Operation:
        for row in self.requests.values():
            if row["line"] == line and row["status"] == "open":
                row["status"] = "withdrawn"
        return WithdrawRequests(line, NOON)

    def command(self, id: str) -> Operation:
        if id in self.commands:
            self.refused.append(RepeatedCommand)
        self.commands.add(id)
        return RecordCommand(id, NOON, "test", "act", None, "{}")


async def compare(store: Store, model: Model) -> None:
    """Everything that can be read is as in the model."""
    records = await store.runs(limit=100)
    assert {r.number: {"id": r.id, "status": r.status, "line": r.line} for r in records} == model.runs
    assert await store.run_counts_by_status() == Counter(run["status"] for run in model.runs.values())
    for number in model.runs:
        rows, last = await store.logs(number)
        assert {row.row: row.text for row in rows} == model.logs[number] and last == len(model.logs[number])
        for row in await store.lines(number):
            expected = model.lines[row.line]
            assert (row.status, row.parent_line, row.parent_seq) == (
                expected["status"],
                expected["parent_line"],
                expected["parent_seq"],
            )
    for line in model.lines:
        history = sorted(model.history(line).items())
        assert [(row.seq, row.node) for row in await store.steps(line, -1)] == [(seq, s.node) for seq, s in history]
        assert await store.visits(line) == Counter(step.node for seq, step in history if seq)
        if history:
            assert await store.step_total(line) == history[-1][0]
            seq, text = await store.state_at(line)
            assert (seq, orjson.loads(text)) == (history[-1][0], {step.key: step.value for _, step in history})
    found = {row.number: (row.line, row.request_id, row.status, row.answer) for row in await store.requests()}
    assert found == {n: (r["line"], r["id"], r["status"], r["answer"]) for n, r in model.requests.items()}
    for id in "pqr":
        assert (await store.command(id) is not None) == (id in model.commands)


@settings(max_examples=40)
@given(groups=GROUPS, bursts=st.lists(st.integers(1, 12), min_size=1, max_size=10))
def test_any_groups_in_any_batches(
    tmp_path_factory: pytest.TempPathFactory, groups: list[list[tuple[Any, ...]]], bursts: list[int]
) -> None:
    async def check(path: Path) -> None:
        store = await asyncio.to_thread(Store.open, path)
        await store.start_reads()
        model = Model()
        position, burst = 0, 0
        while position < len(groups):
            waiting = []
            for actions in groups[position : position + bursts[burst % len(bursts)]]:
                after = deepcopy(model)
                operations = [after.act(*action) for action in actions]
                waiting.append((store.commit_soon(operations), tuple(after.refused)))
                model = model if after.refused else after
            position += bursts[burst % len(bursts)]
            burst += 1
            for future, errors in waiting:
                (result,) = await asyncio.gather(future, return_exceptions=True)
                assert isinstance(result, errors or list), (result, errors)
        await compare(store, model)
        await store.close()
        again = await asyncio.to_thread(lambda: Store.open(path, check=True))
        await again.start_reads()
        await compare(again, model)
        await again.close()

    asyncio.run(check(tmp_path_factory.mktemp("model") / "rondo.db"))
