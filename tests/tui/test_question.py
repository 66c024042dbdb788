"""The question of a waiting run: every type can be answered, nothing is answered by accident."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from engine_double import EngineDouble, Run
from looking import hides, screen_text, settled, shows, until
from textual import events
from textual.pilot import Pilot

from core.errors import AlreadyAnswered, EngineLost
from core.link.types import RequestView
from tui.app import RondoApp
from tui.screens.run import RunScreen
from tui.widgets import question
from tui.widgets.line_input import LineInput

AppOn = Callable[[EngineDouble], RondoApp]


def waiting(double: EngineDouble, input_type: str, options: Any = None) -> tuple[Run, RequestView]:
    """A run that asks one question."""
    double.workflow("asks", ["ask", "then"])
    run = double.run("asks")
    double.begin(run, "ask")
    return run, double.ask(run, "ask", "q", "What now?", input_type, options)


async def open_question(pilot: Pilot[Any], run: Run) -> RunScreen:
    """To the run's screen, with its question shown."""
    app = pilot.app
    assert isinstance(app, RondoApp)
    await until(pilot, lambda: app.connected_once)
    app.go_run(run.id)
    await shows(pilot, "ask asks")
    await shows(pilot, "What now?")
    screen = app.screen
    assert isinstance(screen, RunScreen)
    return screen


@pytest.mark.parametrize(
    ("input_type", "options", "keys", "answer"),
    [
        ("text", None, [*"Ada", "enter"], "Ada"),
        ("text", None, ["enter"], ""),
        ("number", None, [*"2.5", "enter"], 2.5),
        ("json", None, [*"[1,2]", "enter"], [1, 2]),
        ("select", ["post", "edit", "discard"], ["right", "enter"], "edit"),
        ("select", ["post", "edit", "discard"], ["l", "l", "space", "enter"], "discard"),
        ("select", [{"value": 1, "label": "one"}, {"value": 2, "label": "two"}], ["j", "enter"], 2),
        (
            "select",
            [f"choice number {n} of many" for n in range(30)],
            ["up", *["down"] * 20, "enter"],
            "choice number 20 of many",
        ),
        ("multiselect", ["a", "b", "c"], ["space", "right", "right", "space", "enter"], ["a", "c"]),
        ("multiselect", ["a", "b"], ["enter"], []),
        ("confirm", None, ["enter"], True),
        ("confirm", None, ["right", "enter"], False),
    ],
)
async def test_every_type_is_answered(
    input_type: str, options: Any, keys: list[str], answer: Any, double: EngineDouble, app_on: AppOn
) -> None:
    run, request = waiting(double, input_type, options)
    async with app_on(double).run_test(size=(80, 24)) as pilot:
        await open_question(pilot, run)
        await pilot.press("tab", *keys)
        await until(pilot, lambda: request.status == "answered")
        assert request.answer == answer


@pytest.mark.parametrize(
    ("input_type", "keys", "problem", "mend", "answer"),
    [
        ("number", [*"many", "enter"], "a number is needed", ["ctrl+u", *"3", "enter"], 3),
        ("number", ["enter"], "an answer is needed", [*"3", "enter"], 3),
        ("json", [*"{a", "enter"], "this is not JSON", ["ctrl+u", *"{}", "enter"], {}),
    ],
)
async def test_what_can_not_be_meant_is_said_beside_the_field(
    input_type: str, keys: list[str], problem: str, mend: list[str], answer: Any, double: EngineDouble, app_on: AppOn
) -> None:
    run, request = waiting(double, input_type)
    async with app_on(double).run_test(size=(80, 24)) as pilot:
        await open_question(pilot, run)
        await pilot.press("tab", *keys)
        await shows(pilot, problem)
        assert "answer" not in double.calls
        await pilot.press(*mend)
        await until(pilot, lambda: request.status == "answered")
        assert request.answer == answer


