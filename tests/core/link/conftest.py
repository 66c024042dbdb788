"""A small engine in memory behind a real socket: what the link carries, without what an engine does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from core.errors import RondoError, UnknownRun
from core.link.caller import caller
from core.link.client import RemoteEngine, client_info
from core.link.engine_types import PROTOCOL, EngineInfo, EngineStatus
from core.link.event_types import Event
from core.link.server import LinkServer
from core.link.types import LogLine, LogPage, LogQuery, RunFilter, RunRow, RunView, StartRun, StateChunk
from core.places import Workspace


class EngineDouble:
    """Answers a few methods; `gates` hold a method's call until a test opens them."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.callers: list[str] = []
        self.finished: list[str] = []
        self.given_up: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}
        self.entered: dict[str, asyncio.Event] = {}
        self.stop_requested = asyncio.Event()
        self._subscribers: list[asyncio.Queue[list[Event] | None]] = []
        self.logs = LogPage(lines=[], last=0)

    def publish(self, *events: Event) -> None:
        for queue in self._subscribers:
            queue.put_nowait(list(events))

    def gate(self, name: str) -> asyncio.Event:
        self.gates[name] = asyncio.Event()
        self.entered[name] = asyncio.Event()
        return self.gates[name]

    async def _pass(self, name: str) -> None:
        if name in self.gates:
            self.entered[name].set()
            try:
                await self.gates[name].wait()
            except asyncio.CancelledError:
                self.given_up.append(name)
                raise
        self.finished.append(name)

    async def hello(self, client: Any) -> EngineInfo:
        self.calls.append(("hello", client))
        return EngineInfo(app_version="1", protocol=PROTOCOL, schema=1, pid=1, started_at=0.0, workspace="w")

    async def engine_status(self) -> EngineStatus:
        await self._pass("engine_status")
        return EngineStatus(running=True, pid=1, workspace="w", version="1", runs={"running": 1})

    async def stop_engine(self) -> None:
        self.stop_requested.set()

    async def start_run(self, start: StartRun) -> RunView:
        self.calls.append(("start_run", start))
        self.callers.append(caller.get())
        await self._pass("start_run")
        return run_view(start.workflow)

    async def get_run(self, run_id: str) -> RunView:
        await self._pass("get_run")
        if run_id == "bug":
            raise ZeroDivisionError("a fault of the engine")
        raise UnknownRun(
            f"No run {run_id}.", cause="There is none.", next_step="Call `rondo runs`.", details={"near": ["r1"]}
        )

    async def list_runs(self, query: RunFilter) -> list[RunRow]:
        self.calls.append(("list_runs", query))
        await self._pass("list_runs")
        return [
            RunRow(run_id=f"r{i}", short_id=f"{i}", workflow="w", version="v", status="queued", step=0, created_at=1.5)
            for i in range(query.limit)
        ]

    async def read_logs(self, query: LogQuery) -> LogPage:
        lines = [LogLine(row=i, at=0.0, level="info", text="x" * 1000) for i in range(query.limit)]
        return LogPage(lines=lines, last=query.limit)

    async def read_state_chunk(
        self, run_id: str, seq: int | None = None, offset: int = 0, line: int | None = None
    ) -> StateChunk:
        return StateChunk(seq=seq or 0, offset=offset, size=4, data=b"\x00\xff{}")

    async def events(self) -> AsyncIterator[list[Event]]:
        queue: asyncio.Queue[list[Event] | None] = asyncio.Queue()
        self._subscribers.append(queue)
        while (batch := await queue.get()) is not None:
            yield batch


def run_view(workflow: str) -> RunView:
    return RunView(
        run_id="r1",
        short_id="r1",
        workflow=workflow,
        version="v",
        status="running",
        line=1,
        step=0,
        next_node="a",
        created_at=1.0,
        started_at=None,
        ended_at=None,
        awaiting_input=None,
        open_requests=[],
        error=None,
        in_flight=[],
        log_last=0,
        logs_dropped=0,
        source="test",
        output_dir="/o",
        inputs=msgspec.Raw(b'{"a":[1,2.5,null]}'),
    )


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "w" / "workflows").mkdir(parents=True)
    return Workspace.at(tmp_path / "w")


@pytest.fixture
async def double() -> EngineDouble:
    return EngineDouble()


@pytest.fixture
async def server(double: EngineDouble, workspace: Workspace) -> AsyncIterator[LinkServer]:
    server = LinkServer(double, workspace.socket)  # type: ignore[arg-type]
    await server.start()
    yield server
    await server.close()


Connect = Callable[[], Awaitable[RemoteEngine]]


@pytest.fixture
async def connect(server: LinkServer) -> AsyncIterator[Connect]:
    """Greeted connections to the double; all are closed at the end."""
    engines: list[RemoteEngine] = []

    async def connect() -> RemoteEngine:
        engine = await RemoteEngine.open(server.socket_path)
        engines.append(engine)
        await engine.hello(client_info("test"))
        return engine

    yield connect
    for engine in engines:
        await engine.close()


@pytest.fixture
def until() -> Callable[..., Awaitable[None]]:
    """Wait for a condition that comes about by other tasks or processes; fails after 20 s."""

    async def until(condition: Callable[[], object], what: str = "the condition") -> None:
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110 - it may depend on another process
                await asyncio.sleep(0.01)

    return until


@pytest.fixture
def raised() -> Callable[[Awaitable[object]], Awaitable[RondoError]]:
    """The RondoError that awaiting this raises."""

    async def raised(call: Awaitable[object]) -> RondoError:
        with pytest.raises(RondoError) as caught:
            await call
        return caught.value

    return raised
