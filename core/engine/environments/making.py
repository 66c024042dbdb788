"""Environments for the runs of one engine: taken from the cache, or made once for everybody who waits."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import structlog

from core.engine.environments.cache import Environment, EnvironmentCache, Held, Need
from core.engine.environments.trouble import environment_problem
from core.errors import EngineStopping, PackagesProblem, RondoError
from core.runner import entry, environment
from core.runner.builder import LISTS
from core.runner.process_tree import kill_tree

Say = Callable[[str], None]
Problem = Callable[[str, "int | None", Sequence[str]], PackagesProblem]
"""Names what could not be made, and has the builder's exit code and lines."""

LINES_KEPT = 2_000
"""Lines of the installer that are kept of one making; the first of more are forgotten."""
TRIES = 3
"""How often an environment is made for one run that is gone again before it can be used."""
END_SECONDS = 5.0
"""How long a builder that is not wanted any more may take to tidy up."""

_FOR_BUILDING = frozenset({"CC", "CXX", "CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS", "PKG_CONFIG_PATH", "NETRC"})
_NOT_FOR_PIP = frozenset({"PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_REQUIREMENT", "PIP_DRY_RUN"})
_SET_FOR_PIP = {
    "PIP_USER": "0",
    "PIP_NO_INPUT": "1",
    "PIP_NO_COLOR": "1",
    "PIP_PROGRESS_BAR": "off",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
}

log = structlog.get_logger()


class Making:
    """One environment in the making; `first` numbers the first line that is still kept, from 0."""

    def __init__(self, need: Need, workflow: str) -> None:
        self.need = need
        self.workflow = workflow
        self.lines: list[str] = []
        self.first = 0
        self.task: asyncio.Task[None] | None = None
        self.wanted = 0
        """How many wait for it; when nobody does any more, it is given up."""
        self._listeners: set[Say] = set()

    def listen(self, say: Say) -> None:
        """Hand every further line to `say`."""
        self._listeners.add(say)

    def unlisten(self, say: Say) -> None:
        """Hand it no more."""
        self._listeners.discard(say)

    def add(self, line: str) -> None:
        """Take a line of the installer."""
        self.lines.append(line)
        if len(self.lines) > LINES_KEPT:
            del self.lines[: LINES_KEPT // 2]
            self.first += LINES_KEPT // 2
        for say in list(self._listeners):
            say(line)


class Environments:
    """The way to environments for everything in one engine; at most one making a content at a time."""

    def __init__(
        self, changed: Callable[[str], None], cache: EnvironmentCache | None = None, problem: Problem | None = None
    ) -> None:
        """`changed` hears the key of a content whose environment began to be made, came, went, or said something.

        `problem` finds words for a making that failed.
        """
        self.cache = cache if cache is not None else EnvironmentCache()
        self._problem_of = problem if problem is not None else environment_problem
        self._changed = changed
        self._makings: dict[str, Making] = {}
        self._problems: dict[str, RondoError] = {}
        self._closed = False

    def making(self, key: str) -> Making | None:
        """What is being made of that content now."""
        return self._makings.get(key)

    def problem(self, key: str) -> RondoError | None:
        """Why the last try to make it failed, where no later one succeeded."""
        return self._problems.get(key)

    @property
    def busy(self) -> bool:
        """True while something is being made."""
        return bool(self._makings)

    async def hold(self, need: Need, workflow: str, say: Say) -> Held:
        """The environment of a content in use; it is made where it is not there, and `say` hears how that goes.

        Raises PackagesProblem. Where everybody who waits is cancelled, the making ends and leaves nothing.
        """
        for _ in range(TRIES):
            held = await self._hold(need.key)
            if held is not None:
                return held
            await self.make(need, workflow, say)
        raise PackagesProblem(
            f"The environment of {workflow} goes away as soon as it is made.",
            cause=f"Something removes it from {self.cache.folder}, or changes what is there.",
            next_step=f"Find out what cleans that folder, then: rondo env {workflow}",
        )

    async def make(
        self,
        need: Need,
        workflow: str,
        say: Say,
        *,
        again: bool = False,
        begun: Callable[[Making], None] = lambda making: None,
    ) -> None:
        """Make the environment, or wait for the making that goes on, which `begun` gets. Raises PackagesProblem."""
        if self._closed:
            raise EngineStopping("The engine is stopping.", next_step="Try again in a moment.")
        making = self._makings.get(need.key)
        if making is None:
            making = self._begin(need, workflow, again)
            say(f"Environment {need.key[:12]} for {', '.join(need.lines)}")
        else:
            say(f"Environment {need.key[:12]} is already being made, for {making.workflow}")
        assert making.task is not None
        begun(making)
        making.listen(say)
        making.wanted += 1
        try:
            # Several wait for one: a cancelled one must not take it from the others.
            await asyncio.shield(making.task)
        finally:
            making.unlisten(say)
            making.wanted -= 1
            if not making.wanted:
                _give_up(making.task)

    async def _hold(self, key: str) -> Held | None:
        """The same as the cache's, and nothing stays held where the caller is cancelled meanwhile."""
        holding = asyncio.ensure_future(asyncio.to_thread(self.cache.hold, key))
        try:
            return await asyncio.shield(holding)
        except asyncio.CancelledError:
            holding.add_done_callback(_release)
            raise

    async def close(self) -> None:
        """Give up what is being made."""
        self._closed = True
        tasks = [making.task for making in self._makings.values() if making.task is not None]
        for task in tasks:
            _give_up(task)
        if tasks:
            await asyncio.wait(tasks)

    def _begin(self, need: Need, workflow: str, again: bool) -> Making:
        making = Making(need, workflow)
        self._makings[need.key] = making
        making.task = asyncio.create_task(self._make(making, again), name=f"environment {need.key[:8]}")
        making.task.add_done_callback(lambda task: self._ended(making, task))
        making.listen(lambda _: self._changed(need.key))
        self._changed(need.key)
        return making

    def _ended(self, making: Making, task: asyncio.Task[None]) -> None:
        key = making.need.key
        self._makings.pop(key, None)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, RondoError):
            self._problems[key] = error
        elif not task.cancelled():
            self._problems.pop(key, None)
        self._changed(key)

    async def _make(self, making: Making, again: bool) -> None:
        need = making.need
        name = f"{secrets.token_hex(4)}"
        place = self.cache.place(need.key)
        job = {
            "place": str(place),
            "name": name,
            "directory": need.directory,
            "lists": dict(need.lists),
            "again": again,
            "card": {"lines": list(need.lines), "python_version": sys.version.split()[0]},
        }
        try:
            program = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", entry.__file__, "--build"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=_builder_environment(),
                start_new_session=True,
            )
        except OSError as error:
            raise PackagesProblem(
                f"The environment of {making.workflow} could not be made.",
                cause=f"No process can be started: {error.strerror}.",
                next_step="End other programs, then try again.",
            ) from error
        log.info("an environment is being made", workflow=making.workflow, key=need.key)
        try:
            await self._listen(program, job, making)
        except asyncio.CancelledError:
            await _end(program)
            log.info("an environment was given up", workflow=making.workflow, key=need.key)
            raise
        if program.returncode != 0:
            raise self._problem_of(making.workflow, program.returncode, making.lines)
        log.info("an environment was made", workflow=making.workflow, key=need.key)

    async def _listen(self, program: asyncio.subprocess.Process, job: dict[str, Any], making: Making) -> None:
        """Give the builder its job and pass on what is printed, until it has ended."""
        assert program.stdin is not None and program.stdout is not None
        program.stdin.write(json.dumps(job).encode() + b"\n")
        # pip names the list it reads by its whole path, which tells nobody anything.
        lists = f"{Path(job['place']) / job['name'] / LISTS}/"
        rest = b""
        while data := await program.stdout.read(65_536):
            *lines, rest = (rest + data).replace(b"\r", b"\n").split(b"\n")
            for line in lines:
                if line.strip():
                    making.add(line.decode("utf-8", "replace").rstrip().replace(lists, ""))
        await program.wait()


