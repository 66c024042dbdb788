"""Whole workflow folders: a copy is all of a workflow but its past, and what is in the trash comes back whole."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from typing import Any

import pytest
from workbench import Workbench

from core.engine import folder_moves
from core.engine.folder_moves import CARD, EMPTY_SECONDS, STAGE, TRASH
from core.errors import EnvironmentProblem, UnknownWorkflow, UsageError

ONE = "class A(Node):\n    def prepare(self, shared, _):\n        shared['n'] = 1\n"
ASKS = """
class A(Node):
    async def prepare(self, shared, request_input):
        shared["answer"] = await request_input("Go on?", request_id="go")
"""
FOREVER = "import time\n\nclass A(Node):\n    def execute(self, prepared):\n        time.sleep(600)\n"


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path)


def new_id() -> str:
    return uuid.uuid4().hex


def tree(folder: Path) -> dict[str, Any]:
    """Everything in a folder but byte code: files by their bytes, links by where they lead."""
    found = (path for path in folder.rglob("*") if "__pycache__" not in path.parts)
    return {
        str(path.relative_to(folder)): os.readlink(path) if path.is_symlink() else path.read_bytes()
        for path in found
        if path.is_symlink() or path.is_file()
    }


def furnish(bench: Workbench) -> Path:
    """A workflow with files of all kinds beside its graph and code."""
    folder = bench.write("w", ONE, description="Grüße")
    (folder / "lib").mkdir()
    (folder / "lib" / "more.py").write_text("X = 1\n")
    (folder / "data.csv").write_bytes(b"1,2\n\xff")
    (folder / "latest.csv").symlink_to("data.csv")
    for past in ("backups", "output"):
        (folder / past).mkdir()
        (folder / past / "old.txt").write_text("old")
    os.mkfifo(folder / "pipe")
    return folder


async def test_a_copy_is_the_whole_workflow_under_another_name_without_its_past(bench: Workbench) -> None:
    folder = furnish(bench)
    async with bench.running() as engine:
        before = tree(folder)
        done = await engine.duplicate_workflow(new_id(), "w", "w_two")
        assert (done.workflow, done.source, done.approved) == ("w_two", "w", True)
        copy = tree(folder.with_name("w_two"))
        assert set(copy) == {"w_two.json", "nodes.py", "lib/more.py", "data.csv", "latest.csv"}
        assert copy["w_two.json"] == before["w.json"].replace(b'"name": "w"', b'"name": "w_two"')
        assert {path: copy[path] for path in copy if path != "w_two.json"} == {
            path: before[path] for path in copy if path != "w_two.json"
        }
        assert tree(folder) == before
        assert [row.name for row in await engine.list_workflows()] == ["w", "w_two"]
        assert (await bench.run("w_two")).version == done.version
        assert [(row.author, row.title) for row in await engine.list_edits("w_two")] == [("duplicate", "A copy of w")]


async def test_a_name_that_is_taken_or_none_is_refused_and_nothing_is_left(bench: Workbench) -> None:
    furnish(bench)
    async with bench.running() as engine:
        bench.write("other", ONE)
        (bench.workspace.workflows_dir / "plain").mkdir()
        for name in ("w", "other", "plain"):
            with pytest.raises(UsageError, match="already"):
                await engine.duplicate_workflow(new_id(), "w", name)
        for name in ("", ".hidden", "a/b", "_private"):
            with pytest.raises(UsageError, match="can't be the name"):
                await engine.duplicate_workflow(new_id(), "w", name)
        with pytest.raises(UnknownWorkflow):
            await engine.duplicate_workflow(new_id(), "nope", "copy")
        assert sorted(path.name for path in bench.workspace.workflows_dir.iterdir()) == ["other", "plain", "w"]


async def test_a_copy_may_run_only_where_the_workflow_may(bench: Workbench) -> None:
    furnish(bench)
    async with bench.running(consent=False) as engine:
        assert not (await engine.duplicate_workflow(new_id(), "w", "first")).approved
        await engine.approve("w", (await engine.approval("w")).version)
        assert (await engine.duplicate_workflow(new_id(), "w", "second")).approved
        assert not (await engine.approval("first")).approved
        # What is changed in the copy is asked about as ever.
        nodes = bench.workspace.workflows_dir / "second" / "nodes.py"
        nodes.write_text(nodes.read_text() + "# more\n")
        assert not (await engine.approval("second")).approved


async def test_a_broken_workflow_is_copied_as_it_is(bench: Workbench) -> None:
    folder = furnish(bench)
    (folder / "w.json").write_bytes(b'{"name": "w", ')
    async with bench.running() as engine:
        await engine.duplicate_workflow(new_id(), "w", "copy")
        assert tree(folder.with_name("copy"))["copy.json"] == b'{"name": "w", '
        assert (await engine.get_workflow("copy")).findings[0].code == "E101"


async def test_what_is_put_into_the_trash_comes_back_whole(bench: Workbench) -> None:
    folder = furnish(bench)
    async with bench.running(consent=False) as engine:
        await engine.approve("w", (await engine.approval("w")).version)
        run = await bench.run("w")
        before = tree(folder)
        gone = await engine.trash_workflow(new_id(), "w")
        assert (gone.workflow, gone.version) == ("w", run.version)
        assert not folder.exists()
        assert tree(Path(gone.path)) == before
        assert await engine.list_workflows() == []
        assert await engine.list_trash() == [gone]
        assert (await engine.get_run(run.run_id)).status == "completed"
        with pytest.raises(UnknownWorkflow):
            await engine.get_workflow("w")
        back = await engine.restore_workflow(new_id(), gone.id)
        assert (back.workflow, back.version, back.approved) == ("w", run.version, True)
        assert tree(folder) == before
        assert await engine.list_trash() == []
        assert (await bench.run("w")).status == "completed"
        with pytest.raises(UsageError, match="nothing under"):
            await engine.restore_workflow(new_id(), gone.id)


async def test_a_name_that_is_used_again_keeps_both_workflows(bench: Workbench) -> None:
    folder = furnish(bench)
    async with bench.running() as engine:
        first = await engine.trash_workflow(new_id(), "w")
        bench.write("w", ONE + "# another\n")
        with pytest.raises(UsageError, match="already"):
            await engine.restore_workflow(new_id(), first.id)
        second = await engine.trash_workflow(new_id(), "w")
        assert {one.id for one in await engine.list_trash()} == {first.id, second.id}
        await engine.restore_workflow(new_id(), second.id)
        assert "# another" in (folder / "nodes.py").read_text()
        assert [one.id for one in await engine.list_trash()] == [first.id]


async def test_a_workflow_that_runs_stays_where_it_is_and_one_that_waits_for_a_person_may_go(bench: Workbench) -> None:
    bench.write("busy", FOREVER)
    bench.write("asks", ASKS)
    async with bench.running() as engine:
        run = await bench.start("busy")
        await bench.until(run.run_id, lambda view: view.status == "running")
        with pytest.raises(UsageError, match="busy is in use: run") as caught:
            await engine.trash_workflow(new_id(), "busy")
        assert f"rondo cancel {run.short_id}" in caught.value.next_step
        await engine.cancel_run(new_id(), run.run_id)
        waiting = await bench.run("asks")
        assert waiting.status == "waiting_input"
        await engine.trash_workflow(new_id(), "asks")
        await bench.answer(waiting.run_id, "go", "yes")
        assert (await bench.until(waiting.run_id, lambda view: view.status == "completed")).status == "completed"


async def test_each_command_acts_once_however_often_it_is_sent(bench: Workbench) -> None:
    furnish(bench)
    async with bench.running() as engine:
        copying, throwing, taking = new_id(), new_id(), new_id()
        assert await engine.duplicate_workflow(copying, "w", "copy") == await engine.duplicate_workflow(
            copying, "w", "copy"
        )
        gone = await engine.trash_workflow(throwing, "copy")
        assert await engine.trash_workflow(throwing, "copy") == gone
        back = await engine.restore_workflow(taking, gone.id)
        assert await engine.restore_workflow(taking, gone.id) == back


class Killed(Exception):
    """Stands for a kill at a named place."""


@pytest.mark.parametrize("point", ["folder.copied", "folder.card_written", "folder.thrown_away", "folder.taken_out"])
async def test_a_kill_at_any_moment_leaves_every_folder_whole_and_the_command_can_be_sent_again(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    folder = furnish(bench)
    before = tree(folder)

    def die(name: str) -> None:
        if name == point:
            raise Killed(name)

    copying, throwing, taking = new_id(), new_id(), new_id()
    trash_id = ""
    died = False
    for kills in (True, False):
        async with bench.running() as engine:
            monkeypatch.setattr(folder_moves, "crash_point", die if kills else lambda name: None)
            try:
                await engine.duplicate_workflow(copying, "w", "copy")
                trash_id = (await engine.trash_workflow(throwing, "w")).id
                await engine.restore_workflow(taking, trash_id)
            except Killed:
                died = True
            places = [folder, *bench.workspace.workflows_dir.glob(f"{TRASH}/*/folder")]
            assert [tree(place) for place in places if place.exists()] == [before]
    assert died
    assert tree(folder) == before
    assert (bench.workspace.workflows_dir / "copy").is_dir()
    assert list(bench.workspace.workflows_dir.glob(f"{STAGE}*")) == []


async def test_a_copy_that_a_killed_engine_left_half_made_is_removed_at_the_next_start(bench: Workbench) -> None:
    furnish(bench)
    half = bench.workspace.workflows_dir / f"{STAGE}half"
    half.mkdir()
    (half / "nodes.py").write_text("half")
    entry = bench.workspace.workflows_dir / TRASH / "0123456789ab"
    entry.mkdir(parents=True)
    (entry / CARD).write_text(json.dumps({"id": entry.name, "workflow": "w", "at": 1.0}))
    os.utime(entry / CARD, (1.0, 1.0 + EMPTY_SECONDS))
    (bench.workspace.workflows_dir / TRASH / "foreign.txt").write_text("not ours")
    async with bench.running() as engine:
        assert not half.exists()
        assert not entry.exists()
        assert await engine.list_trash() == []


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
async def test_a_folder_that_can_not_be_written_says_so_and_all_is_as_it_was(bench: Workbench) -> None:
    folder = furnish(bench)
    before = tree(folder)
    async with bench.running() as engine:
        bench.workspace.workflows_dir.chmod(0o500)
        try:
            for act in (engine.duplicate_workflow(new_id(), "w", "copy"), engine.trash_workflow(new_id(), "w")):
                with pytest.raises(EnvironmentProblem, match="could not be"):
                    await act
        finally:
            bench.workspace.workflows_dir.chmod(0o700)
        assert tree(folder) == before


async def test_a_move_that_fails_says_why_and_all_is_as_it_was(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = furnish(bench)
    before = tree(folder)

    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied", str(folder))

    async with bench.running() as engine:
        with monkeypatch.context() as patched:
            patched.setattr(folder_moves.os, "rename", refused)
            for act in (engine.duplicate_workflow(new_id(), "w", "copy"), engine.trash_workflow(new_id(), "w")):
                with pytest.raises(EnvironmentProblem, match="could not be") as caught:
                    await act
                assert "Permission denied" in caught.value.cause
        assert tree(folder) == before
        assert [path.name for path in bench.workspace.workflows_dir.iterdir() if path.name != TRASH] == ["w"]


async def test_what_is_removed_from_the_trash_is_gone_and_the_rest_stays(bench: Workbench) -> None:
    folder = furnish(bench)
    async with bench.running() as engine:
        first = await engine.trash_workflow(new_id(), "w")
        bench.write("w", ONE)
        second = await engine.trash_workflow(new_id(), "w")
        outside = bench.workspace.root / "precious"
        outside.mkdir()
        (outside / "kept.txt").write_text("kept")
        (Path(first.path) / "way").symlink_to(outside)
        command = new_id()
        done = await engine.empty_trash(command, [first.id, "nothing", "../w"])
        assert done.removed == [first.id] and done == await engine.empty_trash(command, [first.id, "nothing", "../w"])
        assert not Path(first.path).parent.exists() and (outside / "kept.txt").read_text() == "kept"
        assert [one.id for one in await engine.list_trash()] == [second.id]
        await engine.restore_workflow(new_id(), second.id)
        assert folder.exists()
