"""A scripted model server for tests: npm's aimock, which speaks the real protocols of both wires on loopback.

A test gives it the turns that the model will take, in order, as JSON or by the helpers below, and reads afterwards
what was asked. Every request takes the next turn, whatever it says; a request after the last turn is refused (503).

    model_server.script(calls("add", {"a": 1}), says("done"))
    monkeypatch.setenv("ANTHROPIC_BASE_URL", model_server.anthropic_url)
    ...
    assert model_server.requests()[1]["messages"][-1]["role"] == "user"
"""

from __future__ import annotations

import http.client
import json
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
START_SECONDS = 60.0
KEY = "key-of-the-model-server"
"""What tests give as a key: the server takes any, and no other must be seen by it."""

Turn = dict[str, Any]
"""A turn of the model: aimock's fixture without its match; see the helpers."""


def says(text: str, *, thinking: str = "", usage: tuple[int, int] = (10, 5), **more: Any) -> Turn:
    """The model says a text. `usage` is tokens in and out; `more` are further fields, such as latency (ms a chunk)."""
    response: dict[str, Any] = {"content": text, "usage": _usage(usage)}
    return {"response": response | ({"reasoning": thinking} if thinking else {}), **more}


def calls(
    tool: str,
    arguments: dict[str, Any] | str,
    *,
    text: str = "",
    thinking: str = "",
    call_id: str = "",
    usage: tuple[int, int] = (10, 5),
    **more: Any,
) -> Turn:
    """The model calls a tool; arguments that are a text are sent as they are, however broken."""
    return calls_all((tool, arguments, call_id), text=text, thinking=thinking, usage=usage, **more)


def calls_all(
    *wanted: tuple[str, dict[str, Any] | str, str],
    text: str = "",
    thinking: str = "",
    usage: tuple[int, int] = (10, 5),
    **more: Any,
) -> Turn:
    """The model calls several tools: (name, arguments, id or "") each."""
    listed = [
        {"name": name, "arguments": arguments if isinstance(arguments, str) else json.dumps(arguments)}
        | ({"id": call_id} if call_id else {})
        for name, arguments, call_id in wanted
    ]
    response: dict[str, Any] = {"toolCalls": listed, "usage": _usage(usage)}
    if text:
        response["content"] = text
    if thinking:
        response["reasoning"] = thinking
    return {"response": response, **more}


def fails(status: int, message: str = "no", *, kind: str = "", retry_after: int | None = None) -> Turn:
    """The server answers with an error."""
    kinds = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error", 529: "overloaded_error"}
    error = {"message": message, "type": kind or kinds.get(status, "api_error")}
    return {
        "response": {"error": error, "status": status} | ({} if retry_after is None else {"retryAfter": retry_after})
    }


def breaks_off(text: str, *, after: int = 2) -> Turn:
    """The connection breaks off in the middle of a text, after so many chunks."""
    return says(text, chunkSize=4, latency=20, truncateAfterChunks=after)


def slow(text: str, *, chunk_milliseconds: int = 100, chunk_size: int = 4) -> Turn:
    """The text comes piece by piece."""
    return says(text, latency=chunk_milliseconds, chunkSize=chunk_size)


class ModelServer:
    """A server that runs; `script` says what it will answer, `requests` what it was asked."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._scripted = 0

    @property
    def anthropic_url(self) -> str:
        """The base URL for the wire of Anthropic: ANTHROPIC_BASE_URL."""
        return self.url

    @property
    def openai_url(self) -> str:
        """The base URL for the wire of OpenAI: OPENAI_BASE_URL."""
        return f"{self.url}/v1"

    def environment(self) -> dict[str, str]:
        """What makes a process use this server for anthropic and openai."""
        return {
            "ANTHROPIC_API_KEY": KEY,
            "ANTHROPIC_BASE_URL": self.anthropic_url,
            "OPENAI_API_KEY": KEY,
            "OPENAI_BASE_URL": self.openai_url,
        }

    def script(self, *turns: Turn) -> None:
        """Forget what was before; from now on the model takes these turns, one a request."""
        self._scripted = 0
        self._load([], keep=False)
        self.then(*turns)

    def then(self, *turns: Turn) -> None:
        """Add turns after those that are there."""
        first = self._scripted
        self._scripted += len(turns)
        self._load([{**turn, "match": _nth(number)} for number, turn in enumerate(turns, first)], keep=True)

    def route(self, *fixtures: dict[str, Any]) -> None:
        """Forget what was before and answer by match instead: aimock's fixtures as they are, the first match wins."""
        self._load(list(fixtures), keep=False)

    @property
    def open_requests(self) -> int:
        """How many model calls are being answered right now."""
        count: int = self._control("GET", "/__script/open", None)["open"]
        return count

    def wait_until_idle(self) -> None:
        """Wait until no model call is being answered any more: each has ended or its connection is closed."""
        deadline = time.monotonic() + START_SECONDS
        while self.open_requests:
            assert time.monotonic() < deadline, "a model call is still open"
            time.sleep(0.01)

    def requests(self) -> list[dict[str, Any]]:
        """The bodies of the model calls since `script`, as they came over the wire."""
        return [entry["body"] for entry in self.journal()]

    def journal(self) -> list[dict[str, Any]]:
        """The model calls since `script`: path, headers (in small letters, with the key), body."""
        entries: list[dict[str, Any]] = self._control("GET", "/__script/asked", None)
        return entries

    def _load(self, fixtures: list[dict[str, Any]], *, keep: bool) -> None:
        self._control("POST", "/__script/load", {"fixtures": fixtures, "keep": keep})

    def _control(self, method: str, path: str, document: dict[str, Any] | None) -> Any:
        host = self.url.removeprefix("http://")
        connection = http.client.HTTPConnection(host, timeout=START_SECONDS)
        try:
            body = None if document is None else json.dumps(document)
            connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        if answer.status != 200:
            raise AssertionError(f"the model server refuses {path}: {text}")
        return json.loads(text)


def start_model_server() -> tuple[subprocess.Popen[str], ModelServer]:
    """Start a server; whoever calls this ends it with `stop_model_server`. Skips the test where there is no node."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed, and the model server of these tests runs on it")
    if not (HERE / "node_modules/@copilotkit/aimock").is_dir():
        pytest.fail("The model server of the tests is not installed: call `make model-server` once.")
    process = subprocess.Popen(
        [node, str(HERE / "serve.mjs")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=HERE
    )
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], START_SECONDS)
    line = process.stdout.readline() if ready else ""
    if not line:
        stop_model_server(process)
        pytest.fail(f"The model server did not start; exit status {process.returncode}.")
    return process, ModelServer(json.loads(line)["url"])


def stop_model_server(process: subprocess.Popen[str]) -> None:
    """End this server and no other process."""
    assert process.stdin is not None and process.stdout is not None
    process.stdin.close()
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.fixture(scope="session")
def _running_model_server() -> Iterator[ModelServer]:
    process, server = start_model_server()
    yield server
    stop_model_server(process)


@pytest.fixture
def model_server(_running_model_server: ModelServer) -> ModelServer:
    """The scripted model server of this test process, without any turns."""
    _running_model_server.script()
    return _running_model_server


def _nth(number: int) -> dict[str, Any]:
    return {"endpoint": "chat", "sequenceIndex": number}


def _usage(tokens: tuple[int, int]) -> dict[str, int]:
    sent, written = tokens
    return {
        "input_tokens": sent,
        "output_tokens": written,
        "prompt_tokens": sent,
        "completion_tokens": written,
        "total_tokens": sent + written,
    }
