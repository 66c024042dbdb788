"""Gmail, Slack, GitHub and Notion at their own addresses, against servers of ours with their documented endpoints."""

from __future__ import annotations

import base64
import email
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from loopback import Answer, Asked, Loopback, serving

from core.errors import (
    ConnectFailed,
    ConnectionExpired,
    NotConnected,
    ToolArguments,
    ToolRateLimited,
    ToolRefused,
    ToolUncertain,
    ToolUnknown,
    ToolUnreachable,
)
from core.tools.direct import Direct


class Values:
    """Secrets in memory."""

    def __init__(self, **values: str) -> None:
        self.values = values

    def value(self, name: str) -> str | None:
        return self.values.get(name)

    def set(self, name: str, value: str) -> None:
        self.values[name] = value

    def remove(self, name: str) -> None:
        del self.values[name]


Route = Callable[[Asked], Any]


class Service:
    """A service with routes by method and path; a route gives JSON or an Answer. One token is right."""

    def __init__(self) -> None:
        self.routes: dict[str, Route] = {}
        self.token = "tok-right-123"

    def __call__(self, asked: Asked) -> Answer:
        if asked.path != "/token" and asked.headers.get("authorization") != f"Bearer {self.token}":
            return Answer(401, {"message": "Bad credentials"})
        route = self.routes.get(f"{asked.method} {asked.path}")
        if route is None:
            return Answer(404, {"message": f"no {asked.path}"})
        made = route(asked)
        return made if isinstance(made, Answer) else Answer(200, made)


class World:
    def __init__(self, loopback: Loopback, service: Service) -> None:
        self.loopback, self.service, self.routes = loopback, service, service.routes
        right = service.token
        self.values = Values(GMAIL_TOKEN=right, SLACK_TOKEN=right, GITHUB_TOKEN=right, NOTION_TOKEN=right)
        urls = dict.fromkeys(("gmail", "slack", "github", "notion"), loopback.url)
        self.clock = 1000.0
        self.direct = Direct(self.values, base_urls=urls, now=lambda: self.clock)

    async def call(self, app: str, name: str, **arguments: Any) -> Any:
        action = await self.direct.get_action(app, name)
        return (await self.direct.execute(action, arguments, key="k-1")).data


@pytest.fixture
async def world() -> AsyncIterator[World]:
    service = Service()
    async with serving(service) as loopback:
        world = World(loopback, service)
        yield world
        await world.direct.close()


GMAIL = "/gmail/v1/users/me"


async def test_a_mail_is_sent_as_it_was_written(world: World) -> None:
    world.routes[f"POST {GMAIL}/messages/send"] = lambda asked: {"id": "m1", "threadId": "t1"}
    sent = await world.call(
        "gmail", "send_email", recipient_email="a@b.example", subject="Grüße", body="Hallo ☀", cc=["c@d.example"]
    )
    assert sent == {"id": "m1", "thread_id": "t1"}
    [asked] = world.loopback.asked
    mail = email.message_from_bytes(base64.urlsafe_b64decode(asked.json["raw"]), policy=email.policy.default)
    assert (mail["To"], mail["Cc"], mail["Subject"]) == ("a@b.example", "c@d.example", "Grüße")
    assert mail.get_content().strip() == "Hallo ☀"
    assert asked.headers["idempotency-key"] == "k-1"


async def test_a_subject_with_a_line_break_smuggles_in_no_header(world: World) -> None:
    with pytest.raises(ToolArguments, match="can't be written"):
        await world.call("gmail", "send_email", recipient_email="a@b.example", subject="x\nBcc: me@x.example", body="y")
    assert world.loopback.asked == []


async def test_mails_are_found_over_several_pages_and_read(world: World) -> None:
    def mail(asked: Asked) -> Any:
        number = asked.path.rpartition("/")[2]
        headers = [{"name": "Subject", "value": f"Mail {number}"}, {"name": "From", "value": "a@b.example"}]
        part = {"mimeType": "text/plain", "body": {"data": base64.urlsafe_b64encode(b"Hello").decode().rstrip("=")}}
        payload = {"headers": headers, "mimeType": "multipart/mixed", "parts": [part, {"filename": "a.pdf"}]}
        return {"id": number, "threadId": "t", "labelIds": ["INBOX"], "snippet": "He", "payload": payload}

    def listing(asked: Asked) -> Any:
        if asked.one("pageToken"):
            return {"messages": [{"id": "3"}]}
        return {"messages": [{"id": "1"}, {"id": "2"}], "nextPageToken": "p2"}

    world.routes[f"GET {GMAIL}/messages"] = listing
    for number in "123":
        world.routes[f"GET {GMAIL}/messages/{number}"] = mail
    found = await world.call("gmail", "search_emails", query="is:unread", max_results=5)
    assert [one["subject"] for one in found["emails"]] == ["Mail 1", "Mail 2", "Mail 3"]
    assert not found["more"]
    assert (await world.call("gmail", "search_emails", max_results=2))["more"]
    read = await world.call("gmail", "read_email", message_id="2")
    assert (read["body"], read["attachments"], read["from"]) == ("Hello", ["a.pdf"], "a@b.example")


