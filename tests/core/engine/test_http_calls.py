"""Calls of addresses by nodes: what is sent and what comes back, the limits, and what is never done twice unasked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from address import Address
from workbench import Workbench

from core.engine import runs
from core.engine.http_calls import HIDDEN, kept_request, may_repeat
from core.engine.inline import InlinePool
from core.link.model_types import CallFilter


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path)


@pytest.fixture
def address() -> Iterator[Address]:
    made = Address()
    yield made
    made.close()


def calling(address: Address, expression: str) -> str:
    """A workflow of one node, which has in its state what that expression comes to."""
    return f"""
    class Call(Node):
        async def execute(self, prepared):
            url = "{address.url}"
            return {expression}

        def cleanup(self, shared, prepared, result):
            shared["got"] = result
    """


async def got(bench: Workbench, source: str) -> object:
    bench.write("w", source)
    run = await bench.run("w")
    assert run.error is None, run.error
    return (await bench.state(run.run_id))["got"]


async def test_a_response_has_status_headers_text_and_json(bench: Workbench, address: Address) -> None:
    parts = "[r.status, r.ok, r.headers['content-length'], r.text, r.json()['body'], 'set-cookie' in r.headers]"
    async with bench.running():
        source = calling(
            address, f"(lambda r: {parts})(await self.http('POST', url, json={{'a': 1}}, headers={{'X-Own': 'y'}}))"
        )
        status, ok, length, text, body, cookie = await got(bench, source)  # type: ignore[misc]

    assert (status, ok, int(length), cookie) == (200, True, len(text), False)
    assert json.loads(body) == {"a": 1}
    assert address.headers[0]["X-Own"] == "y"


async def test_a_redirect_is_followed_without_cookies(bench: Workbench, address: Address) -> None:
    async with bench.running(pool=InlinePool()):
        said = await got(bench, calling(address, "(await self.http('GET', url + '/moved')).json()"))

    assert [path for _, path in address.seen] == ["/moved", "/here"]
    assert isinstance(said, dict)
    assert said["cookie"] is None


@pytest.mark.parametrize(
    ("expression", "error"),
    [
        ("(await self.http('GET', url + '/large')).status", "CallTooLarge"),
        ("(await self.http('GET', url + '/slow', timeout=0.2)).status", "CallTimeout"),
        ("(await self.http('GET', 'http://127.0.0.1:1/')).status", "CallProblem"),
        ("(await self.http('GET', 'file:///etc/passwd')).status", "ValueError"),
        ("await self.tool('mail', 'send', {'to': 'x'})", "ToolMissing"),
    ],
)
async def test_what_can_not_be_called_fails_the_node_with_a_clear_error(
    bench: Workbench, address: Address, expression: str, error: str
) -> None:
    async with bench.running(pool=InlinePool()):
        bench.write("w", calling(address, expression))
        run = await bench.run("w")

        assert run.error is not None
        assert run.error.type == error
        assert run.error.next_step


async def test_a_retry_calls_anew(bench: Workbench, address: Address) -> None:
    bench.write(
        "w",
        f"""
        class Call(Node):
            async def execute(self, prepared):
                number = (await self.http("GET", "{address.url}")).json()["number"]
                if number < 3:
                    raise ValueError(number)
                return number

            def cleanup(self, shared, prepared, result):
                shared["got"] = result
        """,
        nodes=[{"id": "call", "class": "Call", "retry": {"attempts": 5}}],
    )
    async with bench.running(pool=InlinePool()):
        run = await bench.run("w")

        assert (await bench.state(run.run_id))["got"] == 3


async def test_what_proves_who_calls_is_not_on_record(bench: Workbench, address: Address) -> None:
    async with bench.running(pool=InlinePool()) as engine:
        bench.write(
            "w", calling(address, "(await self.http('GET', url + '?token=abcdef', headers={'X-Api-Key': 'k'})).status")
        )
        run = await bench.run("w")
        (row,) = await engine.list_calls(CallFilter(run_id=run.run_id))
        request = (await engine.read_call(row.number)).request

    assert address.headers[0]["X-Api-Key"] == "k"
    assert address.seen[0][1] == "/?token=abcdef"
    assert request["headers"] == {"X-Api-Key": HIDDEN}
    assert "abcdef" not in request["url"] + row.title


@pytest.mark.parametrize(("answer", "status", "posts"), [("repeat", "completed", 2), ("fail", "failed", 1)])
async def test_a_call_that_may_have_acted_is_repeated_only_when_a_person_says_so(
    bench: Workbench, address: Address, monkeypatch: pytest.MonkeyPatch, answer: str, status: str, posts: int
) -> None:
    monkeypatch.setattr(runs, "CLOSE_GRACE_SECONDS", 0.1)
    bench.write("w", calling(address, "(await self.http('POST', url + '/slow')).text"))
    async with bench.running(pool=InlinePool()):
        run = await bench.start("w")
        async with asyncio.timeout(60):
            while not address.seen:  # noqa: ASYNC110 (a thread of the server sees it)
                await asyncio.sleep(0.01)
    async with bench.running(pool=InlinePool()):
        view = await bench.until(run.run_id, lambda view: view.status == "waiting_input")
        assert view.awaiting_input is not None
        assert view.awaiting_input.kind == "repeat"
        assert len(address.seen) == 1
        address.released.set()
        await bench.answer(run.run_id, "repeat", answer)
        await bench.until(run.run_id, lambda view: view.status == status)

    assert len(address.seen) == posts


def test_which_calls_may_be_repeated_without_a_question() -> None:
    assert may_repeat({"method": "GET"})
    assert may_repeat({"method": "PUT"})
    assert not may_repeat({"method": "POST", "headers": {}})
    assert may_repeat({"method": "POST", "headers": {"Idempotency-Key": "x"}})


def test_a_password_in_an_address_is_not_kept() -> None:
    asked = {"method": "GET", "url": "https://me:pass@host/x?api_key=1&n=2", "headers": {}, "params": [["key", "v"]]}
    kept = kept_request(asked)
    assert kept["url"] == f"https://host/x?api_key={HIDDEN}&n=2"
    assert kept["params"] == [["key", HIDDEN]]
