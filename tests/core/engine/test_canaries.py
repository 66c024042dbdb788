"""Secret values go in several forms through every channel of tools, models and addresses: nothing keeps them, and
nobody is shown them."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import random
import string
import sys
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from composio_server import FakeComposio
from loopback import Answer, Asked, serving
from scripted_models import ScriptedGateway, said
from test_conversations import Desk, creating
from workbench import Workbench

from core.errors import ModelUnreachable, RondoError
from core.link.chat_types import ChatQuery, SendMessage
from core.link.model_types import CallFilter
from core.link.types import RunFilter
from core.tools.secrets.grants import Grants
from core.tools.secrets.store import SecretStore

FEW, ALL = 10, 42
"""So many are given to node code; then come four of providers; four more a person types, and nobody keeps them."""
SERVER = Path(__file__).parents[1] / "tools" / "mcp_stdio_server.py"
HANG = 240.0

CODE = """
import base64, json, os, sys, traceback
from urllib.parse import quote

def forms(value):
    raw = value.encode()
    return [value, quote(value, safe=""), json.dumps(value), raw.hex(), base64.b64encode(raw).decode(),
            base64.urlsafe_b64encode(b"user:" + raw).decode()]

def canaries():
    return [os.environ[name] for name in sorted(os.environ) if name.startswith("CANARY_")]

def chunks():
    values = canaries()
    return [[form for value in values[at : at + 7] for form in forms(value)] for at in range(0, len(values), 7)]

class Call(Node):
    async def execute(self, prepared):
        for number, chunk in enumerate(chunks()):
            for way in ("echo", "refuse", "reject", "break"):
                arguments = {"way": way, "subject": " ".join(chunk), "token": chunk[0], chunk[1]: chunk}
                await self.attempt(self.tool("gmail", "tidy_up", arguments))
            await self.attempt(shared["tools"]["files"].who({"note": chunk}))
            await self.attempt(self.llm(" ".join(chunk), system=chunk[0]))
            await self.attempt(self.llm("break " + " ".join(chunk)))
            await self.attempt(self.http("POST", ADDRESS, json=chunk, params={"q": chunk[0]}, headers={"X": chunk[0]}))
            await self.attempt(self.tool("gmail", chunk[0], {}))
            await self.attempt(self.tool(chunk[0], "x", {}))
        return None

    async def attempt(self, call):
        try:
            print("came", await call)
        except Exception as error:
            print("failed", error, getattr(error, "cause", ""), file=sys.stderr)
            print(traceback.format_exc())

class Split(Node):
    def execute(self, prepared):
        for value in canaries():
            # In two writes of one line, with flushes between.
            sys.stdout.write(value[:9])
            sys.stdout.flush()
            sys.stdout.write(value[9:] + "\\n")
            os.write(1, value[:5].encode())
            os.write(1, value[5:].encode() + b"\\n")

class Ask(Node):
    async def prepare(self, shared, request_input):
        values = canaries()
        await request_input("Which of " + " ".join(values) + "?", ["none", *values], "select", "which")

class Keep(Node):
    def cleanup(self, shared, prepared, result):
        shared["deep"] = [{"kept": canaries()[-1]}]

class Raise(Node):
    def execute(self, prepared):
        raise ValueError(" ".join(canaries()), canaries())

class Die(Node):
    def execute(self, prepared):
        sys.stderr.write(" ".join(canaries()))
        sys.stderr.flush()
        os.abort()
