"""Links as QR codes: what is drawn is the code of the text, light around, and never cut."""

from __future__ import annotations

import pytest
import segno
from hypothesis import given
from hypothesis import strategies as st

from core.drawing.qr import QUIET, qr_lines

HALVES = {" ": (False, False), "▀": (True, False), "▄": (False, True), "█": (True, True)}
"""Whether the upper and the lower half of a sign are dark."""
LINK = "https://connect.example/link/lk_1234567890"


def modules_of(lines: list[str]) -> list[list[bool]]:
    """The rows of modules that the lines show, two of them in each."""
    return [[HALVES[sign][half] for sign in line] for line in lines for half in (0, 1)]


def code_of(text: str) -> list[list[bool]]:
    """The modules that the text has as a code, with nothing around."""
    made = segno.make_qr(text, error="l", boost_error=False)
    return [[bool(cell) for cell in row] for row in made.matrix_iter(border=0)]


def inner(rows: list[list[bool]], size: int) -> list[list[bool]]:
    """What stands in the middle, where everything around is light."""
    quiet = (len(rows[0]) - size) // 2
    assert quiet in QUIET
    assert not any(any(row) for row in (*rows[:quiet], *rows[quiet + size :]))
    body = rows[quiet : quiet + size]
    assert not any(cell for row in body for cell in (*row[:quiet], *row[quiet + size :]))
    return [row[quiet : quiet + size] for row in body]


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=300))
def test_what_is_drawn_is_the_code_of_the_text(text: str) -> None:
    lines = qr_lines(text, 200, 100)
    code = code_of(text)
    assert len({len(line) for line in lines}) == 1
    assert inner(modules_of(lines), len(code)) == code


@pytest.mark.parametrize("length", [1, 25, 80, 200, 500, 1000, 2900])
def test_links_of_every_length_are_drawn_whole(length: int) -> None:
    link = ("https://connect.example/?token=" + "aB3-_" * 600)[:length]
    code = code_of(link)
    assert inner(modules_of(qr_lines(link, 200, 100)), len(code)) == code


@given(st.integers(0, 80), st.integers(0, 40))
def test_a_code_has_as_much_light_around_as_fits_or_is_not_there(width: int, height: int) -> None:
    lines = qr_lines(LINK, width, height)
    code = code_of(LINK)

    def fits(quiet: int) -> bool:
        size = len(code) + 2 * quiet
        return size <= width and -(-size // 2) <= height

    wanted = next((quiet for quiet in QUIET if fits(quiet)), None)
    if wanted is None:
        assert lines == []
        return
    assert len(lines) <= height and len(lines[0]) == len(code) + 2 * wanted <= width
    assert inner(modules_of(lines), len(code)) == code


def test_what_no_code_can_hold_has_none() -> None:
    assert qr_lines("x" * 8000, 1000, 1000) == []
