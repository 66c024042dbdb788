"""What people and programs get to read."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.cli.documents import error_document
from core.cli.output import ago, byte_size, clock_time, duration, encode_document, iso_time, one_line, visible
from core.link.types import ErrorView, Status

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.text(st.characters(codec=None)))
def test_no_text_keeps_what_a_terminal_would_obey(text: str) -> None:
    shown = visible(text)
    unsafe = [c for c in shown if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") and c not in "\t\n"]
    assert unsafe == []
    assert not any(c in shown for c in "\u202a\u202b\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")
    assert visible(shown) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", "^[[31mred"),
        ("a\rb", "a^Mb"),
        ("\x7f", "^?"),
        ("\x9b1m", "\\x9b1m"),
        ("\u202eevil", "\\u202eevil"),
    ],
)
def test_control_characters_are_written_out(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_ordinary_text_stays_as_it_is() -> None:
    text = "naïve 日本語 🎉\tand\na line"
    assert visible(text) == text


@given(st.text())
def test_one_line_is_one_line(text: str) -> None:
    assert "\n" not in one_line(text)


@given(json_values)
def test_documents_say_the_same_after_their_unsafe_characters_are_escaped(value: Any) -> None:
    text = encode_document({"value": value})
    assert json.loads(text) == {"value": value}
    assert not any(0x7F <= ord(c) <= 0x9F for c in text)


def test_times_are_iso_8601_in_utc_with_milliseconds() -> None:
    assert iso_time(1_767_323_045.678) == "2026-01-02T03:04:05.678Z"
    assert iso_time(0) == "1970-01-01T00:00:00.000Z"
    assert iso_time(None) is None


def test_the_time_of_day_has_seconds() -> None:
    text = clock_time(1_767_323_045.678)
    assert len(text) == 8
    assert text.count(":") == 2


@pytest.mark.parametrize(
    ("age", "words"),
    [
        (0, "now"),
        (4, "now"),
        (-30, "now"),
        (12, "12s ago"),
        (59.9, "59s ago"),
        (60, "1m ago"),
        (7199, "1h ago"),
        (3 * 86400, "3d ago"),
    ],
)
def test_ages_are_short_words(age: float, words: str) -> None:
    assert ago(1000.0, now=1000.0 + age) == words


def test_what_never_was_has_no_age() -> None:
    assert ago(None) == "never"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0123, "12ms"),
        (0.9994, "999ms"),
        (0.9996, "1.0s"),
        (1.24, "1.2s"),
        (9.94, "9.9s"),
        (42, "0:42"),
        (59.6, "1:00"),
        (3723, "1:02:03"),
    ],
)
def test_durations_are_short(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_a_longer_time_never_reads_as_negative(one: float, other: float) -> None:
    assert duration(one - other)[0] != "-"


@pytest.mark.parametrize(("count", "words"), [(0, "0 B"), (999, "999 B"), (4100, "4.1 kB"), (2_300_000, "2.3 MB")])
def test_sizes_have_units(count: int, words: str) -> None:
    assert byte_size(count) == words


def test_an_error_document_has_what_the_interface_promises() -> None:
    error = ErrorView(type="ValueError", message="no", cause="why", next_step="do", node="talk")
    document = error_document(error)
    assert document is not None
    assert {name: document[name] for name in ("node", "type", "message", "cause", "next_step")} == {
        "node": "talk",
        "type": "ValueError",
        "message": "no",
        "cause": "why",
        "next_step": "do",
    }


def test_every_status_has_a_sign_and_a_word() -> None:
    from typing import get_args

    from core.cli.output import STATUS_STYLES
    from core.link.status import LOOKS

    assert set(LOOKS) == set(get_args(Status))
    assert len({look.sign for look in LOOKS.values()}) == len({look.word for look in LOOKS.values()}) == len(LOOKS)
    assert {look.ink for look in LOOKS.values()} <= set(STATUS_STYLES)
