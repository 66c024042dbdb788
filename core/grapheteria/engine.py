"""The engine of the Grapheteria API: runs a workflow in this process, step by step, and keeps every step in a store."""

from __future__ import annotations

import asyncio
import copy
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.flow.delta import decode_state, encode_state
from core.flow.graph import EdgeSpec, Graph, NodeSpec
from core.flow.interpreter import Interpreter
from core.flow.journal import StepRecord
from core.flow.position import Position
from core.flow.routing import choose_next
from core.flow.values import encode_value
from core.flow.visit import VisitFailed
from core.grapheteria.definition import Workflow, workflow_from_file, workflow_from_nodes
from core.grapheteria.errors import InvalidWorkflow, RunMissing
from core.grapheteria.journal import EngineJournal
from core.grapheteria.paths import id_to_path, path_to_id
from core.grapheteria.storage import FileSystemStorage, StorageBackend, TrackingData, save_step
from core.identifiers import new_run_id
from core.sdk.execution import ExecutionState, NodeStatus, WorkflowStatus
from core.sdk.node import Node
from core.sdk.tools import as_nodes_see
from core.sdk.visit import LastError

WORKFLOW_OF_CODE = "workflow"
"""The id of a workflow that was made in code and given none."""


class WorkflowEngine:
    """Runs one workflow from a JSON file (`workflow_path` or `workflow_id`) or of `nodes` made in code.

    A new run is saved at once. `run_id` loads an earlier run instead, as it was after the step `resume_from` (default:
    the last); with `fork` it goes on under a new id, without it later steps are dropped. A run that failed stays so,
    unless it is forked or `resume_from` is given: then the node that failed is run again. Raises ValueError for a
    workflow that makes no sense and FileNotFoundError for a file or run that is not there.

    `execution_state` is where the run stands; `tracking_data` is `{workflow_id, run_id, steps}` with every state saved.
    """

    def __init__(
        self,
        workflow_path: str | os.PathLike[str] | None = None,
        workflow_id: str | None = None,
        run_id: str | None = None,
        resume_from: int | None = None,
        fork: bool = False,
        storage_backend: StorageBackend | None = None,
        initial_shared_state: dict[str, Any] | None = None,
        nodes: Iterable[Node] | None = None,
        start: Node | str | None = None,
    ) -> None:
        workflow = _load(workflow_path, workflow_id, nodes, start)
        if workflow_id is None:
            workflow_id = path_to_id(workflow_path) if workflow_path is not None else WORKFLOW_OF_CODE
        self.workflow_id = workflow_id
        self.nodes = workflow.nodes
        self.start_node_id = workflow.start
        self._specs = workflow.specs
        self.storage_backend = storage_backend if storage_backend is not None else FileSystemStorage()
        self._journal = EngineJournal({})
        self._visit: asyncio.Task[StepRecord] | None = None
        self._interpreter: Interpreter | None = None
        if run_id is not None:
            self._resume(run_id, resume_from, fork)
        elif fork or resume_from is not None:
            raise InvalidWorkflow(
                "fork and resume_from need a run_id.",
                cause="They go on from an earlier run.",
                next_step="Name it with run_id, or leave them out.",
            )
        else:
            initial_state = workflow.initial_state if workflow.initial_state is not None else initial_shared_state
            self._begin(initial_state or {})

    # Where a run comes from ---------------------------------------------------------------------------------------

    def _begin(self, initial_state: dict[str, Any]) -> None:
        self.run_id = new_run_id()
        self._visits: dict[str, int] = {}
        self.execution_state = ExecutionState(
            shared=decode_state(encode_state(initial_state)), next_node_id=self.start_node_id
        )
        self.tracking_data: TrackingData = {"workflow_id": self.workflow_id, "run_id": self.run_id, "steps": []}
        self._add_step(self.execution_state.shared)
        self.storage_backend.save_state(self.workflow_id, self.run_id, self.tracking_data)

    def _resume(self, run_id: str, resume_from: int | None, fork: bool) -> None:
        data = self.storage_backend.load_state(self.workflow_id, run_id)
        if data is None:
            raise RunMissing(
                f"The workflow {self.workflow_id!r} has no run {run_id!r}.",
                cause="The storage backend doesn't know it.",
                next_step="Check the id, and that the storage is the one the run was saved in.",
            )
        last = len(data["steps"]) - 1
        at = last if resume_from is None else resume_from
        if not 0 <= at <= last:
            raise InvalidWorkflow(
                f"The run {run_id!r} has no step {at}.",
                cause=f"Its steps are 0 to {last}.",
                next_step="Name one of them.",
            )
        self.run_id = new_run_id() if fork else run_id
        self.execution_state = ExecutionState.from_dict(data["steps"][at])
        self.tracking_data = {**data, "run_id": self.run_id, "steps": data["steps"][: at + 1]}
        self._visits = _completed_visits(self.tracking_data["steps"])
        known = self.execution_state.metadata.get("answers", ())
        self._journal = EngineJournal({key: (fingerprint, value) for key, fingerprint, value in known})
        if fork or resume_from is not None:
            self._take_back_failure()
        self._choose_next_again()
        if fork:
            self.tracking_data |= {"forked_from": run_id, "forked_step": at, "fork_time": _now()}
        elif at < last:
            self.tracking_data["rewinds"] = data.get("rewinds", 0) + 1
        if fork or at < last:
            self.storage_backend.save_state(self.workflow_id, self.run_id, self.tracking_data)

    def _take_back_failure(self) -> None:
        """Let a run that failed try again: who names the failed step, or forks from it, wants to."""
        state = self.execution_state
        if state.workflow_status is WorkflowStatus.FAILED:
            state.workflow_status = WorkflowStatus.HEALTHY
            state.node_statuses.pop(state.next_node_id or "", None)
            state.metadata.pop("error", None)

    def _choose_next_again(self) -> None:
        """Choose the next node by the edges as they are now, and check that the nodes the run names are still there."""
        state = self.execution_state
        waiting = state.awaiting_input["node_id"] if state.awaiting_input else None
        previous = state.previous_node_id
        chosen_by_edges = state.workflow_status in (WorkflowStatus.HEALTHY, WorkflowStatus.COMPLETED) and (
            previous in self.nodes and state.metadata.get("next_reason") not in ("goto", "on_error")
        )
        if previous is not None and chosen_by_edges:
            edges = [EdgeSpec(edge.from_id, edge.to_id, edge.condition) for edge in self.nodes[previous].outgoing()]
            state.next_node_id = choose_next(edges, state.shared).next
            state.workflow_status = WorkflowStatus.HEALTHY if state.next_node_id else WorkflowStatus.COMPLETED
        for what, node_id in (("waiting", waiting), ("previous", previous), ("next", state.next_node_id)):
            if node_id is not None and node_id not in self.nodes:
                raise InvalidWorkflow(
                    f"The run's {what} node {node_id!r} is not in the workflow any more.",
                    cause=f"The workflow's nodes are: {', '.join(self.nodes)}.",
                    next_step="Add the node again, or resume from an earlier step.",
                )

    # Running ------------------------------------------------------------------------------------------------------

    async def step(self, input_data: dict[str, Any] | None = None) -> bool:
        """Run one node; `input_data` answers requests by their id (None: not answered).

        True while the run goes on; False when it is complete, has failed or waits for input. A failing node's error is
        raised again, after the run was saved as failed.
        """
        return await self._step(_answers(input_data))

    async def run(self, input_data: dict[str, Any] | None = None) -> bool:
        """Step until the run is complete, has failed or waits for input; then returns False."""
        answers = _answers(input_data)
        while await self._step(answers):
            pass
        return False

    async def _step(self, answers: dict[str, Any]) -> bool:
        state = self.execution_state
        if state.workflow_status in (WorkflowStatus.COMPLETED, WorkflowStatus.FAILED):
            return False
        visit = self._visit_in_progress()
        if visit is None or not visit.done():
            if state.awaiting_input is not None:
                waiting = {state.awaiting_input["request_id"]} if visit is None else self._journal.open_ids()
                if waiting.isdisjoint(answers):
                    return False
            visit = visit or self._start_visit()
            await self._wait_for(visit, answers)
            if not visit.done():
                self._note_waiting()
                return False
        self._visit = None
        error = visit.exception()
        if isinstance(error, VisitFailed):
            self._note_failure(error)
            raise error.error
        self._note_completed(visit.result())
        return state.workflow_status is WorkflowStatus.HEALTHY

    def _visit_in_progress(self) -> asyncio.Task[StepRecord] | None:
        """The visit that waits in this process or has come to its end since; None where one must be started anew."""
        visit, self._visit = self._visit, None
        if visit is None or visit.cancelled():
            return None
        if visit.done():
            self._visit = visit if isinstance(visit.exception(), VisitFailed | None) else None
        elif visit.get_loop() is asyncio.get_running_loop():
            self._visit = visit
        else:
            # An event loop that was left may not have undone what the visit had changed.
            self.execution_state.shared = copy.deepcopy(self.tracking_data["steps"][-1]["shared"])
        return self._visit

    def _start_visit(self) -> asyncio.Task[StepRecord]:
        # A journal of its own: an event loop that was left may still hold the requests of an earlier start.
        self._journal = EngineJournal(self._journal.answers)
        self._interpreter = self._new_interpreter()
        self._visit = asyncio.ensure_future(self._interpreter.advance())
        return self._visit

    async def _wait_for(self, visit: asyncio.Task[StepRecord], answers: dict[str, Any]) -> None:
        """Wait until the visit is done or asks for more than the answers give it."""
        self._journal.give(answers)
        asked = self._journal.asked()
        either: set[asyncio.Future[Any]] = {visit, asked}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            visit.cancel()
            await asyncio.wait({visit})
            raise
        finally:
            asked.cancel()

    def _new_interpreter(self) -> Interpreter:
        """An interpreter for the next visit, over the nodes, edges and state as they are now."""
        nodes = {node_id: self._spec_of(node) for node_id, node in self.nodes.items()}
        edges = [
            EdgeSpec(edge.from_id, edge.to_id, edge.condition)
            for node in self.nodes.values()
            for edge in node.outgoing()
        ]
        state = self.execution_state
        state.shared = as_nodes_see(state.shared)
        return Interpreter(
            Graph(self.workflow_id, nodes, tuple(edges), self.start_node_id),
            self.nodes,
            self._journal,
            state.shared,
            position=Position(
                len(self.tracking_data["steps"]) - 1, state.next_node_id, self._visits, last_error=self._last_error()
            ),
            run_key=self.run_id,
            line=self.tracking_data.get("rewinds", 0),
            output_dir=Path("output") / self.run_id,
        )

    def _spec_of(self, node: Node) -> NodeSpec:
        """A node's settings: its tries are on the node itself, where code may have changed them."""
        spec = self._specs.get(node.id)
        if spec is None:
            return NodeSpec(node.id, node.type)
        return NodeSpec(node.id, node.type, timeout=spec.timeout, on_error=spec.on_error)

    def _last_error(self) -> LastError | None:
        noted = self.execution_state.metadata.get("last_error")
        return LastError(*noted) if noted else None

    # What is kept -------------------------------------------------------------------------------------------------

    def _note_waiting(self) -> None:
        state = self.execution_state
        request = self._journal.oldest()
        assert request is not None and self._interpreter is not None
        state.workflow_status = WorkflowStatus.WAITING_FOR_INPUT
        state.node_statuses[request.node] = NodeStatus.WAITING_FOR_INPUT
        state.awaiting_input = {
            "node_id": request.node,
            "request_id": request.request_id,
            "prompt": request.prompt,
            "options": request.options,
            "input_type": request.input_type,
        }
        state.metadata["answers"] = [[key, *answer] for key, answer in self._journal.answers.items()]
        # What the visit has changed so far comes again when another process starts it anew.
        self._save_step(self._interpreter.tracker.committed_state())

    def _note_failure(self, failed: VisitFailed) -> None:
        state = self.execution_state
        state.workflow_status = WorkflowStatus.FAILED
        state.node_statuses[failed.node] = NodeStatus.FAILED
        state.awaiting_input = None
        state.metadata.pop("answers", None)
        state.metadata["error"] = f"{failed.failure.type}: {failed.failure.message}"
        self._save_step(state.shared)

    def _note_completed(self, record: StepRecord) -> None:
        state = self.execution_state
        state.previous_node_id = record.node
        state.next_node_id = record.routing.next
        state.workflow_status = WorkflowStatus.HEALTHY if record.routing.next is not None else WorkflowStatus.COMPLETED
        state.node_statuses[record.node] = NodeStatus.COMPLETED
        state.awaiting_input = None
        state.metadata["next_reason"] = record.routing.reason
        for past in ("answers", "error", "last_error"):
            state.metadata.pop(past, None)
        if record.failure is not None:
            state.metadata["last_error"] = [record.node, record.failure.type, record.failure.message]
        self._journal = EngineJournal({})
        self._save_step(state.shared)

    def _save_step(self, shared: dict[str, Any]) -> None:
        self._add_step(shared)
        save_step(self.storage_backend, self.workflow_id, self.run_id, self.tracking_data)

    def _add_step(self, shared: dict[str, Any]) -> None:
        state = self.execution_state
        state.metadata["step"] = len(self.tracking_data["steps"])
        state.metadata["save_time"] = _now()
        live, state.shared = state.shared, {}
        document = state.to_dict()
        state.shared = live
        self.tracking_data["steps"].append({**document, "shared": decode_state(encode_state(shared))})


