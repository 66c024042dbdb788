"""The file of the secrets: names, where each is, and the values that are in no keyring, plain or under a passphrase."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from core.errors import SecretsLocked, UsageError
from core.tools.secrets.private import read_private, unreadable, writing
from core.tools.secrets.private import write_private as write
from core.tools.secrets.sealing import Seal

FORMAT = 1
FILE = "secrets.json"

Place = Literal["file", "keyring"]
Passphrase = Callable[[], str | None]
"""Gives the passphrase where somebody has given it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is kept of one secret; `value` is plain, `sealed` under the passphrase, neither where it is elsewhere."""

    set_at: float
    place: Place = "file"
    value: str | None = field(default=None, repr=False)
    sealed: str | None = field(default=None, repr=False)


@dataclass(slots=True)
class _Book:
    entries: dict[str, Entry]
    seal: dict[str, Any] | None


class SecretFile:
    """Reads the file anew for each question, and changes it as a whole; every method may block."""

    def __init__(self, folder: Path, passphrase: Passphrase) -> None:
        self.path = folder / FILE
        self._passphrase = passphrase
        self._opened: tuple[str, str, Seal] | None = None
        """The seal that was opened last, by its salt and the passphrase: opening it takes a second."""

    def entries(self) -> dict[str, Entry]:
        """What is kept, by name; raises SecretsUnreadable."""
        return self._read().entries

    @property
    def encrypted(self) -> bool:
        """True where values are kept under a passphrase; raises SecretsUnreadable."""
        return self._read().seal is not None

    def value(self, name: str) -> str | None:
        """The value that is in the file; None where there is none.

        Raises SecretsLocked, PassphraseWrong, SecretsUnreadable.
        """
        book = self._read()
        entry = book.entries.get(name)
        if entry is None or entry.sealed is None:
            return entry.value if entry is not None else None
        return self._seal(book).opened(name, entry.sealed)

    def unlock(self, passphrase: str) -> None:
        """See that this passphrase opens the file, which has one; raises PassphraseWrong."""
        book = self._read()
        if book.seal is not None:
            self._open(book.seal, passphrase)

    def put(self, name: str, value: str | None, place: Place = "file") -> None:
        """Keep a value, or only that it is in another place; raises SecretsLocked, PassphraseWrong."""
        with self._changing():
            book = self._read()
            now = time.time()
            if value is None:
                entry = Entry(now, place)
            elif book.seal is None:
                entry = Entry(now, place, value)
            else:
                entry = Entry(now, place, sealed=self._seal(book).sealed(name, value))
            book.entries[name] = entry
            self._write(book)

    def remove(self, name: str) -> bool:
        """Forget a secret; False where it was not there. Needs no passphrase."""
        with self._changing():
            book = self._read()
            if book.entries.pop(name, None) is None:
                return False
            self._write(book)
            return True

    def encrypt(self, new: str | None) -> int:
        """Put every value of the file under a new passphrase, or under none; returns how many values it has.

        Raises SecretsLocked and PassphraseWrong where it is under another one already; then nothing changes.
        """
        with self._changing():
            book = self._read()
            old = self._seal(book) if book.seal is not None else None
            seal = Seal.new(new) if new is not None else None
            for name, entry in book.entries.items():
                value = entry.value
                if entry.sealed is not None and old is not None:
                    value = old.opened(name, entry.sealed)
                if value is None:
                    continue
                sealed = seal.sealed(name, value) if seal is not None else None
                book.entries[name] = Entry(entry.set_at, entry.place, None if seal is not None else value, sealed)
            book.seal = seal.document() if seal is not None else None
            self._write(book)
            return sum(entry.place == "file" for entry in book.entries.values())

    def _changing(self) -> AbstractContextManager[None]:
        return writing(self.path.parent)

    def _seal(self, book: _Book) -> Seal:
        if book.seal is None:
            raise unreadable(self.path, "A value is sealed, and nothing says how.", "Put back a copy of the file.")
        passphrase = self._passphrase()
        if passphrase is None:
            raise SecretsLocked(
                "The secrets are encrypted, and the passphrase is not known here.",
                cause="An engine that was started anew has to be told it again.",
                next_step="Give it: rondo secrets unlock. For an engine that starts unattended, set "
                "RONDO_SECRETS_PASSPHRASE where it is started.",
            )
        return self._open(book.seal, passphrase)

    def _open(self, document: dict[str, Any], passphrase: str) -> Seal:
        salt = str(document.get("salt"))
        if self._opened is None or self._opened[:2] != (salt, passphrase):
            try:
                self._opened = (salt, passphrase, Seal.open(document, passphrase))
            except (KeyError, TypeError, ValueError) as error:
                raise self._damaged() from error
        return self._opened[2]

    def _read(self) -> _Book:
        content = read_private(self.path)
        if content is None:
            return _Book({}, None)
        try:
            document = json.loads(content)
            if document["format"] > FORMAT:
                raise UsageError(
                    f"{self.path} was written by a newer version of Rondo.",
                    cause=f"It has format {document['format']}; this version reads up to {FORMAT}.",
                    next_step="Use that version.",
                )
            entries = {str(name): _entry(kept) for name, kept in document["secrets"].items()}
            seal = document.get("seal")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise self._damaged() from error
        return _Book(entries, seal if isinstance(seal, dict) else None)

    def _write(self, book: _Book) -> None:
        secrets = {name: _document(entry) for name, entry in sorted(book.entries.items())}
        document: dict[str, Any] = {"format": FORMAT, "secrets": secrets}
        if book.seal is not None:
            document["seal"] = book.seal
        write(self.path, json.dumps(document, indent=1).encode())

    def _damaged(self) -> Exception:
        return unreadable(
            self.path,
            "It is damaged: it is not what Rondo writes.",
            "Put back a copy of it, or move it away and set the secrets anew. It is left as it is.",
        )


def _entry(kept: dict[str, Any]) -> Entry:
    place: Place = "keyring" if kept.get("place") == "keyring" else "file"
    value, sealed = kept.get("value"), kept.get("sealed")
    if not all(text is None or isinstance(text, str) for text in (value, sealed)):
        raise ValueError("a value is no text")
    return Entry(float(kept["set_at"]), place, value, sealed)


def _document(entry: Entry) -> dict[str, Any]:
    kept: dict[str, Any] = {"set_at": round(entry.set_at, 3), "place": entry.place}
    if entry.value is not None:
        kept["value"] = entry.value
    if entry.sealed is not None:
        kept["sealed"] = entry.sealed
    return kept
