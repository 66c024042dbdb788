"""Apps with very many actions, and very many apps: every reply keeps its limit, and nothing is left out for good."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from composio_server import KEY, FakeComposio, tool
from loopback import serving
from workbench import Workbench

from core.link.framing import encode_frame
from core.link.tool_api import whole_tool
from core.link.types import REPLY_LIMIT

ACTIONS, APPS = 1000, 700
SCHEMA = {
    "type": "object",
    "properties": {f"field_{number}": {"type": "string", "description": "ü" * 200} for number in range(10)},
}


class LargeComposio(FakeComposio):
    """One app with a thousand actions that take much, and hundreds of apps with much to say of themselves."""

    def __init__(self) -> None:
        super().__init__(page=100)
        self.tools = [
            tool("gmail", f"action_{number:04}", description="ü" * 2000, input_parameters=SCHEMA)
            for number in range(ACTIONS)
        ]

    def toolkits(self) -> list[dict[str, Any]]:
        found = super().toolkits()
        meta = found[0]["meta"] | {"description": "ü" * 2000}
        return [*found, *({**found[0], "slug": f"app{number:04}", "meta": meta} for number in range(APPS))]


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Workbench]:
    async with serving(LargeComposio()) as loopback:
        monkeypatch.setenv("COMPOSIO_API_KEY", KEY)
        monkeypatch.setenv("COMPOSIO_BASE_URL", loopback.url)
        yield Workbench(tmp_path)


def size(reply: object) -> int:
    return len(encode_frame({"id": 10**9, "result": reply}))


async def test_a_thousand_actions_come_in_parts_that_each_keep_the_limit_of_a_reply(bench: Workbench) -> None:
    async with bench.running() as engine:
        first = await engine.get_tool("gmail")
        names = [row.name for row in first.actions]
        assert first.left_out == ACTIONS - len(names) > 0
        assert size(first) <= REPLY_LIMIT
        while len(names) < ACTIONS:
            part = await engine.get_tool("gmail", "composio", False, len(names))
            assert part.actions and size(part) <= REPLY_LIMIT
            names += [row.name for row in part.actions]
            assert part.left_out == ACTIONS - len(names)
        assert names == [f"action_{number:04}" for number in range(ACTIONS)]
        beyond = await engine.get_tool("gmail", "composio", False, ACTIONS + 5)
        assert (beyond.actions, beyond.left_out) == ([], 0)

        whole = await whole_tool(engine, "gmail")
        assert ([row.name for row in whole.actions], whole.left_out) == (names, 0)


async def test_hundreds_of_apps_come_in_parts_that_each_keep_the_limit_of_a_reply(bench: Workbench) -> None:
    async with bench.running() as engine:
        listing = await engine.list_tools()
        names = [row.name for row in listing.tools]
        assert size(listing) <= REPLY_LIMIT
        while listing.left_out:
            listing = await engine.list_tools("", False, False, len(names))
            assert listing.tools and size(listing) <= REPLY_LIMIT
            names += [row.name for row in listing.tools]
        assert {f"app{number:04}" for number in range(APPS)} <= set(names)
