"""The files that runs leave: listed and read by pieces, and nothing beside them."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import pytest
from workbench import Workbench

from core.engine import output_files
from core.engine.inline import InlinePool
from core.engine.output_files import list_files, read_file
from core.errors import UnknownRun, UsageError

WRITES = """
class Report(Node):
    def execute(self, prepared):
        (self.output_dir / "parts").mkdir(parents=True, exist_ok=True)
        (self.output_dir / "report.md").write_text("# Größe\\n")
        (self.output_dir / "parts" / "a.bin").write_bytes(b"\\0\\1")
"""


async def test_the_files_of_a_run_are_listed_and_read(tmp_path: Path) -> None:
    bench = Workbench(tmp_path)
    bench.write("report", WRITES)
    async with bench.running(pool=InlinePool()) as engine:
        view = await bench.run("report")
        page = await engine.list_output(view.run_id)
        assert [(file.path, file.size, file.kind) for file in page.files] == [
            ("parts/a.bin", 2, "file"),
            ("report.md", 10, "file"),
        ]
        assert (page.count, page.size, page.more, page.folder) == (2, 12, False, view.output_dir)
        part = await engine.read_output(view.run_id, "report.md")
        assert (part.data.decode(), part.text, part.size) == ("# Größe\n", True, 10)
        assert not (await engine.read_output(view.run_id, "parts/a.bin")).text
        piece = await engine.read_output(view.run_id, "report.md", offset=2, limit=3)
        assert (piece.data, piece.offset) == (b"Gr" + "ö".encode()[:1], 2)
        with pytest.raises(UnknownRun):
            await engine.list_output(uuid.uuid4().hex)


def test_a_run_without_files_has_an_empty_list(tmp_path: Path) -> None:
    page = list_files(tmp_path / "never made", "", 100)
    assert (page.files, page.count, page.more) == ([], 0, False)


def test_many_files_come_page_by_page(tmp_path: Path) -> None:
    for number in range(25):
        (tmp_path / f"{number:02}.txt").touch()
    seen: list[str] = []
    page = list_files(tmp_path, "", 10)
    while page.files:
        seen += [file.path for file in page.files]
        page = list_files(tmp_path, seen[-1], 10)
    assert seen == [f"{number:02}.txt" for number in range(25)]


def test_a_folder_without_end_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_files, "LOOKED_AT", 5)
    for number in range(9):
        (tmp_path / f"{number}.txt").touch()
    page = list_files(tmp_path, "", 100)
    assert (len(page.files), page.cut) == (5, True)


@pytest.mark.parametrize("path", ["", "../secret", "/etc/passwd", "a/../../secret", "link", "below/secret", "sub", "x"])
def test_nothing_but_files_of_the_folder_is_read(tmp_path: Path, path: str) -> None:
    folder, outside = tmp_path / "output", tmp_path / "outside"
    (folder / "sub").mkdir(parents=True)
    outside.mkdir()
    (tmp_path / "secret").write_text("no")
    (outside / "secret").write_text("no")
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "below").symlink_to(outside)
    with pytest.raises(UsageError):
        read_file(folder, path, 0, 100)


def test_a_pipe_is_listed_and_nobody_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    assert [(file.path, file.kind) for file in list_files(tmp_path, "", 9).files] == [
        ("link", "link"),
        ("pipe", "other"),
    ]
    with pytest.raises(UsageError):
        read_file(tmp_path, "pipe", 0, 100)


@pytest.mark.parametrize(
    ("data", "is_text"),
    [
        (b"", True),
        ("Größe".encode(), True),
        (b"abc" + "€".encode()[:2], True),
        (b"\x89PNG\r\n", False),
        (b"a\0b", False),
        (b"\xff\xfe", False),
    ],
)
def test_text_is_told_from_the_rest_also_where_a_letter_is_cut(tmp_path: Path, data: bytes, is_text: bool) -> None:
    (tmp_path / "file").write_bytes(data)
    assert read_file(tmp_path, "file", 0, 100).text is is_text


def test_a_piece_of_a_text_that_begins_within_a_letter_is_text(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("öabc")
    assert read_file(tmp_path, "file", 1, 2).text
