"""Ready-made situations on the engine double, used by tests and pictures."""

from __future__ import annotations

from engine_double import NOW, EngineDouble, Run
from tools_double import BASIC, KEY, LINK, TRUST

from core.link.types import ErrorView
from core.link.workflow_types import FindingView

TRACEBACK = """Traceback (most recent call last):
  File "/home/me/flows/workflows/mail_import/nodes.py", line 41, in execute
    return parse_date(prepared["since"])
  File "/home/me/flows/workflows/mail_import/nodes.py", line 12, in parse_date
    return datetime.fromisoformat(text)
ValueError: Invalid isoformat string: 'yesterday'
"""


def mail(double: EngineDouble) -> Run:
    """A workspace of five workflows; returns the run of mail_digest that waits for an answer."""
    double.workflow(
        "mail_digest",
        ["fetch", "sort", "summarise", "critic", "approve", "post"],
        edges=[
            ("fetch", "sort"),
            ("sort", "summarise"),
            ("summarise", "critic"),
            ("critic", "summarise", "shared['digest']['score'] <= 80"),
            ("critic", "approve", "shared['digest']['score'] > 80"),
            ("approve", "post"),
        ],
        description="Reads unread mail, summarises it, posts the digest to Slack.",
        inputs={
            "type": "object",
            "properties": {
                "since": {"type": "string", "format": "date", "default": "2026-01-01"},
                "channel": {"type": "string", "enum": ["#team", "#me"], "default": "#team"},
                "limit": {"type": "integer", "default": 50},
            },
            "required": ["channel"],
        },
    )
    double.workflow("mail_archive", ["fetch", "archive"], description="Archives what was read.")
    double.workflow(
        "mail_import",
        ["fetch", "parse", "store"],
        description="Imports an mbox file.",
        findings=[
            FindingView(
                code="E104",
                severity="error",
                message="The graph names the class Prase, which nodes.py doesn't have.",
                file="nodes.py",
                line=41,
                node="parse",
                hint="Did you mean Parse?",
            ),
            FindingView(code="W201", severity="warning", message="Nothing leads to the node store.", node="store"),
        ],
    )
    double.workflow("mail_triage", ["fetch", "route", "ask", "file"], description="Sorts mail by what it wants.")
    double.workflow("mailing_list", ["read", "send"], approved=False, description="Sends the letter to the list.")
    archived = double.run("mail_archive", run_id="019418aa-archive-0000-0000aaaa0001", created_at=NOW - 7208)
    double.complete(archived, "fetch", took=2.0, at=NOW - 7208)
    double.complete(archived, "archive", took=6.0, at=NOW - 7206)
    double.finish(archived, at=NOW - 7200)
    failed = double.run("mail_import", run_id="019418aa-import-00000-0000bbbb0002", created_at=NOW - 86431)
    double.complete(failed, "fetch", took=0.4, at=NOW - 86431)
    error = ErrorView(
        type="ValueError", message="Invalid isoformat string: 'yesterday'", traceback=TRACEBACK, node="parse"
    )
    for attempt in (1, 2):
        double.fail_attempt(failed, "parse", error, attempt=attempt, took=15.0, at=NOW - 86430 + 15 * attempt)
    double.log(failed, "ValueError: Invalid isoformat string: 'yesterday'", level="ERROR", node="parse", at=NOW - 86400)
    double.finish(failed, "failed", error=error, at=NOW - 86400)
    triage = double.run("mail_triage", run_id="019418aa-triage-00000-0000cccc0003", created_at=NOW - 250)
    double.complete(triage, "fetch", took=2.0, at=NOW - 250)
    double.begin(triage, "ask", at=NOW - 180)
    double.ask(triage, "ask", "folder", "Which folder?", "text")
    return digest(double)


