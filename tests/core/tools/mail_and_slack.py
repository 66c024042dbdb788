"""What the example mail_digest meets in tests: mails at a fake Composio, a channel there, and the turns of a model."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from composio_server import NOW, FakeComposio, tool
from loopback import Answer, Asked

MAILS = [
    {"sender": "no-reply@shop.example", "subject": "Your parcel", "messageText": "It is on its way."},
    {"sender": "Ada <ada@example.com>", "subject": "Lunch on Friday?", "messageText": "At noon, the usual place?"},
    {"sender": "Grace <grace@example.com>", "subject": "Invoice 17 is due", "messageText": "Due today: 120 EUR."},
]


class MailAndSlack(FakeComposio):
    """A fake Composio with the apps gmail and slack: `mails` are unread, `posted` is what was sent to channels."""

    def __init__(self, mails: list[dict[str, Any]] | None = None) -> None:
        super().__init__(page=100)
        self.mails = MAILS if mails is None else mails
        self.link_ends = (datetime.now(UTC) + timedelta(minutes=10)).isoformat()
        self.posted: list[dict[str, Any]] = []
        self.queries: list[str] = []
        self.tools += [tool("slack", "send_message"), tool("slack", "list_channels", ("readOnlyHint",))]
        for one in self.tools:
            one["input_parameters"] = {"type": "object", "properties": {}}

    def toolkits(self) -> list[dict[str, Any]]:
        found = super().toolkits()
        slack = {**found[0], "slug": "slack", "name": "Slack"}
        return [found[0], slack, *found[1:]]

    def connect(self, *apps: str) -> None:
        """Have accounts of these apps that are active."""
        for app in apps:
            config = {"id": f"ac_{app}", "auth_scheme": "OAUTH2", "is_composio_managed": True}
            self.configs.append({**config, "toolkit": {"slug": app}, "status": "ENABLED"})
            account = self._account(config["id"], "rondo", "ACTIVE")
            account["created_at"] = account["updated_at"] = NOW

    def post_tools(self, asked: Asked, _execute: str, slug: str) -> Answer:
        planned = bool(self.next_answers)
        answer = super().post_tools(asked, _execute, slug)
        given = asked.json["arguments"]
        if planned or slug not in ("GMAIL_FETCH_EMAILS", "SLACK_SEND_MESSAGE"):
            return answer
        if slug == "GMAIL_FETCH_EMAILS":
            self.queries.append(given["query"])
            data: dict[str, Any] = {"messages": self.mails, "nextPageToken": "", "resultSizeEstimate": len(self.mails)}
        else:
            self.posted.append(given)
            data = {"ok": True, "channel": given["channel"], "ts": "1795262400.000100"}
        return Answer(200, {"data": data, "error": None, "successful": True, "log_id": f"log_{slug.lower()}"})


def digest(title: str = "Three mails", urgent: bool = False) -> dict[str, Any]:
    """What a model says that summarises MAILS."""
    lines = [
        {"mail": 3, "summary": "Invoice 17 over 120 EUR is due today.", "urgent": urgent},
        {"mail": 2, "summary": "Ada asks whether you come to lunch.", "urgent": False},
    ]
    return {"title": title, "lines": lines}


def verdict(score: int = 90, lacks: str = "") -> dict[str, Any]:
    """What a model says that judges a digest."""
    return {"score": score, "lacks": lacks}


def said(value: dict[str, Any]) -> str:
    """The same as text."""
    return json.dumps(value)
