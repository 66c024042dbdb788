"""The system's keyring: only kinds that encrypt, loaded when a secret is in it, never waited for without end."""

from __future__ import annotations

import importlib
import os
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from core.errors import KeyringProblem

SERVICE = "rondo"
SECONDS = 5.0
"""How long an answer may take in the background: a locked keyring may ask a person who is not there."""
SILENT_SECONDS = 60.0
"""How long a keyring that did not answer is not asked again: a thread stays behind each time."""
SECONDS_OF_PERSON = 60.0
"""The same where a person has just asked, and may be typing a password."""

ALLOWED = (
    ("keyring.backends.SecretService", "Keyring", "Secret Service"),
    ("keyring.backends.libsecret", "Keyring", "libsecret"),
    ("keyring.backends.kwallet", "DBusKeyring", "KWallet"),
    ("keyring.backends.macOS", "Keyring", "macOS Keychain"),
    ("keyring.backends.Windows", "WinVaultKeyring", "Windows Credential Locker"),
)
"""Module, class and name of the kinds that are used. Others keep what they are given in plain files, or nowhere."""

T = TypeVar("T")


class Backend(Protocol):
    """What is used of a keyring."""

    def get_password(self, service: str, username: str) -> str | None: ...
    def set_password(self, service: str, username: str, password: str) -> None: ...
    def delete_password(self, service: str, username: str) -> None: ...


class KeyringPlace:
    """The keyring of this user. Nothing is imported or asked before a method is called; all of them may block."""

    def __init__(self, seconds: float = SECONDS, find: Callable[[], tuple[Backend, str] | None] | None = None) -> None:
        self._seconds = seconds
        self._find = find or find_backend
        self._found: tuple[Backend, str] | None = None
        self._silent_until = 0.0

    def name(self) -> str | None:
        """Which keyring there is, in words; None where none can be used."""
        try:
            found = self._backend()
        except KeyringProblem:
            return None
        return found[1] if found is not None else None

    def get(self, name: str) -> str | None:
        """The value, None where it has none; raises KeyringProblem."""
        backend = self._need()
        value: str | None = self._asked(lambda: backend.get_password(SERVICE, name))
        return value

    def put(self, name: str, value: str) -> None:
        """Keep a value; raises KeyringProblem."""
        backend = self._need()
        self._asked(lambda: backend.set_password(SERVICE, name, value))
        if self._asked(lambda: backend.get_password(SERVICE, name)) != value:
            raise KeyringProblem(
                f"The keyring did not keep {name}.",
                cause="What it gives back is not what it was given.",
                next_step=f"Keep it in the file: rondo secrets set {name} --to file",
            )

    def remove(self, name: str) -> None:
        """Remove a value; one that is not there is no matter. Raises KeyringProblem."""
        backend = self._need()
        if self._asked(lambda: backend.get_password(SERVICE, name)) is not None:
            self._asked(lambda: backend.delete_password(SERVICE, name))

    def _need(self) -> Backend:
        found = self._backend()
        if found is None:
            raise KeyringProblem(
                "No keyring can be used here.",
                cause="None of those that encrypt answers: there is no desktop session, or it has none.",
                next_step="Use the file: rondo secrets set NAME --to file",
            )
        return found[0]

    def _backend(self) -> tuple[Backend, str] | None:
        if self._found is None:
            self._found = self._asked(self._find)
        return self._found

    def _asked(self, question: Callable[[], T]) -> T:
        """The answer; raises KeyringProblem where there is none in time. Nobody can end a call that hangs."""
        if time.monotonic() < self._silent_until:
            raise self._no_answer()
        answers: list[T] = []
        errors: list[BaseException] = []

        def work() -> None:
            try:
                answers.append(question())
            except BaseException as error:
                # Raised again by whoever waits for this thread.
                errors.append(error)

        # A daemon: where it hangs, the program still ends.
        thread = threading.Thread(target=work, name="ask the keyring", daemon=True)
        thread.start()
        thread.join(self._seconds)
        if thread.is_alive():
            self._silent_until = time.monotonic() + SILENT_SECONDS
            raise self._no_answer()
        if errors:
            # Its words are not repeated: nobody knows what stands in them.
            raise KeyringProblem(
                "The keyring refused.",
                cause=f"It raised {type(errors[0]).__name__}; it may be locked, or the desktop session has ended.",
                next_step="Unlock it and try again, or keep the secret in the file: rondo secrets set NAME --to file",
            ) from None
        return answers[0]

    def _no_answer(self) -> KeyringProblem:
        return KeyringProblem(
            f"The keyring did not answer within {self._seconds:g} s.",
            cause="It may be locked, and wait for a password on another screen.",
            next_step="Unlock it and try again in a minute, or keep the secret in the file: "
            "rondo secrets set NAME --to file",
        )


def find_backend() -> tuple[Backend, str] | None:
    """The first keyring of an allowed kind that works here; PYTHON_KEYRING_BACKEND may name the only one to try."""
    wanted = os.environ.get("PYTHON_KEYRING_BACKEND", "")
    for module, kind, title in ALLOWED:
        if wanted not in ("", f"{module}.{kind}"):
            continue
        try:
            backend: Any = getattr(importlib.import_module(module), kind)
            if backend.viable:
                return backend(), title
        except Exception:  # Each kind says in its own way that it can't work here.
            continue
    return None