def digest(double: EngineDouble) -> Run:
    """A run of mail_digest that went around once and waits for its approval."""
    run = double.run("mail_digest", run_id="019418aa-digest-00000-00007f3a09c1", created_at=NOW - 42)
    mails = [{"from": f"person{number}@example.org", "subject": f"Mail {number}"} for number in range(37)]
    state: dict[str, object] = {"since": "2026-01-01", "channel": "#team"}
    run.states[0] = dict(state)
    at = NOW - 42
    state = {**state, "mails": mails}
    double.complete(run, "fetch", state, took=1.2, at=at, next_node="sort")
    double.log(run, "37 mails since 2026-01-01", node="fetch", at=at + 1.1)
    state = {**state, "by_sender": {f"person{number}": number for number in range(4)}}
    double.complete(run, "sort", state, took=0.012, at=at + 1.2, next_node="summarise")
    timeout = ErrorView(type="TimeoutError", message="The model did not answer within 8 s.", node="summarise")
    double.fail_attempt(run, "summarise", timeout, took=8.0, at=at + 1.3)
    double.log(run, "TimeoutError: the model did not answer within 8 s", level="WARNING", node="summarise", at=at + 9.3)
    text = "Two invoices are due.\nThree people wait for an answer.\nThe rest is news."
    state = {**state, "digest": {"text": text, "score": 62}}
    double.complete(run, "summarise", state, attempt=2, took=6.1, at=at + 9.4, next_node="critic")
    double.log(run, "37 mails → 1,912 tokens in, 311 out, $0.007", node="summarise", at=at + 15)
    double.complete(
        run, "critic", state, took=2.2, at=at + 15.6, next_node="summarise", condition="shared['digest']['score'] <= 80"
    )
    double.log(run, "critic → summarise   because shared['digest']['score'] <= 80", level="EDGE", at=at + 17.8)
    state = {**state, "digest": {"text": text + " Nothing is urgent.", "score": 62}}
    double.complete(run, "summarise", state, visit=2, took=5.9, at=at + 18, next_node="critic")
    double.log(run, "37 mails → 1,950 tokens in, 305 out, $0.007", node="summarise", visit=2, at=at + 23.8)
    state = {**state, "digest": {"title": "Monday, 37 mails", "text": text + " Nothing is urgent.", "score": 81}}
    double.complete(
        run,
        "critic",
        state,
        visit=2,
        took=2.1,
        at=at + 24,
        next_node="approve",
        condition="shared['digest']['score'] > 80",
    )
    double.log(run, "score 81 > 80", node="critic", visit=2, at=at + 26)
    double.log(run, "critic → approve   because shared['digest']['score'] > 80", level="EDGE", at=at + 26.1)
    double.begin(run, "approve", at=at + 26.2)
    double.ask(run, "approve", "decision", "Post this digest to #team?", "select", ["post", "edit first", "discard"])
    return run


def tools(double: EngineDouble) -> None:
    """Apps of three providers, in every state that an account can be in."""
    double.app(
        "gmail",
        title="Gmail",
        description="Read, search and send mail.",
        categories=["mail"],
        actions=3,
        workflows=["mail_digest"],
    )
    double.action(
        "gmail",
        "send_email",
        properties={
            "recipient_email": {"type": "string", "description": "To whom."},
            "subject": {"type": "string"},
            "body": {"type": "string", "description": "The text of the mail, in plain words or in HTML."},
            "is_html": {"type": "boolean", "default": False},
            "cc": {"type": "array", "items": {"type": "string"}},
        },
        required=["recipient_email", "subject"],
        description="Send a mail from the account that is connected.",
    )
    double.action("gmail", "fetch_emails", "read", {"max_results": {"type": "integer", "default": 10}})
    double.action("gmail", "list_labels", "read")
    double.account(
        "gmail", account="me@example.org", scheme="OAUTH2", created_at=NOW - 3 * 86400, expires_at=NOW + 2 * 86400 + 60
    )
    double.app("slack", schemes=[LINK, KEY], description="Post to channels.", workflows=["mail_digest", "mailing_list"])
    double.action("slack", "post_message", properties={"channel": {"type": "string"}, "text": {"type": "string"}})
    double.account("slack", "EXPIRED", account="team", created_at=NOW - 40 * 86400, reason="The token was taken back.")
    double.app("airtable", schemes=[KEY], description="Tables that are shared.", categories=["data"])
    double.app("webdav", schemes=[BASIC], description="Files over WebDAV.")
    double.app("weather", needs_connection=False, description="What the weather will be.", actions=1)
    double.action("weather", "get_weather", "read", {"city": {"type": "string"}}, ["city"])
    double.app("files", provider="mcp", schemes=[TRUST], description="MCP server: npx server-filesystem /home/me")
    double.action("files", "read_file", "read", {"path": {"type": "string"}}, ["path"])
    double.app("github", provider="direct", schemes=[KEY], description="Issues and pull requests.")
