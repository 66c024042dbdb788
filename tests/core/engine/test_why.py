"""From a value of the state to the steps that wrote it."""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent.parent / "store"))

from store_rows import new_run, started, step

from core.engine import why
from core.engine.provenance import Trace
from core.engine.state_parts import preview, value_at
from core.engine.why import read_why
from core.errors import UsageError
from core.flow.delta import StateTracker
from core.link.inspect_types import WhyPage
from core.store.store import Store


@pytest.fixture
async def store(tmp_path: Path) -> Any:
    opened = Store.open(tmp_path / "rondo.db")
    await opened.start_reads()
    yield opened
    await opened.close()


async def lived(store: Store, states: list[dict[str, Any]]) -> int:
    """A line that went through these states, each a step's; the first is the one it began with."""
    _, line = await started(store)
    return await go_through(store, line, states)


async def go_through(store: Store, line: int, states: list[dict[str, Any]], first: int = 1) -> int:
    tracker = StateTracker(copy.deepcopy(states[0]) if first == 1 else states[0])
    await store.commit([step(line, first, *[["set", [key], value] for key, value in states[0].items()])])
    for seq, state in enumerate(states[1:], start=first + 1):
        delta = tracker.commit_delta(copy.deepcopy(state), "n")
        values = tuple(orjson.loads(blob) for blob in delta.blobs)
        await store.commit([step(line, seq, *orjson.loads(delta.operations), node=f"node{seq}", values=values)])
    return line


async def ask(store: Store, line: int, path: list[str | int], **fields: Any) -> WhyPage:
    given_fields = {"step": None, "before": None, "limit": 20, **fields}
    return await read_why(store, "run", line, path, **given_fields)


def told(page: WhyPage) -> list[tuple[int, str, str | None]]:
    return [(write.step, write.op, write.value) for write in page.writes]


async def test_a_value_names_the_steps_that_wrote_it_the_newest_first(store: Store) -> None:
    line = await lived(store, [{"score": 1, "other": 0}, {"score": 1, "other": 1}, {"score": 62, "other": 1}])
    page = await ask(store, line, ["score"])
    assert page.value == "62"
    assert told(page) == [(3, "set", "62"), (1, "set", "1")]
    assert (page.writes[0].node, page.next_before) == ("node3", None)
    assert told(await ask(store, line, ["score"], step=2)) == [(1, "set", "1")]


async def test_what_changed_inside_a_value_is_named_with_its_place(store: Store) -> None:
    line = await lived(store, [{"digest": {"title": "a", "score": 1}}, {"digest": {"title": "a", "score": 2}}])
    page = await ask(store, line, ["digest"])
    assert [(write.step, write.op) for write in page.writes] == [(2, "parts"), (1, "set")]
    assert [(part.path, part.value) for part in page.writes[0].parts] == [(["score"], "2")]
    assert told(await ask(store, line, ["digest", "title"])) == [(1, "set", '"a"')]


async def test_an_item_of_a_list_came_with_the_step_that_appended_it(store: Store) -> None:
    states = [{"mails": []}, {"mails": ["a", "b"]}, {"mails": ["a", "b", "c"]}, {"mails": ["a", "b", "c", "d"]}]
    line = await lived(store, states)
    for index, seq in enumerate([2, 2, 3, 4]):
        page = await ask(store, line, ["mails", index])
        assert told(page) == [(seq, "append", f'"{"abcd"[index]}"')]
        assert page.next_before is None


async def test_an_item_is_followed_while_the_list_loses_others_before_it(store: Store) -> None:
    line = await lived(store, [{"q": ["a", "b", "c"]}, {"q": ["b", "c"]}, {"q": ["b", "c", "d"]}, {"q": ["c", "d"]}])
    assert told(await ask(store, line, ["q", 0])) == [(1, "set", '"c"')]
    page = await ask(store, line, ["q", 1])
    assert (told(page), page.writes[0].path) == ([(3, "append", '"d"')], ["q", 2])


async def test_a_value_that_came_with_what_it_lies_in_says_so(store: Store) -> None:
    line = await lived(store, [{"a": {"b": {"c": 1}}}, {"a": 5}, {"a": {"b": {"c": 2}}}])
    page = await ask(store, line, ["a", "b", "c"])
    assert told(page) == [(3, "set", "2"), (1, "set", "1")]
    assert page.writes[0].with_path == ["a"]


async def test_large_values_are_looked_into(store: Store) -> None:
    many = [{"id": number, "text": "x" * 100} for number in range(100)]
    line = await lived(store, [{"rows": []}, {"rows": many}, {"rows": [*many, {"id": 100}]}])
    assert told(await ask(store, line, ["rows", 7, "id"])) == [(2, "append", "7")]
    assert told(await ask(store, line, ["rows", 100, "id"])) == [(3, "append", "100")]


