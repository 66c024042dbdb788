"""Calls of tools by nodes: through the engine, recorded, waiting for accounts, never acting twice by themselves."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from composio_server import KEY, FakeComposio, error, tool
from loopback import Answer, Loopback, serving
from workbench import Workbench

from core.definition.load import load_sources
from core.engine.conversations.trying import Tries
from core.engine.inline import InlinePool
from core.errors import NotConnected, ToolProviderMissing, ToolRefused, ToolUnknown
from core.link.engine_types import ClientInfo
from core.link.model_types import CallFilter
from core.link.usage_types import usage_text
from core.tools.direct.provider import SERVICES
from core.tools.making import COMPOSIO_KEY
from core.tools.offered import OFFERED

SEND = """
class Send(Node):
    async def execute(self, prepared):
        return await self.tool("gmail", "send_email", {"subject": "hi", "api_key": "hidden-value"})

    def cleanup(self, shared, prepared, result):
        shared["sent"] = result
"""
HANG = 60.0


def mcp_stdio_server_file() -> Path:
    return Path(__file__).parents[1] / "tools" / "mcp_stdio_server.py"


class World:
    def __init__(self, bench: Workbench, loopback: Loopback, fake: FakeComposio) -> None:
        self.bench, self.loopback, self.fake = bench, loopback, fake
        self.called = asyncio.Event()
        fake.on_execute = self.called.set

    def write(self, source: str, tools: Any = ("gmail",), **graph: Any) -> None:
        folder = self.bench.write("w", source, **graph)
        (folder / "tools.json").write_text(json.dumps(tools))

    async def connected(self) -> str:
        """An account of Gmail that is there from before."""
        request = await self.bench.engine.connect_tool("gmail")
        self.fake.accounts[request.connection_id]["status"] = "ACTIVE"
        return request.connection_id

    def rows(self, columns: str = "status, node, title") -> list[Any]:
        with sqlite3.connect(self.bench.workspace.database) as connection:
            return connection.execute(f"SELECT {columns} FROM calls ORDER BY number").fetchall()


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    fake = FakeComposio(page=100)
    async with serving(fake) as loopback:
        monkeypatch.setenv("COMPOSIO_API_KEY", KEY)
        monkeypatch.setenv("COMPOSIO_BASE_URL", loopback.url)
        yield World(Workbench(tmp_path), loopback, fake)


@pytest.mark.parametrize("inline", [False, True])
async def test_a_node_calls_a_tool_and_the_call_is_on_record(world: World, inline: bool) -> None:
    world.write(SEND)
    async with world.bench.running(**({"pool": InlinePool()} if inline else {})):
        account = await world.connected()
        run = await world.bench.run("w")

        assert run.status == "completed", run.error
        assert (await world.bench.state(run.run_id))["sent"] == {"id": "m-1"}
        [sent] = world.fake.executed
        assert (sent["slug"], sent["connected_account_id"]) == ("GMAIL_SEND_EMAIL", account)
        assert sent["arguments"] == {"subject": "hi", "api_key": "hidden-value"}
        assert len(sent["key"]) == 32
        assert world.rows("kind, status, node, title") == [("tool", "done", "send", "gmail.send_email")]
        call = await world.bench.engine.read_call(1)
        assert call.request["args"] == {"subject": "hi", "api_key": "•••"}
        assert (call.reply["log_id"], call.reply["account"], call.reply["provider"]) == ("log_77", account, "composio")
        assert any(
            "gmail.send_email: done by composio" in text and "log_77" in text
            for text in await world.bench.log(run.run_id)
        )


async def test_what_the_schema_of_an_action_marks_as_secret_is_not_on_record(world: World) -> None:
    secret = {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/pin"}]}
    for one in world.fake.tools:
        one["input_parameters"] = {
            "type": "object",
            "properties": {"subject": {"type": "string"}, "pin": secret, "codes": {"type": "array", "items": secret}},
            "$defs": {"pin": {"type": "string", "format": "password"}},
        }
    given = {"subject": "hi", "pin": "harmless-4711", "codes": ["harmless-4712"]}
    world.write(SEND.replace('{"subject": "hi", "api_key": "hidden-value"}', repr(given)))
    async with world.bench.running() as engine:
        await world.connected()
        run = await world.bench.run("w")
        assert run.status == "completed", run.error
        await engine.call_tool("by-hand", "gmail", "send_email", given)
        assert [sent["arguments"] for sent in world.fake.executed] == [given, given]
        for number in (1, 2):
            call = await engine.read_call(number)
            assert call.request["args"] == {"subject": "hi", "pin": "•••", "codes": ["•••"]}
        await engine.call_tool("by-hand", "gmail", "send_email", given)
        assert len(world.fake.executed) == 2, "the same command was called again"


async def test_shared_tools_call_the_same_way_and_are_no_part_of_the_state(world: World) -> None:
    world.write(
        """
        class Send(Node):
            async def execute(self, prepared):
                gmail_tool = shared["tools"]["gmail"]
                return await gmail_tool.send_email({"recipient_email": "a@b.example", "subject": "x"})

            def cleanup(self, shared, prepared, result):
                shared["sent"] = result

        class Keep(Node):
            def cleanup(self, shared, prepared, result):
                shared["tool"] = self.tools["gmail"]
        """,
        edges=[("send", "keep")],
    )
    async with world.bench.running():
        await world.connected()
        run = await world.bench.run("w")

        assert run.error is not None
        assert (run.status, run.error.type, run.error.node) == ("failed", "StateValueError", "keep")
        assert await world.bench.state(run.run_id) == {"sent": {"id": "m-1"}}
        assert world.fake.executed[0]["arguments"]["recipient_email"] == "a@b.example"


@pytest.mark.parametrize("mode", ["machine", "dag"])
@pytest.mark.parametrize("inline", [False, True])
async def test_tools_are_in_the_state_of_prepare_and_cleanup_and_never_kept_there(
    world: World, inline: bool, mode: str
) -> None:
    world.write(
        """
        class First(Node):
            async def prepare(self, shared, request_input):
                mail = shared["tools"]["gmail"]
                shared["first"] = await mail.tidy_up({"subject": "of prepare"})
                return mail

            async def execute(self, mail):
                return await mail.send_email({"subject": "of execute"})

            async def cleanup(self, shared, mail, sent):
                shared["sent"] = sent
                shared["last"] = await shared["tools"]["gmail"].tidy_up({"subject": "of cleanup"})
                shared["seen"] = sorted(shared), "tools" in shared, shared == dict(shared)

        class Second(Node):
            def prepare(self, shared, request_input):
                shared["tools_of_mine"] = 1
                return shared

            def execute(self, shared):
                return str(shared["tools"]["gmail"])

            def cleanup(self, shared, prepared, result):
                shared["shown"] = result
                shared["missing"] = shared.get("missing", "none")
        """,
        edges=[("first", "second")],
        mode=mode,
    )
    async with world.bench.running(**({"pool": InlinePool()} if inline else {})):
        await world.connected()
        run = await world.bench.run("w")

        assert run.status == "completed", run.error
        subjects = [one["arguments"]["subject"] for one in world.fake.executed]
        assert subjects == ["of prepare", "of execute", "of cleanup"]
        state = await world.bench.state(run.run_id)
        assert state == {
            "first": {"id": "m-1"},
            "sent": {"id": "m-1"},
            "last": {"id": "m-1"},
            "seen": [["first", "last", "sent"], False, True],
            "tools_of_mine": 1,
            "shown": "<tool gmail>",
            "missing": "none",
        }


async def test_an_edge_sees_no_tools(world: World) -> None:
    world.write(
        """
        class First(Node):
            pass

        class Second(Node):
            pass
        """,
        edges=[("first", "second", "'gmail' in shared['tools']")],
    )
    async with world.bench.running():
        run = await world.bench.run("w")
        assert (run.status, run.step) == ("completed", 1)


async def test_a_tool_that_the_workflow_does_not_name_is_not_called(world: World) -> None:
    world.write(SEND, tools=["slack"])
    async with world.bench.running():
        await world.connected()
        run = await world.bench.run("w")

        assert run.error is not None
        assert (run.error.type, run.error.message) == ("ToolMissing", "There is no tool 'gmail'.")
        assert world.fake.executed == []


async def test_version_and_account_are_those_of_tools_json(world: World) -> None:
    async with world.bench.running():
        first = await world.connected()
        await world.connected()
        world.write(
            SEND.replace('"gmail"', '"mail"'),
            tools=[{"name": "mail", "app": "gmail", "version": "20260101_00", "account": first}],
        )
        run = await world.bench.run("w")

        assert run.status == "completed", run.error
        [sent] = world.fake.executed
        assert (sent["version"], sent["connected_account_id"]) == ("20260101_00", first)


async def test_a_run_without_an_account_waits_and_goes_on_when_one_is_connected(world: World) -> None:
    world.write(SEND)
    async with world.bench.running():
        view = await world.bench.start("w")
        view = await world.bench.until(view.run_id, lambda one: one.status == "waiting_input")
        assert view.awaiting_input is not None
        assert (view.awaiting_input.kind, view.awaiting_input.request_id) == ("connection", "connect-gmail")
        assert "rondo authenticate-tool gmail" in str(view.awaiting_input.prompt)

        request = await world.bench.engine.connect_tool("gmail")
        assert request.link
        assert (await world.bench.engine.check_connection("gmail", request.connection_id)).state == "INITIATED"
        assert (await world.bench.engine.get_run(view.run_id)).status == "waiting_input"
        world.fake.accounts[request.connection_id]["status"] = "ACTIVE"
        assert (await world.bench.engine.check_connection("gmail", request.connection_id)).state == "ACTIVE"
        run = await world.bench.rest(view.run_id)

        assert run.status == "completed", run.error
        assert len(world.fake.executed) == 1


async def test_an_answer_without_an_account_is_asked_again_and_fail_fails(world: World) -> None:
    world.write(SEND)
    async with world.bench.running():
        view = await world.bench.start("w")
        view = await world.bench.until(view.run_id, lambda one: one.status == "waiting_input")
        await world.bench.answer(view.run_id, "connect-gmail", "connected")
        view = await world.bench.until(
            view.run_id, lambda one: one.awaiting_input is not None and one.awaiting_input.nth == 1
        )
        await world.bench.answer(view.run_id, "connect-gmail", "fail")
        run = await world.bench.rest(view.run_id)

        assert run.error is not None
        assert (run.status, run.error.type) == ("failed", "NotConnected")


async def test_an_account_that_ends_in_the_middle_is_asked_for(world: World) -> None:
    world.write(SEND)
    async with world.bench.running():
        account = await world.connected()
        world.fake.next_answers = [error(400, "expired", "ConnectedAccount_Expired")]
        world.loopback.asked.clear()

        def expire(asked: Any) -> Answer:
            answer = world.fake(asked)
            if "execute" in asked.path and answer.status == 400:
                world.fake.accounts[account]["status"] = "EXPIRED"
            return answer

        world.loopback.handle = expire
        view = await world.bench.start("w")
        view = await world.bench.until(view.run_id, lambda one: one.status == "waiting_input")
        request = await world.bench.engine.connect_tool("gmail")
        world.fake.accounts[request.connection_id]["status"] = "ACTIVE"
        await world.bench.engine.check_connection("gmail", request.connection_id)
        run = await world.bench.rest(view.run_id)

        assert run.status == "completed", run.error
        assert [one["connected_account_id"] for one in world.fake.executed] == [account, request.connection_id]
        assert world.rows("status") == [("failed",), ("done",)]


async def test_a_write_that_broke_off_is_repeated_only_when_a_person_says_so(world: World) -> None:
    world.write(SEND, nodes=[{"id": "send", "class": "Send", "retry": {"attempts": 3}}])
    async with world.bench.running():
        await world.connected()
        for answer, status, times in (("fail", "failed", 1), ("repeat", "completed", 3)):
            world.fake.next_answers = [Answer(200, {"data": 1}, cut=4)]
            view = await world.bench.start("w")
            view = await world.bench.until(view.run_id, lambda one: one.status == "waiting_input")
            assert view.awaiting_input is not None and view.awaiting_input.kind == "repeat"
            assert "gmail.send_email" in str(view.awaiting_input.prompt)
            await world.bench.answer(view.run_id, "repeat", answer)
            run = await world.bench.rest(view.run_id)
            assert run.status == status, run.error
            assert len(world.fake.executed) == times, "no try of the node repeats it by itself"
        keys = [one["key"] for one in world.fake.executed]
        assert keys[1] == keys[2] != keys[0]


async def test_what_a_try_has_written_is_not_written_again_by_the_next_one(world: World) -> None:
    world.fake.tools.append(tool("gmail", "get_time"))
    world.write(
        """
        class Send(Node):
            tries = 0

            async def execute(self, prepared):
                sent = await self.tool("gmail", "send_email", {"subject": "hi"})
                await self.tool("gmail", "get_time", {"subject": "now"})
                if self.cur_retry == 0:
                    raise ValueError("later")
                return sent
        """,
        nodes=[{"id": "send", "class": "Send", "retry": {"attempts": 2}}],
    )
    async with world.bench.running():
        await world.connected()
        run = await world.bench.run("w")

        assert run.status == "completed", run.error
        slugs = [one["slug"] for one in world.fake.executed]
        assert slugs == ["GMAIL_SEND_EMAIL", "GMAIL_GET_TIME", "GMAIL_GET_TIME"]


async def test_a_tool_s_own_error_reaches_the_node(world: World) -> None:
    world.write(SEND)
    world.fake.next_answers = [Answer(200, {"data": {}, "error": "No recipient", "successful": False})]
    async with world.bench.running():
        await world.connected()
        run = await world.bench.run("w")

        assert run.error is not None
        assert run.error.type == "ToolRefused"
        assert "No recipient" in run.error.message


async def test_a_limit_is_waited_for_and_the_log_says_so(world: World) -> None:
    world.write(SEND)
    world.fake.next_answers = [error(429, "Slow", headers={"Retry-After": "0"})]
    async with world.bench.running():
        await world.connected()
        run = await world.bench.run("w")

        assert run.status == "completed", run.error
        assert len(world.fake.executed) == 2
        assert any("Again in 0 s" in text for text in await world.bench.log(run.run_id))


async def test_a_person_calls_an_action_once_for_a_command(world: World) -> None:
    async with world.bench.running() as engine:
        await world.connected()
        command = uuid.uuid4().hex
        calls = [engine.call_tool(command, "gmail", "send_email", {"subject": "x"}) for _ in range(3)]
        replies = await asyncio.gather(*calls)
        replies.append(await engine.call_tool(command, "gmail", "send_email", {"subject": "x"}))
        assert [reply.value for reply in replies] == [{"id": "m-1"}] * 4
        assert len(world.fake.executed) == 1
        world.fake.next_answers = [Answer(200, {"data": {}, "error": "No", "successful": False})]
        for _ in range(2):
            with pytest.raises(ToolRefused):
                await engine.call_tool("c-2", "gmail", "send_email", {})
        assert len(world.fake.executed) == 2
        with pytest.raises(ToolUnknown):
            await engine.call_tool("c-3", "gmail", "fly", {})


async def test_tools_are_listed_described_and_given_up(world: World) -> None:
    world.write(SEND, tools=["gmail", "airtable", "weather"])
    async with world.bench.running() as engine:
        account = await world.connected()
        listing = await engine.list_tools()
        assert (listing.tools[0].name, listing.tools[0].workflows) == ("gmail", ["w"])
        assert listing.tools[0].connection is not None and listing.tools[0].connection.id == account
        assert [row.name for row in (await engine.list_tools(connected=True)).tools] == ["gmail"]
        detail = await engine.get_tool("gmail")
        assert [row.name for row in detail.actions] == ["send_email", "fetch_emails", "tidy_up"]
        assert [(one.name, one.managed) for one in detail.schemes] == [("OAUTH2", True)]
        action = await engine.get_action("gmail", "send_email")
        assert action.inputs["required"] == ["subject"]
        tools = {one.name: one for one in await engine.workflow_tools("w")}
        assert tools["gmail"].problem == tools["weather"].problem == ""
        assert "no account" in tools["airtable"].problem and "authenticate-tool" in tools["airtable"].next_step
        asked = await engine.connect_tool("airtable")
        assert [one.name for one in asked.fields] == ["generic_api_key"]
        made = await engine.connect_tool("airtable", values={"generic_api_key": "good-key-123"})
        assert made.state == "ACTIVE"
        assert len(await engine.disconnect_tool("gmail")) == 1
        with pytest.raises(NotConnected):
            await engine.disconnect_tool("gmail")
    for file in world.bench.workspace.runs_dir.rglob("*"):
        assert not file.is_file() or b"good-key-123" not in file.read_bytes(), file


async def test_a_tool_of_the_workflow_s_own_code_is_called_where_the_node_runs(world: World) -> None:
    world.write(
        """
        from core.tools import ComposioTool, Tool, ToolManager

        class_of_tool = Tool

        class Send(Node):
            async def execute(self, prepared):
                return [
                    shared["tools"]["adder"].add({"a": 1, "b": 2}),
                    await self.tool("adder", "add", {"a": 2, "b": 2}),
                    await shared["tools"]["mail"].send_email({"subject": "x"}),
                ]

            def cleanup(self, shared, prepared, result):
                shared["results"] = result

        Adder = type("Adder", (Tool,), {"add": lambda self, arguments: arguments["a"] + arguments["b"]})
        Mail = type("Mail", (ComposioTool,), {"app": "gmail"})
        ToolManager().register_tool("adder", Adder())
        ToolManager().register_tool("mail", Mail())
        """,
    )
    async with world.bench.running():
        await world.connected()
        run = await world.bench.run("w")

        assert run.status == "completed", run.error
        assert (await world.bench.state(run.run_id))["results"] == [3, 4, {"id": "m-1"}]
        assert [row[2] for row in world.rows()] == ["gmail.send_email"]


@pytest.mark.parametrize(("action", "asks"), [("send_email", True), ("fetch_emails", False)])
async def test_a_call_under_way_when_the_engine_ended_is_repeated_by_itself_only_if_it_reads(
    world: World, action: str, asks: bool
) -> None:
    world.write(SEND.replace("send_email", action))
    world.fake.next_answers = [Answer(hang=True)]
    async with world.bench.running():
        await world.connected()
        view = await world.bench.start("w")
        async with asyncio.timeout(HANG):
            await world.called.wait()
    async with world.bench.running():
        if asks:
            view = await world.bench.until(view.run_id, lambda one: one.awaiting_input is not None)
            assert view.awaiting_input is not None and view.awaiting_input.kind == "repeat"
            assert len(world.fake.executed) == 1
            await world.bench.answer(view.run_id, "repeat", "repeat")
        run = await world.bench.until(view.run_id, lambda one: one.status == "completed")

        assert run.error is None
        assert len({one["key"] for one in world.fake.executed}) == 1
        assert len(world.fake.executed) == 2


async def test_a_try_of_a_workflow_calls_no_tool_and_has_made_up_answers(world: World) -> None:
    graph = {"nodes": [{"id": "send", "class": "Send"}], "edges": []}
    code = """
