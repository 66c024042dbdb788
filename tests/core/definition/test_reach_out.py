"""What code asks of the world is found in its text."""

from __future__ import annotations

from core.definition.reach_out import reach_out

CODE = b'''
from core.sdk import Node
from core.tools import Tool, ToolManager

ToolManager().register_tool("weather", Tool())


class Send(Node):
    async def execute(self, prepared):
        await self.tool("gmail", "send_email", {})
        await self.tool(name="slack", action="post_message")
        await self.tool("gmail", prepared["action"])
        await shared["tools"]["github"].create_issue({})
        notion = shared["tools"]["notion"]
        await notion.search({})
        await self.tools["weather"].today({})
        either = shared["tools"]["gmail"]
        either = shared["tools"]["slack"]
        await either.whatever({})
        await self.llm("x")
        await self.llm("x", role="critic")
        await self.llm("x", model="openai:gpt")
        await self.llm("x", role=prepared["role"])
        await self.http("GET", "https://x.example", headers={"Authorization": f"Bearer secret:TOKEN_1"})
        """secret:NOT_ONE"""
'''


def test_tools_actions_models_and_secrets_are_found_with_their_places() -> None:
    found = reach_out({"nodes.py": CODE, "broken.py": b"def (", "data.csv": b"self.tool('x')"})
    assert set(found.tools) == {"gmail", "slack", "github", "notion", "weather"}
    assert set(found.actions) == {
        ("gmail", "send_email"),
        ("slack", "post_message"),
        ("github", "create_issue"),
        ("notion", "search"),
        ("weather", "today"),
    }
    assert found.actions["gmail", "send_email"] == "nodes.py:10"
    assert found.registered == {"weather"}
    assert set(found.models) == {("executor", ""), ("critic", ""), ("", "openai:gpt")}
    assert set(found.secrets) == {"TOKEN_1"}
