"""What the chat and the card of a proposal look like, at 80 by 24 and 120 by 40."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import scenes
from chat_double import ASKING, WEEKDAYS, weekday_proposal
from engine_double import EngineDouble
from looking import settled, shows, until
from pytest_textual_snapshot import SVGImageExtension
from syrupy import SnapshotAssertion

from core.link.chat_types import QuestionAnswer
from core.link.model_types import UsageView
from tui.app import RondoApp

AppOn = Callable[[EngineDouble], RondoApp]
SIZES = [(80, 24), (120, 40)]

ANSWER = """I read the graph. **Two things** would change:

1. `weekday_gate` before `fetch`, which ends the run on *Saturday* and *Sunday*
2. `many_mails`, which asks you

| node | does |
|---|---|
| weekday_gate | ends the run |
| many_mails | asks |

```python
class WeekdayGate(Node):
    def execute(self, weekday):
        return weekday < 5
```
"""


@pytest.fixture
def picture(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    """One SVG file a picture, without the plugin's report, which would hold the whole environment."""
    return snapshot.use_extension(SVGImageExtension)


def conversation(double: EngineDouble, how: str) -> None:
    """A chat about mail_digest that has come so far."""
    scenes.mail(double)
    if how == "empty":
        return
    double.usage = UsageView(calls=9, cost=0.42)
    chat = double.chat("mail_digest", title="weekdays")
    chat.row.usage = UsageView(calls=4, input_tokens=12000, output_tokens=900, cost=0.042)
    double.add(chat, "user", "only post on weekdays, and ask me when there are more than 50 mails")
    double.use_tool(chat, "read_workflow outline", "done", "6 nodes")
    if how == "streaming":
        double.busy(chat, True)
        double.use_tool(chat, "read_node_source Post", "running")
        double.add(chat, "model", ANSWER, streaming=True)
        return
    questions = double.ask_questions(chat, WEEKDAYS, ASKING)
    if how == "card":
        answers = [QuestionAnswer(id="weekend", chosen=["skip the run"]), QuestionAnswer(id="ask")]
        double.change(chat, questions, answers=answers)
        double.propose(chat, weekday_proposal(chat))


async def take(app: RondoApp, how: str, size: tuple[int, int]) -> str:
    """The picture of one scene."""
    async with app.run_test(size=size) as pilot:
        await shows(pilot, "mail_digest")
        await pilot.press("j")
        await settled(pilot)
        await pilot.press("6" if how == "card" else "c")
        await until(pilot, lambda: app.screen.chat is not None and app.screen.chat.composer.has_focus)  # type: ignore[attr-defined]
        await shows(pilot, "anthropic:claude-x" if how != "streaming" else "working")
        await settled(pilot)
        if how in ("questions", "card"):
            await pilot.press("enter")
        await settled(pilot)
        return app.export_screenshot(title="rondo")


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("how", ["empty", "streaming", "questions", "card"])
async def test_picture_of_the_chat(
    how: str, size: tuple[int, int], double: EngineDouble, app_on: AppOn, picture: SnapshotAssertion
) -> None:
    conversation(double, how)
    assert await take(app_on(double), how, size) == picture


async def test_picture_of_the_card_in_a_light_theme(
    double: EngineDouble, app_on: AppOn, picture: SnapshotAssertion
) -> None:
    conversation(double, "card")
    app = app_on(double)
    app.theme = "textual-light"
    assert await take(app, "card", (80, 24)) == picture
