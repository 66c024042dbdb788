"""Waiting for a person, going on in the same process or another one, resuming and forking."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from core.errors import StateValueError
from core.grapheteria import FileSystemStorage, Node, NodeStatus, WorkflowEngine, WorkflowStatus


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Ask(Node):
    """Asks for what config["ask"] names, one after the other, in the phase config["in"] names."""

    prepared = 0

    async def prepare(self, shared: Any, request_input: Any) -> Any:
        Ask.prepared += 1
        shared["visits"] = shared.get("visits", 0) + 1
        self.ask = request_input
        return await self.questions() if self.config.get("in") != "execute" else None

    async def execute(self, prepared: Any) -> Any:
        return prepared if prepared is not None else await self.questions()

    async def questions(self) -> list[Any]:
        return [await self.ask(f"{name}?", request_id=name) for name in self.config.get("ask", ["name"])]

    def cleanup(self, shared: Any, prepared: Any, result: Any) -> None:
        shared["answers"] = [*shared.get("answers", []), *result]


class Pass(Node):
    def cleanup(self, shared: Any, prepared: Any, result: Any) -> None:
        shared["passed"] = shared.get("passed", 0) + 1


def engine_of(*nodes: Node, **settings: Any) -> WorkflowEngine:
    return WorkflowEngine(nodes=nodes, **settings)


def statuses(engine: WorkflowEngine) -> list[str]:
    return [step["workflow_status"] for step in engine.tracking_data["steps"]]


# Waiting --------------------------------------------------------------------------------------------------------------


async def test_a_question_makes_the_run_wait_and_is_saved() -> None:
    class AskAll(Node):
        async def prepare(self, shared: Any, request_input: Any) -> Any:
            return await request_input("Colour?", ["red", "blue"], "select", "colour")

    store = FileSystemStorage()
    engine = engine_of(AskAll("a"), storage_backend=store)
    assert await engine.step() is False
    state = engine.execution_state
    assert state.workflow_status is WorkflowStatus.WAITING_FOR_INPUT
    assert state.node_statuses == {"a": NodeStatus.WAITING_FOR_INPUT}
    assert state.awaiting_input == {
        "node_id": "a",
        "request_id": "colour",
        "prompt": "Colour?",
        "options": ["red", "blue"],
        "input_type": "select",
    }
    saved = store.load_state(engine.workflow_id, engine.run_id)
    assert saved is not None
    assert len(saved["steps"]) == 2
    assert saved["steps"][1]["awaiting_input"] == state.awaiting_input


async def test_the_request_id_is_the_nodes_id_where_none_is_given() -> None:
    class AskPlain(Node):
        async def prepare(self, shared: Any, request_input: Any) -> Any:
            shared["answer"] = await request_input()

    engine = engine_of(AskPlain("a"))
    await engine.run()
    assert engine.execution_state.awaiting_input == {
        "node_id": "a",
        "request_id": "a",
        "prompt": None,
        "options": None,
        "input_type": "text",
    }
    await engine.run({"a": [1, "two"]})
    assert engine.execution_state.shared == {"answer": [1, "two"]}


@pytest.mark.parametrize("phase", ["prepare", "execute"])
@pytest.mark.parametrize("method", ["step", "run"])
async def test_in_the_same_process_the_code_goes_on_where_it_stopped(phase: str, method: str) -> None:
    a, b = Ask("a", {"ask": ["first", "second"], "in": phase}), Pass("b")
    assert a > b
    engine = engine_of(a, b)
    prepared = Ask.prepared
    go_on = getattr(engine, method)
    assert await go_on() is False
    assert await go_on({"first": 1}) is False
    assert engine.execution_state.awaiting_input["request_id"] == "second"  # type: ignore[index]
    assert await go_on({"second": 2}) is (method == "step")
    assert Ask.prepared == prepared + 1
    assert engine.execution_state.shared["answers"] == [1, 2]
    assert engine.execution_state.awaiting_input is None
    assert statuses(engine)[:4] == ["HEALTHY", "WAITING_FOR_INPUT", "WAITING_FOR_INPUT", "HEALTHY"]


@pytest.mark.parametrize("answer", [None, {}, {"other": 1}, {"name": None}, {"a": 1}])
async def test_no_answer_or_one_to_another_question_leaves_the_run_waiting(answer: Any) -> None:
    engine = engine_of(Ask("a"))
    await engine.run()
    before = list(statuses(engine))
    assert await engine.step(answer) is False
    assert await engine.run(answer) is False
    assert engine.execution_state.workflow_status is WorkflowStatus.WAITING_FOR_INPUT
    assert statuses(engine) == before
    await engine.run({"name": False})
    assert engine.execution_state.shared["answers"] == [False]


async def test_an_answer_given_before_the_question_is_taken_when_it_comes() -> None:
    a, b = Pass("a"), Ask("b")
    assert a > b
    engine = engine_of(a, b)
    await engine.run({"name": "Ann"})
    assert engine.execution_state.workflow_status is WorkflowStatus.COMPLETED
    assert engine.execution_state.shared["answers"] == ["Ann"]


async def test_a_loop_that_asks_again_asks_again() -> None:
    a = Ask("a")
    assert a - "len(shared['answers']) < 3" > a
    engine = engine_of(a)
    for name in ("x", "y"):
        assert await engine.run({"name": name}) is False
        assert engine.execution_state.workflow_status is WorkflowStatus.WAITING_FOR_INPUT
    await engine.run({"name": "z"})
    assert engine.execution_state.shared["answers"] == ["x", "y", "z"]


async def test_a_try_that_is_repeated_does_not_ask_again() -> None:
    class AskAndFail(Node):
        async def prepare(self, shared: Any, request_input: Any) -> None:
            self.ask = request_input

        async def execute(self, prepared: Any) -> Any:
            answer = await self.ask(request_id="q")
            if self.cur_retry == 0:
                raise ValueError
            return answer

        def cleanup(self, shared: Any, prepared: Any, result: Any) -> None:
            shared["answer"] = result

    engine = engine_of(AskAndFail("a", max_retries=2))
    await engine.run()
    await engine.run({"q": 5})
    assert engine.execution_state.shared == {"answer": 5}


async def test_several_questions_at_once_are_asked_one_after_the_other_and_answered_in_any_order() -> None:
    class AskMany(Node):
        async def prepare(self, shared: Any, request_input: Any) -> None:
            shared["answers"] = await asyncio.gather(*(request_input(request_id=name) for name in "xyz"))

    engine = engine_of(AskMany("a"))
    await engine.run()
    assert engine.execution_state.awaiting_input["request_id"] == "x"  # type: ignore[index]
    await engine.run({"y": 2})
    assert engine.execution_state.awaiting_input["request_id"] == "x"  # type: ignore[index]
    await engine.run({"x": 1, "z": 3})
    assert engine.execution_state.shared == {"answers": [1, 2, 3]}


async def test_an_answer_that_is_not_json_is_refused_and_the_run_waits_on() -> None:
    engine = engine_of(Ask("a"))
    await engine.run()
    again = engine_of(Ask("a"), run_id=engine.run_id)
    for waiting in (engine, again):
        with pytest.raises(StateValueError, match="answer"):
            await waiting.step({"name": {1}})
        await waiting.run({"name": "x"})
        assert waiting.execution_state.shared["answers"] == ["x"]


async def test_a_node_that_fails_after_its_answer_fails_the_run() -> None:
    class AskThenFail(Node):
        async def prepare(self, shared: Any, request_input: Any) -> None:
            await request_input(request_id="q")
            raise ValueError("after")

    engine = engine_of(AskThenFail("a"))
    await engine.run()
    with pytest.raises(ValueError, match="after"):
        await engine.run({"q": 1})
    assert statuses(engine) == ["HEALTHY", "WAITING_FOR_INPUT", "FAILED"]
    assert engine.execution_state.awaiting_input is None


async def test_a_node_that_fails_while_its_question_waits_is_found_failed_at_the_next_step() -> None:
    fail, failed = asyncio.Event(), asyncio.Event()

    class AskBeside(Node):
        async def prepare(self, shared: Any, request_input: Any) -> None:
            try:
                await asyncio.gather(request_input(request_id="q"), self.other())
            finally:
                failed.set()

        async def other(self) -> None:
            await fail.wait()
            raise ValueError("meanwhile")

    engine = engine_of(AskBeside("a"))
    await engine.run()
    assert engine.execution_state.workflow_status is WorkflowStatus.WAITING_FOR_INPUT
    fail.set()
    await failed.wait()
    await asyncio.sleep(0)
    with pytest.raises(ValueError, match="meanwhile"):
        await engine.step({"q": 1})
    assert engine.execution_state.workflow_status is WorkflowStatus.FAILED


# Another event loop, another process ----------------------------------------------------------------------------------


def test_each_call_in_an_event_loop_of_its_own_starts_the_node_again_with_its_answers() -> None:
    engine = engine_of(Ask("a", {"ask": ["first", "second"]}))
    asyncio.run(engine.run())
    asyncio.run(engine.run({"first": 1}))
    assert engine.execution_state.awaiting_input["request_id"] == "second"  # type: ignore[index]
    asyncio.run(engine.run({"second": 2}))
    assert engine.execution_state.shared == {"visits": 1, "answers": [1, 2]}


def test_a_loop_that_was_left_standing_does_not_disturb_the_run() -> None:
    engine = engine_of(Ask("a"))
    left = asyncio.new_event_loop()
    left.run_until_complete(engine.run())
    asyncio.run(engine.run({"name": "x"}))
    assert engine.execution_state.shared == {"visits": 1, "answers": ["x"]}
    for task in asyncio.all_tasks(left):
        task.cancel()
        left.run_until_complete(asyncio.wait([task]))
    left.close()
    assert engine.execution_state.shared == {"visits": 1, "answers": ["x"]}


async def test_a_new_engine_starts_the_waiting_node_from_prepare_and_knows_the_answers_given() -> None:
    nodes = [Ask("a", {"ask": ["first", "second"]}), Pass("b")]
    assert nodes[0] > nodes[1]
    store = FileSystemStorage()
    engine = engine_of(*nodes, storage_backend=store)
    await engine.run()
    await engine.run({"first": 1})
    prepared = Ask.prepared
    second = engine_of(*nodes, storage_backend=store, run_id=engine.run_id)
    assert second.execution_state.awaiting_input["request_id"] == "second"  # type: ignore[index]
    assert await second.run() is False
    assert Ask.prepared == prepared
    await second.run({"second": 2})
    assert Ask.prepared == prepared + 1
    assert second.execution_state.shared == {"visits": 1, "answers": [1, 2], "passed": 1}


async def test_an_answer_to_a_question_that_has_changed_since_is_not_used() -> None:
    class Reworded(Node):
        words = "Old?"

        async def prepare(self, shared: Any, request_input: Any) -> None:
            shared["a"] = await request_input(self.words, request_id="a")
            shared["b"] = await request_input(request_id="b")

    engine = engine_of(Reworded("n"))
    await engine.run()
    await engine.run({"a": 1})
    Reworded.words = "New?"
    second = engine_of(Reworded("n"), run_id=engine.run_id)
    await second.run({"b": 2})
    assert second.execution_state.awaiting_input["prompt"] == "New?"  # type: ignore[index]


PROGRAM = """
import asyncio, json, sys
import core.grapheteria, core.grapheteria.utils
sys.modules["grapheteria"] = core.grapheteria
sys.modules["grapheteria.utils"] = core.grapheteria.utils
from grapheteria import Node, WorkflowEngine
from grapheteria.utils import FileSystemStorage, SQLiteStorage

