"""Keys of providers: from clients, the engine's environment or a secret store; they leave this only into a call.

No key stands in a repr, an error or a log; `Keys.redactor` takes them out of whatever else may hold one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from core.errors import NoModelKey, RondoError
from core.llm.providers import Provider, known_variables, providers
from core.redaction import Redactor

LONGEST = 4096

Source = Literal["client", "environment", "secret", "none", "not needed"]

SecretStore = Callable[[str], str | None]
"""Gives the value of a secret by its name, None where there is none; it is called in a thread, so it may take long.

It may raise a RondoError where there is one that it can't give.
"""


@dataclass(frozen=True, slots=True)
class Access:
    """How a provider is reached: its address and its key, where that is from, and the name it has there."""

    base_url: str
    source: Source
    name: str = ""
    key: str = field(default="", repr=False)


class Keys:
    """The keys that the engine has. What clients offer is kept in memory only; the latest offer counts."""

    def __init__(self, environment: Mapping[str, str], secret: SecretStore | None = None) -> None:
        self.secret = secret
        """Where references `secret:NAME` are looked up; another part may set it."""
        self._environment = environment
        self._offered: dict[str, str] = {}
        self._handed: set[str] = set()
        self._redactor: tuple[tuple[str, ...], Redactor] = ((), Redactor(()))

    def __repr__(self) -> str:
        return "Keys(...)"

    def offer(self, mapping: Mapping[str, str]) -> None:
        """Take what a client says of its environment: keys and addresses by variable; anything else is left out.

        What it says of a provider takes the place of all that was offered for this one before: a key belongs to the
        address that was set beside it.
        """
        known = known_variables()
        offered = {name: value.strip() for name, value in mapping.items() if name in known and _plausible(value)}
        for provider in providers({}).values():
            names = (*provider.key_names, *provider.base_url_names)
            if any(name in offered for name in names):
                for name in names:
                    self._offered.pop(name, None)
        self._offered.update(offered)

    def access(self, provider: Provider) -> Access:
        """How to reach a provider, as things are now. Where a secret store is set, it is asked: call it in a thread.

        Raises NoModelKey where the store has the key and can't give it.
        """
        access = self._find(provider)
        if access.key:
            self._handed.add(access.key)
        return access

    def has_at_hand(self, provider: Provider) -> bool:
        """True where a key is known without asking the secret store."""
        return not provider.key.startswith("secret:") and bool(self._find(provider, store=False).key)

    def _find(self, provider: Provider, *, store: bool = True) -> Access:
        if provider.key == "none":
            return Access(self._address(provider, self._layers()), "not needed")
        if provider.key.startswith("secret:"):
            return self._from_store(provider, provider.key.removeprefix("secret:"))
        names = (provider.key,) if provider.key else provider.key_names
        for source, values in (("client", self._offered), ("environment", self._environment)):
            for name in names:
                if value := values.get(name, "").strip():
                    return Access(
                        self._address(provider, [values]),
                        "client" if source == "client" else "environment",
                        name,
                        value,
                    )
        problem: RondoError | None = None
        for name in names if store and self.secret is not None else ():
            try:
                found = self._from_store(provider, name)
            except NoModelKey as error:
                problem = error
                continue
            if found.key:
                return found
        if problem is not None and provider.key_needed:
            raise problem
        return Access(self._address(provider, self._layers()), "none" if provider.key_needed else "not needed")

    @property
    def redactor(self) -> Redactor:
        """Takes every key that is known now out of texts."""
        values = tuple(sorted(set(self._values())))
        if values != self._redactor[0]:
            self._redactor = (values, Redactor(values))
        return self._redactor[1]

    def _values(self) -> Iterator[str]:
        # A copy: texts are redacted in threads, too.
        yield from tuple(self._handed)
        addresses = {name for provider in providers({}).values() for name in provider.base_url_names}
        for values in (self._offered, self._environment):
            for name in known_variables() - addresses:
                if value := values.get(name, "").strip():
                    yield value

    def _from_store(self, provider: Provider, name: str) -> Access:
        address = self._address(provider, self._layers())
        try:
            value = (self.secret(name) or "").strip() if self.secret is not None else ""
        except RondoError as error:
            raise NoModelKey(
                f"The key for {provider.title} can't be had from the secret store: {error.message}",
                cause=error.cause,
                next_step=error.next_step,
            ) from error
        if not value:
            return Access(address, "none", f"secret:{name}")
        return Access(address, "secret", f"secret:{name}", value)

    def _layers(self) -> list[Mapping[str, str]]:
        return [self._offered, self._environment]

    def _address(self, provider: Provider, layers: list[Mapping[str, str]]) -> str:
        if not provider.base_url_set:
            for values in layers:
                for name in provider.base_url_names:
                    if value := values.get(name, "").strip():
                        return value
        return provider.base_url


def check_access(provider: Provider, access: Access) -> None:
    """Raise NoModelKey where a key is needed and there is none that can be sent."""
    if access.source == "none":
        names = [access.name] if access.name else list((provider.key,) if provider.key else provider.key_names)
        store = names and names[0].startswith("secret:")
        raise NoModelKey(
            f"There is no key for {provider.title}.",
            cause=f"The secret store has no {names[0].removeprefix('secret:')}."
            if store
            else f"None of {', '.join(names)} is set."
            if len(names) > 1
            else f"{names[0]} is not set."
            if names
            else f"[llm.providers.{provider.name}] names no key.",
            next_step=f"Keep it: rondo secrets set {names[0].removeprefix('secret:')}"
            if store
            else f"Keep it with rondo secrets set {names[0]}, or set the variable where you start rondo."
            if names
            else f"Set key under [llm.providers.{provider.name}] in the settings.",
        )
    if access.key and not _sendable(access.key):
        raise NoModelKey(
            f"The key for {provider.title} can't be sent.",
            cause=f"What stands in {access.name} has characters that no key has, such as a line break.",
            next_step=f"Set {access.name} anew, to the key alone.",
        )


def _plausible(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value.strip()) <= LONGEST


def _sendable(key: str) -> bool:
    return key.isascii() and key.isprintable() and " " not in key
