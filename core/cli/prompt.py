"""Questions of a run, asked at the terminal."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from core.cli.output import Output, Part, iso_time, until
from core.errors import InvalidAnswer
from core.link.types import RequestView

LINE_LIMIT = 4095
"""Bytes after which a terminal in line mode drops what is typed, without a word."""

HINTS = {
    "confirm": "y or n",
    "number": "a number",
    "json": "JSON",
    "select": "a number or the option itself",
    "multiselect": "numbers or options, with commas between them; nothing for none",
}


def option_list(options: Any) -> list[tuple[Any, str]]:
    """The options of a request as (value, label)."""
    pairs: list[tuple[Any, str]] = []
    for option in options if isinstance(options, list) else []:
        if isinstance(option, dict) and "value" in option:
            pairs.append((option["value"], str(option.get("label") or _as_text(option["value"]))))
        else:
            pairs.append((option, _as_text(option)))
    return pairs


def question_lines(request: RequestView, run_id: str | None = None) -> list[list[Part]]:
    """The question as it stands above the prompt: who asks, what, the options with their numbers.

    One of another run than `run_id` says of which.
    """
    if request.due_at is not None:
        moment = f" {request.node} waits until {iso_time(request.due_at)} "
        return [[("◷", "yellow"), moment, (f"({request.request_id}, {until(request.due_at)})", "dim")]]
    lines: list[list[Part]] = [
        [("◐", "yellow"), f" {request.node}{_of_run(request, run_id)} asks ", (f"({request.request_id})", "dim")]
    ]
    lines += [[f"  {line}"] for line in (request.prompt or "").splitlines()]
    pairs = option_list(request.options)
    width = len(str(len(pairs)))
    for number, (value, label) in enumerate(pairs, 1):
        parts: list[Part] = [f"  {number:>{width}}) {label}"]
        if _as_text(value) != label:
            parts.append((f"  {_as_text(value)}", "dim"))
        lines.append(parts)
    if request.problem:
        lines.append([("  ! ", "yellow"), request.problem])
    return lines


def _of_run(request: RequestView, run_id: str | None) -> str:
    return "" if run_id in (None, request.run_id) else f" of {request.workflow}, run {request.run_id[-8:]},"


def prompt_part(request: RequestView) -> str:
    """The last line, after which the person types."""
    hint = HINTS.get(request.input_type)
    return f"{hint}: " if hint is not None else "> "


def read_typed(request: RequestView, text: str) -> tuple[Any, bool]:
    """What was typed as (value, parse): an option is turned into its value here, all else is read by the engine.

    Raises InvalidAnswer for a number that no option has; texts that are no option are left to the engine to judge.
    """
    pairs = option_list(request.options)
    if request.input_type == "select" and pairs:
        return _option(pairs, text)
    if request.input_type == "multiselect" and pairs and not text.lstrip().startswith("["):
        chosen = [_option(pairs, part.strip())[0] for part in text.split(",") if part.strip()]
        return chosen, False
    return text, True


def _option(pairs: list[tuple[Any, str]], text: str) -> tuple[Any, bool]:
    """The option that was named. Its own text goes before its number, for options that are numbers themselves."""
    text = text.strip()
    for value, label in pairs:
        if text in (label, _as_text(value)):
            return value, False
    if text.isascii() and text.isdigit() and 1 <= int(text) <= len(pairs):
        return pairs[int(text) - 1][0], False
    raise InvalidAnswer(
        f"{text!r} is none of the options.",
        cause=f"The options are {', '.join(label for _, label in pairs)}.",
        next_step=f"Type one of them, or its number from 1 to {len(pairs)}.",
    )


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def ask(output: Output, request: RequestView) -> None:
    """Show the question and the prompt."""
    output.lines(question_lines(request))
    output.ask(prompt_part(request))


async def confirm(output: Output, *question: Part) -> bool:
    """Ask for a yes; anything else, also the end of the input, is a no."""
    output.ask(*question, " [y/N] ")
    typed = await TypedLines(output).next()
    if typed is None:
        output.line("")
    return (typed or "").strip().lower() in ("y", "yes")


@contextmanager
def _no_echo(descriptor: int) -> Iterator[None]:
    before = termios.tcgetattr(descriptor)
    silent = [*before[:3], before[3] & ~termios.ECHO, *before[4:]]
    termios.tcsetattr(descriptor, termios.TCSAFLUSH, silent)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSAFLUSH, before)


class TypedLines:
    """Lines typed at the terminal, read without holding up the event loop.

    The terminal itself edits the line; it is handed over when return is pressed.
    """

    def __init__(self, output: Output) -> None:
        self._output = output

    async def next(self) -> str | None:
        """The next line without its end, or None at the end of the input (Ctrl+D)."""
        while True:
            line = await self._read()
            if line is None:
                return None
            if len(line) < LINE_LIMIT:
                return line.decode(errors="replace").rstrip("\r\n")
            self._output.note(
                ("! ", "yellow"),
                "That line is longer than a terminal passes on. Press Ctrl+D here, and give it with rondo answer.",
            )

    async def next_hidden(self) -> str | None:
        """The same, not shown while it is typed."""
        with _no_echo(sys.stdin.fileno()):
            typed = await self.next()
        self._output.note("")  # The terminal did not show the return, either.
        return typed

    async def _read(self) -> bytes | None:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        descriptor = sys.stdin.fileno()
        loop.add_reader(descriptor, lambda: None if ready.done() else ready.set_result(None))
        try:
            await ready
        finally:
            loop.remove_reader(descriptor)
        return os.read(descriptor, LINE_LIMIT + 1) or None
