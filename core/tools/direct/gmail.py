"""Gmail by its REST API v1."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from email.message import EmailMessage
from typing import Any
from urllib.parse import quote

from core.errors import ToolArguments, ToolUnknown
from core.tools.direct.service import DirectAction, OAuth, Service, Session, number, text, texts

ME = "/gmail/v1/users/me"
_SHOWN = ("from", "to", "cc", "subject", "date", "message-id")


async def _who(session: Session) -> str:
    return str((await session.get(f"{ME}/profile")).get("emailAddress", ""))


async def _send(session: Session, args: Mapping[str, Any]) -> Any:
    message = EmailMessage()
    try:
        message["To"] = args["recipient_email"]
        message["Subject"] = args["subject"]
        for name in ("cc", "bcc"):
            if args.get(name):
                message[name.capitalize()] = ", ".join(args[name])
        if args.get("reply_to_message_id"):
            message["In-Reply-To"] = message["References"] = args["reply_to_message_id"]
    except ValueError as error:
        raise ToolArguments(
            f"This mail can't be written: {error}.",
            cause="A line break or an odd character stands in an address or in the subject.",
            next_step="Mend it; nothing was sent.",
        ) from error
    message.set_content(args["body"], subtype="html" if args.get("is_html") else "plain")
    raw = base64.urlsafe_b64encode(message.as_bytes()).decode()
    body: dict[str, Any] = {"raw": raw}
    if args.get("thread_id"):
        body["threadId"] = args["thread_id"]
    sent = await session.post(f"{ME}/messages/send", body)
    return {"id": sent.get("id"), "thread_id": sent.get("threadId")}


async def _search(session: Session, args: Mapping[str, Any]) -> Any:
    found, token = await _found(session, args)
    mails = [await _mail(session, number, "metadata") for number in found]
    return {"emails": [_shown(mail) for mail in mails], "more": bool(token)}


async def _fetch(session: Session, args: Mapping[str, Any]) -> Any:
    """The same with texts, under the names that Composio's GMAIL_FETCH_EMAILS has: a workflow runs with either."""
    found, token = await _found(session, args)
    mails = [await _mail(session, number, "full") for number in found]
    return {"messages": [_fetched(mail) for mail in mails], "nextPageToken": token}


async def _found(session: Session, args: Mapping[str, Any]) -> tuple[list[str], str]:
    """The ids of the mails that fit, up to the limit, and where more begin."""
    limit = int(args.get("max_results", 10))
    found: list[str] = []
    token = ""
    while len(found) < limit:
        page = await session.get(
            f"{ME}/messages",
            {"q": args.get("query", ""), "maxResults": min(100, limit - len(found)), "pageToken": token},
        )
        found += [one["id"] for one in page.get("messages") or []]
        token = page.get("nextPageToken") or ""
        if not token:
            break
    return found[:limit], token


async def _mail(session: Session, number: str, form: str) -> Mapping[str, Any]:
    mail: Mapping[str, Any] = await session.get(f"{ME}/messages/{quote(number, safe='')}", {"format": form})
    return mail


async def _read(session: Session, args: Mapping[str, Any]) -> Any:
    mail = await _mail(session, args["message_id"], "full")
    plain, html, files = _parts(mail.get("payload") or {})
    return _shown(mail) | {"body": plain or html, "is_html": not plain and bool(html), "attachments": files}


async def _label(session: Session, args: Mapping[str, Any]) -> Any:
    add, remove = args.get("add", []), args.get("remove", [])
    if not add and not remove:
        raise ToolArguments(
            "No label is named.", cause="Both add and remove are empty.", next_step="Name labels in one of them."
        )
    known = {one["name"].lower(): one["id"] for one in (await session.get(f"{ME}/labels")).get("labels", [])}
    missing = [name for name in (*add, *remove) if name.lower() not in known]
    if missing:
        raise ToolUnknown(
            f"There is no label {missing[0]!r}.",
            cause="The labels are: " + ", ".join(sorted(known)) + ".",
            next_step="Make it in Gmail, or name one of these.",
        )
    body = {"addLabelIds": [known[name.lower()] for name in add]}
    body["removeLabelIds"] = [known[name.lower()] for name in remove]
    mail = await session.post(f"{ME}/messages/{quote(args['message_id'], safe='')}/modify", body)
    return {"id": mail.get("id"), "labels": mail.get("labelIds", [])}


