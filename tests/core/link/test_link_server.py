from __future__ import annotations

import asyncio
import os
import socket
import stat
import struct
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from core.errors import (
    EngineLost,
    EngineStopping,
    EnvironmentProblem,
    ProtocolMismatch,
    RondoError,
    UnknownRun,
    UsageError,
)
from core.link.client import RemoteEngine, client_info
from core.link.engine_types import PROTOCOL, ClientInfo
from core.link.event_types import EngineChanged, LogsChanged, Resync, StepChanged
from core.link.framing import FRAME_LIMIT, encode_frame, read_frame
from core.link.server import LinkServer
from core.link.types import LogQuery, RunFilter, StartRun

Raised = Callable[[Awaitable[object]], Awaitable[RondoError]]
Until = Callable[..., Awaitable[None]]


def step_changed(seq: int) -> StepChanged:
    return StepChanged(
        run_id="r1", workflow="w", line=1, node="n", visit=1, attempt=1, status="completed", at=0.0, seq=seq
    )


class RawClient:
    """Sends what a client of ours never would."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, path: Path) -> RawClient:
        return cls(*await asyncio.open_unix_connection(path))

    async def ask(self, message: object) -> Any:
        self.writer.write(encode_frame(message))
        return await self.read()

    async def read(self) -> Any:
        frame = await asyncio.wait_for(read_frame(self.reader), 60)
        return None if frame is None else msgspec.json.decode(frame)


@pytest.fixture
async def raw(server: LinkServer) -> Any:
    client = await RawClient.open(server.socket_path)
    yield client
    client.writer.close()


# Calls ---------------------------------------------------------------------------------------------------------------


async def test_a_call_arrives_with_its_types_and_its_result_comes_back_with_its_own(double: Any, connect: Any) -> None:
    engine = await connect()
    start = StartRun(command_id="c", workflow="hello", inputs={"n": [1, None, "ü"]}, answers=[("name", {"a": 1})])
    run = await engine.start_run(start)
    assert double.calls[-1] == ("start_run", start)
    assert (run.workflow, run.status, bytes(run.inputs)) == ("hello", "running", b'{"a":[1,2.5,null]}')
    assert (await engine.read_state_chunk("r1")).data == b"\x00\xff{}"
    rows = await engine.list_runs(RunFilter(limit=2))
    assert [row.run_id for row in rows] == ["r0", "r1"]


async def test_the_engine_knows_which_kind_of_client_calls(double: Any, connect: Any) -> None:
    engine = await connect()
    await engine.start_run(StartRun(command_id="c", workflow="hello"))
    assert double.callers == ["test"]


async def test_a_quick_call_overtakes_a_slow_one_on_the_same_connection(double: Any, connect: Any) -> None:
    engine = await connect()
    gate = double.gate("start_run")
    slow = asyncio.ensure_future(engine.start_run(StartRun(command_id="c", workflow="slow")))
    await asyncio.wait_for(double.entered["start_run"].wait(), 60)
    assert len(await asyncio.wait_for(engine.list_runs(RunFilter(limit=1)), 60)) == 1
    assert not slow.done()
    gate.set()
    assert (await slow).workflow == "slow"


async def test_an_error_of_the_engine_arrives_as_the_same_error(connect: Any, raised: Raised) -> None:
    engine = await connect()
    error = await raised(engine.get_run("nope"))
    assert type(error) is UnknownRun
    assert (error.message, error.next_step, error.details) == ("No run nope.", "Call `rondo runs`.", {"near": ["r1"]})


async def test_a_fault_of_the_engine_is_told_and_the_connection_lives(connect: Any, raised: Raised) -> None:
    engine = await connect()
    error = await raised(engine.get_run("bug"))
    assert "get_run" in error.message and "a fault of the engine" in error.cause and error.next_step
    assert await engine.list_runs(RunFilter(limit=0)) == []


async def test_wrong_calls_get_an_answer_and_the_connection_lives(raw: RawClient) -> None:
    assert (await raw.ask({"id": 1, "method": "get_run", "params": {"run_id": "r"}}))["error"]["cause"].endswith(
        "was called before hello."
    )
    hello = {"id": 2, "method": "hello", "params": {"client": {"kind": "test", "app_version": "0"}}}
    assert (await raw.ask(hello))["result"]["protocol"] == PROTOCOL
    for message, named in [
        ({"id": 3, "method": "fly", "params": {}}, "fly"),
        ({"id": 3, "method": "_pass", "params": {"name": "x"}}, "_pass"),
        ({"id": 3, "method": "get_run", "params": {"run_id": 5}}, "get_run"),
        ({"id": 3, "method": "get_run"}, "get_run"),
    ]:
        reply = await raw.ask(message)
        assert reply["id"] == 3
        assert reply["error"]["type"] == "UsageError"
        assert named in reply["error"]["message"]
    for nonsense in ({"method": "get_run"}, [1, 2], "hello", {"id": "x", "method": "get_run"}):
        reply = await raw.ask(nonsense)
        assert (reply["id"], reply["error"]["type"]) == (None, "UsageError")
    deep = b"[" * 100_000 + b"]" * 100_000
    for body in (b"{{{", b"", b"\xff", b'{"id":1,"method":"\xff"}', b'{"id":1,"method":"x","params":' + deep + b"}"):
        raw.writer.write(struct.pack(">I", len(body)) + body)
        assert (await raw.read())["error"]["type"] == "UsageError"
    assert (await raw.ask({"id": 9, "method": "engine_status"}))["result"]["running"] is True


async def test_an_absurd_length_ends_that_connection_with_a_word_and_no_other(raw: RawClient, connect: Any) -> None:
    engine = await connect()
    raw.writer.write(struct.pack(">I", FRAME_LIMIT + 1))
    assert (await raw.read())["error"]["type"] == "UsageError"
    assert await raw.read() is None
    assert (await engine.engine_status()).running


async def test_a_reply_over_the_limit_becomes_an_error_that_names_the_method(connect: Any, raised: Raised) -> None:
    engine = await connect()
    assert len((await engine.read_logs(LogQuery(run_id="r", limit=200))).lines) == 200
    error = await raised(engine.read_logs(LogQuery(run_id="r", limit=300)))
    assert isinstance(error, UsageError)
    assert "read_logs" in error.message and "limit" in error.next_step


async def test_parameters_that_are_not_json_are_refused_before_they_are_sent(connect: Any, raised: Raised) -> None:
    engine = await connect()
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for value in (object(), "\ud800", deep):
        error = await raised(engine.start_run(StartRun(command_id="c", workflow="w", inputs={"x": value})))
        assert isinstance(error, UsageError) and "start_run" in error.message
    while deep:
        deep = deep.pop()
    assert (await engine.engine_status()).running


async def test_a_read_that_nobody_waits_for_any_more_is_given_up(double: Any, connect: Any, until: Until) -> None:
    engine = await connect()
    double.gate("list_runs")
    reading = asyncio.ensure_future(engine.list_runs(RunFilter()))
    await asyncio.wait_for(double.entered["list_runs"].wait(), 60)
    reading.cancel()
    await until(lambda: double.given_up == ["list_runs"])
    assert (await engine.engine_status()).running


async def test_when_a_client_goes_its_reads_are_given_up_and_its_commands_are_done(
    double: Any, server: LinkServer, connect: Any, until: Until
) -> None:
    engine = await connect()
    command = double.gate("start_run")
    double.gate("list_runs")
    calls = [
        asyncio.ensure_future(engine.start_run(StartRun(command_id="c", workflow="w"))),
        asyncio.ensure_future(engine.list_runs(RunFilter())),
    ]
    for name in ("start_run", "list_runs"):
        await asyncio.wait_for(double.entered[name].wait(), 60)
    assert server.clients == 1
    before = time.monotonic()
    await engine.close()
    for result in await asyncio.gather(*calls, return_exceptions=True):
        assert isinstance(result, EngineLost)
    await until(lambda: server.clients == 0)
    assert server.last_client_left >= before
    await until(lambda: double.given_up == ["list_runs"])
    command.set()
    await until(lambda: double.finished == ["start_run"])


async def test_the_status_counts_the_clients(connect: Any) -> None:
    first = await connect()
    assert (await first.engine_status()).clients == 1
    await connect()
    assert (await first.engine_status()).clients == 2


# Versions and users --------------------------------------------------------------------------------------------------


async def test_a_client_of_another_protocol_is_told_both_versions_and_can_still_stop_the_engine(
    double: Any, server: LinkServer, raised: Raised
) -> None:
    engine = await RemoteEngine.open(server.socket_path)
    error = await raised(engine.hello(ClientInfo(kind="cli", app_version="9.9", protocol=PROTOCOL + 1)))
    assert isinstance(error, ProtocolMismatch)
    assert "9.9" in error.message and f"protocol {PROTOCOL}" in error.message
    assert f"protocol {PROTOCOL + 1}" in error.message
    assert "rondo engine stop" in error.next_step
    assert isinstance(await raised(engine.list_workflows()), UsageError)
    await engine.stop_engine()
    assert double.stop_requested.is_set()
    await engine.close()


async def test_another_user_is_refused(server: LinkServer, monkeypatch: pytest.MonkeyPatch, raised: Raised) -> None:
    monkeypatch.setattr("core.link.server.peer_uid", lambda connection: os.geteuid() + 1)
    engine = await RemoteEngine.open(server.socket_path)
    error = await raised(engine.hello(client_info("test")))
    assert isinstance(error, EnvironmentProblem)
    assert str(os.geteuid() + 1) in error.cause
    assert server.clients == 0
    await engine.close()


async def test_the_socket_and_its_folder_are_open_to_their_owner_only(tmp_path: Path, double: Any) -> None:
    folder = tmp_path / "runs"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    server = LinkServer(double, folder / "engine.sock")
    server.bind()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(server.socket_path.stat().st_mode) == 0o600
    await server.close()


# Events --------------------------------------------------------------------------------------------------------------


async def test_events_begin_with_the_call_and_reach_every_client(double: Any, connect: Any) -> None:
    engines = [await connect(), await connect()]
    streams = [engine.events() for engine in engines]
    for engine in engines:
        await engine.engine_status()  # calls are taken in order: the subscription stands
    double.publish(LogsChanged(run_id="r1", last=1), LogsChanged(run_id="r1", last=2))
    for stream in streams:
        assert await asyncio.wait_for(anext(stream), 60) == [LogsChanged(run_id="r1", last=2)]


async def test_events_come_in_batches_no_faster_than_the_client_asked_for(
    double: Any, raw: RawClient, connect: Any
) -> None:
    slow = {"kind": "test", "app_version": "0", "batches_per_second": 1}
    await raw.ask({"id": 1, "method": "hello", "params": {"client": slow}})
    raw.writer.write(encode_frame({"id": 2, "method": "events"}))
    await raw.ask({"id": 3, "method": "engine_status"})
    other = await connect()
    double.publish(step_changed(0))
    assert [event["seq"] for event in (await raw.read())["events"]] == [0]
    for seq in range(1, 11):
        double.publish(step_changed(seq))
        await other.engine_status()
    batches: list[list[int]] = []
    while not batches or batches[-1][-1] < 10:
        batches.append([event["seq"] for event in (await raw.read())["events"]])
    assert [seq for batch in batches for seq in batch] == list(range(1, 11))
    assert len(batches) < 10


async def test_a_client_that_stopped_reading_gets_a_resync_and_holds_nobody_up(
    double: Any, raw: RawClient, connect: Any
) -> None:
    await raw.ask({"id": 1, "method": "hello", "params": {"client": {"kind": "test", "app_version": "0"}}})
    raw.writer.write(encode_frame({"id": 2, "method": "events"}))
    await raw.ask({"id": 3, "method": "engine_status"})
    raw.writer.transport.pause_reading()  # type: ignore[attr-defined]

    lively = await connect()
    stream = lively.events()
    await lively.engine_status()
    seen: list[int] = []
    total = 20_000
    for first in range(0, total, 1000):
        double.publish(*(step_changed(seq) for seq in range(first, first + 1000)))
        batch = await asyncio.wait_for(anext(stream), 60)
        seen += [event.seq for event in batch]
    assert seen == list(range(total))

    raw.writer.transport.resume_reading()  # type: ignore[attr-defined]
    got: list[Any] = []
    while {"type": "resync"} not in got:
        got += (await raw.read())["events"]
    assert 0 < len(got) < total


async def test_a_client_that_never_reads_its_replies_does_not_stop_the_others(
    server: LinkServer, raw: RawClient, connect: Any
) -> None:
    await raw.ask({"id": 1, "method": "hello", "params": {"client": {"kind": "test", "app_version": "0"}}})
    raw.writer.transport.pause_reading()  # type: ignore[attr-defined]
    for call_id in range(2, 200):
        query = {"run_id": "r", "limit": 200}
        raw.writer.write(encode_frame({"id": call_id, "method": "read_logs", "params": {"query": query}}))
    engine = await connect()
    for _ in range(5):
        assert (await asyncio.wait_for(engine.engine_status(), 60)).running
    await asyncio.wait_for(server.close(), 60)


async def test_an_event_this_client_does_not_know_means_read_again(server: LinkServer, tmp_path: Path) -> None:
    async def newer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(encode_frame({"events": [{"type": "from the future"}]}))

    listening = await asyncio.start_unix_server(newer, tmp_path / "s")
    engine = await RemoteEngine.open(tmp_path / "s")
    stream = engine.events()
    assert await asyncio.wait_for(anext(stream), 60) == [Resync()]
    await engine.close()
    listening.close()


# Beginning and end ---------------------------------------------------------------------------------------------------


async def test_when_the_engine_ends_clients_hear_so_and_waiting_calls_fail_as_lost(
    double: Any, server: LinkServer, connect: Any, raised: Raised
) -> None:
    engine = await connect()
    stream = engine.events()
    await engine.engine_status()
    server.stop_accepting()
    await server.close()
    batch = await asyncio.wait_for(anext(stream), 60)
    assert isinstance(batch[0], EngineChanged) and batch[0].state == "stopping"
    error = await raised(anext(stream))
    assert isinstance(error, EngineLost) and error.next_step
    assert isinstance(await raised(engine.engine_status()), EngineLost)
    assert isinstance(await raised(anext(engine.events())), EngineLost)
    assert not server.socket_path.exists()


async def test_replies_that_are_due_are_sent_before_the_end(double: Any, server: LinkServer, connect: Any) -> None:
    engine = await connect()
    gate = double.gate("start_run")
    call = asyncio.ensure_future(engine.start_run(StartRun(command_id="c", workflow="w")))
    await asyncio.wait_for(double.entered["start_run"].wait(), 60)
    closing = asyncio.ensure_future(server.close())
    await asyncio.sleep(0)
    gate.set()
    assert (await call).workflow == "w"
    await closing


async def test_iterating_over_events_ends_without_an_error_when_the_client_closes(connect: Any) -> None:
    engine = await connect()
    stream = engine.events()
    await engine.close()
    assert [batch async for batch in stream] == []


async def test_whoever_comes_while_the_engine_ends_is_told_so(
    server: LinkServer, monkeypatch: pytest.MonkeyPatch, raised: Raised
) -> None:
    monkeypatch.setattr(server, "_stop_listening", lambda: None)
    server.stop_accepting()
    engine = await RemoteEngine.open(server.socket_path)
    assert isinstance(await raised(engine.hello(client_info("test"))), EngineStopping)
    await engine.close()
    monkeypatch.undo()


async def test_once_a_stop_is_answered_no_new_client_gets_in(server: LinkServer, connect: Any) -> None:
    engine = await connect()
    stream = engine.events()
    await engine.stop_engine()
    with pytest.raises(ConnectionRefusedError):
        await RemoteEngine.open(server.socket_path)
    batch = await asyncio.wait_for(anext(stream), 60)
    assert [event.state for event in batch] == ["stopping"]
    assert (await engine.engine_status()).running


async def test_a_stale_socket_is_replaced_and_a_removed_one_is_bound_again(
    double: Any, workspace: Any, until: Until
) -> None:
    workspace.runs_dir.mkdir()
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(workspace.socket))
    stale.close()
    server = LinkServer(double, workspace.socket)
    await server.start()
    before = await RemoteEngine.open(workspace.socket)
    await before.hello(client_info("test"))
    workspace.socket.unlink()
    assert not server.is_bound()
    await server.bind_again()
    assert server.is_bound()
    after = await RemoteEngine.open(workspace.socket)
    await after.hello(client_info("test"))
    assert (await before.engine_status()).clients == 2
    await after.close()
    await before.close()
    await server.close()


async def test_a_socket_that_another_engine_put_there_is_left_alone(double: Any, workspace: Any) -> None:
    first, second = (LinkServer(double, workspace.socket) for _ in range(2))
    await first.start()
    await second.start()
    await first.close()
    engine = await RemoteEngine.open(workspace.socket)
    await engine.hello(client_info("test"))
    await engine.close()
    await second.close()


async def test_an_idle_engine_answers_pings_and_never_counts_as_silent(
    connect: Callable[[], Awaitable[RemoteEngine]], until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.link.liveness.TICK_SECONDS", 0.05)
    engine = await connect()
    told: list[bool] = []
    heard: list[None] = []
    engine.liveness.tell = told.append
    take = engine.liveness.heard
    monkeypatch.setattr(engine.liveness, "heard", lambda: (heard.append(None), take()))
    await until(lambda: len(heard) >= 3)
    assert told == []
