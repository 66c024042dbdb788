"""The Tools screen in a real pseudo-terminal: an account is connected there, and the example that needs it runs."""

from __future__ import annotations

import re

from cli_world import LIMIT_SECONDS, World
from composio_server import KEY
from loopback import serving_beside
from mail_and_slack import MailAndSlack, digest, said, verdict
from model_server import ModelServer, says
from terminal import Open, Terminal


def seen(terminal: Terminal, pattern: str) -> str:
    return terminal.wait_for(pattern, LIMIT_SECONDS)


def connect_gmail(terminal: Terminal, fake: MailAndSlack) -> None:
    """Connect gmail on the Tools screen, with a person who opens the link and agrees."""
    terminal.send("7")
    seen(terminal, r"gmail +composio +○ no account")
    seen(terminal, r"slack +composio +● connected")
    terminal.send("/gmail\r")
    seen(terminal, r"▌gmail +composio +○ no account")
    seen(terminal, r"C connect")
    terminal.send("C")
    seen(terminal, r"◐ waiting for you; the link ends in \d+:\d\d")
    seen(terminal, r"https://connect\.example/ca_\d")
    screen = seen(terminal, r"[▀▄]{2}")
    link = re.search(r"https://connect\.example/(ca_\d+)", screen)
    assert link is not None
    fake.accounts[link[1]]["status"] = "ACTIVE"
    seen(terminal, r"● gmail is connected")
    terminal.send("\r")
    terminal.wait_for(lambda screen: "─ Connect gmail" not in screen, LIMIT_SECONDS)
    seen(terminal, r"▌gmail +composio +● connected")


def test_an_account_is_connected_on_the_screen_and_the_example_that_needs_it_runs_to_its_end(
    world: World, model_server: ModelServer, open_app: Open
) -> None:
    fake = MailAndSlack()
    fake.connect("slack")
    model_server.script(says(said(digest(urgent=True))), says(said(verdict())))
    with serving_beside(fake) as loopback:
        world.environment |= {"COMPOSIO_API_KEY": KEY, "COMPOSIO_BASE_URL": loopback.url, **model_server.environment()}
        assert world.rondo("init", ".", "--example", "mail_digest").code == 0
        terminal = open_app(world)
        seen(terminal, r"mail_digest +7")
        seen(terminal, r"engine ●")
        connect_gmail(terminal, fake)

        terminal.send("1")
        seen(terminal, r"› workflows")
        seen(terminal, r"r run")
        terminal.send("r")
        # One mail is urgent, so the example asks before it posts.
        seen(terminal, r"tab to answer")
        terminal.send("\t")
        seen(terminal, r"Post this to #digest\? \(urgent mails: 1")
        seen(terminal, r"▌\(•\) post")
        seen(terminal, r"enter send")
        assert fake.posted == []
        terminal.send("\r")
        seen(terminal, r"✓ completed")
        seen(terminal, r"post +INFO +slack\.send_message: done by composio")

        [run] = world.json("runs")
        assert (run["workflow"], run["status"]) == ("mail_digest", "completed")
        [posted] = fake.posted
        assert posted["channel"] == "#digest" and posted["text"].startswith("*Three mails*\n")
        calls = world.json("calls", run["run_id"])["calls"]
        assert [(call["title"], call["status"]) for call in calls if call["kind"] == "tool"] == [
            ("gmail.fetch_emails", "done"),
            ("slack.send_message", "done"),
        ]
        assert "gmail.fetch_emails: done by composio" in world.rondo("logs", run["run_id"]).out
        terminal.send(":quit\r")
        assert terminal.wait_for_end(LIMIT_SECONDS) == 0
        world.rondo("engine", "stop")