async def test_labels_are_named_by_their_words(world: World) -> None:
    world.routes[f"GET {GMAIL}/labels"] = lambda asked: {"labels": [{"id": "L_7", "name": "Bills"}]}
    world.routes[f"POST {GMAIL}/messages/5/modify"] = lambda asked: {"id": "5", "labelIds": asked.json["addLabelIds"]}
    assert (await world.call("gmail", "label_email", message_id="5", add=["bills"]))["labels"] == ["L_7"]
    with pytest.raises(ToolUnknown, match="'Taxes'"):
        await world.call("gmail", "label_email", message_id="5", add=["Taxes"])


async def test_an_oauth_token_is_renewed_when_it_ends(world: World) -> None:
    del world.values.values["GMAIL_TOKEN"]
    world.values.values |= {"GMAIL_CLIENT_ID": "id", "GMAIL_CLIENT_SECRET": "cs", "GMAIL_REFRESH_TOKEN": "rt-1"}
    given: list[dict[str, str]] = []

    def token(asked: Asked) -> Any:
        given.append(asked.form)
        world.service.token = f"access-{len(given)}"
        return {"access_token": world.service.token, "expires_in": 3600, "refresh_token": f"rt-{len(given) + 1}"}

    world.routes["POST /token"] = token
    world.routes[f"GET {GMAIL}/profile"] = lambda asked: {"emailAddress": "me@x.example"}
    connection = await world.direct.get_connection("gmail")
    assert (connection.account, connection.scheme, connection.expires_at) == ("me@x.example", "OAUTH2", 4600)
    await world.direct.get_connection("gmail")
    assert len(given) == 1
    world.clock = 4590  # It ends soon: it is renewed before.
    await world.direct.get_connection("gmail")
    world.service.token = "taken back"  # It ends early: the call is made again with another.
    await world.direct.get_connection("gmail")
    assert [one["refresh_token"] for one in given] == ["rt-1", "rt-2", "rt-3"]
    assert given[0] == {
        "grant_type": "refresh_token",
        "refresh_token": "rt-1",
        "client_id": "id",
        "client_secret": "cs",
    }
    assert world.values.values["GMAIL_REFRESH_TOKEN"] == "rt-4"
    world.routes["POST /token"] = lambda asked: Answer(400, {"error": "invalid_grant"})
    world.service.token = "taken back"
    expired = await world.direct.get_connection("gmail")
    assert (expired.state, expired.reason) == ("EXPIRED", "Gmail says: invalid_grant")


async def test_a_message_is_posted_and_slack_s_errors_are_understood(world: World) -> None:
    reply: dict[str, Any] = {"ok": True, "channel": "C1", "ts": "1.2"}
    world.routes["POST /chat.postMessage"] = lambda asked: Answer(200, reply)
    assert await world.call("slack", "post_message", channel="#a", text="hi") == {"channel": "C1", "ts": "1.2"}
    for error, kind in {
        "channel_not_found": ToolRefused,
        "token_expired": ConnectionExpired,
        "invalid_auth": NotConnected,
        "ratelimited": ToolRateLimited,
        "internal_error": ToolUncertain,
    }.items():
        reply = {"ok": False, "error": error}
        with pytest.raises(kind):
            await world.call("slack", "post_message", channel="#a", text="hi")
    world.routes["POST /chat.postMessage"] = lambda asked: Answer(429, {}, {"Retry-After": "12"})
    with pytest.raises(ToolRateLimited) as caught:
        await world.call("slack", "post_message", channel="#a", text="hi")
    assert caught.value.retry_after == 12
    assert len(world.loopback.asked) == 7, "nothing was sent twice"