def _load(
    path: str | os.PathLike[str] | None, workflow_id: str | None, nodes: Iterable[Node] | None, start: Node | str | None
) -> Workflow:
    if nodes is not None:
        return workflow_from_nodes(nodes, start)
    if path is None and workflow_id is None:
        raise InvalidWorkflow(
            "There is no workflow to run.", next_step="Give WorkflowEngine nodes, a workflow_path or a workflow_id."
        )
    return workflow_from_file(path if path is not None else id_to_path(workflow_id or ""), start)


def _answers(input_data: dict[str, Any] | None) -> dict[str, Any]:
    """The answers that are given, as JSON values; raises StateValueError, before anything has changed."""
    return {
        request_id: encode_value(value, (), root="answer")[1]
        for request_id, value in (input_data or {}).items()
        if value is not None
    }


def _completed_visits(steps: list[dict[str, Any]]) -> dict[str, int]:
    """How often each node was completed; waits and failures are entries that complete none."""
    visits: dict[str, int] = {}
    for step in steps[1:]:
        if step["workflow_status"] in (WorkflowStatus.HEALTHY.name, WorkflowStatus.COMPLETED.name):
            visits[step["previous_node_id"]] = visits.get(step["previous_node_id"], 0) + 1
    return visits


def _now() -> str:
    return datetime.now(UTC).isoformat()
