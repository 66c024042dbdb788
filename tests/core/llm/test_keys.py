"""Keys: which one counts, where it is from, and that it stands nowhere it must not."""

from __future__ import annotations

import pytest
from model_bench import Bench
from model_server import ModelServer, says

from core.errors import NoModelKey
from core.link.client import client_info
from core.link.engine_types import ClientInfo
from core.llm.keys import Keys, check_access
from core.llm.providers import BUILT_IN, Provider, providers, register, unregister

ANTHROPIC, OPENAI, OLLAMA = BUILT_IN["anthropic"], BUILT_IN["openai"], BUILT_IN["ollama"]


@pytest.mark.parametrize("name", ["ANTHROPIC_API_KEY", "CLAUDE_API_KEY", "ANTHROPIC_AUTH_TOKEN"])
def test_the_key_is_in_any_of_the_variables(name: str) -> None:
    access = Keys({name: " the-key \n"}).access(ANTHROPIC)
    assert (access.key, access.source, access.name) == ("the-key", "environment", name)
    assert access.base_url == "https://api.anthropic.com"


def test_the_latest_client_goes_before_the_one_before_and_before_the_environment() -> None:
    keys = Keys({"OPENAI_API_KEY": "of-the-engine", "ANTHROPIC_API_KEY": "of-the-engine"})
    keys.offer({"OPENAI_API_KEY": "of-the-first", "CLAUDE_API_KEY": "of-the-first"})
    keys.offer({"OPENAI_API_KEY": "of-the-second", "PATH": "/bin"})
    keys.offer({})
    assert (keys.access(OPENAI).key, keys.access(OPENAI).source) == ("of-the-second", "client")
    assert keys.access(ANTHROPIC).key == "of-the-first"
    keys.offer({"ANTHROPIC_API_KEY": "of-the-third"})
    assert (keys.access(ANTHROPIC).key, keys.access(ANTHROPIC).name) == ("of-the-third", "ANTHROPIC_API_KEY")


def test_a_key_goes_to_the_address_that_was_set_beside_it_and_to_no_other() -> None:
    keys = Keys({"OPENAI_API_KEY": "for-the-proxy", "OPENAI_BASE_URL": "http://proxy/v1"})
    assert keys.access(OPENAI).base_url == "http://proxy/v1"
    keys.offer({"OPENAI_API_KEY": "for-the-service"})
    assert keys.access(OPENAI).base_url == "https://api.openai.com/v1"
    keys.offer({"OPENAI_API_KEY": "for-mine", "OPENAI_BASE_URL": "http://mine/v1"})
    assert keys.access(OPENAI).base_url == "http://mine/v1"
    said = providers({"openai": {"base_url": "http://set/v1"}})["openai"]
    assert keys.access(said).base_url == "http://set/v1"


def test_a_server_on_this_machine_needs_none_and_may_be_elsewhere() -> None:
    access = Keys({"OLLAMA_BASE_URL": "http://box:11434/v1"}).access(OLLAMA)
    assert (access.source, access.key, access.base_url) == ("not needed", "", "http://box:11434/v1")
    check_access(OLLAMA, access)


def test_keys_come_from_a_secret_store_by_reference_or_by_the_variables_name() -> None:
    store = {"BOX": "from-the-store", "GROQ_API_KEY": "groq-from-the-store"}
    keys = Keys({"BOX": "not-this"}, store.get)
    said = providers({"box": {"wire": "openai", "base_url": "http://box/v1", "key": "secret:BOX"}})["box"]
    access = keys.access(said)
    assert (access.key, access.source, access.name) == ("from-the-store", "secret", "secret:BOX")
    assert keys.access(BUILT_IN["groq"]).key == "groq-from-the-store"
    assert keys.redactor.text("x from-the-store") == "x [secret]"
    missing = providers({"box": {"wire": "openai", "base_url": "http://box/v1", "key": "secret:NONE"}})["box"]
    with pytest.raises(NoModelKey, match="no key for box") as caught:
        check_access(missing, keys.access(missing))
    assert "store has no NONE" in caught.value.cause


def test_no_key_is_in_a_repr_and_every_key_is_found_by_the_redactor() -> None:
    keys = Keys({"OPENAI_API_KEY": "engine-key", "MINE_KEY": "mine-key"})
    keys.offer({"ANTHROPIC_API_KEY": "client-key"})
    mine = providers({"mine": {"wire": "openai", "base_url": "http://x", "key": "MINE_KEY"}})["mine"]
    shown = f"{keys!r} {keys.access(ANTHROPIC)!r} {keys.access(mine)!r} {keys.redactor!r}"
    assert "client-key" not in shown and "mine-key" not in shown
    text = keys.redactor.text("engine-key client-key mine-key")
    assert text == "[secret] [secret] [secret]"


def test_a_client_says_the_keys_of_providers_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "mine-alone")
    monkeypatch.setenv("GROQ_BASE_URL", "http://groq")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-yours")
    info = client_info("test")
    assert info.keys == {"ANTHROPIC_API_KEY": "mine-alone", "GROQ_BASE_URL": "http://groq"}
    assert "mine-alone" not in repr(info)
    assert "mine-alone" not in repr([info])
    assert ClientInfo(kind="x", app_version="1").keys == {}


async def test_a_new_key_counts_from_the_next_call(bench: Bench, model_server: ModelServer) -> None:
    gateway = bench.gateway({"OPENAI_API_KEY": "first-key", "OPENAI_BASE_URL": model_server.openai_url})
    model_server.script(says("a"), says("b"))
    await bench.ask(gateway, "openai")
    gateway.keys.offer({"OPENAI_API_KEY": "second-key", "OPENAI_BASE_URL": model_server.openai_url})
    await bench.ask(gateway, "openai")
    sent = [entry["headers"]["authorization"] for entry in model_server.journal()]
    assert sent == ["Bearer first-key", "Bearer second-key"]


async def test_a_provider_of_ones_own_by_settings(bench: Bench, model_server: ModelServer) -> None:
    gateway = bench.gateway({"BOX_KEY": "box-key"})
    bench.provide("box", wire="openai", base_url=model_server.openai_url, key="BOX_KEY", json="text")
    model_server.script(says('{"n": 1}'))
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    reply = await bench.ask(gateway, "box", schema=schema)
    assert (reply.value, reply.model, reply.usage.cost) == ({"n": 1}, "box:m", None)
    (entry,) = model_server.journal()
    assert entry["headers"]["authorization"] == "Bearer box-key"
    assert "response_format" not in entry["body"]


async def test_a_provider_of_ones_own_by_a_class(bench: Bench, model_server: ModelServer) -> None:
    class Gated(Provider):
        def headers(self, request: object) -> dict[str, str]:
            return {"X-Team": "blue"}

        def body(self, request: object) -> dict[str, object]:
            return {"route": "near"}

    register(Gated("gated", "Gated", "anthropic", model_server.anthropic_url, ("GATED_KEY",)))
    try:
        gateway = bench.gateway({"GATED_KEY": "gated-key"})
        model_server.script(says("hi"))
        assert (await bench.ask(gateway, "gated")).message.text == "hi"
    finally:
        unregister("gated")
    (entry,) = model_server.journal()
    assert (entry["headers"]["x-team"], entry["body"]["route"]) == ("blue", "near")
    assert "gated" not in providers({})
