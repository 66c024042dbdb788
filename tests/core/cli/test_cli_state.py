"""The state as people see it: JSON they can read, with what was left out named in its place."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from core.cli.state import state_lines
from core.link.types import Elided, StateView

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner, max_size=5),
    max_leaves=30,
)


def drawn(value: Any, *elided: Elided) -> str:
    raw = msgspec.Raw(msgspec.json.encode(value))
    lines = state_lines(StateView(run_id="r", seq=1, path=[], value=raw, elided=list(elided), size=0))
    return "\n".join("".join(part if isinstance(part, str) else part[0] for part in line) for line in lines)


@given(st.dictionaries(st.text(max_size=8), values, max_size=6))
def test_a_state_that_is_shown_whole_is_the_json_of_it(state: dict[str, Any]) -> None:
    assert json.loads(drawn(state)) == state


def test_short_lists_stay_on_one_line() -> None:
    assert drawn({"history": [25, 50], "words": ["a" * 40, "b" * 40]}).splitlines() == [
        "{",
        '  "history": [25, 50],',
        '  "words": [',
        f'    "{"a" * 40}",',
        f'    "{"b" * 40}"',
        "  ]",
        "}",
    ]


def test_what_was_left_out_is_named_with_its_size() -> None:
    text = drawn(
        {"mails": None, "body": None, "rows": [1, 2], "known": None},
        Elided(path=["mails"], kind="list", count=37, size=12_300),
        Elided(path=["body"], kind="text", count=9000, size=9_002),
        Elided(path=["rows"], kind="rest of list", count=998, size=0),
    )
    assert text.splitlines() == [
        "{",
        '  "mails": … list of 37, 12.3 kB,',
        '  "body": … text of 9000 characters, 9.0 kB,',
        '  "rows": [',
        "    1,",
        "    2",
        "    … 998 more",
        "  ],",
        '  "known": null',
        "}",
    ]


def test_the_whole_state_may_be_left_out() -> None:
    assert drawn(None, Elided(path=[], kind="dict", count=3, size=700)) == "… dict of 3, 700 B"
