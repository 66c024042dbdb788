"""Slack by its Web API: errors come with status 200."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.errors import ConnectionExpired, NotConnected, ToolProblem, ToolRateLimited, ToolRefused
from core.tools.direct.service import DirectAction, OAuth, Service, Session, number, text
from core.tools.http import Answer, lost
from core.tools.provider import Effects

_EXPIRED = frozenset({"token_expired", "token_revoked", "account_inactive"})
_NO_ACCOUNT = frozenset({"not_authed", "invalid_auth"})
_FAILED = frozenset({"internal_error", "fatal_error", "service_unavailable", "request_timeout"})


async def _who(session: Session) -> str:
    me = await session.post("/auth.test", reads=True)
    return f"{me.get('user', '')} in {me.get('team', '')}"


async def _post(session: Session, args: Mapping[str, Any]) -> Any:
    sent = await session.post("/chat.postMessage", {name: value for name, value in args.items() if value is not None})
    return {"channel": sent.get("channel"), "ts": sent.get("ts")}


async def _channels(session: Session, args: Mapping[str, Any]) -> Any:
    query = {"types": args.get("types", "public_channel"), "exclude_archived": "true"}
    found, more = await _paged(session, "/conversations.list", query, "channels", int(args.get("limit", 100)))
    keys = ("id", "name", "is_private", "is_member", "num_members")
    return {
        "channels": [
            {key: one.get(key) for key in keys} | {"topic": (one.get("topic") or {}).get("value", "")} for one in found
        ],
        "more": more,
    }


async def _history(session: Session, args: Mapping[str, Any]) -> Any:
    query = {"channel": args["channel"], "oldest": args.get("oldest"), "latest": args.get("latest")}
    found, more = await _paged(session, "/conversations.history", query, "messages", int(args.get("limit", 50)))
    keys = ("ts", "user", "text", "thread_ts", "reply_count", "bot_id")
    return {"messages": [{key: one[key] for key in keys if key in one} for one in found], "more": more}


async def _paged(
    session: Session, path: str, query: Mapping[str, Any], key: str, limit: int
) -> tuple[list[dict[str, Any]], bool]:
    """Items up to the limit, and whether there are more."""
    found: list[dict[str, Any]] = []
    cursor = ""
    while len(found) < limit:
        page = await session.get(path, {**query, "limit": min(200, limit - len(found)), "cursor": cursor})
        found += page.get(key) or []
        cursor = (page.get("response_metadata") or {}).get("next_cursor") or ""
        if not cursor:
            break
    return found[:limit], bool(cursor) or len(found) > limit


def _problem(answer: Answer, effects: Effects) -> ToolProblem | None:
    reply = answer.object()
    if answer.status != 200 or reply.get("ok") is not False:
        return None
    error = str(reply.get("error") or "no reason given")
    said = f"Slack says: {error}"
    if error in ("ratelimited", "rate_limited"):
        return ToolRateLimited("Slack takes no more calls for now.", cause=said, next_step="Wait, then try again.")
    if error in _EXPIRED or error in _NO_ACCOUNT:
        kind = ConnectionExpired if error in _EXPIRED else NotConnected
        return kind(
            "Slack does not take the account's token.",
            cause=said,
            next_step="Connect it anew: rondo authenticate-tool slack",
            details={"app": "slack"},
        )
    if error in _FAILED:
        return lost("Slack", f"failed: {error}", effects)
    needed = f"; needed: {reply['needed']}" if reply.get("needed") else ""
    return ToolRefused(
        f"Slack could not do it: {error}{needed}.",
        cause=said,
        next_step="Look at the channel, the arguments, and what the app may do in Slack.",
    )


_MESSAGE = {
    "channel": text("The channel's id or #name, or a person's id."),
    "text": text("What to say, in Slack's mrkdwn."),
    "thread_ts": text("The ts of the message that it answers."),
    "blocks": {"type": "array", "items": {"type": "object"}, "description": "Blocks of Slack."},
}

SLACK = Service(
    name="slack",
    title="Slack",
    description="Post messages, list channels, read what was said.",
    base_url="https://slack.com/api",
    token_names=("SLACK_TOKEN", "SLACK_BOT_TOKEN"),
    token_help="A bot token (xoxb-...) with the scopes chat:write, channels:read and channels:history.",
    oauth=OAuth("https://slack.com/api/oauth.v2.access"),
    who=_who,
    problem=_problem,
    actions=(
        *(
            DirectAction(name, words, "write", _post, _MESSAGE, ("channel", "text"))
            for name, words in (
                ("post_message", "Post a message to a channel or a person."),
                ("send_message", "The same under the name that Composio has for it: a workflow runs with either."),
            )
        ),
        DirectAction(
            "list_channels",
            "List channels.",
            "read",
            _channels,
            {
                "types": text("Which kinds, such as public_channel,private_channel."),
                "limit": number("How many.", 100, 5000),
            },
        ),
        DirectAction(
            "channel_history",
            "Read the latest messages of a channel.",
            "read",
            _history,
            {
                "channel": text("The channel's id."),
                "limit": number("How many.", 50, 2000),
                "oldest": text("Only after this ts."),
                "latest": text("Only before this ts."),
            },
            ("channel",),
        ),
    ),
)
