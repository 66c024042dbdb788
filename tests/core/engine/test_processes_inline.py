"""Runs as tasks of this process: the same interface, the same session."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest
from engine_side import Play, body

from core.engine.inline import InlinePool
from core.errors import EnvironmentProblem
from core.sdk import Node


@pytest.fixture
def inline(tmp_path: Path) -> Play:
    return Play(InlinePool(), tmp_path)


async def test_a_run_goes_through_the_same_frames(inline: Play) -> None:
    side = await inline.run(body("shared['x'] = await request_input('?')"), answers={"a": 5})
    assert [header["t"] for _, header in side.heard] == ["ready", "started", "request", "step"]
    assert json.loads(side.payloads[0]) == [["set", ["x"], 5]]
    assert {header["e"] for _, header in side.heard} == {3}
    assert (side.exits[0][0].code, side.process.pid) == (0, 0)


async def test_the_next_step_waits_for_the_acknowledgement(inline: Play) -> None:
    graph = {
        "name": "w",
        "start": "a",
        "nodes": [{"id": "a", "class": "A"}],
        "edges": [{"from": "a", "to": "a", "condition": "shared['n'] < 2"}],
    }
    side = await inline.start(body("shared['n'] = shared.get('n', 0) + 1"), graph=graph, acknowledge=False)
    await side.frame("step")
    await inline.run(body("pass"))
    assert len(side.frames("started")) == 1
    side.acknowledge = True
    side.process.send({"t": "ack", "seq": 1})
    await side.end()
    assert len(side.frames("step")) == 2


async def test_workflows_with_equal_names_do_not_mix(inline: Play) -> None:
    def sources(word: str) -> dict[str, str]:
        return {"nodes.py": "import helpers\n" + body("shared['x'] = helpers.WORD"), "helpers.py": f"WORD = {word!r}"}

    sides = await asyncio.gather(*(inline.start(sources(word)) for word in ("one", "two", "one")))
    for side in sides:
        await side.end()
    assert [json.loads(side.payloads[0])[0][2] for side in sides] == ["one", "two", "one"]
    assert "nodes" not in sys.modules
    assert "helpers" not in sys.modules


async def test_a_version_is_imported_once(inline: Play, capsys: pytest.CaptureFixture[str]) -> None:
    source = "print('imported once')\n" + body("pass")
    await inline.run(source)
    await inline.run(source)
    assert capsys.readouterr().out == "imported once\n"


async def test_classes_that_are_there_already_can_be_given(inline: Play) -> None:
    class A(Node):
        def cleanup(self, shared: dict[str, object], prepared: object, result: object) -> None:
            shared["given"] = True

    side = await inline.run({}, classes={"A": A})
    assert json.loads(side.payloads[0]) == [["set", ["given"], True]]


@pytest.mark.parametrize("code", ["sys.exit(3)", "raise SystemExit", "1 / 0", "raise BaseException('odd')"])
async def test_a_failing_node_fails_its_run_and_nothing_else(inline: Play, code: str) -> None:
    side = await inline.run(body(code))
    assert len(side.frames("failed")) == 1
    assert len(side.exits) == 1


@pytest.mark.parametrize("code", ["import not_there_at_all", "raise SystemExit(1)", "class A: pass", "x = ("])
async def test_code_that_can_not_be_used_breaks_its_run(
    inline: Play, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Node, "registry", {})
    side = await inline.run(code)
    assert side.frames("broken")[0]["failure"]["message"]
    again = await inline.run(code)
    assert again.frames("broken") == side.frames("broken")


async def test_stop_cancels_the_visit(inline: Play, capsys: pytest.CaptureFixture[str]) -> None:
    source = body("print('here')", "try: await asyncio.sleep(600)", "finally: print('over')")
    side = await inline.start(source)
    await side.frame("started")
    await side.process.stop(60.0)
    assert len(side.exits) == 1
    assert capsys.readouterr().out == "here\nover\n"
    assert side.frames("failed") == side.frames("attempt") == []


async def test_a_run_that_waits_for_an_answer_is_killed(inline: Play) -> None:
    side = await inline.start(body("await request_input('?')"))
    await side.frame("request")
    await inline.pool.close()
    assert len(side.exits) == 1
    await side.process.kill()
    assert len(side.exits) == 1


async def test_a_run_that_is_killed_before_it_is_loaded_says_nothing(inline: Play) -> None:
    side = await inline.start(body("pass"))
    await side.process.kill()
    assert len(side.exits) == 1
    assert side.heard == []


async def test_a_workflow_with_its_own_interpreter_is_refused(inline: Play) -> None:
    with pytest.raises(EnvironmentProblem, match="environment of its own"):
        await inline.start(body("pass"), python=sys.executable)
