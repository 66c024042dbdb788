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
from core.runner.log_share import Allowance, Pool
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

    def __init__(self, path: Path, lines: int = 1000, size: int = 10**6, reserve: int = 0) -> None:
        self._path = path
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        self.writer = LogWriter(self._fd, Allowance(Pool(lines, size), Pool(reserve, size)))
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
    output = Output(tmp_path / "records", lines=8)
    for number in range(5):
        print(number, file=output.stream)
    output.writer.end_visits()
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


def visit_prints(output: Output, node: str, *lines: str) -> None:
    token = VISIT.set((node, 1, 1))
    for line in lines:
        print(line, file=output.stream)
    output.writer.end_visit(VISIT.get())
    VISIT.reset(token)


def test_a_chatty_node_leaves_room_for_the_next_and_keeps_its_last_lines(tmp_path: Path) -> None:
    output = Output(tmp_path / "records", lines=400, reserve=1000)
    visit_prints(output, "chatty", *(f"c{number}" for number in range(5000)))
    visit_prints(output, "quiet", "hello")
    output.writer.report()
    records = [record for record in output.records() if isinstance(record[6], str)]
    chatty = [record[6] for record in records if record[3] == "chatty"]
    assert chatty[:100] == [f"c{number}" for number in range(100)]
    assert chatty[100] == "… 4800 lines were not kept: more was printed than one attempt's share; the last 100 follow"
    assert chatty[101:] == [f"c{number}" for number in range(4900, 5000)]
    assert [record[6] for record in records if record[3] == "quiet"] == ["hello"]
    assert sum(text for text in output.texts() if isinstance(text, int)) == 4800
    output.close()


def test_errors_are_kept_though_the_share_is_used_up(tmp_path: Path) -> None:
    output = Output(tmp_path / "records", lines=4, reserve=400)
    for number in range(300):
        output.writer.write(20, "log", f"line {number}")
    output.writer.write(40, "log", "it broke")
    assert [text for text in output.texts() if isinstance(text, str)] == ["line 0", "it broke"]
    output.close()


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 300), st.sampled_from([20, 40])), max_size=12),
    st.integers(0, 300),
    st.integers(0, 100),
)
def test_never_more_than_allowed_is_kept_and_every_other_line_is_counted(
    tmp_path_factory: pytest.TempPathFactory, floods: list[tuple[str, int, int]], lines: int, reserve: int
) -> None:
    output = Output(tmp_path_factory.mktemp("floods") / "records", lines=lines, reserve=reserve)
    printed = 0
    for place, (node, count, level) in enumerate(floods):
        printed += count
        for number in range(count):
            output.writer.write(level, "log", f"{number}", (node, 1, 1))
        if place % 3 == 2:
            output.writer.end_visit((node, 1, 1))
    output.writer.end_visits()
    output.writer.report()
    texts = output.texts()
    kept = [text for text in texts if isinstance(text, str) and not text.startswith("…")]
    assert len(kept) <= lines + reserve
    assert len(kept) + sum(text for text in texts if isinstance(text, int)) == printed
    output.close()
