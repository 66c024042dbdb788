"""Runs a graph visit by visit: what is recorded, what is undone, what a resumed run sees."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recording import Recorder, change, fails, graph_of, interpreter, node

import core.flow
import core.sdk
from core.errors import DefinitionError, NodeCodeMissing, RunAtRest, StateValueError, ToolMissing
from core.flow.delta import apply_delta, encode_state
from core.flow.graph import EdgeSpec, Graph, NodeSpec, RetrySpec
from core.flow.interpreter import Interpreter
from core.flow.journal import Failure, StepRecord
from core.flow.nodes import build_nodes
from core.flow.position import Position, Trial
from core.flow.visit import VisitFailed
from core.sdk import BaseNode, Node

# One visit after the other --------------------------------------------------------------------------------------------


async def test_each_visit_is_one_step_and_the_next_begins_when_it_is_durable() -> None:
    journal = Recorder()
    nodes = {name: change(lambda s: s.update(n=s.get("n", 0) + 1)) for name in "ab"}
    run = interpreter(nodes, ("a", "b"), ("b", "a", "shared['n'] < 4"), journal=journal)
    last = await run.run()
    assert journal.acts == [
        ("started", "a", 1, 1),
        ("step", 1, "a", 1, 1),
        ("started", "b", 1, 1),
        ("step", 2, "b", 1, 1),
        ("started", "a", 2, 1),
        ("step", 3, "a", 2, 1),
        ("started", "b", 2, 1),
        ("step", 4, "b", 2, 1),
    ]
    assert last is journal.steps[-1]
    assert [(step.routing.next, step.routing.reason) for step in journal.steps] == [
        ("b", "default"),
        ("a", "edge"),
        ("b", "default"),
        (None, "end"),
    ]
    assert [step.delta.operations for step in journal.steps] == [b'[["set",["n"],%d]]' % n for n in (1, 2, 3, 4)]
    assert run.position == Position(4, None, {"a": 2, "b": 2})
    assert run.state == {"n": 4}
    assert all(step.started_at < step.ended_at for step in journal.steps)


async def test_one_step_at_a_time() -> None:
    run = interpreter({"a": change(lambda s: None), "b": change(lambda s: None)}, ("a", "b"))
    assert (await run.run("step")).node == "a"
    assert (await run.run("step")).node == "b"
    with pytest.raises(RunAtRest):
        await run.run("step")


async def test_a_step_that_could_not_be_recorded_is_not_counted() -> None:
    class Lost(Recorder):
        async def step(self, record: StepRecord) -> None:
            raise ConnectionError("gone")

    run = interpreter({"a": change(lambda s: None)}, journal=Lost())
    with pytest.raises(ConnectionError):
        await run.advance()
    assert run.position == Position(0, "a", {})


async def test_a_nodes_attributes_end_with_its_visit() -> None:
    def prepare(self: Any, shared: Any, request_input: Any) -> None:
        self.count = getattr(self, "count", 0) + 1
        shared["n"] = shared.get("n", 0) + 1
        shared["count"] = self.count

    run = interpreter({"a": node(prepare)}, ("a", "a", "shared['n'] < 3"))
    await run.run()
    assert run.state == {"n": 3, "count": 1}


def test_a_node_without_code_is_named_before_anything_runs() -> None:
    graph = graph_of({"a": None, "b": None}, ("a", "b"))
    with pytest.raises(NodeCodeMissing, match="'b'"):
        Interpreter(graph, {"a": Node()}, Recorder(), {}, position=Position(0, "a"))
    with pytest.raises(NodeCodeMissing, match="'gone'"):
        Interpreter(graph, {"a": Node(), "b": Node()}, Recorder(), {}, position=Position(3, "gone"))


def test_a_graph_of_another_mode_is_refused() -> None:
    with pytest.raises(DefinitionError, match="dag"):
        Interpreter(
            Graph("g", {"a": NodeSpec("a", "N")}, (), "a", mode="dag"),
            {"a": Node()},
            Recorder(),
            {},
            position=Position(0, "a"),
        )


# Choosing the next node -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", ["prepare", "execute", "cleanup"])
async def test_goto_wins_over_the_edges_in_every_phase(phase: str) -> None:
    def choose(self: Any, *arguments: Any) -> None:
        self.goto("b")
        self.goto("c")

    journal = Recorder()
    nodes = {"a": node(**{phase: choose}), "b": Node(), "c": Node()}
    await interpreter(nodes, ("a", "b", "True"), journal=journal).run()
    assert [step.node for step in journal.steps] == ["a", "c"]
    assert journal.steps[0].routing.reason == "goto"


async def test_only_a_choice_of_the_attempt_that_succeeded_counts() -> None:
    def execute(self: Any, prepared: Any) -> None:
        if self.cur_retry == 0:
            self.goto("b")
            raise ValueError

    journal = Recorder()
    nodes = {"a": node(execute=execute, max_retries=2), "b": Node(), "c": Node()}
    await interpreter(nodes, ("a", "c"), journal=journal).run()
    assert [step.node for step in journal.steps] == ["a", "c"]
    journal = Recorder()
    nodes["a"] = node(lambda self, *rest: self.goto("d"), execute, max_retries=2)
    nodes["d"] = Node()
    await interpreter(nodes, ("a", "c"), journal=journal).run()
    assert [step.node for step in journal.steps] == ["a", "d"]


async def test_a_choice_of_a_node_that_is_not_there_fails_the_node() -> None:
    journal = Recorder()
    run = interpreter(
        {"a": node(lambda self, shared, _: (shared.update(x=1), self.goto("nowhere"))[1])}, journal=journal
    )
    with pytest.raises(VisitFailed, match="'nowhere'") as caught:
        await run.run()
    assert caught.value.failure.type == "NoSuchNode"
    assert run.state == {}
    assert journal.steps == []


async def test_an_agent_of_the_simple_kind_chooses_the_next_node() -> None:
    class Route(BaseNode):
        def __init__(self, node_id: str) -> None:
            super().__init__(node_id, "agent")

        async def execute(self, state: Any) -> Any:
            return state["to"]

    journal = Recorder()
    nodes = {"a": Route("a"), "b": Node(), "c": Node()}
    await interpreter(nodes, ("a", "b"), journal=journal, state={"to": "c"}).run()
    assert [step.node for step in journal.steps] == ["a", "c"]
    journal = Recorder()
    await interpreter(nodes, ("a", "b"), journal=journal, state={"to": None}).run()
    assert [step.node for step in journal.steps] == ["a", "b"]


async def test_why_an_edge_was_taken_is_logged_where_there_was_a_choice() -> None:
    journal = Recorder()
    nodes = {name: Node() for name in "abc"}
    edges = (("a", "b", "shared['missing']"), ("a", "c", "shared['n'] > 1"), ("c", "b"))
    await interpreter(nodes, *edges, journal=journal, state={"n": 2}).run()
    assert journal.logs == [
        ("EDGE", "a -> b: shared['missing'] counts as false: KeyError: 'missing'"),
        ("EDGE", "a -> c: shared['n'] > 1 holds"),
    ]


# Failures and retries -------------------------------------------------------------------------------------------------


async def test_each_attempt_is_recorded_with_the_waits_between() -> None:
    journal = Recorder()
    run = interpreter({"a": node(execute=fails(3))}, journal=journal, retry={"a": RetrySpec(4, 2.0, 3.0)})
    await run.run()
    assert journal.acts == [
        ("started", "a", 1, 1),
        ("failed", "a", 1, 1),
        ("sleep", 2.0),
        ("started", "a", 1, 2),
        ("failed", "a", 1, 2),
        ("sleep", 6.0),
        ("started", "a", 1, 3),
        ("failed", "a", 1, 3),
        ("sleep", 18.0),
        ("started", "a", 1, 4),
        ("step", 1, "a", 1, 4),
    ]
    assert [record.failure.message for record in journal.failed] == ["try 0", "try 1", "try 2"]
    assert run.position.trials == {}


async def test_a_final_failure_leaves_the_last_committed_state() -> None:
    def prepare(self: Any, shared: Any, request_input: Any) -> None:
        shared["kept"].append(2)
        shared["new"] = 1

    journal = Recorder()
    state = {"kept": [1]}
    run = interpreter({"a": node(prepare, fails(9), max_retries=2)}, journal=journal, state=state)
    with pytest.raises(VisitFailed) as caught:
        await run.run()
    assert state == {"kept": [1]}
    assert (caught.value.node, caught.value.visit, caught.value.attempt) == ("a", 1, 2)
    assert isinstance(caught.value.error, ValueError)
    assert journal.acts[-1] == ("failed", "a", 1, 2)
    assert run.position == Position(0, "a", {}, {"a": Trial(2, 2)})


@pytest.mark.parametrize("phase", ["prepare", "cleanup"])
async def test_only_execute_is_tried_again(phase: str) -> None:
    def body(self: Any, *arguments: Any) -> None:
        raise ValueError

    journal = Recorder()
    with pytest.raises(VisitFailed):
        await interpreter({"a": node(**{phase: body}, max_retries=3)}, journal=journal).run()
    assert journal.acts == [("started", "a", 1, 1), ("failed", "a", 1, 1)]


async def test_attempts_of_an_earlier_process_count() -> None:
    journal = Recorder()
    position = Position(0, "a", {}, {"a": Trial(2)})
    await interpreter({"a": node(execute=fails(3), max_retries=4)}, journal=journal, position=position).run()
    assert journal.acts == [
        ("started", "a", 1, 3),
        ("failed", "a", 1, 3),
        ("started", "a", 1, 4),
        ("step", 1, "a", 1, 4),
    ]


async def test_when_all_attempts_are_used_up_the_visit_fails_as_the_last_of_them_did() -> None:
    journal = Recorder()
    trial = Trial(2, 0, Failure("NodeTimeout", "a took longer than 1 s."))
    run = interpreter(
        {"a": node(execute=fails(9), max_retries=2)}, journal=journal, position=Position(0, "a", {}, {"a": trial})
    )
    with pytest.raises(VisitFailed) as caught:
        await run.run()
    assert (caught.value.attempt, caught.value.failure.type) == (2, "NodeTimeout")
    assert journal.acts == []


async def test_attempts_of_parallel_items_have_numbers_of_their_own() -> None:
    class Parallel(Node):
        async def _execute_with_retry(self, items: Any) -> Any:
            return await asyncio.gather(*(super(Parallel, self)._execute_with_retry(item) for item in items))

        def prepare(self, shared: Any, request_input: Any) -> Any:
            self.failed: set[int] = set()
            return [1, 2, 3]

        async def execute(self, item: Any) -> Any:
            await asyncio.sleep(0)
            if item not in self.failed:
                self.failed.add(item)
                raise ValueError(item)
            return item

        def cleanup(self, shared: Any, prepared: Any, result: Any) -> None:
            shared["out"] = result

    journal = Recorder()
    run = interpreter({"a": Parallel(max_retries=2)}, journal=journal)
    await run.run()
    assert run.state == {"out": [1, 2, 3]}
    assert [record.attempt for record in journal.failed] == [1, 2, 3]
    assert journal.steps[0].attempt == 4


async def test_a_fallback_completes_the_visit_and_the_log_says_so() -> None:
    kind = type("Made", (Node,), {"execute": fails(9), "exec_fallback": lambda self, prepared, error: "instead"})
    journal = Recorder()
    await interpreter({"a": kind(max_retries=2)}, journal=journal).run()
    assert journal.acts[-3:] == [("failed", "a", 1, 2), ("started", "a", 1, 3), ("step", 1, "a", 1, 3)]
    assert journal.steps[0].outcome == "fallback"
    [(level, text)] = journal.logs
    assert level == "WARNING"
    assert "ValueError: try 1" in text


@pytest.mark.parametrize(
    ("raised", "kind"),
    [(SystemExit(2), "NodeExit"), (ValueError("x"), "ValueError"), (asyncio.CancelledError(), "CancelledError")],
)
async def test_whatever_a_node_raises_is_its_failure(raised: BaseException, kind: str) -> None:
    def execute(self: Any, prepared: Any) -> None:
        raise raised

    with pytest.raises(VisitFailed) as caught:
        await interpreter({"a": node(execute=execute)}).run()
    assert caught.value.failure.type == kind


async def test_sys_exit_in_an_async_phase_is_a_failure_of_the_node() -> None:
    async def execute(self: Any, prepared: Any) -> None:
        await asyncio.sleep(0)
        sys.exit(1)

    with pytest.raises(VisitFailed, match=r"sys\.exit\(1\)"):
        await interpreter({"a": node(execute=execute)}).run()


async def test_a_cancelled_run_ends_at_once_and_commits_nothing() -> None:
    entered = asyncio.Event()

    async def prepare(self: Any, shared: Any, request_input: Any) -> None:
        shared["n"] = 2
        entered.set()
        await asyncio.Event().wait()

    journal = Recorder()
    state = {"n": 1}
    run = interpreter({"a": node(prepare)}, journal=journal, state=state)
    task = asyncio.ensure_future(run.run())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert state == {"n": 1}
    assert journal.acts == [("started", "a", 1, 1)]


async def test_an_interrupt_from_the_keyboard_is_not_a_failure_of_the_node() -> None:
    def execute(self: Any, prepared: Any) -> None:
        raise KeyboardInterrupt

    journal = Recorder()
    run = interpreter({"a": node(execute=execute)}, journal=journal)
    with pytest.raises(KeyboardInterrupt):
        await run.advance()
    assert journal.failed == []


async def test_a_value_that_is_not_json_fails_the_visit_that_put_it_there() -> None:
    journal = Recorder()
    state: dict[str, Any] = {"n": 1}
    run = interpreter({"a": change(lambda s: s.update(bad={1, 2}))}, journal=journal, state=state)
    with pytest.raises(VisitFailed) as caught:
        await run.run()
    assert isinstance(caught.value.error, StateValueError)
    assert "Node 'a' put a set at shared['bad']" in caught.value.message
    assert caught.value.next_step
    assert state == {"n": 1}


async def test_a_value_that_cannot_be_stored_is_named_with_its_article() -> None:
    run = interpreter({"a": change(lambda s: s.update(bad=object()))}, journal=Recorder(), state={})
    with pytest.raises(VisitFailed) as caught:
        await run.run()
    assert "Node 'a' put an object at shared['bad']" in caught.value.message


async def test_the_traceback_shows_the_authors_code_and_not_ours() -> None:
    def helper() -> None:
        raise ValueError("inner")

    def execute(self: Any, prepared: Any) -> None:
        try:
            helper()
        except ValueError as error:
            raise RuntimeError("outer") from error

    journal = Recorder()
    with pytest.raises(VisitFailed):
        await interpreter({"a": node(execute=execute)}, journal=journal).run()
    failure = journal.failed[0].failure
    assert str(Path(core.flow.__file__ or "").parent) not in failure.traceback
    assert str(Path(core.sdk.__file__ or "").parent) not in failure.traceback
    assert "in helper" in failure.traceback
    assert failure.traceback.endswith("RuntimeError: outer\n")
    assert (failure.type, failure.message) == ("RuntimeError", "outer")
    assert "test_interpreter.py" in failure.cause
    assert "in execute" in failure.cause


async def test_an_error_that_cannot_be_shown_is_shown_all_the_same() -> None:
    class Silent(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    for error in (Silent(), ValueError("a\udcff"), ValueError("x" * 1_000_000)):

        def execute(self: Any, prepared: Any, error: Exception = error) -> None:
            raise error

        journal = Recorder()
        with pytest.raises(VisitFailed):
            await interpreter({"a": node(execute=execute)}, journal=journal).run()
        failure = journal.failed[0].failure
        assert failure.message
        assert len(failure.message) < 40_000
        assert len(failure.traceback) < 40_000
        (failure.message + failure.traceback).encode()


# Asking ---------------------------------------------------------------------------------------------------------------


async def test_requests_are_numbered_within_their_visit() -> None:
    async def prepare(self: Any, shared: Any, request_input: Any) -> None:
        self.ask = request_input
        await request_input("first?")
        await request_input("named?", request_id="other", options=["a"], input_type="select")

    async def execute(self: Any, prepared: Any) -> Any:
        return await self.ask("again?")

    def cleanup(self: Any, shared: Any, prepared: Any, result: Any) -> None:
        shared["answers"] = [*shared.get("answers", []), result]

    keys = [f"a:{visit}:{name}" for visit in (1, 2) for name in ("a:0", "other:0", "a:1")]
    journal = Recorder(dict(zip(keys, range(6), strict=True)))
    run = interpreter({"a": node(prepare, execute, cleanup)}, ("a", "a", "len(shared['answers']) < 2"), journal=journal)
    await run.run()
    assert [request.key for request in journal.asked] == keys
    assert run.state == {"answers": [2, 5]}
    other = journal.asked[1]
    assert (other.prompt, other.options, other.input_type, other.kind) == ("named?", ["a"], "select", "input")


async def test_a_try_that_is_repeated_asks_under_the_same_numbers() -> None:
    async def prepare(self: Any, shared: Any, request_input: Any) -> None:
        self.ask = request_input
        await request_input()

    async def execute(self: Any, prepared: Any) -> Any:
        await self.ask()
        if self.cur_retry == 0:
            raise ValueError
        await self.ask()

    journal = Recorder({f"a:1:a:{nth}": nth for nth in range(3)})
    await interpreter({"a": node(prepare, execute, max_retries=2)}, journal=journal).run()
    assert [request.nth for request in journal.asked] == [0, 1, 1, 2]


async def test_parallel_items_that_are_tried_again_get_their_own_answers() -> None:
    class Parallel(Node):
        async def prepare(self, shared: Any, request_input: Any) -> Any:
            self.ask = request_input
            self.failed: set[int] = set()
            return [10, 20, 30]

        async def _execute_with_retry(self, items: Any) -> Any:
            return await asyncio.gather(*(super(Parallel, self)._execute_with_retry(item) for item in items))

        async def execute(self, item: Any) -> Any:
            first = await self.ask()
            if item not in self.failed:
                self.failed.add(item)
                await asyncio.sleep(0)
                raise ValueError
            return item, first, await self.ask(request_id=f"more {item}")

        def cleanup(self, shared: Any, prepared: Any, result: Any) -> None:
            shared["out"] = result

    answers = {f"a:1:a:{nth}": f"answer {nth}" for nth in range(3)}
    answers |= {f"a:1:more {item}:0": item for item in (10, 20, 30)}
    run = interpreter({"a": Parallel(max_retries=2)}, journal=Recorder(answers))
    await run.run()
    assert run.state["out"] == [[10, "answer 0", 10], [20, "answer 1", 20], [30, "answer 2", 30]]


async def test_options_that_are_not_json_fail_the_node() -> None:
    async def prepare(self: Any, shared: Any, request_input: Any) -> None:
        await request_input("x", options=[{1, 2}])

    with pytest.raises(VisitFailed, match=r"request_input\[1\]\[0\]"):
        await interpreter({"a": node(prepare)}).run()


# What a node has in a visit -------------------------------------------------------------------------------------------


async def test_the_idempotency_key_is_of_the_visit(tmp_path: Path) -> None:
    keys: list[str] = []

    def execute(self: Any, prepared: Any) -> None:
        keys.append(self.idempotency_key)
        if self.cur_retry == 0:
            raise ValueError

    async def keys_of(**settings: Any) -> list[str]:
        keys.clear()
        await interpreter({"a": node(execute=execute, max_retries=2)}, **settings).run()
        assert keys[0] == keys[1]
        return keys[:1]

    first = await keys_of(run_key="run", line=1)
    assert await keys_of(run_key="run", line=1) == first
    assert len(first[0]) == len(hashlib.sha256().hexdigest())
    others = [
        await keys_of(run_key="other", line=1),
        await keys_of(run_key="run", line=2),
        await keys_of(run_key="run", line=1, position=Position(5, "a", {"a": 1})),
    ]
    assert len({key for [key] in [first, *others]}) == 4


async def test_the_output_folder_is_made_when_it_is_used(tmp_path: Path) -> None:
    folder = tmp_path / "output" / "run"
    run = interpreter({"a": Node(), "b": node(execute=lambda self, _: (self.output_dir / "x").touch())}, ("a", "b"))
    await interpreter({"a": Node()}, output_dir=folder).run()
    assert not folder.exists()
    run = interpreter({"b": node(execute=lambda self, _: (self.output_dir / "x").touch())}, output_dir=folder)
    await run.run()
    assert (folder / "x").exists()


async def test_a_missing_tool_fails_the_node_and_is_named() -> None:
    run = interpreter({"a": node(execute=lambda self, _: self.tools["gmail"])})
    with pytest.raises(VisitFailed, match="'gmail'") as caught:
        await run.run()
    assert isinstance(caught.value.error, ToolMissing)
    await interpreter({"a": node(execute=lambda self, _: self.tools["gmail"])}, tools={"gmail": 1}).run()


# What a resumed run sees ----------------------------------------------------------------------------------------------

edits = st.sampled_from(
    [
        "s.update(t=(1, 2))",
        "s.setdefault('l', []).append((s.get('n'), {'x': (1,)}))",
        "s.update(n=s.get('n', 0) + 1)",
        "s.update(a=s.get('l'), b=s.get('l'))",
        "(s.get('a') or []).append('end')",
        "s.update(is_tuple=isinstance(s.get('t'), tuple))",
        "s.pop('t', None)",
        "s.setdefault('l', []).reverse()",
    ]
)


@given(code=st.lists(edits, min_size=1, max_size=8), stop=st.integers(0, 8))
def test_a_run_that_was_resumed_comes_to_the_same_state(code: list[str], stop: int) -> None:
    nodes = {str(index): change(eval(f"lambda s: {text}")) for index, text in enumerate(code)}
    edges = [(str(index), str(index + 1)) for index in range(len(code) - 1)]
    whole = Recorder()
    asyncio.run((run := interpreter(nodes, *edges, journal=whole)).run())
    stored: dict[str, Any] = {}
    for record in whole.steps[:stop]:
        apply_delta(stored, record.delta.operations, record.delta.blobs)
    rest = whole.steps[stop:]
    position = Position(min(stop, len(code)), rest[0].node if rest else None)
    if position.next_node is not None:
        second = Recorder()
        asyncio.run(interpreter(nodes, *edges, journal=second, state=stored, position=position).run())
        assert [record.delta for record in second.steps] == [record.delta for record in rest]
    assert encode_state(stored) == encode_state(run.state)


async def test_a_snapshot_comes_with_the_step_where_the_rules_ask_for_one() -> None:
    journal = Recorder()
    run = interpreter(
        {"a": change(lambda s: s.update(n=s["n"] + 1))},
        ("a", "a", "shared['n'] < 5"),
        journal=journal,
        state={"n": 0},
        since_snapshot=(0, 1997),
    )
    await run.run()
    assert [record.snapshot for record in journal.steps] == [None, None, b'{"n":3}', None, None]


# Making nodes ---------------------------------------------------------------------------------------------------------


def test_nodes_are_made_as_the_graph_says() -> None:
    class Known(Node):
        pass

    class Own(Node):
        pass

    graph = Graph(
        "g",
        {"a": NodeSpec("a", "Known", {"k": 1}, RetrySpec(3, 1.5, 2.0)), "b": NodeSpec("b", "Renamed")},
        (EdgeSpec("a", "b", "x"), EdgeSpec("a", "b")),
        "a",
    )
    nodes = build_nodes(graph, {"Renamed": Own})
    assert type(nodes["b"]) is Own
    a = nodes["a"]
    assert (a.id, a.config, a.max_retries, a.wait, a.backoff) == ("a", {"k": 1}, 3, 1.5, 2.0)
    assert [edge.condition for edge in a.outgoing()] == ["x", ""]
    with pytest.raises(NodeCodeMissing, match="'b'"):
        build_nodes(graph)
