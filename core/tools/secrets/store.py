"""Where secrets are looked up: the environment, then the system's keyring or a file of the user's own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from core.errors import KeyringProblem, SecretMissing, SecretProblem
from core.places import data_folder
from core.tools.secrets.keyring_place import KeyringPlace
from core.tools.secrets.names import check_name, check_value
from core.tools.secrets.secret_file import Passphrase, Place, SecretFile

PASSPHRASE = "RONDO_SECRETS_PASSPHRASE"

Where = Literal["environment", "keyring", "file", "encrypted file"]


@dataclass(frozen=True, slots=True)
class Found:
    """A secret that was found; only who hands it on reads `value`."""

    value: str = field(repr=False)
    where: Where


@dataclass(frozen=True, slots=True)
class SecretInfo:
    """What may be said of a secret; `set_at` is in seconds since 1970, `hidden` where the environment has one too."""

    name: str
    where: Where
    set_at: float
    hidden: bool


def secrets_folder() -> Path:
    """The folder of the secrets, below the user's data: never in a workspace."""
    return data_folder() / "secrets"


class SecretStore:
    """All secrets of the user; every method may block, so call them in a thread."""

    def __init__(
        self,
        *,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        keyring: KeyringPlace | None = None,
        passphrase: Passphrase | None = None,
    ) -> None:
        self._environment = os.environ if environment is None else environment
        self.keyring = keyring if keyring is not None else KeyringPlace()
        self.file = SecretFile(
            folder if folder is not None else secrets_folder(),
            passphrase if passphrase is not None else lambda: self._environment.get(PASSPHRASE) or None,
        )

    def find(self, name: str) -> Found | None:
        """The secret of that name; None where there is none.

        Raises SecretsLocked, PassphraseWrong, SecretsUnreadable, KeyringProblem.
        """
        if value := self._environment.get(name, "").strip():
            return Found(value, "environment")
        entry = self.file.entries().get(name)
        if entry is None:
            return None
        if entry.place == "keyring":
            value = self.keyring.get(name) or ""
            if not value:
                raise KeyringProblem(
                    f"The keyring has no {name} any more.",
                    cause="It was removed there, or this is another keyring than the one it was put into.",
                    next_step=f"Set it anew: rondo secrets set {name}",
                )
            return Found(value, "keyring")
        value = self.file.value(name) or ""
        return Found(value, self._file_place()) if value else None

    def set(self, name: str, value: str, to: Place | None = None) -> Where:
        """Keep a secret, in the keyring where one can be used, else in the file; returns where it is now.

        Raises UsageError for a name or value that can't be, and what `find` raises.
        """
        check_name(name)
        check_value(name, value)
        earlier = self.file.entries().get(name)
        if to is None:
            to = "keyring" if self.keyring.name() is not None else "file"
        if to == "keyring":
            self.keyring.put(name, value)
            self.file.put(name, None, "keyring")
            return "keyring"
        self.file.put(name, value)
        if earlier is not None and earlier.place == "keyring":
            self.keyring.remove(name)
        return self._file_place()

    def remove(self, name: str) -> Where:
        """Remove a secret from where it is kept; returns where that was. Raises SecretMissing, KeyringProblem."""
        entry = self.file.entries().get(name)
        if entry is None:
            kept = self._environment.get(name, "").strip()
            raise SecretMissing(
                f"There is no secret {name}.",
                cause="It is a variable of the environment, which Rondo does not change."
                if kept
                else "It was never set here, or removed before.",
                next_step=f"Unset it where rondo is started: unset {name}"
                if kept
                else "See which there are: rondo secrets list",
            )
        if entry.place == "keyring":
            self.keyring.remove(name)
        self.file.remove(name)
        return "keyring" if entry.place == "keyring" else self._file_place()

    def list(self) -> list[SecretInfo]:
        """Every secret that is kept, by name; raises SecretsUnreadable. No keyring is asked."""
        kept = self._file_place()
        return [
            SecretInfo(
                name,
                "keyring" if entry.place == "keyring" else kept,
                entry.set_at,
                bool(self._environment.get(name, "").strip()),
            )
            for name, entry in sorted(self.file.entries().items())
        ]

    def value(self, name: str) -> str | None:
        """The value alone, None where it can't be had: for who has other ways to go on."""
        try:
            found = self.find(name)
        except SecretProblem:
            return None
        return found.value if found is not None else None

    def _file_place(self) -> Where:
        return "encrypted file" if self.file.encrypted else "file"
