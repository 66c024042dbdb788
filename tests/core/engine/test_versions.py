"""Versions of a workflow: what is kept, what is told of them, and the way back."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from workbench import Workbench

from core.engine import rollback
from core.engine.approvals import Approvals
from core.errors import EnvironmentProblem, UnknownVersion, UnknownWorkflow, UsageError
from core.link.workflow_types import RollbackView

ONE = "class A(Node):\n    def prepare(self, shared, _):\n        shared['n'] = 1\n"
TWO = ONE + "\nclass B(Node):\n    def prepare(self, shared, _):\n        shared['n'] += 1\n"


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path)


async def keep(bench: Workbench, source: str = ONE, **graph: Any) -> str:
    """Save a version and have it run once; returns its hash."""
    bench.write("w", source, **graph)
    return (await bench.run("w")).version


async def roll_back(bench: Workbench, word: str, **options: Any) -> RollbackView:
    diff = await bench.engine.get_diff("w", "now", word)
    arguments = {"command_id": uuid.uuid4().hex, "expected": diff.before.hash, **options}
    return await bench.engine.rollback(name="w", version=word, **arguments)


def files(folder: Path) -> dict[str, bytes]:
    """Everything in a folder but the backups and byte code."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {
        str(path): (folder / path).read_bytes()
        for path in found
        if path.parts[0] != "backups" and "__pycache__" not in path.parts
    }


async def test_every_version_is_listed_with_its_runs_and_what_changed(bench: Workbench) -> None:
    async with bench.running():
        first = await keep(bench)
        second = await keep(bench, TWO, edges=[("a", "b")])
        await bench.run("w")
        rows = await bench.engine.list_versions("w")
        assert [(row.hash, row.runs, row.present, row.kept) for row in rows] == [
            (second, 2, True, True),
            (first, 1, False, True),
        ]
        assert rows[0].previous == first
        assert rows[0].changes == ["+node b, +edge a → b", "nodes.py +4 -0"]
        assert rows[1].changes == ["the first version"]
        assert await bench.engine.list_versions("w", limit=1) == rows[:1]
        assert await bench.engine.list_versions("w", before=second) == rows[1:]
        assert await bench.engine.list_versions("w", before=first) == []


async def test_a_broken_folder_comes_first_and_is_told_from_what_is_kept(bench: Workbench) -> None:
    async with bench.running():
        first = await keep(bench)
        (bench.workspace.workflows_dir / "w" / "w.json").write_text("{")
        rows = await bench.engine.list_versions("w")
        assert [(row.kept, row.present) for row in rows] == [(False, True), (True, False)]
        assert rows[0].changes[0] == "1 error"
        diff = await bench.engine.get_diff("w", "-1", "now")
        assert diff.before.hash == first
        assert "now can't be read" in diff.note
        assert [file.path for file in diff.files] == ["w.json"]


async def test_two_versions_are_compared_in_words_and_line_by_line(bench: Workbench) -> None:
    async with bench.running():
        first = await keep(bench)
        second = await keep(bench, TWO, edges=[("a", "b")])
        diff = await bench.engine.get_diff("w", first[:8], "now")
        assert (diff.before.hash, diff.after.hash, diff.after.kept) == (first, second, True)
        assert [change.text for change in diff.graph] == ["node b added (B)", "edge a → b added"]
        assert [file.path for file in diff.files] == ["nodes.py", "w.json"]
        assert "+class B(Node):" in diff.files[0].diff
        assert (await bench.engine.get_diff("w", "-1", "now")).graph == diff.graph
        assert (await bench.engine.get_diff("w", second, "now")).files == []


@pytest.mark.parametrize("word", ["", "abc", "ffffffff", "-7", "-0x", "now"])
async def test_a_version_that_is_not_there_is_refused_with_those_that_are(bench: Workbench, word: str) -> None:
    async with bench.running():
        first = await keep(bench)
        with pytest.raises(UnknownVersion) as caught:
            await bench.engine.rollback(uuid.uuid4().hex, "w", word, "")
        assert first[:12] in caught.value.cause
        assert "rondo versions w" in caught.value.next_step


async def test_a_typo_in_a_hash_names_the_one_that_was_meant(bench: Workbench) -> None:
    async with bench.running():
        first = await keep(bench)
        await keep(bench, TWO)
        typo = first[:11] + ("0" if first[11] != "0" else "1")
        with pytest.raises(UnknownVersion) as caught:
            await bench.engine.get_diff("w", typo, "now")
        assert caught.value.cause == f"Near it: {first[:12]}."


