"""The programs that are started by name: one run process without a zygote, and the zygote itself."""

from __future__ import annotations

import array
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engine_side import LIMIT, alive, body, init_frame

from core.runner import entry
from core.runner.wire import FrameReader, encode_frame
from core.runner.zygote import EXITED, FORKED, READY, REPORT, REQUEST


class Ends:
    """The engine's ends of a run process, without an event loop."""

    def __init__(self) -> None:
        self.socket, self.frames = socket.socketpair()
        self.socket.settimeout(LIMIT)
        self.logs, self.log_writer = os.pipe()
        self.raw, self.raw_writer = os.pipe()
        self._reader = FrameReader()
        self._frames: list[tuple[dict[str, Any], bytes]] = []

    def child_ends(self) -> list[int]:
        return [self.frames.fileno(), self.log_writer, self.raw_writer]

    def close_child_ends(self) -> None:
        self.frames.close()
        os.close(self.log_writer)
        os.close(self.raw_writer)

    def send(self, header: dict[str, Any], payload: bytes = b"") -> None:
        self.socket.sendall(encode_frame(header, payload))

    def frame(self) -> dict[str, Any]:
        while not self._frames:
            data = self.socket.recv(65536)
            assert data, "the process is gone"
            self._frames = self._reader.feed(data)
        return self._frames.pop(0)[0]

    def close(self) -> None:
        self.socket.close()
        os.close(self.logs)
        os.close(self.raw)


@pytest.fixture
def ends() -> Iterator[Ends]:
    made = Ends()
    yield made
    made.close()


def start_entry(ends: Ends, *command: str) -> subprocess.Popen[bytes]:
    names = zip(("--frames", "--logs", "--raw"), ends.child_ends(), strict=True)
    arguments = [str(word) for pair in names for word in pair]
    process = subprocess.Popen([*command, *arguments], pass_fds=ends.child_ends(), cwd=Path(entry.__file__).parents[2])
    ends.close_child_ends()
    return process


@pytest.mark.parametrize(
    "command",
    [
        [sys.executable, "-m", "core.runner.entry"],
        [sys.executable, "-I", "-S", entry.__file__],
        [sys.executable, "-I", entry.__file__],
    ],
    ids=["by name", "without packages", "isolated"],
)
def test_one_run_goes_through_without_a_zygote(ends: Ends, tmp_path: Path, command: list[str]) -> None:
    process = start_entry(ends, *command)
    ends.send(init_frame(tmp_path, body("print('hello')", "subprocess.run(['echo', 'below'])")), b"{}")
    assert [ends.frame()["t"] for _ in range(3)] == ["ready", "started", "step"]
    ends.send({"t": "ack", "seq": 1})
    assert process.wait(LIMIT) == 0
    assert json.loads(os.read(ends.logs, 4096)[4:])[2:] == ["stdout", "a", 1, 1, "hello"]
    assert os.read(ends.raw, 4096) == b"below\n"


@pytest.mark.parametrize("code", ["while True: pass", "await asyncio.sleep(600)", "time.sleep(600)"])
def test_a_run_process_ends_when_its_engine_is_gone(ends: Ends, tmp_path: Path, code: str) -> None:
    process = start_entry(ends, sys.executable, entry.__file__)
    child = "pid = subprocess.Popen(['setsid', 'sleep', '600']).pid"
    ends.send(init_frame(tmp_path, body(child, "open('child', 'w').write(str(pid))", "print('here')", code)), b"{}")
    os.read(ends.logs, 1)
    ends.socket.close()
    assert process.wait(LIMIT) == 0
    assert not alive(int((tmp_path / "child").read_text()))


def test_a_run_process_without_a_first_frame_ends_with_its_engine(ends: Ends) -> None:
    process = start_entry(ends, sys.executable, entry.__file__)
    ends.socket.close()
    assert process.wait(LIMIT) == 0


def test_a_zygote_forks_reports_and_ends(ends: Ends, tmp_path: Path) -> None:
    control, theirs = socket.socketpair()
    control.settimeout(LIMIT)
    command = [sys.executable, "-m", "core.runner.zygote", str(theirs.fileno())]
    zygote = subprocess.Popen(command, pass_fds=[theirs.fileno()], cwd=Path(entry.__file__).parents[2])
    theirs.close()
    try:
        assert report(control) == (READY, 0, zygote.pid, 0)
        rights = array.array("i", ends.child_ends())
        control.sendmsg([REQUEST.pack(5, 0)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        ends.close_child_ends()
        kind, number, pid, _ = report(control)
        assert (kind, number) == (FORKED, 5)
        ends.send(init_frame(tmp_path, body("os._exit(3)")), b"{}")
        assert report(control) == (EXITED, 0, pid, 3 << 8)
    finally:
        control.close()
        assert zygote.wait(LIMIT) == 0


def report(control: socket.socket) -> tuple[Any, ...]:
    return REPORT.unpack(control.recv(REPORT.size, socket.MSG_WAITALL))