async def test_channels_and_history_come_over_several_pages(world: World) -> None:
    def channels(asked: Asked) -> Any:
        if asked.one("cursor"):
            return {"ok": True, "channels": [{"id": "C2", "name": "b"}], "response_metadata": {"next_cursor": ""}}
        found = [{"id": "C1", "name": "a", "topic": {"value": "talk"}}]
        return {"ok": True, "channels": found, "response_metadata": {"next_cursor": "n"}}

    world.routes["GET /conversations.list"] = channels
    world.routes["GET /conversations.history"] = lambda asked: {
        "ok": True,
        "messages": [{"ts": "2", "user": "U", "text": "hi", "blocks": []}],
    }
    found = await world.call("slack", "list_channels")
    assert [(one["id"], one["topic"]) for one in found["channels"]] == [("C1", "talk"), ("C2", "")]
    said = await world.call("slack", "channel_history", channel="C1")
    assert said == {"messages": [{"ts": "2", "user": "U", "text": "hi"}], "more": False}


async def test_issues_are_listed_opened_and_spoken_on(world: World) -> None:
    def issues(asked: Asked) -> Any:
        size, page = int(asked.one("per_page")), int(asked.one("page"))
        numbers = range(1, 131)[(page - 1) * size : page * size]
        return [{"number": n, "title": f"T{n}", "user": {"login": "u"}, "labels": [{"name": "bug"}]} for n in numbers]

    world.routes["GET /repos/o/r/issues"] = issues
    world.routes["POST /repos/o/r/issues"] = lambda asked: Answer(201, {"number": 9, **asked.json})
    world.routes["POST /repos/o/r/issues/9/comments"] = lambda asked: Answer(201, {"id": 1, **asked.json})
    world.routes["GET /repos/o/r/pulls/3"] = lambda asked: {"number": 3, "merged": False, "head": {"ref": "x"}}
    found = await world.call("github", "list_issues", owner="o", repo="r", limit=500)
    assert len(found["issues"]) == 130 and not found["more"]
    assert (await world.call("github", "list_issues", owner="o", repo="r", limit=5))["more"]
    made = await world.call("github", "create_issue", owner="o", repo="r", title="Broken", body="x")
    assert (made["number"], made["title"]) == (9, "Broken")
    said = await world.call("github", "create_comment", owner="o", repo="r", number=9, body="Yes")
    assert said["body"] == "Yes"
    pull = await world.call("github", "get_pull_request", owner="o", repo="r", number=3)
    assert (pull["head"], pull["is_pull_request"]) == ("x", True)


async def test_github_s_limit_is_a_limit_and_not_a_refusal(world: World) -> None:
    headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1795262460", "date": "Sat, 21 Nov 2026 12:00:00 GMT"}
    world.routes["GET /repos/o/r/issues/1"] = lambda asked: Answer(403, {"message": "limit"}, headers)
    with pytest.raises(ToolRateLimited) as caught:
        await world.call("github", "get_issue", owner="o", repo="r", number=1)
    assert caught.value.retry_after == 60
    world.routes["GET /repos/o/r/issues/1"] = lambda asked: Answer(403, {"message": "no rights"})
    with pytest.raises(ToolRefused, match="does not allow"):
        await world.call("github", "get_issue", owner="o", repo="r", number=1)


async def test_pages_of_notion_are_found_read_made_and_extended(world: World) -> None:
    title = {"title": {"type": "title", "title": [{"plain_text": "Plan"}]}}
    page = {"object": "page", "id": "p1", "properties": title, "url": "https://notion.example/p1"}

    def search(asked: Asked) -> Any:
        more = "start_cursor" not in asked.json
        return {"results": [page], "has_more": more, "next_cursor": "c" if more else None}

    def children(asked: Asked) -> Any:
        words = "second" if asked.one("start_cursor") else "first"
        block = {"type": "paragraph", "paragraph": {"rich_text": [{"plain_text": words}]}}
        more = not asked.one("start_cursor")
        return {"results": [block], "has_more": more, "next_cursor": "c" if more else None}

    world.routes["POST /v1/search"] = search
    world.routes["GET /v1/pages/p1"] = lambda asked: page
    world.routes["GET /v1/blocks/p1/children"] = children
    world.routes["POST /v1/pages"] = lambda asked: page
    world.routes["PATCH /v1/blocks/p1/children"] = lambda asked: {"results": []}
    found = await world.call("notion", "search", query="Plan")
    assert [one["title"] for one in found["results"]] == ["Plan", "Plan"]
    assert (await world.call("notion", "get_page", page_id="p1"))["text"] == "first\nsecond"
    lines = "\n".join(f"line {n}" for n in range(250))
    await world.call("notion", "create_page", parent_page_id="p0", title="Plan", text=lines)
    sent = [
        one.json["children"]
        for one in world.loopback.asked
        if one.method in ("POST", "PATCH") and "search" not in one.path
    ]
    assert [len(part) for part in sent] == [100, 100, 50]
    assert (await world.call("notion", "append_text", page_id="p1", text="a\nb"))["blocks"] == 2


