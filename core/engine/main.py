"""The engine's process: `python -m core.engine.main --root R --workflows W --runs S`.

It owns the workspace while it holds the lock, serves clients until someone stops it or nobody needs it, and imports all
of Rondo's own modules at its start, so that an update of the installed files can't mix two versions in one process.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import faulthandler
import importlib
import os
import pkgutil
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

import structlog

from core.crash_points import crash_point
from core.engine.engine import Engine
from core.engine.heartbeat import HEARTBEAT_SECONDS, Heartbeat, WatchedEngine
from core.engine.lock import EngineLock
from core.engine.process_log import open_process_log
from core.engine.processes import ProcessPool
from core.engine.runs_folder import explain, prepare_runs_folder
from core.errors import EnvironmentProblem, RondoError
from core.link.api import EngineApi
from core.link.card import EngineCard, process_started, remove_card, write_card
from core.link.engine_types import PROTOCOL
from core.link.server import LinkServer
from core.link.start import StartReport, check_workspace
from core.places import Workspace
from core.settings import LiveSettings, Settings
from core.store.schema import SCHEMA_VERSION
from core.version import VERSION

log = structlog.get_logger()

IDLE_LOOK_SECONDS = 5.0
PACKAGES = (
    "core.assistant",
    "core.definition",
    "core.engine",
    "core.flow",
    "core.link",
    "core.runner",
    "core.sdk",
    "core.store",
    "core.tools.secrets",
)


class ServedEngine(EngineApi, WatchedEngine, Protocol):
    """What this process needs of the engine it serves."""

    stop_requested: asyncio.Event

    @property
    def busy(self) -> bool: ...
    async def start(self) -> None: ...
    async def close(self) -> None: ...


class StartReporter:
    """Tells whoever started this process, once, whether it serves."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor
        if descriptor is not None:
            os.set_inheritable(descriptor, False)

    def serving(self) -> None:
        """The engine serves."""
        self._write(StartReport(serving=True, pid=os.getpid()))

    def failed(self, error: RondoError) -> None:
        """The engine can't serve, and why."""
        self._write(StartReport(serving=False, pid=os.getpid(), error=error.to_dict()))

    def _write(self, report: StartReport) -> None:
        if self._descriptor is None:
            return
        # Whoever started it may have gone; the engine serves the others.
        with contextlib.suppress(BrokenPipeError):
            os.write(self._descriptor, report.line())
        os.close(self._descriptor)
        self._descriptor = None


def make_engine(workspace: Workspace, umask: int) -> ServedEngine:
    """The engine to serve; `umask` is what the files get that nodes write."""
    return Engine(workspace, pool=ProcessPool(umask=umask))


def main(
    arguments: Sequence[str] | None = None, make_engine: Callable[[Workspace, int], ServedEngine] = make_engine
) -> int:
    """Run an engine to its end; returns the exit status, 0 or that of the error that kept it from serving."""
    options = _parse(arguments)
    # Rondo's own files are the user's alone; what nodes write is as the user's umask says.
    umask = os.umask(0o077)
    # A handler that does nothing and not SIG_IGN, which run processes would inherit.
    signal.signal(signal.SIGHUP, lambda _number, _frame: None)
    # The writer's thread needs the interpreter for moments at a time; Python's 5 ms would let a busy loop starve it.
    sys.setswitchinterval(0.0002)
    reporter = StartReporter(options.report)
    workspace = Workspace.at(options.root, workflows_dir=options.workflows, runs_dir=options.runs)
    lock = EngineLock(workspace.lock)
    try:
        check_workspace(workspace)
        prepare_runs_folder(workspace.runs_dir)
        lock.acquire("engine")
        crash_point("engine.start.locked")
        try:
            open_process_log(workspace.engine_log)
        except OSError as error:
            raise explain(error, workspace.engine_log) from error
        import_own_modules()
        faulthandler.enable()
        asyncio.run(_serve(workspace, lock, lambda place: make_engine(place, umask), reporter, options.heartbeat))
        return 0
    except RondoError as error:
        log.error("the engine could not start", **error.to_dict())
        reporter.failed(error)
        return error.exit_code
    except Exception as error:
        # Whoever started this must hear why there is no engine.
        log.exception("the engine failed")
        reporter.failed(
            EnvironmentProblem(
                "The engine failed while it started.",
                cause=f"{type(error).__name__}: {error}",
                next_step=f"The traceback is in {workspace.engine_log}; please report it.",
            )
        )
        return EnvironmentProblem.exit_code
    finally:
        lock.release()


