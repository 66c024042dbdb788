from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from core.errors import DatabaseDamaged, EngineLost, EngineUnreachable, RondoError, UnknownRun
from core.link import session as session_module
from core.link.event_types import EngineChanged, Event, LogsChanged, Resync
from core.link.server import LinkServer
from core.link.session import EngineSession
from core.link.types import RunFilter, StartRun
from core.places import Workspace

Raised = Callable[[Awaitable[object]], Awaitable[RondoError]]
Until = Callable[..., Awaitable[None]]


class Engines:
    """Stands for the starting of engine processes: each start is a server of the double in this process."""

    def __init__(self, workspace: Workspace, double: Any) -> None:
        self.workspace = workspace
        self.double = double
        self.starts = 0
        self.error: RondoError | None = None
        self.server: LinkServer | None = None

    async def start(self, workspace: Workspace, timeout: float) -> None:
        self.starts += 1
        if self.error is not None:
            raise self.error
        self.server = LinkServer(self.double, self.workspace.socket)
        await self.server.start()

    async def stop(self) -> None:
        """End as an engine that was asked to."""
        if self.server is not None:
            await self.server.close()

    async def die(self) -> None:
        """Break every connection without a word, as a killed process does."""
        assert self.server is not None
        self.server._closing = True
        await self.server.close()


@pytest.fixture
async def engines(workspace: Workspace, double: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Engines]:
    engines = Engines(workspace, double)
    monkeypatch.setattr("core.link.start.start_engine", engines.start)
    yield engines
    await engines.stop()


@pytest.fixture
async def session(workspace: Workspace, engines: Engines) -> AsyncIterator[EngineSession]:
    session = EngineSession(workspace, "test")
    yield session
    await session.close()


class Heard:
    """Everything a stream of events said."""

    def __init__(self, session: EngineSession) -> None:
        self.events: list[Event] = []
        self._stream = session.events()
        self._task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async for batch in self._stream:
            self.events += batch

    @property
    def states(self) -> list[str]:
        return [event.state for event in self.events if isinstance(event, EngineChanged)]

    async def ended(self) -> None:
        await asyncio.wait_for(self._task, 60)


async def test_it_connects_behind_and_says_so(session: EngineSession, engines: Engines, until: Until) -> None:
    heard = Heard(session)
    session.open()
    assert (session.state, session.info) == ("connecting", None)
    await until(lambda: "connected" in heard.states)
    assert heard.events == [EngineChanged(state="connecting"), EngineChanged(state="connected")]
    assert session.state == "connected" and session.info is not None and session.problem is None
    assert engines.starts == 1


async def test_a_call_made_before_the_connection_stands_waits_for_it(session: EngineSession) -> None:
    session.open()
    assert len(await session.list_runs(RunFilter(limit=3))) == 3


async def test_an_error_of_the_engine_is_passed_on(session: EngineSession, raised: Raised) -> None:
    session.open()
    assert isinstance(await raised(session.get_run("x")), UnknownRun)


async def test_events_of_the_engine_come_through(session: EngineSession, double: Any, until: Until) -> None:
    heard = Heard(session)
    session.open()
    await session.engine_status()
    double.publish(LogsChanged(run_id="r", last=4))
    await until(lambda: LogsChanged(run_id="r", last=4) in heard.events)


async def test_a_dead_engine_is_shown_and_replaced_and_the_same_stream_goes_on(
    session: EngineSession, engines: Engines, double: Any, until: Until
) -> None:
    heard = Heard(session)
    session.open()
    await until(lambda: session.state == "connected")
    await engines.die()
    await until(lambda: heard.states == ["connecting", "connected", "lost", "connected"])
    assert engines.starts == 2
    assert heard.events[-1] == Resync()
    assert heard.events.count(Resync()) == 1
    await session.engine_status()
    double.publish(LogsChanged(run_id="r", last=9))
    await until(lambda: heard.events[-1] == LogsChanged(run_id="r", last=9))


