"""The engine's ends of the output pipes, whatever comes through them."""

from __future__ import annotations

import array
import asyncio
import gc
import os
import socket
from pathlib import Path

from engine_side import LIMIT, EngineSide, Play, body, init_frame
from hypothesis import given
from hypothesis import strategies as st

from core.engine.logpipe import LogRecord, log_pipes
from core.engine.processes import RunProcess
from core.runner.wire import RECORD_PREFIX, encode_frame, encode_json


class Pipes:
    """The two pipes with what they delivered."""

    def __init__(self, **limits: int) -> None:
        self.lines: list[LogRecord] = []
        self.dropped = 0
        (records, self.records), (raw, self.raw_end) = os.pipe(), os.pipe()
        for fd in (records, raw):
            os.set_blocking(fd, False)
        self.record_pipe, self.raw_pipe, self.budget = log_pipes(records, raw, self.lines.extend, self._drop, limits)

    def _drop(self, count: int) -> None:
        self.dropped += count

    def write(self, fd: int, data: bytes, step: int) -> None:
        """Write in steps, drained after each, so that lines and records come in pieces."""
        for start in range(0, len(data), step):
            os.write(fd, data[start : start + step])
            self.record_pipe.drain()
            self.raw_pipe.drain()

    def end(self) -> None:
        os.close(self.records)
        os.close(self.raw_end)
        assert self.record_pipe.drain_to_end()
        assert self.raw_pipe.drain_to_end()
        self.budget.report()


def record(text: object) -> bytes:
    data = encode_json([1.5, 20, "stdout", "a", 1, 2, text])
    return RECORD_PREFIX.pack(len(data)) + data


@given(st.binary(max_size=300), st.integers(1, 50))
def test_any_bytes_are_survived(data: bytes, step: int) -> None:
    async def feed() -> None:
        pipes = Pipes()
        pipes.write(pipes.records, data, step)
        pipes.write(pipes.raw_end, data, step)
        pipes.end()
        raw = [line[6] for line in pipes.lines if line[2] == "raw"]
        assert "\n".join(raw) == data.decode(errors="replace").replace("\0", "").removesuffix("\n")

    asyncio.run(feed())


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=20), st.integers(1, 50), st.integers(0, 20))
def test_lines_are_kept_up_to_the_limit_and_counted_beyond_it(texts: list[str], step: int, limit: int) -> None:
    async def feed() -> None:
        pipes = Pipes(log_lines=limit)
        pipes.write(pipes.records, b"".join(map(record, texts)), step)
        pipes.end()
        assert pipes.lines == [(1.5, 20, "stdout", "a", 1, 2, text.replace("\0", "")) for text in texts[:limit]]
        assert pipes.dropped == max(len(texts) - limit, 0)

    asyncio.run(feed())


async def test_dropped_lines_of_the_other_side_are_added(tmp_path: Path) -> None:
    pipes = Pipes(log_lines=1)
    pipes.write(pipes.records, record("one") + record(7) + record("two") + record(-3) + record(5), 1000)
    pipes.end()
    assert [line[6] for line in pipes.lines] == ["one"]
    assert pipes.dropped == 7 + 1 + 5


async def test_a_flood_leaves_time_for_everything_else() -> None:
    pipes = Pipes(log_lines=0)
    flood = await asyncio.create_subprocess_exec("yes", stdout=pipes.raw_end)
    turns = 0
    async with asyncio.timeout(LIMIT):
        while pipes.dropped < 1_000_000:
            await asyncio.sleep(0)
            turns += 1
    flood.kill()
    await flood.wait()
    assert turns > 20
    pipes.raw_pipe.close()
    pipes.record_pipe.close()


async def test_a_pipe_that_somebody_holds_does_not_hold_up_the_end(play: Play, tmp_path: Path) -> None:
    """The holder is outside of the run's tree, so no kill reaches it."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        server.listen()
        source = body(
            "import socket, array",
            "peer = socket.socket(socket.AF_UNIX); peer.connect('s')",
            "rights = array.array('i', [1, 3, 4])",
            "peer.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])",
            "peer.recv(1)",
            "print('said')",
        )
        side = await play.start(source)
        server.setblocking(False)
        peer, _ = await asyncio.get_running_loop().sock_accept(server)
        peer.setblocking(True)
        _, ancillary, _, _ = peer.recvmsg(1, 100)
        held = array.array("i", ancillary[0][2])
        peer.send(b"x")
        status, _ = await side.end()
        assert status.code == 0
        assert side.texts() == ["said"]
        for fd in held:
            os.close(fd)
        peer.close()


async def test_a_run_leaves_no_descriptor_open_in_the_engine(play: Play) -> None:
    await play.run(body("pass"))
    # What tests before this one left to the collector is not of these runs.
    gc.collect()
    before = len(os.listdir("/dev/fd"))
    for code in ("pass", "os._exit(1)", "raise ValueError"):
        await play.run(body(code))
    assert len(os.listdir("/dev/fd")) <= before


async def test_output_is_handed_over_before_the_step_that_came_after_it(tmp_path: Path) -> None:
    """Also where the event loop was busy and finds the channel ready before the pipe."""
    side = EngineSide(acknowledge=False)
    process = RunProcess(init_frame(tmp_path, ""), side)
    frames, records, raw = process.child_ends()
    os.write(frames, encode_frame({"t": "started"}))
    os.write(records, record("printed"))
    os.write(raw, b"from below\n")
    os.write(frames, encode_frame({"t": "step"}))
    await side.frame("step")
    assert [kind if kind == "frame" else what[6] for kind, what in side.heard] == [
        *("frame", "printed", "from below", "frame")
    ]
    process.discard()


@given(st.lists(st.binary(max_size=40), max_size=20), st.integers(9, 2_000), st.integers(0, 30), st.integers(0, 20))
def test_every_line_from_below_is_kept_or_counted_and_the_last_are_kept(
    lines: list[bytes], step: int, limit: int, times: int
) -> None:
    lines = [line.replace(b"\n", b" ").replace(b"\0", b" ") for line in lines] * (times + 1)

    async def feed() -> None:
        pipes = Pipes(log_lines=limit + 400, log_bytes=2 * 10**9, log_reserve=[400, 10**9])
        pipes.write(pipes.raw_end, b"".join(line + b"\n" for line in lines), step)
        pipes.end()
        kept = [line[6] for line in pipes.lines if not line[6].startswith("…")]
        expected = [line.decode(errors="replace") for line in lines]
        assert len(kept) + pipes.dropped == len(lines)
        share = -(-limit // 4)
        assert kept == (expected[:share] + expected[share:][-100:])

    asyncio.run(feed())
