"""Odd replies to calls that write, and calls that are given up: what has acted, or may have, is never done twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from loopback import Answer
from test_tool_calls import SEND, World, world

from core.engine.inline import InlinePool
from core.errors import ToolReplyProblem
from core.tools import http

__all__ = ["world"]

TRIES = [{"id": "send", "class": "Send", "retry": {"attempts": 3}}]


def gave(data: str) -> Answer:
    """A success whose data is this text, which need not be JSON that anybody else would write."""
    return Answer(200, f'{{"successful": true, "error": null, "log_id": "log_1", "data": {data}}}')


@pytest.mark.parametrize(
    ("data", "kept"),
    [
        ('{"a": "\\ud800x"}', {"a": "\ufffdx"}),
        ('{"\\ud800": 1}', {"\ufffd": 1}),
        ('{"id": 123456789012345678901234567890}', {"id": "123456789012345678901234567890"}),
        ('{"n": [NaN, 1e999, -Infinity]}', {"n": [None, None, None]}),
    ],
)
async def test_a_reply_that_no_database_takes_is_kept_in_a_form_that_it_does(
    world: World, data: str, kept: Any
) -> None:
    world.write(SEND, nodes=TRIES)
    async with world.bench.running(pool=InlinePool()):
        await world.connected()
        world.fake.next_answers = [gave(data), gave(data)]
        run = await world.bench.run("w")

        assert run.status == "completed", run.error
        assert (await world.bench.state(run.run_id))["sent"] == kept
        by_hand = await world.bench.engine.call_tool("by-hand-1", "gmail", "send_email", {"subject": "x"})
        assert by_hand.value == kept
        assert len(world.fake.executed) == 2
        assert world.rows("status") == [("done",), ("done",)]


@pytest.mark.parametrize("what", ["deep", "deeper", "large"])
async def test_a_write_whose_reply_cannot_be_kept_is_not_made_again_unasked(
    world: World, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = {"deep": "[" * 300 + "]" * 300, "deeper": "[" * 50_000 + "]" * 50_000, "large": json.dumps("x" * 60_000)}
    world.write(SEND, nodes=TRIES)
    async with world.bench.running(pool=InlinePool()):
        await world.connected()
        monkeypatch.setattr(http, "BODY_LIMIT", 50_000 if what == "large" else 1_000_000)
        world.fake.next_answers = [gave(data[what])]
        view = await world.bench.start("w")
        view = await world.bench.until(view.run_id, lambda one: one.status == "waiting_input")

        assert view.awaiting_input is not None and view.awaiting_input.kind == "repeat"
        assert "gmail.send_email" in str(view.awaiting_input.prompt)
        assert len(world.fake.executed) == 1
        await world.bench.answer(view.run_id, "repeat", "fail")
        run = await world.bench.rest(view.run_id)
        assert run.error is not None and run.error.type == "CallUncertain"
        assert len(world.fake.executed) == 1


async def test_a_person_is_told_that_a_call_whose_reply_cannot_be_kept_was_carried_out(world: World) -> None:
    async with world.bench.running(pool=InlinePool()):
        await world.connected()
        world.fake.next_answers = [gave("[" * 300 + "]" * 300)]
        for _ in range(2):
            with pytest.raises(ToolReplyProblem) as raised:
                await world.bench.engine.call_tool("by-hand-2", "gmail", "send_email", {"subject": "x"})
            assert "was carried out" in raised.value.cause
        assert len(world.fake.executed) == 1, "the same command does not act twice"


@pytest.mark.parametrize("inline", [False, True])
async def test_a_write_that_a_node_gave_up_is_not_made_again_by_its_next_try(
    world: World, tmp_path: Path, inline: bool
) -> None:
    arrived = tmp_path / "arrived"
    world.fake.on_execute = arrived.touch
    world.write(
        f"""
        import asyncio
        from pathlib import Path

        class Send(Node):
            async def execute(self, prepared):
                sending = asyncio.ensure_future(self.tool("gmail", "send_email", {{"subject": "hi"}}))
                while self.cur_retry == 0:
                    if Path({str(arrived)!r}).exists():
                        sending.cancel()
                        raise TimeoutError("too slow")
                    await asyncio.sleep(0.01)
                return await sending
        """,
        nodes=TRIES,
    )
    async with world.bench.running(**({"pool": InlinePool()} if inline else {})):
        await world.connected()
        world.fake.next_answers = [Answer(hang=True)]
        view = await world.bench.start("w")
        view = await world.bench.until(view.run_id, lambda one: one.status == "waiting_input")

        assert view.awaiting_input is not None and view.awaiting_input.kind == "repeat"
        assert "given up" in str(view.awaiting_input.prompt)
        assert len(world.fake.executed) == 1
        await world.bench.answer(view.run_id, "repeat", "repeat")
        run = await world.bench.rest(view.run_id)
        assert run.status == "completed", run.error
        assert len(world.fake.executed) == 2
        assert len({one["key"] for one in world.fake.executed}) == 1
