"""What a step changed: found, written down, applied; with orjson and with the standard library alone."""

from __future__ import annotations

import copy
import dataclasses
import datetime
import decimal
import enum
import importlib
import json
import pathlib
import sys
import uuid
from collections import OrderedDict, defaultdict, namedtuple
from types import ModuleType
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

import core
import core.flow.delta
from core.errors import StateValueError
from core.flow.journal import Delta


def load_without_orjson() -> ModuleType:
    """`core.flow.delta` as it is where orjson is not installed."""
    package = core.flow
    kept = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[2].startswith("flow")}
    kept["orjson"] = sys.modules["orjson"]
    sys.modules["orjson"] = None  # type: ignore[assignment]
    try:
        return importlib.import_module("core.flow.delta")
    finally:
        for name in list(sys.modules):
            if name.partition(".")[2].startswith("flow") and name.startswith("core."):
                del sys.modules[name]
        sys.modules.update(kept)
        core.flow = package


WITH_ORJSON = core.flow.delta
WITHOUT_ORJSON = load_without_orjson()
both = pytest.mark.parametrize("delta", [WITH_ORJSON, WITHOUT_ORJSON], ids=["orjson", "standard library"])

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.integers(-2, 2)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([0.0, -0.0, 1.0, "", "a,b]", '"', "x" * 5000])
    | texts
)
keys = st.sampled_from(["a", "b", "c", "d"]) | texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=6) | st.dictionaries(keys, inner, max_size=5), max_leaves=25
)
states = st.dictionaries(keys, values, max_size=5)


def exactly(value: Any) -> str:
    """A text that is equal for two values only where type, order of keys and every bit are."""
    return json.dumps(value)


def types_of(value: Any) -> set[type]:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return {type(value)}.union(*map(types_of, parts))


@both
def test_the_two_ways_are_both_tried(delta: ModuleType) -> None:
    assert delta.CONVERTS_SILENTLY is (delta is WITHOUT_ORJSON)


@both
@given(before=states, after=states)
def test_applying_the_difference_gives_the_new_state(delta: ModuleType, before: Any, after: Any) -> None:
    check_step(delta, before, lambda live: (live.clear(), live.update(copy.deepcopy(after))), after)


@both
@given(before=states, data=st.data())
def test_edits_in_place_are_found_wherever_they_are(delta: ModuleType, before: Any, data: st.DataObject) -> None:
    tracker, live = delta.StateTracker(state := copy.deepcopy(before)), state
    replica = copy.deepcopy(before)
    for _ in range(data.draw(st.integers(1, 4))):
        for _ in range(data.draw(st.integers(0, 3))):
            edit(live, data)
        wanted = exactly(live)
        made = tracker.commit_delta(live)
        delta.apply_delta(replica, made.operations, made.blobs)
        assert exactly(replica) == exactly(live) == wanted
        assert delta.loads(delta.encode_state(live)) == live
        assert exactly(tracker.committed_state()) == wanted
        assert len(json.loads(made.operations)) == made.changed


awkward = st.recursive(
    st.sampled_from(
        [
            0,
            -0.0,
            0.0,
            5e-324,
            1.7976931348623157e308,
            1e16,
            0.1,
            2**53 + 1,
            2**63,
            2**64 - 1,
            -(2**63),
            None,
            True,
            False,
            "",
        ]
    )
    | st.text(st.sampled_from('a\u0000\u2028"\\\x7fé\ufeff\U0001f600\u0301'), max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["", "\u0000", "0", "é", "e\u0301", "a.b"]), inner)
    ),
    max_leaves=12,
)
awkward_states = st.dictionaries(st.sampled_from(["", "\u0000", "0", "é", "e\u0301", "a.b"]), awkward, max_size=4)


@both
@given(before=awkward_states, after=awkward_states)
def test_the_edges_of_json_are_kept_to_the_bit(delta: ModuleType, before: Any, after: Any) -> None:
    check_step(delta, before, lambda live: (live.clear(), live.update(copy.deepcopy(after))), after)


def nested(value: Any, ways: list[Any]) -> Any:
    """The value below one list or dict for each way down."""
    for way in ways:
        value = {way: value} if isinstance(way, str) else [*range(way), value]
    return value


