"""Runs a graph of mode dag: every node at most once, after all that lead to it, several at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from core.errors import RunAtRest
from core.flow.dag_shape import DagShape
from core.flow.dag_state import Changes, DagState, View
from core.flow.failure import describe_error
from core.flow.graph import EdgeSpec, Graph
from core.flow.journal import AttemptPlan, AttemptRecord, Call, Failure, Journal, Request, Routing, StepRecord
from core.flow.nodes import require_nodes
from core.flow.perform import Performed, Performer
from core.flow.position import NEW, Position, Trial
from core.flow.reducers import State, parse_reducers
from core.flow.routing import ALWAYS
from core.flow.settling import Settling
from core.flow.time_limit import Clock
from core.flow.visit import VisitFailed
from core.sdk.edge import evaluate_condition
from core.sdk.node import Node
from core.sdk.tools import Tools

GREEDY_LIMIT = 8
"""How many nodes run at once where the workflow doesn't say."""
STOP_SECONDS = 2.0
"""How long nodes that are stopped for another's failure may take to their end."""
STOPPED = "Cancelled"
"""The failure type of an attempt that was stopped because another node failed."""


class DagJournal(Journal, Protocol):
    """What a dag asks of the world beyond what a machine does."""

    def waits(self) -> None:
        """Nothing goes on before one of the open requests is answered."""
        ...


@dataclass(frozen=True, slots=True)
class PastStep:
    """A committed step: where it led, and what its node changed. Without a node it was a change from outside."""

    node: str
    changes: Changes
    taken: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def parallel_limit(graph: Graph) -> int | None:
    """How many nodes may run at once; None where there is no limit."""
    if graph.max_parallel is not None:
        return graph.max_parallel
    return {"sequential": 1, "parallel": None}.get(graph.strategy, GREEDY_LIMIT)


