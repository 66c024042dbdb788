"""Tools of one's own, and tools as node code sees them."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from core.errors import OutsideVisit, ToolMissing, ToolUnknown, UsageError
from core.sdk import Node, Tools, shared_view
from core.sdk.tools import PRESENT, REGISTERED, ToolProxy
from core.sdk.visit import Visit
from core.tools import ComposioTool, Tool, ToolManager


class Greeter(Tool):
    def greet(self, arguments: dict[str, Any]) -> str:
        return f"Hello {arguments['name']}"

    async def wave(self, arguments: dict[str, Any]) -> str:
        return "o/"

    def _hidden(self) -> None: ...


class Mail(ComposioTool):
    app = "gmail"

    async def send_twice(self, arguments: dict[str, Any]) -> list[Any]:
        return [await self.send_email(arguments), await self.execute_action("GMAIL_SEND_EMAIL", arguments)]


class Recording(Visit):
    def __init__(self) -> None:
        super().__init__()
        self.asked: list[dict[str, Any]] = []
        self.tools = Tools({"slack": ToolProxy("slack")})

    async def call(self, kind: str, request: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(request)
        return {"value": len(self.asked)}


@pytest.fixture
def visit() -> Iterator[Recording]:
    visit = Recording()
    token = PRESENT.set(visit)
    yield visit
    PRESENT.reset(token)
    REGISTERED.clear()


async def test_a_registered_tool_is_called_where_the_node_runs(visit: Recording) -> None:
    ToolManager().register_tool("greeter", Greeter())
    assert shared_view["tools"]["greeter"].greet({"name": "Ann"}) == "Hello Ann"
    node = Node("n").enter(visit)
    assert await node.tool("greeter", "greet", {"name": "Ann"}) == "Hello Ann"
    assert await node.tool("greeter", "wave") == "o/"
    assert visit.asked == []
    with pytest.raises(ToolUnknown, match="no action '_hidden'") as caught:
        await node.tool("greeter", "_hidden")
    assert "greet, wave" in caught.value.cause
    assert ToolManager().list_tools() == ["greeter"]
    ToolManager().unregister_tool("greeter")
    with pytest.raises(ToolMissing):
        ToolManager().get_tool("greeter")


async def test_a_composio_tool_calls_its_app_through_the_engine(visit: Recording) -> None:
    ToolManager().register_tool("mail", Mail())
    assert await shared_view["tools"]["mail"].send_twice({"subject": "x"}) == [1, 2]
    assert await Node("n").enter(visit).tool("mail", "fetch_emails") == 3
    assert [(one["tool"], one["action"]) for one in visit.asked] == [
        ("gmail", "send_email"),
        ("gmail", "GMAIL_SEND_EMAIL"),
        ("gmail", "fetch_emails"),
    ]


async def test_a_tool_of_the_workflow_is_called_by_its_action_s_name(visit: Recording) -> None:
    assert await shared_view["tools"]["slack"].post_message({"channel": "#a", "text": "hi"}) == 1
    assert visit.asked == [{"tool": "slack", "action": "post_message", "args": {"channel": "#a", "text": "hi"}}]
    with pytest.raises(ToolMissing, match="gmail"):
        shared_view["tools"]["gmail"]


async def test_a_tool_does_not_go_into_the_state(visit: Recording) -> None:
    tool = visit.tools["slack"]
    with pytest.raises(TypeError):
        json.dumps({"tool": tool})
    assert copy.deepcopy(repr(tool)) == "<tool slack>"


async def test_outside_of_a_node_there_is_nobody_to_call() -> None:
    with pytest.raises(OutsideVisit, match=r"slack\.post_message"):
        await ToolProxy("slack").post_message({})


def test_what_is_no_tool_is_not_registered() -> None:
    for name, tool in (("a b", Greeter()), ("ok", object())):
        with pytest.raises(UsageError):
            ToolManager().register_tool(name, tool)  # type: ignore[arg-type]
