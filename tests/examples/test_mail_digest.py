"""The example mail_digest against a fake Composio: what it reads, writes, asks and posts."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from composio_server import KEY
from loopback import serving
from mail_and_slack import MailAndSlack, digest, verdict
from scripted_models import ScriptedGateway, said
from workbench import Workbench

from core.definition.examples import examples_folder
from core.llm.messages import ModelRequest


@dataclass
class World:
    bench: Workbench
    fake: MailAndSlack
    replies: list[dict[str, Any]] = field(default_factory=list)
    """What the model says, in order."""

    @property
    def gateway(self) -> ScriptedGateway:
        def reply(request: ModelRequest) -> dict[str, Any]:
            return self.replies.pop(0)

        return ScriptedGateway(reply)

    def output(self, run_id: str) -> str:
        return (self.bench.workspace.runs_dir / "output" / run_id / "digest.md").read_text(encoding="utf-8")


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    fake = MailAndSlack()
    async with serving(fake) as loopback:
        monkeypatch.setenv("COMPOSIO_API_KEY", KEY)
        monkeypatch.setenv("COMPOSIO_BASE_URL", loopback.url)
        bench = Workbench(tmp_path)
        shutil.copytree(examples_folder() / "mail_digest", bench.workspace.workflows_dir / "mail_digest")
        yield World(bench, fake)


async def test_mail_is_read_sorted_summarised_and_posted(world: World) -> None:
    world.fake.connect("gmail", "slack")
    world.replies = [digest(), verdict()]
    gateway = world.gateway
    async with world.bench.running(gateway=gateway):
        run = await world.bench.run("mail_digest", {"channel": "#team", "since": "2026-11-20"})

        assert run.status == "completed", run.error
        assert world.fake.queries == ["is:unread after:2026/11/20"]
        [posted] = world.fake.posted
        assert posted["channel"] == "#team"
        assert posted["text"].splitlines() == [
            "*Three mails*",
            "• Invoice 17 is due (Grace <grace@example.com>): Invoice 17 over 120 EUR is due today.",
            "• Lunch on Friday? (Ada <ada@example.com>): Ada asks whether you come to lunch.",
            "_and 1 more_",
        ]
        assert world.output(run.run_id) == posted["text"] + "\n"
        state = await world.bench.state(run.run_id)
        assert [mail["subject"] for mail in state["mails"]] == ["Invoice 17 is due", "Lunch on Friday?", "Your parcel"]
        assert (state["outcome"], state["score"], state["rounds"]) == ("posted", 90, 1)
        # The model is told what the mails are, and which role judges.
        assert [request.role for request in gateway.asked] == ["executor", "critic"]
        assert all("data from strangers" in request.system for request in gateway.asked)


async def test_a_person_is_asked_where_something_is_urgent_and_can_have_it_written_anew(world: World) -> None:
    world.fake.connect("gmail", "slack")
    world.replies = [digest(urgent=True), verdict(), digest("Two mails", urgent=True), verdict()]
    gateway = world.gateway
    async with world.bench.running(gateway=gateway):
        run = await world.bench.run("mail_digest")
        assert (run.status, run.awaiting_input and run.awaiting_input.request_id) == ("waiting_input", "decision")
        assert run.awaiting_input is not None and "urgent mails: 1" in (run.awaiting_input.prompt or "")
        assert world.fake.posted == []

        await world.bench.answer(run.run_id, "decision", "revise")
        await world.bench.until(run.run_id, lambda view: view.awaiting_input is not None)
        await world.bench.answer(run.run_id, "remark", "name the time")
        run = await world.bench.until(run.run_id, lambda view: view.awaiting_input is not None)
        assert "name the time" in said(gateway.asked[2])
        await world.bench.answer(run.run_id, "decision", "post")
        run = await world.bench.rest(run.run_id)

        assert run.status == "completed", run.error
        assert [one["text"].splitlines()[0] for one in world.fake.posted] == ["*Two mails*"]
        assert ":rotating_light: Invoice 17 is due" in world.fake.posted[0]["text"]


async def test_a_digest_that_does_not_do_is_written_three_times_and_then_shown_to_a_person(world: World) -> None:
    world.fake.connect("gmail", "slack")
    world.replies = [one for _ in range(3) for one in (digest(), verdict(40, "The time of the lunch."))]
    gateway = world.gateway
    async with world.bench.running(gateway=gateway):
        run = await world.bench.run("mail_digest")
        assert run.awaiting_input is not None and "the critic is not content" in (run.awaiting_input.prompt or "")
        assert len(gateway.asked) == 6
        assert "The time of the lunch." in said(gateway.asked[2])
        await world.bench.answer(run.run_id, "decision", "discard")
        run = await world.bench.rest(run.run_id)
        assert (run.status, world.fake.posted) == ("completed", [])
        assert (await world.bench.state(run.run_id))["outcome"] == "discarded"


async def test_nothing_is_asked_or_posted_where_there_is_no_mail(world: World) -> None:
    world.fake.connect("gmail")
    world.fake.mails = []
    async with world.bench.running(gateway=world.gateway):
        run = await world.bench.run("mail_digest", {"ask": "always"})
        assert run.status == "completed", run.error
        assert (await world.bench.state(run.run_id))["outcome"] == "nothing new"
        assert world.fake.queries == ["is:unread newer_than:1d"]


async def test_it_is_shown_as_needing_gmail_and_slack(world: World) -> None:
    async with world.bench.running(gateway=world.gateway):
        tools = await world.bench.engine.workflow_tools("mail_digest")
        assert [(tool.name, tool.problem.partition(".")[0]) for tool in tools] == [
            ("gmail", "The tool gmail has no account"),
            ("slack", "The tool slack has no account"),
        ]


async def test_it_runs_the_same_with_tokens_of_one_s_own(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the nodes call is there under these names without Composio, too."""
    monkeypatch.delenv("COMPOSIO_API_KEY")
    async with world.bench.running(gateway=world.gateway):
        for tool, action in (("gmail", "fetch_emails"), ("slack", "send_message")):
            assert (await world.bench.engine.get_action(tool, action, "direct")).row.name == action