"""


def drawn(seed: int) -> str:
    """Sixteen letters and digits that stand in nothing else, always the same."""
    return "".join(random.Random(seed).choices(string.ascii_letters + string.digits, k=16))


def forms(value: str) -> list[bytes]:
    """Every form in which a byte may betray a value."""
    raw = value.encode()
    texts = [value, quote(value), quote(value, safe=""), quote_plus(value), repr(value)[1:-1], raw.hex()]
    texts += [json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], json.dumps(json.dumps(value))[2:-2]]
    texts += [base64.b64encode(raw).decode().rstrip("=")[:-1], base64.urlsafe_b64encode(raw).decode().rstrip("=")[:-1]]
    return [text.encode() for text in dict.fromkeys(texts)]


class Echo(FakeComposio):
    """A Composio that says everything it hears, headers with the key too, in each kind of answer."""

    def post_tools(self, asked: Asked, _execute: str, slug: str) -> Answer:
        heard = {"arguments": asked.json["arguments"], "headers": asked.headers, "text": asked.body.decode()}
        way = asked.json["arguments"].get("way")
        if way == "refuse":
            return Answer(200, {"data": heard, "error": f"no: {json.dumps(heard)}", "successful": False})
        if way in ("reject", "break"):
            error = {"message": f"bad {json.dumps(heard)}", "code": 1, "slug": "Bad", "suggested_fix": str(heard)}
            return Answer(400 if way == "reject" else 500, {"error": error}, {"x-echo": asked.headers["x-api-key"]})
        return Answer(200, {"data": heard, "error": None, "successful": True, "log_id": f"log {heard}"})

    def post_connected_accounts(self, asked: Asked, link: str = "") -> Answer:
        if not link:
            return Answer(400, {"error": {"message": f"wrong {asked.body.decode()} {asked.headers}", "status": 400}})
        return super().post_connected_accounts(asked, link)


def echo(asked: Asked) -> Answer:
    """A service that is called directly and refuses with what it was sent."""
    heard = {"message": f"{asked.headers} {asked.body.decode()} {asked.query}"}
    return Answer(200 if asked.method == "POST" and asked.path == "/" else 422, heard, {"x-request-id": str(heard)})


@dataclass
class World:
    bench: Workbench
    fake: Echo
    values: list[str]
    home: Path
    shown: list[str] = field(default_factory=list)
    """Everything that clients were told: it is what command line and screens show."""

    def note(self, *told: Any) -> None:
        self.shown += map(str, told)

    async def refused(self, call: Any) -> None:
        """A call of the engine that may fail; what it says is noted."""
        try:
            self.note(await call)
        except RondoError as error:
            self.note(error, error.to_dict())

    def assert_nowhere(self) -> None:
        folders = [self.bench.root, self.home]
        kept = self.home / "data" / "rondo" / "secrets" / "secrets.json"
        files = [path for folder in folders for path in folder.rglob("*") if path.is_file() and path != kept]
        assert any(path.name == "rondo.db" for path in files)
        places = {str(path): path.read_bytes() for path in files}
        places["what clients were told"] = "\n".join(self.shown).encode()
        for place, data in places.items():
            for value in self.values:
                for form in forms(value):
                    at = data.find(form)
                    assert at < 0, f"{place} holds {form!r}: {data[max(0, at - 80) : at + 80]!r}"


@pytest.fixture
async def world(
    request: pytest.FixtureRequest, tmp_path: Path, own_user_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    granted = request.param
    values = [f"canary{number} {drawn(number)}" + '/+"\\é&'[: number % 7] for number in range(granted + 8)]
    # What is sent as a header holds no odd characters.
    values[granted : granted + 2] = [f"ck-{drawn(granted)}", f"gh-{drawn(granted + 1)}"]
    key, github, refresh, client = values[granted : granted + 4]
    monkeypatch.setattr("composio_server.KEY", key)
    fake = Echo(page=100)
    async with serving(fake) as loopback, serving(echo) as others:
        monkeypatch.setenv("COMPOSIO_BASE_URL", loopback.url)
        for name in ("GITHUB", "NOTION", "GMAIL", "SLACK"):
            monkeypatch.setenv(f"{name}_BASE_URL", others.url)
        bench = Workbench(tmp_path)
        # What breaks is not tried again: that would only take time.
        bench.settings("[tools]\nwait_seconds = 0\n")
        world = World(bench, fake, values, own_user_folders)
        store = SecretStore()
        names = [f"CANARY_{number:02}" for number in range(granted)]
        known = dict(zip(names, values, strict=False)) | {"COMPOSIO_API_KEY": key, "GITHUB_TOKEN": github}
        known |= {"NOTION_REFRESH_TOKEN": refresh, "NOTION_CLIENT_SECRET": client, "NOTION_CLIENT_ID": "client-id-1"}
        for name, value in known.items():
            store.set(name, value)
        address = f"{others.url}/"
        code = CODE.replace("ADDRESS", repr(address))
        for ending in ("ask", "keep", "raise", "die"):
            nodes = [{"id": one, "class": one.capitalize()} for one in ("call", "split", ending)]
            if ending != "raise":
                nodes = nodes[2:]
            edges = [(a["id"], b["id"]) for a, b in itertools.pairwise(nodes)]
            folder = bench.write(ending, code, edges=edges, nodes=nodes, permissions={"secrets": names})
            (folder / "tools.json").write_text('["gmail", "files"]')
            for name in names:
                Grants().grant(folder, name)
        server = {"command": sys.executable, "args": [str(SERVER)], "env": {"TOKEN": "secret:CANARY_01"}}
        (bench.root / "mcp.json").write_text(json.dumps({"mcpServers": {"files": server}}))
        yield world


async def see_all(world: World) -> None:
    """Read everything that a client can read of every run."""
    engine = world.bench.engine
    for row in await engine.list_runs(RunFilter()):
        view = await engine.get_run(row.run_id)
        world.note(row, view, await world.bench.log_lines(row.run_id), await world.bench.state(row.run_id))
        world.note(await engine.read_steps(row.run_id))
        for call in await engine.list_calls(CallFilter(run_id=row.run_id)):
            world.note(call, await engine.read_call(call.number))
        await engine.export_run(uuid.uuid4().hex, row.run_id)
        await world.refused(engine.export_calls(row.run_id))
    world.note(await engine.list_requests(), await engine.doctor(), await engine.list_tools())


@pytest.mark.parametrize("world", [FEW, pytest.param(ALL, marks=pytest.mark.long)], indirect=True)
async def test_canaries_through_every_channel_are_kept_nowhere_and_shown_to_nobody(world: World) -> None:
    def model(request: Any) -> Any:
        # It repeats what it is told; what it was told must have been clean.
        world.note(request)
        if said(request).startswith("break"):
            return ModelUnreachable(f"It broke: {said(request)}")
        return f"You said {said(request)}"

    async with world.bench.running(gateway=ScriptedGateway(model)) as engine:
        account = await engine.connect_tool("gmail")
        world.fake.accounts[account.connection_id]["status"] = "ACTIVE"
        await engine.connect_tool("files", values={"trust": "yes"})

        run = await world.bench.until(
            (await world.bench.start("raise")).run_id, lambda view: view.status == "failed", seconds=HANG
        )
        assert run.error is not None and run.error.type == "ValueError"
        rows = await engine.list_calls(CallFilter(run_id=run.run_id, limit=200))
        assert {row.kind for row in rows} == {"tool", "llm", "http"} and len(rows) > 15
        for workflow, kind in (("keep", "SecretInState"), ("die", "RunProcessDied")):
            run = await world.bench.until(
                (await world.bench.start(workflow)).run_id, lambda view: view.status == "failed", seconds=HANG
            )
            assert run.error is not None and run.error.type == kind

        run = await world.bench.until(
            (await world.bench.start("ask")).run_id, lambda view: view.awaiting_input is not None, seconds=HANG
        )
        await world.refused(world.bench.answer(run.run_id, "which", world.values[3]))
        # By hand, and connecting: what people type, and what services say to it.
        for way in ("echo", "refuse", "reject", "break"):
            arguments = {"way": way, "subject": " ".join(world.values[:-4])}
            await world.refused(engine.call_tool(uuid.uuid4().hex, "gmail", "tidy_up", arguments))
        await world.refused(engine.call_tool(uuid.uuid4().hex, "files", "who", {}))
        for app, provider in (("github", "direct"), ("notion", "direct")):
            await world.refused(engine.call_tool(uuid.uuid4().hex, app, "search", {"query": "x"}, provider))
            await world.refused(
                engine.call_tool(uuid.uuid4().hex, app, "list_issues", {"owner": "o", "repo": "r"}, provider)
            )
            await world.refused(engine.get_tool(app, provider))
        typed = world.values[-4:]
        await world.refused(engine.connect_tool("airtable", values={"generic_api_key": typed[0]}))
        await world.refused(engine.connect_tool("github", "direct", values={"GITHUB_TOKEN": typed[1].split()[1]}))

        chat = await engine.send_message(SendMessage(uuid.uuid4().hex, " ".join(world.values[:-4]), workflow="new"))
        events = engine.events()
        async with asyncio.timeout(HANG):
            while (await engine.read_chat(ChatQuery(chat_id=chat.chat_id))).chat.busy:
                await anext(events)
        world.note(await engine.read_chat(ChatQuery(chat_id=chat.chat_id)))
        await see_all(world)
        world.assert_nowhere()
    world.assert_nowhere()


GREET = '''class Greet(Node):
    """Greets with WORDS."""

    def execute(self, prepared):
        return [WORDS]
'''


@pytest.mark.parametrize("world", [FEW], indirect=True)
async def test_canaries_in_what_a_model_proposes_are_in_no_open_proposal(world: World) -> None:
    known = world.values[:-4]
    code = GREET.replace("WORDS", " ".join(known), 1).replace("WORDS", ", ".join(map(repr, known)))
    desk = Desk(world.bench.root)
    desk.bench = world.bench
    async with desk.running() as engine:
        proposal = await desk.proposed(" ".join(known), "greeter", *creating(code))
        assert proposal.status == "open"
        world.note(proposal, desk.gateway.requests, await engine.list_proposals(), await engine.list_chats())
        world.note(await desk.entries(proposal.chat_id, all=True))
        assert "[secret]" in str(proposal)
        await world.refused(engine.try_proposal(uuid.uuid4().hex, proposal.proposal_id))
        world.assert_nowhere()
        await desk.decide(proposal)
        written = b"".join(desk.files("greeter").values())
        assert b"[secret]" in written
        world.assert_nowhere()
    world.assert_nowhere()
