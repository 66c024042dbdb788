"""Export and import: what leaves comes back equal, nothing damaged comes in, nothing imported runs by itself."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sqlite3
import uuid
from pathlib import Path
from typing import Any

import pytest
from workbench import Workbench

from core.definition.version import version_hash
from core.engine.inline import InlinePool
from core.errors import NotApproved, RunAtRest, TransferProblem, UsageError
from core.link.commands import Fork, Retry, Rewind
from core.link.retention_types import ImportedRun, Prune
from core.link.types import StartRun

SOURCE = """
import os

class Make(Node):
    def prepare(self, shared, _):
        shared["large"] = "large " * 100_000
        shared["list"] = [1, {"a": "ü\\n\\u2028"}]

class Grow(Node):
    def prepare(self, shared, _):
        print("a line of its log")
        shared["list"].append({"n": len(shared["list"])})
        if "n" not in shared:
            shared["n"] = 0

    def execute(self, _):
        if not os.path.exists(os.path.join(self.output_dir, "tried")):
            open(os.path.join(self.output_dir, "tried"), "w").close()
            raise ValueError("once")

    def cleanup(self, shared, prep_result, exec_result):
        shared["n"] += 1

class Ask(Node):
    async def prepare(self, shared, request_input):
        shared["answer"] = await request_input(prompt="Which?", request_id="which")

class End(Node):
    def prepare(self, shared, _):
        shared["done"] = True
"""
NODES = [
    {"id": "make", "class": "Make"},
    {"id": "grow", "class": "Grow", "retry": {"attempts": 2, "wait": 0}},
    {"id": "ask", "class": "Ask"},
    {"id": "end", "class": "End"},
]
FAILS = "class Fail(Node):\n    def execute(self, _):\n        raise ValueError()\n"
EDGES = [("make", "grow"), ("grow", "grow", "shared['n'] < 3"), ("grow", "ask"), ("ask", "end")]


def two(tmp_path: Path) -> tuple[Workbench, Workbench]:
    """Two workspaces; the first has a workflow."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    one, other = Workbench(tmp_path / "one"), Workbench(tmp_path / "two")
    one.write("talk", SOURCE, edges=EDGES, start="make", nodes=NODES)
    return one, other


def command_id() -> str:
    return uuid.uuid4().hex


async def export(bench: Workbench, run_id: str, target: Path) -> dict[str, Any]:
    exported = await bench.engine.export_run(command_id(), run_id)
    return moved(exported.path, target)


def moved(source: str, target: Path) -> dict[str, Any]:
    os.rename(source, target)
    document: dict[str, Any] = json.loads(target.read_text())
    return document


async def take_in(bench: Workbench, path: Path) -> ImportedRun:
    return await bench.engine.import_run(command_id(), str(path))


async def states(bench: Workbench, run_id: str) -> list[list[Any]]:
    """The state at every step of every line."""
    found = []
    for line in await bench.engine.list_lines(run_id):
        found.append([await bench.state(run_id, seq, line.line) for seq in range(line.step + 1)])
    return found


def comparable(document: dict[str, Any]) -> dict[str, Any]:
    """A document without what an import changes."""
    document.pop("exported_at")
    document["run"].pop("id")
    document["run"].pop("source")
    return document


async def rich_run(bench: Workbench) -> str:
    """A fork with a rewound line, failed attempts, answers, logs and large values."""
    first = await bench.run("talk", {}, answers=[("which", "a")])
    assert first.status == "completed", first.error
    fork = await bench.engine.fork_run(Fork(command_id=command_id(), run_id=first.run_id, step=3))
    fork = await bench.until(fork.run_id, lambda view: view.status == "waiting_input")
    await bench.answer(fork.run_id, "which", "b")
    await bench.rest(fork.run_id)
    rewound = await bench.engine.rewind_run(Rewind(command_id=command_id(), run_id=fork.run_id, step=2))
    await bench.until(rewound.run_id, lambda view: view.status == "waiting_input")
    await bench.answer(fork.run_id, "which", "c")
    assert (await bench.rest(fork.run_id)).status == "completed"
    return fork.run_id


