"""What a client that stays holds: the engine as it comes and goes."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Literal, TypeVar
from weakref import WeakSet

from core.errors import EngineLost, EngineStopping, EngineUnreachable, RondoError, WorkspaceLocked
from core.link.client import EngineCalls, RemoteEngine, fresh_copy
from core.link.engine_types import EngineInfo
from core.link.event_types import EngineChanged, Event, Resync
from core.link.events import EventStream
from core.link.start import connect, not_answering
from core.places import Workspace

T = TypeVar("T")

SHORTEST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0
PAUSE_FOR_A_PERSON_SECONDS = 15.0
"""Between two tries while someone has to mend something first, such as a damaged database."""

SessionState = Literal["connecting", "connected", "silent", "lost"]


class EngineSession(EngineCalls):
    """The engine of a workspace for a client that stays: connects behind, and again whenever the connection is gone.

    It offers the methods of `EngineApi`. A call waits up to `wait` seconds for the connection, and goes out again on
    the next one where it breaks in the middle, which is safe: the engine acts once on each `command_id`. A problem
    that doesn't pass by itself is raised at once. While the engine is silent (its process is stopped or stuck) nothing
    new is sent, so that what was given up is not done later; what was sent before is answered when it goes on.

    After someone stopped the engine on purpose it is started again by the next call, not before.
    """

    def __init__(self, workspace: Workspace, client_kind: str, *, wait: float = 10.0) -> None:
        self.workspace = workspace
        self.state: SessionState = "connecting"
        self.problem: RondoError | None = None
        """Why there is no connection."""
        self._kind = client_kind
        self._wait = wait
        self._engine: RemoteEngine | None = None
        self._settled = asyncio.Event()  # connected, or a problem that calls need not wait out
        self._again = asyncio.Event()  # don't pause before the next try
        self._was_connected = False
        self._stopped_on_purpose = False
        self._streams: WeakSet[EventStream] = WeakSet()
        self._keeping: asyncio.Task[None] | None = None

    @property
    def info(self) -> EngineInfo | None:
        """The engine's introduction, while connected."""
        return self._engine.info if self._engine is not None else None

    def open(self) -> None:
        """Start to connect, and return at once."""
        if self._keeping is None:
            self._keeping = asyncio.create_task(self._keep(), name="engine session")

    async def close(self) -> None:
        """End the connection and the iterations over events; the engine goes on."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])
        self._engine = None
        self.problem = EngineLost("The connection to the engine was closed by this program.")
        self._settled.set()
        for stream in self._streams:
            stream.finish()

    def retry(self) -> None:
        """Try to connect now instead of after the pause, and start the engine again if it was stopped on purpose."""
        self._stopped_on_purpose = False
        self._again.set()

    def events(self) -> EventStream:
        """Batches of events from now on, across reconnects; EngineChanged says how the connection is."""
        stream = EventStream()
        self._streams.add(stream)
        return stream

    async def stop_engine(self) -> None:
        """Ask the engine to end. Not repeated where the connection breaks: that is what it is for."""
        if self.state == "silent" and self.problem is not None:
            raise fresh_copy(self.problem)
        if self._engine is not None:
            with contextlib.suppress(EngineLost):
                await self._engine.stop_engine()

    # Calls ----------------------------------------------------------------------------------------------------------

    async def _call(self, returns: type[T], method: str, **params: object) -> T:
        now = asyncio.get_running_loop().time
        deadline = now() + self._wait
        while True:
            engine = await self._wait_for_engine(deadline - now())
            try:
                return await engine._call(returns, method, **params)
            except EngineStopping:
                # Nothing was done, and the next engine does it.
                if now() >= deadline:
                    raise
                await asyncio.sleep(SHORTEST_PAUSE_SECONDS)
            except EngineLost:
                if now() >= deadline:
                    raise
                # `_keep` hears of it a moment later; until then this connection would be given out again.
                if self._engine is engine:
                    self._engine = None
                    self._settled.clear()

    async def _wait_for_engine(self, timeout: float) -> RemoteEngine:
        if self._engine is None and self._stopped_on_purpose:
            self.retry()
        try:
            async with asyncio.timeout(max(timeout, 0)):
                while self._engine is None or self.state == "silent":
                    await self._settled.wait()
                    if self._engine is None and self.problem is not None:
                        raise fresh_copy(self.problem)
        except TimeoutError:
            raise (_still_connecting(timeout) if self.problem is None else fresh_copy(self.problem)) from None
        return self._engine

    # Staying connected ----------------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        """Connect, hand events on until the connection breaks, and begin again."""
        self._tell([EngineChanged(state="connecting")])
        pause = SHORTEST_PAUSE_SECONDS
        while True:
            try:
                async with await connect(self.workspace, kind=self._kind, start=not self._stopped_on_purpose) as engine:
                    pause = SHORTEST_PAUSE_SECONDS
                    await self._stay(engine)
            except RondoError as error:
                self._lost(error)
            except OSError as error:
                self._lost(EngineUnreachable("The engine can't be reached.", cause=str(error), next_step="Try again."))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PAUSE_FOR_A_PERSON_SECONDS if self._settled.is_set() else pause):
                    await self._again.wait()
            self._again.clear()
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _stay(self, engine: RemoteEngine) -> None:
        """Hand on what one connection says until it breaks; raises EngineLost then."""
        events = engine.events()
        self._engine = engine
        self._stopped_on_purpose = False
        self.state = "connected"
        self.problem = None
        self._settled.set()
        connected: list[Event] = [EngineChanged(state="connected")]
        self._tell([*connected, Resync()] if self._was_connected else connected)
        self._was_connected = True
        engine.liveness.tell = self._silence
        async for batch in events:
            if any(isinstance(event, EngineChanged) and event.state == "stopping" for event in batch):
                self._stopped_on_purpose = True
            self._tell(batch)

    def _silence(self, silent: bool) -> None:
        """The engine says nothing any more, or does again."""
        if silent:
            self.state = "silent"
            self.problem = not_answering(self.workspace)
            self._settled.clear()
            self._tell([EngineChanged(state="silent", message=self.problem.message)])
        else:
            self.state = "connected"
            self.problem = None
            self._settled.set()
            # Reads that waited in vain are not repeated by themselves.
            self._tell([EngineChanged(state="connected"), Resync()])

    def _lost(self, error: RondoError) -> None:
        self._engine = None
        if _passes_by_itself(error):
            self._settled.clear()
        else:
            self._settled.set()
        is_news = self.state != "lost" or self.problem is None or self.problem.message != error.message
        self.state = "lost"
        self.problem = error
        if is_news:
            self._tell([EngineChanged(state="lost", message=error.message)])

    def _tell(self, events: list[Event]) -> None:
        for stream in self._streams:
            stream.put(events)


def _passes_by_itself(problem: RondoError) -> bool:
    """True where trying again may help without anybody mending something."""
    return isinstance(problem, EngineLost | EngineUnreachable | WorkspaceLocked)


def _still_connecting(timeout: float) -> RondoError:
    return EngineUnreachable(
        f"No connection to the engine within {timeout:.0f} s.",
        cause="It is still starting, or does not answer.",
        next_step="Try again; `rondo doctor` says what is wrong if it stays so.",
    )
