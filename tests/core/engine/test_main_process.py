"""The life of real engine processes: started on demand, found again, killed, stopped, left alone."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pexpect
import pytest

from core.engine.lock import EngineLock
from core.errors import EngineUnreachable, RondoError, WorkspaceLocked
from core.link import start as start_module
from core.link.card import process_lives, read_card
from core.link.client import RemoteEngine
from core.link.start import connect, find_engine, stop_engine
from core.places import Workspace


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - it depends on another process
            await asyncio.sleep(0.02)


def engine_pids(workspace: Workspace) -> list[int]:
    """Every engine that ever owned the workspace, by its log."""
    if not workspace.engine_log.exists():
        return []
    lines = [json.loads(line) for line in workspace.engine_log.read_text().splitlines()]
    return [line["pid"] for line in lines if line["event"] == "the engine owns the workspace"]


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    (tmp_path / "w" / "workflows").mkdir(parents=True)
    workspace = Workspace.at(tmp_path / "w")
    yield workspace
    for pid in engine_pids(workspace):
        if process_lives(pid, None):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def engine_options(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Start engines with more options than clients give."""
    command = start_module.engine_command

    def add(*options: str) -> None:
        monkeypatch.setattr(start_module, "engine_command", lambda workspace: [*command(workspace), *options])

    return add


def start_by_hand(workspace: Workspace, report: int | None = None) -> subprocess.Popen[bytes]:
    command = start_module.engine_command(workspace)
    if report is None:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL)
    return subprocess.Popen([*command, "--report", str(report)], stdin=subprocess.DEVNULL, pass_fds=(report,))


async def pid_of(engine: RemoteEngine) -> int:
    pid = (await engine.engine_status()).pid
    assert pid is not None
    return pid


async def error_of(call: Awaitable[object]) -> RondoError:
    with pytest.raises(RondoError) as caught:
        await call
    return caught.value


# Start ---------------------------------------------------------------------------------------------------------------


async def test_the_first_client_starts_the_engine_and_the_next_finds_it(workspace: Workspace) -> None:
    first = await connect(workspace, kind="test", timeout=60)
    second = await connect(workspace, kind="test", start=False, timeout=60)
    async with first, second:
        pid = await pid_of(first)
        assert await pid_of(second) == pid
        assert (await second.engine_status()).clients == 2
        assert pid != os.getpid() and os.getsid(pid) == pid
    card = read_card(workspace.engine_card)
    assert card is not None and (card.pid, card.socket) == (pid, str(workspace.socket))
    assert find_engine(workspace).pid == pid
    async with await connect(workspace, kind="test", timeout=60) as third:
        assert await pid_of(third) == pid


async def test_what_the_engine_makes_is_open_to_its_owner_only(workspace: Workspace) -> None:
    async with await connect(workspace, kind="test", timeout=60):
        modes = {path.name: stat.S_IMODE(path.lstat().st_mode) for path in workspace.runs_dir.iterdir()}
        modes["."] = stat.S_IMODE(workspace.runs_dir.stat().st_mode)
    assert {"engine.lock", "engine.sock", "engine.json", "engine.log", "rondo.db", "."} <= set(modes)
    assert {name: mode for name, mode in modes.items() if mode & 0o077} == {}


@pytest.mark.parametrize("turn", range(5))
async def test_of_two_engines_started_at_once_one_owns_the_workspace_and_both_clients_use_it(
    workspace: Workspace, turn: int
) -> None:
    first, second = await asyncio.gather(
        connect(workspace, kind="test", timeout=60), connect(workspace, kind="test", timeout=60)
    )
    async with first, second:
        assert await pid_of(first) == await pid_of(second)
        assert engine_pids(workspace) == [await pid_of(first)]


async def test_an_engine_started_by_hand_against_a_running_one_leaves_it_alone(workspace: Workspace) -> None:
    async with await connect(workspace, kind="test", timeout=60) as engine:
        error = await error_of(start_module.start_engine(workspace, 60))
        assert isinstance(error, WorkspaceLocked) and str(await pid_of(engine)) in error.cause
        async with await connect(workspace, kind="test", start=False, timeout=60) as again:
            assert await pid_of(again) == await pid_of(engine)


