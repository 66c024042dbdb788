"""What a secret may be called and what it may be."""

from __future__ import annotations

import re

from core.errors import UsageError
from core.redaction import SHORTEST
from core.runner.environment import allowed

LONGEST = 64 * 1024
"""Characters of the longest value."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,127}")
_RESERVED = ("LD_", "DYLD_", "PYTHON", "RONDO_", "MALLOC_", "BASH_FUNC_")
"""Beginnings of variables that steer programs: as a secret, one would change what a run process does."""


def is_name(name: str) -> bool:
    """True for what a secret may be called."""
    return _NAME.fullmatch(name) is not None and not _steers(name)


def check_name(name: str) -> str:
    """The name; raises UsageError for what is none."""
    if _NAME.fullmatch(name) is None:
        raise UsageError(
            f"{name[:80]!r} is no name of a secret.",
            cause="A name is up to 128 letters, digits and _ . - and begins with a letter or _.",
            next_step="Choose a name such as SLACK_TOKEN. The value is never a part of the command.",
        )
    if _steers(name):
        raise UsageError(
            f"A secret can't be called {name}.",
            cause="A workflow is given its secrets as variables of its environment, and this one steers programs.",
            next_step="Choose another name, such as SLACK_TOKEN.",
        )
    return name


def check_value(name: str, value: str) -> str:
    """The value; raises UsageError for one that can't be kept, without showing it."""
    if len(value) < SHORTEST:
        raise UsageError(
            f"The value for {name} is shorter than {SHORTEST} characters." if value else f"No value came for {name}.",
            cause="A short value stands in harmless texts by chance, so Rondo could not keep it out of logs."
            if value
            else "The input was empty.",
            next_step="Nothing was kept. Use a longer one." if value else "Nothing was kept. Try again.",
        )
    if len(value) > LONGEST:
        raise UsageError(
            f"The value for {name} is longer than {LONGEST} characters.",
            cause="Secrets are keys and passwords; this looks like a file.",
            next_step="Keep the file where the workflow can read it, with rights for you alone.",
        )
    if "\0" in value or not _is_text(value):
        raise UsageError(
            f"The value for {name} holds bytes that no variable of an environment can hold.",
            cause="There is a zero byte in it, or it is not UTF-8 text.",
            next_step="Encode it first, for example with base64. Nothing was kept.",
        )
    return value


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _steers(name: str) -> bool:
    return allowed(name) or name.startswith(_RESERVED)
