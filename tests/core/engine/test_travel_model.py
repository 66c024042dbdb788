"""Any course of runs, rewinds and forks against a model in memory: each step of each line of each run has its state."""

from __future__ import annotations

import asyncio
import copy
import tempfile
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from workbench import Workbench

from core.engine.inline import InlinePool
from core.link.commands import Fork, Rewind, StateEdit

SOURCE = """
class Grow(Node):
    def cleanup(self, shared, prepared, result):
        shared["n"] = shared["n"] * 3 + 1
        shared["seen"].append(shared["n"] % 7)

class Turn(Node):
    def cleanup(self, shared, prepared, result):
        shared["deep"] = {"last": shared["n"], "text": "x" * (shared["n"] % 5000)}
        if shared["n"] % 2:
            shared.pop("odd", None)
        else:
            shared["odd"] = list(range(shared["n"] % 4))
"""
EDGES = [("grow", "turn"), ("turn", "grow", "len(shared['seen']) < 4")]
START: dict[str, Any] = {"n": 1, "seen": []}


def visit(node: str, state: dict[str, Any]) -> dict[str, Any]:
    """What a visit of the node makes of a state."""
    state = copy.deepcopy(state)
    if node == "grow":
        state["n"] = state["n"] * 3 + 1
        state["seen"].append(state["n"] % 7)
    else:
        state["deep"] = {"last": state["n"], "text": "x" * (state["n"] % 5000)}
        if state["n"] % 2:
            state.pop("odd", None)
        else:
            state["odd"] = list(range(state["n"] % 4))
    return state


def following(node: str, state: dict[str, Any]) -> str | None:
    if node == "grow":
        return "turn"
    return "grow" if len(state["seen"]) < 4 else None


@dataclass
class Line:
    """The state after each step, and the node of each step; an edit of the state has none."""

    states: list[dict[str, Any]]
    nodes: list[str]

    def to_the_end(self) -> None:
        last = next((node for node in reversed(self.nodes) if node), "")
        node = following(last, self.states[-1]) if last else "grow"
        while node is not None:
            self.states.append(visit(node, self.states[-1]))
            self.nodes.append(node)
            node = following(node, self.states[-1])

    def until(self, step: int) -> Line:
        return Line(self.states[: step + 1], self.nodes[: step + 1])


@dataclass
class Run:
    run_id: str
    lines: list[Line] = field(default_factory=list)


ACTS = st.lists(
    st.tuples(
        st.sampled_from(["rewind", "fork", "fork edited"]),
        st.integers(0, 10),
        st.integers(0, 10),
        st.integers(0, 20),
        st.integers(0, 9),
    ),
    min_size=1,
    max_size=5,
)


async def play(bench: Workbench, acts: list[tuple[str, int, int, int, int]]) -> None:
    """Carry the acts out in the engine and in the model, and compare every state there is."""
    async with bench.running(pool=InlinePool()) as engine:
        runs: list[Run] = []
        first = Line([START], [""])
        first.to_the_end()
        view = await bench.run("grow")
        runs.append(Run(view.run_id, [first]))
        for act, run_choice, line_choice, step_choice, value in acts:
            run = runs[run_choice % len(runs)]
            place = line_choice % len(run.lines)
            line = run.lines[place]
            # The last step of a complete line leads nowhere.
            step = step_choice % (len(line.states) - 1)
            number = (await engine.list_lines(run.run_id))[place].line
            following_line = line.until(step)
            if act == "rewind":
                rewind = Rewind(command_id=uuid.uuid4().hex, run_id=run.run_id, step=step, line=number)
                await engine.rewind_run(rewind)
                run.lines.append(following_line)
                run_id = run.run_id
            else:
                edits = [StateEdit(path=["n"], value=value)] if act == "fork edited" else []
                fork = Fork(command_id=uuid.uuid4().hex, run_id=run.run_id, step=step, line=number, edits=edits)
                run_id = (await engine.fork_run(fork)).run_id
                if edits:
                    following_line.states.append({**copy.deepcopy(following_line.states[-1]), "n": value})
                    following_line.nodes.append("")
                runs.append(Run(run_id, [following_line]))
            following_line.to_the_end()
            assert (await bench.rest(run_id)).status == "completed"
        for run in runs:
            lines = await engine.list_lines(run.run_id)
            assert len(lines) == len(run.lines)
            for known, line in zip(lines, run.lines, strict=True):
                assert known.step == len(line.states) - 1
                steps = (await engine.read_steps(run.run_id, line=known.line)).steps
                assert [step.node for step in steps] == line.nodes[1:]
                for seq, state in enumerate(line.states):
                    assert await bench.state(run.run_id, seq, line=known.line) == state


@settings(max_examples=12, deadline=None)
@given(ACTS)
def test_every_state_of_every_line_of_every_fork_is_what_the_model_says(acts: list[Any]) -> None:
    in_a_fresh_workspace(acts)


@pytest.mark.long
@settings(max_examples=200, deadline=None)
@given(ACTS)
def test_every_state_of_every_line_of_every_fork_is_what_the_model_says_often(acts: list[Any]) -> None:
    in_a_fresh_workspace(acts)


def in_a_fresh_workspace(acts: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bench = Workbench(Path(folder))
        bench.write("grow", SOURCE, edges=EDGES, initial_state=START)
        asyncio.run(play(bench, acts))
