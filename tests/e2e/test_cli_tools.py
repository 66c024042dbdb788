"""Tools at the command line: listed, connected, called and given up, with real engines and a server of ours."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pexpect
import pytest
from cli_world import LIMIT_SECONDS, RONDO, World, wait_until
from composio_server import KEY, FakeComposio
from loopback import serving_beside

CODE = """
from core.sdk import Node


class Send(Node):
    async def execute(self, prepared):
        return await self.tool("gmail", "send_email", {"subject": "hi"})

    def cleanup(self, shared, prepared, result):
        shared["sent"] = result
"""


@pytest.fixture
def fake(own: World) -> Iterator[FakeComposio]:
    """A workspace whose engine reaches a server of ours in place of Composio."""
    made = FakeComposio(page=100)
    made.link_ends = (datetime.now(UTC) + timedelta(minutes=10)).isoformat()
    with serving_beside(made) as loopback:
        own.environment |= {"COMPOSIO_API_KEY": KEY, "COMPOSIO_BASE_URL": loopback.url}
        folder = own.workflow("mail", CODE, "send")
        (folder / "tools.json").write_text('["gmail"]')
        yield made
        own.rondo("engine", "stop")


def piped(world: World, text: str, *words: str) -> Any:
    done = subprocess.run(
        [RONDO, *words, "--json"],
        cwd=world.root,
        env=world.environment,
        input=text,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
    )
    assert done.returncode == 0, done
    return json.loads(done.stdout)


def test_a_run_that_waits_for_an_account_goes_on_when_it_is_connected(own: World, fake: FakeComposio) -> None:
    missing = own.rondo("workflow-tools", "mail", "--json")
    assert missing.code == 4
    assert "no account" in missing.document[0]["problem"]
    before = own.rondo("run", "mail", "--detach")
    assert "The tool gmail has no account" in before.err and "rondo authenticate-tool gmail" in before.err
    own.rondo("cancel", "--all", "--yes")
    refused = own.rondo("run", "mail", "--check")
    assert refused.code == 4 and "mail: 1 thing is missing" in refused.err
    document = own.rondo("run", "mail", "--check", "--json")
    assert document.code == 4 and document.error["type"] == "NotReady"
    lacks = own.rondo("check", "mail")
    assert lacks.code == 4 and "account gmail" in lacks.out and "rondo authenticate-tool gmail" in lacks.out
    run = own.json("run", "mail", "--detach")["run_id"]
    wait_until(lambda: own.json("show", run)["status"] == "waiting_input", "the question")
    assert "rondo authenticate-tool gmail" in own.rondo("show", run).err

    connecting = own.begin("authenticate-tool", "gmail")
    [account] = wait_until(lambda: list(fake.accounts.values()), "the link")
    account["status"] = "ACTIVE"
    out, err = connecting.communicate(timeout=LIMIT_SECONDS)
    assert connecting.returncode == 0, err
    assert f"https://connect.example/{account['id']}" in err
    assert "gmail is connected" in out

    wait_until(lambda: own.json("show", run)["status"] == "completed", "the end of the run")
    assert [one["connected_account_id"] for one in fake.executed] == [account["id"]]
    assert own.rondo("workflow-tools", "mail").code == 0
    assert "has all that it needs" in own.rondo("check", "mail").out


def test_connecting_that_fails_says_why(own: World, fake: FakeComposio) -> None:
    connecting = own.begin("authenticate-tool", "gmail", "--json")
    [account] = wait_until(lambda: list(fake.accounts.values()), "the link")
    account |= {"status": "FAILED", "status_reason": "the user said no"}
    out, _ = connecting.communicate(timeout=LIMIT_SECONDS)
    assert connecting.returncode == 1
    assert json.loads(out)["error"]["cause"] == "the user said no"
    link = own.rondo("authenticate-tool", "gmail", "--no-wait", "--json")
    assert (link.code, link.document["state"]) == (3, "INITIATED")


def test_tools_are_listed_described_called_and_given_up(own: World, fake: FakeComposio) -> None:
    needs = own.rondo("authenticate-tool", "airtable", "--json")
    assert (needs.code, needs.document["fields"][0]["name"]) == (3, "generic_api_key")
    made = piped(own, '{"generic_api_key": "good-key-123"}', "authenticate-tool", "airtable", "--stdin")
    assert made["state"] == "ACTIVE"
    listed = own.json("list-tools", "--search", "a")["tools"]
    assert {"gmail", "airtable", "slack"} <= {row["name"] for row in listed}
    assert [row["name"] for row in own.json("list-tools", "--connected")["tools"]] == ["airtable"]
    assert "airtable" in own.rondo("list-tools").out
    assert own.json("tool-details", "gmail")["actions"][0]["name"] == "send_email"
    assert "send_email" in own.rondo("tool-details", "gmail").out
    assert "subject" in own.rondo("tool-details", "gmail", "send_email").out
    called = own.json("tools", "call", "weather", "get_weather", '{"subject": "x"}')
    assert (called["value"], called["log_id"]) == ({"id": "m-1"}, "log_77")
    assert piped(own, '{"subject": "y"}', "tools", "call", "weather", "get_weather", "-")["value"] == {"id": "m-1"}
    assert [one["arguments"]["subject"] for one in fake.executed] == ["x", "y"]
    pinned = own.rondo("workflow-tools", "mail", "--add", "airtable", "--pin", "airtable", "--set", "gmail.version=7")
    assert pinned.code == 4 and "rondo undo mail" in pinned.err, pinned
    kept = json.loads((own.root / "workflows" / "mail" / "tools.json").read_text())
    assert kept[0] == {"name": "gmail", "version": "7"} and kept[1]["account"].startswith("ca_")
    assert own.rondo("workflow-tools", "mail", "--set", "gmail.colour=red", "--json").error["type"] == "UsageError"
    for words in (("gmail", "send_email", "{"), ("gmail", "send_email", "[]"), ("gmail", "fly"), ("nowhere", "x")):
        assert own.rondo("tools", "call", *words, "--json").error
    assert len(own.json("tools", "disconnect", "airtable")) == 1
    assert own.rondo("tools", "disconnect", "airtable", "--json").error["type"] == "NotConnected"
    for file in own.runs.rglob("*"):
        assert not file.is_file() or b"good-key-123" not in Path(file).read_bytes(), file


def test_ctrl_c_while_a_key_is_asked_for_ends_at_once_and_nothing_typed_is_shown(
    own: World, fake: FakeComposio
) -> None:
    child = pexpect.spawn(
        RONDO, ["authenticate-tool", "airtable"], cwd=own.root, env=own.environment, timeout=LIMIT_SECONDS
    )
    child.expect("not shown")
    wait_until(lambda: not child.getecho(), "the terminal does not show what is typed")
    child.send("typed-value")
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
    assert b"typed-value" not in child.before
    assert not fake.accounts


def test_a_key_that_is_typed_connects_and_is_not_shown(own: World, fake: FakeComposio) -> None:
    child = pexpect.spawn(
        RONDO, ["authenticate-tool", "airtable"], cwd=own.root, env=own.environment, timeout=LIMIT_SECONDS
    )
    child.expect("not shown")
    wait_until(lambda: not child.getecho(), "the terminal does not show what is typed")
    child.sendline("typed-value")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert b"is connected" in child.before
    assert b"typed-value" not in child.before
