"""The nine tools as a model is told of them. Each word here is sent with every call, so the size is tested."""

from __future__ import annotations

from typing import Any

from core.assistant.memory import Mode
from core.assistant.operations import OPERATIONS_SCHEMA
from core.assistant.source import SOURCE_SCHEMA
from core.llm.messages import ToolSpec

_TEXT = {"type": "string"}
_REVISION = {"type": "integer", "description": "revision of the last result"}


def _object(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _list(items: dict[str, Any], most: int | None = None, least: int | None = None) -> dict[str, Any]:
    limits = {"maxItems": most} if most is not None else {}
    return {"type": "array", "items": items} | limits | ({"minItems": least} if least is not None else {})


_LEVEL = {"type": "string", "enum": ["low", "medium", "high"]}

READ_WORKFLOW = ToolSpec(
    "read_workflow",
    "Read the draft's graph: the outline, or nodes in full as JSON with their edges.",
    _object(["detail"], detail={"type": "string", "enum": ["outline", "nodes"]}, ids=_list(_TEXT)),
)
READ_NODE_SOURCE = ToolSpec(
    "read_node_source",
    "Read the source of one class of the workflow, and the imports of its file.",
    _object(["class"], **{"class": _TEXT}),
)
SEARCH_NODE_TYPES = ToolSpec(
    "search_node_types",
    "Find node classes here and, as examples, in other workflows, and notes on what nodes can do.",
    _object(["query"], query=_TEXT),
)
PROPOSE_GRAPH = ToolSpec(
    "propose_graph",
    "Change the draft's graph by operations, all or none. Edges of a removed node go with it; a renamed node keeps its "
    "edges.",
    _object(["base_rev", "ops", "why"], base_rev=_REVISION, ops=OPERATIONS_SCHEMA, why=_TEXT),
)
PROPOSE_SOURCE = ToolSpec(
    "propose_source", "Add, replace or delete one whole class of nodes.py in the draft.", SOURCE_SCHEMA
)
VALIDATE = ToolSpec("validate", "Check the draft.", _object([]))
DRY_RUN = ToolSpec(
    "dry_run",
    "Run the draft with recorded or stubbed calls, where the person has allowed it; until: stop before that node.",
    _object([], inputs={"type": "object"}, until=_TEXT),
)
ASK_USER = ToolSpec(
    "ask_user",
    "Ask the person what you must know and can't find out. Free text and skipping are always offered.",
    _object(
        ["questions"],
        questions=_list(
            _object(
                ["text", "options"],
                text=_TEXT,
                options=_list(_object(["label"], label=_TEXT, detail=_TEXT), most=4, least=2),
                several={"type": "boolean"},
            ),
            most=3,
            least=1,
        ),
    ),
)
SET_PLAN = ToolSpec(
    "set_plan",
    "Say what is to be done and how well you understand it; again when something becomes clear or a task is done.",
    _object(
        ["goal", "tasks", "assessment"],
        goal=_TEXT,
        tasks=_list(_object(["id", "title"], id=_TEXT, title=_TEXT, depends_on=_list(_TEXT), done={"type": "boolean"})),
        assessment=_object(
            ["clarity", "completeness", "feasibility", "specificity"],
            clarity=_LEVEL,
            completeness=_LEVEL,
            feasibility=_LEVEL,
            specificity=_LEVEL,
        ),
        slots=_list(
            {
                "type": "object",
                "properties": {"name": _TEXT, "value": {"type": ["string", "null"]}},
                "required": ["name", "value"],
                "description": "what must be known; value null while it is not",
            }
        ),
        tools=_list(_TEXT),
        assumptions=_list(_object(["text"], id=_TEXT, text=_TEXT)),
    ),
)

READING = (READ_WORKFLOW, READ_NODE_SOURCE, SEARCH_NODE_TYPES)
CHANGING = (PROPOSE_GRAPH, PROPOSE_SOURCE)


def tools_of(mode: Mode) -> tuple[ToolSpec, ...]:
    """The tools that a mode has. In mode ask nothing can be proposed, whatever the model is told or tells itself."""
    if mode == "ask":
        return (*READING, VALIDATE, ASK_USER)
    return (*READING, *CHANGING, VALIDATE, DRY_RUN, ASK_USER, SET_PLAN)
