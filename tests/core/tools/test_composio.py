"""Composio over its API v3.1, against a server of ours that speaks its shapes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
from composio_server import KEY, FakeComposio, error
from loopback import Answer, Loopback, serving

from core.errors import (
    ConnectFailed,
    ConnectionExpired,
    NotConnected,
    ToolGone,
    ToolKeyRefused,
    ToolProblem,
    ToolProviderMissing,
    ToolRateLimited,
    ToolRefused,
    ToolUncertain,
    ToolUnknown,
    ToolUnreachable,
)
from core.tools.composio import Composio
from core.tools.waiting import Patience


class World:
    def __init__(self, loopback: Loopback, fake: FakeComposio) -> None:
        self.loopback, self.fake = loopback, fake
        self.key: str | None = KEY
        self.slept: list[float] = []
        self.composio = Composio(lambda: self.key, base_url=loopback.url, patience=Patience(sleep=self.sleep))

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    fake = FakeComposio()
    async with serving(fake) as loopback:
        world = World(loopback, fake)
        yield world
        await world.composio.close()


async def test_apps_come_page_by_page_and_can_be_searched(world: World) -> None:
    first = await world.composio.list_apps()
    rest = await world.composio.list_apps(cursor=first.cursor)
    assert [app.name for app in (*first.items, *rest.items)] == ["gmail", "airtable", "shopify", "weather"]
    assert rest.cursor == ""
    found = await world.composio.list_apps("gma")
    assert [(app.name, app.title, app.actions, app.categories) for app in found.items] == [
        ("gmail", "Gmail", 3, ("Mail",))
    ]


async def test_actions_have_friendly_names_schemas_and_effects(world: World) -> None:
    actions = await world.composio.list_actions("gmail")
    assert [(one.name, one.id, one.effects) for one in actions] == [
        ("send_email", "GMAIL_SEND_EMAIL", "write"),
        ("fetch_emails", "GMAIL_FETCH_EMAILS", "read"),
        ("tidy_up", "GMAIL_TIDY_UP", "read"),
    ]
    assert actions[0].inputs["required"] == ["subject"]
    for name in ("send_email", "GMAIL_SEND_EMAIL"):
        assert (await world.composio.get_action("gmail", name)).id == "GMAIL_SEND_EMAIL"
    with pytest.raises(ToolUnknown, match="no action 'fly'"):
        await world.composio.get_action("gmail", "fly")
    with pytest.raises(ToolUnknown, match="no app 'nothing'"):
        await world.composio.list_actions("nothing")


@pytest.mark.parametrize("end", ["ACTIVE", "FAILED", "EXPIRED"])
async def test_an_account_is_connected_over_a_link(world: World, end: str) -> None:
    request = await world.composio.connect("gmail")
    assert request.link == f"https://connect.example/{request.connection_id}"
    assert request.expires_at == 1795262400 + 600
    assert (await world.composio.get_connection(request.connection_id)).state == "INITIATED"
    world.fake.accounts[request.connection_id] |= {"status": end, "status_reason": "as told"}
    [account] = await world.composio.list_connections("gmail")
    assert (account.state, account.reason, account.usable) == (end, "as told", end == "ACTIVE")
    assert account.created_at == 1795262400


async def test_a_second_account_uses_the_configuration_that_is_there(world: World) -> None:
    await world.composio.connect("gmail")
    await world.composio.connect("gmail")
    assert len(world.fake.configs) == 1
    assert len(await world.composio.list_connections()) == 2


async def test_an_api_key_is_asked_for_and_then_connected(world: World) -> None:
    asked = await world.composio.connect("airtable")
    assert [(one.name, one.title, one.required, one.secret) for one in asked.fields] == [
        ("generic_api_key", "API key", True, True)
    ]
    assert not asked.done and world.fake.configs == []
    made = await world.composio.connect("airtable", values={"generic_api_key": "good-key-123"})
    assert made.done
    [sent] = world.loopback.calls("POST", "/api/v3.1/connected_accounts")
    assert sent.json["connection"]["state"]["val"] == {"status": "ACTIVE", "generic_api_key": "good-key-123"}


async def test_what_was_filled_in_is_not_in_the_error(world: World) -> None:
    with pytest.raises(ToolProblem) as caught:
        await world.composio.connect("airtable", values={"generic_api_key": "bad-api-key"})
    assert "bad-api-key" not in json.dumps(caught.value.to_dict())


async def test_where_managed_oauth_is_gone_a_key_is_asked_for(world: World) -> None:
    world.fake.refuse_managed = True
    request = await world.composio.connect("shopify")
    assert (request.scheme, [one.name for one in request.fields]) == ("API_KEY", ["generic_api_key"])
    own = await world.composio.connect("gmail")
    assert [one.name for one in own.fields] == ["client_id", "client_secret"]
    values = {"client_id": "me", "client_secret": "hidden-secret"}
    assert (await world.composio.connect("gmail", "OAUTH2", values)).link


async def test_an_app_without_accounts_needs_no_connecting(world: World) -> None:
    assert (await world.composio.connect("weather")).done
    with pytest.raises(ConnectFailed, match="SAML"):
        await world.composio.connect("gmail", "SAML")


async def test_an_account_is_given_up(world: World) -> None:
    request = await world.composio.connect("gmail")
    await world.composio.disconnect(request.connection_id)
    await world.composio.disconnect(request.connection_id)
    with pytest.raises(NotConnected, match="gone"):
        await world.composio.get_connection(request.connection_id)


async def test_an_action_is_called_with_version_account_and_key(world: World) -> None:
    action = await world.composio.get_action("gmail", "send_email")
    result = await world.composio.execute(action, {"subject": "x"}, connection_id="ca_9", key="k-1")
    assert (result.data, result.log_id) == ({"id": "m-1"}, "log_77")
    assert world.fake.executed == [
        {
            "slug": "GMAIL_SEND_EMAIL",
            "key": "k-1",
            "arguments": {"subject": "x"},
            "user_id": "rondo",
            "connected_account_id": "ca_9",
            "version": "20261101_00",
        }
    ]


def tool_error(message: str) -> Answer:
    return Answer(200, {"data": {}, "error": message, "successful": False, "log_id": "log_9"})


WHOLE = {"data": {"id": "m-1"}, "error": None, "successful": True, "log_id": "log_77"}


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (tool_error("Recipient missing"), ToolRefused),
        (tool_error("Connected account has expired"), ConnectionExpired),
        (error(401, "Invalid API key"), ToolKeyRefused),
        (error(403, "IP not allowed"), ToolKeyRefused),
        (error(400, "Bad arguments", "Tool_Validation"), ToolRefused),
        (error(400, "No account", "ActionExecute_ConnectedAccountNotFound"), NotConnected),
        (error(400, "x", "ConnectedAccount_Expired"), ConnectionExpired),
        (error(404, "Tool GMAIL_SEND_EMAIL not found", "Tool_ToolNotFound"), ToolUnknown),
        (error(410, "Removed"), ToolGone),
        (error(429, "Slow down", headers={"Retry-After": "7"}), ToolRateLimited),
        (error(500, "Internal"), ToolUncertain),
        (Answer(502, "<html>bad gateway</html>"), ToolUncertain),
        (Answer(200, WHOLE, cut=10), ToolUncertain),
        (Answer(200, "{half"), ToolUncertain),
        (Answer(hang=True), ToolUncertain),
    ],
)
async def test_every_fault_of_a_call_has_its_error_and_is_not_repeated(
    world: World, answer: Answer, kind: type[ToolProblem]
) -> None:
    action = await world.composio.get_action("gmail", "send_email")
    world.fake.next_answers = [answer]
    with pytest.raises(kind) as caught:
        await world.composio.execute(action, {}, seconds=0.5 if answer.hang else 20)
    assert type(caught.value) is kind
    assert caught.value.cause and caught.value.next_step
    assert len(world.fake.executed) == 1
    if isinstance(caught.value, ToolRateLimited):
        assert caught.value.retry_after == 7


async def test_a_reading_action_that_fails_is_known_to_have_done_nothing(world: World) -> None:
    action = await world.composio.get_action("gmail", "fetch_emails")
    world.fake.next_answers = [error(500, "Internal")]
    with pytest.raises(ToolUnreachable):
        await world.composio.execute(action, {})


async def test_questions_are_asked_again_after_the_time_that_is_named(world: World) -> None:
    answers = [error(429, "Slow", headers={"Retry-After": "3"}), error(503, "Down")]
    fake = world.fake
    world.loopback.handle = lambda asked: answers.pop(0) if answers else fake(asked)
    assert (await world.composio.get_app("gmail")).title == "Gmail"
    assert world.slept == [3, 2]


async def test_keys_are_asked_for_and_checked(world: World) -> None:
    assert await world.composio.check() == "the key works; 4 apps"
    world.key = "wrong"
    with pytest.raises(ToolKeyRefused):
        await world.composio.check()
    before = len(world.loopback.asked)
    for key in (None, "", "two\nlines"):
        world.key = key
        with pytest.raises(ToolProviderMissing, match="key"):
            await world.composio.check()
    assert len(world.loopback.asked) == before


async def test_addresses_of_the_older_package_work_too() -> None:
    async with serving(FakeComposio()) as loopback:
        for base in (f"{loopback.url}/api", f"{loopback.url}/api/v3.1/", loopback.url):
            composio = Composio(lambda: KEY, base_url=base)
            assert await composio.check()
            await composio.close()


async def test_a_dead_address_was_not_called() -> None:
    async with serving(FakeComposio()) as loopback:
        url = loopback.url
    composio = Composio(lambda: KEY, base_url=url, patience=Patience(attempts=1))
    with pytest.raises(ToolUnreachable, match="can't be reached"):
        await composio.check()
    await composio.close()
