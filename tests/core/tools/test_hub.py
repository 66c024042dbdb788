"""All providers together: who serves a tool, which account is used, what is known without a connection."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from composio_server import KEY, FakeComposio, error
from loopback import Answer, Asked, Loopback, serving

from core.errors import (
    ConnectionExpired,
    NotConnected,
    ToolProviderMissing,
    ToolRateLimited,
    ToolsOffline,
    ToolUncertain,
    ToolUnknown,
    ToolUnreachable,
)
from core.tools.cache import SchemaCache
from core.tools.composio import Composio
from core.tools.composio_core.process import not_installed
from core.tools.direct import Direct
from core.tools.hub import ToolHub
from core.tools.making import make_providers
from core.tools.pins import Pin, read_pins
from core.tools.provider import Action, App, Connection, Page
from core.tools.waiting import Patience


class Values:
    def __init__(self) -> None:
        self.values: dict[str, str] = {"COMPOSIO_API_KEY": KEY}

    def value(self, name: str) -> str | None:
        return self.values.get(name)

    def set(self, name: str, value: str) -> None:
        self.values[name] = value

    def remove(self, name: str) -> None:
        del self.values[name]


class World:
    def __init__(self, loopback: Loopback, fake: FakeComposio, folder: Path) -> None:
        self.loopback, self.fake, self.folder = loopback, fake, folder
        self.values = Values()
        self.clock = 1_000_000.0
        self.slept: list[float] = []
        self.hub = self.another()

    def another(self) -> ToolHub:
        patience = Patience(attempts=2, sleep=self.sleep)
        composio = Composio(
            lambda: self.values.value("COMPOSIO_API_KEY"), base_url=self.loopback.url, patience=patience
        )
        cache = SchemaCache(self.folder, lambda: self.clock)
        return ToolHub([composio, Direct(self.values)], cache, patience=patience, now=lambda: self.clock)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def connected(self) -> str:
        _, request = await self.hub.connect("gmail")
        self.fake.accounts[request.connection_id]["status"] = "ACTIVE"
        return request.connection_id


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    fake = FakeComposio(page=100)
    async with serving(fake) as loopback:
        world = World(loopback, fake, tmp_path)
        yield world
        await world.hub.close()


async def test_composio_serves_what_it_has_and_the_direct_way_the_rest(world: World) -> None:
    assert (await world.hub.provider_of(Pin("gmail"))).name == "composio"
    assert (await world.hub.provider_of(Pin("notion"))).name == "direct"
    assert (await world.hub.provider_of(Pin("gmail", provider="direct"))).name == "direct"
    del world.values.values["COMPOSIO_API_KEY"]
    assert (await world.hub.provider_of(Pin("gmail"))).name == "direct"
    with pytest.raises(ToolProviderMissing, match="no key for Composio"):
        await world.hub.provider_of(Pin("airtable"))
    world.values.values["COMPOSIO_API_KEY"] = KEY
    with pytest.raises(ToolUnknown, match="no tool 'nowhere'"):
        await world.hub.provider_of(Pin("nowhere"))


async def test_a_provider_that_is_out_of_reach_is_not_replaced_by_another_account(world: World) -> None:
    world.loopback.handle = lambda asked: error(503, "Down")
    world.values.values["GMAIL_TOKEN"] = "tok-123456"
    with pytest.raises(ToolsOffline):
        await world.hub.provider_of(Pin("gmail"))


async def test_what_was_said_is_kept_and_shown_with_its_age_when_nobody_answers(world: World) -> None:
    first = await world.hub.details("gmail")
    assert (len(first.actions), first.age, first.notes) == (3, 0, ())
    asked = len(world.loopback.asked)
    world.clock += 3600
    assert (await world.another().details("gmail")).age == 3600
    assert len(world.loopback.calls("GET", "/api/v3.1/tools")) == 1 and len(world.loopback.asked) == asked + 1
    world.clock += 9 * 3600
    world.loopback.handle = lambda asked: error(503, "Down")
    later = await world.another().details("gmail")
    assert (later.app, later.actions, later.age) == (first.app, first.actions, 36000)
    assert later.notes == ("composio can't be reached; this is from 10 hours ago.",)
    with pytest.raises(ToolsOffline):
        await world.another().details("airtable")
    world.loopback.handle = world.fake
    assert (await world.another().details("gmail", refresh=True)).age == 0


async def test_apps_of_all_providers_are_listed_with_their_accounts(world: World) -> None:
    account = await world.connected()
    listing = await world.hub.list_apps()
    assert [(app.provider, app.name) for app in listing.apps][:5] == [
        ("composio", "gmail"),
        ("composio", "airtable"),
        ("composio", "shopify"),
        ("composio", "weather"),
        ("direct", "gmail"),
    ]
    assert [one.id for one in listing.connections] == [account]
    only = await world.hub.list_apps(connected=True)
    assert [(app.provider, app.name) for app in only.apps] == [("composio", "gmail")]
    assert {app.name for app in (await world.hub.list_apps("slack")).apps} == {"slack"}
    del world.values.values["COMPOSIO_API_KEY"]
    without = await world.another().list_apps(refresh=True)
    assert {app.provider for app in without.apps} == {"direct"}
    assert "no key for Composio" in without.notes[0]


async def test_words_are_looked_for_in_the_kept_list_where_nobody_answers_which_says_its_age(world: World) -> None:
    await world.hub.list_apps()
    asked = len(world.loopback.calls("GET", "/api/v3.1/toolkits"))
    world.clock += 3600
    found = await world.another().list_apps("MAIL airtable")
    assert ([app.name for app in found.apps], found.age) == (["airtable"], 3600)
    assert len(world.loopback.calls("GET", "/api/v3.1/toolkits")) == asked
    world.clock += 9 * 3600
    world.loopback.handle = lambda asked: error(503, "Down")
    for refresh in (False, True):
        offline = await world.another().list_apps("airtable", refresh=refresh)
        assert ([app.name for app in offline.apps], offline.age) == (["airtable"], 36000)
        assert "composio can't be reached; this is from 10 hours ago." in offline.notes
    assert not (await world.another().list_apps("zeppelin")).apps


async def test_words_are_not_looked_for_where_nothing_is_kept_and_nobody_answers(world: World) -> None:
    world.loopback.handle = lambda asked: error(503, "Down")
    listing = await world.hub.list_apps("gmail")
    assert {app.provider for app in listing.apps} == {"direct"}
    assert "composio can't be reached, and nothing is kept of it." in listing.notes[0]


async def test_a_kept_list_from_after_a_clock_was_put_back_is_asked_for_anew(world: World) -> None:
    await world.hub.list_apps()
    asked = len(world.loopback.calls("GET", "/api/v3.1/toolkits"))
    world.clock -= 7 * 86400
    await world.another().list_apps("airtable")
    assert len(world.loopback.calls("GET", "/api/v3.1/toolkits")) > asked


async def test_a_call_uses_the_newest_active_account_or_the_pinned_one(world: World) -> None:
    first = await world.connected()
    second = await world.connected()
    world.fake.accounts[second]["created_at"] = "2026-11-21T13:00:00Z"
    ready = await world.hub.ready(Pin("gmail"), "send_email")
    result = await world.hub.call(ready, {"subject": "x"}, key="k-9", seconds=20)
    assert result.log_id == "log_77"
    pinned = await world.hub.ready(Pin("gmail", account=first, version="20260101_00"), "GMAIL_SEND_EMAIL")
    await world.hub.call(pinned, {"subject": "x"}, key="k-9", seconds=20)
    used = [(one["connected_account_id"], one["version"], one["key"]) for one in world.fake.executed]
    assert used == [(second, "20261101_00", "k-9"), (first, "20260101_00", "k-9")]


async def test_an_app_without_accounts_is_called_without_one(world: World) -> None:
    ready = await world.hub.ready(Pin("weather"), "get_weather")
    assert ready.connection_id == ""


async def test_what_is_missing_is_said_before_anything_is_called(world: World) -> None:
    with pytest.raises(NotConnected, match="no account") as caught:
        await world.hub.ready(Pin("gmail"), "send_email")
    assert caught.value.details == {"app": "gmail"}
    account = await world.connected()
    world.fake.accounts[account] |= {"status": "EXPIRED", "status_reason": "the user took it back"}
    with pytest.raises(ConnectionExpired, match="EXPIRED") as expired:
        await world.hub.ready(Pin("gmail"), "send_email")
    assert expired.value.cause == "the user took it back"
    with pytest.raises(ToolUnknown):
        await world.hub.ready(Pin("gmail"), "fly")
    assert world.fake.executed == []


async def test_a_limit_is_waited_for_and_a_write_that_broke_off_is_not_repeated(world: World) -> None:
    await world.connected()
    ready = await world.hub.ready(Pin("gmail"), "send_email")
    world.fake.next_answers = [error(429, "Slow", headers={"Retry-After": "9"})]
    notes: list[str] = []
    await world.hub.call(ready, {}, key="k", seconds=20, noted=notes.append)
    assert (world.slept, len(world.fake.executed)) == ([9], 2)
    assert notes == ["Composio takes no more calls for now. Again in 9 s."]
    world.fake.next_answers = [error(429, "Slow", headers={"Retry-After": "100000"})]
    with pytest.raises(ToolRateLimited):
        await world.hub.call(ready, {}, key="k", seconds=20)
    assert len(world.fake.executed) == 3
    world.fake.next_answers = [error(500, "Internal")]
    with pytest.raises(ToolUncertain):
        await world.hub.call(ready, {}, key="k", seconds=20)
    assert len(world.fake.executed) == 4
    reading = await world.hub.ready(Pin("gmail"), "fetch_emails")
    world.fake.next_answers = [error(500, "Internal"), Answer(200, {"data": 1, "successful": True})]
    assert (await world.hub.call(reading, {}, key="k", seconds=20)).data == 1


async def test_accounts_are_given_up(world: World) -> None:
    await world.connected()
    assert len(await world.hub.disconnect("gmail")) == 1
    with pytest.raises(NotConnected):
        await world.hub.disconnect("gmail")


async def test_a_kept_document_that_is_damaged_counts_as_missing(world: World) -> None:
    await world.hub.details("gmail")
    for file in world.folder.rglob("*.json"):
        file.write_text(file.read_text()[:50])
    assert len((await world.another().details("gmail")).actions) == 3


def test_pins_are_read_in_every_form() -> None:
    forms = [
        ["gmail", {"name": "slack", "version": "7", "account": "ca_1", "provider": "composio"}],
        {"tools": ["gmail", {"name": "slack", "version": "7", "account": "ca_1", "provider": "composio"}]},
        {"gmail": {}, "slack": {"version": "7", "account": "ca_1", "provider": "composio"}},
    ]
    for form in forms:
        assert list(read_pins(json.dumps(form).encode()).values()) == [
            Pin("gmail"),
            Pin("slack", "composio", "", "7", "ca_1"),
        ]
    assert read_pins(None) == read_pins(b"{") == read_pins(b"[7, null, {}]") == {}
    assert read_pins(b'[{"name": "mail", "app": "Gmail"}]')["mail"].service == "gmail"


async def test_providers_are_made_with_their_first_use(tmp_path: Path) -> None:
    def handle(asked: Asked) -> Answer:
        return Answer(200, {"login": "me"})

    async with serving(handle) as loopback:
        values = Values()
        values.values = {"GITHUB_TOKEN": "tok-123456"}
        providers = {one.name: one for one in make_providers(tmp_path, values, {"GITHUB_BASE_URL": loopback.url})}
        assert list(providers) == ["mcp", "composio", "composio-core", "direct"]
        for provider in providers.values():
            await provider.close()
        assert (await providers["direct"].get_connection("github")).account == "me"
        (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": {"files": {"command": sys.executable}}}))
        assert "files" in [app.name for app in (await providers["mcp"].list_apps()).items]
        with pytest.raises(ToolProviderMissing):
            await providers["composio"].require()
        for provider in providers.values():
            await provider.close()


async def test_patience_ends() -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async def fail() -> None:
        raise ToolUnreachable("away")

    with pytest.raises(ToolUnreachable):
        await Patience(attempts=4, sleep=sleep).keep_at(fail)
    assert slept == [1, 2, 4]


class Named:
    """A provider of gmail that only says that it was asked."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.asked: list[str] = []

    async def require(self) -> None:
        self.asked.append("require")

    async def list_apps(self, query: str = "", cursor: str = "") -> Page[App]:
        self.asked.append("list_apps")
        return Page((App("gmail", "Gmail", self.name),))

    async def get_app(self, app: str) -> App:
        self.asked.append("get_app")
        return App("gmail", "Gmail", self.name)

    async def list_actions(self, app: str) -> tuple[Action, ...]:
        return (Action("gmail", "send_email", "GMAIL_SEND_EMAIL"),)

    async def list_connections(self, app: str = "") -> tuple[Connection, ...]:
        return (Connection(f"ca_{self.name}", "gmail", self.name, "ACTIVE"),)