async def test_the_keys_say_that_enter_sends_the_answer(double: EngineDouble, app_on: AppOn) -> None:
    run, _ = waiting(double, "text")
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        await open_question(pilot, run)
        await pilot.press("tab")
        await shows(pilot, "enter send  esc leave  ^u clear")


async def test_what_the_engine_refuses_is_said_and_can_be_mended(double: EngineDouble, app_on: AppOn) -> None:
    run, request = waiting(double, "select", ["post", "edit"])
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        await open_question(pilot, run)
        request.options = ["edit"]
        await pilot.press("tab", "enter")
        await shows(pilot, "'post' is not one of the options.")
        await until(pilot, lambda: app.screen.question.typing)
        await pilot.press("right", "enter")
        await until(pilot, lambda: request.status == "answered")


async def test_somebody_else_was_faster(double: EngineDouble, app_on: AppOn) -> None:
    run, request = waiting(double, "text")
    async with app_on(double).run_test(size=(80, 24)) as pilot:
        await open_question(pilot, run)
        double.problems["answer"] = AlreadyAnswered("Answered before.", cause="By cli, 3 s ago.", next_step="Go on.")
        request.status = "answered"
        await pilot.press("tab", *"x", "enter")
        await hides(pilot, "ask asks")


async def test_a_lost_engine_keeps_what_was_typed(double: EngineDouble, app_on: AppOn) -> None:
    run, request = waiting(double, "text")
    async with app_on(double).run_test(size=(80, 24)) as pilot:
        await open_question(pilot, run)
        double.problems["answer"] = EngineLost("The engine went away.", next_step="Try again.")
        await pilot.press("tab", *"Ada", "enter")
        await shows(pilot, "The engine went away.")
        await pilot.press("enter")
        await until(pilot, lambda: request.status == "answered")
        assert request.answer == "Ada"


async def test_a_question_never_takes_the_focus(double: EngineDouble, app_on: AppOn) -> None:
    double.workflow("asks", ["ask"])
    run = double.run("asks")
    double.begin(run, "ask")
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.connected_once)
        app.go_run(run.id)
        await shows(pilot, "1 ask")
        await pilot.press("slash", *"ab")
        before = app.focused
        assert isinstance(before, LineInput)
        double.ask(run, "ask", "q", "What now?")
        await shows(pilot, "What now?")
        assert app.focused is before
        await pilot.press(*"c")
        assert before.value == "abc"


async def test_a_draft_is_kept_while_one_looks_elsewhere(double: EngineDouble, app_on: AppOn) -> None:
    run, request = waiting(double, "text")
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        await open_question(pilot, run)
        await pilot.press("tab", *"half an ans", "escape")
        await until(pilot, lambda: not app.screen.question.typing)
        await pilot.press("q")
        await shows(pilot, "NODES")
        await pilot.press("minus")
        await shows(pilot, "half an ans")
        await pilot.press("a", *"wer", "enter")
        await until(pilot, lambda: request.status == "answered")
        assert request.answer == "half an answer"


async def test_the_oldest_question_comes_first_and_the_next_one_follows(double: EngineDouble, app_on: AppOn) -> None:
    run, first = waiting(double, "text")
    second = double.ask(run, "then", "r", "And then?")
    second.opened_at += 5
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        await open_question(pilot, run)
        assert "1 of 2 questions" in screen_text(app)
        await pilot.press("tab", *"one", "enter")
        await shows(pilot, "And then?")
        await until(pilot, lambda: app.screen.question.typing)
        await pilot.press(*"two")
        await until(pilot, lambda: app.screen.question.armed)
        await pilot.press("enter")
        await until(pilot, lambda: second.status == "answered")
        assert (first.answer, second.answer) == ("one", "two")


