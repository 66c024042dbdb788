"""Conversations that meet with what nobody wishes for: strange replies, keys in words, several clients, no trust."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scripted import ask, plan
from test_conversations import GREET, LIMIT, Desk, changing, creating, new_id

from core.assistant import draft as drafts
from core.engine.conversations import conversation, proposals, trying
from core.errors import DiskFull, NotApproved, UsageError
from core.link.chat_types import AnswerQuestions, ChatQuery, QuestionAnswer, SendMessage
from core.link.model_types import CallFilter
from core.store.operations import UpdateChat

KEY = "sk-ant-api03-4f9a1b77c2d8e6"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def stored_texts(database: Path) -> list[bytes]:
    """Every value of every table, inflated where it is deflated."""
    found = []
    connection = sqlite3.connect(database)
    try:
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for row in connection.execute(f"SELECT * FROM {table}"):
                for value in row:
                    data = value if isinstance(value, bytes) else str(value).encode()
                    with contextlib.suppress(zlib.error):
                        data = zlib.decompress(data)
                    found.append(data)
    finally:
        connection.close()
    return found


async def test_half_a_character_of_a_model_leaves_the_conversation_readable(desk: Desk) -> None:
    calls: list[dict[str, Any]] = [{"name": "\ud800x", "arguments": {"\udfff": "\ud800"}}]
    desk.script({"text": "Half \ud83d a face", "calls": calls}, {"text": "Whole"})
    async with desk.running():
        chat = (await desk.say("Smile", "w")).chat_id
        assert [entry.text for entry in await desk.entries(chat) if entry.kind == "model"] == ["Half � a face", "Whole"]
        assert (await desk.engine.list_calls(CallFilter()))[0].status == "done"


async def test_json_that_is_nested_without_end_costs_the_call_and_not_the_conversation(desk: Desk) -> None:
    deep: Any = "end"
    for _ in range(200):
        deep = {"more": deep}
    desk.script({"calls": [{"name": "set_plan", "arguments": {"goal": deep}}]}, {"text": "I see."}, {"text": "Yes."})
    async with desk.running():
        chat = (await desk.say("Go down", "w")).chat_id
        assert (await desk.entries(chat))[-1].text == "I see."
        await desk.say("Still there?", chat=chat)
        assert (await desk.entries(chat))[-1].text == "Yes."


async def test_a_key_in_anybodys_words_is_kept_nowhere(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    desk.script(
        {"text": f"Your key is {KEY}.", "calls": [plan(f"Use {KEY}"), ask(f"Is {KEY} right?")]},
        {"text": f"I go on with {KEY} and th", "hang": True},
    )
    async with desk.running():
        row = await desk.say(f"Greet with my key {KEY}", "w", tools=[f"tool-{KEY}"])
        asked = (await desk.entries(row.chat_id))[-1]
        assert asked.questions is not None and "[secret]" in row.title
        given = [QuestionAnswer(id=asked.questions[0].id, text=f"No, {KEY}")]
        await desk.engine.answer_questions(
            AnswerQuestions(command_id=new_id(), chat_id=row.chat_id, number=asked.number, answers=given)
        )
        await desk.gateway.hanging.wait()
        # What streams is kept while it comes.
        store = desk.engine._store
        async with asyncio.timeout(LIMIT):
            events = desk.engine.events()
            while not any(b"I go on" in (entry.content or b"") for entry in await store.entries(row.chat_id)):
                await anext(events)
        await desk.engine.stop_chat(row.chat_id)
        files = [file for file in desk.bench.root.rglob("*") if file.is_file() and KEY.encode() in file.read_bytes()]
    assert files == []
    texts = stored_texts(desk.bench.workspace.database)
    assert any(b"Your key is [secret]." in text for text in texts)
    assert not [text for text in texts if KEY.encode() in text]


async def test_what_stands_when_a_text_is_stopped_is_all_that_came(desk: Desk) -> None:
    desk.script({"text": "so far and no further", "hang": True})
    async with desk.running():
        message = SendMessage(command_id=new_id(), text="Speak", workflow="w")
        chat = (await desk.engine.send_message(message)).chat_id
        await desk.gateway.hanging.wait()
        await desk.engine.stop_chat(chat)
        assert [entry.text for entry in await desk.entries(chat)] == ["Speak", "so far and no further", "Stopped."]


async def test_who_speaks_while_another_deletes_hears_that_it_is_gone(desk: Desk) -> None:
    desk.script({"text": "half", "hang": True})
    async with desk.running():
        message = SendMessage(command_id=new_id(), text="Speak", workflow="w")
        chat = (await desk.engine.send_message(message)).chat_id
        await desk.gateway.hanging.wait()
        more = SendMessage(command_id=new_id(), text="More", chat_id=chat)
        results = await asyncio.gather(
            desk.engine.delete_chat(new_id(), chat),
            desk.engine.send_message(more),
            desk.engine.retry_chat(new_id(), chat),
            desk.engine.delete_chat(new_id(), chat),
            return_exceptions=True,
        )
        # Who comes first is open: one of those who delete does it, and whoever speaks before that finds it busy.
        said = [getattr(result, "message", "") for result in results]
        assert sorted(bool(text) for text in (said[0], said[3])) == [False, True]
        assert "no conversation" in said[0] + said[3]
        assert all("no conversation" in text or "still working" in text for text in said[1:3])
        with pytest.raises(UsageError):
            await desk.engine.read_chat(ChatQuery(chat_id=chat))


async def test_what_could_not_be_kept_was_not_said_and_can_be_said_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.script({"text": "Hello."}, {"calls": [ask("Which?")]}, {"text": "Fine."})
    async with desk.running():
        chat = (await desk.say("Hello", "w")).chat_id
        store = desk.engine._store
        commit = store.commit
        full = True

        async def refusing(operations: Any) -> Any:
            if full and any(isinstance(operation, UpdateChat) and operation.busy for operation in operations):
                raise DiskFull("The disk is full.", cause="No room.", next_step="Make room.")
            return await commit(operations)

        monkeypatch.setattr(store, "commit", refusing)
        with pytest.raises(DiskFull):
            await desk.say("Ask me", chat=chat)
        assert [entry.text for entry in await desk.entries(chat)] == ["Hello", "Hello."]
        full = False
        await desk.say("Ask me", chat=chat)
        asked = (await desk.entries(chat))[-1]
        assert asked.questions is not None and await desk.kinds(chat) == ["user", "model", "user", "questions"]
        given = [QuestionAnswer(id=asked.questions[0].id, chosen=["yes"])]

        def answer() -> AnswerQuestions:
            return AnswerQuestions(command_id=new_id(), chat_id=chat, number=asked.number, answers=given)

        full = True
        with pytest.raises(DiskFull):
            await desk.engine.answer_questions(answer())
        full = False
        await desk.engine.set_chat_mode(chat, "ask")
        assert (await desk.entries(chat))[-1].answers is None
        await desk.engine.answer_questions(answer())
        await desk.rest(chat)
        assert (await desk.entries(chat))[-1].text == "Fine."


async def test_of_two_that_speak_at_once_one_is_heard_and_the_other_told(desk: Desk) -> None:
    desk.script({"text": "Hello."}, {"text": "half", "hang": True})
    async with desk.running():
        chat = (await desk.say("Hello", "w")).chat_id
        both = [SendMessage(command_id=new_id(), text=text, chat_id=chat) for text in ("One", "Two")]
        results = await asyncio.gather(*map(desk.engine.send_message, both), return_exceptions=True)
        told = [isinstance(result, UsageError) for result in results]
        assert sorted(told) == [False, True]
        await desk.gateway.hanging.wait()
        await desk.engine.stop_chat(chat)
        heard = ("One", "Two")[told.index(False)]
        assert [entry.text for entry in await desk.entries(chat) if entry.kind == "user"] == ["Hello", heard]


async def test_accepting_a_change_approves_nothing_that_others_put_beside_it(desk: Desk) -> None:
    async with desk.running(consent=False):
        await desk.made()
        assert (await desk.bench.run("greeter")).status == "completed"
        nodes = desk.bench.workspace.workflows_dir / "greeter" / "nodes.py"
        proposal = await desk.proposed("Say Hi", "greeter", *changing())
        nodes.write_text(nodes.read_text() + "\n\nBROUGHT_ALONG = True\n")
        assert not (await desk.decide(proposal)).approved
        assert "nobody approved" in (await desk.entries(proposal.chat_id))[-1].text
        assert b"BROUGHT_ALONG" in desk.files()["nodes.py"] and b"Hi, {name}" in desk.files()["nodes.py"]
        with pytest.raises(NotApproved):
            await desk.bench.run("greeter")
        with pytest.raises(NotApproved):
            await desk.engine.undo_edit(new_id(), "greeter")
            await desk.bench.run("greeter")


async def test_a_change_of_what_may_run_may_run_and_so_may_what_undo_gives(desk: Desk) -> None:
    async with desk.running(consent=False):
        await desk.made()
        await desk.decide(await desk.proposed("Say Hi", "greeter", *changing()))
        assert (await desk.bench.run("greeter")).status == "completed"
        await desk.engine.undo_edit(new_id(), "greeter")
        assert (await desk.bench.run("greeter")).status == "completed"


DRY = """
import asyncio, sys
from core.definition.load import load_sources
from core.engine.conversations.trying import Tries

