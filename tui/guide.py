"""The first steps: a workflow from a template, its graph, a run, an answer, and what comes next. No model is needed.

The guide only talks and goes to places; everything in it is done with the keys that it names, so that whoever has
followed it once knows them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from textual.app import App
from textual.message import Message

from core.errors import RondoError
from tui.messages import EngineEvents, EngineFailed
from tui.navigation import Place
from tui.text import visible

if TYPE_CHECKING:
    from core.link.api import EngineApi
    from core.link.chat_types import TemplateView

KIND = "guide"
"""The kind of notice that stays until the next step."""

GRAPH = """First steps, 2 of 4: this is {name}. Boxes are nodes, in Python; arrows say what comes next, and when.
h j k l or the arrow keys walk, enter shows a node, e opens its code in your editor.
r runs it."""
RUNNING = """First steps, 3 of 4: it runs. Each step is durable before the next one begins.
You may close the terminal now: the run goes on, and rondo shows it again."""
ASKS = """First steps, 3 of 4: the run asks you something, and waits as long as it takes: seconds or days.
tab goes to the question; type or choose, and enter sends it."""
DONE = """First steps, 4 of 4: done, and kept. [ and ] walk through its steps, and show what each changed.
Next: e changes the code, r runs it again, n on the first screen makes a workflow of your own, 1 to 8 are the screens,
? says what the keys do, @ shows what you did as commands. With a model's key, 6 makes workflows in words.
esc puts this away."""
FAILED = """First steps: the run failed. The log says why, e opens the code, r runs it again.
Nothing that was done before is lost."""


class TemplatesKnown(Message, bubble=False):
    """What there is to begin with: the workflows, and the templates."""

    def __init__(self, workflows: list[str], templates: list[TemplateView]) -> None:
        super().__init__()
        self.workflows = workflows
        self.templates = templates


class FirstWorkflowMade(Message, bubble=False):
    """A workflow stands for the second step."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class LeadsByHand(App[int]):
    """The part of the app that leads to a first run."""

    _guided = ""
    """The workflow that the guide is about, or ""."""
    _guide_text = ""

    @property
    def engine(self) -> EngineApi:
        """The engine."""
        raise NotImplementedError

    def go(self, place: Place) -> None:
        """Show a place."""
        raise NotImplementedError

    def say(self, text: str, kind: str = "info") -> None:
        """Show a few lines."""
        raise NotImplementedError

    def lead(self) -> None:
        """Begin with the first step: choose something to run."""

        async def work() -> None:
            try:
                workflows = [row.name for row in await self.engine.list_workflows()]
                templates = await self.engine.list_templates()
            except RondoError as error:
                self.post_message(EngineFailed(error, "the first steps"))
            else:
                self.post_message(TemplatesKnown(workflows, templates))

        self.run_worker(work, group="guide", name="guide", exclusive=True)  # type: ignore[arg-type]

    def on_templates_known(self, message: TemplatesKnown) -> None:
        """Ask what to begin with."""
        from tui.screens.choose import ChooseSheet

        ways = [(f"template {found.name}", f"{found.title}: {found.description}") for found in message.templates]
        ways += [(f"workflow {name}", f"your workflow {name}") for name in message.workflows]

        def chosen(way: str | None) -> None:
            if way is None:
                return
            kind, _, name = way.partition(" ")
            if kind == "workflow":
                self.post_message(FirstWorkflowMade(name))
            else:
                self._make(name, _free(name, message.workflows))

        self.push_screen(ChooseSheet("first steps, 1 of 4: what shall it be?", ways, ""), chosen)

    def _make(self, template: str, name: str) -> None:
        command = str(uuid4())

        async def work() -> None:
            try:
                await self.engine.create_from_template(command, name, template)
            except RondoError as error:
                self.post_message(EngineFailed(error, f"making {name}"))
            else:
                self.post_message(FirstWorkflowMade(name))

        self.run_worker(work, group="guide", name="guide", exclusive=True)  # type: ignore[arg-type]

    def on_first_workflow_made(self, message: FirstWorkflowMade) -> None:
        self._guided = message.name
        # Said by the screen that comes, when it is there.
        self._guide_text = GRAPH.format(name=visible(message.name))
        self.go(Place("graph", message.name))

    def on_engine_events(self, message: EngineEvents) -> None:
        """The run of the guide's workflow has come to another step of the guide."""
        from core.link.event_types import RunChanged

        for event in message.events:
            if isinstance(event, RunChanged) and self._guided and event.workflow == self._guided:
                words = {"waiting_input": ASKS, "completed": DONE, "failed": FAILED, "running": RUNNING}
                text = words.get(event.status, "")
                if text and text != self._guide_text:
                    self._tell(text)
                if event.status == "completed":
                    self._guided = ""

    def repeat_guide(self) -> None:
        """Say the present step on the screen that is shown now."""
        if self._guide_text:
            self.say(self._guide_text, KIND)

    def end_guide(self) -> None:
        """Esc took the text away: no more is said of this step."""
        self._guide_text = ""

    def _tell(self, text: str) -> None:
        self._guide_text = text
        self.say(text, KIND)


def _free(name: str, known: list[str]) -> str:
    """The name, or one like it that is not taken."""
    number, wanted = 2, name
    while wanted in known:
        wanted, number = f"{name}_{number}", number + 1
    return wanted
