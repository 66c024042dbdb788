"""One run, from its code to its end: the same in a run process and in library mode."""

from __future__ import annotations

import asyncio
import difflib
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from core.errors import NodeCodeMissing, RondoError
from core.flow.dag import DagInterpreter, PastStep
from core.flow.dag_state import Changes
from core.flow.failure import describe_error
from core.flow.graph import Graph
from core.flow.interpreter import Interpreter
from core.flow.journal import Failure
from core.flow.nodes import build_nodes
from core.flow.position import Position, Trial
from core.flow.visit import VisitFailed
from core.runner.failures import failure_document, import_failure, trimmed_traceback
from core.runner.journal import ChannelJournal, LogSink, ReadWithin, Send
from core.runner.wire import decode_json
from core.sdk import Node
from core.sdk.node import is_of_workflow
from core.sdk.tools import ToolProxy, as_nodes_see
from core.sdk.visit import LastError

MODULE = "nodes"


class Broken(Exception):
    """The workflow's code can't be imported, or its nodes can't be made."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def load_workflow(init: Mapping[str, Any], prefix: str = "") -> tuple[Graph, dict[str, Node]]:
    """Import the workflow's code, by the finder that was installed for it, and make the graph's nodes.

    `prefix` is the package that its modules live below. Raises Broken.
    """
    graph = Graph.from_dict(init["graph"])
    folder, sources = init["folder"], init["sources"]
    namespace: Mapping[str, Any] = {}
    if f"{MODULE}.py" in sources:
        try:
            namespace = vars(importlib.import_module(f"{prefix}.{MODULE}" if prefix else MODULE))
        except (KeyboardInterrupt, asyncio.CancelledError):
            raise
        except BaseException as error:
            raise Broken(import_failure(error, folder, _top_modules(sources))) from error
    if prefix:
        _refuse_strangers(graph, namespace, prefix)
    return graph, make_nodes(graph, namespace, folder)


def _refuse_strangers(graph: Graph, namespace: Mapping[str, Any], prefix: str) -> None:
    """Raise Broken where a class would be that of another workflow, which lives in this process too."""
    for spec in graph.nodes.values():
        known = Node.registry.get(spec.class_name)
        if known is None or not is_of_workflow(known) or known.__module__.startswith(prefix + "."):
            continue
        own = namespace.get(spec.class_name)
        if not (isinstance(own, type) and issubclass(own, Node)):
            failure = Failure(
                type="NodeCodeMissing",
                message=f"Node {spec.id!r} can't be made: the workflow's code has no node class {spec.class_name!r}.",
                cause="Another workflow has one of that name; it is not this workflow's.",
                next_step="Define that class in the workflow's nodes.py, or correct the name in its JSON.",
            )
            raise Broken(failure)


def make_nodes(graph: Graph, namespace: Mapping[str, Any], folder: str) -> dict[str, Node]:
    """An instance for each node of the graph, by the classes of `namespace` first; raises Broken."""
    try:
        return build_nodes(graph, namespace)
    except NodeCodeMissing as error:
        own = {name for name, value in namespace.items() if isinstance(value, type) and issubclass(value, Node)}
        for spec in graph.nodes.values():
            close = difflib.get_close_matches(spec.class_name, own, n=1)
            if spec.class_name not in own and close and repr(spec.class_name) in error.message:
                error.next_step = f"Did you mean {close[0]}? {error.next_step}"
        raise Broken(_failure_of(error, trimmed_traceback(error.__cause__ or error, folder))) from error
    except SystemExit as error:
        failure = Failure(
            type="NodeCodeMissing",
            message=f"A node can't be made: {describe_error(error)}",
            traceback=trimmed_traceback(error, folder),
            cause="The __init__ of a node class calls sys.exit.",
            next_step="Take the call out.",
        )
        raise Broken(failure) from error


def _top_modules(sources: Mapping[str, str]) -> set[str]:
    """The names of a workflow's own modules and packages."""
    return {Path(file).parts[0].removesuffix(".py") for file in sources} - {"__init__"}


def _failure_of(error: RondoError, trace: str = "") -> Failure:
    return Failure(error.type_name, error.message, trace, error.cause, error.next_step)