async def test_an_exported_run_comes_back_equal_in_another_workspace(tmp_path: Path) -> None:
    one, other = two(tmp_path)
    file, again = tmp_path / "run.json", tmp_path / "again.json"
    async with one.running(pool=InlinePool()):
        run_id = await rich_run(one)
        document = await export(one, run_id, file)
        before = await states(one, run_id)
        log = await one.log(run_id)
    assert document["attempts"] and document["logs"] and len(document["lines"]) == 2
    async with other.running(pool=InlinePool()):
        done = await take_in(other, file)
        assert (done.run_id, done.original_id, done.status, done.lines) == (run_id, run_id, "completed", 2)
        assert await states(other, run_id) == before
        assert await other.log(run_id) == log
        assert comparable(await export(other, run_id, again)) == comparable(document)
        second = await take_in(other, again)
        assert second.run_id != run_id and second.original_id == run_id
        assert await states(other, second.run_id) == before
        assert comparable(await export(other, second.run_id, tmp_path / "third.json")) == comparable(
            json.loads(file.read_text())
        )
        assert not other.workspace.workflows_dir.joinpath("talk").exists()
        # What other runs share stays when one of them goes.
        await other.engine.prune(Prune(command_id=command_id(), keep=1))
        assert await states(other, second.run_id) == before


async def test_a_dag_comes_back_with_what_its_nodes_changed_themselves(tmp_path: Path) -> None:
    one, other = two(tmp_path)
    one.write(
        "joins",
        """
        class Find(Node):
            def cleanup(self, shared, prepared, result):
                shared["found"] = [self.id]
        """,
        mode="dag",
        reducers={"found": "append"},
        nodes=[{"id": "a", "class": "Find"}, {"id": "b", "class": "Find"}],
    )
    async with one.running(pool=InlinePool()) as engine:
        run = await one.run("joins")
        path = (await engine.export_run(uuid.uuid4().hex, run.run_id)).path
    text = await asyncio.to_thread(Path(path).read_bytes)
    assert any(step["own"] for step in json.loads(text)["steps"])
    async with other.running(pool=InlinePool()) as engine:
        imported = await engine.import_run(uuid.uuid4().hex, path)

        assert (await other.state(imported.run_id))["found"] == ["a", "b"]


async def test_a_run_that_was_not_done_is_cancelled_and_says_that_it_was_imported(tmp_path: Path) -> None:
    one, other = two(tmp_path)
    async with one.running(pool=InlinePool()):
        run = await one.start("talk")
        await one.until(run.run_id, lambda view: view.status == "waiting_input")
        await export(one, run.run_id, tmp_path / "run.json")
    async with other.running(pool=InlinePool()):
        done = await take_in(other, tmp_path / "run.json")
        assert (done.status, done.original_status) == ("cancelled", "waiting_input")
        view = await other.engine.get_run(done.run_id)
        assert view.error is not None and view.error.type == "Imported" and "waiting_input" in view.error.message
        assert await other.engine.list_requests() == [] and view.open_requests == []
        with pytest.raises(RunAtRest):
            await other.answer(done.run_id, "which", "a")


async def test_imported_code_runs_only_once_it_is_approved(tmp_path: Path) -> None:
    one, other = two(tmp_path)
    mark = tmp_path / "executed"
    code = (
        f"open({str(mark)!r}, 'w').close()\n\nclass Fail(Node):\n    def execute(self, _):\n        raise ValueError\n"
    )
    one.write("mean", code, start="fail")
    async with one.running(pool=InlinePool()):
        run = await one.run("mean")
        assert run.status == "failed"
        await export(one, run.run_id, tmp_path / "run.json")
    mark.unlink()
    # Even where all that is written in the workspace may run.
    async with other.running(consent=False) as engine:
        await engine.trust_workspace()
        done = await take_in(other, tmp_path / "run.json")
        versions = await engine.list_versions("mean")
        assert [(row.hash, row.approved) for row in versions if row.kept] == [(done.version, False)]
        with pytest.raises(NotApproved, match="imported"):
            await engine.retry_run(Retry(command_id=command_id(), run_id=done.run_id, same_version=True))
        with pytest.raises(NotApproved):
            rewind = Rewind(command_id=command_id(), run_id=done.run_id, step=0, same_version=True)
            await engine.rewind_run(rewind)
        with pytest.raises(NotApproved):
            await engine.start_run(StartRun(command_id=command_id(), workflow="mean", version=done.version))
        assert (await engine.get_run(done.run_id)).status == "failed"
        assert not mark.exists()
        # A person who makes it the folder's own has seen it.
        await engine.rollback(command_id(), "mean", done.version, version_hash({}))
        await engine.retry_run(Retry(command_id=command_id(), run_id=done.run_id, same_version=True))
        await other.rest(done.run_id)
        assert mark.exists()


