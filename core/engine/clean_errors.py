"""No error that a client is told shows a secret, whoever put it in: a service that repeats what it was sent, say."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from core.engine.call_forms import redacted
from core.errors import RondoError

T = TypeVar("T", bound=type)


def tells_no_secrets(names: Iterable[str]) -> Callable[[T], T]:
    """Have these methods of an engine, where they are coroutines, take known secrets out of the errors they raise."""

    def decorate(engine: T) -> T:
        for name in names:
            method = getattr(engine, name, None)
            if inspect.iscoroutinefunction(method):
                setattr(engine, name, _wrapped(method))
        return engine

    return decorate


def _wrapped(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    async def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return await method(self, *args, **kwargs)
        except RondoError as error:
            clean(error, self._redacted)
            raise

    return call


def clean(error: RondoError, redact: Callable[[str], str]) -> None:
    """Take secrets out of an error, in place: it keeps its type and traceback."""
    for field in ("message", "cause", "next_step"):
        setattr(error, field, redact(getattr(error, field)))
    error.details = redacted(error.details, redact)
    error.args = tuple(redact(part) if isinstance(part, str) else part for part in error.args)
