"""The model server of the tests does what its script says; what else fails on it is then not its fault."""

from __future__ import annotations

import http.client
import json
from typing import Any

from model_server import KEY, ModelServer, breaks_off, calls, fails, says


def ask(server: ModelServer, path: str, **more: Any) -> tuple[int, str, dict[str, str]]:
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=60)
    try:
        body = {"model": "m", "max_tokens": 9, "stream": True, "messages": [{"role": "user", "content": "go"}], **more}
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json", "x-api-key": KEY})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), {name.lower(): value for name, value in answer.getheaders()}
    finally:
        connection.close()


def test_turns_come_in_their_order_on_either_wire_and_are_noted(model_server: ModelServer) -> None:
    model_server.script(fails(429, retry_after=7), says("one two"), calls("add", {"a": 1}))
    model_server.then(says("later"))
    status, _, headers = ask(model_server, "/v1/messages", system="sys")
    assert (status, headers["retry-after"]) == (429, "7")
    assert '"text":"one two"' in ask(model_server, "/v1/messages")[1]
    assert '"name":"add"' in ask(model_server, "/v1/chat/completions")[1]
    assert '"content":"later"' in ask(model_server, "/v1/chat/completions")[1]
    assert ask(model_server, "/v1/messages")[0] == 503
    first = model_server.journal()[0]
    assert (first["path"], first["headers"]["x-api-key"], first["body"]["system"]) == ("/v1/messages", KEY, "sys")
    assert len(model_server.requests()) == 5
    model_server.wait_until_idle()


def test_a_connection_breaks_off_where_the_script_says(model_server: ModelServer) -> None:
    model_server.script(breaks_off("a text that is never heard to its end", after=4))
    try:
        ask(model_server, "/v1/chat/completions")
    except http.client.IncompleteRead as error:
        assert b"chat.completion.chunk" in error.partial
    else:
        raise AssertionError("it came to its end")
