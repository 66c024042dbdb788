"""What `@run` and `@node` in a person's words stand for, and a failed run as the words that repair it."""

from __future__ import annotations

import json
import re
from typing import Any

from core.assistant.marking import state_sketch
from core.assistant.memory import Repair
from core.assistant.repair import FailedRun
from core.assistant.session import RunData
from core.definition.load import load_sources
from core.engine.queries import Queries
from core.errors import RondoError, RunAtRest, UnknownRun
from core.link.types import LogQuery, RunFilter, RunView
from core.store.store import Store

REFERENCE = re.compile(r"(?<![\w@/.])@(?P<word>run(?::(?P<run>[0-9a-fA-F-]{4,36}))?|[\w-]{1,120})")
MOST = 4
"""Runs that one message may bring along."""
LOG_LINES = 40
LOG_TEXT = 2_000
STEPS = 40


class References:
    """Looks up what words refer to; what runs produced goes to the model as data."""

    def __init__(self, queries: Queries, store: Store) -> None:
        self._queries = queries
        self._store = store

    async def resolve(self, text: str, workflow: str, nodes: set[str]) -> list[RunData]:
        """The data of the runs that a text refers to: `@run` is the last one, `@run:1a2b3c4d` or `@1a2b3c4d` that one.

        A name of a node stays in the text: the model knows the graph. Raises UnknownRun for a run that is not there.
        """
        data: dict[str, RunData] = {}
        for found in REFERENCE.finditer(text):
            word = found["word"]
            if word in nodes or len(data) >= MOST:
                continue
            view = await self._run(word, found["run"], workflow)
            if view is not None and view.run_id not in data:
                data[view.run_id] = await self._described(view, word)
        return list(data.values())

    async def failed_run(self, run_id: str) -> tuple[RunView, FailedRun]:
        """Why a run failed, for the conversation that repairs it. Raises RunAtRest for one that did not."""
        view = await self._queries.get_run(run_id)
        if view.status != "failed" or view.error is None:
            raise RunAtRest(
                f"The run {view.short_id} is {view.status}.",
                cause="Only a run that failed can be repaired.",
                next_step=f"See it: rondo show {view.short_id}",
            )
        node = view.error.node or view.next_node or ""
        record = await self._store.version(view.version)
        class_name, source, writes = "", "", False
        if record is not None:
            loaded = load_sources(view.workflow, record.files)
            spec = loaded.graph.nodes.get(node) if loaded.graph is not None else None
            if spec is not None:
                class_name, writes = spec.class_name, spec.effects == "write"
                known = loaded.code.class_of(spec.class_name)
                source = known.source if known is not None else ""
        newest = next(iter(await self._store.versions(view.workflow)), None)
        page = await self._queries.read_steps(view.run_id, view.step, 100)
        attempts = [
            f"{step.error.type}: {step.error.message}"
            for step in page.steps
            if step.node == node and step.status == "failed" and step.error is not None
        ]
        return view, FailedRun(
            resume=Repair(view.run_id, node, view.step, [node] if writes else []),
            class_name=class_name,
            error=f"{view.error.type}: {view.error.message}\n{view.error.cause}".strip(),
            traceback=view.error.traceback,
            source=source,
            source_changed=newest is not None and newest.hash != view.version,
            state=await self._state(view),
            attempts=attempts,
            log=await self._log(view, node),
        )

    async def _run(self, word: str, named: str | None, workflow: str) -> RunView | None:
        if word == "run":
            rows = await self._queries.list_runs(RunFilter(workflow=workflow or None, limit=1, top=True))
            if not rows:
                raise UnknownRun(
                    "There is no run that @run could mean.",
                    cause=f"{workflow} has not run yet." if workflow else "Nothing has run yet.",
                    next_step="Leave it out, or run the workflow first.",
                )
            return await self._queries.get_run(rows[0].run_id)
        if named is not None:
            return await self._queries.get_run(named)
        if not re.fullmatch(r"[0-9a-f]{8,32}|[0-9a-f-]{36}", word):
            return None
        try:
            return await self._queries.get_run(word)
        except UnknownRun:
            return None

    async def _described(self, view: RunView, word: str) -> RunData:
        page = await self._queries.read_steps(view.run_id, max(0, view.step - STEPS), STEPS * 2)
        lines = [f"status: {view.status}, {view.step} steps, version {view.version[:12]}"]
        if view.error is not None:
            lines.append(f"error in {view.error.node}: {view.error.type}: {view.error.message}")
            lines.append(view.error.traceback[-LOG_TEXT:])
        lines += [f"{step.step or '-'} {step.node} {step.status} -> {step.next_node or 'end'}" for step in page.steps]
        lines += ["state:", state_sketch(await self._state(view))]
        log = await self._log(view, None)
        if log:
            lines += ["end of the log:", log]
        return RunData(f"run {view.short_id} of {view.workflow}", "\n".join(lines), word)

    async def _state(self, view: RunView) -> dict[str, Any]:
        try:
            state = json.loads(bytes((await self._queries.read_state(view.run_id, None, None, 3, None)).value))
        except RondoError:
            return {}
        return state if isinstance(state, dict) else {}

    async def _log(self, view: RunView, node: str | None) -> str:
        query = LogQuery(run_id=view.run_id, before=view.log_last + 1, limit=LOG_LINES, node=node)
        page = await self._queries.read_logs(query)
        return "\n".join(f"{line.level} {line.text}" for line in page.lines)[-LOG_TEXT:]
