"""A secret reaches the runs it was granted to, and no stored byte holds it, whatever a node does with it."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar
from urllib.parse import quote

import pytest
from composio_server import FakeComposio
from loopback import serving
from scripted_models import ScriptedGateway
from workbench import Workbench

from core.errors import PassphraseWrong, SecretInState, SecretMissing, SecretNotGranted, ToolKeyUnreadable
from core.link.chat_types import ChatQuery, SendMessage
from core.link.commands import Fork, RunNode, StateEdit
from core.link.model_types import CallFilter
from core.redaction import MARK
from core.tools.secrets import sealing
from core.tools.secrets.grants import Grants
from core.tools.secrets.store import SecretStore

VALUE = 'kanarie/"vogel"+ünter\\flug=77'
PLAIN = "canary-4f9a8b7c6d5e"
PERMISSIONS = {"secrets": ["TOKEN"]}


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path)


def forms(value: str) -> list[bytes]:
    """Every form in which a stored byte may betray a value."""
    raw = value.encode()
    texts = [value, quote(value), quote(value, safe=""), json.dumps(value)[1:-1], repr(value)[1:-1], raw.hex()]
    texts += [json.dumps(value, ensure_ascii=False)[1:-1], json.dumps(json.dumps(value))[2:-2]]
    texts += [base64.b64encode(raw).decode().rstrip("=")[:-1], base64.urlsafe_b64encode(raw).decode().rstrip("=")[:-1]]
    return [text.encode() for text in dict.fromkeys(texts)]


def stored_bytes(bench: Workbench) -> dict[str, bytes]:
    """Every file that the engine keeps: database, its journal, logs, black box, exports."""
    return {str(path): path.read_bytes() for path in bench.workspace.runs_dir.rglob("*") if path.is_file()}


def assert_nowhere(bench: Workbench, *values: str) -> None:
    files = stored_bytes(bench)
    assert any(name.endswith("rondo.db") for name in files)
    for name, data in files.items():
        for value in values:
            for form in forms(value):
                assert form not in data, f"{name} holds {form!r}"


def keep(bench: Workbench, *workflows: str, value: str = VALUE, name: str = "TOKEN") -> None:
    SecretStore().set(name, value)
    for workflow in workflows:
        Grants().grant(bench.workspace.workflows_dir / workflow, name)


LEAKY = """
import base64, logging, os, subprocess, sys, urllib.parse

class Leak(Node):
    async def prepare(self, shared, request_input):
        value = os.environ["TOKEN"]
        print("plain", value)
        print("url", urllib.parse.quote(value, safe=""), "hex", value.encode().hex())
        print("basic", base64.b64encode(f"user:{value}".encode()).decode())
        print("x" * 70000 + value)
        sys.stderr.write(value + "\\n")
        logging.getLogger("leak").warning("token is %r", value)
        os.write(1, b"raw " + value.encode() + b"\\n")
        subprocess.run(["sh", "-c", "printf 'child '; printenv TOKEN"])
        answer = await request_input(f"Is {value} right?", ["yes", f"no, {value}"], "select")
        raise ValueError(f"it broke with {value}", {"token": value})
"""


async def test_a_secret_that_a_node_prints_asks_and_raises_is_in_no_stored_byte(bench: Workbench) -> None:
    bench.write("leaky", LEAKY, permissions=PERMISSIONS)
    keep(bench, "leaky")
    async with bench.running() as engine:
        started = await bench.start("leaky")
        await bench.until(started.run_id, lambda view: view.status == "waiting_input")
        (request,) = await engine.list_requests()
        assert request.prompt == f"Is {MARK} right?"
        await bench.answer(started.run_id, request.request_id, "yes")
        view = await bench.rest(started.run_id)
        assert view.status == "failed"
        assert view.error is not None and view.error.type == "ValueError"
        assert MARK in view.error.message and VALUE not in json.dumps(str(view.error))
        log = "\n".join(await bench.log(started.run_id))
        for line in ("plain", "raw", "child"):
            assert f"{line} {MARK}" in log
        exported = await engine.export_run(uuid.uuid4().hex, started.run_id)
        assert exported.path
        assert_nowhere(bench, VALUE)
    assert_nowhere(bench, VALUE)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ("shared['a'] = {'b': ['x', 'it is ' + value]}", "shared['a']['b'][1]"),
        ("shared['large'] = ['y' * 9000, value]", "shared['large'][1]"),
        ("shared['coded'] = base64.b64encode(b'u:' + value.encode()).decode()", "shared['coded']"),
        ("shared['deep'] = {value: 1}", "shared['deep']"),
    ],
)
async def test_a_step_that_leaves_a_secret_in_the_state_fails_and_says_where(
    bench: Workbench, change: str, place: str
) -> None:
    source = f"""
