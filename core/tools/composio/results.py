"""What an executed action gave, or why it failed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from core.errors import ConnectionExpired, NotConnected, ToolRefused
from core.tools.provider import Action, ToolResult


def result_of(action: Action, reply: Mapping[str, Any]) -> ToolResult:
    """The result in a reply; raises ToolRefused and NotConnected for one that says that the action failed."""
    log_id = str(reply.get("log_id") or "")
    if reply.get("successful") is False or (reply.get("error") and reply.get("successful") is not True):
        raise _tool_error(action, str(reply.get("error") or "no reason given"), log_id)
    return ToolResult(reply.get("data"), log_id, _cost(reply.get("cost")))


def _cost(said: Any) -> float | None:
    """US dollars, where the provider names any."""
    known = isinstance(said, int | float) and not isinstance(said, bool) and math.isfinite(said) and said >= 0
    return float(said) if known else None


def _tool_error(action: Action, message: str, log_id: str) -> ToolRefused | NotConnected:
    words = message.lower()
    note = f" (log {log_id})" if log_id else ""
    if "connected account" in words and ("expired" in words or "no " in words or "not found" in words):
        kind = ConnectionExpired if "expired" in words else NotConnected
        return kind(
            f"{action.app} has no account that can be used.",
            cause=f"{message[:500]}{note}",
            next_step=f"Connect it: rondo authenticate-tool {action.app}",
            details={"app": action.app},
        )
    return ToolRefused(
        f"{action.app}.{action.name} failed: {message[:500]}",
        cause=f"The service behind it says so{note}.",
        next_step="Look at the arguments and at the account's rights.",
        details={"log_id": log_id} if log_id else None,
    )
