"""Finding and starting an engine, with small programs in the engine's place."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from core.errors import (
    DatabaseDamaged,
    EngineUnreachable,
    ProtocolMismatch,
    RondoError,
    WorkspaceLocked,
    WorkspaceMissing,
)
from core.link import start as start_module
from core.link.card import EngineCard, process_lives, process_started, read_card, remove_card, write_card
from core.link.client import RemoteEngine
from core.link.server import LinkServer
from core.link.start import connect, find_engine, stop_engine
from core.places import Workspace

Raised = Callable[[Awaitable[object]], Awaitable[RondoError]]
Until = Callable[..., Awaitable[None]]

PREAMBLE = """
import json, os, signal, sys, time
descriptor = int(sys.argv[sys.argv.index("--report") + 1])
def report(**words):
    line = json.dumps({"serving": False, "pid": os.getpid(), **words}, separators=(",", ":"))
    os.write(descriptor, line.encode() + b"\\n")
"""


@pytest.fixture
def engine_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Put a program in the engine's place; each start adds a line with its pid to the returned file."""
    starts = tmp_path / "starts"
    starts.touch()

    def replace(body: str) -> Path:
        program = tmp_path / "program.py"
        note = f"open({str(starts)!r}, 'a').write(f'{{os.getpid()}}\\n')\n"
        program.write_text(PREAMBLE + note + textwrap.dedent(body))
        monkeypatch.setattr(start_module, "engine_command", lambda workspace: [sys.executable, str(program)])
        return starts

    return replace


def card_of(workspace: Workspace, pid: int, started: int | None) -> EngineCard:
    return EngineCard(
        pid=pid,
        pid_started=started,
        started_at=time.time(),
        workspace=str(workspace.root),
        socket=str(workspace.socket),
        app_version="1.2",
        protocol=1,
        schema=1,
    )


@pytest.fixture
def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


async def test_what_keeps_an_engine_from_starting_reaches_the_caller_as_it_is(
    workspace: Workspace, engine_program: Any, raised: Raised
) -> None:
    engine_program(
        """
        print("a warning of some library", file=sys.stderr, flush=True)
        report(error={"type": "DatabaseDamaged", "message": "m", "cause": "c", "next_step": "n"})
        """
    )
    error = await raised(connect(workspace, kind="test", timeout=60))
    assert type(error) is DatabaseDamaged
    assert (error.message, error.cause, error.next_step, error.exit_code) == ("m", "c", "n", 5)


async def test_an_engine_that_breaks_before_it_can_report_is_explained_by_its_last_words(
    workspace: Workspace, engine_program: Any, raised: Raised
) -> None:
    engine_program("import a_module_that_is_not_there")
    error = await raised(connect(workspace, kind="test", timeout=60))
    assert isinstance(error, EngineUnreachable)
    assert error.cause == "ModuleNotFoundError: No module named 'a_module_that_is_not_there'"
    assert "Traceback" in error.details["output"]
    assert str(workspace.engine_log) in error.next_step


async def test_an_engine_that_dies_without_a_word_is_told(
    workspace: Workspace, engine_program: Any, raised: Raised
) -> None:
    engine_program("os.kill(os.getpid(), signal.SIGKILL)")
    assert isinstance(await raised(connect(workspace, kind="test", timeout=60)), EngineUnreachable)


async def test_an_engine_that_takes_too_long_is_left_to_go_on(
    workspace: Workspace, engine_program: Any, raised: Raised, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start_module, "START_SECONDS", 2.0)
    starts = engine_program("sys.stdin.close(); os.set_blocking(descriptor, True); time.sleep(60)")
    error = await raised(connect(workspace, kind="test", timeout=2))
    assert isinstance(error, EngineUnreachable)
    await until(lambda: starts.read_text())
    pid = int(starts.read_text())
    assert process_lives(pid, None)
    os.kill(pid, 9)
    await until(lambda: not process_lives(pid, None))


