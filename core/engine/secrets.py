"""Secrets in the engine: given to runs that declare them and were granted them, kept out of what is stored."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from core.errors import SecretMissing, SecretNotGranted, SecretProblem, ToolKeyUnreadable
from core.flow.secrecy import refuse_changes, secret_in_state
from core.redaction import SHORTEST, JsonFinder, Redactor
from core.tools.offered import offered_tool_keys
from core.tools.secrets.declared import declared
from core.tools.secrets.grants import Grants
from core.tools.secrets.store import PASSPHRASE, SecretStore, Where

REFERENCE = re.compile(r"\bsecret:([A-Za-z_][A-Za-z0-9_.-]*)")


class RunSecrets:
    """What one run has been given: the values by name, and what keeps them out of everything that is kept of it."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values = dict(values)
        self._redactor = Redactor(self.values.values())
        self._finder = JsonFinder(self.values)

    def __repr__(self) -> str:
        return f"RunSecrets({', '.join(self.values)})"

    def text(self, text: str) -> str:
        """A text without the values."""
        return self._redactor.text(text)

    def cleaned(self, value: Any) -> Any:
        """A JSON value without them."""
        return self._redactor.value(value)

    def refuse(self, data: bytes, what: str) -> None:
        """Raise SecretInState where JSON text that is to be kept holds a value; `what` is whose it is."""
        name = self._finder.find(data)
        if name is not None:
            raise secret_in_state(name, what)

    def refuse_step(self, operations: bytes, own: bytes, blobs: Sequence[bytes], node: str) -> None:
        """The same of what a step changed: its operations, its node's own ones, large values apart from them."""
        for part in (operations, own):
            refuse_changes(self._finder, part, blobs, node)


