"""The state as a tree: everything can be reached, changes are marked, nothing is loaded without need."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from core.engine.state_parts import take_part
from core.link.types import ChangeView, Elided
from tui.state_tree import StateTree, TreeLine, path_text

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=90),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=6), inner, max_size=6),
    max_leaves=30,
)
STATES = st.dictionaries(st.text(max_size=6), JSON, max_size=6)


def tree_of(value: Any, changes: list[ChangeView] | None = None, depth: int = 3) -> StateTree:
    """The tree as the screen gets it: with what the engine leaves out left out."""
    part, elided, size = take_part(json.dumps(value).encode(), [], depth)
    tree = StateTree()
    tree.set_state(json.loads(bytes(part)), elided, changes or [], size)
    return tree


def line_at(tree: StateTree, *path: str | int) -> TreeLine:
    return next(line for line in tree.lines(80) if line.path == path)


@given(STATES)
def test_opening_every_branch_shows_the_whole_state(state: dict[str, Any]) -> None:
    tree = tree_of(state)
    text = json.dumps(state).encode()
    for _ in range(200):
        closed = next((line for line in tree.lines(80) if line.sign == "▸"), None)
        if closed is None:
            break
        wanted = tree.open(closed.path)
        if wanted is not None:
            part, elided, _ = take_part(text, list(wanted), 3)
            tree.put_part(wanted, json.loads(bytes(part)), elided)
    assert tree.value == state
    assert not tree.has_elided(())


@given(STATES)
def test_no_line_holds_a_control_character(state: dict[str, Any]) -> None:
    tree = tree_of(state)
    for line in tree.lines(80):
        tree.open(line.path)
    for line in tree.lines(80):
        assert not any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 for c in line.key + line.text + line.before)


def test_what_a_step_changed_is_marked_and_in_view() -> None:
    state = {"digest": {"title": "Monday", "score": 81}, "mails": [1, 2, 3], "left": {}}
    tree = tree_of(
        state,
        [
            ChangeView(op="set", path=["digest", "title"], before=None, after='"Monday"'),
            ChangeView(op="set", path=["digest", "score"], before="62", after="81"),
            ChangeView(op="append", path=["mails"], before="[1,2]", after="[1,2,3]"),
            ChangeView(op="del", path=["left", "old"], before='"x"', after=None),
        ],
    )
    assert line_at(tree, "digest", "title").mark == "+"
    score = line_at(tree, "digest", "score")
    assert (score.mark, score.before, score.text) == ("~", "62", "81")
    assert line_at(tree, "mails").mark == "+"
    gone = line_at(tree, "left", "old")
    assert (gone.mark, gone.text) == ("-", '"x"')
    assert len(tree.changed_paths) == 4


def test_a_closed_branch_says_that_something_in_it_changed() -> None:
    tree = tree_of({"a": {"b": 1}}, [ChangeView(op="set", path=["a", "b"], before="0", after="1")])
    tree.close(("a",))
    assert line_at(tree, "a").mark == "~"


def test_items_that_moved_up_are_not_shown_as_gone() -> None:
    tree = tree_of({"missing": ["c"]}, [ChangeView(op="del", path=["missing", 0], before='"a"', after=None)])
    assert line_at(tree, "missing").mark == "~"
    assert [line.key for line in tree.lines(80)] == ["shared", "missing", "0"]


def test_open_branches_stay_open_at_the_next_step() -> None:
    tree = tree_of({"a": {"b": {"c": 1}}})
    tree.open(("a",))
    tree.set_state({"a": {"b": {"c": 2}}, "z": 1}, [], [])
    assert tree.is_open(("a",))
    tree.close(("a",))
    tree.set_state({"a": {"b": {"c": 3}}}, [], [ChangeView(op="set", path=["a", "b", "c"], before="2", after="3")])
    assert not tree.is_open(("a",))


def test_what_is_left_out_is_named_and_loaded_when_it_is_opened() -> None:
    tree = tree_of({"deep": {"er": {"and": {"more": [1, 2]}}}, "long": "x" * 9000})
    tree.open(("deep",))
    tree.open(("deep", "er"))
    assert "dict of 1" in line_at(tree, "deep", "er", "and").text
    assert tree.open(("deep", "er", "and")) == ("deep", "er", "and")
    assert "text of 9,000" in line_at(tree, "long").text
    assert tree.has_elided(("deep",))


def test_the_rest_of_a_long_list_is_counted() -> None:
    tree = StateTree()
    tree.set_state({"rows": [0, 1]}, [Elided(path=["rows"], kind="rest of list", count=298, size=0)], [])
    assert line_at(tree, "rows").text == "list of 300"
    tree.open(("rows",))
    assert any(line.text == "298 more" for line in tree.lines(80))


def test_long_texts_open_into_lines() -> None:
    tree = tree_of({"text": "first line\nsecond " + "word " * 40})
    assert line_at(tree, "text").sign == "▸"
    tree.toggle(("text",))
    lines = [line.text for line in tree.lines(60) if line.path == ("text",)]
    assert lines[1] == "first line"
    assert len(lines) > 4


def test_paths_are_written_as_in_code() -> None:
    assert path_text(("mails", 3, "from")) == "shared['mails'][3]['from']"
