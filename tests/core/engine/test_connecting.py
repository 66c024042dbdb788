"""An account that was begun over a link lets runs go on when it is there, though nobody looks at it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from composio_server import KEY
from loopback import serving
from mail_and_slack import MailAndSlack
from workbench import Workbench

from core.engine import connecting
from core.engine.connecting import ConnectionWatch
from core.errors import NotConnected, ToolUnreachable
from core.link.event_types import ToolsChanged
from core.tools.hub import ToolHub
from core.tools.provider import Connection, ConnectRequest

SEND = """
class Send(Node):
    async def execute(self, prepared):
        await self.tool("slack", "send_message", {"channel": "#a", "text": "hi"})
"""


@pytest.fixture
async def fake(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MailAndSlack]:
    made = MailAndSlack()
    async with serving(made) as loopback:
        monkeypatch.setenv("COMPOSIO_API_KEY", KEY)
        monkeypatch.setenv("COMPOSIO_BASE_URL", loopback.url)
        monkeypatch.setattr(connecting, "PAUSE_SECONDS", 0.01)
        yield made


async def test_a_run_goes_on_when_the_account_is_there_though_nobody_looks(tmp_path: Path, fake: MailAndSlack) -> None:
    bench = Workbench(tmp_path)
    (bench.write("w", SEND) / "tools.json").write_text('["slack"]')
    async with bench.running() as engine:
        run = await bench.run("w")
        assert run.status == "waiting_input"
        begun = await engine.connect_tool("slack")
        assert begun.link
        # The person opens the link somewhere; the command that showed it has ended.
        fake.accounts[begun.connection_id]["status"] = "ACTIVE"
        done = await bench.until(run.run_id, lambda view: view.status == "completed", seconds=60)
        assert done.error is None
        assert fake.posted == [{"channel": "#a", "text": "hi"}]


@pytest.mark.parametrize(
    ("states", "told", "looks"),
    [
        ("IIA", "there", 3),
        ("IF", "given up", 2),
        ("IE", "given up", 2),
        ("UIA", "there", 3),
        ("IG", "given up", 2),
        ("I" * 99, "given up", 4),
        ("U" * 99, "given up", 4),
    ],
)
async def test_it_is_looked_until_the_account_is_there_has_ended_or_the_link_has(
    states: str, told: str, looks: int
) -> None:
    clock, seen, heard = [0.0], [], []
    words = {"I": "INITIATED", "A": "ACTIVE", "F": "FAILED", "E": "EXPIRED"}

    class Hub(ToolHub):
        async def connection(self, name: str, connection_id: str, provider: str = "") -> Connection:
            seen.append(name)
            state = states[len(seen) - 1]
            if state == "U":
                raise ToolUnreachable("composio can't be reached.")
            if state == "G":
                raise NotConnected("This connected account is gone.")
            return Connection(connection_id, name, provider, words[state])  # type: ignore[arg-type]

    async def sleep(seconds: float) -> None:
        clock[0] += seconds
        await asyncio.sleep(0)

    over = asyncio.Event()

    async def go_on(app: str) -> None:
        heard.append(("there", app))

    watch = ConnectionWatch(Hub([]), go_on, lambda app: heard.append(("given up", app)), lambda: clock[0], sleep)
    request = ConnectRequest("slack", "ca_1", link="https://x.example", expires_at=20.0)
    watch.watch("composio", request)
    watch.watch("composio", request)
    [task] = watch._tasks.values()
    task.add_done_callback(lambda _: over.set())
    await asyncio.wait_for(over.wait(), 60)
    assert (heard, len(seen)) == ([(told, "slack")], looks)
    await watch.close()


@pytest.mark.parametrize("becomes", ["ACTIVE", "FAILED", "EXPIRED", "gone at the service", "given up", "link over"])
async def test_who_looks_hears_what_became_of_an_account_though_its_link_is_shown_nowhere(
    becomes: str, tmp_path: Path, fake: MailAndSlack
) -> None:
    if becomes == "link over":
        fake.link_ends = "2026-01-01T00:00:00.000Z"
    async with Workbench(tmp_path).running() as engine:
        events = engine.events()
        begun = await engine.connect_tool("slack")
        if becomes == "gone at the service":
            del fake.accounts[begun.connection_id]
        elif becomes == "given up":
            await engine.disconnect_tool("slack")
        elif becomes != "link over":
            fake.accounts[begun.connection_id]["status"] = becomes
        told = 0
        async with asyncio.timeout(60):
            # The first is that it was begun.
            while told < 2:
                told += sum(isinstance(event, ToolsChanged) and event.app == "slack" for event in await anext(events))


async def test_who_finds_an_account_gone_tells_the_others(tmp_path: Path, fake: MailAndSlack) -> None:
    fake.connect("slack")
    async with Workbench(tmp_path).running() as engine:
        [account] = fake.accounts
        fake.accounts.clear()
        events = engine.events()
        with pytest.raises(NotConnected):
            await engine.check_connection("slack", account)
        async with asyncio.timeout(60):
            while not any(isinstance(event, ToolsChanged) for event in await anext(events)):
                pass
