"""What keeps an engine from starting, told to the client that wanted it; nothing is lost by it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.engine.lock import EngineLock
from core.errors import (
    DatabaseBusy,
    DatabaseDamaged,
    DatabaseProblem,
    EnvironmentProblem,
    FolderReadOnly,
    RondoError,
    SchemaTooNew,
    WorkspaceLocked,
    WorkspaceMissing,
)
from core.link import start as start_module
from core.link.start import connect, find_engine, stop_engine
from core.places import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "w" / "workflows").mkdir(parents=True)
    return Workspace.at(tmp_path / "w")


@pytest.fixture
async def used(workspace: Workspace) -> Workspace:
    """A workspace whose database is there and whose engine has ended."""
    async with await connect(workspace, kind="test", timeout=60):
        pass
    assert await stop_engine(workspace, timeout=60)
    return workspace


async def refusal(workspace: Workspace) -> RondoError:
    """Why no engine starts; checks what every refusal must have and leave behind."""
    with pytest.raises(RondoError) as caught:
        async with await connect(workspace, kind="test", timeout=60):
            pass
    error = caught.value
    assert error.exit_code == 5
    assert error.message and error.cause and error.next_step
    assert not find_engine(workspace).running
    assert not workspace.engine_card.exists()
    assert not workspace.socket.exists()
    return error


async def test_a_damaged_database_is_named_and_left_as_it_is(used: Workspace) -> None:
    content = b"not a database at all" * 500
    used.database.write_bytes(content)
    assert isinstance(await refusal(used), DatabaseDamaged)
    assert used.database.read_bytes() == content


async def test_a_database_of_a_newer_rondo_is_named_and_left_as_it_is(used: Workspace) -> None:
    with sqlite3.connect(used.database) as database:
        database.execute("PRAGMA user_version = 999")
    database.close()
    error = await refusal(used)
    assert isinstance(error, SchemaTooNew) and "999" in error.message + error.cause
    with sqlite3.connect(used.database) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (999,)
    database.close()


async def test_a_database_that_another_program_holds_is_named(used: Workspace) -> None:
    holder = sqlite3.connect(used.database, isolation_level=None)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    try:
        assert isinstance(await refusal(used), DatabaseBusy)
    finally:
        holder.close()
    async with await connect(used, kind="test", timeout=60) as engine:
        assert (await engine.engine_status()).running
    await stop_engine(used, timeout=60)


async def test_a_database_that_is_a_folder_is_named(workspace: Workspace) -> None:
    workspace.database.mkdir(parents=True)
    assert isinstance(await refusal(workspace), DatabaseProblem)


async def test_a_file_in_the_place_of_the_runs_folder_is_named(workspace: Workspace) -> None:
    workspace.runs_dir.write_text("")
    error = await refusal(workspace)
    assert isinstance(error, EnvironmentProblem) and str(workspace.runs_dir) in error.message


async def test_a_program_that_runs_workflows_by_itself_is_named_with_its_pid(workspace: Workspace) -> None:
    workspace.runs_dir.mkdir()
    lock = EngineLock(workspace.lock)
    lock.acquire("library")
    try:
        error = await refusal(workspace)
    finally:
        lock.release()
    assert isinstance(error, WorkspaceLocked) and str(os.getpid()) in error.cause


async def test_a_missing_workspace_is_named_by_the_engine_too(tmp_path: Path) -> None:
    nowhere = Workspace.at(tmp_path / "nowhere")
    with pytest.raises(WorkspaceMissing):
        await start_module.start_engine(nowhere, 60)
    assert not nowhere.root.exists()


@pytest.fixture
def read_only(workspace: Workspace, tmp_path: Path) -> Iterator[Workspace]:
    """A workspace whose runs folder can't be written by the user the engine runs as."""
    workspace.runs_dir.mkdir()
    workspace.runs_dir.chmod(0o555)
    yield workspace
    workspace.runs_dir.chmod(0o755)


async def test_a_read_only_folder_is_named(read_only: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() == 0:
        # To root no folder is read-only, so the engine gives that right up before it begins.
        drop = "import ctypes, os, sys; ctypes.CDLL(None).prctl(24, 1, 0, 0, 0); os.execv(sys.argv[1], sys.argv[1:])"
        command = start_module.engine_command
        monkeypatch.setattr(
            start_module, "engine_command", lambda workspace: [sys.executable, "-c", drop, *command(workspace)]
        )
    assert isinstance(await refusal(read_only), FolderReadOnly)


def test_the_exit_status_says_what_kind_of_error_it_was(tmp_path: Path) -> None:
    command = start_module.engine_command(Workspace.at(tmp_path / "nowhere"))
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    assert done.returncode == WorkspaceMissing.exit_code
    assert b"There is no workspace" in done.stdout + done.stderr