class Secrets:
    """The secrets of one engine. It remembers every value it has handed out, for as long as it lives, to redact it."""

    def __init__(self, workflows_dir: Path, environment: Mapping[str, str]) -> None:
        self._workflows_dir = workflows_dir
        self._passphrase: str | None = environment.get(PASSPHRASE) or None
        self._store = SecretStore(environment=environment, passphrase=lambda: self._passphrase)
        self._grants = Grants()
        self._offered: dict[str, str] = {}
        self._handed: set[str] = set()
        self._handing = threading.Lock()
        self._redactor = Redactor(())
        if self._passphrase is not None:
            self._hand(self._passphrase)

    def __repr__(self) -> str:
        return "Secrets(...)"

    def text(self, text: str) -> str:
        """A text without any value that this engine has handed out."""
        return self._redactor.text(text)

    def own(self, name: str) -> str | None:
        """A value for the engine itself, such as the key of a model's provider; None where there is none.

        Call it in a thread. Raises the SecretProblem family.
        """
        found = self._store.find(name)
        return self._hand(found.value) if found is not None else None

    def offer(self, keys: Mapping[str, str]) -> None:
        """Take the keys of tools that a client has in its environment: in memory only, the latest counts.

        Only providers are given them: a workflow's secrets are this engine's own.
        """
        offered = offered_tool_keys(keys)
        self._offered |= offered
        for value in offered.values():
            self._hand(value)

    def value(self, name: str) -> str | None:
        """The same for providers of tools (`core.tools.provider.SecretValues`).

        Raises ToolKeyUnreadable where it can't be told: the secrets are locked, or their place is not usable.
        """
        if offered := self._offered.get(name):
            return self._hand(offered)
        try:
            return self.own(name)
        except SecretProblem as problem:
            raise ToolKeyUnreadable(
                f"{name} can't be read: {problem.message}", cause=problem.cause, next_step=problem.next_step
            ) from problem

    def set(self, name: str, value: str) -> Where:
        """Keep a value that a provider needs, such as a token that was renewed; call it in a thread."""
        where = self._store.set(name, value)
        self._hand(value)
        return where

    def remove(self, name: str) -> Where:
        """Forget a value; raises SecretMissing where it is not kept. Call it in a thread."""
        return self._store.remove(name)

    def learn(self) -> None:
        """Know every value that can be had without a keyring, so that it is redacted. Call it in a thread."""
        try:
            names = [info.name for info in self._store.list() if info.where != "keyring"]
        except SecretProblem:
            return
        for name in names:
            value = self._store.value(name)
            if value is not None:
                self._hand(value)

    async def of(self, workflow: str, files: Mapping[str, bytes]) -> RunSecrets | None:
        """What a run of this version is given; None where the version declares no secrets.

        Raises SecretNotGranted, SecretMissing, SecretsLocked and others of the family.
        """
        names = declared(files.get(f"{workflow}.json", b""))
        if not names:
            return None
        return await asyncio.to_thread(lambda: RunSecrets(self._values(workflow, names)))

    async def refuse(self, workflow: str, files: Mapping[str, bytes], values: Any) -> None:
        """Raise SecretInState where a run is to begin with a value that it is given as a secret."""
        try:
            given = await self.of(workflow, files)
        except SecretProblem:
            # The run will be paused before it runs any code; a person who sees to that says what it begins with.
            return
        if given is not None:
            given.refuse(json.dumps(values, default=str).encode(), "what the run is to begin with")

    async def resolved(
        self, workflow: str, files: Mapping[str, bytes], headers: Mapping[str, str]
    ) -> dict[str, str] | None:
        """The headers of a call with what `secret:NAME` stands for; None where nothing does.

        Raises the SecretProblem family; only what the version declares and the workflow was granted is used.
        """
        names = sorted({name for value in headers.values() for name in REFERENCE.findall(value)})
        if not names:
            return None
        undeclared = [name for name in names if name not in declared(files.get(f"{workflow}.json", b""))]
        if undeclared:
            raise SecretNotGranted(
                f"{workflow} refers to secret:{undeclared[0]}, which it does not declare.",
                cause="A workflow names its secrets in its JSON, so that a person sees them before it runs.",
                next_step=f'Add "permissions": {{"secrets": ["{undeclared[0]}"]}} to {workflow}.json, then: '
                f"rondo secrets grant {undeclared[0]} {workflow}",
                details=undeclared,
            )
        values = await asyncio.to_thread(self._values, workflow, names)
        return {name: REFERENCE.sub(lambda found: values[found[1]], value) for name, value in headers.items()}

    async def unlock(self, passphrase: str) -> None:
        """Remember the passphrase, in memory only, once it was seen to open the file; raises PassphraseWrong."""
        await asyncio.to_thread(self._store.file.unlock, passphrase)
        self._passphrase = self._hand(passphrase)

    def describe(self) -> tuple[dict[str, str], SecretProblem | None]:
        """Which store is used, in words, and what keeps it from being used. Call it in a thread; no value is read."""
        facts = {"secrets": ""}
        try:
            kept = self._store.list()
            encrypted = self._store.file.encrypted
        except SecretProblem as problem:
            facts["secrets"] = f"not readable: {self._store.file.path}"
            return facts, problem
        places = {place: sum(info.where == place for info in kept) for place in ("keyring", "file", "encrypted file")}
        counts = ", ".join(f"{count} in the {place}" for place, count in places.items() if count) or "none"
        locked = " (locked here)" if encrypted and self._passphrase is None else ""
        facts["secrets"] = f"environment first; {counts}; {self._store.file.path}{locked}"
        return facts, None

    def _values(self, workflow: str, names: Iterable[str]) -> dict[str, str]:
        folder = self._workflows_dir / workflow
        granted = {grant.secret for grant in self._grants.of(folder)}
        missing = [name for name in names if name not in granted]
        if missing:
            raise SecretNotGranted(
                f"{workflow} was not granted {_listed(missing)}.",
                cause="It declares them in permissions.secrets, and a person has to give them to it first."
                if len(missing) > 1
                else "It declares it in permissions.secrets, and a person has to give it to it first.",
                next_step="; ".join(f"rondo secrets grant {name} {workflow}" for name in missing),
                details=missing,
            )
        return {name: self._value(name, workflow) for name in names}

    def _value(self, name: str, workflow: str) -> str:
        found = self._store.find(name)
        if found is None:
            raise SecretMissing(
                f"There is no secret {name}, which {workflow} needs.",
                cause="It is no variable of the engine's environment, and the secret store has none of that name.",
                next_step=f"rondo secrets set {name}",
            )
        if len(found.value) < SHORTEST:
            raise SecretMissing(
                f"The value of {name} is shorter than {SHORTEST} characters.",
                cause="A short value stands in harmless texts by chance, so it could not be kept out of logs.",
                next_step=f"Use a longer one: rondo secrets set {name}",
            )
        return self._hand(found.value)

    def _hand(self, value: str) -> str:
        with self._handing:
            if value not in self._handed:
                self._handed.add(value)
                self._redactor = Redactor(self._handed)
        return value


def _listed(names: Sequence[str]) -> str:
    return f"the secret {names[0]}" if len(names) == 1 else f"the secrets {', '.join(names)}"
