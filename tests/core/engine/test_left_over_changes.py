"""An engine that dies while it changes files: they are wholly old or wholly new, and all that is known agrees."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from test_conversations import Desk, changing, new_id

from core.engine.conversations import journal
from core.errors import EnvironmentProblem
from core.link.chat_types import Decide


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


class EngineDiedError(BaseException):
    """What nobody catches: the process is gone."""


async def dies(patch: pytest.MonkeyPatch, place: str, act: Awaitable[Any]) -> None:
    """Do something in an engine that dies at a crash point."""

    def at(point: str) -> None:
        if point == place:
            raise EngineDiedError

    with patch.context() as patched, pytest.raises(EngineDiedError):
        patched.setattr(journal, "crash_point", at)
        await act


PLACES = pytest.mark.parametrize("place", ["edit.begun", "edit.written", "edit.noted"])


@PLACES
async def test_an_accepted_proposal_and_its_edit_agree_with_the_folder(
    desk: Desk, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with desk.running(consent=False):
        await desk.made()
        old = desk.files()
        proposal = await desk.proposed("Say Hi", "greeter", *changing())
        decide = Decide(command_id=new_id(), proposal_id=proposal.proposal_id, decision="accept")
        await dies(monkeypatch, place, desk.engine.decide_proposal(decide))
    async with desk.running(consent=False):
        new = desk.files()
        view = await desk.engine.get_proposal(proposal.proposal_id)
        edits = await desk.engine.list_edits("greeter")
        assert (new == old) == (place == "edit.begun")
        assert (view.status, len(edits)) == (("open", 1) if new == old else ("applied", 2))
        # Whoever sent it sends it again, and it acts no second time.
        decided = await desk.engine.decide_proposal(decide)
        assert decided.edit == 2 and len(await desk.engine.list_edits("greeter")) == 2
        assert b"Hi, {name}" in desk.files()["nodes.py"]
        assert [entry.text for entry in await desk.entries(proposal.chat_id) if "Applied" in entry.text] or place == (
            "edit.noted"
        )
        assert (await desk.bench.run("greeter")).status == "completed"
        await desk.engine.undo_edit(new_id(), "greeter")
        assert desk.files() == old
        await desk.engine.redo_edit(new_id(), "greeter")
        assert b"Hi, {name}" in desk.files()["nodes.py"]
    async with desk.running():
        assert len(await desk.engine.list_edits("greeter")) == 4


@PLACES
@pytest.mark.parametrize("what", ["undo", "redo"])
async def test_what_is_taken_back_or_done_again_agrees_with_the_folder(
    desk: Desk, what: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = new_id()

    def act() -> Awaitable[Any]:
        engine = desk.engine
        return engine.undo_edit(command, "greeter") if what == "undo" else engine.redo_edit(command, "greeter")

    async with desk.running():
        await desk.made()
        await desk.decide(await desk.proposed("Say Hi", "greeter", *changing()))
        if what == "redo":
            await desk.engine.undo_edit(new_id(), "greeter")
        before = desk.files()
        edits = len(await desk.engine.list_edits("greeter"))
        await dies(monkeypatch, place, act())
    async with desk.running():
        after = desk.files()
        assert (after == before) == (place == "edit.begun")
        assert len(await desk.engine.list_edits("greeter")) == edits + (after != before)
        await act()
        assert len(await desk.engine.list_edits("greeter")) == edits + 1
        reverse: Callable[..., Awaitable[Any]] = desk.engine.redo_edit if what == "undo" else desk.engine.undo_edit
        await reverse(new_id(), "greeter")
        assert desk.files() == before


@PLACES
async def test_a_workflow_of_a_template_is_there_with_its_edit_or_not_at_all(
    desk: Desk, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = new_id()
    async with desk.running():
        await dies(monkeypatch, place, desk.engine.create_from_template(command, "greeter", "batch"))
    async with desk.running():
        there = (desk.bench.workspace.workflows_dir / "greeter").exists()
        assert there == (place != "edit.begun")
        assert [edit.author for edit in await desk.engine.list_edits("greeter")] == ["template"] * there
        made = await desk.engine.create_from_template(command, "greeter", "batch")
        assert made.number == 1 and desk.files()
        await desk.engine.undo_edit(new_id(), "greeter")
        assert desk.files() == {}


async def test_what_others_saved_before_the_next_engine_came_is_left_alone(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with desk.running():
        await desk.made()
        proposal = await desk.proposed("Say Hi", "greeter", *changing())
        decide = Decide(command_id=new_id(), proposal_id=proposal.proposal_id, decision="accept")
        await dies(monkeypatch, "edit.written", desk.engine.decide_proposal(decide))
    nodes = desk.bench.workspace.workflows_dir / "greeter" / "nodes.py"
    nodes.write_text(nodes.read_text().replace("Hi, {name}", "Ahoy, {name}"))
    async with desk.running():
        assert b"Ahoy" in desk.files()["nodes.py"]
        assert (await desk.engine.get_proposal(proposal.proposal_id)).status == "open"
        assert len(await desk.engine.list_edits("greeter")) == 1


async def test_a_change_that_could_not_be_written_leaves_nothing_to_note(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise EnvironmentProblem("No room.", cause="The disk is full.", next_step="Make room.")

    async with desk.running():
        await desk.made()
        proposal = await desk.proposed("Say Hi", "greeter", *changing())
        with monkeypatch.context() as patched, pytest.raises(EnvironmentProblem):
            patched.setattr(journal, "put_back", refused)
            await desk.decide(proposal)
        assert await desk.engine._store.begun_changes() == []
        await desk.decide(proposal)
        assert await desk.engine._store.begun_changes() == []