async def test_a_call_that_was_out_when_the_engine_died_goes_out_again(
    session: EngineSession, engines: Engines, double: Any
) -> None:
    session.open()
    gate = double.gate("start_run")
    call = asyncio.ensure_future(session.start_run(StartRun(command_id="once", workflow="w")))
    await asyncio.wait_for(double.entered["start_run"].wait(), 60)
    await engines.die()
    gate.set()
    assert (await asyncio.wait_for(call, 60)).workflow == "w"
    starts = [call for name, call in double.calls if name == "start_run"]
    assert len(starts) == 2 and {start.command_id for start in starts} == {"once"}


async def test_an_engine_that_was_stopped_on_purpose_stays_stopped_until_someone_calls(
    session: EngineSession, engines: Engines, monkeypatch: pytest.MonkeyPatch, until: Until
) -> None:
    tries: list[bool] = []
    connect = session_module.connect

    async def counted(workspace: Workspace, *, kind: str, start: bool) -> Any:
        tries.append(start)
        return await connect(workspace, kind=kind, start=start)

    monkeypatch.setattr(session_module, "connect", counted)
    heard = Heard(session)
    session.open()
    await until(lambda: session.state == "connected")
    await engines.stop()
    await until(lambda: heard.states[-1] == "lost")
    await until(lambda: len(tries) >= 3)
    assert (tries[:3], engines.starts) == ([True, False, False], 1)
    assert (await session.engine_status()).running
    assert (engines.starts, session.state) == (2, "connected")


async def test_an_engine_that_someone_else_started_again_is_found(
    session: EngineSession, engines: Engines, until: Until
) -> None:
    session.open()
    await until(lambda: session.state == "connected")
    await engines.stop()
    await until(lambda: session.state == "lost")
    await engines.start(engines.workspace, 0)
    await until(lambda: session.state == "connected")


async def test_a_problem_someone_has_to_mend_is_raised_at_once_and_tried_again_on_demand(
    session: EngineSession, engines: Engines, raised: Raised, until: Until
) -> None:
    engines.error = DatabaseDamaged("damaged", cause="c", next_step="n")
    heard = Heard(session)
    session.open()
    error = await raised(session.list_workflows())
    assert isinstance(error, DatabaseDamaged) and error.next_step == "n"
    assert isinstance(session.problem, DatabaseDamaged) and session.state == "lost"
    assert isinstance(await raised(session.list_workflows()), DatabaseDamaged)
    assert engines.starts == 1
    await until(lambda: heard.events[-1] == EngineChanged(state="lost", message="damaged"))
    engines.error = None
    session.retry()
    await until(lambda: session.state == "connected")


async def test_a_call_fails_after_the_wait_and_says_why(
    workspace: Workspace, engines: Engines, raised: Raised, until: Until
) -> None:
    engines.error = EngineUnreachable("nobody answers", cause="c", next_step="n")
    session = EngineSession(workspace, "test", wait=0.3)
    heard = Heard(session)
    session.open()
    error = await raised(session.engine_status())
    assert isinstance(error, EngineUnreachable) and error.message == "nobody answers"
    await until(lambda: engines.starts >= 3)
    assert heard.states == ["connecting", "lost"]  # one and the same news is told once
    await session.close()


async def test_closing_ends_the_streams_and_leaves_the_engine_alone(
    session: EngineSession, engines: Engines, double: Any, raised: Raised, until: Until
) -> None:
    heard = Heard(session)
    session.open()
    await until(lambda: session.state == "connected")
    await session.close()
    await heard.ended()
    assert isinstance(await raised(session.engine_status()), EngineLost)
    assert not double.stop_requested.is_set()
    assert engines.server is not None
    await until(lambda: engines.server is not None and engines.server.clients == 0)


async def test_stopping_is_asked_once_and_not_again_of_the_next_engine(
    session: EngineSession, engines: Engines, double: Any, until: Until
) -> None:
    session.open()
    await until(lambda: session.state == "connected")
    await session.stop_engine()
    assert double.stop_requested.is_set()
    double.stop_requested.clear()
    await engines.stop()
    await until(lambda: session.state == "lost")
    await session.stop_engine()
    assert engines.starts == 1
    assert isinstance(session.problem, EngineLost | EngineUnreachable)