class DagInterpreter:
    """Runs a dag on from its committed steps: what a node sees and what is ready follow from them alone.

    `initial` is the JSON text of the initial state, `history` every committed step in order, `trials` what nodes
    that are not done have behind them. Raises NodeCodeMissing where a node has no instance, DefinitionError for a
    cycle.
    """

    def __init__(
        self,
        graph: Graph,
        nodes: Mapping[str, Node],
        journal: DagJournal,
        initial: bytes,
        *,
        history: Sequence[PastStep] = (),
        trials: Mapping[str, Trial] | None = None,
        run_key: str = "",
        line: int = 0,
        output_dir: Path = Path("output"),
        tools: Mapping[str, Any] | None = None,
        since_snapshot: tuple[int, int] = (0, 0),
    ) -> None:
        require_nodes(graph.nodes, nodes)
        self._graph = graph
        self._shape = DagShape(graph)
        self._settling = Settling(self._shape)
        self._state = DagState(self._shape, parse_reducers(graph.reducers), initial, since_snapshot)
        self._journal = journal
        self._places = _Places(journal, parallel_limit(graph))
        self._performer = Performer(graph, nodes, self._places, (run_key, line), output_dir, Tools(tools))
        self._trials = dict(trials or {})
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._undurable = 0
        """Nodes whose step was sent and is not durable yet."""
        self._failed: VisitFailed | None = None
        self._defect: BaseException | None = None
        self._last: StepRecord | None = None
        self.position = Position(len(history))
        self._replay(history)
        self.position.next_node = self._settling.next()

    @property
    def state(self) -> State:
        """The state of the run: the initial one with every committed change."""
        return self._state.merged

    @property
    def skipped(self) -> list[str]:
        """The nodes that are skipped."""
        return list(self._settling.skipped)

    async def run(self, until: Literal["end", "step"] = "end") -> StepRecord:
        """Run what is ready until nothing is, or just the node that is next; return the last step.

        Raises VisitFailed, once nothing runs any more, with the first failure.
        """
        if self.position.next_node is None:
            raise RunAtRest("The run is complete.", next_step="Start a new run.")
        try:
            self._start_ready(until)
            while self._tasks:
                if self._places.all_wait(len(self._tasks)) and not self._undurable:
                    self._journal.waits()
                await self._places.changed()
                if self._defect is not None:
                    break
                if self._failed is not None:
                    self._stop(self._tasks if self._graph.fail_fast else self._places.waiting())
                    if self._graph.fail_fast:
                        break
                elif until == "end":
                    self._start_ready(until)
        finally:
            await self._end_tasks()
        if self._failed is not None:
            raise self._failed
        if self._defect is not None:
            raise self._defect
        assert self._last is not None
        return self._last

    # Starting and stopping ----------------------------------------------------------------------------------------

    def _start_ready(self, until: str) -> None:
        """Start the nodes that are next in turn, as many as there are places."""
        ready = self._settling.in_turn()
        # A run that failed for good before its process ended fails: nothing else begins any more.
        for node in [node for node in ready if self._has_failed(node)] or ready:
            if not self._places.free:
                return
            # What comes before it must be durable; what is independent of it need not.
            if node in self._tasks or self._undurable & self._shape.ancestors[node]:
                continue
            self._places.take()
            task = asyncio.ensure_future(self._visit(node))
            self._tasks[node] = task
            task.add_done_callback(lambda task, node=node: self._ended(node, task))  # type: ignore[misc]
            if until == "step":
                return

    def _has_failed(self, node: str) -> bool:
        return self._trials.get(node, NEW).final and self._graph.nodes[node].on_error == "fail"

    def _ended(self, node: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(node) is not task:
            return
        del self._tasks[node]
        self._places.give_back(node)
        # A visit that was not stopped for a failure and is cancelled has cancelled itself.
        error = task.exception() if not task.cancelled() else None if self._failed else asyncio.CancelledError()
        if isinstance(error, VisitFailed):
            self._failed = self._failed or error
        elif error is not None:
            self._defect = self._defect or error

    def _stop(self, nodes: Mapping[str, object] | Sequence[str]) -> None:
        """Stop visits because another has failed; each is recorded as an attempt that was cut short."""
        assert self._failed is not None
        for node in list(nodes):
            visit, task = self._performer.running.get(node), self._tasks.get(node)
            if visit is None or task is None or task.cancelling():
                continue
            failure = Failure(STOPPED, f"It was stopped because node {self._failed.node!r} had failed.")
            ended_at = self._journal.now()
            self._journal.attempt_failed(
                AttemptRecord(node, visit.number, visit.attempt, visit.started_at, ended_at, failure)
            )
            task.cancel()

    async def _end_tasks(self) -> None:
        """Leave nothing running; code that swallows its cancellation is left behind after a moment."""
        left = list(self._tasks.values())
        self._tasks.clear()
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=STOP_SECONDS)

    # One visit ----------------------------------------------------------------------------------------------------

    async def _visit(self, node: str) -> None:
        """Make a node's only visit and return when its step is durable."""
        view = self._state.view(node)
        performed = await self._performer.perform(node, 1, view.state, view, trial=self._trials.get(node, NEW))
        if node not in self._tasks:
            raise asyncio.CancelledError  # It was given up and went on all the same.
        record = self._complete(node, view, performed)
        await self._journal.step(record)
        self._undurable &= ~self._shape.bit(node)
        self._last = record

    def _complete(self, node: str, view: View, performed: Performed) -> StepRecord:
        """Settle what follows from a visit. Nothing is awaited in here, so steps are numbered as they are sent."""
        visit = performed.visit
        taken, refused, errors = self._evaluate(self._shape.edges[node], view.state)
        delta, own = self._state.complete(view, performed.delta)
        self._settling.complete(node, taken)
        position = self.position
        position.seq += 1
        position.visits[node] = 1
        position.next_node = self._settling.next()
        self._undurable |= self._shape.bit(node)
        return StepRecord(
            seq=position.seq,
            node=node,
            visit=visit.number,
            attempt=visit.attempt,
            started_at=visit.started_at,
            ended_at=self._journal.now(),
            routing=Routing(position.next_node, "dag", "", errors, taken, refused),
            delta=delta,
            snapshot=self._state.take_snapshot(),
            own=own,
            outcome=performed.outcome,
            failure=performed.failure,
        )

    def _evaluate(
        self, edges: Sequence[EdgeSpec], state: State
    ) -> tuple[tuple[str, ...], tuple[str, ...], dict[str, str]]:
        """The nodes that edges lead on to, those that they don't, and conditions that failed to evaluate."""
        taken: list[str] = []
        errors: dict[str, str] = {}
        for edge in edges:
            condition = edge.condition.strip()
            try:
                holds = not condition or condition == ALWAYS or bool(evaluate_condition(edge.condition, state))
            except Exception as error:
                # A condition is a person's code: whatever it raises counts as false and is shown on its edge.
                errors[f"{edge.to_id}: {edge.condition}"] = describe_error(error)
                holds = False
            if holds and edge.to_id not in taken:
                taken.append(edge.to_id)
        refused = dict.fromkeys(edge.to_id for edge in edges if edge.to_id not in taken)
        return tuple(taken), tuple(refused), errors

    def _replay(self, history: Sequence[PastStep]) -> None:
        """Take over what is committed. An edge that the workflow got since then is evaluated now."""
        for step in history:
            self._state.replay(step.node, step.changes)
            if step.node in self._shape.rank:
                self.position.visits[step.node] = 1
        for step in history:
            if step.node not in self._shape.rank:
                continue
            known = {*step.taken, *step.refused}
            unknown = [edge for edge in self._shape.edges[step.node] if edge.to_id not in known]
            more = self._evaluate(unknown, self._state.seen_by(step.node, after=True))[0] if unknown else ()
            self._settling.complete(step.node, (*step.taken, *more))


