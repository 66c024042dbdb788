"""What a workflow is called that a conversation makes."""

from __future__ import annotations

import pytest

from core.engine.conversations.naming import free_name, name_after, name_given


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("Make a workflow greeter that greets somebody by name", "greeter"),
        ('I need a workflow called "mail-triage" for my inbox', "mail-triage"),
        ("Sort new mail. Call it sorter, please", "sorter"),
        ("build the `daily` one: a workflow `daily_digest` of the news", "daily_digest"),
        ("Create a daily_digest workflow", "daily_digest"),
        ("Make a workflow that greets somebody", ""),
        ("Make a workflow for me to sort mail", ""),
        ("Make a workflow which is called each morning", ""),
        ("Greet somebody politely", ""),
    ],
)
def test_a_name_that_the_person_gives_is_taken(words: str, name: str) -> None:
    assert name_given(words) == name


def test_without_one_the_first_words_that_say_something_name_it() -> None:
    assert name_after("Make a workflow that greets somebody by their name, politely") == "greets_name_politely"
    assert name_after("Please") == "workflow"
    assert name_after("2 things to sort") == "workflow_2_things_sort"
    assert name_after("Grüße an alle") == "grusse_alle"


def test_a_name_that_is_taken_gets_a_number() -> None:
    assert free_name("greeter", {"greeter", "greeter_2"}) == "greeter_3"