import base64, os

class Keep(Node):
    async def cleanup(self, shared, prepared, result):
        value = os.environ["TOKEN"]
        {change}
"""
    bench.write("keeper", source, permissions=PERMISSIONS)
    keep(bench, "keeper")
    async with bench.running():
        view = await bench.run("keeper")
        assert view.status == "failed" and view.error is not None
        assert view.error.type == "SecretInState"
        assert "TOKEN" in view.error.message and view.error.message.endswith(f"at {place}.")
        assert await bench.state(view.run_id) == {}
        assert_nowhere(bench, VALUE)
    assert_nowhere(bench, VALUE)


CLEANUP = """
import os

class Keep(Node):
    async def cleanup(self, shared, prepared, result):
        shared["value"] = os.environ["TOKEN"]

class After(Node):
    async def cleanup(self, shared, prepared, result):
        shared["after"] = sorted(shared)
"""


async def test_on_error_can_leave_the_node_that_did_it(bench: Workbench) -> None:
    bench.write(
        "skipper",
        CLEANUP,
        permissions=PERMISSIONS,
        nodes=[{"id": "keep", "class": "Keep", "on_error": "skip"}, {"id": "after", "class": "After"}],
        edges=[("keep", "after")],
    )
    keep(bench, "skipper")
    async with bench.running():
        view = await bench.run("skipper")
        assert view.status == "completed"
        assert await bench.state(view.run_id) == {"after": []}
        assert_nowhere(bench, VALUE)


async def test_the_engine_refuses_what_a_process_without_its_guard_sends(bench: Workbench) -> None:
    away = '        StateTracker.guard = None\n        shared["value"]'
    source = "from core.flow.delta import StateTracker\n" + CLEANUP.replace('        shared["value"]', away)
    bench.write("sly", source, permissions=PERMISSIONS, edges=[("keep", "after")])
    keep(bench, "sly")
    async with bench.running():
        view = await bench.run("sly")
        assert view.status == "failed" and view.error is not None
        assert (view.error.type, view.error.node) == ("SecretInState", "keep")
        assert view.error.message.endswith("shared['value'].")
        assert_nowhere(bench, VALUE)


async def test_a_graph_of_mode_dag_keeps_no_secret_either(bench: Workbench) -> None:
    bench.write("dag", CLEANUP, permissions=PERMISSIONS, edges=[("keep", "after")], mode="dag")
    keep(bench, "dag")
    async with bench.running():
        view = await bench.run("dag")
        assert view.status == "failed" and view.error is not None and view.error.type == "SecretInState"
        assert_nowhere(bench, VALUE)


async def test_an_answer_an_input_or_a_preset_that_is_a_secret_is_refused(bench: Workbench) -> None:
    source = """
class Ask(Node):
    async def prepare(self, shared, request_input):
        shared["answer"] = await request_input("What?")
"""
    bench.write("asker", source, permissions=PERMISSIONS)
    keep(bench, "asker")
    async with bench.running() as engine:
        for fields in ({"inputs": {"a": VALUE}}, {"answers": [("ask", f"it is {VALUE}")]}):
            with pytest.raises(SecretInState):
                await bench.start("asker", **fields)
        with pytest.raises(SecretInState):
            await engine.run_node(RunNode(command_id="n", workflow="asker", node="ask", inputs={"deep": [VALUE]}))
        started = await bench.start("asker")
        await bench.until(started.run_id, lambda view: view.status == "waiting_input")
        with pytest.raises(SecretInState):
            await bench.answer(started.run_id, "ask", f"so {VALUE}")
        await bench.answer(started.run_id, "ask", "nothing")
        assert (await bench.rest(started.run_id)).status == "completed"
        with pytest.raises(SecretInState):
            edit = StateEdit(path=["answer"], value=f"no, {VALUE}")
            await engine.fork_run(Fork(command_id="f", run_id=started.run_id, step=0, edits=[edit]))
        assert_nowhere(bench, VALUE)


# Who is given what ------------------------------------------------------------------------------------------------

READER = """
import os

