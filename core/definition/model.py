"""The shape of a workflow's graph as JSON, checked with pydantic.

The native form and the original Grapheteria form are one: everything beyond nodes, edges, start and initial_state is
optional. Only `core.definition.load` imports this module, so that nothing else pays for importing pydantic.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from core.definition.json_text import Path
from core.definition.text import visible
from core.flow.dag_shape import first_node
from core.flow.graph import SUBFLOW_CLASS, EdgeSpec, Graph, NodeSpec, RetrySpec, subflow_config

NODE_LIMIT = 5_000
EDGE_LIMIT = 20_000
"""Larger graphs are refused before they are looked at closer."""

_NAME_LENGTH = 200


def _number_as_text(value: Any) -> Any:
    # The original form was never strict about ids, so `"id": 1` is found in the wild.
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _plain_name(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be empty")
    if len(value) > _NAME_LENGTH:
        raise ValueError(f"must not be longer than {_NAME_LENGTH} characters")
    if not value.isprintable():
        raise ValueError("must not contain control characters")
    return value


def _reaction(value: str) -> str:
    if value not in ("fail", "skip", "ask") and not (value.startswith("goto:") and value[5:].strip()):
        raise ValueError("must be fail, skip, ask or goto:<node>")
    return value


def _reducer_path(value: str) -> str:
    if not all(value.split(".")):
        raise ValueError("must be keys of the state with dots between them, such as results or stats.by_day")
    return value


NodeId = Annotated[str, BeforeValidator(_number_as_text), AfterValidator(_plain_name)]
ClassName = Annotated[str, AfterValidator(_plain_name)]
Reaction = Annotated[str, AfterValidator(_reaction)]
ReducerPath = Annotated[str, AfterValidator(_plain_name), AfterValidator(_reducer_path)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, hide_input_in_errors=True)


class RetryModel(_Part):
    """How often a node's execute phase is tried."""

    attempts: int = Field(default=1, ge=1)
    wait: Seconds = 0.0
    backoff: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    jitter: float = Field(default=0.0, ge=0, le=1, allow_inf_nan=False)
    max_wait: Seconds | None = None


class NodeModel(_Part):
    """One node: of a class, or of a workflow that it runs; `inputs` and `output` belong to the latter."""

    id: NodeId
    class_name: ClassName = Field(default=SUBFLOW_CLASS, alias="class")
    subflow: ClassName | None = None
    inputs: dict[str, Any] | None = None
    output: Annotated[str, AfterValidator(_plain_name)] | dict[str, Any] | None = None
    config: dict[str, Any] | None = None
    retry: RetryModel | None = None
    timeout: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    on_error: Reaction | None = None
    effects: Literal["", "none", "read", "write"] | None = None
    priority: int | None = None


class EdgeModel(_Part):
    """One edge."""

    from_id: NodeId = Field(alias="from")
    to_id: NodeId = Field(alias="to")
    condition: str | None = None


class PermissionsModel(_Part):
    """What the workflow says it needs; shown to a person before an approval."""

    network: list[str] = []
    write: list[str] = []
    secrets: list[str] = []


class WorkflowModel(_Part):
    """The whole document."""

    name: str | None = None
    description: str | None = None
    mode: Literal["machine", "dag"] | None = None
    start: NodeId | None = None
    inputs: Any = None
    initial_state: dict[str, Any] | None = None
    files: list[str] | None = None
    permissions: PermissionsModel | None = None
    assumptions: list[str] | None = None
    """What the assistant took for granted; no run reads it."""
    strategy: Literal["greedy", "sequential", "parallel"] | None = None
    max_parallel: int | None = Field(default=None, ge=1)
    fail_fast: bool | None = None
    reducers: dict[ReducerPath, Literal["append", "merge", "last"]] | None = None
    nodes: list[NodeModel]
    edges: list[EdgeModel] | None = None


def check_document(document: Any) -> tuple[WorkflowModel | None, list[tuple[Path, str]]]:
    """The document as a model, or None and every problem as (place in the document, what is wrong there)."""
    try:
        model = WorkflowModel.model_validate(document)
        problems = [
            _problem("missing", ("nodes", position, "class"), "")
            for position, node in enumerate(model.nodes)
            if node.subflow is None and "class_name" not in node.model_fields_set
        ]
        return (None, problems) if problems else (model, [])
    except ValidationError as error:
        return None, [
            _problem(details["type"], details["loc"], details["msg"])
            for details in error.errors(include_url=False, include_input=False)
        ]


