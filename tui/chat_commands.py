"""What can be typed to the chat besides words: `/` commands, `@node` and `@run`, and their completion. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from core.link.chat_types import ChatMode

MODES: tuple[tuple[ChatMode, str], ...] = (
    ("ask", "answers only, changes nothing"),
    ("propose", "proposes changes, you decide"),
    ("auto", "applies what passes all checks"),
)


TRIES = (
    ("on", "its code may be run dry in an isolated process"),
    ("off", "nothing of it runs before you say so"),
)


@dataclass(frozen=True, slots=True)
class SlashCommand:
    """A command of the chat: the action it is, what may follow it, and what it does."""

    name: str
    action_id: str
    help: str
    argument: str = ""
    choices: tuple[tuple[str, str], ...] = ()


COMMANDS = (
    SlashCommand("new", "chat.new", "Begin another chat about this workflow"),
    SlashCommand("chats", "chat.list", "The chats of this workflow: open or delete one"),
    SlashCommand("mode", "chat.mode", "What the assistant may do: ask, propose or auto", "ask|propose|auto", MODES),
    SlashCommand("model", "chat.models", "Which models are used, and their providers"),
    SlashCommand("tries", "chat.tries", "May it run what it proposes, dry and isolated: on or off", "on|off", TRIES),
    SlashCommand("stop", "chat.stop", "End the answer that is being written"),
    SlashCommand("retry", "chat.retry", "Ask again from your last message"),
    SlashCommand("edit", "chat.edit", "Change your last message and send it again"),
    SlashCommand("proposal", "chat.proposal", "To the proposal that waits"),
    SlashCommand("answer", "chat.answer", "To the questions that wait"),
    SlashCommand("undo", "workflow.undo", "Take back the last applied change"),
    SlashCommand("redo", "workflow.redo", "Apply again what was taken back"),
    SlashCommand("fix", "run.fix", "Repair a failed run", "RUN"),
    SlashCommand("templates", "workflow.new", "Make a workflow from a template, without a model"),
    SlashCommand("copy", "chat.copy", "Copy the last answer"),
    SlashCommand("save", "chat.save", "Write the whole chat to a file", "FILE"),
    SlashCommand("help", "app.help", "The keys and commands of this view"),
)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What could stand there instead of the last `begun` characters."""

    text: str
    help: str
    begun: int
    whole: bool = False
    """True where nothing needs to follow: Enter may take and send it."""


@dataclass(frozen=True, slots=True)
class References:
    """What `@` can name: nodes and runs, each with what it is."""

    nodes: Sequence[tuple[str, str]] = ()
    runs: Sequence[tuple[str, str]] = ()


def command_of(text: str) -> tuple[SlashCommand, str] | None:
    """The command that a text is, with what follows it; None for a message. `/unknown` is no command either."""
    if not text.startswith("/") or "\n" in text.strip():
        return None
    word, _, argument = text[1:].strip().partition(" ")
    found = next((command for command in COMMANDS if command.name == word), None)
    return (found, argument.strip()) if found is not None else None


def looks_like_command(text: str) -> bool:
    """True for one word that begins with a slash: a typing error rather than a message."""
    return re.fullmatch(r"/[a-z]+( .*)?", text.strip()) is not None


def suggestions(before: str, references: References) -> list[Suggestion]:
    """What could be meant by the text before the cursor, best first; empty where nothing is to be completed."""
    if before.startswith("/") and "\n" not in before:
        return _commands(before)
    found = re.search(r"(?:^|\s)@(?P<begun>[\w.-]*)$", before)
    if found is None:
        return []
    begun = found["begun"].lower()
    made = [
        Suggestion(f"@{name}", what, len(begun) + 1)
        for names in (references.nodes, references.runs)
        for name, what in names
        if begun in name.lower()
    ]
    made.sort(key=lambda entry: not entry.text[1:].lower().startswith(begun))
    return [entry for entry in made if entry.text != f"@{begun}"]


def _commands(before: str) -> list[Suggestion]:
    word, space, argument = before[1:].partition(" ")
    if space:
        command = next((command for command in COMMANDS if command.name == word), None)
        choices = command.choices if command is not None else ()
        return [
            Suggestion(name, what, len(argument), True)
            for name, what in choices
            if name.startswith(argument) and name != argument
        ]
    matching = [command for command in COMMANDS if command.name.startswith(word)]
    if any(command.name == word and not command.argument for command in matching):
        return []
    return [
        Suggestion(f"/{command.name}", command.help, len(before), not command.argument)
        for command in matching
        if command.name != word or command.argument
    ]
