"""What the libraries raise, as troubles of ours; imported by `core.llm.wire` alone."""

from __future__ import annotations

from typing import Any

import anthropic
import httpx2
import openai
from pydantic_ai import exceptions

from core.llm.problems import Trouble, TroubleKind, WireTrouble


class translated:
    """A context in which what the libraries raise becomes WireTrouble."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, WireTrouble) or not isinstance(error, Exception):
            return
        raise WireTrouble(_trouble(error)) from None


_KINDS: tuple[tuple[type[Exception], TroubleKind], ...] = (
    (exceptions.ModelRateLimitError, "rate"),
    (exceptions.ModelQuotaExceededError, "quota"),
    (exceptions.ModelUnavailableError, "busy"),
    (exceptions.ModelServerError, "busy"),
    (exceptions.ModelRequestTimeout, "timeout"),
    (exceptions.ModelTimeoutError, "timeout"),
    (exceptions.ModelConnectionError, "connection"),
    (exceptions.ModelAuthenticationError, "key"),
    (exceptions.ModelNotFoundError, "model"),
    (exceptions.ModelContextWindowExceededError, "context"),
    (exceptions.ModelRequestRejectedError, "rejected"),
    (openai.RateLimitError, "rate"),
    (anthropic.RateLimitError, "rate"),
    (openai.InternalServerError, "busy"),
    (anthropic.InternalServerError, "busy"),
    (openai.AuthenticationError, "key"),
    (anthropic.AuthenticationError, "key"),
    (openai.PermissionDeniedError, "key"),
    (anthropic.PermissionDeniedError, "key"),
    (openai.APIConnectionError, "connection"),
    (anthropic.APIConnectionError, "connection"),
    (openai.APIStatusError, "rejected"),
    (anthropic.APIStatusError, "rejected"),
    (httpx2.TimeoutException, "timeout"),
    (httpx2.TransportError, "connection"),
    (TimeoutError, "timeout"),
)


def _trouble(error: Exception) -> Trouble:
    status = getattr(error, "status_code", None)
    if type(error) is exceptions.ModelAPIError and "finish_reason" in error.message:
        return Trouble("connection", "The reply broke off before its end.")
    kind = next((kind for known, kind in _KINDS if isinstance(error, known)), None)
    if kind is None:
        # A reply that the libraries can't read, or a fault in them: it is the provider's reply that is in question.
        kind = "busy" if isinstance(status, int) and status >= 500 else "unreadable"
    if status == 404:
        kind = "model"
    refused = getattr(error, "phase", None) == "connect" or _caused_by(error, httpx2.ConnectError)
    retry_after = getattr(error, "retry_after", None)
    return Trouble(
        kind,
        _said(error),
        status=status if isinstance(status, int) else None,
        retry_after=float(retry_after) if isinstance(retry_after, int | float) else None,
        refused=refused and kind in ("connection", "timeout"),
    )


def _caused_by(error: BaseException, kind: type[BaseException]) -> bool:
    seen: BaseException | None = error
    for _ in range(10):
        if seen is None:
            return False
        if isinstance(seen, kind):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def _said(error: Exception) -> str:
    """What a provider says of an error, without the words that libraries put around it."""
    body: Any = getattr(error, "body", None)
    for step in ("error", "message"):
        if isinstance(body, dict) and step in body:
            body = body[step]
    if isinstance(body, str) and body.strip():
        return body.strip()
    return str(error).strip() or type(error).__name__
