"""Hot reload: a saved change is seen by itself, and a broken file takes nothing away."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from workbench import LIMIT_SECONDS, Workbench

from core.link.event_types import Event, WorkflowChanged

GOOD = "from core.sdk import Node\nclass Work(Node):\n    pass\n"


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    bench = Workbench(tmp_path)
    bench.write("work", "class Work(Node):\n    pass\n")
    return bench


def save(path: Path, text: str) -> None:
    """Put a file in place at once, so that nobody reads half of it."""
    fresh = path.with_name(f".{path.name}")
    fresh.write_text(text)
    fresh.replace(path)


async def next_change(events: object) -> WorkflowChanged:
    async with asyncio.timeout(LIMIT_SECONDS):
        async for batch in events:  # type: ignore[attr-defined]
            event: Event
            for event in batch:
                if isinstance(event, WorkflowChanged):
                    return event
    raise AssertionError("the events ended")


async def test_a_saved_change_is_seen_without_being_asked_for(bench: Workbench) -> None:
    nodes = bench.workspace.workflows_dir / "work" / "nodes.py"
    async with bench.running() as engine:
        (before,) = await engine.list_workflows()
        events = engine.events()
        save(nodes, GOOD + "    added = 1\n")
        change = await next_change(events)
        assert (change.name, change.errors) == ("work", 0)
        (after,) = await engine.list_workflows()
        assert after.version == change.version != before.version


async def test_a_broken_save_shows_its_finding_and_keeps_the_last_good_version(bench: Workbench) -> None:
    nodes = bench.workspace.workflows_dir / "work" / "nodes.py"
    async with bench.running() as engine:
        (before,) = await engine.list_workflows()
        events = engine.events()
        save(nodes, "class Work(:\n")
        change = await next_change(events)
        assert change.errors == 1
        (row,) = await engine.list_workflows()
        (finding,) = [finding for finding in row.findings if finding.severity == "error"]
        assert (finding.file, finding.line) == ("nodes.py", 1)
        assert row.last_good == before.version
        save(nodes, GOOD)
        assert not (await next_change(events)).errors


async def test_a_new_and_a_removed_folder_appear_and_go(bench: Workbench) -> None:
    async with bench.running() as engine:
        await engine.list_workflows()
        events = engine.events()
        folder = bench.write("later", "class Later(Node):\n    pass\n")
        while (change := await next_change(events)).errors:
            pass
        assert change.name == "later"
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
        while (change := await next_change(events)).version is not None:
            pass
        assert [row.name for row in await engine.list_workflows()] == ["work"]


async def test_what_belongs_to_no_version_wakes_nobody(bench: Workbench) -> None:
    folder = bench.workspace.workflows_dir / "work"
    async with bench.running() as engine:
        await engine.list_workflows()
        events = engine.events()
        for name in ("output", "backups", "__pycache__"):
            (folder / name).mkdir()
            (folder / name / "file.py").write_text("x")
        (folder / ".hidden").write_text("x")
        save(folder / "nodes.py", GOOD + "    last = 1\n")
        change = await next_change(events)
        assert change.version == (await engine.get_workflow("work")).version


async def test_a_workspace_whose_folder_comes_later_is_picked_up(tmp_path: Path) -> None:
    bench = Workbench(tmp_path)
    bench.workspace.workflows_dir.rmdir()
    async with bench.running() as engine:
        events = engine.events()
        bench.workspace.workflows_dir.mkdir()
        bench.write("work", "class Work(Node):\n    pass\n")
        await next_change(events)
        assert [row.name for row in await engine.list_workflows()] == ["work"]
