"""Find the engine of a workspace, start it where none runs, stop it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
from typing import Any

import msgspec

from core.errors import (
    EngineLost,
    EngineStopping,
    EngineUnreachable,
    EnvironmentProblem,
    RondoError,
    WorkspaceLocked,
    WorkspaceMissing,
)
from core.link.card import EngineCard, read_card
from core.link.client import RemoteEngine, client_info
from core.link.engine_types import EngineStatus
from core.places import SOCKET_PATH_MOST, Workspace
from core.read_only import is_read_only

LOOK_AGAIN_SECONDS = 0.05
"""How often a socket that is not there yet is tried."""
START_AGAIN_SECONDS = 0.5
START_SECONDS = 60.0
"""How long a new engine may take until it serves; one that fails says so at once."""
"""How long to wait before another start where one has just lost against another engine."""
REPORT_LIMIT = 256 * 1024
"""Most bytes that are read of what a starting engine says."""


REPORT_START = b'{"serving":'


class StartReport(msgspec.Struct, kw_only=True):
    """The one line a starting engine writes to the pipe it was given: it serves, or why it can't."""

    serving: bool
    pid: int
    error: dict[str, Any] | None = None

    def line(self) -> bytes:
        """The report as the line to write."""
        return msgspec.json.encode(self) + b"\n"


def find_engine(workspace: Workspace) -> EngineStatus:
    """What `engine.json` says of the workspace's engine: asks nobody and starts nothing; `runs` stays empty."""
    card = _living_card(workspace)
    if card is None:
        return EngineStatus(running=False, pid=None, workspace=str(workspace.root), version=None, runs={})
    return EngineStatus(
        running=True,
        pid=card.pid,
        workspace=card.workspace,
        version=card.app_version,
        runs={},
        started_at=card.started_at,
        socket=card.socket,
    )


async def connect(workspace: Workspace, *, kind: str, start: bool = True, timeout: float = 10.0) -> RemoteEngine:
    """Connect to the workspace's engine, and start it first where none runs.

    Raises EngineUnreachable where one that runs does not answer within `timeout` seconds, a new one does not serve
    within START_SECONDS, or none runs and `start` is False; ProtocolMismatch, WorkspaceMissing, and whatever keeps
    a new one from starting.
    """
    check_workspace(workspace)
    # An engine that starts takes up the runs that another one left.
    start = start and not is_read_only()
    now = asyncio.get_running_loop().time
    started_by = now() + (max(timeout, START_SECONDS) if start else timeout)
    start_after = now()
    there_by: float | None = None
    """When one that is there already, by its card or its lock, must have answered."""
    trouble = _nothing_runs(workspace)
    while True:
        engine = await _try_socket(workspace, kind, timeout)
        if engine is not None:
            return engine
        card = _living_card(workspace)
        if card is None:
            over = not start or now() >= (there_by or started_by)
        else:
            trouble = _does_not_listen(workspace, card)
            there_by = there_by or now() + timeout
            over = now() >= there_by
        if over:
            raise trouble
        if card is None and now() >= start_after:
            try:
                await start_engine(workspace, max(started_by - now(), LOOK_AGAIN_SECONDS))
            except WorkspaceLocked as error:
                # Another engine is between its lock and its card, or about to end. A program that runs workflows by
                # itself holds the lock too, and that one never listens.
                if (error.details or {}).get("holder") != "engine":
                    raise
                trouble = error
                there_by = there_by or now() + timeout
            start_after = now() + START_AGAIN_SECONDS
        else:
            await asyncio.sleep(LOOK_AGAIN_SECONDS)


async def start_engine(workspace: Workspace, timeout: float) -> None:
    """Start an engine process that outlives this one and return when it serves.

    Raises what the engine says keeps it from serving, EngineUnreachable where it says nothing.
    """
    process, read_end = _spawn(workspace)
    # Someone has to take note of its end, or it stays in the process table as long as this program lives.
    threading.Thread(target=process.wait, name="engine exit", daemon=True).start()
    report, said = await _read_report(read_end, timeout)
    if report is None:
        raise _no_report(workspace, process.pid, said)
    if report.error is not None:
        raise RondoError.from_dict(report.error)


