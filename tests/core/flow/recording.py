"""A journal in memory, and interpreters made of a few functions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from core.flow.graph import EdgeSpec, Graph, NodeSpec, RetrySpec
from core.flow.interpreter import Interpreter
from core.flow.journal import AttemptPlan, AttemptRecord, Request, StepRecord
from core.flow.position import Position
from core.sdk import Node


class Recorder:
    """A journal in memory with a clock of its own; `answers` are given by request key, others wait."""

    def __init__(self, answers: dict[str, Any] | None = None) -> None:
        self.acts: list[tuple[Any, ...]] = []
        self.steps: list[StepRecord] = []
        self.failed: list[AttemptRecord] = []
        self.asked: list[Request] = []
        self.answers = answers or {}
        self.logs: list[tuple[str, str]] = []
        self._clock = 0.0

    def now(self) -> float:
        self._clock += 1
        return self._clock

    async def sleep(self, seconds: float) -> None:
        self.acts.append(("sleep", seconds))

    def random(self) -> float:
        return 0.5

    def clock(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    def started(self, node: str, visit: int, attempt: int, plan: AttemptPlan) -> None:
        self.acts.append(("started", node, visit, attempt))

    def attempt_failed(self, record: AttemptRecord) -> None:
        self.failed.append(record)
        self.acts.append(("failed", record.node, record.visit, record.attempt))

    async def step(self, record: StepRecord) -> None:
        await asyncio.sleep(0)
        self.steps.append(record)
        self.acts.append(("step", record.seq, record.node, record.visit, record.attempt))

    async def request(self, request: Request) -> Any:
        self.asked.append(request)
        if request.key in self.answers:
            return self.answers[request.key]
        return await asyncio.get_running_loop().create_future()

    def log(self, level: str, text: str, node: str = "", visit: int = 0, attempt: int = 0) -> None:
        self.logs.append((level, text))


Body = Callable[..., Any]


def node(
    prepare: Body | None = None, execute: Body | None = None, cleanup: Body | None = None, **settings: Any
) -> Node:
    """A node of these phases; each gets the node itself first."""
    phases = {"prepare": prepare, "execute": execute, "cleanup": cleanup}
    kind = type("Made", (Node,), {name: body for name, body in phases.items() if body is not None})
    return kind(**settings)


def change(body: Callable[[Any], Any], **settings: Any) -> Node:
    return node(cleanup=lambda self, shared, prepared, result: body(shared), **settings)


def graph_of(nodes: dict[str, Any], *edges: tuple[str, ...], retry: dict[str, RetrySpec] | None = None) -> Graph:
    specs = {node_id: NodeSpec(node_id, "Made", retry=(retry or {}).get(node_id)) for node_id in nodes}
    return Graph("test", specs, tuple(EdgeSpec(*edge) for edge in edges), next(iter(nodes)))


def interpreter(
    nodes: dict[str, Node],
    *edges: tuple[str, ...],
    journal: Recorder | None = None,
    state: dict[str, Any] | None = None,
    position: Position | None = None,
    retry: dict[str, RetrySpec] | None = None,
    **settings: Any,
) -> Interpreter:
    graph = graph_of(nodes, *edges, retry=retry)
    return Interpreter(
        graph,
        nodes,
        journal if journal is not None else Recorder(),
        state if state is not None else {},
        position=position or Position(0, graph.start),
        **settings,
    )


def fails(times: int) -> Body:
    def execute(self: Any, prepared: Any) -> Any:
        if self.cur_retry < times:
            raise ValueError(f"try {self.cur_retry}")
        return self.cur_retry

    return execute
