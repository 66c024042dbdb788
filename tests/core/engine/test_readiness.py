"""What is missing is said before the first node acts: all of it, each with what mends it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from composio_server import KEY, FakeComposio
from loopback import serving
from workbench import Workbench

from core.errors import NotReady
from core.link.types import RunFilter
from core.sdk.tools import REGISTERED

NODES = """
class Read(Node):
    async def execute(self, prepared):
        await self.tool("gmail", "fetch_emails", {})
        await self.tool("weather", "fly", {})
        return await self.llm("Make it short.")

class Post(Node):
    async def execute(self, prepared):
        await shared["tools"]["slack"].post_message({})
        await self.http("GET", "https://x.example", headers={"X": "secret:UNDECLARED"})
"""


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Workbench]:
    async with serving(FakeComposio(page=100)) as loopback:
        monkeypatch.setenv("COMPOSIO_API_KEY", KEY)
        monkeypatch.setenv("COMPOSIO_BASE_URL", loopback.url)
        yield Workbench(tmp_path)


def lacking(bench: Workbench) -> None:
    """A workflow that lacks something of each kind."""
    folder = bench.write("w", NODES, edges=[("read", "post")], permissions={"secrets": ["DECLARED"]})
    tools = ["gmail", "weather", "nowhere", {"name": "files", "provider": "mcp"}]
    (folder / "tools.json").write_text(json.dumps(tools))
    servers = {"mcpServers": {"files": {"command": "files-server"}}}
    (bench.root / "mcp.json").write_text(json.dumps(servers))


async def test_everything_that_is_missing_is_said_at_once_with_what_mends_it(bench: Workbench) -> None:
    lacking(bench)
    async with bench.running():
        found = {(lack.kind, lack.name): lack for lack in await bench.engine.check_workflow("w")}

        assert {name: lack.then for name, lack in found.items()} == {
            ("account", "gmail"): "waits",
            ("account", "files"): "waits",
            ("action", "weather.fly"): "fails",
            ("tool", "nowhere"): "fails",
            ("tool", "slack"): "fails",
            ("secret", "UNDECLARED"): "fails",
            ("secret", "DECLARED"): "refused",
            ("model", "executor"): "fails",
        }
        assert "rondo authenticate-tool gmail" in found["account", "gmail"].next_step
        assert "not trusted" in found["account", "files"].message
        assert found["action", "weather.fly"].place == "nodes.py:7"
        assert "rondo workflow-tools w --add slack" in found["tool", "slack"].next_step
        assert "rondo secrets grant DECLARED w" in found["secret", "DECLARED"].next_step
        assert "ANTHROPIC_API_KEY" in found["model", "executor"].next_step
        assert not list(bench.root.glob("runs/output/*"))


async def test_a_workflow_inside_another_is_looked_at_too(bench: Workbench) -> None:
    lacking(bench)
    bench.write("above", "", nodes=[{"id": "below", "subflow": "w"}])
    async with bench.running():
        found = await bench.engine.check_workflow("above")
        assert {lack.workflow for lack in found} == {"w"}
        assert ("account", "gmail") in {(lack.kind, lack.name) for lack in found}


async def test_a_run_that_is_to_begin_with_all_it_needs_is_refused_and_leaves_nothing(bench: Workbench) -> None:
    code = """
    class Read(Node):
        async def execute(self, prepared):
            await self.tool("gmail", "fetch_emails", {})
    """
    folder = bench.write("w", code)
    (folder / "tools.json").write_text('["gmail"]')
    async with bench.running():
        with pytest.raises(NotReady, match="w is not ready: 1 thing is missing") as caught:
            await bench.start("w", require_ready=True)
        assert "The tool gmail has no account." in caught.value.cause
        assert "rondo authenticate-tool gmail" in caught.value.next_step
        assert await bench.engine.list_runs(RunFilter()) == []
        waiting = await bench.run("w")
        assert waiting.status == "waiting_input"


async def test_a_workflow_that_has_all_it_needs_lacks_nothing(bench: Workbench) -> None:
    bench.write("w", "class Read(Node):\n    pass")
    async with bench.running():
        assert await bench.engine.check_workflow("w") == []
        assert (await bench.run("w", require_ready=True)).status == "completed"


async def test_tools_that_a_program_registers_itself_are_not_missing(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(REGISTERED, "own", object())
    code = """
    class Read(Node):
        async def execute(self, prepared):
            await self.tool("own", "read", {})
    """
    bench.write("w", code)
    async with bench.running():
        assert await bench.engine.check_workflow("w") == []