async def test_a_workflow_that_never_was_has_no_versions(bench: Workbench) -> None:
    async with bench.running():
        with pytest.raises(UnknownWorkflow):
            await bench.engine.list_versions("nope")


async def test_going_back_makes_the_folder_that_version_and_loses_nothing(bench: Workbench) -> None:
    async with bench.running():
        first = await keep(bench)
        folder = bench.workspace.workflows_dir / "w"
        before = files(folder)
        (folder / "data.csv").write_text("1,2\n")
        (folder / "lib").mkdir()
        (folder / "lib" / "more.py").write_text("X = 1\n")
        second = await keep(bench, "import lib.more\n" + TWO)
        changed = files(folder)
        done = await roll_back(bench, "-1")
        assert (done.version, done.previous, done.approved) == (first, second, True)
        assert (done.written, done.removed) == (["nodes.py", "w.json"], ["lib/more.py"])
        # What belongs to no version stays.
        assert files(folder) == {**before, "data.csv": b"1,2\n"}
        assert done.backup is not None
        assert files(Path(done.backup)) == {name: data for name, data in changed.items() if name != "data.csv"}
        assert not (folder / "lib").exists()
        assert (await bench.run("w")).version == first
        assert [row.present for row in await bench.engine.list_versions("w")] == [False, True]
        # And forward again.
        assert (await roll_back(bench, second[:6])).previous == first
        assert files(folder) == changed


async def test_a_broken_folder_is_kept_in_the_backup(bench: Workbench) -> None:
    async with bench.running():
        await keep(bench)
        folder = bench.workspace.workflows_dir / "w"
        (folder / "w.json").write_bytes(b"{ not json \xff")
        (folder / "nodes.py").write_text("class (\n")
        done = await roll_back(bench, "-1")
        assert done.backup is not None
        assert (Path(done.backup) / "w.json").read_bytes() == b"{ not json \xff"
        assert (Path(done.backup) / "nodes.py").read_text() == "class (\n"
        assert (await bench.run("w")).status == "completed"


async def test_a_workflow_that_was_deleted_comes_back(bench: Workbench) -> None:
    async with bench.running():
        first = await keep(bench)
        folder = bench.workspace.workflows_dir / "w"
        before = files(folder)
        for path in [*folder.rglob("*.*")]:
            path.unlink()
        folder.rmdir()
        assert [row.hash for row in await bench.engine.list_versions("w")] == [first]
        done = await roll_back(bench, first)
        assert (done.backup, done.previous) == (None, None)
        assert files(folder) == before


async def test_an_edit_since_the_person_looked_is_not_overwritten(bench: Workbench) -> None:
    async with bench.running():
        first = await keep(bench)
        await keep(bench, TWO)
        seen = await bench.engine.get_diff("w", "now", first)
        folder = bench.workspace.workflows_dir / "w"
        (folder / "nodes.py").write_text("# saved meanwhile\n")
        with pytest.raises(UsageError, match="changed since it was shown"):
            await roll_back(bench, first, expected=seen.before.hash)
        assert (folder / "nodes.py").read_text() == "# saved meanwhile\n"
        assert not (folder / "backups").exists()


async def test_a_command_that_comes_twice_acts_once(bench: Workbench) -> None:
    async with bench.running():
        first = await keep(bench)
        await keep(bench, TWO)
        command = uuid.uuid4().hex
        done = await roll_back(bench, first, command_id=command)
        assert await roll_back(bench, first, command_id=command) == done
        assert len(list((bench.workspace.workflows_dir / "w" / "backups").iterdir())) == 1


async def test_only_a_version_that_was_approved_may_run_after_going_back(bench: Workbench) -> None:
    async with bench.running(consent=False):
        bench.write("w", ONE)
        approvals = Approvals(bench.workspace.root)
        first = (await bench.engine.approval("w")).version
        await bench.engine.approve("w", first)
        bench.write("w", ONE + "X = 1\n")
        second = (await bench.engine.list_versions("w"))[0].hash
        assert not (await roll_back(bench, second)).approved
        bench.write("w", TWO)
        assert (await roll_back(bench, first)).approved
        folder = bench.workspace.workflows_dir / "w"
        assert approvals.verdict(folder, first).approved
        assert not approvals.verdict(folder, second).approved


