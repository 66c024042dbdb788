"""What reads found damaged: kept, so that whoever looks for trouble is told what one run has met."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from core.errors import DatabaseDamaged

REMEMBERED = 20


class Damages:
    """The damages that were met since the database was opened, each once, as many as a person reads."""

    def __init__(self) -> None:
        self._found: dict[str, DatabaseDamaged] = {}

    def add(self, error: DatabaseDamaged) -> None:
        """Keep it, unless it is known."""
        if len(self._found) < REMEMBERED:
            self._found.setdefault(error.message, error)

    def list(self) -> list[DatabaseDamaged]:
        """All of them, the first met first."""
        return list(self._found.values())


class _Reads(Protocol):
    damages: Damages


R = TypeVar("R", bound=_Reads)
P = ParamSpec("P")
T = TypeVar("T")
Read = Callable[Concatenate[R, P], Coroutine[Any, Any, T]]


def notes_damage(read: Read[R, P, T]) -> Read[R, P, T]:
    """Have the damage that a read raises kept with its reader."""

    @functools.wraps(read)
    async def noting(reader: R, /, *words: P.args, **options: P.kwargs) -> T:
        try:
            return await read(reader, *words, **options)
        except DatabaseDamaged as error:
            reader.damages.add(error)
            raise

    return noting