async def test_the_engine_is_started_in_a_session_of_its_own_away_from_this_folder_and_terminal(
    workspace: Workspace, engine_program: Any, raised: Raised, tmp_path: Path
) -> None:
    engine_program(
        """
        open_files = sorted(int(name) for name in os.listdir("/dev/fd") if os.path.exists(f"/dev/fd/{name}"))
        facts = [os.getsid(0) == os.getpid(), os.getcwd(), sys.stdin.read(), os.environ.get("RONDO_TEST_WORD"),
                 set(open_files) - {0, 1, 2, descriptor} == set()]
        report(error={"type": "RondoError", "message": json.dumps(facts)})
        """
    )
    os.environ["RONDO_TEST_WORD"] = "passed on"
    try:
        error = await raised(connect(workspace, kind="test", timeout=60))
    finally:
        del os.environ["RONDO_TEST_WORD"]
    assert error.message == '[true, "/", "", "passed on", true]'


async def test_where_no_python_is_left_the_message_says_so(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, raised: Raised, tmp_path: Path
) -> None:
    monkeypatch.setattr(start_module, "engine_command", lambda workspace: [str(tmp_path / "no-python")])
    error = await raised(connect(workspace, kind="test", timeout=60))
    assert isinstance(error, EngineUnreachable) and "No such file" in error.cause


async def test_a_folder_that_is_no_workspace_is_said_and_nothing_is_started(
    tmp_path: Path, engine_program: Any, raised: Raised
) -> None:
    starts = engine_program("")
    error = await raised(connect(Workspace.at(tmp_path / "nowhere"), kind="test", timeout=60))
    assert isinstance(error, WorkspaceMissing)
    assert "rondo init" in error.next_step
    assert starts.read_text() == ""


async def test_without_leave_to_start_nothing_is_started(
    workspace: Workspace, engine_program: Any, raised: Raised
) -> None:
    starts = engine_program("")
    error = await raised(connect(workspace, kind="test", start=False, timeout=60))
    assert isinstance(error, EngineUnreachable)
    assert "rondo engine start" in error.next_step
    assert starts.read_text() == ""
    assert await stop_engine(workspace) is False


async def test_a_loser_of_two_starts_uses_the_winners_engine(
    workspace: Workspace, engine_program: Any, double: Any, until: Until
) -> None:
    starts = engine_program(
        """
        report(error={"type": "WorkspaceLocked", "message": "m", "details": {"pid": 1, "holder": "engine"}})
        """
    )
    connecting = asyncio.ensure_future(connect(workspace, kind="test", timeout=60))
    await until(starts.read_text)
    server = LinkServer(double, workspace.socket)
    await server.start()
    async with await connecting as engine:
        assert (await engine.engine_status()).running
    await server.close()


async def test_a_program_that_runs_workflows_by_itself_is_named_at_once(
    workspace: Workspace, engine_program: Any, raised: Raised
) -> None:
    starts = engine_program(
        """
        report(error={"type": "WorkspaceLocked", "message": "m", "details": {"pid": 1, "holder": "library"}})
        """
    )
    error = await raised(connect(workspace, kind="test", timeout=60))
    assert isinstance(error, WorkspaceLocked)
    assert len(starts.read_text().splitlines()) == 1


async def test_a_lock_that_stays_taken_by_an_engine_that_never_listens_is_an_error_in_the_end(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, raised: Raised
) -> None:
    async def locked(*_: object) -> None:
        raise WorkspaceLocked("m", details={"pid": 1, "holder": "engine"})

    monkeypatch.setattr(start_module, "start_engine", locked)
    assert isinstance(await raised(connect(workspace, kind="test", timeout=0.5)), WorkspaceLocked)