class Read(Node):
    async def cleanup(self, shared, prepared, result):
        shared["has"] = [name for name in ("TOKEN", "OTHER", "RONDO_SECRETS_PASSPHRASE") if os.environ.get(name)]
"""


async def test_a_run_gets_what_its_workflow_declares_and_was_granted_and_nothing_else(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RONDO_SECRETS_PASSPHRASE", "one two three")
    bench.write("reader", READER, permissions=PERMISSIONS)
    bench.write("modest", READER)
    keep(bench, "reader", "modest")
    keep(bench, "reader", "modest", name="OTHER", value="another-value-there")
    async with bench.running():
        for workflow, has in (("reader", ["TOKEN"]), ("modest", [])):
            view = await bench.run(workflow)
            assert (await bench.state(view.run_id)) == {"has": has}


async def test_a_workflow_that_was_not_granted_its_secret_is_refused_with_the_command(bench: Workbench) -> None:
    bench.write("reader", READER, permissions=PERMISSIONS)
    SecretStore().set("TOKEN", VALUE)
    async with bench.running() as engine:
        with pytest.raises(SecretNotGranted) as raised:
            await bench.start("reader")
        assert raised.value.next_step == "rondo secrets grant TOKEN reader"
        Grants().grant(bench.workspace.workflows_dir / "reader", "TOKEN")
        SecretStore().remove("TOKEN")
        with pytest.raises(SecretMissing) as missing:
            await bench.start("reader")
        assert missing.value.next_step == "rondo secrets set TOKEN"
        from core.link.types import RunFilter

        assert await engine.list_runs(RunFilter()) == []


async def test_a_run_whose_secret_is_locked_after_a_restart_waits_paused_and_goes_on(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "COST", 2**10)
    source = (
        READER
        + """
class Ask(Node):
    async def prepare(self, shared, request_input):
        await request_input("Go on?")