from core.sdk import Node

class Send(Node):
    async def execute(self, prepared):
        await self.tool("gmail", "send_email", {"subject": "x"})
        await shared["tools"]["gmail"].send_email({"subject": "x"})

    def cleanup(self, shared, prepared, result):
        shared["done"] = True
"""
    files = {"w.json": json.dumps(graph).encode(), "nodes.py": code.encode(), "tools.json": b'["gmail"]'}
    async with world.bench.running() as engine:
        tries = Tries(engine._catalog, engine._store, lambda chat: True)
        tried = await tries.run(load_sources("w", files), {}, None)
        assert tried.result is not None, tried.trouble
        outcome = tried.result["outcome"]
        assert outcome["completed"], outcome["error"]
        assert outcome["state"] == {"done": True}
        assert world.loopback.asked == []


async def test_a_run_waits_until_its_mcp_server_is_trusted(world: World) -> None:
    server = mcp_stdio_server_file()
    config = {"mcpServers": {"calc": {"command": sys.executable, "args": [str(server)]}}}
    (world.bench.root / "mcp.json").write_text(json.dumps(config))
    world.write(
        """
        class Add(Node):
            async def execute(self, prepared):
                return await shared["tools"]["calc"].add({"a": 2, "b": 3})

            def cleanup(self, shared, prepared, result):
                shared["sum"] = result
        """,
        tools=["calc"],
    )
    async with world.bench.running() as engine:
        view = await world.bench.start("w")
        view = await world.bench.until(view.run_id, lambda one: one.awaiting_input is not None)
        assert view.awaiting_input is not None and view.awaiting_input.request_id == "connect-calc"
        asked = await engine.connect_tool("calc")
        assert str(server) in asked.fields[0].description
        assert (await engine.connect_tool("calc", values={"trust": "yes"})).state == "ACTIVE"
        run = await world.bench.until(view.run_id, lambda one: one.status == "completed")

        assert (await world.bench.state(run.run_id))["sum"] == "5"


async def test_what_a_tool_costs_is_counted_with_the_run_and_its_budget_asks(world: World) -> None:
    world.write(
        """
        class Send(Node):
            async def execute(self, prepared):
                for number in range(3):
                    await self.tool("gmail", "send_email", {"subject": str(number)})
        """
    )
    paid = {"data": {"id": "m"}, "error": None, "successful": True, "cost": 0.04}
    world.fake.next_answers = [Answer(200, paid) for _ in range(3)]
    world.bench.settings("[budget]\nrun_dollars = 0.05\n")
    async with world.bench.running() as engine:
        await world.connected()
        run = await world.bench.run("w")
        assert run.awaiting_input is not None and run.awaiting_input.request_id == "run_dollars"
        assert "$0.08 of $0.05" in (run.awaiting_input.prompt or "")
        assert len(world.fake.executed) == 2, "the third call waits"
        await world.bench.answer(run.run_id, "run_dollars", "go_on")
        run = await world.bench.rest(run.run_id)

        assert run.status == "completed", run.error
        assert run.usage is not None
        assert (run.usage.calls, run.usage.tool_calls, run.usage.unpriced) == (0, 3, 0)
        assert (round(run.usage.cost, 4), round(run.usage.tool_cost, 4)) == (0.12, 0.12)
        assert usage_text(run.usage) == "3 tool calls, $0.12"
        calls = await engine.list_calls(CallFilter(run_id=run.run_id))
        assert [call.usage and call.usage.cost for call in calls] == [0.04, 0.04, 0.04]
        assert any("done by composio" in text and "$0.04" in text for text in await world.bench.log(run.run_id))


async def test_tools_whose_cost_nobody_names_are_not_held_up_by_a_budget(world: World) -> None:
    world.write(SEND)
    world.bench.settings("[budget]\nrun_dollars = 0.01\nday_dollars = 0.01\n")
    async with world.bench.running():
        await world.connected()
        run = await world.bench.run("w")
        assert run.status == "completed", run.error
        assert run.usage is not None and usage_text(run.usage) == "1 tool call"


async def test_time_limits_and_waits_of_tools_are_settings(world: World) -> None:
    world.write(SEND)
    world.bench.settings("[tools]\nwait_seconds = 3\n")
    world.fake.next_answers = [error(429, "Too many", headers={"Retry-After": "4"})]
    async with world.bench.running():
        await world.connected()
        run = await world.bench.run("w")
        assert run.error is not None and run.error.type == "ToolRateLimited"
        assert len(world.fake.executed) == 1


async def test_a_key_that_is_set_in_a_terminal_works_with_the_engine_that_runs_already(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COMPOSIO_API_KEY")
    async with world.bench.running():
        engine = world.bench.engine
        with pytest.raises(ToolProviderMissing):
            await engine.get_tool("gmail", "composio")
        await engine.hello(ClientInfo(kind="cli", app_version="1", keys={"COMPOSIO_API_KEY": f" {KEY}\n", "PATH": "x"}))
        assert (await engine.get_tool("gmail", "composio")).actions
    assert not [
        path
        for path in world.bench.workspace.runs_dir.rglob("*")
        if path.is_file() and KEY.encode() in path.read_bytes()
    ]


def test_every_token_of_a_direct_way_is_offered() -> None:
    assert {name for service in SERVICES for name in service.token_names} | {COMPOSIO_KEY} == OFFERED