@both
@given(ways=st.lists(st.integers(0, 2) | st.sampled_from(["", "a"]), max_size=120), old=scalars, new=scalars)
def test_a_change_is_found_however_deep_it_is(delta: ModuleType, ways: list[Any], old: Any, new: Any) -> None:
    before, after = {"top": nested(old, ways)}, {"top": nested(new, ways)}
    check_step(delta, before, lambda live: live.update(copy.deepcopy(after)), after)


@both
@given(
    old=st.lists(st.integers(0, 3) | st.lists(st.integers(0, 1), max_size=1), max_size=200),
    cut=st.integers(0, 200),
    more=st.lists(st.integers(0, 3), max_size=200),
    at_front=st.integers(0, 80),
)
def test_a_list_that_grows_and_shrinks_at_its_ends_is_kept(
    delta: ModuleType, old: list[Any], cut: int, more: list[int], at_front: int
) -> None:
    new = (old[at_front:] + more)[: max(0, len(old) + len(more) - cut)]
    check_step(delta, {"l": old}, lambda live: live.update(l=copy.deepcopy(new)), {"l": new})


def check_step(delta: ModuleType, before: Any, change: Any, after: Any) -> Delta:
    live, replica = copy.deepcopy(before), copy.deepcopy(before)
    tracker = delta.StateTracker(live)
    change(live)
    made = tracker.commit_delta(live)
    delta.apply_delta(replica, made.operations, made.blobs)
    assert exactly(live) == exactly(replica) == exactly(after)
    assert all(len(text) <= 4096 + 200 for text in made.operations.split(b'"set"'))
    assert changes_nothing(tracker.commit_delta(live))
    return made


def changes_nothing(made: Delta) -> bool:
    return (made.operations, made.blobs, made.changed) == (b"[]", (), 0)


def edit(live: Any, data: st.DataObject) -> None:
    """One change somewhere inside, as node code makes them."""
    place = live
    while data.draw(st.booleans()):
        inner = [
            item for item in (place.values() if isinstance(place, dict) else place) if isinstance(item, dict | list)
        ]
        if not inner:
            break
        place = data.draw(st.sampled_from(inner))
    if isinstance(place, dict):
        edit_dict(place, data)
    else:
        edit_list(place, data)


def edit_dict(place: Any, data: st.DataObject) -> None:
    match data.draw(st.integers(0, 3)):
        case 0 if place:
            del place[data.draw(st.sampled_from(list(place)))]
        case 1 if place:
            key = data.draw(st.sampled_from(list(place)))
            place[key] = place.pop(key)
        case _:
            place[data.draw(keys)] = data.draw(values)


def edit_list(place: Any, data: st.DataObject) -> None:
    match data.draw(st.integers(0, 6)):
        case 0 if place:
            place.pop(0)
        case 1 if place:
            place.pop()
        case 2 if place:
            place[data.draw(st.integers(0, len(place) - 1))] = data.draw(values)
        case 3:
            place.insert(data.draw(st.integers(0, len(place))), data.draw(values))
        case 4 if place:
            place.reverse()
        case _:
            place.append(data.draw(values))


# What comes out -----------------------------------------------------------------------------------------------------


def made_by(before: Any, change: Any) -> list[Any]:
    live = copy.deepcopy(before)
    tracker = WITH_ORJSON.StateTracker(live)
    change(live)
    return json.loads(tracker.commit_delta(live).operations)


ROWS = [{"id": number, "name": f"row {number}"} for number in range(300)]