def import_own_modules() -> None:
    """Import every module an engine may need, now."""
    for package in PACKAGES:
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            if module.name != "core.engine.main" and not module.name.endswith(".__main__"):
                importlib.import_module(module.name)


def idle_seconds(settings: Settings) -> float:
    """How long an engine that nobody needs stays; RONDO_ENGINE_IDLE_SECONDS goes over the setting."""
    try:
        return float(os.environ["RONDO_ENGINE_IDLE_SECONDS"])
    except (KeyError, ValueError):
        return settings.engine.idle_minutes * 60


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m core.engine.main", description="The engine of one workspace.")
    parser.add_argument("--root", required=True, help="the workspace")
    parser.add_argument("--workflows", required=True, help="its folder of workflows")
    parser.add_argument("--runs", required=True, help="its folder for the database, the lock and the socket")
    parser.add_argument("--report", type=int, help="file descriptor for one line: whether the engine serves")
    parser.add_argument("--heartbeat", type=float, default=HEARTBEAT_SECONDS, help="seconds between looks at its files")
    return parser.parse_args(arguments)


async def _serve(
    workspace: Workspace,
    lock: EngineLock,
    make_engine: Callable[[Workspace], ServedEngine],
    reporter: StartReporter,
    heartbeat_seconds: float,
) -> None:
    signalled = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, signalled.set)
    engine = make_engine(workspace)
    server = LinkServer(engine, workspace.socket)
    try:
        _take_place(workspace, server)
        crash_point("engine.start.bound")
        await engine.start()
        try:
            await server.start()
            crash_point("engine.start.listening")
            reporter.serving()
            crash_point("engine.start.serving")
            heartbeat = Heartbeat(engine, server, lock, interval=heartbeat_seconds)
            await _first_of(
                signalled.wait(),
                engine.stop_requested.wait(),
                _wait_until_idle(engine, server, LiveSettings(workspace)),
                heartbeat.run(),
            )
        finally:
            server.stop_accepting()
            await engine.close()
    finally:
        await server.close()
        remove_card(workspace.engine_card, os.getpid())
        log.info("the engine ended")


def _take_place(workspace: Workspace, server: LinkServer) -> None:
    """Take the socket's path and put the card beside it, so that clients know whom to wait for."""
    try:
        server.bind()
    except OSError as error:
        raise explain(error, workspace.socket) from error
    card = EngineCard(
        pid=os.getpid(),
        pid_started=process_started(os.getpid()),
        started_at=time.time(),
        workspace=str(workspace.root),
        socket=str(workspace.socket),
        app_version=VERSION,
        protocol=PROTOCOL,
        schema=SCHEMA_VERSION,
    )
    try:
        write_card(workspace.engine_card, card)
    except OSError as error:
        raise explain(error, workspace.engine_card) from error
    log.info("the engine owns the workspace", pid=os.getpid(), root=str(workspace.root), socket=str(workspace.socket))


async def _first_of(*waits: Coroutine[Any, Any, object]) -> None:
    """Return when the first of them does, and give the others up; an error in one is raised."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _wait_until_idle(engine: ServedEngine, server: LinkServer, settings: LiveSettings) -> None:
    """Return when for the whole idle time there was no client and nothing to do."""
    quiet_since = time.monotonic()
    while True:
        limit = idle_seconds(settings.now)
        await asyncio.sleep(min(limit / 4, IDLE_LOOK_SECONDS))
        now = time.monotonic()
        if server.clients or engine.busy:
            quiet_since = now
        elif now - max(quiet_since, server.last_client_left) >= limit:
            log.info("nobody needs the engine: it ends", idle_seconds=limit)
            return


if __name__ == "__main__":
    sys.exit(main())
