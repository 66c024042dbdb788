"""What `self.llm` and `self.http` make of their words, and what they say where there is no engine."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal, NotRequired, TypedDict

import pytest

from core.errors import ModelReplyProblem, NoCallsHere, RondoError
from core.sdk import Node
from core.sdk.calls import Response, http_request, json_schema, llm_request, llm_value


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Part:
    """A part of a thing."""

    name: str
    weight: float | None = None
    colour: Colour = Colour.RED


@dataclass
class Thing:
    kind: Literal["a", "b"]
    parts: list[Part] = field(default_factory=list)
    more: dict[str, int] = field(default_factory=dict)


class Row(TypedDict):
    n: int
    text: NotRequired[str]


def asked(**words: Any) -> dict[str, Any]:
    given = {"schema": None, "system": "", "role": "executor", "model": "", "effort": "", "max_tokens": None}
    return llm_request(words.pop("prompt", "Hi"), **{**given, "messages": None, **words})


def test_a_dataclass_is_asked_for_as_a_schema_and_comes_back_as_an_instance() -> None:
    schema = json_schema(Thing)

    assert schema["required"] == ["kind"]
    assert schema["properties"]["kind"] == {"enum": ["a", "b"]}
    part = schema["properties"]["parts"]["items"]
    assert part["description"] == "A part of a thing."
    assert part["properties"]["weight"] == {"anyOf": [{"type": "number"}, {"type": "null"}]}
    assert part["properties"]["colour"] == {"enum": ["red", "blue"]}
    value = {"kind": "b", "parts": [{"name": "x", "weight": 2, "colour": "blue"}], "more": {"k": 1}}
    assert llm_value({"value": value}, Thing) == Thing("b", [Part("x", 2.0, Colour.BLUE)], {"k": 1})


def test_a_typed_dict_is_a_dict_that_was_checked() -> None:
    assert json_schema(Row)["required"] == ["n"]
    assert llm_value({"value": {"n": 1}}, Row) == {"n": 1}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (Thing, {"kind": "c"}),
        (Thing, {"kind": "a", "parts": [{"name": 1}]}),
        (Thing, {"kind": "a", "unknown": 1}),
        (Thing, {}),
        (Thing, None),
        (Row, {"text": "x"}),
        (Row, {"n": True}),
    ],
)
def test_a_reply_that_does_not_fit_says_where(schema: Any, value: Any) -> None:
    with pytest.raises(ModelReplyProblem) as caught:
        llm_value({"value": value}, schema)
    assert caught.value.next_step


def test_a_pydantic_model_is_taken_by_its_methods() -> None:
    pydantic = pytest.importorskip("pydantic")
    model = pydantic.create_model("Ticket", title=(str, ...))

    assert json_schema(model)["properties"]["title"]["type"] == "string"
    assert llm_value({"value": {"title": "x"}}, model).title == "x"
    with pytest.raises(ModelReplyProblem, match="Ticket"):
        llm_value({"value": {"title": []}}, model)


def test_a_schema_as_a_dict_gives_the_value_as_it_is() -> None:
    schema = {"type": "object"}
    assert json_schema(schema) == schema
    assert llm_value({"value": {"any": 1}}, schema) == {"any": 1}


def test_messages_come_before_the_prompt_in_either_spelling() -> None:
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    assert asked(prompt="c", messages=messages)["messages"] == [
        {"from": "user", "text": "a"},
        {"from": "model", "text": "b"},
        {"from": "user", "text": "c"},
    ]


@pytest.mark.parametrize(
    "words",
    [
        {"prompt": 5},
        {"prompt": None},
        {"prompt": None, "messages": [{"role": "assistant", "content": "b"}]},
        {"messages": [{"role": "system", "content": "b"}]},
        {"effort": "huge"},
        {"max_tokens": 0},
        {"schema": 5},
        {"schema": int},
    ],
)
def test_what_can_not_be_meant_is_refused_before_anything_is_sent(words: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        asked(**words)


def test_a_body_is_sent_as_json_text_bytes_or_a_form() -> None:
    none = {"headers": None, "params": {"a": [1, True], "b": None}, "timeout": 5}
    assert http_request("get", "http://x", json=None, data=None, **none)["params"] == [["a", "1"], ["a", "true"]]
    assert http_request("post", "http://x", json=None, data=b"\xff", **none)["base64"] == "/w=="
    assert http_request("post", "http://x", json=None, data="t", **none)["text"] == "t"
    assert http_request("post", "http://x", json=None, data={"k": "v"}, **none)["form"] == [["k", "v"]]
    with pytest.raises(ValueError, match="not both"):
        http_request("post", "http://x", json=1, data="t", **none)


def test_a_response_that_is_no_text_has_its_bytes() -> None:
    response = Response({"status": 404, "url": "http://x", "headers": {}, "base64": "/w=="})
    assert (response.ok, response.content) == (False, b"\xff")


@pytest.mark.parametrize("call", ["llm", "http", "tool"])
async def test_a_node_that_runs_alone_says_that_it_needs_an_engine(call: str) -> None:
    class Alone(Node):
        async def execute(self, prepared: Any) -> Any:
            if call == "llm":
                return await self.llm("x")
            return await (self.http("GET", "http://x") if call == "http" else self.tool("a", "b"))

    with pytest.raises(NoCallsHere) as caught:
        await Alone(id="alone").run_standalone({})
    assert isinstance(caught.value, RondoError)
    assert f"self.{call}" in caught.value.message