def unknown_keys(document: dict[str, Any]) -> Iterator[tuple[Path, str, list[str]]]:
    """Every key of a document of the right shape that means nothing: (place, key, the keys that are known there)."""
    yield from _unknown(WorkflowModel, document, ())
    yield from _unknown(PermissionsModel, document.get("permissions"), ("permissions",))
    for index, node in enumerate(document["nodes"]):
        yield from _unknown(NodeModel, node, ("nodes", index))
        yield from _unknown(RetryModel, node.get("retry"), ("nodes", index, "retry"))
    for index, edge in enumerate(document.get("edges") or ()):
        yield from _unknown(EdgeModel, edge, ("edges", index))


def graph_of(model: WorkflowModel, name: str, inputs: dict[str, Any] | None) -> Graph | None:
    """The graph for drawing and running; None without a node.

    Of a document with errors it is the part that makes sense: the first of two nodes with one id, only edges between
    nodes that are there, and the first node where the start names none.
    """
    nodes: dict[str, NodeSpec] = {}
    for node in model.nodes:
        nodes.setdefault(node.id, _node_spec(node))
    if not nodes:
        return None
    edges = tuple(
        EdgeSpec(edge.from_id, edge.to_id, (edge.condition or "").strip())
        for edge in model.edges or ()
        if edge.from_id in nodes and edge.to_id in nodes
    )
    graph = Graph(
        name=visible(model.name or name),
        nodes=nodes,
        edges=edges,
        start=model.start if model.start in nodes else next(iter(nodes)),
        mode=model.mode or "machine",
        description=visible(model.description or "", keep="\n"),
        initial_state=model.initial_state or {},
        inputs=inputs,
        strategy=model.strategy or "greedy",
        max_parallel=model.max_parallel,
        fail_fast=bool(model.fail_fast),
        reducers=model.reducers or {},
        assumptions=tuple(visible(text, keep="\n") for text in model.assumptions or ()),
    )
    # A dag begins at every node that nothing leads to; the start is the first of them in turn.
    return replace(graph, start=first_node(graph)) if graph.mode == "dag" else graph


def _node_spec(node: NodeModel) -> NodeSpec:
    retry = node.retry
    given = {"subflow": node.subflow, "inputs": node.inputs, "output": node.output}
    return NodeSpec(
        id=node.id,
        class_name=node.class_name if node.subflow is None else SUBFLOW_CLASS,
        config=(node.config or {}) if node.subflow is None else subflow_config(given),
        retry=_retry_spec(retry) if retry is not None else None,
        timeout=node.timeout,
        on_error=node.on_error or "fail",
        effects=node.effects or "",
        priority=node.priority or 0,
    )


def _retry_spec(retry: RetryModel) -> RetrySpec:
    return RetrySpec(retry.attempts, retry.wait, retry.backoff, retry.jitter, retry.max_wait)


def _unknown(part: type[_Part], value: dict[str, Any] | None, path: Path) -> Iterator[tuple[Path, str, list[str]]]:
    known = [field.alias or name for name, field in part.model_fields.items()]
    for key in value or ():
        if key not in known:
            yield (*path, key), key, known


_EXPECTED = {
    "string_type": "must be text in quotes",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "float_type": "must be a number",
}


def _problem(kind: str, location: tuple[int | str, ...], message: str) -> tuple[Path, str]:
    """Pydantic's words in ours: which part, and what it must be."""
    if kind == "missing":
        parent = location[:-1]
        return parent, f"{_spoken(parent)} lacks the key {location[-1]!r}."
    said = _EXPECTED.get(kind)
    if said is None:
        said = message.removeprefix("Value error, ").removeprefix("Input should be ")
        said = said if said.startswith("must") else f"must be {said}"
    return location, f"{_spoken(location)} {said}."


def _spoken(path: Path) -> str:
    """A place as people write it: nodes[2].retry.wait."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".") or "The document"