def change(document: dict[str, Any], *path: Any, value: Any) -> None:
    for part in path[:-1]:
        document = document[part]
    document[path[-1]] = value


DAMAGES: list[tuple[tuple[Any, ...], Any, str]] = [
    (("format",), "other", "not an exported run"),
    (("format_version",), 99, "newer Rondo"),
    (("run", "id"), "../../etc", "no id of a run"),
    (("run", "workflow"), "../up", "no name of a workflow"),
    (("run", "status"), "fine", "no status"),
    (("run", "line"), 7, "present line"),
    (("versions", 0, "files", 0, "text"), "import os", "hash"),
    (("versions", 0, "files", 0, "path"), "../../evil.py", "leaves the workflow"),
    (("versions", 0, "hash"), hashlib.sha256(b"").hexdigest(), "hash"),
    (("lines", 0, "version"), "unknown", "not known here"),
    (("steps", 1, "seq"), 5, "follows step 0"),
    (("steps", 1, "line"), 9, "no line 9"),
    (("steps", 1, "delta"), [["append", ["nowhere"], [1]]], "can't be applied"),
    (("steps", 1, "delta"), {"a": 1}, "can't be applied"),
    (("steps", 1, "values"), [], "can't be applied"),
    (("steps", 1, "visit"), "one", "Expected `int`"),
    (("requests", 0, "status"), "maybe", "no status of a request"),
    (("steps",), [], "no steps"),
]


async def test_nothing_of_a_damaged_or_foreign_file_comes_in(tmp_path: Path) -> None:
    one, other = two(tmp_path)
    file = tmp_path / "run.json"
    async with one.running(pool=InlinePool()):
        run = await one.run("talk", {}, answers=[("which", "a")])
        await export(one, run.run_id, file)
    good = file.read_bytes()
    async with other.running(pool=InlinePool()) as engine:
        for path, value, words in DAMAGES:
            document = json.loads(good)
            change(document, *path, value=value)
            file.write_text(json.dumps(document))
            with pytest.raises(TransferProblem) as caught:
                await take_in(other, file)
            assert words in f"{caught.value.message} {caught.value.cause}", (path, caught.value.cause)
        lines = good.splitlines(keepends=True)
        for kept in (1, 2, 5, len(lines) - 1):
            file.write_bytes(b"".join(lines[:kept]))
            with pytest.raises(TransferProblem):
                await take_in(other, file)
        for text in (b"", b"SQLite format 3\x00", b"{}", b"[" * 100_000, good[: len(good) // 2], good + b"more\n"):
            file.write_bytes(text)
            with pytest.raises(TransferProblem):
                await take_in(other, file)
        for missing in (tmp_path / "nothing.json", tmp_path):
            with pytest.raises(UsageError):
                await take_in(other, missing)
        connection = sqlite3.connect(other.workspace.database)
        for table in ("runs", "steps", "blobs", "versions", "pruning"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table
        connection.close()
        # Laid out by another program it is the same document.
        file.write_text(json.dumps(json.loads(good), indent=4))
        assert (await take_in(other, file)).run_id == run.run_id
        assert len(await engine.list_lines(run.run_id)) == 1


async def test_an_import_that_fails_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = two(tmp_path)
    file = tmp_path / "run.json"
    async with one.running(pool=InlinePool()):
        run = await one.run("talk", {}, answers=[("which", "a")])
        await export(one, run.run_id, file)
    async with other.running(pool=InlinePool()) as engine:

        def fail(*_: Any) -> Any:
            raise OSError("as if the disk failed")

        with monkeypatch.context() as patch:
            patch.setattr("core.engine.importing.Import.finish", fail)
            with pytest.raises(OSError, match="as if"):
                await take_in(other, file)
        await engine._retention.wait_for_clearing()
        connection = sqlite3.connect(other.workspace.database)
        for table in ("runs", "steps", "logs", "blobs", "pruning"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table
        connection.close()
        assert (await take_in(other, file)).run_id == run.run_id
