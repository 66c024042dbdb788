"""A workflow's graph as the interpreter needs it: plain, immutable, standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SUBFLOW_CLASS = "rondo.Subflow"
"""The class of the nodes that run another workflow: no name that Python code can give to a class of its own."""


@dataclass(frozen=True, slots=True)
class RetrySpec:
    """How often the execute phase is tried: `attempts` in all, `wait` seconds, times `backoff` after each.

    `jitter` is the part of a wait, 0 to 1, by which it becomes shorter or longer; none is longer than `max_wait`.
    """

    attempts: int = 1
    wait: float = 0.0
    backoff: float = 1.0
    jitter: float = 0.0
    max_wait: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The retry in the native JSON form."""
        document: dict[str, Any] = {"attempts": self.attempts, "wait": self.wait, "backoff": self.backoff}
        if self.jitter:
            document["jitter"] = self.jitter
        if self.max_wait is not None:
            document["max_wait"] = self.max_wait
        return document


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """One node of the graph: which class it is and how it is set."""

    id: str
    class_name: str
    config: Mapping[str, Any] = field(default_factory=dict)
    retry: RetrySpec | None = None
    timeout: float | None = None
    on_error: str = "fail"
    effects: str = ""
    priority: int = 0
    """In mode dag: of the nodes that are ready, those with a higher one begin first."""

    @property
    def subflow(self) -> str:
        """The workflow that the node runs, where it is a subflow node; else the empty text."""
        return str(self.config["workflow"]) if self.class_name == SUBFLOW_CLASS else ""

    @property
    def error_target(self) -> str | None:
        """The node that a failure leads to, where `on_error` names one."""
        return self.on_error.removeprefix("goto:").strip() if self.on_error.startswith("goto:") else None


def subflow_config(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a subflow node from its JSON: `workflow`, and `inputs` and `output` where they are given."""
    given = {key: entry[key] for key in ("inputs", "output") if entry.get(key)}
    return {"workflow": entry["subflow"], **given}


@dataclass(frozen=True, slots=True)
class EdgeSpec:
    """One edge; the empty condition makes it a default edge."""

    from_id: str
    to_id: str
    condition: str = ""


@dataclass(frozen=True, slots=True)
class Graph:
    """The whole graph; `nodes` and `edges` keep the order of the file, which decides between edges.

    The four from `strategy` on are of mode dag: how many nodes may run at once (see `core.flow.dag`), whether a final
    failure stops those that run, and by path (keys with dots between them) how changes of independent nodes are joined.
    """

    name: str
    nodes: Mapping[str, NodeSpec]
    edges: tuple[EdgeSpec, ...]
    start: str
    mode: str = "machine"
    description: str = ""
    initial_state: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Any] | None = None
    strategy: str = "greedy"
    max_parallel: int | None = None
    fail_fast: bool = False
    reducers: Mapping[str, str] = field(default_factory=dict)
    assumptions: tuple[str, ...] = ()
    """What whoever wrote it took for granted, for people to read."""

    def edges_from(self, node_id: str) -> list[EdgeSpec]:
        """The edges that leave a node, in the order in which they were added."""
        return [edge for edge in self.edges if edge.from_id == node_id]

    def to_dict(self) -> dict[str, Any]:
        """The graph in the native JSON form, every default left out."""
        nodes = []
        for node in self.nodes.values():
            entry: dict[str, Any] = {"id": node.id}
            if node.subflow:
                entry |= {"subflow" if key == "workflow" else key: value for key, value in node.config.items()}
            else:
                entry["class"] = node.class_name
                if node.config:
                    entry["config"] = dict(node.config)
            if node.retry is not None:
                entry["retry"] = node.retry.to_dict()
            if node.timeout is not None:
                entry["timeout"] = node.timeout
            if node.on_error != "fail":
                entry["on_error"] = node.on_error
            if node.effects:
                entry["effects"] = node.effects
            if node.priority:
                entry["priority"] = node.priority
            nodes.append(entry)
        edges = []
        for edge in self.edges:
            line = {"from": edge.from_id, "to": edge.to_id}
            if edge.condition:
                line["condition"] = edge.condition
            edges.append(line)
        document: dict[str, Any] = {"name": self.name, "start": self.start, "nodes": nodes, "edges": edges}
        if self.mode != "machine":
            document["mode"] = self.mode
        if self.description:
            document["description"] = self.description
        if self.initial_state:
            document["initial_state"] = dict(self.initial_state)
        if self.inputs is not None:
            document["inputs"] = dict(self.inputs)
        if self.strategy != "greedy":
            document["strategy"] = self.strategy
        if self.max_parallel is not None:
            document["max_parallel"] = self.max_parallel
        if self.fail_fast:
            document["fail_fast"] = True
        if self.reducers:
            document["reducers"] = dict(self.reducers)
        if self.assumptions:
            document["assumptions"] = list(self.assumptions)
        return document

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Graph:
        """Build the graph from a document that `core.definition` has checked (or `to_dict` has written)."""
        nodes: dict[str, NodeSpec] = {}
        for entry in document["nodes"]:
            retry = entry.get("retry")
            node_id = str(entry["id"])
            nodes[node_id] = NodeSpec(
                id=node_id,
                class_name=SUBFLOW_CLASS if "subflow" in entry else str(entry["class"]),
                config=subflow_config(entry) if "subflow" in entry else dict(entry.get("config") or {}),
                retry=RetrySpec(**retry) if retry else None,
                timeout=entry.get("timeout"),
                on_error=entry.get("on_error") or "fail",
                effects=entry.get("effects") or "",
                priority=entry.get("priority") or 0,
            )
        edges = tuple(
            EdgeSpec(str(line["from"]), str(line["to"]), str(line.get("condition") or ""))
            for line in document.get("edges") or ()
        )
        return cls(
            name=str(document.get("name") or ""),
            nodes=nodes,
            edges=edges,
            start=str(document.get("start") or next(iter(nodes), "")),
            mode=document.get("mode") or "machine",
            description=document.get("description") or "",
            initial_state=dict(document.get("initial_state") or {}),
            inputs=document.get("inputs"),
            strategy=document.get("strategy") or "greedy",
            max_parallel=document.get("max_parallel"),
            fail_fast=bool(document.get("fail_fast")),
            reducers=dict(document.get("reducers") or {}),
            assumptions=tuple(document.get("assumptions") or ()),
        )
