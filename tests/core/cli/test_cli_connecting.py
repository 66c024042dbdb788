"""An account connected at a terminal: its link, and the same as a QR code where there is room."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from typing import Any

import pyte
import pytest
import segno
from cli_double import DoubleEngine

from core.link.tool_types import ConnectView

LINK = "https://connect.example/link/lk_0123456789abcdef"
DARK, LIGHT = "000000", "ffffff"


class Stderr(io.StringIO):
    """A terminal that keeps what is written to it; `encoding` is that of where it runs."""

    def __init__(self, encoding: str = "utf-8", terminal: bool = True) -> None:
        super().__init__()
        self._encoding = encoding
        self._terminal = terminal

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding

    def isatty(self) -> bool:
        return self._terminal


@pytest.fixture
def connect(
    engine: DoubleEngine, rondo: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., pyte.Screen]:
    """Ask for the link of an account in a terminal of a given size; its screen."""

    async def connect_tool(*_: Any) -> ConnectView:
        return ConnectView(app="gmail", provider="composio", connection_id="ca_1", state="INITIATED", link=LINK)

    monkeypatch.setattr(engine, "connect_tool", connect_tool, raising=False)

    def call(*words: str, size: tuple[int, int] = (80, 24), stderr: Stderr | None = None, **env: str) -> pyte.Screen:
        stderr = stderr or Stderr()
        screen = pyte.Screen(*size)
        with monkeypatch.context() as patch:
            patch.delenv("NO_COLOR", raising=False)
            patch.delenv("FORCE_COLOR", raising=False)
            known = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "COLUMNS": str(size[0]), "LINES": str(size[1])}
            for name, value in {**known, **env}.items():
                patch.setenv(name, value)
            patch.setattr(sys, "stderr", stderr)
            assert rondo("authenticate-tool", "gmail", "--no-wait", *words).code == 3
        pyte.Stream(screen).feed(stderr.getvalue().replace("\n", "\r\n"))
        return screen

    return call


def code_on(screen: pyte.Screen) -> list[list[bool]]:
    """The modules that are drawn, dark or not, without the light ones around them."""
    modules: list[list[bool]] = []
    for y in range(screen.lines):
        cells = [screen.buffer[y][x] for x in range(screen.columns) if screen.buffer[y][x].bg in (DARK, LIGHT)]
        if not cells:
            continue
        modules.append([(cell.fg if cell.data == "▀" else cell.bg) == DARK for cell in cells])
        modules.append([(cell.fg if cell.data == "▄" else cell.bg) == DARK for cell in cells])
    dark_rows = [y for y, row in enumerate(modules) if any(row)]
    dark_columns = [x for row in modules for x, dark in enumerate(row) if dark]
    if not dark_rows:
        return []
    left, right = min(dark_columns), max(dark_columns)
    return [row[left : right + 1] for row in modules[dark_rows[0] : dark_rows[-1] + 1]]


def wanted() -> list[list[bool]]:
    made = segno.make_qr(LINK, error="l", boost_error=False)
    return [[bool(cell) for cell in row] for row in made.matrix_iter(border=0)]


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (40, 25), (80, 23)], ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("theme", ["truecolor", "256 colours"])
def test_a_link_is_a_code_for_a_phone_as_well_and_both_are_on_the_screen(
    size: tuple[int, int], theme: str, connect: Callable[..., pyte.Screen]
) -> None:
    screen = connect(size=size, COLORTERM="truecolor" if theme == "truecolor" else "")
    text = "".join(screen.display)
    assert "Open this in a browser" in text and LINK in text
    assert code_on(screen) == wanted()
    light = [cell for row in screen.buffer.values() for cell in row.values() if cell.bg in (DARK, LIGHT)]
    assert len(light) > len(wanted()) ** 2 / 2, "no light modules around the code"


@pytest.mark.parametrize(
    ("size", "kind", "env"),
    [
        ((80, 22), {}, {}),
        ((34, 40), {}, {}),
        ((3, 2), {}, {}),
        ((80, 24), {"encoding": "iso-8859-1"}, {}),
        ((80, 24), {}, {"NO_COLOR": "1"}),
        ((80, 24), {}, {"TERM": "dumb"}),
        ((80, 24), {"terminal": False}, {"FORCE_COLOR": "1"}),
    ],
    ids=["low", "narrow", "tiny", "no-blocks", "no-colours", "dumb", "a-file"],
)
def test_where_a_code_has_no_room_or_no_colours_there_is_the_link_alone(
    size: tuple[int, int], kind: dict[str, Any], env: dict[str, str], connect: Callable[..., pyte.Screen]
) -> None:
    stderr = Stderr(**kind)
    screen = connect(size=size, stderr=stderr, **env)
    assert LINK in stderr.getvalue()
    assert code_on(screen) == []


def test_a_program_gets_no_code_and_loads_nothing_for_it(
    connect: Callable[..., pyte.Screen], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("segno", "core.drawing.qr"):
        monkeypatch.setitem(sys.modules, name, None)  # importing it would fail
    stderr = Stderr()
    connect("--json", stderr=stderr)
    assert stderr.getvalue() == ""
    # Nor does a person whose terminal has no room.
    connect(size=(80, 12))
