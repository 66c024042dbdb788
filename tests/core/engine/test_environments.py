"""Workflows with packages of their own: installed once, shared, and never half."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tiny_wheel import requirements, write_wheel
from workbench import Workbench

from core.engine.inline import InlinePool
from core.errors import NotApproved, UsageError
from core.link.types import FINAL
from core.places import cache_folder
from core.runner.process_tree import children_of, kill_tree

BUILD_LIMIT_SECONDS = 120.0

USES = """
import sys

class Use(Node):
    def prepare(self, shared, _):
        import tinything
        try:
            import orjson
            shared["orjson"] = True
        except ImportError:
            shared["orjson"] = False
        shared["word"] = tinything.WORD
        shared["python"] = sys.prefix
        shared["numbers"] = [1, 2.5, "ü", None, {"deep": [True]}]

class Then(Node):
    def prepare(self, shared, _):
        import shutil
        shared["program"] = shutil.which("tinything")
        shared["numbers"].append(2)
"""


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path / "place")


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    write_wheel(tmp_path / "wheels")
    return tmp_path / "wheels"


@pytest.fixture
async def engine(bench: Workbench) -> AsyncIterator[None]:
    async with bench.running():
        yield


def folders() -> list[Path]:
    """Every environment in the cache, also those in the making."""
    return sorted(entry for entry in cache_folder().glob("environments/*/*") if entry.is_dir())


async def ended(bench: Workbench, run_id: str):
    return await bench.until(run_id, lambda view: view.status in FINAL, seconds=BUILD_LIMIT_SECONDS)


async def test_a_run_has_the_packages_that_its_workflow_asks_for(bench: Workbench, wheels: Path, engine: None) -> None:
    text = requirements(wheels, "tinything")
    for name in ("first", "second"):
        (bench.write(name, USES, edges=[("use", "then")]) / "requirements.txt").write_text(text)
    started = [await bench.start(name) for name in ("first", "second")]
    views = [await ended(bench, view.run_id) for view in started]
    assert [view.status for view in views] == ["completed", "completed"], views[0].error
    assert len(folders()) == 1, "two workflows with equal content share what was made once"
    state = await bench.state(views[0].run_id)
    assert (state["word"], state["orjson"], state["python"]) == ("installed", False, str(folders()[0]))
    assert state["numbers"] == [1, 2.5, "ü", None, {"deep": [True]}, 2]
    assert state["program"] == str(folders()[0] / "bin" / "tinything")
    log = await bench.log(views[0].run_id)
    assert any(line.startswith("Environment ") and "--no-index" in line for line in log)
    assert any("Successfully installed tinything-1.0" in line for line in log)


@pytest.mark.long
async def test_a_package_that_is_nowhere_fails_the_run_and_leaves_nothing(
    bench: Workbench, wheels: Path, engine: None
) -> None:
    (bench.write("w", USES) / "requirements.txt").write_text(requirements(wheels, "tinything", "nowhere-to-be-found"))
    view = await ended(bench, (await bench.start("w")).run_id)
    assert view.status == "failed"
    assert view.error is not None
    assert view.error.type == "PackagesProblem"
    assert "pip finds no package nowhere-to-be-found" in view.error.cause
    assert "rondo env w" in view.error.next_step
    assert folders() == []
    shown = await bench.engine.get_environment("w")
    assert (shown.state, shown.problem and shown.problem.message) == ("failed", view.error.message)


async def test_a_cancel_ends_the_making_and_leaves_nothing(bench: Workbench, wheels: Path, engine: None) -> None:
    (bench.write("w", USES) / "requirements.txt").write_text(requirements(wheels, "tinything"))
    view = await bench.start("w")
    await bench.until(view.run_id, lambda view: bool(folders()), seconds=BUILD_LIMIT_SECONDS)
    view = await bench.engine.cancel_run(uuid.uuid4().hex, view.run_id)
    assert view.status == "cancelled"
    async with asyncio.timeout(BUILD_LIMIT_SECONDS):
        while bench.engine._environments.busy:  # noqa: ASYNC110 - its end is no event
            await asyncio.sleep(0.02)
    assert folders() == []
    assert not [pid for pid in children_of(os.getpid()) if b"--build" in words(pid)]


@pytest.mark.long
async def test_what_goes_on_is_told_while_a_run_waits_for_its_packages(
    bench: Workbench, wheels: Path, engine: None
) -> None:
    write_wheel(wheels, "slowthing")
    (bench.write("w", USES) / "requirements.txt").write_text(requirements(wheels, "slowthing"))
    (bench.write("other", USES) / "requirements.txt").write_text(requirements(wheels, "slowthing"))
    first = await bench.start("w")
    view = await bench.until(first.run_id, lambda view: view.activity != "" or view.status in FINAL, seconds=60)
    assert (view.status, view.activity) == ("queued", "making the environment")
    # The others are not held up by it, and who shares it may leave.
    second = await bench.start("other")
    await bench.until(second.run_id, lambda view: view.activity != "" or view.status in FINAL, seconds=60)
    await bench.engine.cancel_run(uuid.uuid4().hex, first.run_id)
    view = await ended(bench, second.run_id)
    assert view.error is not None
    assert view.error.type == "ModuleNotFoundError", "the environment was made for the one that stayed"
    assert "Add the line tinything to the workflow's requirements.txt" in view.error.next_step
    assert view.activity == ""


@pytest.mark.long
async def test_an_environment_is_shown_made_again_and_removed(bench: Workbench, wheels: Path, engine: None) -> None:
    (bench.write("w", USES) / "requirements.txt").write_text(requirements(wheels, "tinything  # the newest"))
    bench.write("plain", USES)
    assert (await bench.engine.get_environment("plain")).state == "none"
    with pytest.raises(UsageError, match="asks for no packages"):
        await bench.engine.make_environment(uuid.uuid4().hex, "plain")
    assert (await bench.engine.get_environment("w")).state == "missing"
    command = uuid.uuid4().hex
    assert (await bench.engine.make_environment(command, "w")).state == "making"
    view = await made(bench)
    assert [(package.name, package.version) for package in view.packages] == [("tinything", "1.0")]
    assert view.path == str(folders()[0])
    assert view.requirements == ["--no-index", f"--find-links {wheels}", "tinything"]
    assert view.size is not None
    assert view.size > 100_000
    # A command that comes again makes nothing again.
    assert (await bench.engine.make_environment(command, "w", again=True)).path == view.path
    assert [entry.workflows for entry in await bench.engine.list_environments()] == [["w"]]
    write_wheel(wheels, version="2.0")
    await bench.engine.make_environment(uuid.uuid4().hex, "w", again=True)
    again = await made(bench)
    assert again.path != view.path
    assert [package.version for package in again.packages] == ["2.0"]
    assert [str(folder) for folder in folders()] == [again.path], "the one before is gone"
    assert await bench.engine.prune_environments(1) == []
    # One in use stays, however old it is.
    card = Path(again.path or "").parent / "card.json"
    held = bench.engine._environments.cache.hold(again.key or "")
    assert held is not None
    os.utime(card, (0, 0))
    assert await bench.engine.prune_environments(1) == []
    held.release()
    os.utime(card, (0, 0))
    assert [gone.key for gone in await bench.engine.prune_environments(1)] == [again.key]
    assert folders() == []
    assert list(cache_folder().glob("environments/*")) == []


async def test_unused_environments_go_when_an_engine_starts(bench: Workbench, wheels: Path) -> None:
    place = cache_folder() / "environments" / "old"
    (place / "abc" / "bin").mkdir(parents=True)
    (place / "abc" / "bin" / "python").symlink_to(sys.executable)
    card = {"folder": "abc", "lines": ["x"], "packages": [], "python_version": "3", "size": 1, "created_at": 1}
    (place / "card.json").write_text(json.dumps(card))
    (place / "half-made").mkdir()
    async with bench.running():
        await asyncio.wait([bench.engine._packages._pruning])
        assert [folder.name for folder in folders()] == ["abc"], "what is half-made is of no use"
    os.utime(place / "card.json", (0, 0))
    async with bench.running():
        await asyncio.wait([bench.engine._packages._pruning])
    assert not place.exists()


async def test_nothing_is_installed_for_a_version_nobody_approved(bench: Workbench, wheels: Path) -> None:
    (bench.write("w", USES) / "requirements.txt").write_text(requirements(wheels, "tinything"))
    async with bench.running(consent=False):
        assert "tinything" in (await bench.engine.approval("w")).requirements
        for act in (lambda: bench.engine.make_environment(uuid.uuid4().hex, "w"), lambda: bench.start("w")):
            with pytest.raises(NotApproved) as caught:
                await act()
            assert "tinything" in caught.value.cause
    assert folders() == []


async def test_a_program_keeps_its_own_packages_and_says_what_is_missing(bench: Workbench, wheels: Path) -> None:
    (bench.write("w", USES) / "requirements.txt").write_text(requirements(wheels, "tinything"))
    async with bench.running(pool=InlinePool()):
        view = await bench.run("w")
    assert view.error is not None
    assert view.error.type == "ModuleNotFoundError"
    assert f"{sys.executable} -m pip install tinything" in view.error.next_step
    assert "requirements.txt is not installed there" in view.error.cause
    assert folders() == []


@pytest.mark.long
async def test_a_builder_that_is_killed_fails_the_run_and_the_next_one_makes_it(
    bench: Workbench, wheels: Path, engine: None
) -> None:
    (bench.write("w", USES) / "requirements.txt").write_text(requirements(wheels, "tinything"))
    view = await bench.start("w")
    await bench.until(view.run_id, lambda view: bool(folders()), seconds=BUILD_LIMIT_SECONDS)
    (builder,) = [pid for pid in children_of(os.getpid()) if b"--build" in words(pid)]
    kill_tree(builder)
    view = await ended(bench, view.run_id)
    assert view.error is not None
    assert view.error.type == "PackagesProblem"
    assert "ended from outside" in view.error.cause
    view = await ended(bench, (await bench.start("w")).run_id)
    assert view.status == "completed"
    assert len(folders()) == 1, "what the killed one left is gone"
    assert not [pid for pid in children_of(os.getpid()) if b"--build" in words(pid)]


def words(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


async def made(bench: Workbench, name: str = "w"):
    """Wait until nothing is being made for the workflow any more."""
    events = bench.engine.events()
    async with asyncio.timeout(BUILD_LIMIT_SECONDS):
        while (view := await bench.engine.get_environment(name)).state == "making":
            await anext(events)
    assert view.state == "ready", view.problem
    return view