async def test_the_lock_of_a_running_engine_cannot_be_taken(workspace: Workspace) -> None:
    async with await connect(workspace, kind="test", timeout=60):
        with pytest.raises(WorkspaceLocked):
            EngineLock(workspace.lock).acquire("library")


async def test_a_workspace_whose_path_is_long_works(tmp_path: Path, own_user_folders: Path) -> None:
    root = tmp_path / ("long" * 30)
    (root / "workflows").mkdir(parents=True)
    workspace = Workspace.at(root)
    assert workspace.socket.is_relative_to(own_user_folders)
    async with await connect(workspace, kind="test", timeout=60) as engine:
        assert (await engine.engine_status()).running
    assert await stop_engine(workspace, timeout=60)
    assert not workspace.socket.exists()


# End -----------------------------------------------------------------------------------------------------------------


async def test_a_stopped_engine_leaves_no_traces_but_its_lock_and_log(workspace: Workspace) -> None:
    async with await connect(workspace, kind="test", timeout=60) as engine:
        pid = await pid_of(engine)
    assert await stop_engine(workspace, timeout=60)
    assert not process_lives(pid, None)
    assert not find_engine(workspace).running
    names = {path.name for path in workspace.runs_dir.iterdir()}
    assert names.isdisjoint({"engine.json", "engine.sock"}) and {"engine.lock", "engine.log"} <= names
    lock = EngineLock(workspace.lock)
    lock.acquire("library")
    lock.release()
    assert await stop_engine(workspace) is False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_to_end_is_a_clean_end(workspace: Workspace, number: signal.Signals) -> None:
    process = start_by_hand(workspace)
    await until(lambda: workspace.engine_card.exists())
    async with await connect(workspace, kind="test", timeout=60) as engine:
        process.send_signal(number)
        assert process.wait(60) == 0
        assert isinstance(await error_of(engine.engine_status()), RondoError)
    assert not workspace.engine_card.exists() and not workspace.socket.exists()


async def test_whoever_calls_while_an_engine_ends_gets_the_next_one(workspace: Workspace) -> None:
    async with await connect(workspace, kind="test", timeout=60) as engine:
        old = await pid_of(engine)
        await engine.stop_engine()
        async with await connect(workspace, kind="test", timeout=60) as next_engine:
            assert await pid_of(next_engine) != old
    assert len(engine_pids(workspace)) == 2


async def test_after_kill_9_the_next_client_gets_a_new_engine(workspace: Workspace) -> None:
    async with await connect(workspace, kind="test", timeout=60) as engine:
        old = await pid_of(engine)
        os.kill(old, signal.SIGKILL)
        await until(lambda: not process_lives(old, None))
        assert isinstance(await error_of(engine.engine_status()), RondoError)
    assert workspace.socket.exists() and workspace.engine_card.exists()
    assert not find_engine(workspace).running
    async with await connect(workspace, kind="test", timeout=60) as engine:
        assert await pid_of(engine) != old


async def test_an_engine_that_is_held_is_named_and_serves_again_when_it_goes_on(workspace: Workspace) -> None:
    async with await connect(workspace, kind="test", timeout=60) as engine:
        pid = await pid_of(engine)
        os.kill(pid, signal.SIGSTOP)
        try:
            error = await error_of(connect(workspace, kind="test", timeout=1))
        finally:
            os.kill(pid, signal.SIGCONT)
        assert isinstance(error, EngineUnreachable)
        assert str(pid) in error.message and f"kill -CONT {pid}" in error.next_step
        assert await pid_of(engine) == pid


