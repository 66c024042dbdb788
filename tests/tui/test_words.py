"""Text as it is shown: nothing dangerous reaches the terminal, and everything fits."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len

from tui.text import bar, duration, fit, relative_time, shorten, size, stopwatch, visible, wrap

ANY_TEXT = st.text(max_size=200) | st.text(
    alphabet="\x00\x07\x1b\x7f\x85\x9b\u202e\u200b\ufeff\t\r\n[]m31;ab漢字é🙂", max_size=80
)


@given(ANY_TEXT)
def test_no_control_character_is_left(text: str) -> None:
    shown = visible(text)
    assert not any(ord(c) < 0x20 or 0x7F <= ord(c) <= 0x9F for c in shown)
    assert not any(c in shown for c in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200b\u200f\ufeff\u2028")


def test_an_escape_sequence_can_be_read() -> None:
    assert visible("\x1b[31mred\x07") == "␛[31mred␇"
    assert visible("a\tb\nc") == "a    b⏎c"
    assert visible("\x9b2J") == "\\x9b2J"
    assert visible("abc\u202etxt.exe") == "abc\\u202etxt.exe"


@given(ANY_TEXT.map(visible), st.integers(0, 40), st.booleans())
def test_fitted_text_takes_exactly_its_width(text: str, width: int, right: bool) -> None:
    assert cell_len(fit(text, width, right=right)) == width


@given(ANY_TEXT.map(visible), st.integers(1, 40))
def test_shortened_text_is_never_wider(text: str, width: int) -> None:
    assert cell_len(shorten(text, width)) <= width


@example("\x80\xa0", 4)
@given(ANY_TEXT, st.integers(4, 60))
def test_wrapped_lines_fit_and_lose_no_letter(text: str, width: int) -> None:
    lines = wrap(text, width)
    assert lines
    assert all(cell_len(line) <= width for line in lines)
    letters = "".join(visible(part) for part in text.split("\n")).replace(" ", "")
    assert "".join(lines).replace(" ", "") == letters


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "now"), (4.9, "now"), (42, "42s ago"), (200, "3m ago"), (7300, "2h ago"), (90_000, "1d ago")],
)
def test_times_are_told_in_one_unit(seconds: float, text: str) -> None:
    assert relative_time(1_000_000 - seconds, 1_000_000) == text


def test_old_times_stay_short() -> None:
    assert relative_time(0, 86400 * 100) == "3mo ago"
    assert relative_time(0, 86400 * 800) == "2y ago"


@given(st.floats(0, 10**7))
def test_durations_fit_their_column(seconds: float) -> None:
    assert 0 < len(duration(seconds)) <= 10


def test_durations_read_well() -> None:
    values = (0, 0.012, 1.2, 42, 70, 7500)
    assert [duration(value) for value in values] == ["<1ms", "12ms", "1.2s", "42s", "1:10", "2:05:00"]
    assert [stopwatch(value) for value in values] == ["0:00", "0:00", "0:01", "0:42", "1:10", "2:05:00"]


@given(st.floats(0, 1), st.integers(1, 40))
def test_a_bar_never_leaves_its_column_and_something_is_never_nothing(share: float, width: int) -> None:
    drawn = bar(share, width)
    assert len(drawn) <= width
    assert bool(drawn) == (share > 0)


def test_sizes() -> None:
    assert [size(count) for count in (812, 12_400, 3_400_000)] == ["812 B", "12 kB", "3.4 MB"]
