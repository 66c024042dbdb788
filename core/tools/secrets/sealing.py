"""Values under a passphrase: scrypt makes a key of it, AES-GCM seals each value together with its name."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from dataclasses import dataclass, field
from typing import Any

from core.errors import PassphraseWrong

COST, BLOCK, PARALLEL = 2**17, 8, 1
"""Of scrypt: about a second and 128 MiB."""
MEMORY = 2**31 - 1
NONCE = 12
CHECK_NAME = "\0check"
CHECK_VALUE = "rondo"


@dataclass(slots=True)
class Seal:
    """A key that a passphrase was made into, and by what."""

    salt: bytes
    cost: int
    key: bytes = field(default=b"", repr=False)

    @classmethod
    def new(cls, passphrase: str) -> Seal:
        """A key with a salt of its own. Takes about a second."""
        seal = cls(os.urandom(16), COST)
        seal.key = seal._derive(passphrase)
        return seal

    @classmethod
    def open(cls, document: dict[str, Any], passphrase: str) -> Seal:
        """The key that such a document was made with; raises PassphraseWrong, or ValueError where it is damaged."""
        cost = document["cost"]
        if document.get("kdf") != "scrypt" or not isinstance(cost, int) or not 2**10 <= cost <= 2**20:
            raise ValueError("unknown key derivation")
        seal = cls(base64.b64decode(document["salt"], validate=True), cost)
        seal.key = seal._derive(passphrase)
        if seal.opened(CHECK_NAME, document["check"]) != CHECK_VALUE:
            raise ValueError("the check is not what was sealed")
        return seal

    def document(self) -> dict[str, Any]:
        """What is kept, so that the passphrase can be made into the same key again."""
        return {
            "kdf": "scrypt",
            "cost": self.cost,
            "salt": base64.b64encode(self.salt).decode(),
            "check": self.sealed(CHECK_NAME, CHECK_VALUE),
        }

    def sealed(self, name: str, value: str) -> str:
        """A value as it is kept."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = os.urandom(NONCE)
        return base64.b64encode(nonce + AESGCM(self.key).encrypt(nonce, value.encode(), name.encode())).decode()

    def opened(self, name: str, sealed: str) -> str:
        """The value that was sealed under that name; raises PassphraseWrong."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            data = base64.b64decode(sealed, validate=True)
            return AESGCM(self.key).decrypt(data[:NONCE], data[NONCE:], name.encode()).decode()
        except (InvalidTag, binascii.Error, ValueError) as error:
            raise PassphraseWrong(
                "The passphrase does not open the secrets."
                if name == CHECK_NAME
                else f"The secret {name} can't be opened.",
                cause="It is another passphrase than the one they were encrypted with."
                if name == CHECK_NAME
                else "What is kept of it is not what was written.",
                next_step="Try again; nothing was changed."
                if name == CHECK_NAME
                else f"Set it anew: rondo secrets set {name}",
            ) from error

    def _derive(self, passphrase: str) -> bytes:
        return hashlib.scrypt(
            passphrase.encode("utf-8", "surrogateescape"),
            salt=self.salt,
            n=self.cost,
            r=BLOCK,
            p=PARALLEL,
            maxmem=MEMORY,
            dklen=32,
        )