async def test_a_stuck_engine_is_named_with_its_pid_and_what_to_do(workspace: Workspace, raised: Raised) -> None:
    workspace.runs_dir.mkdir()
    with socket.socket(socket.AF_UNIX) as stuck:
        stuck.bind(str(workspace.socket))
        stuck.listen()
        write_card(workspace.engine_card, card_of(workspace, os.getpid(), process_started(os.getpid())))
        error = await raised(connect(workspace, kind="test", timeout=1))
        assert isinstance(error, EngineUnreachable)
        assert str(os.getpid()) in error.message and f"kill -9 {os.getpid()}" in error.next_step
        error = await raised(stop_engine(workspace, timeout=1))
        assert isinstance(error, EngineUnreachable) and f"kill -9 {os.getpid()}" in error.next_step


async def test_an_engine_that_lives_but_does_not_listen_is_waited_for_and_then_named(
    workspace: Workspace, engine_program: Any, raised: Raised
) -> None:
    starts = engine_program("")
    workspace.runs_dir.mkdir()
    write_card(workspace.engine_card, card_of(workspace, os.getpid(), process_started(os.getpid())))
    for action in (connect(workspace, kind="test", timeout=1), stop_engine(workspace, timeout=1)):
        error = await raised(action)
        assert isinstance(error, EngineUnreachable) and str(os.getpid()) in error.message
    assert starts.read_text() == ""


async def test_a_mismatch_of_versions_is_told_by_connect(
    workspace: Workspace, server: LinkServer, monkeypatch: pytest.MonkeyPatch, raised: Raised, until: Until
) -> None:
    monkeypatch.setattr("core.link.client.PROTOCOL", 99)
    assert isinstance(await raised(connect(workspace, kind="test", timeout=60)), ProtocolMismatch)
    await until(lambda: server.clients == 0)
    assert await stop_engine(workspace)


async def test_what_is_left_of_a_dead_engine_is_no_engine(
    workspace: Workspace, engine_program: Any, dead_pid: int, raised: Raised
) -> None:
    workspace.runs_dir.mkdir()
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(workspace.socket))
    for card in (card_of(workspace, dead_pid, 1), card_of(workspace, os.getpid(), 1)):
        write_card(workspace.engine_card, card)
        assert not find_engine(workspace).running
        assert isinstance(await raised(connect(workspace, kind="test", start=False, timeout=60)), EngineUnreachable)
        assert await stop_engine(workspace) is False
    workspace.engine_card.write_text("{half a ca")
    assert not find_engine(workspace).running


async def test_the_running_engine_is_found_without_asking_it(workspace: Workspace) -> None:
    workspace.runs_dir.mkdir()
    card = card_of(workspace, os.getpid(), process_started(os.getpid()))
    write_card(workspace.engine_card, card)
    assert read_card(workspace.engine_card) == card
    status = find_engine(workspace)
    assert (status.running, status.pid, status.version) == (True, os.getpid(), "1.2")
    assert (status.started_at, status.socket) == (card.started_at, str(workspace.socket))
    assert os.listdir(workspace.runs_dir) == ["engine.json"]


def test_only_ones_own_card_is_removed(workspace: Workspace) -> None:
    workspace.runs_dir.mkdir()
    write_card(workspace.engine_card, card_of(workspace, 5, None))
    remove_card(workspace.engine_card, 6)
    assert workspace.engine_card.exists()
    remove_card(workspace.engine_card, 5)
    assert not workspace.engine_card.exists()


def test_a_process_that_ended_is_dead_even_before_it_is_reaped(until: Until) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = process_started(process.pid)
    assert process_lives(process.pid, started)
    assert not process_lives(process.pid, (started or 0) + 1)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not process_lives(process.pid, started)
    process.communicate()


async def test_a_workspace_with_a_long_path_has_its_socket_in_the_users_state_folder(
    tmp_path: Path, double: Any, own_user_folders: Path
) -> None:
    root = tmp_path / ("long" * 30)
    (root / "workflows").mkdir(parents=True)
    workspace = Workspace.at(root)
    assert workspace.socket.is_relative_to(own_user_folders / "state")
    server = LinkServer(double, workspace.socket)
    await server.start()
    async with await connect(workspace, kind="test", timeout=60) as engine:
        assert isinstance(engine, RemoteEngine) and engine.info is not None
    await server.close()
