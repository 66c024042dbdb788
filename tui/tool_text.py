"""What the screens say of apps, their accounts and actions."""

from __future__ import annotations

from core.link.status import account_look
from core.link.tool_types import ActionRow, ConnectionView, SchemeView, ToolDetail, ToolRow
from tui.spans import Span, Spans
from tui.text import duration, exact_time, fit, relative_time, time_ahead, visible, wrap

ENDED = ("FAILED", "EXPIRED", "INACTIVE", "REVOKED")
"""States of accounts that only connecting anew mends."""
OLD_SECONDS = 60.0
"""What is kept for less than this is not worth a word."""
CONNECTS = "connection"
"""The kind of request that asks for an account."""
ASKS_FOR = "connect-"
"""What the ids of such requests begin with; the app follows."""


def account_of(row: ToolRow) -> Span:
    """How the account of an app is, with its ink."""
    state = row.connection.state if row.connection is not None else None
    look = account_look(row.provider, state, needed=row.needs_connection)
    return look.text, look.ink


def since(connection: ConnectionView | None, now: float) -> str:
    """How long an account has been there."""
    if connection is None or connection.created_at is None:
        return ""
    return relative_time(connection.created_at, now)


def ends(connection: ConnectionView | None, now: float) -> Span:
    """When the access of an account ends, with its ink."""
    if connection is None or connection.expires_at is None or connection.state != "ACTIVE":
        return "", ""
    left = connection.expires_at - now
    if left <= 0:
        return "over", "bad"
    return time_ahead(connection.expires_at, now), "waiting" if left < 3 * 86_400 else "dim"


def kept_words(age: float) -> str:
    """That what is shown was not asked for just now; "" where it was."""
    if age <= OLD_SECONDS:
        return ""
    days, hours = age / 86_400, age / 3_600
    text = f"{days:.0f} d" if days >= 2 else f"{hours:.0f} h" if hours >= 2 else f"{age / 60:.0f} min"
    return f"as of {text} ago"


def connection_spans(connection: ConnectionView, now: float) -> Spans:
    """One account in a line."""
    look = account_look(connection.provider, connection.state)
    spans: Spans = [(f"{look.text}  ", look.ink), (visible(connection.account or connection.id), "")]
    if connection.account and connection.account != connection.id and connection.provider != "mcp":
        spans.append((f"  {visible(connection.id)}", "dim"))
    if connection.created_at is not None:
        spans.append((f"  since {exact_time(connection.created_at)[:10]}", "dim"))
    if connection.expires_at is not None:
        spans.append((f"  until {exact_time(connection.expires_at)[:16]}", "dim"))
    if connection.reason:
        spans.append((f"  {visible(connection.reason)}", "waiting" if connection.state == "ACTIVE" else "bad"))
    return spans


def scheme_words(scheme: SchemeView) -> str:
    """What it takes to connect an account in one way."""
    if scheme.name == "TRUST":
        return "as a program that you trust"
    if scheme.managed:
        return "over a link"
    names = ", ".join(visible(field.title or field.name) for field in scheme.fields)
    return f"with {names}" if names else "over a link"


def about_lines(row: ToolRow, width: int) -> list[Spans]:
    """What is known of an app without asking for more."""
    lines: list[Spans] = [[(text, "")] for text in wrap(row.description, width)[:4]] if row.description else []
    facts = [f"by {row.provider}", *(visible(word) for word in row.categories[:4])]
    if row.workflows:
        facts.append("used by " + ", ".join(visible(name) for name in row.workflows))
    lines += [[(text, "dim")] for text in wrap(" · ".join(facts), width)]
    if row.deprecated:
        lines.append([("! ", "waiting"), ("its provider gives it up", "")])
    return lines


def account_lines(detail: ToolDetail, now: float) -> list[tuple[Spans, ConnectionView | None]]:
    """The accounts of an app, or how to get one."""
    lines: list[tuple[Spans, ConnectionView | None]] = [
        ([("account  ", "dim"), *connection_spans(one, now)], one) for one in detail.connections
    ]
    row = detail.row
    if not row.needs_connection:
        return [([("account  ", "dim"), ("none is needed", "")], None)]
    if not lines:
        text, ink = account_of(row)
        verb = "trusts it" if row.provider == "mcp" else "connects one"
        lines.append(([("account  ", "dim"), (text, ink), (f"  C {verb}", "dim")], None))
    if detail.schemes and row.provider != "mcp":
        ways = "; ".join(f"{visible(one.title or one.name)}: {scheme_words(one)}" for one in detail.schemes)
        lines.append(([("connect  ", "dim"), (ways, "dim")], None))
    return lines


def note_lines(note: str, width: int) -> list[Spans]:
    """Something that could not be had, as lines."""
    lines = wrap(note, max(10, width - 2))
    return [[("! " if place == 0 else "  ", "waiting"), (text, "")] for place, text in enumerate(lines)]


def action_spans(row: ActionRow, name_width: int, width: int) -> Spans:
    """One action in a line."""
    rest = max(0, width - name_width - 9)
    remark = "given up by its provider: " if row.deprecated else ""
    return [
        (fit(visible(row.name), name_width), "strong"),
        ("  ", ""),
        (fit(row.effects, 7), "waiting" if row.effects == "write" else "dim"),
        (fit(remark + visible(" ".join(row.description.split())), rest), "dim"),
    ]


def took_words(seconds: float, provider: str, log_id: str, cost: float | None) -> str:
    """How a call went, beside its result."""
    parts = [f"by {visible(provider)}", duration(seconds)]
    if cost is not None:
        parts.append(f"${cost:.4f}")
    if log_id:
        parts.append(f"log {visible(log_id)}")
    return ", ".join(parts)


def app_of_request(kind: str, request_id: str) -> str:
    """The app that a request wants connected; "" for another request."""
    return request_id.removeprefix(ASKS_FOR) if kind == CONNECTS and request_id.startswith(ASKS_FOR) else ""
