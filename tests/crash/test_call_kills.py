"""The engine or a run process is killed in the middle of a call: nothing is paid twice, nothing acts twice unasked."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))

from address import Address
from cli_world import World, wait_until
from model_server import ModelServer, says

from core.crash_points import VARIABLE

ASKS = """
from core.sdk import Node


class Ask(Node):
    async def execute(self, prepared):
        return [await self.llm("first?"), await self.llm("second?")]

    def cleanup(self, shared, prepared, result):
        shared["said"] = result
"""

POSTS = """
from core.sdk import Node


class Post(Node):
    async def execute(self, prepared):
        return (await self.http("POST", "{url}/orders", json={"n": 1})).json()["number"]

    def cleanup(self, shared, prepared, result):
        shared["number"] = result
"""


@pytest.fixture
def arms(tmp_path: Path) -> Path:
    folder = tmp_path / "arms"
    folder.mkdir()
    return folder


@pytest.fixture
def world(tmp_path: Path, arms: Path) -> Iterator[World]:
    made = World(tmp_path)
    made.environment[VARIABLE] = str(arms)
    assert made.rondo("init", ".", "--no-example").code == 0
    yield made
    made.close()


@pytest.fixture
def address() -> Iterator[Address]:
    made = Address()
    yield made
    made.close()


def shown(world: World, run_id: str) -> Any:
    return world.json("show", run_id)


def killed_at(world: World, arms: Path, point: str, workflow: str) -> str:
    """Start a run in which a process dies at that place; return its id once it has died."""
    (arms / point).write_text("1")
    run_id: str = world.json("run", workflow, "--detach")["run_id"]
    wait_until(lambda: (arms / f"{point}.hit").exists(), f"the death at {point}")
    return run_id


@pytest.mark.parametrize("point", ["call.recorded", pytest.param("process.call.answered", marks=pytest.mark.long)])
def test_a_model_call_is_paid_once_whoever_dies_between_its_record_and_its_result(
    world: World, arms: Path, model_server: ModelServer, point: str
) -> None:
    world.environment |= model_server.environment()
    model_server.script(says("one"), says("two"), says("three"))
    world.workflow("asks", ASKS, nodes=[{"id": "ask", "class": "Ask", "retry": {"attempts": 3}}])

    run_id = killed_at(world, arms, point, "asks")
    wait_until(lambda: shown(world, run_id)["status"] in ("completed", "failed"), "the end of the run")

    assert shown(world, run_id)["state"] == {"said": ["one", "two"]}
    assert len(model_server.requests()) == 2
    assert [call["status"] for call in world.json("calls", run_id)["calls"]] == ["done", "done"]
    assert "2 calls, 30 tokens" in world.rondo("show", run_id).out
    assert "first?" in world.rondo("calls", run_id).out


def test_a_call_that_may_have_acted_when_the_engine_died_is_not_repeated_unasked(
    world: World, arms: Path, address: Address
) -> None:
    world.workflow("posts", POSTS.replace("{url}", address.url), "post")

    run_id = killed_at(world, arms, "call.made", "posts")
    request = wait_until(lambda: shown(world, run_id)["awaiting_input"], "the question")

    assert (request["kind"], request["request_id"]) == ("repeat", "repeat")
    assert "POST http://127.0.0.1" in request["prompt"]
    assert len(address.seen) == 1
    world.rondo("answer", run_id, "repeat", "fail", "--detach")
    wait_until(lambda: shown(world, run_id)["status"] == "failed", "the end of the run")
    assert len(address.seen) == 1
    assert shown(world, run_id)["error"]["type"] == "CallUncertain"


@pytest.mark.long
def test_what_is_recorded_of_an_address_is_given_again_after_the_engines_death(
    world: World, arms: Path, address: Address
) -> None:
    world.workflow("posts", POSTS.replace("{url}", address.url), "post")

    run_id = killed_at(world, arms, "call.recorded", "posts")
    wait_until(lambda: shown(world, run_id)["status"] == "completed", "the end of the run")

    assert shown(world, run_id)["state"] == {"number": 1}
    assert len(address.seen) == 1