def _shown(mail: Mapping[str, Any]) -> dict[str, Any]:
    headers = {one["name"].lower(): one["value"] for one in (mail.get("payload") or {}).get("headers", [])}
    return {
        "id": mail.get("id"),
        "thread_id": mail.get("threadId"),
        "labels": mail.get("labelIds", []),
        "snippet": mail.get("snippet", ""),
        **{name.replace("-", "_"): headers.get(name, "") for name in _SHOWN},
    }


def _fetched(mail: Mapping[str, Any]) -> dict[str, Any]:
    shown = _shown(mail)
    plain, html, _ = _parts(mail.get("payload") or {})
    return {
        "messageId": shown["id"],
        "threadId": shown["thread_id"],
        "labelIds": shown["labels"],
        "sender": shown["from"],
        "to": shown["to"],
        "subject": shown["subject"],
        "messageTimestamp": shown["date"],
        "messageText": plain or html,
        "preview": {"subject": shown["subject"], "body": shown["snippet"]},
    }


def _parts(payload: Mapping[str, Any]) -> tuple[str, str, list[str]]:
    """The plain text, the HTML and the names of attachments, of a part and all below it."""
    plain, html = "", ""
    files = [payload["filename"]] if payload.get("filename") else []
    data = (payload.get("body") or {}).get("data")
    if data and not files:
        content = base64.urlsafe_b64decode(data + "=" * (-len(data) % 4)).decode("utf-8", "replace")
        if payload.get("mimeType") == "text/plain":
            plain = content
        elif payload.get("mimeType") == "text/html":
            html = content
    for part in payload.get("parts") or []:
        below = _parts(part)
        plain, html, files = plain or below[0], html or below[1], files + below[2]
    return plain, html, files


GMAIL = Service(
    name="gmail",
    title="Gmail",
    description="Send, find, read and label mail.",
    base_url="https://gmail.googleapis.com",
    token_names=("GMAIL_TOKEN",),
    token_help="An OAuth access token with the scope gmail.modify; it ends after an hour, so rather use OAUTH2.",
    oauth=OAuth("https://oauth2.googleapis.com/token"),
    who=_who,
    actions=(
        DirectAction(
            "send_email",
            "Send a mail.",
            "write",
            _send,
            {
                "recipient_email": text("Whom it goes to; several are separated by commas."),
                "subject": text("The subject."),
                "body": text("The text."),
                "cc": texts("Who gets a copy."),
                "bcc": texts("Who gets a hidden copy."),
                "is_html": {"type": "boolean", "description": "The text is HTML.", "default": False},
                "thread_id": text("The thread that it belongs to."),
                "reply_to_message_id": text("The Message-ID that it answers."),
            },
            ("recipient_email", "subject", "body"),
        ),
        DirectAction(
            "search_emails",
            "Find mails with the words of Gmail's search, such as `is:unread newer_than:1d`.",
            "read",
            _search,
            {"query": text("What to look for; all mails without it."), "max_results": number("How many.", 10, 500)},
        ),
        DirectAction(
            "fetch_emails",
            "Find mails as search_emails does, and read their texts.",
            "read",
            _fetch,
            {"query": text("What to look for; all mails without it."), "max_results": number("How many.", 10, 500)},
        ),
        DirectAction(
            "read_email",
            "Read a mail with its text and the names of what is attached.",
            "read",
            _read,
            {"message_id": text("The id of the mail.")},
            ("message_id",),
        ),
        DirectAction(
            "label_email",
            "Put labels on a mail and take others off, such as UNREAD or INBOX.",
            "write",
            _label,
            {
                "message_id": text("The id of the mail."),
                "add": texts("Labels to put on it."),
                "remove": texts("Labels to take off."),
            },
            ("message_id",),
        ),
    ),
)