def _give_up(task: asyncio.Task[None]) -> None:
    """Cancel a making, once: a second time would keep it from tidying up."""
    if not task.done() and not task.cancelling():
        task.cancel()


def _release(holding: asyncio.Future[Held | None]) -> None:
    if not holding.cancelled() and holding.exception() is None and (held := holding.result()) is not None:
        held.release()


async def _end(program: asyncio.subprocess.Process) -> None:
    """Have a builder take away what it made and end; it does so when its stdin closes."""
    assert program.stdin is not None
    program.stdin.close()
    try:
        await asyncio.wait_for(program.wait(), END_SECONDS)
    except TimeoutError:
        await asyncio.to_thread(kill_tree, program.pid)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(program.wait(), END_SECONDS)


def _builder_environment() -> dict[str, str]:
    """The allowed variables, the user's own settings of pip, and what makes pip fit to be read along."""
    kept = environment.reduced(os.environ)
    for name in [name for name in kept if name.startswith("PYTHON")]:
        del kept[name]
    for name, value in os.environ.items():
        if (name.startswith("PIP_") and name not in _NOT_FOR_PIP) or name in _FOR_BUILDING:
            kept[name] = value
    return {**kept, **_SET_FOR_PIP}


def run_variables(found: Environment) -> dict[str, str]:
    """The variables that let programs of an environment be found by the code that runs in it."""
    folder = str(found.folder)
    path = os.environ.get("PATH", os.defpath)
    return {"VIRTUAL_ENV": folder, "PATH": f"{Path(folder) / 'bin'}{os.pathsep}{path}"}
