"""Calls of tools for nodes: which tool of the workflow is meant, with which account, and what is asked before."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from core.errors import NotConnected, ToolMissing
from core.flow.journal import CONNECTION, FAIL
from core.masking import without_secrets
from core.store.records import RequestRow
from core.tools.hub import Ready, ToolHub
from core.tools.pins import read_pins
from core.tools.waiting import Noted

CONNECTED = "connected"
"""The answer that an account is connected now."""


class ToolService:
    """Finds and calls the tools of workflows; credentials stay with the providers."""

    def __init__(self, hub: ToolHub, seconds: Callable[[], float] = lambda: 120.0) -> None:
        self._hub = hub
        self._seconds = seconds
        """The time limit of one call; what is waited for between two is not in it."""

    async def ready(self, workflow: str, files: Mapping[str, bytes], asked: Mapping[str, Any]) -> Ready:
        """What a node's call means; raises ToolMissing, NotConnected and the rest of the ToolProblem family.

        A workflow may call what its tools.json names and nothing else: that is what a person has approved.
        """
        pins, name = read_pins(files.get("tools.json")), str(asked.get("tool"))
        pin = pins.get(name) or next((one for one in pins.values() if one.service == name.lower()), None)
        if pin is None:
            raise ToolMissing(
                f"There is no tool {name!r}.",
                cause=f"The tools of {workflow} are: {', '.join(pins) or 'none'}.",
                next_step=f"Add {name!r} to the workflow's tools.json, or use one of those it has.",
            )
        return await self._hub.ready(pin, str(asked.get("action")))

    async def call(self, ready: Ready, arguments: Mapping[str, Any], key: str, noted: Noted) -> dict[str, Any]:
        """Call it, and return the reply as it is kept; `key` is equal for calls that are to act once."""
        result = await self._hub.call(ready, arguments, key=key, seconds=self._seconds(), noted=noted)
        return {
            "value": result.data,
            "log_id": result.log_id,
            "cost": result.cost,
            "seconds": round(result.seconds, 3),
            "effects": ready.action.effects,
            "provider": ready.provider.name,
            "account": ready.connection_id,
            "version": ready.action.version,
        }


def kept_tool_request(asked: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """A request as it is kept: what arguments hold that are secrets, by their names or the action's schema, is left
    out."""
    return {**asked, "args": without_secrets(asked.get("args"), schema)}


def request_id_of(app: str) -> str:
    """The id of the request for an account of an app."""
    return f"connect-{app}"


def connection_question(problem: NotConnected, rows: Sequence[RequestRow], node: str, visit: int) -> dict[str, Any]:
    """What is asked where an account is missing or has ended; raises the problem where a person has said: fail.

    `rows` are the requests of the line. All calls of a visit that need the account wait for one question.
    """
    app = str((problem.details or {}).get("app") or "tool") if isinstance(problem.details, dict) else "tool"
    request_id = request_id_of(app)
    same = [row for row in rows if (row.node, row.visit, row.request_id) == (node, visit, request_id)]
    ours = [row for row in same if row.kind == CONNECTION]
    opened = next((row for row in ours if row.status == "open"), None)
    if opened is None and ours and ours[-1].status == "answered" and json.loads(ours[-1].answer or "null") == FAIL:
        raise problem
    text = f"{problem.message} {problem.cause} Connect it, and {node} goes on: rondo authenticate-tool {app}"
    return {
        "node": node,
        "visit": visit,
        "request_id": request_id,
        "nth": opened.nth if opened is not None else len({row.nth for row in same}),
        "prompt": opened.prompt if opened is not None else text,
        "options": [
            {"value": CONNECTED, "label": "connected: go on, the account is connected now"},
            {"value": FAIL, "label": f"fail: the call fails with {problem.type_name}"},
        ]
        if opened is None
        else json.loads(opened.options),
        "input_type": "select",
        "kind": CONNECTION,
    }