def test_a_move_that_fails_half_way_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "w"
    present = {"a.py": b"a", "b.py": b"b", "old.py": b"o"}
    folder.mkdir()
    for name, content in present.items():
        (folder / name).write_bytes(content)
    moves: list[Any] = []
    real = rollback.os.replace

    def fail_late(source: Any, target: Any) -> None:
        if Path(target).parent == folder and ".rondo-rollback-" in str(source):
            moves.append(target)
            if len(moves) == 3:
                raise OSError(28, "No space left on device", str(target))
        real(source, target)

    monkeypatch.setattr(rollback.os, "replace", fail_late)
    wanted = {"a.py": b"A", "b.py": b"B", "c.py": b"C"}
    with pytest.raises(EnvironmentProblem, match="could not be written"):
        rollback.put_back(folder, present, wanted, "f" * 64, 0.0)
    assert files(folder) == present


def killed_after(moves: int, act: Callable[[], Any]) -> bool:
    """Act in a process that ends, as by kill -9, after so many moves; False where it came to its end."""
    child = os.fork()
    if not child:
        left, real = [moves], rollback._move

        def move(new: Path | None, place: Path) -> None:
            if not left[0]:
                os._exit(9)
            left[0] -= 1
            real(new, place)

        rollback._move = move
        act()
        os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


@pytest.mark.parametrize("edited", [False, True])
@pytest.mark.parametrize("moves", [0, 1, 3, 4])
async def test_a_rollback_that_is_killed_is_finished_by_the_next_engine(
    bench: Workbench, moves: int, edited: bool
) -> None:
    present = {"w.json": b"{}", "nodes.py": b"N", "old.py": b"o", "lib/a.py": b"a"}
    wanted = {"w.json": b"{ }", "nodes.py": ONE.encode(), "lib/b.py": b"b"}
    folder = bench.workspace.workflows_dir / "w"
    for name, content in present.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    assert killed_after(moves, lambda: rollback.put_back(folder, present, wanted, "f" * 64, 0.0))
    expected = dict(wanted)
    if edited:
        (folder / "old.py").write_bytes(b"mended by hand")
        expected["old.py"] = b"mended by hand"
    async with bench.running():
        pass
    assert files(folder) == expected
    assert not list(folder.glob(".rondo-*"))
    (backup,) = (folder / "backups").iterdir()
    assert files(backup) == present


def test_a_file_that_is_saved_at_the_last_moment_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "w"
    folder.mkdir()
    (folder / "a.py").write_bytes(b"a")
    (folder / "b.py").write_bytes(b"b")
    real = rollback._keep

    def keep_then_edit(*arguments: Any) -> Any:
        kept = real(*arguments)
        (folder / "b.py").write_bytes(b"edited")
        return kept

    monkeypatch.setattr(rollback, "_keep", keep_then_edit)
    with pytest.raises(UsageError, match=r"b\.py changed"):
        rollback.put_back(folder, {"a.py": b"a", "b.py": b"b"}, {"a.py": b"A", "b.py": b"B"}, "f" * 64, 0.0)
    assert files(folder) == {"a.py": b"a", "b.py": b"edited"}


def test_folders_that_are_made_have_the_rights_of_folders_that_people_make(tmp_path: Path) -> None:
    folder = tmp_path / "w"
    before = os.umask(0o077)
    try:
        rollback.put_back(folder, {}, {"a.py": b"a", "lib/b.py": b"b"}, "f" * 64, 0.0)
        rollback.put_back(folder, {"a.py": b"a", "lib/b.py": b"b"}, {"a.py": b"A", "lib/b.py": b"b"}, "f" * 64, 0.0)
    finally:
        os.umask(before)
    (backup,) = (folder / "backups").iterdir()
    for made in (folder, folder / "lib", folder / "backups", backup):
        assert made.stat().st_mode & 0o777 == 0o755, made
    assert (folder / "lib" / "b.py").stat().st_mode & 0o777 == 0o644


def test_nothing_is_written_through_a_link_that_leads_away(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "w", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    (folder / "lib").symlink_to(elsewhere)
    with pytest.raises(UsageError, match="outside"):
        rollback.put_back(folder, {}, {"lib/a.py": b"A"}, "f" * 64, 0.0)
    assert list(elsewhere.iterdir()) == []
