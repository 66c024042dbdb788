from __future__ import annotations

import inspect

import msgspec
import pytest

from core.errors import RondoError, UnknownRun, UsageError
from core.link.api import EngineApi
from core.link.client import RemoteEngine
from core.link.messages import engine_methods, error_frame
from core.link.session import EngineSession
from core.link.types import StartRun


def coroutine_methods(interface: type) -> dict[str, inspect.Signature]:
    return {
        name: inspect.signature(function)
        for part in reversed(interface.__mro__)
        for name, function in vars(part).items()
        if inspect.iscoroutinefunction(function)
    }


@pytest.mark.parametrize("client", [RemoteEngine, EngineSession])
def test_clients_have_every_method_of_the_engine_with_its_signature(client: type) -> None:
    for name, signature in coroutine_methods(EngineApi).items():
        assert inspect.signature(getattr(client, name)) == signature, name
    assert inspect.isfunction(client.events)  # type: ignore[attr-defined]


def test_every_method_can_be_called_over_the_link() -> None:
    methods = engine_methods()
    assert set(methods) == set(coroutine_methods(EngineApi))
    assert {name for name, method in methods.items() if method.is_read} == {
        "get_workflow", "get_run", "get_diff", "get_environment", "list_workflows", "list_runs", "list_requests",
        "list_versions", "list_environments", "list_lines", "read_request", "read_steps", "read_state",
        "list_tools", "get_tool", "get_action", "get_provider",
        "read_conditions", "list_trash",
        "read_state_chunk", "read_changes", "read_difference", "read_logs", "list_models", "list_budgets", "list_calls",
        "read_call", "get_usage", "list_breakpoints", "list_output", "read_output", "read_why",
        "list_chats", "read_chat", "list_proposals", "get_proposal", "list_edits", "list_templates",
    }  # fmt: skip


def test_parameters_are_decoded_into_their_types_and_defaults_filled_in() -> None:
    methods = engine_methods()
    start = msgspec.Raw(b'{"start":{"command_id":"c","workflow":"hello","answers":[["name",{"a":1}]]}}')
    assert methods["start_run"].arguments(start) == {
        "start": StartRun(command_id="c", workflow="hello", answers=[("name", {"a": 1})])
    }
    assert methods["read_steps"].arguments(msgspec.Raw(b'{"run_id":"r"}')) == {
        "run_id": "r",
        "after": 0,
        "limit": 500,
        "line": None,
    }


@pytest.mark.parametrize(
    ("params", "says"),
    [
        (b'{"run_id": 7}', "run_id"),
        (b"{}", "run_id"),
        (b'{"run_id": "r", "runid": "r"}', "runid"),
        (b"[1]", "array"),
        (b'{"run_id"', "truncated"),
    ],
)
def test_parameters_that_are_wrong_are_named(params: bytes, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        engine_methods()["get_run"].arguments(msgspec.Raw(params))
    assert "get_run" in caught.value.message
    assert says in caught.value.cause


def test_an_error_crosses_the_link_as_it_is() -> None:
    error = UnknownRun("No run x.", cause="why", next_step="what", details={"near": ["a"]})
    sent = msgspec.json.decode(error_frame(3, error)[4:])
    received = RondoError.from_dict(sent["error"])
    assert (sent["id"], type(received), received.to_dict()) == (3, UnknownRun, error.to_dict())


def test_an_error_whose_details_are_not_json_still_crosses_the_link() -> None:
    sent = msgspec.json.decode(error_frame(3, RondoError("m", details={"it": object}))[4:])
    assert "object" in sent["error"]["details"]