async def test_what_was_taken_away_and_came_back_shows_both(store: Store) -> None:
    line = await lived(store, [{"a": 1}, {}, {"a": 2}])
    assert told(await ask(store, line, ["a"])) == [(3, "set", "2"), (2, "del", None), (1, "set", "1")]


async def test_a_long_history_comes_page_by_page(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(why, "STEPS_AT_ONCE", 4)
    monkeypatch.setattr(why, "FAR_ENOUGH", 15)
    line = await lived(store, [{"n": number, "still": 0} for number in range(40)])
    seen: list[int] = []
    page = await ask(store, line, ["n"], limit=7)
    while True:
        seen += [write.step for write in page.writes]
        if page.next_before is None:
            break
        page = await ask(store, line, page.next_path, before=page.next_before, limit=7)
    assert seen == list(range(40, 0, -1))
    page = await ask(store, line, ["still"])
    pages = 1
    while page.next_before is not None:
        page, pages = await ask(store, line, page.next_path, before=page.next_before), pages + 1
    assert (told(page), pages) == ([(1, "set", "0")], 3)


async def test_a_fork_shows_what_its_parent_wrote_before(store: Store) -> None:
    line = await lived(store, [{"a": 1}, {"a": 2}, {"a": 3}])
    ((_, forked),) = await store.commit([new_run(parent_line=line, parent_seq=2)])
    await store.commit([step(forked, 3, ["set", ["a"], 30])])
    assert told(await ask(store, forked, ["a"])) == [(3, "set", "30"), (2, "set", "2"), (1, "set", "1")]


@pytest.mark.parametrize("path", [["nothing"], ["a", 0], []])
async def test_a_place_where_nothing_is_is_refused(store: Store, path: list[str | int]) -> None:
    line = await lived(store, [{"a": 1}])
    with pytest.raises(UsageError):
        await ask(store, line, path)


def _leaves(value: Any, path: list[Any]) -> list[tuple[list[Any], Any]]:
    if isinstance(value, dict):
        return [leaf for key, item in value.items() for leaf in _leaves(item, [*path, key])]
    if isinstance(value, list):
        return [leaf for index, item in enumerate(value) for leaf in _leaves(item, [*path, index])]
    return [(path, value)]


@st.composite
def histories(draw: st.DrawFn) -> list[dict[str, Any]]:
    """States after steps that each do a few things to lists and dicts; every value that is written is a new number."""
    state: dict[str, Any] = {"queue": [], "notes": {}, "nested": {"rows": [[]]}}
    states = [copy.deepcopy(state)]
    token = 0
    for _ in range(draw(st.integers(1, 10))):
        for _ in range(draw(st.integers(1, 3))):
            token += 1
            places = [state["queue"], state["nested"]["rows"], *state["nested"]["rows"]]
            target = draw(st.sampled_from(places)) if draw(st.booleans()) else state["notes"]
            if isinstance(target, dict):
                target[draw(st.sampled_from("abc"))] = draw(st.sampled_from([token, {"in": token}]))
                continue
            match draw(st.sampled_from(["append", "append", "take", "set"])):
                case "append":
                    target.append([token] if target is state["nested"]["rows"] else token)
                case "take" if target:
                    del target[0]
                case "set" if target:
                    index = draw(st.integers(0, len(target) - 1))
                    target[index] = [token] if target is state["nested"]["rows"] else token
        states.append(copy.deepcopy(state))
    return states


@given(histories())
@settings(max_examples=150, deadline=None)
def test_the_value_was_there_from_the_step_that_is_named_on(states: list[dict[str, Any]]) -> None:
    tracker = StateTracker({})
    deltas = [tracker.commit_delta(copy.deepcopy(state), "n") for state in states]
    held = [{value for _, value in _leaves(state, [])} for state in states]
    for path, value in _leaves(states[-1], []):
        seq = len(states) - 1

        def length_of(place: list[Any]) -> int:
            return len(value_at(states[seq], place))  # noqa: B023

        trace, written = Trace(path, length_of), None
        while written is None and seq >= 0:
            blobs = [orjson.loads(blob) for blob in deltas[seq].blobs]
            written = trace.take(orjson.loads(deltas[seq].operations), blobs.__getitem__)
            seq -= 1
        assert written is not None, path
        found = seq + 1
        assert written.op in ("set", "append") and written.value == preview(value)
        assert all(value in values for values in held[found:])
