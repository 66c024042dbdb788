"""Tools and accounts for `TaskOrchestrator`: what the engine says, as plain dicts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from core.errors import ConnectFailed
from core.link.api import EngineApi
from core.link.tool_api import whole_tool
from core.link.tool_types import ToolRow

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 5.0
LONGEST_WAIT = 600.0
"""Seconds that a link holds where nobody says how long it does."""
ENDED = ("FAILED", "EXPIRED", "INACTIVE", "REVOKED")

Opening = Callable[[], Awaitable[EngineApi]]


async def list_tools(opening: Opening, search: str, connected: bool) -> list[dict[str, Any]]:
    """Every tool that fits."""
    engine = await opening()
    found: list[ToolRow] = []
    left_out = 1
    while left_out:
        listing = await engine.list_tools(search, connected, False, len(found))
        found += listing.tools
        left_out = listing.left_out if listing.tools else 0
    rows: list[dict[str, Any]] = msgspec.to_builtins(found)
    return rows


async def details(opening: Opening, name: str, provider: str) -> dict[str, Any]:
    """One tool with its actions; the tool's own facts stand beside them."""
    found: dict[str, Any] = msgspec.to_builtins(await whole_tool(await opening(), name, provider))
    return {**found.pop("row"), **found}


async def authenticate(
    opening: Opening,
    name: str,
    provider: str,
    scheme: str,
    values: dict[str, str],
    on_link: Callable[[str], object],
) -> bool:
    """Connect an account and wait for it; raises ConnectFailed where fields are missing."""
    engine = await opening()
    view = await engine.connect_tool(name, provider, scheme, values or None)
    if view.state == "ACTIVE":
        return True
    if not view.link:
        fields = ", ".join(field.name for field in view.fields if field.required)
        raise ConnectFailed(
            f"To connect {name} this is needed: {fields}.",
            cause="There is no link for it, and not all of it was given.",
            next_step="Give it as values={...}.",
            details={"fields": msgspec.to_builtins(view.fields)},
        )
    await asyncio.to_thread(on_link, view.link)
    ends_at = view.expires_at if view.expires_at is not None else time.time() + LONGEST_WAIT
    pause = FIRST_PAUSE
    while True:
        found = await engine.check_connection(name, view.connection_id, provider)
        if found.state == "ACTIVE":
            return True
        if found.state in ENDED or time.time() >= ends_at:
            return False
        await asyncio.sleep(pause)
        pause = min(pause * 1.3, LONGEST_PAUSE)


async def lacks(opening: Opening, name: str) -> list[dict[str, Any]]:
    """What a run of a workflow would lack."""
    found: list[dict[str, Any]] = msgspec.to_builtins(await (await opening()).check_workflow(name))
    return found


async def of_workflow(opening: Opening, name: str) -> list[dict[str, Any]]:
    """The tools that a workflow names."""
    tools: list[dict[str, Any]] = msgspec.to_builtins(await (await opening()).workflow_tools(name))
    return tools
