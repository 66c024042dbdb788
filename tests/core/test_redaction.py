"""Secret values are found in every form in which programs write them, and nothing else is touched."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.redaction import MARK, SHORTEST, Redactor

SECRET = 'sk-ü/+ "top\\secret"=9'


@pytest.mark.parametrize(
    "written",
    [
        SECRET,
        quote(SECRET),
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET, ensure_ascii=False)[1:-1],
        SECRET.encode().hex(),
    ],
)
def test_a_secret_is_found_in_each_form(written: str) -> None:
    redactor = Redactor([SECRET])
    assert redactor.text(f"before {written} after") == f"before {MARK} after"
    assert redactor.holds(written)


@given(st.text(min_size=SHORTEST, max_size=40, alphabet=st.characters(codec="utf-8")), st.binary(max_size=9))
def test_a_secret_is_found_in_base64_among_anything(secret: str, before: bytes) -> None:
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        coded = encode(before + secret.encode() + b":rest").decode()
        if len(secret.encode()) >= SHORTEST + 2:
            assert MARK in Redactor([secret]).text(f"Authorization: Basic {coded}")


def test_of_two_secrets_of_which_one_begins_the_other_nothing_is_left() -> None:
    assert Redactor(["secret-one", "secret-one-and-two"]).text("x secret-one-and-two y") == f"x {MARK} y"


def test_values_in_json_are_replaced_wherever_they_stand_and_the_rest_is_the_same() -> None:
    value = {"a": [1, None, "a secret-one here"], "secret-one": {"b": True}, "c": 2.5}
    redacted = Redactor(["secret-one"]).value(value)
    assert redacted == {"a": [1, None, f"a {MARK} here"], MARK: {"b": True}, "c": 2.5}
    assert value["a"] == [1, None, "a secret-one here"]


def test_without_secrets_or_with_ones_that_are_too_short_nothing_changes() -> None:
    assert Redactor([]).text("all") == "all"
    assert Redactor(["", "on"]).text("only one") == "only one"
    assert not Redactor([""]).holds("x")


def test_no_repr_shows_a_secret() -> None:
    assert "secret-one" not in repr(Redactor(["secret-one"]))
