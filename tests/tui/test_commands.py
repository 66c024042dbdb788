"""The command line of the screens: what is typed means one action, and completion leads there."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tui.actions import EVERYWHERE, registry
from tui.commands import HISTORY_LENGTH, History, complete, meant, not_a_command, parse
from tui.screens.workflows import WorkflowsScreen

ACTIONS = [found for found in registry if found.view in (WorkflowsScreen.view, EVERYWHERE)]
WORDS = {"workflow": ("mail_digest", "mail_import", "hello"), "run": ("7f3a09c1",)}


def test_words_of_the_command_line_mean_their_action() -> None:
    for text, wanted in (
        ("run", "run.start"),
        ("run hello", "run.start"),
        ("graph hello", "go.graph"),
        ("quit", "app.quit"),
    ):
        parsed = parse(text, ACTIONS)
        assert parsed is not None
        assert parsed[0].id == wanted
    assert parse("run hello", ACTIONS)[1] == "hello"


def test_the_beginning_of_one_name_is_enough_and_of_two_is_left_as_it_is() -> None:
    for text, wanted in (("run hel", "hello"), ("run mail_d", "mail_digest"), ("run mail", "mail"), ("run x", "x")):
        parsed = parse(text, ACTIONS)
        assert parsed is not None
        assert meant(parsed, WORDS)[1] == wanted


def test_the_longest_words_win() -> None:
    parsed = parse("run with inputs hello", ACTIONS)
    assert parsed is not None
    assert (parsed[0].id, parsed[1]) == ("run.start-with-inputs", "hello")


def test_every_action_can_be_typed_by_id_and_by_words() -> None:
    for found in ACTIONS:
        for text in (found.id, found.command):
            parsed = parse(text, ACTIONS)
            assert parsed is not None
            assert parsed[0].id == found.id


def test_more_than_an_action_takes_is_not_a_command() -> None:
    assert parse("quit now", ACTIONS) is None
    assert parse("", ACTIONS) is None


def test_what_is_no_command_is_said_with_what_may_have_been_meant() -> None:
    assert not_a_command("rnu hello", ACTIONS).startswith("There is no command rnu. Did you mean run?")
    assert "Did you mean" not in not_a_command("zzzzzzzz", ACTIONS)
    assert not_a_command("quit now", ACTIONS) == "quit takes nothing after it."
    for command in ("", "run hello", "run nothere", "quit"):
        assert not_a_command(command, ACTIONS) == ""


def test_commands_are_completed_best_first() -> None:
    assert complete("ru", ACTIONS, WORDS)[0].text == "run"
    assert complete("filt", ACTIONS, WORDS)[0].action.id == "list.filter"


def test_arguments_are_completed() -> None:
    assert [entry.text for entry in complete("run ", ACTIONS, WORDS)] == [
        "run mail_digest",
        "run mail_import",
        "run hello",
    ]
    assert [entry.argument for entry in complete("run imp", ACTIONS, WORDS)] == ["mail_import"]
    assert [entry.text for entry in complete("show ", ACTIONS, WORDS)] == ["show 7f3a09c1"]


def test_an_empty_line_begins_with_what_was_typed_last() -> None:
    entries = complete("", ACTIONS, WORDS, ["run hello", "nonsense", "quit"])
    assert [entry.text for entry in entries[:2]] == ["quit", "run hello"]
    assert len(entries) > 10


@given(st.text(max_size=30))
def test_any_text_can_be_typed(text: str) -> None:
    parse(text, ACTIONS)
    complete(text, ACTIONS, WORDS, [text])


def test_history_outlives_the_session_and_stays_short(tmp_path: Path) -> None:
    path = tmp_path / "state" / "commands.jsonl"
    history = History(path)
    history.load()
    for number in range(HISTORY_LENGTH + 20):
        history.add(f"run w{number}")
    history.add("run w30")
    history.save()
    again = History(path)
    again.load()
    assert len(again.lines) == HISTORY_LENGTH
    assert again.lines[-1] == "run w30"
    assert again.lines.count("run w30") == 1


def test_a_damaged_history_is_no_history(tmp_path: Path) -> None:
    path = tmp_path / "commands.jsonl"
    path.write_bytes(b"\xff\xfe")
    history = History(path)
    history.load()
    assert history.lines == []
    path.write_text('"run a"\nnot json\n5\n"run b"\n', encoding="utf-8")
    history.load()
    assert history.lines == ["run a", "run b"]