async def stop_engine(workspace: Workspace, timeout: float = 30.0) -> bool:
    """Ask the engine to end at the next step boundaries and wait until it has; False where none was running.

    Works with an engine of another version. Raises EngineUnreachable where it has not ended after `timeout` seconds.
    """
    card = _living_card(workspace)
    try:
        engine = await RemoteEngine.open(workspace.socket)
    except OSError as error:
        if card is None:
            return False
        raise _does_not_listen(workspace, card) from error
    try:
        async with asyncio.timeout(timeout):
            # Lost: it ended faster than it answered.
            with contextlib.suppress(EngineLost):
                await engine.stop_engine()
            while card is not None and card.is_alive():  # noqa: ASYNC110 - another process's end is no event here
                await asyncio.sleep(LOOK_AGAIN_SECONDS)
    except TimeoutError as error:
        raise EngineUnreachable(
            f"The engine{_with_pid(card)} has not ended after {timeout:.0f} s.",
            cause="It waits for running steps to come to their end, or it is stuck.",
            next_step=f"Wait, or end it with `{_kill_line(card)}`: no step is lost, the next engine goes on.",
        ) from error
    finally:
        await engine.close()
    return True


def check_workspace(workspace: Workspace) -> None:
    """Raise WorkspaceMissing where the folder can't be a workspace."""
    if not workspace.exists():
        raise WorkspaceMissing(
            f"There is no workspace at {workspace.root}.",
            cause=f"It has no folder {workspace.workflows_dir}.",
            next_step="Name another folder with --workspace, or make one there with `rondo init`.",
        )
    _check_socket(workspace)


def _check_socket(workspace: Workspace) -> None:
    """Raise EnvironmentProblem where the system takes no socket at either of its places."""
    size = len(os.fsencode(workspace.socket))
    if size > SOCKET_PATH_MOST:
        raise EnvironmentProblem(
            f"The engine's socket can't be made: the path {workspace.socket} is too long.",
            cause=f"It has {size} bytes, and this system takes {SOCKET_PATH_MOST}; beside the runs it would be longer.",
            next_step="Set XDG_STATE_HOME to a folder with a shorter path, on this machine and not in a folder that is "
            "emptied at the last logout, or move the workspace to a shorter path.",
        )


def engine_command(workspace: Workspace) -> list[str]:
    """The command line of the workspace's engine; -P keeps folders that happen to be near out of its imports."""
    return [
        sys.executable,
        "-P",
        "-m",
        "core.engine.main",
        "--root",
        str(workspace.root),
        "--workflows",
        str(workspace.workflows_dir),
        "--runs",
        str(workspace.runs_dir),
    ]


async def _try_socket(workspace: Workspace, kind: str, timeout: float) -> RemoteEngine | None:
    """A greeted connection, or None where nothing listens (any more)."""
    engine: RemoteEngine | None = None
    greeted = False
    try:
        async with asyncio.timeout(max(timeout, LOOK_AGAIN_SECONDS)):
            engine = await RemoteEngine.open(workspace.socket)
            await engine.hello(client_info(kind))
            greeted = True
            return engine
    except PermissionError as error:
        raise EngineUnreachable(
            f"The engine's socket {workspace.socket} can't be used.",
            cause="It belongs to another user.",
            next_step="Work as the user who started the engine, or in a workspace of your own.",
        ) from error
    except TimeoutError as error:
        raise not_answering(workspace) from error
    except (EngineLost, EngineStopping, OSError):
        return None
    finally:
        if engine is not None and not greeted:
            await engine.close()


