"""Roles and profiles: which model a role stands for, and how one is chosen from a list."""

from __future__ import annotations

from pathlib import Path

import pytest
from model_bench import Bench
from model_server import ModelServer, says

from core.errors import ModelSettingsProblem, ModelUnreachable
from core.llm.messages import ModelInfo, ModelRequest, UserMessage
from core.llm.roles import choose_role
from core.llm.selection import fastest, local_one, talks
from core.places import Workspace
from core.settings import LlmSettings, Settings, read_settings

DEFAULT_MODEL = LlmSettings().model


def test_without_settings_every_role_is_the_default_model() -> None:
    chosen = {role: choose_role(Settings(), role) for role in ("chat", "planner", "executor", "critic")}
    assert {choice.model for choice in chosen.values()} == {DEFAULT_MODEL}
    assert (chosen["chat"].effort, chosen["executor"].effort, chosen["chat"].source) == ("medium", "low", "default")


@pytest.mark.parametrize(
    ("profile", "rule", "effort"),
    [("development", "given", "low"), ("accurate", "given", "high"), ("fast", "fast", "low"), ("local", "local", "")],
)
def test_a_profile_says_effort_and_how_the_model_is_found(profile: str, rule: str, effort: str) -> None:
    choice = choose_role(Settings(llm=LlmSettings(profile=profile)), "chat")
    assert (choice.rule, choice.effort) == (rule, effort)


def test_the_role_goes_before_the_profile_and_the_profile_before_the_model_for_all(tmp_path: Path) -> None:
    workspace = Workspace.at(tmp_path)
    (tmp_path / "rondo.toml").write_text(
        '[llm]\nprofile = "fast"\nmodel = "openai:all"\n'
        '[llm.profiles.fast]\nmodel = "groq:quick"\n'
        '[llm.roles.critic]\nmodel = "anthropic:strict"\neffort = "high"\n'
    )
    settings = read_settings(workspace)
    assert choose_role(settings, "planner").source == str(tmp_path / "rondo.toml")
    critic, chat = choose_role(settings, "critic"), choose_role(settings, "chat")
    assert (critic.model, critic.effort, critic.rule) == ("anthropic:strict", "high", "given")
    assert (chat.model, chat.effort, chat.rule) == ("groq:quick", "low", "given")
    assert chat.source == str(tmp_path / "rondo.toml")


def test_an_effort_that_a_file_sets_names_that_file(tmp_path: Path) -> None:
    (tmp_path / "rondo.toml").write_text('[llm.roles.critic]\neffort = "high"\n')
    settings = read_settings(Workspace.at(tmp_path))
    assert choose_role(settings, "critic").source == str(tmp_path / "rondo.toml")
    assert choose_role(settings, "chat").source == "default"


def test_a_role_that_there_is_not_is_refused() -> None:
    with pytest.raises(ModelSettingsProblem, match="no role 'chef'"):
        choose_role(Settings(), "chef")


def model(name: str, price: float | None, created: float | None = None) -> ModelInfo:
    return ModelInfo(name, "p", output_price=price, extra={} if created is None else {"created": created})


def test_fast_is_the_cheapest_of_the_newer_models_that_talk() -> None:
    year = 365 * 24 * 3600.0
    listed = [
        model("big", 20, 10 * year),
        model("small", 2, 9.8 * year),
        model("small-embedding", 0.1, 10 * year),
        model("old-and-cheap", 0.5, 5 * year),
        model("of-unknown-price", None, 10 * year),
    ]
    assert fastest(listed, "p:big") == "p:small"
    assert fastest([model("a", None)], "p:big") == "p:big"
    assert fastest([], "p:big") == "p:big"


def test_local_is_the_first_that_talks() -> None:
    assert local_one([model("nomic-embed-text", None), model("qwen3", None), model("llama", None)]) == "p:qwen3"
    assert local_one([]) == ""
    assert not talks(model("whisper-1", None)) and talks(model("gpt-6.1-sol", None))


async def test_the_profile_fast_asks_the_provider_once_and_calls_what_it_found(
    bench: Bench, model_server: ModelServer
) -> None:
    gateway = bench.gateway(model_server.environment(), profile="fast", model="openai:gpt-6.1-sol")
    assert "cheapest" in gateway.shown_model(gateway.role("chat"))
    model_server.script(says("a"), says("b"))
    for _ in range(2):
        reply = await gateway.complete(ModelRequest((UserMessage("go"),)))
    assert reply.model == gateway.shown_model(gateway.role("chat"))
    assert {request["model"] for request in model_server.requests()} == {reply.model.partition(":")[2]}


async def test_the_profile_local_uses_what_runs_and_says_what_to_start(bench: Bench, model_server: ModelServer) -> None:
    nobody = "http://127.0.0.1:9/v1"
    environment = {"LMSTUDIO_BASE_URL": nobody, "OLLAMA_BASE_URL": model_server.openai_url}
    gateway = bench.gateway(environment, profile="local")
    model_server.script(says("from here"))
    reply = await gateway.complete(ModelRequest((UserMessage("go"),)))
    assert reply.message.text == "from here"
    assert reply.model.startswith("ollama:") and reply.usage.cost is None
    gateway = bench.gateway({"LMSTUDIO_BASE_URL": nobody, "OLLAMA_BASE_URL": nobody}, profile="local")
    with pytest.raises(ModelUnreachable, match="finds no model on this machine") as caught:
        await gateway.complete(ModelRequest((UserMessage("go"),)))
    assert "LM Studio" in caught.value.cause and "Ollama" in caught.value.cause


@pytest.mark.parametrize("provider", ["anthropic", "openai"])
async def test_a_provider_is_asked_for_its_models_with_what_is_known_of_them(
    provider: str, bench: Bench, model_server: ModelServer
) -> None:
    gateway = bench.gateway(model_server.environment())
    if provider == "openai":
        listed = {model.id: model for model in await gateway.list_models(provider)}
        assert listed["gpt-4o"].output_price == pytest.approx(10.0)
        assert listed["gpt-4o"].context_tokens == 128_000
    else:
        from raw_model_server import raw_server

        page = (
            b'{"data": [{"type": "model", "id": "claude-new", "display_name": "Claude New", '
            b'"created_at": "2026-10-01T00:00:00Z", "max_input_tokens": 1000000}], "has_more": false, '
            b'"first_id": "claude-new", "last_id": "claude-new"}'
        )
        async with raw_server((201, [page])) as server:
            other = bench.gateway({"ANTHROPIC_API_KEY": "k-of-test", "ANTHROPIC_BASE_URL": server.url})
            (found,) = await other.list_models(provider)
        assert (found.id, found.title, found.context_tokens) == ("claude-new", "Claude New", 1_000_000)
        assert (found.input_price, found.provider) == (None, "anthropic")


async def test_models_of_a_server_that_says_their_names_alone_are_listed(bench: Bench) -> None:
    from raw_model_server import raw_server

    async with raw_server((201, [b'{"data": [{"id": "own-model"}], "has_more": false}'])) as server:
        gateway = bench.gateway({"ANTHROPIC_API_KEY": "k-of-test", "ANTHROPIC_BASE_URL": server.url})
        (found,) = await gateway.list_models("anthropic")
    assert (found.id, found.context_tokens) == ("own-model", None)