async def test_what_was_done_in_part_is_not_done_again_by_itself(world: World) -> None:
    world.routes["POST /v1/pages"] = lambda asked: {"object": "page", "id": "p1"}
    world.routes["PATCH /v1/blocks/p1/children"] = lambda asked: Answer(429, {}, {"Retry-After": "1"})
    with pytest.raises(ToolUncertain, match="a part of it only"):
        await world.call("notion", "create_page", parent_page_id="p0", title="Plan", text="x\n" * 150)


async def test_an_answer_that_breaks_off_leaves_a_write_uncertain_and_a_read_not(world: World) -> None:
    world.routes["POST /repos/o/r/issues"] = lambda asked: Answer(201, {"number": 9, "title": "x"}, cut=5)
    world.routes["GET /repos/o/r/issues/1"] = lambda asked: Answer(200, {"number": 9, "title": "x"}, cut=5)
    with pytest.raises(ToolUncertain):
        await world.call("github", "create_issue", owner="o", repo="r", title="x")
    with pytest.raises(ToolUnreachable):
        await world.call("github", "get_issue", owner="o", repo="r", number=1)
    world.routes["GET /repos/o/r/issues/1"] = lambda asked: Answer(502, "bad gateway")
    with pytest.raises(ToolUnreachable):
        await world.call("github", "get_issue", owner="o", repo="r", number=1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"owner": "o"}, "repo, title is missing"),
        ({"owner": "o", "repo": "r", "title": 5}, "title is not of type string"),
        ({"owner": "o", "repo": "r", "title": "t", "colour": "x"}, "colour is not known"),
    ],
)
async def test_arguments_that_do_not_fit_call_nobody(world: World, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ToolArguments, match=words):
        await world.call("github", "create_issue", **arguments)
    assert world.loopback.asked == []


async def test_a_token_is_tried_before_it_is_kept(world: World) -> None:
    world.values.values.clear()
    assert await world.direct.list_connections() == ()
    asked = await world.direct.connect("github")
    assert [(one.name, one.secret) for one in asked.fields] == [("GITHUB_TOKEN", True)]
    with pytest.raises(ConnectFailed) as caught:
        await world.direct.connect("github", values={"GITHUB_TOKEN": "wrong-token-1"})
    assert "wrong-token-1" not in json.dumps(caught.value.to_dict())
    assert world.values.values == {}
    world.routes["GET /user"] = lambda asked: {"login": "me"}
    assert (await world.direct.connect("github", values={"GITHUB_TOKEN": "tok-right-123"})).done
    [connection] = await world.direct.list_connections()
    assert (connection.app, connection.usable) == ("github", True)
    await world.direct.disconnect("github")
    assert world.values.values == {}
    with pytest.raises(NotConnected, match="GitHub is not connected"):
        await world.call("github", "get_issue", owner="o", repo="r", number=1)


async def test_a_token_that_is_not_taken_any_more_has_expired(world: World) -> None:
    world.service.token = "another"
    with pytest.raises(ConnectionExpired):
        await world.call("github", "get_issue", owner="o", repo="r", number=1)
    assert len(world.loopback.asked) == 1


async def test_every_service_says_what_it_can_do(world: World) -> None:
    page = await world.direct.list_apps()
    assert [app.name for app in page.items] == ["gmail", "slack", "github", "notion"]
    for app in page.items:
        actions = await world.direct.list_actions(app.name)
        assert len(actions) == app.actions
        assert {one.effects for one in actions} == {"read", "write"}
    with pytest.raises(ToolUnknown, match="fly"):
        await world.direct.get_action("gmail", "fly")


async def test_mails_are_fetched_with_their_texts_under_the_names_that_composio_has(world: World) -> None:
    part = {"mimeType": "text/plain", "body": {"data": base64.urlsafe_b64encode(b"At noon?").decode()}}
    headers = [{"name": "Subject", "value": "Lunch"}, {"name": "From", "value": "a@b.example"}]
    mail = {
        "id": "7",
        "threadId": "t",
        "labelIds": ["UNREAD"],
        "snippet": "At",
        "payload": {"headers": headers, **part},
    }
    world.routes[f"GET {GMAIL}/messages"] = lambda asked: {"messages": [{"id": "7"}]}
    world.routes[f"GET {GMAIL}/messages/7"] = lambda asked: mail
    [fetched] = (await world.call("gmail", "fetch_emails", query="is:unread"))["messages"]
    assert (fetched["sender"], fetched["subject"], fetched["messageText"]) == ("a@b.example", "Lunch", "At noon?")
    assert [one.one("format") for one in world.loopback.asked if one.path.endswith("/7")] == ["full"]
    world.routes["POST /chat.postMessage"] = lambda asked: {"ok": True, "channel": "C1", "ts": "1.2"}
    assert (await world.call("slack", "send_message", channel="#a", text="hi"))["ts"] == "1.2"


