"""The process in which the package runs: started with the first errand, ended when it is not needed, and with Rondo."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from core.errors import RondoError, ToolProblem, ToolProviderMissing, ToolRefused, ToolReplyProblem, ToolUnreachable
from core.runner.process_tree import kill_tree
from core.tools import guard
from core.tools.composio_core import worker
from core.tools.composio_core.bridge import Bridge, Errand
from core.tools.http import lost
from core.tools.making import GONE

TITLE = "composio-core"
INSTALL = "rondo tools install composio-core"
START_SECONDS = 60.0
OWN_SECONDS = 60.0
"""What the package itself may take for an errand, beside the calls that it makes."""
IDLE_SECONDS = 600.0
END_SECONDS = 5.0
WORDS = 600
"""Characters of what the process wrote last that an error shows."""
FRAME_LIMIT = guard.LINE_LIMIT + 1024
_KEPT = ("PATH", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")


class Held(Protocol):
    """The environment with the package, which nobody removes until it is released."""

    @property
    def python(self) -> Path:
        """Its interpreter."""
        ...

    def release(self) -> None:
        """Let it go."""
        ...


class Installation(Protocol):
    """Where the package is installed. Every method may block: call it in a thread."""

    def installed(self) -> bool:
        """True where it is there."""
        ...

    def hold(self) -> Held | None:
        """Take it into use; None where it is not there."""
        ...


class Nowhere:
    """An installation that is not there."""

    def installed(self) -> bool:
        return False

    def hold(self) -> Held | None:
        return None


@dataclass(slots=True)
class _Open:
    """An errand that the process has not done yet."""

    errand: Errand
    come: asyncio.Future[Any]
    items: list[Any] = field(default_factory=list)
    requests: set[asyncio.Task[None]] = field(default_factory=set)


class _Life:
    """One process from its start to its end; another one follows it where it is needed again."""

    def __init__(self, process: asyncio.subprocess.Process, held: Held, folder: str, bridge: Bridge) -> None:
        self._process = process
        self._held = held
        self._folder = folder
        self._bridge = bridge
        self._open: dict[int, _Open] = {}
        self._requests: set[asyncio.Task[None]] = set()
        self._words = b""
        self._why = ""
        self.usable = True
        """False once it is ending: what it is asked then goes to the next one."""
        loop = asyncio.get_running_loop()
        self.hello: asyncio.Future[dict[str, Any]] = loop.create_future()
        self._reading = asyncio.create_task(self._read(), name="composio-core says")
        self._listening = asyncio.create_task(self._listen(), name="composio-core complains")
        self.over = asyncio.create_task(self._live(), name="composio-core")

    @property
    def busy(self) -> bool:
        """True while errands are under way."""
        return bool(self._open)

    async def do(self, number: int, what: str, arguments: Mapping[str, Any], errand: Errand) -> Any:
        """Have an errand done; raises what the package says, and what the end of the process means."""
        entry = self._open[number] = _Open(errand, asyncio.get_running_loop().create_future())
        try:
            self._send({"errand": number, "do": what, "args": dict(arguments)})
            return await entry.come
        finally:
            self._open.pop(number, None)
            for task in entry.requests:
                task.cancel()

    def last_words(self) -> str:
        """What it wrote to its standard error last, as a part of a sentence."""
        text = self._words.decode("utf-8", "replace").strip()[-WORDS:]
        return f" It wrote: {text}" if text else ""

    async def end(self, why: str = "", *, kill: bool = False) -> None:
        """End it with all that it started; errands under way fail, and `why` is told to those who wait."""
        self.usable = False
        self._why = self._why or why
        if kill:
            await asyncio.to_thread(kill_tree, self._process.pid)
        elif self._process.stdin is not None:
            self._process.stdin.close()
        done, _ = await asyncio.wait([self.over], timeout=END_SECONDS)
        if not done:
            await asyncio.to_thread(kill_tree, self._process.pid)
            await asyncio.wait([self.over])

    # Frames -------------------------------------------------------------------------------------------------------

    def _send(self, frame: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        # A pipe that is closed shows in the reading end, which knows why.
        with contextlib.suppress(OSError, RuntimeError):
            self._process.stdin.write(json.dumps(frame).encode() + b"\n")

    async def _read(self) -> None:
        assert self._process.stdout is not None
        try:
            while line := await self._process.stdout.readline():
                self._take(json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError):
            self._why = self._why or "It sent something that is no frame."

    def _take(self, frame: dict[str, Any]) -> None:
        if "hello" in frame:
            if not self.hello.done():
                self.hello.set_result(frame["hello"])
            return
        entry = self._open.get(frame["errand"])
        if "request" in frame:
            self._begin(entry, frame)
        elif entry is None or entry.come.done():
            return  # Nobody waits for it any more.
        elif "items" in frame:
            entry.items += frame["items"]
        elif "error" in frame:
            entry.come.set_exception(_told(frame["error"], entry.errand))
        else:
            value = frame["value"]
            entry.come.set_result([*entry.items, *value] if isinstance(value, list) else value)

    def _begin(self, entry: _Open | None, frame: dict[str, Any]) -> None:
        task = asyncio.create_task(self._answer(entry, frame), name="composio-core asks")
        # The set that holds it outlives the errand: a cancelled one still has to be answered.
        self._requests.add(task)
        task.add_done_callback(self._requests.discard)
        if entry is not None:
            entry.requests.add(task)
            task.add_done_callback(entry.requests.discard)

    async def _answer(self, entry: _Open | None, frame: dict[str, Any]) -> None:
        status, body = 503, {"message": "nobody waits for it"}
        try:
            if entry is not None:
                status, body = await self._bridge.answer(
                    entry.errand, frame["method"], frame["path"], frame["query"], frame["body"]
                )
        finally:
            self._send({"answer": frame["request"], "status": status, "body": body})

    # Its end ------------------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        assert self._process.stderr is not None
        while data := await self._process.stderr.read(4096):
            self._words = (self._words + data)[-4 * WORDS :]

    async def _live(self) -> None:
        """Wait for the end, whatever brings it, then tidy up."""
        try:
            await self._reading
            self.usable = False
            if self._process.stdin is not None:
                self._process.stdin.close()
            try:
                await asyncio.wait_for(self._process.wait(), END_SECONDS)
            except TimeoutError:
                await asyncio.to_thread(kill_tree, self._process.pid)
                await self._process.wait()
            await asyncio.wait([self._listening], timeout=END_SECONDS)
        finally:
            self._listening.cancel()
            for task in list(self._requests):
                task.cancel()
            for entry in list(self._open.values()):
                if not entry.come.done():
                    entry.come.set_exception(self._ended(entry.errand))
            if not self.hello.done():
                self.hello.set_result({"error": "It ended before it said hello."})
            self._held.release()
            await asyncio.to_thread(shutil.rmtree, self._folder, True)

    def _ended(self, errand: Errand) -> ToolProblem:
        if errand.problem is not None:
            return errand.problem
        code = self._process.returncode
        why = self._why or (f"It was killed by signal {-code}." if code is not None and code < 0 else f"Status {code}.")
        if errand.acted:
            problem = lost(TITLE, "ended before it answered", errand.effects)
            problem.cause = f"{problem.cause} {why}{self.last_words()}"
            return problem
        return ToolUnreachable(
            f"{TITLE} ended before it answered.",
            cause=f"{why} Nothing was done.{self.last_words()}",
            next_step="Try again; it is started anew.",
        )


class CoreProcess:
    """The package at work. Errands go to a process that is started where none runs."""

    def __init__(
        self,
        installation: Installation,
        bridge: Bridge,
        *,
        start_seconds: float = START_SECONDS,
        own_seconds: float = OWN_SECONDS,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self._installation = installation
        self._bridge = bridge
        self._start_seconds = start_seconds
        self._own_seconds = own_seconds
        self._idle_seconds = idle_seconds
        self._life: _Life | None = None
        self._starting = asyncio.Lock()
        self._numbers = itertools.count(1)
        self._idle: asyncio.TimerHandle | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self.version = ""
        """Of the package, once it has said hello."""

    async def require(self) -> None:
        """Raise ToolProviderMissing where the package is not installed."""
        if not await asyncio.to_thread(self._installation.installed):
            raise not_installed()

    async def ask(self, what: str, arguments: Mapping[str, Any], errand: Errand | None = None) -> Any:
        """Have the package do something; raises the ToolProblem family. Cancelling it ends it at once."""
        errand = errand if errand is not None else Errand()
        life = await self._ready()
        self._wake()
        try:
            async with asyncio.timeout(errand.seconds + self._own_seconds):
                return await life.do(next(self._numbers), what, arguments, errand)
        except TimeoutError:
            # Whatever keeps the package busy does not end by itself.
            await life.end("It was ended, because something took too long in it.", kill=True)
            raise self._too_long(errand) from None
        finally:
            self._rest()

    async def start(self) -> str:
        """Start it where it does not run; returns the version of the package."""
        await self._ready()
        self._rest()
        return self.version

    async def close(self) -> None:
        """End it; an errand after that starts another."""
        self._wake()
        async with self._starting:
            life, self._life = self._life, None
            if life is not None:
                await life.end("Rondo ended it.")
        if self._ending:
            await asyncio.wait(self._ending)

    async def _ready(self) -> _Life:
        async with self._starting:
            if self._life is not None and self._life.usable:
                return self._life
            if self._life is not None:
                await asyncio.wait([self._life.over])
            life = await self._begin()
            try:
                async with asyncio.timeout(self._start_seconds):
                    hello = await asyncio.shield(life.hello)
            except BaseException as error:
                # It may hang in its first import: nothing is worth waiting for.
                await life.end(kill=True)
                if isinstance(error, TimeoutError):
                    raise _not_started(f"It did not say hello within {self._start_seconds:g} s.") from None
                raise
            if "error" in hello:
                await life.end(kill=True)
                raise _not_started(f"{hello['error']}{life.last_words()}")
            self.version = str(hello.get("version", ""))
            self._life = life
            return life

    async def _begin(self) -> _Life:
        held = await asyncio.to_thread(self._installation.hold)
        if held is None:
            raise not_installed()
        folder = await asyncio.to_thread(tempfile.mkdtemp, "", "rondo-composio-core-")
        command = [sys.executable, "-I", guard.__file__, str(held.python), "-I", worker.__file__]
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                cwd=folder,
                env=_variables(folder),
                limit=FRAME_LIMIT,
                start_new_session=True,
            )
        except BaseException as error:
            held.release()
            await asyncio.to_thread(shutil.rmtree, folder, True)
            if isinstance(error, OSError):
                raise _not_started(f"No process can be started: {error.strerror}.") from error
            raise
        return _Life(process, held, folder, self._bridge)

    def _too_long(self, errand: Errand) -> ToolProblem:
        if errand.problem is not None:
            return errand.problem
        seconds = errand.seconds + self._own_seconds
        if errand.acted:
            return lost(TITLE, f"did not come to an end within {seconds:g} s and was ended", errand.effects)
        return ToolUnreachable(
            f"{TITLE} did not come to an end within {seconds:g} s and was ended.",
            cause="The package itself hangs. Nothing was done.",
            next_step="Try again; it is started anew.",
        )

    def _wake(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _rest(self) -> None:
        """End it after a while in which nobody needs it: it takes some memory."""
        self._wake()
        self._idle = asyncio.get_running_loop().call_later(self._idle_seconds, self._end_idle)

    def _end_idle(self) -> None:
        life = self._life
        if life is not None and not life.busy and not self._starting.locked():
            self._life = None
            task = asyncio.create_task(life.end())
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)


def not_installed() -> ToolProviderMissing:
    """The error for a package that is not there."""
    return ToolProviderMissing(
        "composio-core is not installed.",
        cause=f"It can't share an environment with Rondo, so it is installed apart, when somebody wants it. {GONE}",
        next_step=f"Install it: {INSTALL}. Or name the provider composio, which needs nothing more.",
        details={"install": TITLE},
    )


def _not_started(cause: str) -> ToolProviderMissing:
    return ToolProviderMissing(
        "composio-core can't be started.", cause=cause, next_step=f"Install it anew: {INSTALL} --again"
    )


def _variables(folder: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in _KEPT or name.startswith("LC_")}
    return {**kept, "HOME": folder}


def _told(error: Mapping[str, Any], errand: Errand) -> RondoError:
    """The error for what the package says: what the bridge has met says more."""
    problem = errand.problem or errand.unknown
    if problem is not None:
        return problem
    words = f"{error.get('type')}: {str(error.get('message'))[:500]}"
    if errand.acted and errand.effects == "write":
        return ToolReplyProblem(
            f"composio-core could not read the answer: {words}",
            cause="Composio answered, so the call itself was carried out.",
            next_step="Look there what it did, before it is made again; or use the provider composio.",
        )
    return ToolRefused(
        f"composio-core refused: {words}",
        cause="The package itself says so; nothing was done.",
        next_step="Look at what was asked; the provider composio does the same without the package.",
    )