async def none(workflow):
    return []

tries = Tries(None, None, None)
tries._recordings = none
code = b'''
from core.sdk import Node


class Sleep(Node):
    def execute(self, prepared):
        import os, time
        open("begun.tmp", "w").write(str(os.getpid()))
        os.rename("begun.tmp", "begun")
        time.sleep(777)
'''
graph = b'{"name": "w", "nodes": [{"id": "sleep", "class": "Sleep"}], "edges": []}'
asyncio.run(tries.run(load_sources("w", {"w.json": graph, "nodes.py": code}), {}, None))
"""


def until(holds: Callable[[], Any]) -> None:
    """Wait until something is so outside of this process."""
    end = time.monotonic() + LIMIT
    while not holds():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a try ends by its own clock")
def test_a_try_ends_with_a_killed_engine(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", DRY], env=environment) as engine:
        try:
            until(lambda: list(tmp_path.glob("rondo-try-*/begun")))
            (begun,) = tmp_path.glob("rondo-try-*/begun")
            trial = Path("/proc", begun.read_text(), "stat")
            assert trial.exists()
        finally:
            engine.kill()
    # Nobody may be there to take its end: a zombie is at its end, too.
    until(lambda: not trial.exists() or trial.read_text().rpartition(")")[2].split()[0] == "Z")


def test_what_a_killed_try_left_is_removed_later(tmp_path: Path) -> None:
    old, young, other = (tmp_path / name for name in ("rondo-try-old", "rondo-try-young", "other"))
    for folder in (old, young, other):
        folder.mkdir()
        (folder / "nodes.py").touch()
    for folder in (old, other):
        os.utime(folder, (0, 0))
    trying._sweep(tmp_path)
    assert not old.exists() and young.exists() and other.exists()


async def test_of_thousands_of_calls_in_a_reply_some_are_made(desk: Desk) -> None:
    calls = [{"name": "read_workflow", "arguments": {"detail": "outline"}}] * 150
    desk.script({"calls": calls}, {"text": "Done."})
    async with desk.running():
        chat = (await desk.say("Read", "w")).chat_id
        uses = [entry.tool.status for entry in await desk.entries(chat) if entry.tool is not None]
        assert uses.count("done") == 64 and uses.count("failed") == 86


async def test_large_code_does_not_keep_the_engine_from_answering(desk: Desk) -> None:
    """What changes files, packs and reads proposals runs in threads: no callback of the loop does it."""
    more = "\n\n".join(f"    def more_{number}(self):\n        return {number}" for number in range(400))
    async with desk.running():
        here = threading.get_ident()
        on_loop: list[str] = []

        def watched(module: Any, name: str) -> None:
            made = getattr(module, name)

            def call(*given: Any, **options: Any) -> Any:
                if threading.get_ident() == here:
                    on_loop.append(name)
                return made(*given, **options)

            patch.setattr(module, name, call)

        with pytest.MonkeyPatch.context() as patch:
            for module, name in (
                (drafts, "apply_definition"),
                (drafts, "apply_operations"),
                (drafts, "load_sources"),
                (conversation, "packed_memory"),
                (proposals, "_packed"),
                (proposals, "_content"),
                (proposals, "_view"),
            ):
                watched(module, name)
            proposal = await desk.proposed("Greet somebody by name", "greeter", *creating(f"{GREET}\n{more}"))
            await desk.decide(proposal)
        assert on_loop == []
