"""The example mail_digest at the command line: real processes, a fake Composio, and a scripted model server."""

from __future__ import annotations

from cli_world import World
from composio_server import KEY
from loopback import serving_beside
from mail_and_slack import MailAndSlack, digest, said, verdict
from model_server import ModelServer, says


def test_the_example_reads_mail_asks_a_model_and_posts_and_its_calls_are_on_record(
    world: World, model_server: ModelServer
) -> None:
    fake = MailAndSlack()
    fake.connect("gmail", "slack")
    model_server.script(says(said(digest())), says(said(verdict())))
    with serving_beside(fake) as loopback:
        world.environment |= {"COMPOSIO_API_KEY": KEY, "COMPOSIO_BASE_URL": loopback.url, **model_server.environment()}
        assert world.rondo("init", ".", "--example", "mail_digest").code == 0
        assert "mail_digest has all that it needs" in world.rondo("check", "mail_digest").out
        run = world.json("run", "mail_digest", "-i", "channel=#team", "--check")
        assert (run["status"], run["state"]["outcome"]) == ("completed", "posted")
        [posted] = fake.posted
        assert posted["channel"] == "#team" and posted["text"].startswith("*Three mails*\n")
        document = world.json("calls", run["run_id"])
        assert [(call["node"], call["kind"]) for call in document["calls"]] == [
            ("fetch", "tool"),
            ("summarise", "llm"),
            ("critic", "llm"),
            ("post", "tool"),
        ]
        assert (document["usage"]["calls"], document["usage"]["tool_calls"]) == (2, 2)
        logs = world.rondo("logs", run["run_id"]).out
        assert "gmail.fetch_emails: done by composio" in logs and "slack.send_message: done by composio" in logs
        assert "data from strangers" in str(model_server.requests()[0])
        world.rondo("engine", "stop")
