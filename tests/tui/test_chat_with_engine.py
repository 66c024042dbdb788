"""The chat on a real engine with a scripted model: from words to a workflow, and back."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from looking import shows, until

sys.path += [str(Path(__file__).parents[1] / "core" / part) for part in ("engine", "assistant")]

from scripted import ScriptedGateway, ask, graph, plan, source
from workbench import Workbench

from core.link.event_types import EngineChanged, Event
from tui.app import RondoApp
from tui.screens.chat import ChatScreen

GREET = '''from core.sdk import Node


class Greet(Node):
    """Greets somebody."""

    def prepare(self, shared, request_input):
        return shared["name"]

    def execute(self, name):
        return f"Hello, {name}!"

    def cleanup(self, shared, name, greeting):
        shared["greeting"] = greeting
'''


class InProcess:
    """An engine of this process as the app's client."""

    def __init__(self, engine: Callable[[], Any]) -> None:
        self._engine = engine
        self.problem = None

    def open(self) -> None:
        """It is there."""

    async def close(self) -> None:
        """It ends with its bench."""

    async def events(self) -> AsyncIterator[list[Event]]:
        yield [EngineChanged(state="connected")]
        async for batch in self._engine().events():
            yield batch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine(), name)


async def test_words_become_a_workflow_and_can_be_taken_back(tmp_path: Path) -> None:
    gateway = ScriptedGateway()
    gateway.replies += [
        {"calls": [plan("Greet somebody", "low"), ask("Whom?")]},
        {
            "text": "I make **it**.",
            "calls": [
                plan("Greet somebody"),
                source("Greet", "add", GREET),
                graph(
                    {"op": "add_node", "id": "greet", "set": {"class": "Greet"}},
                    {"op": "set_io", "set": {"initial_state": {"name": "Ada"}}},
                ),
            ],
        },
        {"text": "Done."},
    ]
    bench = Workbench(tmp_path)
    async with bench.running(gateway=gateway):
        app = RondoApp(bench.workspace, make_client=lambda _: InProcess(lambda: bench.engine))  # type: ignore[arg-type, return-value]
        async with app.run_test(size=(110, 34)) as pilot:
            await shows(pilot, "No workflows yet.")
            await pilot.press("n")
            await shows(pilot, "describe it in chat")
            await pilot.press("enter", *"hello", "enter")
            await until(pilot, lambda: isinstance(app.screen, ChatScreen) and app.screen.pane.composer.has_focus)
            screen = app.screen
            assert isinstance(screen, ChatScreen)
            await pilot.press(*"greet somebody", "enter")
            await shows(pilot, "Whom?")
            await until(pilot, lambda: screen.pane.questions.asks)
            await pilot.press("enter")
            await until(pilot, lambda: screen.pane.questions.answering)
            await pilot.press("enter")
            await shows(pilot, "proposal 1")
            await until(pilot, lambda: screen.card.proposal is not None and not screen.pane.conversation.busy)
            await pilot.press("enter")
            await until(pilot, lambda: screen.card.armed)
            await pilot.press("a")
            await shows(pilot, "Applied to hello")
            assert (bench.workspace.workflows_dir / "hello" / "nodes.py").exists()
            await pilot.press("u")
            await until(pilot, lambda: getattr(app.screen, "armed", False) and app.screen.view == "confirm")  # type: ignore[attr-defined]
            await pilot.press("y")
            await shows(pilot, "Taken back")
            assert not (bench.workspace.workflows_dir / "hello" / "nodes.py").exists()