async def test_what_is_typed_on_after_an_answer_does_nothing_else(
    double: EngineDouble, app_on: AppOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(question, "GRACE_SECONDS", 60.0)
    run, request = waiting(double, "select", ["post", "discard"])

    def ask_again(asked: Run, answered: RequestView) -> None:
        if answered.request_id == "q":
            double.ask(asked, "then", "sure", "Really?", "confirm")

    double.on_answer["asks"] = ask_again
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await open_question(pilot, run)
        # `r` runs again, `x` cancels, `e` opens an editor, `q` leaves: on the screen, but not here.
        await pilot.press("tab", "right", "enter", *"rxeq r", "enter")
        await until(pilot, lambda: request.status == "answered")
        assert request.answer == "discard"
        await shows(pilot, "Really?")
        await settled(pilot)
        assert app.screen is screen
        assert len(double.runs) == 1
        assert run.requests[1].status == "open"


async def test_the_second_half_of_a_double_press_answers_nothing(
    double: EngineDouble, app_on: AppOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However long this machine takes between the two presses; then as short as it is.
    monkeypatch.setattr(question, "GRACE_SECONDS", 3600)
    run, _ = waiting(double, "confirm")

    def ask_again(asked: Run, answered: RequestView) -> None:
        if answered.request_id == "q":
            double.ask(asked, "then", "sure", "Delete everything?", "confirm")

    double.on_answer["asks"] = ask_again
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        await open_question(pilot, run)
        await pilot.press("tab", "enter")
        await shows(pilot, "Delete everything?")
        await pilot.press("enter")
        assert run.requests[1].status == "open" and not app.screen.question.armed
        await pilot.press("right", "enter")
        assert run.requests[1].status == "open"


async def test_after_a_moment_the_next_question_is_answered_like_the_first(double: EngineDouble, app_on: AppOn) -> None:
    run, _ = waiting(double, "confirm")
    double.on_answer["asks"] = lambda asked, answered: (
        double.ask(asked, "then", "sure", "Delete everything?", "confirm") if answered.request_id == "q" else None
    )
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        await open_question(pilot, run)
        await pilot.press("tab", "enter")
        await shows(pilot, "Delete everything?")
        await until(pilot, lambda: app.screen.question.typing)
        await pilot.press("right")
        await until(pilot, lambda: app.screen.question.armed)
        await pilot.press("enter")
        await until(pilot, lambda: run.requests[1].status == "answered")
        assert run.requests[1].answer is False


async def test_after_the_last_answer_the_keys_belong_to_the_screen_again(double: EngineDouble, app_on: AppOn) -> None:
    run, request = waiting(double, "text")
    double.on_answer["asks"] = lambda asked, answered: double.finish(asked)
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await open_question(pilot, run)
        await pilot.press("tab", *"Ada", "enter")
        await shows(pilot, "✓ completed")
        await until(pilot, lambda: screen.steps.has_focus)
        assert request.answer == "Ada"
        assert "sent" not in screen_text(app)


async def two_questions(pilot: Pilot[Any], double: EngineDouble) -> tuple[Run, RequestView, RequestView]:
    """A run that asks twice at once, with half an answer typed for the first."""
    run, first = waiting(double, "text")
    second = double.ask(run, "then", "r", "Delete everything?", "confirm")
    second.opened_at += 5
    await open_question(pilot, run)
    await pilot.press("tab", *"half an ans")
    return run, first, second


async def test_an_answer_given_elsewhere_leaves_what_i_type_and_never_sends_it(
    double: EngineDouble, app_on: AppOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(question, "GRACE_SECONDS", 0.05)
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        run, first, second = await two_questions(pilot, double)
        double.answer_elsewhere(run, first, "Grace")
        await shows(pilot, 'answered elsewhere: "Grace" by cli')
        await pilot.press(*"wer")
        await settled(pilot)
        text = screen_text(app)
        assert "half an answer" in text
        assert "ask asked" in text
        assert "Delete everything?" not in text
        await pilot.press("enter")
        await shows(pilot, "Delete everything?")
        await shows(pilot, "Not sent: half an answer")
        await settled(pilot)
        assert "answer" not in double.calls
        assert second.status == "open"
        await until(pilot, lambda: app.screen.question.armed)
        await pilot.press("right", "enter")
        await until(pilot, lambda: second.status == "answered")
        assert second.answer is False


@pytest.mark.parametrize("key", ["tab", "enter"])
async def test_one_key_goes_on_from_a_question_that_was_answered_elsewhere(
    key: str, double: EngineDouble, app_on: AppOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However long this machine takes between the two presses.
    monkeypatch.setattr(question, "GRACE_SECONDS", 60.0)
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        run, first, second = await two_questions(pilot, double)
        double.answer_elsewhere(run, first, "Grace")
        await shows(pilot, "answered elsewhere")
        # A double press: the second half of it answers nothing.
        await pilot.press(key, "enter")
        await shows(pilot, "Delete everything?")
        assert second.status == "open"


async def test_an_answer_given_elsewhere_while_i_look_at_another_window(double: EngineDouble, app_on: AppOn) -> None:
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        run, first, _ = await two_questions(pilot, double)
        app.post_message(events.AppBlur())
        await until(pilot, lambda: app.focused is None)
        double.answer_elsewhere(run, first, "Grace")
        await shows(pilot, "answered elsewhere")
        app.post_message(events.AppFocus())
        await until(pilot, lambda: app.focused is not None)
        await pilot.press(*"wer x")
        await shows(pilot, "half an answer x")
        assert "answer" not in double.calls


async def test_esc_leaves_a_question_that_was_answered_elsewhere(double: EngineDouble, app_on: AppOn) -> None:
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        run, first, second = await two_questions(pilot, double)
        double.answer_elsewhere(run, first, "Grace")
        await shows(pilot, "answered elsewhere")
        await pilot.press("escape")
        await shows(pilot, "Delete everything?")
        await until(pilot, lambda: app.screen.steps.has_focus)
        await shows(pilot, "tab to answer")
        assert second.status == "open"


async def test_a_question_that_ends_with_its_run_keeps_what_i_typed(double: EngineDouble, app_on: AppOn) -> None:
    run, request = waiting(double, "text")
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await open_question(pilot, run)
        await pilot.press("tab", *"half an ans")
        request.status = "withdrawn"
        double.finish(run, "cancelled")
        await shows(pilot, "withdrawn: the run is cancelled")
        assert "half an ans" in screen_text(app)
        await pilot.press("enter")
        await hides(pilot, "withdrawn: the run is cancelled\n Nothing")
        await until(pilot, lambda: screen.steps.has_focus)
        assert not screen.question.display
        assert "answer" not in double.calls


async def test_an_answer_that_came_too_late_is_said_to_be_not_sent(double: EngineDouble, app_on: AppOn) -> None:
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        _, first, second = await two_questions(pilot, double)
        first.status, first.answer, first.answered_by = "answered", "Grace", "cli"
        await pilot.press("enter")
        await shows(pilot, "answered elsewhere")
        assert "half an ans" in screen_text(app)
        assert second.status == "open"


async def test_pasted_lines_all_arrive(double: EngineDouble, app_on: AppOn) -> None:
    run, request = waiting(double, "text")
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        await open_question(pilot, run)
        await pilot.press("tab")
        app.post_message(events.Paste("first\r\nsecond\nthird\n"))
        await shows(pilot, "first second third")
        await pilot.press("enter")
        await until(pilot, lambda: request.status == "answered")
        assert request.answer == "first second third"


async def test_a_long_prompt_leaves_room_for_the_rest(double: EngineDouble, app_on: AppOn) -> None:
    double.workflow("asks", ["ask"])
    run = double.run("asks")
    double.begin(run, "ask")
    double.ask(run, "ask", "q", "\n".join(f"line {n} of the prompt" for n in range(60)), "confirm")
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.connected_once)
        app.go_run(run.id)
        await shows(pilot, "ask asks")
        await settled(pilot)
        text = screen_text(app)
        assert "( ) yes" in text
        assert "─ log" in text
        assert "? help" in text