@pytest.mark.parametrize(
    ("before", "change", "operations"),
    [
        ({"n": 1}, lambda s: None, []),
        ({"n": 1}, lambda s: s.update(n=1), []),
        ({"n": 1}, lambda s: s.update(n=True), [["set", ["n"], True]]),
        ({"n": 1}, lambda s: s.update(n=1.0), [["set", ["n"], 1.0]]),
        ({"n": 0.0}, lambda s: s.update(n=-0.0), [["set", ["n"], -0.0]]),
        ({"a": 1, "b": 2}, lambda s: s.pop("a"), [["del", ["a"]]]),
        ({"a": 1, "b": 2}, lambda s: s.update(a=s.pop("a")), [["del", ["a"]], ["set", ["a"], 1]]),
        ({"l": ROWS[:9]}, lambda s: s["l"].append(2), [["append", ["l"], [2]]]),
        ({"l": []}, lambda s: s["l"].append(2), [["append", ["l"], [2]]]),
        ({"x": {"l": ROWS[:9]}}, lambda s: s["x"]["l"].append(7), [["append", ["x", "l"], [7]]]),
        ({"l": ROWS}, lambda s: s["l"].append(s["l"].pop(0)), [["del", ["l", 0]], ["append", ["l"], [ROWS[0]]]]),
        ({"l": ROWS}, lambda s: s["l"].pop(), [["del", ["l", 299]]]),
        ({"l": ROWS}, lambda s: s["l"][270].update(id=-1), [["set", ["l", 270, "id"], -1]]),
        ({"d": {"k": ROWS, "n": 1}}, lambda s: s["d"].update(n=2), [["set", ["d", "n"], 2]]),
        ({"d": {"k": ROWS, "n": 1}}, lambda s: s["d"].pop("n"), [["del", ["d", "n"]]]),
        ({"l": [1, 2, 3]}, lambda s: s["l"].clear(), [["set", ["l"], []]]),
        ({"l": list(range(300))}, lambda s: s.update(l=[0]), [["set", ["l"], [0]]]),
        ({"l": [[1]] * 20}, lambda s: s.update(l=[[n] for n in range(20)]), [["set", ["l"], [[n] for n in range(20)]]]),
    ],
)
def test_a_delta_says_no_more_than_what_changed(before: Any, change: Any, operations: list[Any]) -> None:
    assert exactly(made_by(before, change)) == exactly(operations)


def test_a_large_value_is_a_blob_and_is_written_once() -> None:
    text = "x" * 5000
    live: dict[str, Any] = {"n": 0, "log": ["start", "x" * 100]}
    tracker = WITH_ORJSON.StateTracker(live)
    live["text"] = text
    live["log"].append(text)
    made = tracker.commit_delta(live)
    assert json.loads(made.operations) == [["appendb", ["log"], 0], ["setb", ["text"], 1]]
    assert [json.loads(blob) for blob in made.blobs] == [[text], text]
    assert WITH_ORJSON.changes(made) == [("append", ["log"]), ("set", ["text"])]
    live["n"] = 1
    assert tracker.commit_delta(live) == Delta(b'[["set",["n"],1]]', (), 1)


@both
def test_tuples_become_lists_and_two_names_of_one_list_become_two_lists(delta: ModuleType) -> None:
    live: dict[str, Any] = {"old": [1]}
    tracker = delta.StateTracker(live)
    both_names: list[Any] = []
    live.update(pair=(1, (2, {"x": (3,)})), a=both_names, b=both_names, c=live["old"])
    tracker.commit_delta(live)
    assert tuple not in types_of(live)
    live["a"].append(1)
    live["old"].append(2)
    assert live["b"] == []
    assert live["c"] == [1]


@both
def test_a_change_that_leaves_the_json_as_it_was_is_taken_back_too(delta: ModuleType) -> None:
    live: dict[str, Any] = {"pair": {"p": [1, 2]}, "a": [5], "b": [5]}
    tracker = delta.StateTracker(live)
    live["pair"]["p"] = (1, 2)
    live["b"] = live["a"]
    assert changes_nothing(tracker.commit_delta(live))
    assert live["pair"]["p"] == [1, 2]
    live["a"].append(6)
    assert live["b"] == [5]
    live["pair"]["p"] = None
    tracker.commit_delta(live)
    live["pair"]["p"] = float("nan")
    with pytest.raises(StateValueError):
        tracker.commit_delta(live)


def test_the_bytes_stored_after_a_resume_are_those_of_the_run_that_went_on() -> None:
    live: dict[str, Any] = {"n": 0, "l": [1.0, -0.0, 1e300, "é"], "d": {}}
    replica = copy.deepcopy(live)
    tracker = WITH_ORJSON.StateTracker(live)
    for number in range(50):
        live["n"] = number
        live["l"].append((number, {"k": number / 3}))
        live["d"][f"k{number % 7}"] = live["l"][-1]
        made = tracker.commit_delta(live)
        WITH_ORJSON.apply_delta(replica, made.operations, made.blobs)
        assert WITH_ORJSON.encode_state(replica) == WITH_ORJSON.encode_state(live)


