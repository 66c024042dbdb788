"""Small things that a user of the command line meets."""

from __future__ import annotations

from cli_world import World
from terminal import Terminal

ASK = """
from core.sdk import Node

class Ask(Node):
    async def prepare(self, shared, request_input):
        await request_input("Name?", input_type="text", request_id="name")
"""


def test_an_answer_to_what_is_never_asked_is_said(own: World) -> None:
    own.workflow("asks", ASK, "ask")
    outcome = own.rondo("run", "asks", "-a", "nmae=Ada")
    assert outcome.code == 3
    assert "-a nmae was not used" in outcome.err
    outcome = own.rondo("run", "asks", "-a", "name=Ada")
    assert (outcome.code, "was not used" in outcome.err) == (0, False)
    for word in ("waiting", "waiting_input"):
        assert [run["status"] for run in own.json("runs", "--status", word)] == ["waiting_input"]
    refused = own.rondo("runs", "--status", "wating")
    assert refused.code == 2
    assert "waiting_input" in refused.err


def test_the_first_step_takes_inputs_and_later_ones_do_not(own: World) -> None:
    own.workflow("asks", ASK, "ask")
    stepped = own.rondo("step", "asks", "-i", "who=Ada", "--input-json", '{"n": 2}', "--json").document
    assert (stepped["state"]["who"], stepped["state"]["n"]) == ("Ada", 2)
    assert own.rondo("step", "asks", "--run", stepped["run_id"], "-i", "who=Bob").code == 2


def test_long_names_leave_a_table_within_the_terminal(own: World) -> None:
    own.workflow("a_workflow_" + "with_a_very_long_name_" * 4, ASK, "ask")
    environment = {name: value for name, value in own.environment.items() if name.startswith(("XDG_", "RONDO_"))}
    terminal = Terminal.rondo(own.root, "list", columns=80, rows=24, **environment)
    try:
        assert terminal.wait_for_end() == 0
        lines = terminal.text.strip().splitlines()
    finally:
        terminal.end()
    assert len(lines) == 2
    assert "…" in lines[1]


def test_a_socket_path_that_is_too_long_everywhere_is_explained(world: World) -> None:
    deep = world.root
    for _ in range(3):
        deep = deep / ("deep" * 12)
    deep.mkdir(parents=True)
    assert world.rondo("init", ".", "--no-example", cwd=deep).code == 0
    world.environment["XDG_STATE_HOME"] = str(deep / "state")
    error = world.rondo("list", "--json", cwd=deep)
    assert error.code == 5
    assert "too long" in error.error["message"]
    assert "107" in error.error["cause"] or "103" in error.error["cause"]
    assert "XDG_STATE_HOME" in error.error["next_step"]
