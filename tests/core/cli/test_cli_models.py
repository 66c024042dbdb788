"""`rondo models`: what the roles stand for, where keys are, and what a provider has; with a real engine at the end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from cli_double import MODELS, DoubleEngine
from model_server import KEY, ModelServer

from core.link.types import ErrorView

Rondo = Callable[..., Any]


def test_roles_and_providers_are_shown_with_the_state_of_their_keys(engine: DoubleEngine, rondo: Rondo) -> None:
    outcome = rondo("models")
    assert outcome.code == 0
    assert "anthropic:claude-x" in outcome.out and "medium" in outcome.out
    assert "given by a terminal" in outcome.out and "not set: GROQ_API_KEY" in outcome.out
    assert "Never tried against the live service" in outcome.out
    document = rondo("models", "--json").document
    assert document["roles"] == [
        {"name": "chat", "model": "anthropic:claude-x", "effort": "medium", "source": "default"}
    ]
    assert [(view["name"], view["key"], view["tried"]) for view in document["providers"]] == [
        ("anthropic", "client", False),
        ("groq", "none", False),
    ]
    assert document["problem"] is None


def test_what_keeps_models_from_working_is_said_with_what_to_do(engine: DoubleEngine, rondo: Rondo) -> None:
    problem = ErrorView(type="NoModelKey", message="There is no key.", cause="Not set.", next_step="Set it.")
    engine.models = msgspec.structs.replace(MODELS, problem=problem)
    outcome = rondo("models")
    assert outcome.code == 0
    assert "There is no key." in outcome.err and "Set it." in outcome.err
    assert rondo("models", "--json").document["problem"]["type"] == "NoModelKey"


def test_the_models_of_a_provider_are_listed_with_their_prices(engine: DoubleEngine, rondo: Rondo) -> None:
    outcome = rondo("models", "anthropic")
    assert "anthropic:claude-x" in outcome.out and "1,000,000" in outcome.out
    assert "unknown" in outcome.out and "20" in outcome.out
    (model,) = rondo("models", "anthropic", "--json").document
    assert (model["model"], model["input_price"], model["output_price"]) == ("anthropic:claude-x", None, 20.0)


def test_a_provider_that_there_is_not_is_an_error(engine: DoubleEngine, rondo: Rondo) -> None:
    outcome = rondo("models", "antropic")
    assert outcome.code == 1
    assert "no provider 'antropic'" in outcome.err and "Did you mean anthropic?" in outcome.err


def test_an_engine_that_runs_learns_the_keys_of_a_terminal_and_writes_them_nowhere(
    workspace: Path, own_user_folders: Path, model_server: ModelServer
) -> None:
    def call(*words: str, **variables: str) -> Any:
        run = subprocess.run(
            [sys.executable, "-m", "tui.entry", *words],
            cwd=workspace,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert KEY not in run.stdout + run.stderr
        return run

    try:
        before = json.loads(call("models", "--json").stdout)
        assert before["problem"]["type"] == "NoModelKey"
        refused = call("models", "openai")
        assert refused.returncode == 1 and "OPENAI_API_KEY" in refused.stderr
        keys = model_server.environment()
        after = json.loads(call("models", "--json", **keys).stdout)
        assert after["problem"] is None
        known = {view["name"]: (view["key"], view["base_url"]) for view in after["providers"]}
        assert known["openai"] == ("client", model_server.openai_url)
        listed = json.loads(call("models", "openai", "--json").stdout)
        assert "openai:gpt-4o" in [model["model"] for model in listed]
        call("doctor", "--json")
    finally:
        call("engine", "stop")
    for path in [*workspace.rglob("*"), *own_user_folders.rglob("*")]:
        if path.is_file():
            assert KEY.encode() not in path.read_bytes(), path