class Ask(Node):
    async def prepare(self, shared, request_input):
        shared["visits"] = shared.get("visits", 0) + 1
        return [await request_input("first?", request_id="first"), await request_input("second?", request_id="second")]
    def cleanup(self, shared, prepared, result):
        shared["answers"] = prepared

class Greet(Node):
    def cleanup(self, shared, prepared, result):
        shared["greeting"] = "Hello " + " ".join(shared["answers"])

ask, greet = Ask("ask"), Greet("greet")
ask > greet
store = {"file": FileSystemStorage, "sqlite": SQLiteStorage}[sys.argv[1]]()
run_id = sys.argv[2] or None
engine = WorkflowEngine(nodes=[ask, greet], workflow_id="talk", run_id=run_id, storage_backend=store)
asyncio.run(engine.run(json.loads(sys.argv[3])))
state = engine.execution_state
print(json.dumps([engine.run_id, state.workflow_status.name, state.awaiting_input, state.shared]))
"""


@pytest.mark.parametrize("store", ["file", "sqlite"])
def test_a_program_that_is_started_anew_for_each_answer(store: str, own_folder: Path) -> None:
    (own_folder / "program.py").write_text(PROGRAM)
    root = Path(__file__).resolve().parents[3]

    def start(run_id: str, answers: Any) -> Any:
        command = [sys.executable, "program.py", store, run_id, json.dumps(answers)]
        done = subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=60, env={**os.environ, "PYTHONPATH": str(root)}
        )
        return json.loads(done.stdout)

    run_id, status, awaiting, shared = start("", {})
    assert (status, awaiting["request_id"], shared) == ("WAITING_FOR_INPUT", "first", {})
    _, status, awaiting, _ = start(run_id, {"wrong": "x"})
    assert (status, awaiting["request_id"]) == ("WAITING_FOR_INPUT", "first")
    _, status, awaiting, _ = start(run_id, {"first": "Ann"})
    assert (status, awaiting["request_id"]) == ("WAITING_FOR_INPUT", "second")
    same, status, awaiting, shared = start(run_id, {"second": "Bee"})
    assert (same, status, awaiting) == (run_id, "COMPLETED", None)
    assert shared == {"visits": 1, "answers": ["Ann", "Bee"], "greeting": "Hello Ann Bee"}


# Resuming and forking -------------------------------------------------------------------------------------------------


class Add(Node):
    def cleanup(self, shared: Any, prepared: Any, result: Any) -> None:
        shared["n"] = shared.get("n", 0) + self.config.get("by", 1)


def three() -> list[Node]:
    nodes: list[Node] = [Add("a", {"by": 1}), Add("b", {"by": 10}), Add("c", {"by": 100})]
    assert nodes[0] > nodes[1] > nodes[2]
    return nodes


async def finished(nodes: list[Node], **settings: Any) -> WorkflowEngine:
    engine = engine_of(*nodes, **settings)
    await engine.run()
    return engine


async def test_a_run_is_loaded_at_its_last_step_and_nothing_is_written() -> None:
    engine = engine_of(*three())
    await engine.step()
    await engine.step()
    again = engine_of(*three(), run_id=engine.run_id)
    assert again.run_id == engine.run_id
    assert again.execution_state.shared == {"n": 11}
    assert again.execution_state.next_node_id == "c"
    assert again.tracking_data == engine.tracking_data
    await again.run()
    assert again.execution_state.shared == {"n": 111}
    assert len(again.tracking_data["steps"]) == 4


async def test_resuming_from_an_earlier_step_drops_the_later_ones() -> None:
    engine = await finished(three())
    again = engine_of(*three(), run_id=engine.run_id, resume_from=1)
    assert (again.run_id, again.execution_state.shared, again.execution_state.next_node_id) == (
        engine.run_id,
        {"n": 1},
        "b",
    )
    stored = again.storage_backend.load_state(engine.workflow_id, engine.run_id)
    assert stored is not None
    assert len(stored["steps"]) == 2
    await again.run()
    assert again.execution_state.shared == {"n": 111}
    assert again.storage_backend.load_state(engine.workflow_id, engine.run_id) == again.tracking_data


async def test_a_fork_is_a_run_of_its_own_and_says_where_it_comes_from() -> None:
    engine = await finished(three())
    before = engine.storage_backend.load_state(engine.workflow_id, engine.run_id)
    fork = engine_of(*three(), run_id=engine.run_id, resume_from=1, fork=True)
    assert fork.run_id != engine.run_id
    assert (fork.tracking_data["forked_from"], fork.tracking_data["forked_step"]) == (engine.run_id, 1)
    assert fork.tracking_data["fork_time"]
    assert fork.storage_backend.load_state(fork.workflow_id, fork.run_id) == fork.tracking_data
    fork.execution_state.shared["n"] = 1000
    await fork.run()
    assert fork.execution_state.shared == {"n": 1110}
    assert fork.storage_backend.load_state(engine.workflow_id, engine.run_id) == before
    last = engine_of(*three(), run_id=engine.run_id, fork=True)
    assert last.tracking_data["forked_step"] == 3


async def test_waits_and_failures_count_as_steps_to_resume_from() -> None:
    class Sometimes(Node):
        fails = True

        def execute(self, prepared: Any) -> None:
            if Sometimes.fails:
                raise ValueError("now")

    nodes: list[Node] = [Ask("a"), Sometimes("b"), Add("c")]
    assert nodes[0] > nodes[1] > nodes[2]
    engine = engine_of(*nodes)
    await engine.run()
    with pytest.raises(ValueError, match="now"):
        await engine.run({"name": "x"})
    assert statuses(engine) == ["HEALTHY", "WAITING_FOR_INPUT", "HEALTHY", "FAILED"]
    Sometimes.fails = False

    loaded = engine_of(*nodes, run_id=engine.run_id)
    assert loaded.execution_state.workflow_status is WorkflowStatus.FAILED
    assert await loaded.run() is False

    waiting = engine_of(*nodes, run_id=engine.run_id, resume_from=1, fork=True)
    assert waiting.execution_state.workflow_status is WorkflowStatus.WAITING_FOR_INPUT
    await waiting.run({"name": "other"})
    assert waiting.execution_state.shared == {"visits": 1, "answers": ["other"], "n": 1}

    for step in (2, 3):
        retried = engine_of(*nodes, run_id=engine.run_id, resume_from=step, fork=True)
        await retried.run()
        assert retried.execution_state.workflow_status is WorkflowStatus.COMPLETED
        assert retried.execution_state.shared == {"visits": 1, "answers": ["x"], "n": 1}
        assert "error" not in retried.execution_state.metadata


async def test_the_next_node_is_chosen_again_by_the_edges_as_they_are_now() -> None:
    engine = engine_of(*three())
    await engine.step()
    changed: list[Node] = [Add("a"), Add("b"), Add("c", {"by": 100})]
    assert changed[0] > changed[2]
    again = engine_of(*changed, run_id=engine.run_id)
    assert again.execution_state.next_node_id == "c"
    await again.run()
    assert again.execution_state.shared == {"n": 101}


async def test_a_run_that_was_complete_goes_on_where_the_workflow_has_grown() -> None:
    engine = await finished(three()[:1] and [Add("a")])
    assert engine.execution_state.workflow_status is WorkflowStatus.COMPLETED
    same = engine_of(Add("a"), run_id=engine.run_id)
    assert same.execution_state.workflow_status is WorkflowStatus.COMPLETED
    grown = engine_of(*three(), run_id=engine.run_id)
    assert grown.execution_state.workflow_status is WorkflowStatus.HEALTHY
    await grown.run()
    assert grown.execution_state.shared == {"n": 111}


async def test_what_a_resume_cannot_find_is_named() -> None:
    engine = await finished(three())
    with pytest.raises(FileNotFoundError, match="no-such-run"):
        engine_of(*three(), run_id="no-such-run")
    for step in (4, -1):
        with pytest.raises(ValueError, match=f"no step {step}"):
            engine_of(*three(), run_id=engine.run_id, resume_from=step)


async def test_a_node_that_the_run_needs_and_the_workflow_lost_is_named() -> None:
    engine = engine_of(*three())
    await engine.step()
    with pytest.raises(ValueError, match="previous node 'a'"):
        engine_of(Add("b"), Add("c"), run_id=engine.run_id)
    start = engine_of(Add("x"))
    with pytest.raises(ValueError, match="next node 'x'"):
        engine_of(Add("y"), run_id=start.run_id)
    waiting = engine_of(Ask("q"))
    await waiting.run()
    with pytest.raises(ValueError, match="waiting node 'q'"):
        engine_of(Add("y"), run_id=waiting.run_id)


async def test_keys_stay_after_a_restart_and_change_after_rewind_and_fork() -> None:
    class Key(Node):
        def execute(self, prepared: Any) -> Any:
            return self.idempotency_key

        def cleanup(self, shared: Any, prepared: Any, result: Any) -> None:
            shared.setdefault("keys", []).append(result)

    def nodes() -> list[Node]:
        made: list[Node] = [Add("a"), Key("k")]
        assert made[0] > made[1]
        return made

    async def key_of(**settings: Any) -> str:
        engine = await finished(nodes(), **settings)
        key: str = engine.execution_state.shared["keys"][0]
        return key

    engine = engine_of(*nodes())
    await engine.step()
    stopped = engine_of(*nodes(), run_id=engine.run_id)
    await engine.step()
    first = engine.execution_state.shared["keys"][0]
    await stopped.step()
    assert stopped.execution_state.shared["keys"][0] == first
    others = [
        await key_of(run_id=engine.run_id, resume_from=1, fork=True),
        await key_of(run_id=engine.run_id, resume_from=1),
        await key_of(run_id=engine.run_id, resume_from=1),
    ]
    assert len({first, *others}) == 4


def run_all(*coroutines: Coroutine[Any, Any, Any]) -> None:
    for coroutine in coroutines:
        asyncio.run(coroutine)


def test_step_by_step_in_loops_of_their_own() -> None:
    engine = engine_of(*three())
    run_all(engine.step(), engine.step(), engine.step())
    assert engine.execution_state.shared == {"n": 111}