"""
    )
    bench.write("reader", source, permissions=PERMISSIONS, edges=[("ask", "read")], start="ask")
    keep(bench, "reader")
    store = SecretStore(passphrase=lambda: "one two three")
    async with bench.running():
        started = await bench.start("reader")
        await bench.until(started.run_id, lambda view: view.status == "waiting_input")
    store.file.encrypt("one two three")
    async with bench.running() as engine:
        await bench.answer(started.run_id, "ask", "yes")
        await bench.until(started.run_id, lambda view: view.status == "paused")
        assert any("rondo secrets unlock" in line for line in await bench.log(started.run_id))
        with pytest.raises(PassphraseWrong):
            await engine.unlock_secrets("one two four")
        await engine.unlock_secrets("one two three")
        await engine.continue_run(uuid.uuid4().hex, started.run_id)
        view = await bench.until(started.run_id, lambda view: view.status == "completed")
        assert (await bench.state(view.run_id))["has"] == ["TOKEN"]
        facts = (await engine.doctor()).facts
        assert "1 in the encrypted file" in facts["secrets"]
    assert_nowhere(bench, VALUE, "one two three")


@pytest.mark.parametrize(
    ("app", "action", "key"), [("gmail", "send_email", "COMPOSIO_API_KEY"), ("github", "list_issues", "GITHUB_TOKEN")]
)
async def test_a_tool_whose_key_is_locked_says_so_and_is_called_once_it_is_unlocked(
    app: str, action: str, key: str, bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "COST", 2**10)
    monkeypatch.delenv(key, raising=False)
    monkeypatch.setattr("composio_server.KEY", PLAIN)
    store = SecretStore(passphrase=lambda: "one two three")
    store.set(key, PLAIN)
    store.file.encrypt("one two three")
    provider = "direct" if app == "github" else ""
    async with serving(FakeComposio(page=100)) as loopback:
        monkeypatch.setenv("COMPOSIO_BASE_URL", loopback.url)
        async with bench.running() as engine:
            for asked in (
                engine.call_tool(uuid.uuid4().hex, app, action, {}, provider),
                engine.check_connection(app, "x" if app == "gmail" else app, provider),
            ):
                with pytest.raises(ToolKeyUnreadable) as locked:
                    await asked
                assert locked.value.message.startswith(f"{key} can't be read: The secrets are encrypted")
                assert "rondo secrets unlock" in locked.value.next_step
            assert "can't be read" in " ".join((await engine.list_tools()).notes)
            await engine.unlock_secrets("one two three")
            assert (await engine.get_tool(app, provider)).actions
            assert "can't be read" not in " ".join((await engine.list_tools()).notes)


async def test_a_key_that_others_could_read_is_not_said_to_be_missing(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COMPOSIO_API_KEY", raising=False)
    monkeypatch.setenv("GITHUB_TOKEN", "a-token-of-the-environment")
    store = SecretStore()
    store.set("COMPOSIO_API_KEY", PLAIN)
    store.file.path.chmod(0o644)
    async with bench.running() as engine:
        with pytest.raises(ToolKeyUnreadable) as open_to_all:
            await engine.call_tool(uuid.uuid4().hex, "gmail", "send_email", {})
        assert "COMPOSIO_API_KEY can't be read" in open_to_all.value.message
        assert "chmod" in open_to_all.value.next_step
        # What the environment has is used all the same.
        listed = await engine.get_tool("github", "direct")
        assert [one.state for one in listed.connections] == ["ACTIVE"]


# Calls ------------------------------------------------------------------------------------------------------------


class Echo(BaseHTTPRequestHandler):
    """Answers with the headers that came, or sends elsewhere."""

    seen: ClassVar[list[dict[str, str]]] = []

    def do_GET(self) -> None:
        Echo.seen.append(dict(self.headers.items()))
        if self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "/here")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = json.dumps(dict(self.headers.items())).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    Echo.seen = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


CALLER = """
class Call(Node):
    async def cleanup(self, shared, prepared, result):
        headers = {"X-Custom": "Token secret:TOKEN", "Accept": "a/b"}
        response = await self.http("GET", "ADDRESS", headers=headers)
        shared["status"], shared["body"] = response.status, response.text
"""


async def test_a_reference_in_a_header_is_put_in_by_the_engine_and_kept_nowhere(bench: Workbench, address: str) -> None:
    bench.write("caller", CALLER.replace("ADDRESS", address), permissions=PERMISSIONS)
    keep(bench, "caller", value=PLAIN)
    async with bench.running():
        view = await bench.run("caller")
        assert view.status == "completed", view.error
        assert Echo.seen[0]["X-Custom"] == f"Token {PLAIN}"
        assert f"Token {MARK}" in (await bench.state(view.run_id))["body"]
        assert_nowhere(bench, PLAIN)
    assert_nowhere(bench, PLAIN)


async def test_what_is_sent_with_a_secret_follows_no_redirect(bench: Workbench, address: str) -> None:
    bench.write("caller", CALLER.replace("ADDRESS", f"{address}/away"), permissions=PERMISSIONS)
    keep(bench, "caller", value=PLAIN)
    async with bench.running():
        view = await bench.run("caller")
        assert (await bench.state(view.run_id))["status"] == 302
        assert len(Echo.seen) == 1


async def test_a_header_that_can_not_be_sent_is_not_shown_in_the_complaint(bench: Workbench, address: str) -> None:
    value = "first-line-of-it\nsecond-line-of-it"
    bench.write("caller", CALLER.replace("ADDRESS", address), permissions=PERMISSIONS)
    keep(bench, "caller", value=value)
    async with bench.running():
        view = await bench.run("caller")
        assert view.status == "failed" and view.error is not None and view.error.type == "CallProblem"
        for line in value.splitlines():
            assert line not in str(view.error)
        assert_nowhere(bench, *value.splitlines())


async def test_a_reference_that_is_not_declared_sends_nothing(bench: Workbench, address: str) -> None:
    bench.write("caller", CALLER.replace("ADDRESS", address))
    keep(bench, "caller", value=PLAIN)
    async with bench.running():
        view = await bench.run("caller")
        assert view.status == "failed" and view.error is not None and view.error.type == "SecretNotGranted"
        assert "permissions" in view.error.next_step
        assert Echo.seen == []


async def test_no_model_is_told_a_secret(bench: Workbench) -> None:
    source = """