class Session:
    """Runs one run over frames: give it the way to send, feed it the engine's frames, await `run`.

    Raises Broken where the run's position or state doesn't fit the code.
    """

    def __init__(
        self, init: Mapping[str, Any], state: bytes, graph: Graph, nodes: Mapping[str, Node], logs: LogSink
    ) -> None:
        self._init = init
        self._send: Send = _not_attached
        self._task: asyncio.Task[None] | None = None
        self._journal = ChannelJournal(lambda header, payload: self._send(header, payload), logs, init)
        self._until: Literal["end", "step"] = init.get("until") or "end"
        try:
            self._interpreter = _make_interpreter(init, state, graph, nodes, self._journal)
        except RondoError as error:
            raise Broken(_failure_of(error)) from error

    def attach(self, send: Send, read_within: ReadWithin | None = None) -> None:
        """Say how frames are sent and, in a process of the run's own, how they are awaited."""
        self._send = send
        if read_within is not None:
            self._journal.attach(read_within)

    def on_frame(self, header: dict[str, Any], payload: bytes) -> None:
        """Take a frame of the engine."""
        if header["t"] == "until":
            self._until = header["until"]
        elif self._journal.on_frame(header, payload) and self._task is not None:
            self._task.cancel()

    def cancel(self) -> None:
        """Give up the running visit, as the engine's `stop` does."""
        self.on_frame({"t": "stop"}, b"")

    async def run(self) -> None:
        """Run to the end, to the failure, or until the engine says stop."""
        self._task = asyncio.ensure_future(self._interpret())
        await asyncio.wait([self._task])
        if not self._task.cancelled() and (error := self._task.exception()) is not None:
            self._frame("failed", node=self._init["next"], visit=0, attempt=0, failure=_defect(error))

    async def _interpret(self) -> None:
        position = self._interpreter.position
        chosen_anew = self._init.get("choose_from")
        if isinstance(self._interpreter, Interpreter) and chosen_anew is not None:
            self._interpreter.choose_again(chosen_anew)
        if position.next_node is None:
            self._frame("ended")
            return
        try:
            while position.next_node is not None:
                await self._interpreter.run(self._until)
                if self._until == "step":
                    break
        except VisitFailed as failed:
            failure = failure_document(failed.failure)
            self._frame("failed", node=failed.node, visit=failed.visit, attempt=failed.attempt, failure=failure)
            return
        if position.next_node is not None:
            self._frame("paused", seq=position.seq)

    def _frame(self, kind: str, **fields: Any) -> None:
        self._send({"t": kind, "e": self._init.get("e", 0), **fields}, b"")


def _make_interpreter(
    init: Mapping[str, Any], state: bytes, graph: Graph, nodes: Mapping[str, Node], journal: ChannelJournal
) -> Interpreter | DagInterpreter:
    size, steps = init.get("deltas_since_snapshot") or (0, 0)
    trials = {node: _trial(entry) for node, entry in (init.get("trials") or {}).items()}
    around: dict[str, Any] = {
        "run_key": init["run_key"],
        "line": init["line"],
        "output_dir": Path(init["output_dir"]),
        "since_snapshot": (size, steps),
        "tools": {name: ToolProxy(name) for name in init.get("tools") or ()},
    }
    if graph.mode == "dag":
        initial, history = _read_history(init, state)
        return DagInterpreter(graph, nodes, journal, initial, history=history, trials=trials, **around)
    last_error = LastError(*init["last_error"]) if init.get("last_error") else None
    position = Position(init["seq"], init["next"], dict(init.get("visits") or {}), trials, last_error)
    return Interpreter(graph, nodes, journal, as_nodes_see(decode_json(state)), position=position, **around)


def _trial(entry: Mapping[str, Any]) -> Trial:
    failure = entry.get("failure")
    known = Failure(**failure) if failure else None
    return Trial(entry["attempts"], entry.get("forgiven", 0), known, entry.get("final", False))


def _read_history(init: Mapping[str, Any], payload: bytes) -> tuple[bytes, list[PastStep]]:
    """The initial state's JSON text and the committed steps of a dag."""
    place = init["initial"]
    initial, history = payload[:place], []
    for node, taken, refused, length, blob_lengths in init["history"]:
        parts: list[bytes] = []
        for size in (length, *blob_lengths):
            parts.append(payload[place : place + size])
            place += size
        changes = Changes(parts[0], tuple(parts[1:]))
        history.append(PastStep(node, changes, tuple(taken), tuple(refused)))
    return initial, history


def _defect(error: BaseException) -> dict[str, Any]:
    return failure_document(
        Failure(
            type=type(error).__name__,
            message=f"Rondo itself failed while it ran this: {describe_error(error)}",
            traceback=trimmed_traceback(error, ""),
            cause="A defect in the run process; the run's committed steps are safe.",
            next_step="Report it with this traceback.",
        )
    )


def _not_attached(header: dict[str, Any], payload: bytes) -> None:
    raise RuntimeError("the session is not attached to a channel yet")