async def test_an_engine_that_nobody_needs_ends_and_one_with_a_client_stays(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RONDO_ENGINE_IDLE_SECONDS", "0.5")
    async with await connect(workspace, kind="test", timeout=60) as engine:
        pid = await pid_of(engine)
        beyond = time.monotonic() + 1.5
        while time.monotonic() < beyond:
            assert (await engine.engine_status()).pid == pid
            await asyncio.sleep(0.1)
    await until(lambda: not process_lives(pid, None))
    assert not workspace.engine_card.exists() and not workspace.socket.exists()


# What happens around it ----------------------------------------------------------------------------------------------

CLIENT_IN_A_TERMINAL = """
import asyncio, sys
from core.link.start import connect
from core.places import Workspace

async def main():
    async with await connect(Workspace.at(sys.argv[1]), kind="test", timeout=60) as engine:
        print("engine", (await engine.engine_status()).pid, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_the_engine_outlives_the_terminal_it_was_started_from(workspace: Workspace) -> None:
    terminal = pexpect.spawn(sys.executable, ["-c", CLIENT_IN_A_TERMINAL, str(workspace.root)], timeout=60)
    terminal.expect(r"engine (\d+)")
    pid = int(terminal.match.group(1))
    assert os.getsid(pid) != os.getsid(terminal.pid)
    # Its line is closed and nothing else is done to it, as where a connection is lost.
    terminal.ptyproc.fileobj.close()
    await until(lambda: not terminal.isalive())
    assert terminal.signalstatus == signal.SIGHUP
    async with await connect(workspace, kind="test", start=False, timeout=60) as engine:
        assert await pid_of(engine) == pid
        os.kill(pid, signal.SIGHUP)
        assert await pid_of(engine) == pid


async def test_a_deleted_socket_is_bound_again(workspace: Workspace, engine_options: Callable[..., None]) -> None:
    engine_options("--heartbeat", "0.05")
    async with await connect(workspace, kind="test", timeout=60) as engine:
        pid = await pid_of(engine)
        workspace.socket.unlink()
        async with await connect(workspace, kind="test", start=False, timeout=60) as again:
            assert await pid_of(again) == pid
        assert await pid_of(engine) == pid


@pytest.mark.parametrize(("name", "problem"), [("engine.lock", "WorkspaceLocked"), ("rondo.db", "DatabaseReplaced")])
async def test_when_lock_or_database_is_taken_away_the_engine_says_so(
    workspace: Workspace, engine_options: Callable[..., None], name: str, problem: str
) -> None:
    engine_options("--heartbeat", "0.05")
    async with await connect(workspace, kind="test", timeout=60) as engine:
        (workspace.runs_dir / name).rename(workspace.runs_dir / "aside")
        async with asyncio.timeout(60):
            while (status := await engine.engine_status()).trouble is None:  # noqa: ASYNC110 - no event is promised
                await asyncio.sleep(0.02)
        assert status.trouble.type == problem
        assert status.trouble.cause and status.trouble.next_step


async def test_an_engine_whose_starter_is_gone_serves_all_the_same(workspace: Workspace) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    start_by_hand(workspace, report=write_end)
    os.close(write_end)
    await until(lambda: workspace.engine_card.exists())
    async with await connect(workspace, kind="test", start=False, timeout=60) as engine:
        assert (await engine.engine_status()).running


async def test_a_large_log_is_put_aside_and_every_line_is_json(workspace: Workspace) -> None:
    workspace.runs_dir.mkdir()
    workspace.engine_log.write_bytes(b"x" * (6 * 1024 * 1024))
    async with await connect(workspace, kind="test", timeout=60) as engine:
        pid = await pid_of(engine)
    assert workspace.engine_log.with_name("engine.log.1").stat().st_size == 6 * 1024 * 1024
    assert engine_pids(workspace) == [pid]


async def test_no_code_of_a_workflow_is_imported_by_the_engine(workspace: Workspace, tmp_path: Path) -> None:
    folder = workspace.workflows_dir / "trap"
    folder.mkdir()
    mark = tmp_path / "executed"
    (folder / "nodes.py").write_text(f"open({str(mark)!r}, 'w')\n")
    (folder / "trap.json").write_text('{"name": "trap", "nodes": [{"id": "a", "class": "A"}], "edges": []}')
    async with await connect(workspace, kind="test", timeout=60) as engine:
        assert [row.name for row in await engine.list_workflows()] == ["trap"]
        assert (await engine.get_workflow("trap")).nodes[0].id == "a"
    assert not mark.exists()
