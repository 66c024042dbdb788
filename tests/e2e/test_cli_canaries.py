"""Secrets through the tools of a run, with the real command and engine: no command and no log shows one."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_world import World, wait_until
from loopback import Answer, Asked, serving_beside
from mail_and_slack import MailAndSlack
from test_canaries import drawn, forms

from core.tools.secrets.store import SecretStore

KEY, VALUE = f"ck-{drawn(801)}", f'{drawn(802)}"/+é&'

CODE = """
import os, sys
from core.sdk import Node


class Call(Node):
    async def prepare(self, shared, request_input):
        value = os.environ["TOKEN"]
        for way in ("echo", "refuse", "break"):
            try:
                print("came", await self.tool("gmail", "tidy_up", {"way": way, "subject": value}))
            except Exception as error:
                print("failed", error, getattr(error, "cause", ""), file=sys.stderr)
        await request_input(f"Is it {value}?", None, "text", "ask")

    async def execute(self, prepared):
        raise ValueError(os.environ["TOKEN"])
"""


class Repeating(MailAndSlack):
    """A Composio that repeats all it hears, its key too, in each kind of answer."""

    def post_tools(self, asked: Asked, _execute: str, slug: str) -> Answer:
        heard = {"headers": asked.headers, "text": asked.body.decode(), "arguments": asked.json["arguments"]}
        way = asked.json["arguments"].get("way")
        if way == "break":
            return Answer(500, {"error": {"message": f"broken: {heard}", "code": 1, "suggested_fix": str(heard)}})
        failed = f"no: {heard}" if way == "refuse" else None
        return Answer(200, {"data": heard, "error": failed, "successful": not failed, "log_id": f"log {heard}"})


def assert_clean(text: str | bytes, where: str) -> None:
    data = text.encode() if isinstance(text, str) else text
    for value in (KEY, VALUE):
        for form in forms(value):
            at = data.find(form)
            assert at < 0, f"{where} holds {form!r}: {data[max(0, at - 80) : at + 80]!r}"


def told_by(world: World, *words: str) -> str:
    """What a command says, once no secret was found in it."""
    outcome = world.rondo(*words)
    assert outcome.code in (0, 1), (words, outcome)
    assert_clean(outcome.out + outcome.err, f"rondo {' '.join(words)}")
    return outcome.out


def look_at_all(world: World, run: str) -> None:
    """Call every command that says something of a run, and search what it says."""
    calls = [call["number"] for call in world.json("calls", run)["calls"]]
    assert len(calls) == 3
    told = [("calls", run), *(("calls", run, str(number)) for number in calls), ("show", run), ("logs", run)]
    told += [("show", run, "--json"), ("logs", run, "--json"), ("calls", run, "--json"), ("runs",), ("doctor",)]
    said = "".join(told_by(world, *words) for words in told)
    exported = world.rondo("export", run, "-o", "-")
    assert exported.code == 0
    assert_clean(exported.out + exported.err, "rondo export")
    assert said.count("[secret]") > 10 and "[secret]" in exported.out


@pytest.fixture
def granted(own: World) -> World:
    """A workspace whose workflow was granted the secret."""
    own.environment["PYTHON_KEYRING_BACKEND"] = "keyring.backends.null.Keyring"
    store = SecretStore(environment={}, folder=Path(own.environment["XDG_DATA_HOME"]) / "rondo" / "secrets")
    store.set("TOKEN", VALUE, "file")
    store.set("COMPOSIO_API_KEY", KEY, "file")
    folder = own.workflow("spill", CODE, "call", permissions={"secrets": ["TOKEN"]})
    (folder / "tools.json").write_text('["gmail"]')
    (own.root / "rondo.toml").write_text("[tools]\nwait_seconds = 0\n")
    assert own.rondo("secrets", "grant", "TOKEN", "spill").code == 0
    return own


def test_no_command_and_no_log_shows_a_secret_that_a_tool_repeats(
    granted: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("composio_server.KEY", KEY)
    fake = Repeating()
    fake.connect("gmail")
    with serving_beside(fake) as loopback:
        granted.environment |= {"COMPOSIO_BASE_URL": loopback.url}
        granted.environment.pop("COMPOSIO_API_KEY", None)
        started = granted.rondo("run", "spill", "--detach", "--json")
        assert started.code in (0, 3), started
        run = started.document["run_id"]

        def status() -> str:
            return str(granted.json("show", run)["status"])

        wait_until(lambda: status() == "waiting_input", "the question")
        told_by(granted, "show", run)
        told_by(granted, "tools", "call", "gmail", "tidy_up", '{"way": "break"}')
        assert granted.rondo("answer", run, "ask", "yes").code in (0, 1)
        wait_until(lambda: status() == "failed", "the end")
        look_at_all(granted, run)
    assert granted.rondo("engine", "stop").code == 0
    log = granted.runs / "engine.log"
    assert log.stat().st_size > 0
    for path in granted.root.rglob("*"):
        if path.is_file():
            assert_clean(path.read_bytes(), str(path))
