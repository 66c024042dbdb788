from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.runner.capture import VISIT, LineStream, LogWriter, cut, cut_text
from core.runner.wire import LINE_LIMIT


@given(st.text(st.sampled_from("aé☃\U0001f600"), max_size=200).map(lambda text: text * 300))
def test_a_cut_line_loses_nothing_and_tears_no_character(line: str) -> None:
    pieces = cut(line.encode())
    assert b"".join(pieces) == line.encode()
    assert all(0 < len(piece) <= LINE_LIMIT for piece in pieces) or line == ""
    assert "".join(piece.decode() for piece in pieces) == line
    assert cut_text(line) == [piece.decode() for piece in pieces]


@given(st.binary(max_size=100).map(lambda data: data * 700))
def test_a_cut_of_any_bytes_ends(data: bytes) -> None:
    assert b"".join(cut(data)) == data


class Output:
    """A line stream and the records that it wrote."""

    def __init__(self, path: Path, lines: int = 1000, size: int = 10**6) -> None:
        self._path = path
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        self.writer = LogWriter(self._fd, lines, size)
        self.stream = LineStream(self.writer, "stdout", 20, 1)

    def records(self) -> list[Any]:
        data, found = self._path.read_bytes(), []
        while data:
            length = int.from_bytes(data[:4], "big")
            found.append(json.loads(data[4 : 4 + length]))
            data = data[4 + length :]
        return found

    def texts(self) -> list[Any]:
        return [record[6] for record in self.records()]

    def close(self) -> None:
        os.close(self._fd)


@pytest.fixture
def output(tmp_path: Path) -> Iterator[Output]:
    made = Output(tmp_path / "records")
    yield made
    made.close()


@given(pieces=st.lists(st.text(st.sampled_from("ab\n\r"), max_size=6)))
def test_pieces_of_text_become_the_lines_they_make(tmp_path_factory: pytest.TempPathFactory, pieces: list[str]) -> None:
    output = Output(tmp_path_factory.mktemp("lines") / "records")
    for piece in pieces:
        print(piece, end="", file=output.stream)
    output.stream.end_lines()
    expected = "".join(pieces).split("\n")
    assert output.texts() == (expected if expected[-1] else expected[:-1])
    output.close()


def test_lines_of_two_visits_are_kept_apart(output: Output) -> None:
    one = VISIT.set(("one", 1, 1))
    output.stream.write("o")
    VISIT.reset(one)
    two = VISIT.set(("two", 1, 1))
    output.stream.write("t\n")
    output.stream.write("rest")
    output.stream.end_lines(("one", 1, 1))
    VISIT.reset(two)
    assert [record[3:] for record in output.records()] == [["two", 1, 1, "t"], ["one", 1, 1, "o"]]


def test_bytes_split_inside_a_character_are_joined(output: Output) -> None:
    for byte in "é☃\n".encode():
        output.stream.buffer.write(bytes([byte]))
    assert output.texts() == ["é☃"]


def test_lines_over_the_limit_are_counted_once(tmp_path: Path) -> None:
    output = Output(tmp_path / "records", lines=2)
    for number in range(5):
        print(number, file=output.stream)
    output.writer.report()
    texts = output.texts()
    assert [text for text in texts if isinstance(text, str)] == ["0", "1"]
    assert sum(text for text in texts if isinstance(text, int)) == 3
    output.writer.report()
    assert output.texts() == texts
    output.close()


def test_printing_while_a_line_is_written_does_not_lock_up(output: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    """A finalizer may run, and print, at any point of a write, in the very thread that writes."""
    write = os.write

    def write_and_collect(fd: int, data: Any) -> int:
        monkeypatch.setattr(os, "write", write)
        print("finalizer", file=output.stream)
        return write(fd, data)

    monkeypatch.setattr(os, "write", write_and_collect)
    print("line", file=output.stream)
    assert output.texts() == ["finalizer", "line"]
    assert sys.stdout is not output.stream