SERVICES: dict[str, tuple[str, dict[str, Any], str, Any]] = {
    "gmail": (
        "send_email",
        {"recipient_email": "a@b.example", "subject": "s", "body": "b"},
        f"POST {GMAIL}/messages/send",
        {"id": "m1", "threadId": "t1"},
    ),
    "slack": ("post_message", {"channel": "#a", "text": "hi"}, "POST /chat.postMessage", {"ok": True, "ts": "1.2"}),
    "github": ("create_issue", {"owner": "o", "repo": "r", "title": "t"}, "POST /repos/o/r/issues", {"number": 1}),
    "notion": ("create_page", {"parent_page_id": "p0", "title": "t"}, "POST /v1/pages", {"id": "p1"}),
}
"""A writing action of each service, where it goes, and what is answered."""


@pytest.mark.parametrize("app", SERVICES)
async def test_every_service_renews_its_token_once_and_keeps_the_one_that_follows(world: World, app: str) -> None:
    name, arguments, route, reply = SERVICES[app]
    upper = app.upper()
    del world.values.values[f"{upper}_TOKEN"]
    world.values.values |= {
        f"{upper}_CLIENT_ID": "id-1",
        f"{upper}_CLIENT_SECRET": "cs-1",
        f"{upper}_REFRESH_TOKEN": "rt-1",
    }
    renewed: list[Asked] = []

    def token(asked: Asked) -> Any:
        renewed.append(asked)
        world.service.token = f"access-{len(renewed)}"
        return {"access_token": world.service.token, "expires_in": 3600, "refresh_token": f"rt-{len(renewed) + 1}"}

    world.routes["POST /token"] = token
    world.routes[route] = lambda asked: reply
    await world.call(app, name, **arguments)
    await world.call(app, name, **arguments)
    assert len(renewed) == 1, "a token that holds is not renewed"
    world.service.token = "taken back"
    await world.call(app, name, **arguments)
    assert len(renewed) == 2
    asked = renewed[1]
    form = asked.json if app == "notion" else asked.form
    assert (form["grant_type"], form["refresh_token"]) == ("refresh_token", "rt-2")
    if app == "notion":
        assert asked.headers["authorization"] == "Basic " + base64.b64encode(b"id-1:cs-1").decode()
    else:
        assert (form["client_id"], form["client_secret"]) == ("id-1", "cs-1")
    assert world.values.values[f"{upper}_REFRESH_TOKEN"] == "rt-3"
    # What was refused did not act; what went through is there once.
    method, _, path = route.partition(" ")
    sent = world.loopback.calls(method, path)
    assert [one.headers["authorization"] for one in sent] == [
        "Bearer access-1",
        "Bearer access-1",
        "Bearer access-1",
        "Bearer access-2",
    ]
    assert {one.headers["idempotency-key"] for one in sent} == {"k-1"}

    world.routes["POST /token"] = lambda asked: Answer(
        200 if app == "slack" else 400, {"ok": False, "error": "invalid_grant"}
    )
    world.service.token = "taken back"
    with pytest.raises(ConnectionExpired, match="has ended") as caught:
        await world.call(app, name, **arguments)
    assert f"rondo authenticate-tool {app}" in caught.value.next_step


@pytest.mark.parametrize("app", SERVICES)
@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer(429, {"message": "slow"}, {"Retry-After": "17"}), ToolRateLimited),
        (Answer(500, {"message": "down"}), ToolUncertain),
        (Answer(200, {"ok": True, "id": "x" * 99}, cut=9), ToolUncertain),
        (Answer(200, b"no JSON"), ToolUncertain),
        (Answer(403, {"message": "no rights"}), ToolRefused),
    ],
)
async def test_no_service_is_written_to_twice_whatever_comes_back(
    world: World, app: str, answer: Answer, kind: type[Exception]
) -> None:
    name, arguments, route, _ = SERVICES[app]
    world.routes[route] = lambda asked: answer
    with pytest.raises(kind) as caught:
        await world.call(app, name, **arguments)
    if isinstance(caught.value, ToolRateLimited):
        assert caught.value.retry_after == 17
    method, _, path = route.partition(" ")
    [sent] = world.loopback.calls(method, path)
    assert sent.headers["idempotency-key"] == "k-1"
