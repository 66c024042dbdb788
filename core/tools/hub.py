"""All providers as one: finds who serves a tool, which account is used, and calls its actions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from core.errors import (
    ConnectionExpired,
    NotConnected,
    ToolKeyUnreadable,
    ToolProblem,
    ToolProviderMissing,
    ToolsOffline,
    ToolUnknown,
    ToolUnreachable,
)
from core.tools.cache import ONE, Kept, SchemaCache
from core.tools.pins import Pin
from core.tools.provider import ENDED, Action, App, Connection, ConnectRequest, ToolProvider, ToolResult
from core.tools.waiting import Noted, Patience

FRESH = 6 * 3600.0
"""Seconds for which what is kept is not asked for anew, where nobody says otherwise."""
ACCOUNT_SECONDS = 30.0
"""Seconds for which an account is taken to be as it was."""
MOST_PAGES = 50
HOSTED, SERVERS = "composio", "mcp"
BY_PACKAGE = "composio-core"
ASKED_FAR = frozenset({HOSTED, BY_PACKAGE})
"""Providers of Composio's apps: what they say of apps is kept. One of the two is looked through, the other is used
where it is named."""
_QUESTION = "apps "
"""What is asked for all apps; words behind it ask for those that fit."""


@dataclass(frozen=True, slots=True)
class Listing:
    """Apps with their accounts. `notes` say what could not be had, `age` is that of the oldest part, in seconds."""

    apps: tuple[App, ...]
    connections: tuple[Connection, ...]
    age: float = 0.0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Details:
    """One app with all that is known of it."""

    app: App
    actions: tuple[Action, ...]
    connections: tuple[Connection, ...]
    age: float = 0.0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ready:
    """An action that can be called, and the account that it is called with."""

    provider: ToolProvider
    action: Action
    connection_id: str


class ToolHub:
    """The providers by name, in the order in which they are looked through."""

    def __init__(
        self,
        providers: Sequence[ToolProvider],
        cache: SchemaCache | None = None,
        *,
        patience: Patience | None = None,
        now: Callable[[], float] = time.time,
        hosted: Callable[[], str] = lambda: HOSTED,
        fresh: Callable[[], float] = lambda: FRESH,
    ) -> None:
        """`hosted` says which provider serves Composio's apps where none is named, `fresh` for how many seconds what
        is kept is not asked for anew."""
        self._hosted = hosted
        self._fresh = fresh
        self._providers = {provider.name: provider for provider in providers}
        self._cache = cache if cache is not None else SchemaCache()
        self._patience = patience if patience is not None else Patience()
        self._now = now
        self._accounts: dict[tuple[str, str, str], tuple[str, float]] = {}

    async def close(self) -> None:
        """Give up what providers hold."""
        await asyncio.gather(*(provider.close() for provider in self._providers.values()))

    async def let_go(self, name: str) -> None:
        """Give up what one provider holds; it can be used again."""
        await self._providers[name].close()

    def _looked_through(self) -> list[ToolProvider]:
        """The providers that serve what names none, in their order."""
        left_out = ASKED_FAR - {self._hosted()}
        return [provider for name, provider in self._providers.items() if name not in left_out]

    # What there is ------------------------------------------------------------------------------------------------

    async def list_apps(self, query: str = "", *, connected: bool = False, refresh: bool = False) -> Listing:
        """The apps of all providers that fit the words; a provider that can't be used is a note."""
        apps: list[App] = []
        notes: list[str] = []
        oldest = 0.0
        for provider in self._looked_through():
            try:
                found, age, note = await self._apps(provider, query, refresh)
            except ToolProblem as problem:
                notes.append(f"{provider.name}: {problem.message} {problem.next_step}")
                continue
            apps += found
            oldest = max(oldest, age)
            notes += [note] if note else []
        connections, more = await self._connections({app.provider for app in apps})
        if connected:
            usable = {(one.provider, one.app) for one in connections if one.usable}
            apps = [app for app in apps if (app.provider, app.name) in usable]
        return Listing(tuple(apps), connections, oldest, tuple(dict.fromkeys((*notes, *more))))

    async def details(self, name: str, provider: str = "", *, refresh: bool = False) -> Details:
        """One app with its actions and accounts; raises ToolUnknown."""
        found = await self.provider_of(Pin(name, provider))
        app, actions, age, note = await self._described(found, name.lower(), refresh)
        try:
            connections = await found.list_connections(app.name)
            notes = [note] if note else []
        except ToolProblem as problem:
            connections, notes = (), [note or f"{found.name}: {problem.message}"]
        return Details(app, actions, connections, age, tuple(notes))

    async def provider_of(self, pin: Pin) -> ToolProvider:
        """Who serves a tool: the one that is pinned, else a server of that name, else Composio where it has a key,
        else a direct way."""
        if pin.provider:
            provider = self._providers.get(pin.provider)
            if provider is None:
                raise ToolProviderMissing(
                    f"There is no provider {pin.provider!r}.",
                    cause="There are: " + ", ".join(self._providers) + ".",
                    next_step="Name one of these, or none.",
                )
            return provider
        without: ToolProblem | None = None
        for provider in self._looked_through():
            if provider.name in ASKED_FAR:
                # Where it can't be reached it is still the one: an account elsewhere is another account.
                try:
                    await provider.require()
                    await self._described(provider, pin.service, False)
                    return provider
                except ToolKeyUnreadable:
                    raise  # It may well be the one: an account elsewhere is another account.
                except (ToolProviderMissing, ToolUnknown) as problem:
                    if isinstance(problem.details, dict) and "install" in problem.details:
                        raise  # The settings name it: an account elsewhere is not what was wanted.
                    without = problem
                    continue
            try:
                await provider.get_app(pin.service)
                return provider
            except ToolUnknown:
                continue
        if without is not None and not isinstance(without, ToolUnknown):
            raise without
        raise ToolUnknown(
            f"There is no tool {pin.name!r}.",
            cause="None of the providers has it: " + ", ".join(one.name for one in self._looked_through()) + ".",
            next_step=f"Look for it: rondo list-tools --search {pin.name}",
        )

    # Calls --------------------------------------------------------------------------------------------------------

    async def ready(self, pin: Pin, action: str) -> Ready:
        """Find an action and the account to call it with; raises NotConnected and the rest of the family."""
        provider = await self.provider_of(pin)
        found = await self._action(provider, pin, action)
        app = await self._needs_connection(provider, pin.service)
        connection = await self._account(provider, pin) if app else ""
        return Ready(provider, found, connection)

    async def find_action(self, pin: Pin, action: str) -> tuple[str, Action]:
        """An action with the name of its provider; raises ToolUnknown."""
        provider = await self.provider_of(pin)
        return provider.name, await self._action(provider, pin, action)

    async def call(
        self, ready: Ready, arguments: Mapping[str, Any], *, key: str, seconds: float, noted: Noted | None = None
    ) -> ToolResult:
        """Call an action: again only after a rate limit, and where nothing was done."""
        started = time.monotonic()

        async def once() -> ToolResult:
            return await ready.provider.execute(
                ready.action, arguments, connection_id=ready.connection_id, key=key, seconds=seconds
            )

        try:
            result = await self._patience.keep_at(once, noted)
        except NotConnected as problem:
            self._accounts.clear()
            if not isinstance(problem.details, dict) or not problem.details.get("app"):
                problem.details = {"app": ready.action.app}
            raise
        return replace(result, seconds=time.monotonic() - started)

    # Accounts -----------------------------------------------------------------------------------------------------

    async def connect(
        self, name: str, *, provider: str = "", scheme: str = "", values: Mapping[str, str] | None = None
    ) -> tuple[str, ConnectRequest]:
        """Begin to connect an account of an app; returns the provider's name, too."""
        self._accounts.clear()
        found = await self.provider_of(Pin(name, provider))
        return found.name, await found.connect(name.lower(), scheme, values)

    async def account_of(self, pin: Pin) -> tuple[str, Connection | None]:
        """The provider and the account that a tool would be called with now; None where it needs none.

        Raises NotConnected and the rest of the family.
        """
        provider = await self.provider_of(pin)
        if not await self._needs_connection(provider, pin.service):
            return provider.name, None
        await provider.require()
        found = [one for one in await provider.list_connections(pin.service) if pin.account in ("", one.id)]
        usable = next((one for one in found if one.usable), None)
        if usable is None:
            if not found and provider.name == SERVERS:
                await provider.get_connection(pin.service)  # It says what is to be trusted.
            raise _no_account(pin, found)
        return provider.name, usable

    async def connection(self, name: str, connection_id: str, provider: str = "") -> Connection:
        """How an account is now."""
        found = await self.provider_of(Pin(name, provider))
        return await found.get_connection(connection_id)

    async def disconnect(self, name: str, provider: str = "", account: str = "") -> list[Connection]:
        """Give up the accounts of an app, or one of them; returns those. Raises NotConnected where there are none."""
        self._accounts.clear()
        found = await self.provider_of(Pin(name, provider))
        given_up = [one for one in await found.list_connections(name.lower()) if account in ("", one.id)]
        if not given_up:
            raise NotConnected(
                f"{name} has no account{f' {account}' if account else ''}.",
                cause="Nothing was connected, or it was given up before.",
                next_step=f"See: rondo tool-details {name}",
                details={"app": name},
            )
        for one in given_up:
            await found.disconnect(one.id)
        return given_up

    async def _account(self, provider: ToolProvider, pin: Pin) -> str:
        """The id of the account: the pinned one, else the newest active one."""
        place = (provider.name, pin.service, pin.account)
        known = self._accounts.get(place)
        if known is not None and 0 <= self._now() - known[1] < ACCOUNT_SECONDS:
            return known[0]
        found = await provider.list_connections(pin.service)
        ours = [one for one in found if pin.account in ("", one.id)]
        usable = next((one for one in ours if one.usable), None)
        if usable is None:
            raise _no_account(pin, ours)
        self._accounts[place] = (usable.id, self._now())
        return usable.id

    async def _connections(self, shown: Collection[str]) -> tuple[tuple[Connection, ...], list[str]]:
        """All accounts, and in words whose could not be had; `shown` are the providers whose apps are."""
        found: list[Connection] = []
        notes = []
        for provider in self._looked_through():
            try:
                found += await provider.list_connections()
            except ToolProblem as problem:
                if isinstance(problem, ToolProviderMissing) and provider.name not in shown:
                    continue
                notes.append(f"{provider.name}: {problem.message} Its accounts are not shown.")
        return tuple(found), notes

    # What is kept -------------------------------------------------------------------------------------------------

    async def _apps(self, provider: ToolProvider, query: str, refresh: bool) -> tuple[Sequence[App], float, str]:
        if provider.name not in ASKED_FAR:
            return (await provider.list_apps(query)).items, 0.0, ""

        whole = await asyncio.to_thread(self._cache.get, provider.name, _QUESTION) if query else None
        if whole is not None and not refresh and self._cache.fresh(whole, self._fresh()):
            return _fitting(whole.apps, query), self._cache.age(whole), ""

        async def ask() -> tuple[Sequence[App], Sequence[Action]]:
            found: list[App] = []
            cursor = ""
            for _ in range(MOST_PAGES):
                page = await provider.list_apps(query, cursor)
                found += page.items
                cursor = page.cursor
                if not cursor:
                    break
            return found, ()

        try:
            kept, note = await self._kept(provider, f"{_QUESTION}{query.lower()}", ask, refresh)
        except ToolsOffline:
            if whole is None:
                raise
            return _fitting(whole.apps, query), self._cache.age(whole), self._offline(provider, whole)
        return kept.apps, self._cache.age(kept), note

    async def _described(
        self, provider: ToolProvider, app: str, refresh: bool
    ) -> tuple[App, tuple[Action, ...], float, str]:
        if provider.name not in ASKED_FAR:
            found = await provider.get_app(app)
            try:
                return found, await provider.list_actions(app), 0.0, ""
            except (NotConnected, ToolUnreachable, ToolProviderMissing) as problem:
                return found, (), 0.0, f"{problem.message} {problem.next_step}"

        async def ask() -> tuple[Sequence[App], Sequence[Action]]:
            return [await provider.get_app(app)], await provider.list_actions(app)

        kept, note = await self._kept(provider, f"{ONE}{app}", ask, refresh)
        return kept.apps[0], kept.actions, self._cache.age(kept), note

    async def _kept(self, provider: ToolProvider, question: str, ask: Any, refresh: bool) -> tuple[Kept, str]:
        """What is kept where it is fresh, else what the provider says; what is older where it can't be reached."""
        kept = await asyncio.to_thread(self._cache.get, provider.name, question)
        if kept is not None and not refresh and self._cache.fresh(kept, self._fresh()):
            return kept, ""
        try:
            apps, actions = await ask()
        except ToolUnreachable as problem:
            if kept is None:
                raise ToolsOffline(
                    f"{provider.name} can't be reached, and nothing is kept of it.",
                    cause=problem.message,
                    next_step="Look at the network, then try again.",
                ) from problem
            return kept, self._offline(provider, kept)
        await asyncio.to_thread(self._cache.put, provider.name, question, apps, actions)
        return Kept(tuple(apps), tuple(actions), self._now()), ""

    def _offline(self, provider: ToolProvider, kept: Kept) -> str:
        return f"{provider.name} can't be reached; this is from {_ago(self._cache.age(kept))} ago."

    async def _action(self, provider: ToolProvider, pin: Pin, action: str) -> Action:
        if provider.name not in ASKED_FAR:
            return await provider.get_action(pin.service, action, pin.version)
        _, actions, _, _ = await self._described(provider, pin.service, False)
        for one in actions:
            if action.lower() == one.name or action.upper() == one.id:
                return replace(one, version=pin.version) if pin.version else one
        return await provider.get_action(pin.service, action, pin.version)

    async def _needs_connection(self, provider: ToolProvider, app: str) -> bool:
        if provider.name not in ASKED_FAR:
            return True
        return (await self._described(provider, app, False))[0].needs_connection


def _no_account(pin: Pin, found: Sequence[Connection]) -> NotConnected:
    name = pin.service
    ended = next((one for one in found if one.state in ENDED), None)
    if ended is not None:
        return ConnectionExpired(
            f"The account of {name} can't be used any more: it is {ended.state}.",
            cause=ended.reason or "Its access has ended, was taken back, or was never finished.",
            next_step=f"Connect it anew: rondo authenticate-tool {name}",
            details={"app": name},
        )
    waiting = bool(found)
    return NotConnected(
        f"The tool {name} has no account{' yet' if waiting else ''}.",
        cause="Its connecting was begun and not finished."
        if waiting
        else f"The account {pin.account}, which tools.json names, is not there."
        if pin.account
        else "Nobody has connected one.",
        next_step=f"Connect it: rondo authenticate-tool {name}",
        details={"app": name},
    )


def _fitting(apps: Sequence[App], query: str) -> list[App]:
    words = query.lower().split()
    texts = ((app, f"{app.name} {app.title} {app.description} {' '.join(app.categories)}".lower()) for app in apps)
    return [app for app, text in texts if all(word in text for word in words)]


def _ago(seconds: float) -> str:
    for size, word in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {word}"
    return f"{seconds:.0f} seconds"
