"""The chat: writing, what streams, questions, commands, and where it stands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import scenes
from chat_double import ASKING, WEEKDAYS, Chat
from engine_double import EngineDouble
from looking import hides, line_with, press_twice, screen_text, settled, shows, until
from textual import events
from textual.pilot import Pilot

from core.errors import ModelUnreachable
from core.link.chat_types import QuestionAnswer, SendMessage
from core.link.model_types import UsageView
from core.link.types import ErrorView
from tui.app import RondoApp
from tui.screens.chat import ChatScreen
from tui.screens.graph import GraphScreen
from tui.widgets import chat_writing
from tui.widgets.chat_pane import ChatPane

AppOn = Callable[[EngineDouble], RondoApp]


def pane_of(app: RondoApp) -> ChatPane:
    """The chat on the screen."""
    chat = getattr(app.screen, "chat", None)
    assert isinstance(chat, ChatPane)
    return chat


async def on_digest(pilot: Pilot[Any]) -> None:
    """Select mail_digest in the list."""
    await shows(pilot, "mail_digest")
    await pilot.press("j")
    await until(pilot, lambda: pilot.app.screen.workflow_name == "mail_digest")  # type: ignore[attr-defined]


async def writing(pilot: Pilot[Any]) -> ChatPane:
    """Wait until keys go into the composer."""
    app = pilot.app
    assert isinstance(app, RondoApp)
    await until(pilot, lambda: getattr(app.screen, "chat", None) is not None and pane_of(app).composer.has_focus)
    await until(pilot, lambda: app.screen.early_keys is None)  # type: ignore[attr-defined]
    return pane_of(app)


async def test_what_is_said_and_answered_is_seen_beside_the_list(double: EngineDouble, app_on: AppOn) -> None:
    scenes.mail(double)
    spoken: list[Chat] = []

    def answer(chat: Chat, message: SendMessage) -> None:
        double.busy(chat, True)
        spoken.append(chat)

    double.on_message = answer
    app = app_on(double)
    async with app.run_test(size=(120, 36)) as pilot:
        await on_digest(pilot)
        # In one piece: none of these letters is a key of the list.
        await pilot.press("c", *"run r x")
        await writing(pilot)
        await shows(pilot, "run r x")
        await pilot.press("enter")
        await until(pilot, lambda: spoken)
        assert (double.said[0].workflow, double.said[0].text) == ("mail_digest", "run r x")
        await shows(pilot, "● working")
        chat = spoken[0]
        tool = double.use_tool(chat, "read_workflow outline", "running")
        await shows(pilot, "● running read_workflow")
        double.change(
            chat,
            tool,
            tool=double.chats[chat.row.chat_id]
            .entries[1]
            .tool.__class__(  # type: ignore[union-attr]
                name="read_workflow", title="read_workflow outline", status="done", result="6 nodes"
            ),
        )
        await shows(pilot, "✓ read_workflow outline  6 nodes")
        entry = double.add(chat, "model", "", streaming=True)
        await until(pilot, lambda: len(pane_of(app).conversation.items) == 3)
        for word in ("It **posts** ", "twice ", "a day"):
            double.stream(chat, chat.entries[-1], word)
        await shows(pilot, "rondo It posts twice a day")
        usage = UsageView(calls=1, input_tokens=4000, output_tokens=100, cost=0.012)
        double.usage = UsageView(calls=1, cost=0.42)
        double.change(chat, chat.entries[-1], streaming=False, usage=usage, model="claude-x", seconds=6.2)
        assert entry.number == 3
        double.busy(chat, False)
        await shows(pilot, "4.1k tokens · $0.012 · claude-x · 6.2s")
        await hides(pilot, "● working")
        await shows(pilot, "$0.42 today")
        # Esc leaves the composer, not the chat; on another screen it goes on.
        await pilot.press("escape", "g")
        await until(pilot, lambda: isinstance(app.screen, GraphScreen))
        await shows(pilot, "rondo It posts twice a day")


async def test_lines_history_editing_and_asking_again(double: EngineDouble, app_on: AppOn) -> None:
    scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(120, 36)) as pilot:
        await on_digest(pilot)
        await pilot.press("6")
        pane = await writing(pilot)
        await pilot.press(*"one", "alt+enter", *"two", "backslash", "enter", *"three")
        assert pane.composer.text == "one\ntwo\nthree"
        await pilot.press("enter")
        await until(pilot, lambda: double.said)
        assert double.said[0].text == "one\ntwo\nthree"
        await shows(pilot, "you   one")
        chat = next(iter(double.chats.values()))
        double.add(chat, "model", "A first answer.")
        await shows(pilot, "A first answer.")
        await pilot.press(*"dr", "up", "up", "up")
        assert pane.composer.text == "one\ntwo\nthree"
        await pilot.press("down", "down", "down")
        assert pane.composer.text == "dr"
        await pilot.press("ctrl+u", "escape", "E")
        await shows(pilot, "instead of message 1")
        await pilot.press("end", *"!", "enter")
        await until(pilot, lambda: len(double.said) == 2)
        assert (double.said[1].replaces, double.said[1].text) == (1, "one\ntwo\nthree!")
        await hides(pilot, "A first answer.")
        double.add(chat, "model", "A second answer.")
        await shows(pilot, "A second answer.")
        await pilot.press("escape", "t")
        await hides(pilot, "A second answer.")
        assert "retry_chat" in double.calls


async def test_esc_twice_stops_the_answer_and_drafts_stay_with_their_chat(
    double: EngineDouble, app_on: AppOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However long this machine takes between the two presses.
    monkeypatch.setattr(chat_writing, "STOP_SECONDS", 60.0)
    scenes.mail(double)
    chat = double.chat("mail_digest", title="first")
    double.add(chat, "user", "hello")
    double.busy(chat, True)
    other = double.chat("mail_triage", title="other")
    double.add(other, "user", "about triage")
    app = app_on(double)
    async with app.run_test(size=(120, 36)) as pilot:
        await on_digest(pilot)
        await pilot.press("c")
        pane = await writing(pilot)
        await shows(pilot, "● working")
        await pilot.press(*"a draft", "escape")
        await shows(pilot, "Esc once more stops the answer")
        assert chat.row.busy
        await pilot.press("escape")
        await shows(pilot, "· Stopped.")
        assert pane.composer.text == "a draft"
        await pilot.press("escape")
        await pilot.press("j", "j", "c")
        await shows(pilot, "about triage")
        assert pane.composer.text == ""
        await pilot.press("escape", "k", "k", "c")
        await shows(pilot, "you   hello")
        await until(pilot, lambda: pane.composer.text == "a draft")
        await pilot.press("f2")
        await until(pilot, lambda: not pane.display)


async def test_questions_are_answered_with_the_keyboard(double: EngineDouble, app_on: AppOn) -> None:
    scenes.mail(double)
    chat = double.chat("mail_digest")
    double.add(chat, "user", "only on weekdays")
    third = WEEKDAYS.__class__(id="third", text="And holidays?", options=WEEKDAYS.options)
    double.ask_questions(chat, WEEKDAYS, ASKING, third)
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        await on_digest(pilot)
        await pilot.press("c")
        await writing(pilot)
        await shows(pilot, "question 1 of 3")
        assert "understood 64 %, asks below 70 %" in screen_text(app)
        # Enter on nothing written leads to what waits.
        await pilot.press("enter")
        await until(pilot, lambda: pane_of(app).questions.answering)
        await pilot.press("j", "j", "enter", *"every other", "enter")
        await shows(pilot, "question 2 of 3")
        await until(pilot, lambda: pane_of(app).questions.answering)
        await pilot.press("space", "j", "space", "enter")
        await shows(pilot, "question 3 of 3")
        await until(pilot, lambda: pane_of(app).questions.answering)
        await pilot.press("backspace")
        await shows(pilot, "question 2 of 3")
        await until(pilot, lambda: pane_of(app).questions.answering)
        await pilot.press("enter")
        await shows(pilot, "question 3 of 3")
        await until(pilot, lambda: pane_of(app).questions.answering)
        await pilot.press("j", "j", "j", "enter")
        await until(pilot, lambda: double.answered)
        assert double.answered[0].answers == [
            QuestionAnswer(id="weekend", text="every other"),
            QuestionAnswer(id="ask", chosen=["wait for my answer", "post anyway"]),
            QuestionAnswer(id="third"),
        ]
        await shows(pilot, "→ decide for me")


async def test_tab_leads_from_the_text_to_what_is_asked(double: EngineDouble, app_on: AppOn) -> None:
    scenes.mail(double)
    chat = double.chat("mail_digest")
    double.add(chat, "user", "only on weekdays")
    double.ask_questions(chat, WEEKDAYS)
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        await on_digest(pilot)
        await pilot.press("c")
        pane = await writing(pilot)
        await shows(pilot, "tab to answer")
        await pilot.press("tab")
        assert pane.questions.answering
        await hides(pilot, "tab to answer")
        # And back; backwards to the conversation.
        await pilot.press("tab")
        assert pane.composer.has_focus
        await pilot.press("shift+tab", "shift+tab")
        assert pane.log_view.has_focus


async def test_keys_in_one_piece_find_the_suggestions_of_the_text_as_it_is(double: EngineDouble, app_on: AppOn) -> None:
    scenes.mail(double)
    chat = double.chat("mail_digest")
    double.add(chat, "model", "The answer.")
    app = app_on(double)
    async with app.run_test(size=(100, 30)) as pilot:
        await on_digest(pilot)
        await pilot.press("c")
        pane = await writing(pilot)
        await shows(pilot, "The answer.")
        for key in ("slash", *"model", "enter"):
            # Without a pause, as a terminal sends what was typed while the app was busy.
            pane.composer.post_message(events.Key(key, "/" if key == "slash" else "\r" if key == "enter" else key))
        await shows(pilot, "a day  $0.42 of $5.00 dollars")
        await pilot.press("escape")
        await until(pilot, lambda: pane.composer.has_focus)
        # A list that Esc closed stays closed.
        await pilot.press(*"/mod")
        await until(pilot, lambda: bool(pane.suggestion_list.display))
        await pilot.press("escape")
        await until(pilot, lambda: not pane.suggestion_list.display)
        await pilot.press("enter")
        await shows(pilot, "There is no command /mod")


async def test_commands_and_references_are_completed(double: EngineDouble, app_on: AppOn, tmp_path: Path) -> None:
    scenes.mail(double)
    chat = double.chat("mail_digest", title="weekdays")
    double.add(chat, "user", "hello")
    double.add(chat, "model", "The *answer*.")
    app = app_on(double)
    app.workspace = app.workspace.__class__(tmp_path, tmp_path, tmp_path)
    async with app.run_test(size=(120, 36)) as pilot:
        await on_digest(pilot)
        await pilot.press("6")
        pane = await writing(pilot)
        await until(pilot, lambda: pane.references.nodes and pane.conversation.row)
        await pilot.press(*"why @summ", "tab", *"and @7f3a", "tab")
        assert pane.composer.text == "why @summarise and @7f3a09c1 "
        await pilot.press("ctrl+u", *"/mo", "enter", *"au", "enter")
        await until(pilot, lambda: chat.row.mode == "auto")
        await pilot.press(*"/model", "enter")
        await shows(pilot, "anthropic:claude-x")
        await shows(pilot, "a day  $0.42 of $5.00 dollars")
        await pilot.press("escape", *"/save", "space", *"x.md", "enter")
        await until(pilot, lambda: (tmp_path / "x.md").exists())
        assert "The *answer*." in (tmp_path / "x.md").read_text()
        await pilot.press(*"/nonsense", "enter")
        await shows(pilot, "There is no command /nonsense")
        assert pane.composer.text == "/nonsense"
        await pilot.press("ctrl+u", *"/chats", "enter")
        await shows(pilot, "chats about mail_digest")
        await pilot.press("d")
        await until(pilot, lambda: getattr(app.screen, "armed", False) and app.screen.view == "confirm")  # type: ignore[attr-defined]
        await pilot.press("y")
        await until(pilot, lambda: not double.chats)
        await shows(pilot, "Say what mail_digest should do")


async def test_an_empty_chat_has_its_keys_too(double: EngineDouble, app_on: AppOn) -> None:
    scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        await on_digest(pilot)
        await pilot.press("6")
        pane = await writing(pilot)
        for key in ("escape", "tab"):
            await pilot.press(key)
            assert "o chats" in line_with(app, "? help") and not pane.composer.has_focus
            await pilot.press("i")
            assert pane.composer.has_focus
        await pilot.press("escape", "o")
        await shows(pilot, "There is no chat yet")
        await pilot.press("i", *"hello", "enter")
        await pilot.press("escape")
        # What is said then has the keys.
        await shows(pilot, "you   hello")
        await until(pilot, lambda: pane.log_view.has_focus)


async def test_what_could_not_be_sent_is_given_back(double: EngineDouble, app_on: AppOn) -> None:
    scenes.mail(double)
    app = app_on(double)
    double.problems["send_message"] = ModelUnreachable("No answer.", cause="The line is cut.", next_step="Try again.")
    async with app.run_test(size=(100, 30)) as pilot:
        await on_digest(pilot)
        await pilot.press("c")
        pane = await writing(pilot)
        await pilot.press(*"hello", "enter")
        await shows(pilot, "No answer.")
        await until(pilot, lambda: pane.composer.text == "hello")
        pane.composer.post_message(events.Paste(" a\x1b[31mred\r\nline\x07"))
        await until(pilot, lambda: pane.composer.text == "hello ared\nline")
        assert not double.said


async def test_without_a_key_it_says_so_and_templates_work(double: EngineDouble, app_on: AppOn) -> None:
    scenes.mail(double)
    double.model_problem = ErrorView(type="NoModelKey", message="No key.", next_step="Set ANTHROPIC_API_KEY.")
    app = app_on(double)
    async with app.run_test(size=(100, 30)) as pilot:
        await on_digest(pilot)
        await pilot.press("c")
        await writing(pilot)
        await shows(pilot, "No key. Set ANTHROPIC_API_KEY.")
        await pilot.press(*"/templates", "enter")
        await shows(pilot, "describe it in chat")
        # What is typed takes the place of the name that is offered.
        await pilot.press("j", "enter", *"hi", "enter")
        await until(pilot, lambda: double.made == [("hi", "hello")])
        await until(pilot, lambda: isinstance(app.screen, GraphScreen))


async def test_a_notice_beside_the_chat_is_read_to_its_end(double: EngineDouble, app_on: AppOn) -> None:
    scenes.mail(double)
    app = app_on(double)
    words = "The engine had died; its process is no more. What was going on goes on. See: rondo engine status"
    async with app.run_test(size=(110, 30)) as pilot:
        await on_digest(pilot)
        await pilot.press("c")
        await writing(pilot)
        app.say(words, "problem")
        await shows(pilot, "rondo engine status")
        left = " ".join(line[: app.screen.body_width].strip(" ✗") for line in screen_text(app).splitlines())
        assert words in left
        await pilot.press("f2")
        await until(pilot, lambda: f"✗ {words}" in screen_text(app))


@pytest.mark.parametrize("where", ["list", "run"])
async def test_f_repairs_a_failed_run(where: str, double: EngineDouble, app_on: AppOn) -> None:
    scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(120, 36)) as pilot:
        await on_digest(pilot)
        await pilot.press("j")
        await until(pilot, lambda: app.screen.failed_run)  # type: ignore[attr-defined]
        if where == "run":
            await pilot.press("o")
            await until(pilot, lambda: app.screen.view == "run" and app.screen.failed_run)  # type: ignore[attr-defined]
        assert "f fix" in line_with(app, "? help")
        await pilot.press("f")
        await until(pilot, lambda: isinstance(app.screen, ChatScreen))
        await shows(pilot, "you   Repair @bbbb0002")


async def test_a_long_chat_is_a_window(double: EngineDouble, app_on: AppOn) -> None:
    scenes.mail(double)
    chat = double.chat("mail_digest")
    for number in range(1, 401):
        double.add(chat, "user" if number % 2 else "model", f"entry {number}")
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        await on_digest(pilot)
        await pilot.press("6")
        pane = await writing(pilot)
        await shows(pilot, "entry 400")
        assert len(pane.conversation.items) < 100
        await pilot.press("escape")
        for _ in range(40):
            await press_twice(pilot, "g")
            await until(pilot, lambda: pane.log_view.scroll_offset.y == 0 or not pane.chat_reader.reading)
            await until(pilot, lambda: not pane.chat_reader.reading and not pane.conversation.wanted)
            if "entry 1\n" in screen_text(app) + "\n":
                break
        await shows(pilot, "you   entry 1")
        assert len(pane.conversation.items) <= 160
        # Something said now does not move what one reads.
        double.add(chat, "model", "entry 401")
        await shows(pilot, "more below: G")
        assert "entry 1" in screen_text(app)
        for _ in range(40):
            await pilot.press("G")
            await until(pilot, lambda: not pane.chat_reader.reading and not pane.conversation.wanted)
            if "entry 401" in screen_text(app):
                break
        await shows(pilot, "entry 401")
        await settled(pilot)


async def test_escape_puts_a_chat_away_that_lies_over_the_whole_screen(double: EngineDouble, app_on: AppOn) -> None:
    scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(80, 24)) as pilot:
        await on_digest(pilot)
        await pilot.press("c")
        pane = await writing(pilot)
        await pilot.press("shift+tab")
        await until(pilot, lambda: not pane.composer.has_focus)
        await pilot.press("escape")
        await until(pilot, lambda: not app.screen.chat_shown)  # type: ignore[attr-defined]
        await shows(pilot, "r run")
        # The screen has the keys again.
        await pilot.press("k")
        await until(pilot, lambda: app.screen.workflow_name != "mail_digest")  # type: ignore[attr-defined]