@both
def test_a_step_that_failed_leaves_the_state_as_it_was(delta: ModuleType) -> None:
    before = {"n": 1, "l": ["a longer text", [2]], "t": "x"}
    live: dict[str, Any] = copy.deepcopy(before)
    tracker = delta.StateTracker(live)
    live["l"][1].append(object())
    live["n"], live["new"] = 2, 3
    del live["t"]
    with pytest.raises(StateValueError):
        tracker.commit_delta(live)
    tracker.rollback(live)
    assert exactly(live) == exactly(before)
    assert changes_nothing(tracker.commit_delta(live))
    live["l"][1].append(3)
    assert json.loads(tracker.commit_delta(live).operations) == [["append", ["l", 1], [3]]]


# What a state may not hold ------------------------------------------------------------------------------------------


class Colour(enum.Enum):
    RED = "red"


class Word(enum.StrEnum):
    YES = "yes"


class OldWord(str, enum.Enum):  # noqa: UP042
    YES = "yes"


class Level(enum.IntEnum):
    LOW = 1


class Text(str):
    pass


class Number(int):
    pass


class Real(float):
    pass


class Mapping(dict):  # type: ignore[type-arg]
    pass


class Items(list):  # type: ignore[type-arg]
    pass


@dataclasses.dataclass
class Point:
    x: int = 1


Pair = namedtuple("Pair", "a b")

cyclic: list[Any] = []
cyclic += [cyclic, {"again": cyclic}, cyclic]


def deep(levels: int) -> Any:
    value: Any = []
    for _ in range(levels - 1):
        value = [value]
    return value


ALIENS = {
    "nan": float("nan"),
    "infinity": float("inf"),
    "minus infinity": float("-inf"),
    "datetime": datetime.datetime(2024, 1, 1),
    "date": datetime.date(2024, 1, 1),
    "time": datetime.time(1),
    "timedelta": datetime.timedelta(1),
    "UUID": uuid.UUID(int=1),
    "Enum": Colour.RED,
    "StrEnum": Word.YES,
    "text Enum": OldWord.YES,
    "IntEnum": Level.LOW,
    "dataclass": Point(),
    "bytes": b"x",
    "bytearray": bytearray(b"x"),
    "set": {1},
    "frozenset": frozenset({1}),
    "number as key": {1: 2},
    "None as key": {None: 2},
    "True as key": {True: 2},
    "tuple as key": {(1, 2): 2},
    "subclass of text as key": {Text("k"): 1},
    "Enum as key": {Word.YES: 1},
    "surrogate as key": {"\ud800": 1},
    "large integer": 2**64,
    "small integer": -(2**63) - 1,
    "surrogate": "a\udc80",
    "subclass of text": Text("x"),
    "subclass of int": Number(1),
    "subclass of float": Real(1.0),
    "subclass of dict": Mapping(),
    "OrderedDict": OrderedDict(a=1),
    "defaultdict": defaultdict(list),
    "subclass of list": Items(),
    "namedtuple": Pair(1, 2),
    "cycle": cyclic,
    "too deep": deep(260),
    "Decimal": decimal.Decimal("1.5"),
    "path": pathlib.PurePath("x"),
    "complex": 1j,
    "range": range(3),
    "object": object(),
    "function": deep,
    "generator": (number for number in ()),
    "orjson fragment": orjson.Fragment(b"1"),
}
PLACES = {
    "at the top": (lambda s, v: s.update(new=v), "shared['new']"),
    "over a value": (lambda s, v: s.update(n=v), "shared['n']"),
    "in a list": (lambda s, v: s["l"].append(v), "shared['l'][2]"),
    "in an element": (lambda s, v: s["l"][1].update(k=v), "shared['l'][1]['k']"),
    "in a new dict": (lambda s, v: s.update(new={"a": [1, {"b": v}]}), "shared['new']['a'][1]['b']"),
    "in a tuple": (lambda s, v: s.update(new=(1, (v,))), "shared['new'][1][0]"),
}


