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


@pytest.mark.parametrize(("states", "told", "looks"), [("IIA", ["slack"], 3), ("IF", [], 2), ("I" * 99, [], 4)])
async def test_it_is_looked_until_the_account_is_there_has_ended_or_the_link_has(
    states: str, told: list[str], looks: int
) -> None:
    clock, seen, heard = [0.0], [], []
    words = {"I": "INITIATED", "A": "ACTIVE", "F": "FAILED"}

    class Hub(ToolHub):
        async def connection(self, name: str, connection_id: str, provider: str = "") -> Connection:
            seen.append(name)
            return Connection(connection_id, name, provider, words[states[len(seen) - 1]])  # type: ignore[arg-type]

    async def sleep(seconds: float) -> None:
        clock[0] += seconds
        await asyncio.sleep(0)

    over = asyncio.Event()

    async def go_on(app: str) -> None:
        heard.append(app)

    watch = ConnectionWatch(Hub([]), go_on, lambda: clock[0], sleep)
    request = ConnectRequest("slack", "ca_1", link="https://x.example", expires_at=20.0)
    watch.watch("composio", request)
    watch.watch("composio", request)
    [task] = watch._tasks.values()
    task.add_done_callback(lambda _: over.set())
    await asyncio.wait_for(over.wait(), 60)
    assert (heard, len(seen)) == (told, looks)
    await watch.close()
