"""Pasted text: it reaches an input as one line, and never acts as keys."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import scenes
from engine_double import EngineDouble
from hypothesis import given
from hypothesis import strategies as st
from looking import settled, shows, until
from textual import events

from tui.app import RondoApp
from tui.screens.workflows import WorkflowsScreen
from tui.terminal import PASTE_BEGINS, PASTE_ENDS, PasteCleaner
from tui.text import one_line

AppOn = Callable[[EngineDouble], RondoApp]

plain = st.binary(max_size=40).filter(lambda data: PASTE_BEGINS not in data and PASTE_ENDS not in data)
typed = plain.filter(lambda data: not any(data.endswith(PASTE_BEGINS[:n]) for n in range(1, len(PASTE_BEGINS))))
pasted = st.lists(
    st.sampled_from([b"a", b"\n", b"\x1b", b"\x1b[31m", b"\x1b[20", b"[201~", b"\x1b[200~", b"q"]), max_size=12
).map(b"".join)


@given(st.lists(st.tuples(typed, pasted), max_size=4), st.data())
def test_only_escapes_within_a_paste_are_replaced(parts: list[tuple[bytes, bytes]], data: st.DataObject) -> None:
    sent = expected = b""
    for keys, paste in parts:
        if PASTE_ENDS in paste or any(paste.endswith(PASTE_ENDS[:n]) for n in range(1, len(PASTE_ENDS))):
            paste += b"."
        if PASTE_ENDS in paste:
            continue
        sent += keys + PASTE_BEGINS + paste + PASTE_ENDS
        expected += keys + PASTE_BEGINS + paste.replace(b"\x1b", b"\x1a") + PASTE_ENDS
    cleaner = PasteCleaner()
    read = b""
    while sent:
        length = data.draw(st.integers(1, len(sent)))
        read += cleaner.feed(sent[:length])
        sent = sent[length:]
    assert read == expected


@given(typed)
def test_keys_are_never_held_back(keys: bytes) -> None:
    cleaner = PasteCleaner()
    for key in keys:
        assert cleaner.feed(bytes([key])) == bytes([key])


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("first\r\nsecond\n\nthird\n", "first second third"),
        ("a\tb", "a b"),
        ("\x1a[31mred\x1a[0m and \x1b[1mbold", "red and bold"),
        ("\x1a]0;title\x07text\x00\x07\x1a", "text"),
        ("\u202eevil\u2028next", "evil next"),
        ("Zoë ✓ 日本", "Zoë ✓ 日本"),
    ],
)
def test_pasted_text_becomes_one_clean_line(text: str, line: str) -> None:
    assert one_line(text) == line


async def test_a_paste_outside_an_input_does_nothing_but_say_so(double: EngineDouble, app_on: AppOn) -> None:
    run = scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(100, 30)) as pilot:
        await shows(pilot, "mail_digest")
        app.go_run(run.id)
        await shows(pilot, "approve asks")
        app.post_message(events.Paste("rxq\r\nq"))
        await shows(pilot, "Nothing was pasted")
        app.pop_screen()
        await until(pilot, lambda: isinstance(app.screen, WorkflowsScreen))
        app.post_message(events.Paste("rxq\r\nq"))
        await shows(pilot, "Nothing was pasted")
        await settled(pilot)
        assert isinstance(app.screen, WorkflowsScreen)
        assert "start_run" not in double.calls


async def test_a_paste_into_the_filter_is_one_line_of_it(double: EngineDouble, app_on: AppOn) -> None:
    scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(100, 30)) as pilot:
        await shows(pilot, "mail_digest")
        screen = app.screen
        assert isinstance(screen, WorkflowsScreen)
        await pilot.press("slash")
        app.post_message(events.Paste("mail_\x1a[31mdi\ngest\n"))
        await until(pilot, lambda: screen.filter_line.text == "mail_di gest")