class _Places:
    """The journal as the visits see it: one that waits for an answer gives its place to another meanwhile."""

    def __init__(self, journal: DagJournal, limit: int | None) -> None:
        self._journal = journal
        self._limit = limit
        self._taken = 0
        self._waiting: dict[str, int] = {}
        self._back: deque[asyncio.Future[None]] = deque()
        """Visits that have their answer and want their place again: they come before those that have not begun."""
        self._change = asyncio.Event()

    @property
    def free(self) -> bool:
        """True where another node may run."""
        return self._limit is None or self._taken < self._limit

    def take(self) -> None:
        """Take a place."""
        self._taken += 1

    def give_back(self, node: str) -> None:
        """A visit has ended."""
        if self._waiting.pop(node, 0) == 0:
            self._release()
        self._change.set()

    def all_wait(self, visits: int) -> bool:
        """True where so many visits wait, all of them for answers."""
        return len(self._waiting) == visits and not self._back

    def waiting(self) -> list[str]:
        """The nodes that wait for answers."""
        return list(self._waiting)

    async def changed(self) -> None:
        """Return when a visit has ended, or has begun to wait or to go on."""
        await self._change.wait()
        self._change.clear()

    async def request(self, request: Request) -> Any:
        """Ask and wait, without a place."""
        node = request.node
        self._waiting[node] = self._waiting.get(node, 0) + 1
        if self._waiting[node] == 1:
            self._release()
        self._change.set()
        try:
            answer = await self._journal.request(request)
        except BaseException:
            if self._waits_no_more(node):
                self._taken += 1  # The visit ends, and gives a place back that it must have for it.
            raise
        if self._waits_no_more(node):
            await self._take_again()
            self._change.set()
        return answer

    def _waits_no_more(self, node: str) -> bool:
        """One request of a visit is over; returns whether the visit has gone from waiting to running."""
        left = self._waiting.get(node, 0) - 1
        if left > 0:
            self._waiting[node] = left
        else:
            self._waiting.pop(node, None)
        return left == 0

    def _release(self) -> None:
        self._taken -= 1
        while self._back and self.free:
            waiting = self._back.popleft()
            if not waiting.done():
                self._taken += 1
                waiting.set_result(None)

    async def _take_again(self) -> None:
        if self.free:
            self._taken += 1
            return
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._back.append(waiting)
        try:
            await waiting
        except asyncio.CancelledError:
            # The visit ends, and gives a place back that it must have for it.
            if not waiting.done() or waiting.cancelled():
                self._taken += 1
            raise

    # The rest of the journal is that of the run.

    def now(self) -> float:
        return self._journal.now()

    async def sleep(self, seconds: float) -> None:
        await self._journal.sleep(seconds)

    def random(self) -> float:
        return self._journal.random()

    def clock(self) -> Clock:
        return self._journal.clock()

    def started(self, node: str, visit: int, attempt: int, plan: AttemptPlan) -> None:
        self._journal.started(node, visit, attempt, plan)

    def attempt_failed(self, record: AttemptRecord) -> None:
        self._journal.attempt_failed(record)

    async def step(self, record: StepRecord) -> None:
        await self._journal.step(record)

    async def call(self, call: Call) -> dict[str, Any]:
        return await self._journal.call(call)

    def spend_calls(self, key: str) -> None:
        self._journal.spend_calls(key)

    def log(self, level: str, text: str, node: str = "", visit: int = 0, attempt: int = 0) -> None:
        self._journal.log(level, text, node, visit, attempt)