import os

class Tell(Node):
    async def cleanup(self, shared, prepared, result):
        shared["said"] = await self.llm("Use " + os.environ["TOKEN"], system="with " + os.environ["TOKEN"])
"""
    bench.write("teller", source, permissions=PERMISSIONS)
    keep(bench, "teller")
    models = ScriptedGateway()
    async with bench.running(gateway=models):
        view = await bench.run("teller")
        assert view.status == "completed", view.error
        (request,) = models.asked
        assert request.system == f"with {MARK}"
        assert [message.text for message in request.messages] == [f"Use {MARK}"]
        assert_nowhere(bench, VALUE)


async def test_the_key_of_a_model_is_found_in_the_store(bench: Workbench) -> None:
    async with bench.running() as engine:
        providers = {view.name: view for view in (await engine.models_status()).providers}
        assert providers["anthropic"].key == "none"
        await asyncio.to_thread(SecretStore().set, "ANTHROPIC_API_KEY", PLAIN)
        providers = {view.name: view for view in (await engine.models_status()).providers}
        assert providers["anthropic"].key == "secret"
    assert_nowhere(bench, PLAIN)


async def test_what_is_kept_of_a_call_has_no_secret_in_it_however_it_is_packed(bench: Workbench, address: str) -> None:
    source = CALLER.replace("ADDRESS", f"{address}/?q={PLAIN}")
    source = source.replace("headers=headers)", "headers=headers, params={'p': os.environ['TOKEN']})")
    bench.write("caller", "import os\n" + source, permissions=PERMISSIONS)
    keep(bench, "caller", value=PLAIN)
    async with bench.running() as engine:
        view = await bench.run("caller")
        assert view.status == "completed", view.error
        (row,) = await engine.list_calls(CallFilter(run_id=view.run_id))
        call = await engine.read_call(row.number)
        assert PLAIN not in str(row) + str(call)


MANY = """
import base64, os, urllib.parse

class Many(Node):
    async def execute(self, given):
        for name in sorted(os.environ):
            if name.startswith("CANARY_"):
                value = os.environ[name]
                raw = value.encode()
                print(name, value, urllib.parse.quote(value), repr(value), raw.hex(), raw)
                print(base64.b64encode(raw).decode(), base64.urlsafe_b64encode(b"xy" + raw).decode())
                os.write(1, raw + b"\\n")
        raise RuntimeError(" ".join(os.environ.values()))
"""


async def test_fifty_canaries_through_every_channel_are_in_no_stored_byte(bench: Workbench) -> None:
    values = [f"canary {number} " + secrets.token_urlsafe(9) + '/+"\\é'[: number % 6] for number in range(50)]
    names = [f"CANARY_{number}" for number in range(50)]
    bench.write("many", MANY, permissions={"secrets": names})
    for name, value in zip(names, values, strict=True):
        keep(bench, "many", value=value, name=name)
    async with bench.running() as engine:
        view = await bench.run("many")
        assert view.status == "failed" and view.error is not None and view.error.type == "RuntimeError"
        assert len(await bench.log(view.run_id)) >= 150
        await engine.export_run(uuid.uuid4().hex, view.run_id)
        assert_nowhere(bench, *values)
    assert_nowhere(bench, *values)


async def test_a_secret_that_a_person_types_into_a_chat_goes_no_further(bench: Workbench) -> None:
    SecretStore().set("TOKEN", VALUE)
    models = ScriptedGateway()
    async with bench.running(gateway=models) as engine:
        chat = await engine.send_message(SendMessage(uuid.uuid4().hex, f"My token is {VALUE}, use it", workflow="new"))
        await models.until_asked(1)
        events = engine.events()
        async with asyncio.timeout(60):
            while (await engine.read_chat(ChatQuery(chat_id=chat.chat_id))).chat.busy:
                await anext(events)
        page = await engine.read_chat(ChatQuery(chat_id=chat.chat_id))
        assert f"My token is {MARK}, use it" in str(page)
        assert VALUE not in str(models.asked) and repr(VALUE)[1:-1] not in str(models.asked)
        assert_nowhere(bench, VALUE)
    assert_nowhere(bench, VALUE)
