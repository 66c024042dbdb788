"""Two real MCP servers from npm, called from a workflow and by the calls that the screen of tools makes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from npm_servers import HERE, npm_servers
from workbench import Workbench

from core.errors import ToolArguments, ToolRefused
from core.link.model_types import CallFilter

pytestmark = pytest.mark.long
HANG = 120.0

NODES = """
class Write(Node):
    async def prepare(self, shared, request_input):
        return shared["tools"]["files"], shared["path"]

    async def execute(self, prepared):
        files, path = prepared
        await files.write_file({"path": path, "content": "written by a node"})
        return await self.tool("everything", "get-sum", {"a": 20, "b": 22})

    def cleanup(self, shared, prepared, result):
        shared["sum"] = result

class Read(Node):
    async def execute(self, prepared):
        pass

    async def cleanup(self, shared, prepared, result):
        shared["text"] = await shared["tools"]["files"].read_text_file({"path": shared["path"]})
        try:
            await shared["tools"]["files"].read_text_file({"path": "/etc/hostname"})
        except Exception as error:
            shared["refused"] = type(error).__name__
"""


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    made = Workbench(tmp_path / "ws")
    (made.root / "shown").mkdir()
    return made


def configure(bench: Workbench, port: int = 0) -> Path:
    """Have the servers, and return the folder that one of them shows."""
    shown = bench.root / "shown"
    (bench.root / "mcp.json").write_text(json.dumps({"mcpServers": npm_servers(shown, port)}))
    return shown


async def trust(bench: Workbench, *names: str) -> None:
    for name in names:
        assert (await bench.engine.connect_tool(name, values={"trust": "yes"})).state == "ACTIVE"


async def call(bench: Workbench, tool: str, action: str, **arguments: Any) -> Any:
    return (await bench.engine.call_tool(uuid.uuid4().hex, tool, action, arguments)).value


def text_of(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


async def test_a_workflow_writes_and_reads_files_and_adds_by_two_servers(bench: Workbench) -> None:
    path = configure(bench) / "note.txt"
    folder = bench.write("w", NODES, edges=[("write", "read")], initial_state={"path": str(path)})
    (folder / "tools.json").write_text('["files", "everything"]')
    async with bench.running():
        # Nothing is started before a person trusts it: the run asks, for the one and then for the other.
        run = await bench.start("w")
        for name in ("files", "everything"):
            waiting = await bench.until(
                run.run_id,
                lambda view: view.awaiting_input is not None and view.awaiting_input.request_id == f"connect-{name}",  # noqa: B023
                seconds=HANG,
            )
            assert waiting.awaiting_input is not None and waiting.awaiting_input.kind == "connection"
            await trust(bench, name)
        done = await bench.until(run.run_id, lambda view: view.status in ("completed", "failed"), seconds=HANG)
        assert done.status == "completed", done.error
        state = await bench.state(run.run_id)
        assert path.read_text() == "written by a node"
        assert "42" in text_of(state["sum"]) and "written by a node" in text_of(state["text"])
        assert state["refused"] == "ToolRefused", "what lies outside of its folder is not shown"
        calls = await bench.engine.list_calls(CallFilter(run_id=run.run_id))
        assert {call.title for call in calls} >= {"files.write_file", "everything.get-sum", "files.read_text_file"}


async def test_they_are_listed_described_and_called_by_hand(bench: Workbench) -> None:
    shown = configure(bench)
    (shown / "a.txt").write_text("hello from a file")
    async with bench.running() as engine:
        before = await engine.get_tool("files")
        assert before.connections == [] and [one.name for one in before.schemes] == ["TRUST"]
        await trust(bench, "files", "everything")
        files, everything = await engine.get_tool("files"), await engine.get_tool("everything")
        assert {"read_text_file", "write_file", "list_directory"} <= {one.name for one in files.actions}
        assert {"echo", "get-sum"} <= {one.name for one in everything.actions}
        effects = {one.name: one.effects for one in files.actions}
        assert (effects["read_text_file"], effects["write_file"]) == ("read", "write")
        action = await engine.get_action("files", "read_text_file")
        assert "path" in action.inputs["required"]
        assert "hello from a file" in text_of(await call(bench, "files", "read_text_file", path=str(shown / "a.txt")))
        assert "a.txt" in text_of(await call(bench, "files", "list_directory", path=str(shown)))
        assert "hi there" in text_of(await call(bench, "everything", "echo", message="hi there"))
        with pytest.raises(ToolRefused):
            await call(bench, "files", "read_text_file", path=str(shown / "missing.txt"))
        with pytest.raises((ToolArguments, ToolRefused)):
            await call(bench, "everything", "get-sum", a="one")


@pytest.fixture
def address() -> Iterator[int]:
    """The port at which the server `everything` speaks HTTP."""
    program = HERE / "node_modules" / "@modelcontextprotocol" / "server-everything" / "dist" / "index.js"
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed, and this MCP server runs on it")
    for _ in range(5):
        # Somebody else may take the port meanwhile: then the server ends, and another port is tried.
        with socket.socket() as place:
            place.bind(("127.0.0.1", 0))
            port = place.getsockname()[1]
        server = subprocess.Popen(
            [node, str(program), "streamableHttp"],
            env={**os.environ, "PORT": str(port)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            if answers(server, port):
                yield port
                return
        finally:
            server.kill()
            server.wait()
    pytest.fail("the server did not start")


def answers(server: subprocess.Popen[bytes], port: int) -> bool:
    """Wait until it takes connections; False where it ends instead."""
    end = time.monotonic() + HANG
    while server.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
        time.sleep(0.1)
    return False


async def test_a_server_at_an_address_is_called_the_same_way(bench: Workbench, address: int) -> None:
    configure(bench, address)
    async with bench.running():
        await trust(bench, "everything_http")
        assert "over there" in text_of(await call(bench, "everything_http", "echo", message="over there"))