def _spawn(workspace: Workspace) -> tuple[subprocess.Popen[bytes], int]:
    """A new engine process in a session of its own, and the pipe on which it reports."""
    try:
        read_end, write_end = os.pipe()
    except OSError as error:
        raise _not_spawned(error) from error
    try:
        # Until the engine has its own log, what Python says about a broken start comes through the pipe as well.
        process = subprocess.Popen(
            [*engine_command(workspace), "--report", str(write_end)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=write_end,
            pass_fds=(write_end,),
            start_new_session=True,
            cwd="/",
        )
    except OSError as error:
        os.close(read_end)
        raise _not_spawned(error) from error
    finally:
        os.close(write_end)
    return process, read_end


async def _read_report(read_end: int, timeout: float) -> tuple[StartReport | None, str]:
    """The starting engine's report, or None where it ended or the time passed without one; and all else it said."""
    reader = asyncio.StreamReader()
    pipe = os.fdopen(read_end, "rb", buffering=0)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    said = b""
    try:
        async with asyncio.timeout(timeout):
            while part := await reader.read(REPORT_LIMIT):
                said = (said + part)[-REPORT_LIMIT:]
                for line in said.splitlines(keepends=True):
                    if line.startswith(REPORT_START) and line.endswith(b"\n"):
                        return msgspec.json.decode(line, type=StartReport), ""
    except TimeoutError:
        raise EngineUnreachable(
            f"The engine has not started within {timeout:.0f} s.",
            cause="It is still reading the workspace's database, or the machine is very busy.",
            next_step="Try again in a moment; it goes on starting.",
        ) from None
    finally:
        transport.close()
    return None, said.decode(errors="replace")


def _not_spawned(error: OSError) -> RondoError:
    return EngineUnreachable(
        "The engine's process could not be started.",
        cause=f"{error.strerror} ({sys.executable})",
        next_step="Check that this Python is still there and that the system takes new processes and open files.",
    )


def _no_report(workspace: Workspace, pid: int, said: str) -> RondoError:
    lines = [line for line in said.splitlines() if line.strip()]
    return EngineUnreachable(
        "The engine ended before it could start.",
        cause=lines[-1].strip() if lines else f"Its process {pid} said nothing.",
        next_step=f"Look at the end of {workspace.engine_log}, and at what `rondo doctor` says.",
        details={"output": said} if said else None,
    )


def _living_card(workspace: Workspace) -> EngineCard | None:
    card = read_card(workspace.engine_card)
    return card if card is not None and card.is_alive() else None


def _nothing_runs(workspace: Workspace) -> RondoError:
    return EngineUnreachable(
        f"No engine runs for {workspace.root}.",
        cause=f"Nobody listens at {workspace.socket}.",
        next_step="Read-only starts none. Start it in another terminal: rondo engine start"
        if is_read_only()
        else "Start it with `rondo engine start`; `rondo run` starts it by itself.",
    )


def _does_not_listen(workspace: Workspace, card: EngineCard | None) -> RondoError:
    return EngineUnreachable(
        f"The engine{_with_pid(card)} does not listen.",
        cause=f"It is still starting or just ending, or its socket {workspace.socket} was removed.",
        next_step=f"Try again in a few seconds. If it stays so, end it with `{_kill_line(card)}`; no step is lost.",
    )


def not_answering(workspace: Workspace) -> RondoError:
    """The error for an engine whose process is there and says nothing."""
    card = _living_card(workspace)
    return EngineUnreachable(
        f"The engine{_with_pid(card)} does not answer.",
        cause="Its process is stopped or stuck: the connection stands, but nobody reads it.",
        next_step=f"Let it go on with `kill -CONT {_pid(card)}`, or end it with `{_kill_line(card)}`: no step is lost, "
        "the next engine goes on.",
    )


def _pid(card: EngineCard | None) -> str:
    return str(card.pid) if card is not None else "PID"


def _with_pid(card: EngineCard | None) -> str:
    return f" (process {card.pid})" if card is not None else ""


def _kill_line(card: EngineCard | None) -> str:
    return f"kill -9 {_pid(card)}"
