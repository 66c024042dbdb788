"""Any keys in any order: the app shows something and never falls over."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
import scenes
from chat_double import ASKING, WEEKDAYS, weekday_proposal
from engine_double import NOW, EngineDouble, Run
from looking import screen_text, until
from random_keys import SIZES, burst, go_home, is_home
from runs_double import ManyRunsDouble
from tools_double import BASIC, KEY, LINK

from core.link.event_types import ToolsChanged
from core.link.types import ErrorView
from core.link.workflow_types import FindingView
from tui.app import RondoApp

AppOn = Callable[[EngineDouble], RondoApp]


def busy(double: EngineDouble, rng: random.Random, run: Run) -> None:
    """Something happens in the engine."""
    match rng.randrange(14):
        case 0:
            double.log_many(run, [f"noise {rng.random()}"] * rng.randrange(1, 400), node="post")
        case 1:
            double.complete(run, "post", {"n": rng.randrange(9), "deep": {"x": [1, {"y": "z" * 300}]}}, at=NOW)
        case 2:
            if not run.open_requests:
                kind = rng.choice(["text", "confirm", "select", "number", "json", "multiselect"])
                double.ask(run, "post", f"q{rng.random()}", "Well?", kind, ["a", "b"])
        case 3:
            for request in run.requests:
                request.status = "answered"
            double.begin(run, "post", at=NOW)
        case 4:
            double.lose()
        case 5:
            double.return_again()
        case 6 if "mail_digest" in double.workflows:
            bad = FindingView(code="E1", severity="error", message="Broken.", file="nodes.py", line=1)
            double.change_workflow("mail_digest", findings=rng.choice([[], [bad]]))
        case 7:
            double.workflow(f"new_{rng.randrange(5)}", ["a", "b"], approved=rng.random() < 0.5)
            double.change_workflow(rng.choice(list(double.workflows)))
        case 8:
            double.model_problem = rng.choice([None, ErrorView(type="NoModelKey", message="No key.")])
        case 9 | 10 | 11:
            converse(double, rng)
        case 12:
            happen_to_accounts(double, rng, run)
        case _:
            double.connected = True


def happen_to_accounts(double: EngineDouble, rng: random.Random, run: Run) -> None:
    """Something happens to an account, to an app, or for want of one."""
    match rng.randrange(4):
        case 0 if double.accounts:
            state = rng.choice(["ACTIVE", "FAILED", "EXPIRED", "INITIATED"])
            double.becomes(rng.choice(double.accounts).id, state, rng.choice(["", "it was said"]))
        case 1 if not run.open_requests:
            double.ask_for_account(run, "post", rng.choice(list(double.apps)))
        case 2:
            double.app(f"app{rng.randrange(400)}", schemes=rng.choice([[], [LINK], [LINK, KEY], [BASIC]]))
        case _:
            double.accounts = double.accounts[1:]
    double.send(ToolsChanged(app="gmail"))


def converse(double: EngineDouble, rng: random.Random) -> None:
    """Something happens in a conversation."""
    chats = list(double.chats.values())
    if not chats or rng.random() < 0.1:
        double.chat(rng.choice([None, "mail_digest", "mail_archive"]), title="talk")
        return
    chat = chats[-1]
    double.busy(chat, rng.random() < 0.5)
    last = chat.entries[-1] if chat.entries else None
    match rng.randrange(6):
        case 0 if last is not None and last.kind == "model":
            double.stream(chat, last, rng.choice(["word ", "# head\n", "```\ncode\n", "**b", "- a\n" * 30]))
        case 1:
            double.ask_questions(chat, WEEKDAYS, ASKING)
        case 2:
            status = rng.choice(["open", "open", "broken", "stale"])
            number = len(double.proposals) + 1
            double.propose(chat, weekday_proposal(chat, number=number, status=status, risky=rng.random() < 0.5))
        case 3 if double.proposals:
            name = rng.choice(list(double.proposals))
            double.proposal_becomes(name, rng.choice(["applied", "stale", "rejected"]))
        case 4:
            double.use_tool(chat, "validate all", rng.choice(["writing", "running", "done", "failed"]), "x" * 90)
        case _:
            double.add(chat, "model", "It is *so*.\n", streaming=rng.random() < 0.5)


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys may save a log, and the folder that is offered for it is the present one."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
async def test_random_keys_break_nothing(seed: int, app_on: AppOn) -> None:
    await press_random_keys(seed, 200, app_on)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10, 20))
async def test_many_random_keys_break_nothing(seed: int, app_on: AppOn) -> None:
    await press_random_keys(seed, 1000, app_on)


def zoomed(app: RondoApp) -> bool:
    """True where a pane was left alone on the screen, as it was asked to be; the chat does so where it is narrow."""
    return app.screen.has_class("-zoomed") or bool(getattr(app.screen, "chat_alone", False))


async def press_random_keys(seed: int, count: int, app_on: AppOn) -> None:
    rng = random.Random(seed)
    double = ManyRunsDouble()
    run = scenes.mail(double)
    scenes.tools(double)
    app = app_on(double)
    done: list[str] = []
    async with app.run_test(size=rng.choice(SIZES)) as pilot:
        await until(pilot, lambda: app.connected_once)
        leave = app.leave
        app.leave = lambda: None  # type: ignore[method-assign]
        while len(done) < count:
            done += await burst(pilot, rng)
            if rng.random() < 0.4:
                busy(double, rng, run)
        double.return_again()
        await go_home(pilot, app)
        await until(pilot, lambda: is_home(app), f"back home after {done}")
        # The keys may have put every workflow into the trash.
        # The chat beside lies over a small screen until it is closed, which Esc does not do.
        words = ("NODES", "Nothing matches", "No workflows yet", "chat: ")
        await until(pilot, lambda: any(word in screen_text(app) for word in words) or zoomed(app))
        app.leave = leave  # type: ignore[method-assign]
