"""Parts of a state: everything is either sent or named, and a reply never grows beyond its limit."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.engine.state_parts import CHANGES_LIMIT, ITEM_LIMIT, TEXT_LIMIT, describe_changes, take_part, value_at
from core.errors import UsageError
from core.flow.delta import StateTracker
from core.link.types import REPLY_LIMIT, Elided, StateView

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
large_texts = st.builds(
    lambda part, times: part * times, st.sampled_from(["x", "\x01", "é", "\U0001f600"]), st.integers(0, 6_000)
)
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
repeated = st.builds(lambda item, times: [item] * times, scalars | texts, st.integers(0, 2 * ITEM_LIMIT)) | st.builds(
    lambda item, times: {str(n): item for n in range(times)}, scalars | texts, st.integers(0, 2 * ITEM_LIMIT)
)
values = st.recursive(
    scalars | texts | large_texts | repeated,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(texts, inner, max_size=5),
    max_leaves=8,
)
states = st.dictionaries(texts | large_texts, values, max_size=4)


def assert_complete(whole: Any, sent: Any, path: list[str | int], elided: dict[tuple[str | int, ...], Elided]) -> None:
    """Every value was sent as it is, or stands as null and is named, or is in a rest that is counted."""
    named = elided.get(tuple(path))
    if sent is None and whole is not None:
        assert named is not None, f"{path} is missing"
        assert not named.kind.startswith("rest")
        assert named.count == len(whole)
        assert named.size == len(orjson.dumps(whole))
        return
    if isinstance(whole, dict | list):
        assert type(sent) is type(whole)
        keys = list(whole) if isinstance(whole, dict) else list(range(len(whole)))
        sent_keys = list(sent) if isinstance(sent, dict) else list(range(len(sent)))
        assert sent_keys == keys[: len(sent_keys)]
        rest = named.count if named is not None else 0
        assert len(sent_keys) + rest == len(keys)
        for key in sent_keys:
            assert_complete(whole[key], sent[key], [*path, key], elided)
    else:
        assert sent == whole


@given(states, st.integers(1, 6))
def test_every_value_is_sent_or_named_and_the_reply_stays_small(state: dict[str, Any], depth: int) -> None:
    text = orjson.dumps(state)
    raw, elided, size = take_part(text, [], depth)
    assert size == len(text)
    assert len({(tuple(part.path), part.kind) for part in elided}) == len(elided)
    assert_complete(state, json.loads(bytes(raw)), [], {tuple(part.path): part for part in elided})
    view = StateView(run_id="r" * 36, seq=2**40, path=[], value=raw, elided=elided, size=size)
    assert len(msgspec.json.encode(view)) < REPLY_LIMIT


@pytest.mark.parametrize(
    "state",
    [
        {"\x01" * 30_000: 1, "\x02" * 30_000: 2},
        {"k" * 2_000 + str(n): {"a": [1]} for n in range(ITEM_LIMIT)},
        {str(n): "\x01" * TEXT_LIMIT for n in range(ITEM_LIMIT)},
        {"a": [{"b": ["\U0001f600" * TEXT_LIMIT] * 20} for _ in range(20)]},
        {"a": [[1.7976931348623157e308] * 200] * 200},
    ],
)
@pytest.mark.parametrize("depth", [1, 2, 32])
def test_awkward_states_fit_into_a_reply(state: dict[str, Any], depth: int) -> None:
    raw, elided, _ = take_part(orjson.dumps(state), [], depth)
    assert_complete(state, json.loads(bytes(raw)), [], {tuple(part.path): part for part in elided})
    view = StateView(run_id="r" * 36, seq=2**40, path=[], value=raw, elided=elided, size=1)
    assert len(msgspec.json.encode(view)) < REPLY_LIMIT


def test_what_was_left_out_can_be_read_by_its_path() -> None:
    state = orjson.dumps({"a": {"b": [{"c": 1}, {"c": [1, 2]}]}})
    raw, elided, _ = take_part(state, [], 1)
    assert json.loads(bytes(raw)) == {"a": None}
    (part,) = elided
    assert (part.path, part.kind, part.count, part.preview) == (["a"], "dict", 1, '{"b":[{"c":1},{"c":[1,2]}]}')
    raw, elided, size = take_part(state, ["a", "b", 1], 3)
    assert (json.loads(bytes(raw)), elided, size) == ({"c": [1, 2]}, [], 11)


@pytest.mark.parametrize("path", [["x"], ["a", "x"], ["a", 0], ["list", 3], ["list", "0"], ["text", 0, "y"]])
def test_a_path_that_leads_nowhere_is_named_as_a_person_writes_it(path: list[str | int]) -> None:
    with pytest.raises(UsageError, match="shared") as caught:
        value_at({"a": {"b": 1}, "list": [1], "text": "t"}, path)
    assert caught.value.next_step


@given(states, states)
def test_the_changes_of_a_step_name_what_differs(before: dict[str, Any], after: dict[str, Any]) -> None:
    tracker = StateTracker(json.loads(orjson.dumps(before)))
    live = json.loads(orjson.dumps(before))
    live.clear()
    live.update(json.loads(orjson.dumps(after)))
    delta = tracker.commit_delta(live)
    changes = describe_changes(orjson.dumps(before), orjson.dumps(after), delta.operations)
    assert len(changes) <= min(delta.changed, CHANGES_LIMIT)
    assert bool(changes) == (before != after)
    assert len(msgspec.json.encode(changes)) < REPLY_LIMIT or len(changes) == 1
    for change in changes:
        if change.op == "del":
            assert change.after is None
        else:
            assert change.after is not None
