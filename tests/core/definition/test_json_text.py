"""Strict JSON with positions, against the standard library's parser."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.definition.json_text import JsonProblem, Path, find_positions, parse_json

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=20
)
LAYOUTS = st.sampled_from(
    [{}, {"indent": 2}, {"indent": "\t"}, {"separators": (" , ", " : ")}, {"ensure_ascii": False, "indent": 1}]
)


def places(value: Any, path: Path = ()) -> dict[Path, Any]:
    """Every path of a document with its value."""
    found = {path: value}
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            found |= places(item, (*path, key))
    return found


@given(VALUES, LAYOUTS)
def test_every_place_is_found_where_it_stands(value: Any, layout: dict[str, Any]) -> None:
    text = json.dumps(value, **layout)
    assert parse_json(text) == value
    known = places(value)
    positions = find_positions(text, known)
    assert positions.keys() == known.keys()
    assert len(set(positions.values())) >= len(known) - 1  # the document and nothing else may share a place
    decoder = json.JSONDecoder()
    lines = text.split("\n")
    for path, (line, column) in positions.items():
        rest = "\n".join([lines[line - 1][column - 1 :], *lines[line:]])
        expected = path[-1] if path and isinstance(path[-1], str) else known[path]
        assert decoder.raw_decode(rest)[0] == expected


def test_a_place_that_is_not_there_gets_the_nearest_above_it() -> None:
    text = '{"a": [\n  {"b": 1}]}'
    wanted: list[Path] = [("a", 0, "c"), ("a", 7), ("x",), ("a", 0, "b", "deep")]
    assert find_positions(text, wanted) == {
        ("a", 0, "c"): (2, 3),
        ("a", 7): (1, 2),
        ("x",): (1, 1),
        ("a", 0, "b", "deep"): (2, 4),
    }


@given(st.text(max_size=40) | st.text('{}[]",:\\ \n01aeEtrufalsnN-+.', max_size=40))
def test_what_is_taken_is_json_and_what_is_refused_has_a_place(text: str) -> None:
    try:
        value = parse_json(text)
    except JsonProblem as problem:
        assert problem.kind in ("syntax", "limit", "duplicate", "value")
        assert problem.message
        assert problem.line >= 1
        assert problem.column >= 1
    else:
        assert json.loads(text) == value
        json.dumps(value, allow_nan=False).encode()


@pytest.mark.parametrize(
    ("text", "kind", "line", "column"),
    [
        ('{"a": 1,\n "b": {"a": 2}, "a": 3}', "duplicate", 2, 17),
        ('[{"a": 1}, {"a": 1}]', "", 0, 0),
        ('{"a\\u0062": 1, "ab": 2}', "duplicate", 1, 16),
        ('["NaN", NaN]', "value", 1, 9),
        ("[-Infinity]", "value", 1, 2),
        ("[" * 101 + "]" * 101, "limit", 1, 101),
        ("[" * 100 + "]" * 100, "", 0, 0),
        ('{"\\ud800": 1}', "value", 1, 2),
        ('["\\ud83d\\ude00"]', "", 0, 0),
        ("[-9223372036854775808, 18446744073709551615]", "", 0, 0),
        ("[-9223372036854775809]", "value", 1, 2),
    ],
)
def test_the_borders_of_what_can_be_stored(text: str, kind: str, line: int, column: int) -> None:
    if not kind:
        parse_json(text)
        return
    with pytest.raises(JsonProblem) as caught:
        parse_json(text)
    assert (caught.value.kind, caught.value.line, caught.value.column) == (kind, line, column)