@both
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("alien", ALIENS)
def test_what_is_not_json_is_refused_with_node_path_and_hint(delta: ModuleType, alien: str, place: str) -> None:
    live: dict[str, Any] = {"n": 1, "l": [1, {"k": 1}]}
    tracker = delta.StateTracker(live)
    put, path = PLACES[place]
    put(live, ALIENS[alien])
    with pytest.raises(StateValueError) as caught:
        tracker.commit_delta(live, "fetch")
    assert "'fetch'" in caught.value.message
    assert path in caught.value.message
    assert caught.value.next_step
    if alien not in ("too deep", "cycle"):
        assert caught.value.message.rstrip(".…").endswith(path)
    tracker.rollback(live)
    assert live == {"n": 1, "l": [1, {"k": 1}]}


@both
def test_the_type_is_named_as_its_author_knows_it(delta: ModuleType) -> None:
    live: dict[str, Any] = {}
    tracker = delta.StateTracker(live)
    for value, words in (
        (Point(), "dataclass"),
        (datetime.datetime(2024, 1, 1), "datetime.datetime"),
        (Pair(1, 2), "Pair, a subclass of tuple"),
        ({5: 1}, "the key 5 of type int"),
        (float("nan"), "nan"),
        (b"", "bytes"),
    ):
        live["v"] = value
        with pytest.raises(StateValueError, match=words):
            tracker.commit_delta(live, "n")


@both
def test_a_key_of_the_state_itself_must_be_text(delta: ModuleType) -> None:
    for key in (1, None, Text("k"), Word.YES, "\ud800"):
        live: dict[Any, Any] = {}
        tracker = delta.StateTracker(live)
        live[key] = 1
        with pytest.raises(StateValueError):
            tracker.commit_delta(live)


@both
def test_depth_counts_from_the_top_of_the_state(delta: ModuleType) -> None:
    live: dict[str, Any] = {"v": deep(253)}
    tracker = delta.StateTracker(live)
    assert delta.loads(delta.encode_state(live)) == live
    innermost = live["v"]
    while innermost:
        innermost = innermost[0]
    innermost.append([])
    with pytest.raises(StateValueError, match="deep"):
        tracker.commit_delta(live)


@both
def test_integers_of_64_bits_are_kept(delta: ModuleType) -> None:
    live: dict[str, Any] = {"v": [2**64 - 1, -(2**63)]}
    tracker = delta.StateTracker(live)
    assert tracker.committed_state() == live


# Snapshots ----------------------------------------------------------------------------------------------------------


def test_no_snapshot_before_2000_steps_or_256_kib_of_deltas() -> None:
    live: dict[str, Any] = {"n": 0}
    tracker = WITH_ORJSON.StateTracker(live)
    taken = []
    for number in range(4500):
        live["n"] = number
        tracker.commit_delta(live)
        if (snapshot := tracker.take_snapshot()) is not None:
            taken.append((number + 1, json.loads(snapshot)))
    assert taken == [(2000, {"n": 1999}), (4000, {"n": 3999})]


def test_a_large_state_gets_a_snapshot_only_when_the_deltas_outgrow_it() -> None:
    live: dict[str, Any] = {"text": "x" * 1_000_000, "part": ""}
    tracker = WITH_ORJSON.StateTracker(live)
    written = 0
    snapshot = None
    while snapshot is None:
        live["part"] = f"{written:010}" * 3000
        written += len(tracker.commit_delta(live).blobs[0])
        snapshot = tracker.take_snapshot()
        assert written < 2_000_000
    assert written > 1_000_000
    assert json.loads(snapshot) == live


def test_a_resumed_tracker_goes_on_counting() -> None:
    live: dict[str, Any] = {"n": 0}
    tracker = WITH_ORJSON.StateTracker(live, since_snapshot=(300_000, 10))
    assert tracker.take_snapshot() == b'{"n":0}'


def test_a_list_that_stands_in_two_places_again_and_again_is_two_lists() -> None:
    state: dict[str, Any] = {}
    tracker = core.flow.delta.StateTracker(state)
    kept: list[int] = []
    for number in range(3):
        kept.append(number)
        state.update(a=kept, b=kept)
        tracker.commit_delta(state)
        assert state["a"] is not state["b"]
    kept.append(9)
    assert tracker.commit_delta(state).changed == 0
    state["a"].append(5)
    assert core.flow.delta.changes(tracker.commit_delta(state)) == [("append", ["a"])]
