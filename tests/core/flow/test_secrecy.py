"""A delta that holds a secret is refused before it is committed, in whatever form, and the place is named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from core.errors import SecretInState
from core.flow.delta import StateTracker
from core.flow.secrecy import refuse_changes, state_guard
from core.redaction import MARK, SHORTEST, JsonFinder, Redactor, forms_of

VALUE = 'sk-"ü\\/7 line\ttab'

values = st.text(min_size=SHORTEST, max_size=30, alphabet=st.characters(codec="utf-8"))
leaves = st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=8)
documents = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
)


@pytest.fixture
def guarded() -> Iterator[StateTracker]:
    tracker = StateTracker({"kept": [1]})
    StateTracker.guard = staticmethod(state_guard({"TOKEN": VALUE}))
    yield tracker
    StateTracker.guard = None


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"a": VALUE}, "shared['a']"),
        ({"a": {"b": [0, f"x{VALUE}y"]}}, "shared['a']['b'][1]"),
        ({"a": ["z" * 9000, VALUE]}, "shared['a'][1]"),
        ({"a": {VALUE: 1}}, "shared['a']"),
        ({"a": json.dumps({"in": VALUE})}, "shared['a']"),
        ({"kept": [1, VALUE]}, "shared['kept']"),
    ],
)
def test_what_was_changed_is_undone_and_the_tracker_goes_on(
    guarded: StateTracker, change: dict[str, Any], place: str
) -> None:
    state: dict[str, Any] = guarded.committed_state()
    state.update(change)
    with pytest.raises(SecretInState) as raised:
        guarded.commit_delta(state, "node")
    assert place in raised.value.message and "TOKEN" in raised.value.message
    assert not Redactor([VALUE]).holds(json.dumps(raised.value.to_dict()))
    guarded.rollback(state)
    assert state == {"kept": [1]}
    state["fine"] = 2
    assert guarded.commit_delta(state, "node").changed == 1


def test_a_key_of_the_state_that_is_a_secret_is_not_shown(guarded: StateTracker) -> None:
    state = {"kept": [1], VALUE: 1}
    with pytest.raises(SecretInState) as raised:
        guarded.commit_delta(state, "node")
    assert VALUE not in raised.value.message


def test_a_state_that_a_run_began_with_is_taken_as_it_is(guarded: StateTracker) -> None:
    StateTracker({"old": VALUE})


@given(values, documents, st.integers(0, 30))
def test_any_form_of_a_value_is_found_anywhere_in_json(value: str, document: Any, pick: int) -> None:
    finder = JsonFinder({"A": value})
    forms = sorted(forms_of(value))
    inside = {"before": document, "deep": [{"x": f"({forms[pick % len(forms)]})"}], "after": document}
    for ascii_only in (False, True):
        assert finder.find(json.dumps(inside, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")) == "A"
    assert finder.place(inside) is not None


@given(values, documents)
def test_what_was_redacted_holds_no_value_any_more(value: str, document: Any) -> None:
    dirty = {"a": document, "b": [f"-{form}-" for form in sorted(forms_of(value))], value: 1}
    redactor = Redactor([value])
    assume(not redactor.holds(f"-{MARK}-"))
    clean = redactor.value(dirty)
    assert all(text == f"-{MARK}-" or not redactor.holds(text) for text in clean["b"])
    assert value not in clean
    assert JsonFinder({"A": value}).place(clean) is None


@given(documents)
def test_without_the_value_nothing_is_refused(document: Any) -> None:
    operations = json.dumps([["set", ["a"], document]]).encode()
    refuse_changes(JsonFinder({"A": "never-in-any-of-these-documents"}), operations, [], "node")
