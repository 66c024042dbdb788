"""The node: what a workflow is made of."""

from __future__ import annotations

import copy
import inspect
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from core.errors import OutsideVisit
from core.sdk.caller import Caller
from core.sdk.edge import Edge
from core.sdk.execution import ExecutionState, NodeStatus
from core.sdk.mapping import Mapping as ItemMapping
from core.sdk.moments import checked_seconds, seconds_of
from core.sdk.retry import pause_after
from core.sdk.settle import in_thread, settle
from core.sdk.tools import Tools
from core.sdk.visit import LastError, RequestInput, Visit

AnyNode = TypeVar("AnyNode", bound="Node")


PRIVATE = "rondo_workflow_"
"""How the modules of a workflow are called beside those of a program, which runs several in its own process."""


def is_of_workflow(cls: type) -> bool:
    """True for a class of a workflow's own code in such a program: it takes no name from the program's classes."""
    return cls.__module__.startswith(PRIVATE)


class Node(Caller):
    """One unit of work: `prepare(shared, request_input)` -> `execute(prepared)` -> `cleanup(shared, prepared, result)`.

    Each phase may be plain or async; a missing one does nothing. `execute` sees only what `prepare` returned; `shared`
    is the run's state, a dict of JSON values that is changed in place. `max_retries` tries of the execute phase in all,
    `wait` seconds between two, times `backoff` after each, at most `max_wait`, shorter or longer by the part `jitter`.
    """

    registry: ClassVar[dict[str, type[Node]]] = {}
    """Every subclass by its name, so that JSON can name it."""

    max_retries: int = 1
    wait: float = 0
    backoff: float = 1
    jitter: float = 0
    max_wait: float | None = None
    cur_retry: int = 0
    _visit: Visit | None = None

    def __init__(
        self, id: str | None = None, config: dict[str, Any] | None = None, max_retries: int = 1, wait: float = 0
    ) -> None:
        self.id = id or f"{type(self).__name__}_{uuid.uuid4().hex[:8]}"
        self.type = type(self).__name__
        self.config = config if config is not None else {}
        self.edges: dict[str, Edge] = {}
        self._added_edges: list[Edge] = []
        self.max_retries = max_retries
        self.wait = wait
        self.cur_retry = 0

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        known = Node.registry.get(cls.__name__)
        if known is None or is_of_workflow(known) or not is_of_workflow(cls):
            Node.registry[cls.__name__] = cls

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id!r}>"

    # The three phases, for authors to write -----------------------------------------------------------------------

    def prepare(self, shared: dict[str, Any], request_input: RequestInput) -> Any:
        """Take from the state what `execute` needs and return it; may ask a person."""

    def execute(self, prepared: Any) -> Any:
        """Do the work and return its result. This phase alone is tried again when it fails."""

    def cleanup(self, shared: dict[str, Any], prepared: Any, result: Any) -> Any:
        """Put the result into the state."""

    def exec_fallback(self, prepared: Any, error: Exception) -> Any:
        """Give a result in place of the last failed try; by default the error is raised again."""
        raise error

    # Points where parallel and batch nodes step in ----------------------------------------------------------------

    async def _process_item(self, item: Any) -> Any:
        """Run `execute` once."""
        visit = self._visit
        if visit is not None and visit.beside_others and not inspect.iscoroutinefunction(self.execute):
            return await settle(in_thread, self.execute, item, lambda: visit.out_of_time)
        return await settle(self.execute, item)

    async def _execute_with_retry(self, prepared: Any) -> Any:
        """Run the execute phase: up to `max_retries` tries, then `exec_fallback`."""
        visit = self._visit or Visit()
        chosen, error = visit.chosen, visit.earlier_error
        with visit.tries():
            # A local count decides: parallel nodes run this method several times at once on one instance.
            retry = visit.tries_used
            while error is None:
                self.cur_retry = retry
                try:
                    with visit.phase():
                        return await self._process_item(prepared)
                except Exception as failure:
                    visit.chosen = chosen
                    retry += 1
                    if retry >= self.tries_allowed:
                        error = failure
                        if not self.has_fallback:
                            raise
                        visit.fall_back(failure)
                    else:
                        await visit.try_again(failure, self.pause_after(retry, visit.random()))
            visit.note_fallback(error)
            with visit.phase():
                return await settle(self.exec_fallback, prepared, error)

    @property
    def tries_allowed(self) -> int:
        """How often the execute phase is tried at most."""
        return max(self.max_retries, 1)

    @property
    def has_fallback(self) -> bool:
        """True where the class has an `exec_fallback` of its own."""
        return type(self).exec_fallback is not Node.exec_fallback or "exec_fallback" in vars(self)

    def pause_after(self, tries: int, draw: float = 0.5) -> float:
        """Seconds to wait after so many failed tries; `draw`, in [0, 1), decides about the jitter."""
        return pause_after(
            tries, wait=self.wait, backoff=self.backoff, jitter=self.jitter, max_wait=self.max_wait, draw=draw
        )

    # What a node can use during a visit ---------------------------------------------------------------------------

    def goto(self, node_id: str) -> None:
        """Choose the next node in place of the edges; the last call of the successful attempt wins."""
        self._present_visit("goto").chosen = node_id

    async def wait_for(self, seconds: float, request_id: str = "wait") -> None:
        """Wait so many seconds, days if need be: the run needs no process meanwhile, and survives the engine's end.

        Like an answer it serves every attempt of the visit: code that starts again does not wait anew.
        """
        await self._present_visit("wait_for").wait(request_id, seconds=checked_seconds(seconds))

    async def wait_until(self, moment: datetime | str, request_id: str = "wait") -> None:
        """Wait until a moment by the clock on the wall, as `wait_for` does; without a time zone it is local time."""
        await self._present_visit("wait_until").wait(request_id, due=seconds_of(moment))

    async def run_workflow(self, name: str, inputs: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run another workflow of the workspace, wait for its end, days if need be, and return its final state.

        Its run is linked to this one: it is started once for this call of this visit, also over crashes, and cancelled,
        paused and resumed with this run. Where it fails, SubflowFailed is raised; a later attempt runs it anew.
        """
        return await self._present_visit("run_workflow").run_workflow(name, dict(inputs or {}))

    async def map(
        self,
        function: Callable[[Any], Any],
        items: Iterable[Any],
        *,
        concurrency: int = 8,
        attempts: int = 1,
        wait: float = 0,
        backoff: float = 1,
    ) -> list[Any]:
        """Call a plain or async function on every item, at most `concurrency` at once; the results are in order.

        Each item is tried up to `attempts` times, `wait` seconds between two, times `backoff` after each, and has an
        `idempotency_key` of its own. A plain function runs in threads. The first item that fails for good ends the
        others and raises MapItemFailed, which names its index.
        """
        for name, number in (("concurrency", concurrency), ("attempts", attempts)):
            if isinstance(number, bool) or not isinstance(number, int) or number < 1:
                raise ValueError(f"{name} of self.map must be a whole number from 1 on, not {number!r}")
        mapping = ItemMapping(
            self._present_visit("map"),
            function,
            list(items),
            concurrency=concurrency,
            attempts=attempts,
            wait=wait,
            backoff=backoff,
        )
        return await mapping.run()

    @property
    def last_error(self) -> LastError | None:
        """Why the node before failed, where its `on_error` led here: its `node`, `type` and `message`; else None."""
        return self._present_visit("last_error").last_error

    @property
    def output_dir(self) -> Path:
        """The folder for files that this run writes; it is made on first use."""
        return self._present_visit("output_dir").output_dir

    @property
    def idempotency_key(self) -> str:
        """Text that is the same for every attempt of this visit, also after a crash, and for no other visit.

        In the function of `map` it is that of the item.
        """
        return self._present_visit("idempotency_key").idempotency_key

    @property
    def tools(self) -> Tools:
        """The workflow's tools by name."""
        return self._present_visit("tools").tools

    def _present_visit(self, what: str) -> Visit:
        if self._visit is None:
            raise OutsideVisit(
                f"{type(self).__name__}.{what} can be used only while the node runs.",
                cause="It belongs to one visit of one run, and here there is none (in __init__, for example).",
                next_step=f"Use self.{what} inside prepare, execute or cleanup.",
            )
        return self._visit

    # Running ------------------------------------------------------------------------------------------------------

    def enter(self: AnyNode, visit: Visit) -> AnyNode:
        """A copy of the node for one execution, so that attributes set in it end with it."""
        node = copy.copy(self)
        node._visit = visit
        return node

    async def run_phases(self, shared: dict[str, Any], request_input: RequestInput) -> None:
        """Run the three phases on this very instance; failures are raised."""
        visit = self._visit or Visit()
        with visit.phase():
            prepared = await settle(self.prepare, shared, request_input)
        result = await settle(self._execute_with_retry, prepared)
        with visit.phase():
            await settle(self.cleanup, shared, prepared, result)

    async def run_standalone(self, shared: dict[str, Any]) -> dict[str, Any]:
        """Run the node once without an engine and return `shared`; asking for input raises NotImplementedError."""
        visit = Visit()
        await self.enter(visit).run_phases(shared, visit.request_input)
        return shared

    async def run(self, state: ExecutionState, request_input: RequestInput) -> None:
        """Run the node once against a state and note there how it went; failures are raised."""
        try:
            await self.enter(Visit()).run_phases(state.shared, request_input)
        except Exception as error:
            state.node_statuses[self.id] = NodeStatus.FAILED
            state.metadata["error"] = f"{type(error).__name__}: {error}"
            raise
        state.node_statuses[self.id] = NodeStatus.COMPLETED

    # Building a graph ---------------------------------------------------------------------------------------------

    def __gt__(self, other: AnyNode) -> AnyNode:
        """`a > b`: a default edge; returns b, so that chains can be written."""
        if not isinstance(other, Node):
            return NotImplemented
        self.add_edge(other.id)
        return other

    def __sub__(self, condition: str) -> _Condition:
        """`a - "condition" > b`: a conditional edge."""
        if not isinstance(condition, str):
            raise TypeError(f"a condition is a text with a Python expression, not {type(condition).__name__}")
        return _Condition(self, condition)

    def add_edge(self, to_id: str, condition: str = "") -> Edge:
        """Add an edge to the node of that id."""
        edge = Edge(self.id, to_id, condition)
        self.edges[to_id] = edge
        self._added_edges.append(edge)
        return edge

    def outgoing(self) -> list[Edge]:
        """The edges that leave the node, in the order in which they were added.

        `edges` has room for one edge to each target, the last; here all of them count, as they do in JSON.
        """
        added = [edge for edge in self._added_edges if self.edges.get(edge.to_id) in self._added_edges]
        return added + [edge for edge in self.edges.values() if edge not in added]

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Node:
        """Build a node from `{"id", "class", "config"}`; a class that nothing has defined is a ValueError."""
        return make_node(find_node_class(document["class"]), document.get("id"), document.get("config"))


class _Condition:
    """The left part of `a - "condition" > b`."""

    def __init__(self, node: Node, condition: str) -> None:
        self._node = node
        self._condition = condition

    def __gt__(self, other: AnyNode) -> AnyNode:
        if not isinstance(other, Node):
            return NotImplemented
        self._node.add_edge(other.id, self._condition)
        return other


def find_node_class(name: str, namespace: Mapping[str, Any] | None = None) -> type[Node]:
    """The node class of that name: from a workflow's own module first, then from all that were defined.

    Raises ValueError with the known names.
    """
    own = (namespace or {}).get(name)
    if isinstance(own, type) and issubclass(own, Node):
        return own
    if name in Node.registry:
        return Node.registry[name]
    known = ", ".join(sorted(Node.registry)) or "none"
    raise ValueError(f"Unknown node class {name!r}. Known classes: {known}.")


def make_node(node_class: type[Node], node_id: str | None, config: Mapping[str, Any] | None) -> Node:
    """An instance of a node class with id and config, whichever of them its `__init__` takes.

    Classes of older systems take `node_id`, `node_type` or nothing at all; what they don't take is set afterwards.
    Raises TypeError where `__init__` needs something else.
    """
    settings = dict(config or {})
    parameters = inspect.signature(node_class).parameters.values()
    needed = {parameter.name for parameter in parameters if parameter.default is parameter.empty}
    node_type = settings.get("node_type") or ("task" if "node_type" in needed else None)
    offered: dict[str, Any] = {"id": node_id, "node_id": node_id, "config": settings, "node_type": node_type}
    taken = {
        parameter.name
        for parameter in parameters
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        taken |= {"id", "config"} if "node_id" not in taken else {"config"}
    arguments = {name: value for name, value in offered.items() if name in taken and value is not None}
    try:
        node = node_class(**arguments)
    except TypeError as error:
        raise TypeError(
            f"{node_class.__name__} can't be made from JSON: {error}. Its __init__ may take id and config."
        ) from error
    if node_id is not None:
        node.id = node_id
    node.config = settings
    return node