async def test_the_older_package_serves_only_who_names_it_or_all_by_the_settings(tmp_path: Path) -> None:
    providers: list[Any] = [Named("composio"), Named("composio-core")]
    hosted = ["composio"]
    hub = ToolHub(providers, SchemaCache(tmp_path), hosted=lambda: hosted[0])
    for chosen, other in (("composio", "composio-core"), ("composio-core", "composio")):
        hosted[0] = chosen
        listing = await hub.list_apps()
        assert [app.provider for app in listing.apps] == [chosen]
        assert [one.id for one in listing.connections] == [f"ca_{chosen}"]
        assert (await hub.ready(Pin("gmail"), "send_email")).connection_id == f"ca_{chosen}"
        assert (await hub.ready(Pin("gmail", other), "send_email")).connection_id == f"ca_{other}"
    # What they say of apps is kept, each for itself.
    assert [one.asked.count("get_app") for one in providers] == [1, 1]


async def test_where_the_settings_name_the_older_package_nobody_else_takes_its_place(tmp_path: Path) -> None:
    core, direct = Named("composio-core"), Named("direct")
    providers: list[Any] = [Named("composio"), core, direct]
    hub = ToolHub(providers, SchemaCache(tmp_path), hosted=lambda: "composio-core")

    async def not_there() -> None:
        raise not_installed()

    core.require = not_there  # type: ignore[method-assign]
    with pytest.raises(ToolProviderMissing, match="not installed"):
        await hub.provider_of(Pin("gmail"))

    async def no_key() -> None:
        raise ToolProviderMissing("There is no key.")

    core.require = no_key  # type: ignore[method-assign]
    assert (await hub.provider_of(Pin("gmail"))).name == "direct"


async def test_a_list_from_what_is_kept_says_that_the_accounts_are_not_known_without_the_key(world: World) -> None:
    await world.connected()
    await world.hub.list_apps()
    del world.values.values["COMPOSIO_API_KEY"]
    listing = await world.hub.list_apps()
    assert any(app.provider == "composio" for app in listing.apps)
    assert any("no key for Composio" in note and "accounts are not shown" in note for note in listing.notes)
