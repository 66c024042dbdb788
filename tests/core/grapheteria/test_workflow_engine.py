"""The engine as programs written for the original use it: making it, stepping, running, states, failures."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.errors import RondoError, StateValueError
from core.grapheteria import (
    Edge,
    ExecutionState,
    FileSystemStorage,
    Node,
    NodeStatus,
    SQLiteStorage,
    StorageBackend,
    WorkflowEngine,
    WorkflowStatus,
)


class Add(Node):
    """Adds config["by"] (1) to n."""

    def prepare(self, shared: Any, request_input: Any) -> Any:
        return shared.get("n", 0)

    async def execute(self, prepared: Any) -> Any:
        return prepared + self.config.get("by", 1)

    def cleanup(self, shared: Any, prepared: Any, result: Any) -> None:
        shared["n"] = result


class Fail(Node):
    def execute(self, prepared: Any) -> Any:
        raise ValueError("no luck")


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Each test in a folder of its own: the default store is a folder below the present one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: str, document: Any) -> str:
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


CHAIN = {
    "nodes": [{"id": "a", "class": "Add"}, {"id": "b", "class": "Add", "config": {"by": 10}}],
    "edges": [{"from": "a", "to": "b"}],
}


# Making one -----------------------------------------------------------------------------------------------------------


def test_it_is_made_without_a_running_loop_and_saves_the_initial_state() -> None:
    store = FileSystemStorage()
    engine = WorkflowEngine(nodes=[Add("a")], initial_shared_state={"n": 5}, storage_backend=store)
    state = engine.execution_state
    assert (state.shared, state.next_node_id, state.previous_node_id) == ({"n": 5}, "a", None)
    assert (state.workflow_status, state.node_statuses, state.awaiting_input) == (WorkflowStatus.HEALTHY, {}, None)
    assert state.metadata["step"] == 0
    assert state.metadata["save_time"]
    assert engine.tracking_data["workflow_id"] == engine.workflow_id
    assert engine.tracking_data["run_id"] == engine.run_id
    assert [step["shared"] for step in engine.tracking_data["steps"]] == [{"n": 5}]
    assert store.load_state(engine.workflow_id, engine.run_id) == engine.tracking_data


async def test_plain_calls_work_inside_a_running_loop() -> None:
    engine = WorkflowEngine(nodes=[Add("a")])
    assert engine.storage_backend.list_runs(engine.workflow_id) == [engine.run_id]


async def test_from_a_path() -> None:
    engine = WorkflowEngine(workflow_path=write("flows/chain.json", CHAIN))
    assert engine.workflow_id == "flows.chain"
    assert list(engine.nodes) == ["a", "b"]
    assert engine.start_node_id == "a"
    await engine.run()
    assert engine.execution_state.shared == {"n": 11}


async def test_from_an_id_dots_become_slashes() -> None:
    write("flows/deep/chain.json", CHAIN)
    engine = WorkflowEngine(workflow_id="flows.deep.chain")
    assert engine.workflow_id == "flows.deep.chain"
    await engine.run()
    assert engine.execution_state.shared == {"n": 11}


async def test_a_path_by_position_and_as_a_path_object() -> None:
    path = write("chain.json", CHAIN)
    assert WorkflowEngine(path).workflow_id == "chain"
    assert WorkflowEngine(Path("./chain.json")).workflow_id == "chain"


def test_the_start_node_is_the_first_or_the_one_that_is_named() -> None:
    nodes = [Add("a"), Add("b")]
    assert WorkflowEngine(nodes=nodes).start_node_id == "a"
    assert WorkflowEngine(nodes=nodes, start="b").start_node_id == "b"
    assert WorkflowEngine(nodes=nodes, start=nodes[1]).start_node_id == "b"
    assert WorkflowEngine(write("w.json", {**CHAIN, "start": "b"})).start_node_id == "b"


def test_the_files_initial_state_wins_over_the_one_given() -> None:
    given = {"n": 1, "given": True}
    assert WorkflowEngine(write("a.json", CHAIN), initial_shared_state=given).execution_state.shared == given
    named = write("b.json", {**CHAIN, "initial_state": {"n": 2}})
    assert WorkflowEngine(named, initial_shared_state=given).execution_state.shared == {"n": 2}
    empty = write("c.json", {**CHAIN, "initial_state": {}})
    assert WorkflowEngine(empty, initial_shared_state=given).execution_state.shared == {}


def test_the_state_given_is_copied() -> None:
    given: dict[str, Any] = {"l": [1]}
    engine = WorkflowEngine(nodes=[Add("a")], initial_shared_state=given)
    engine.execution_state.shared["l"].append(2)
    assert given == {"l": [1]}


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"nodes": []}, "no nodes"),
        ({}, "no nodes"),
        ([], "no nodes"),
        ("{", "not JSON"),
        ({"nodes": [{"id": "a"}]}, "class"),
        ({"nodes": [{"id": "a", "class": "Unheard"}]}, "Unheard"),
        ({**CHAIN, "start": "z"}, "'z'"),
        ({**CHAIN, "edges": [{"from": "a", "to": "z"}]}, "'z'"),
        ({**CHAIN, "edges": [{"from": "z", "to": "a"}]}, "'z'"),
        ({**CHAIN, "edges": [{"from": "z"}]}, "to"),
        ({"nodes": [CHAIN["nodes"][0], CHAIN["nodes"][0]]}, "one id"),
        ({"nodes": CHAIN["nodes"], "mode": "dag"}, "mode dag"),
    ],
)
def test_a_file_that_makes_no_sense_is_a_value_error(document: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        WorkflowEngine(write("w.json", document))
    assert isinstance(caught.value, RondoError)
    assert caught.value.next_step


def test_an_unknown_class_with_code_beside_it_says_how_to_import_it(own_folder: Path) -> None:
    write("flow/nodes.py", "")
    path = write("flow/flow.json", {"nodes": [{"id": "a", "class": "Unheard"}]})
    with pytest.raises(ValueError, match="Unheard") as caught:
        WorkflowEngine(path)
    assert isinstance(caught.value, RondoError)
    assert f"sys.path.insert(0, {str(own_folder / 'flow')!r}); import nodes" in caught.value.next_step


def test_what_is_missing_is_said() -> None:
    with pytest.raises(ValueError, match="no workflow"):
        WorkflowEngine()
    with pytest.raises(FileNotFoundError, match=r"nothing\.json"):
        WorkflowEngine(workflow_path="nothing.json")
    with pytest.raises(FileNotFoundError, match=r"a/b\.json"):
        WorkflowEngine(workflow_id="a.b")
    with pytest.raises(ValueError, match="no nodes"):
        WorkflowEngine(nodes=[])
    with pytest.raises(ValueError, match="'x'"):
        WorkflowEngine(nodes=[Add("x"), Add("x")])
    a = Add("a")
    assert a > Add("elsewhere")
    with pytest.raises(ValueError, match="'elsewhere'"):
        WorkflowEngine(nodes=[a])
    with pytest.raises(ValueError, match="run_id"):
        WorkflowEngine(nodes=[Add("a")], fork=True)


def test_a_state_that_is_not_json_is_refused_at_once() -> None:
    with pytest.raises(StateValueError, match=r"shared\['when'\]"):
        WorkflowEngine(nodes=[Add("a")], initial_shared_state={"when": {1}})


def test_engines_made_in_one_loop_have_ids_of_their_own_that_sort() -> None:
    engines = [WorkflowEngine(nodes=[Add("a")]) for _ in range(50)]
    ids = [engine.run_id for engine in engines]
    assert len(set(ids)) == 50
    assert ids == sorted(ids)
    assert engines[0].storage_backend.list_runs(engines[0].workflow_id) == ids


# Stepping and running -------------------------------------------------------------------------------------------------


async def test_step_runs_one_node_and_says_whether_the_run_goes_on() -> None:
    a, b = Add("a"), Add("b")
    assert a > b
    engine = WorkflowEngine(nodes=[a, b])
    assert await engine.step() is True
    state = engine.execution_state
    assert (state.shared, state.previous_node_id, state.next_node_id) == ({"n": 1}, "a", "b")
    assert state.node_statuses == {"a": NodeStatus.COMPLETED}
    assert state.workflow_status is WorkflowStatus.HEALTHY
    assert await engine.step() is False
    assert (state.shared, state.previous_node_id, state.next_node_id) == ({"n": 2}, "b", None)
    assert state.workflow_status is WorkflowStatus.COMPLETED
    assert await engine.step() is False
    assert state.shared == {"n": 2}
    assert [step["shared"] for step in engine.tracking_data["steps"]] == [{}, {"n": 1}, {"n": 2}]
    assert [step["metadata"]["step"] for step in engine.tracking_data["steps"]] == [0, 1, 2]


async def test_run_goes_to_the_end_and_loops_are_normal() -> None:
    a, b, c = Add("a"), Add("b"), Add("c", {"by": 100})
    assert a > b
    assert b - "shared['n'] < 6" > a
    assert b > c
    engine = WorkflowEngine(nodes=[a, b, c])
    assert await engine.run() is False
    assert engine.execution_state.workflow_status is WorkflowStatus.COMPLETED
    assert engine.execution_state.shared == {"n": 106}
    assert len(engine.tracking_data["steps"]) == 8


@pytest.mark.parametrize(
    ("edges", "after"),
    [
        ([("b", ""), ("c", "True")], "c"),
        ([("b", "shared['n'] == 1"), ("c", "shared['n'] > 0")], "b"),
        ([("b", "shared['n'] == 2"), ("c", "")], "c"),
        ([("b", "shared['nothing']"), ("c", "")], "c"),
        ([("b", "shared['n'] == 2")], None),
        ([("b", "shared['n'] == 2"), ("b", "shared['n'] == 1")], "b"),
    ],
)
@pytest.mark.parametrize("from_code", [True, False])
async def test_the_choice_of_the_next_node(edges: list[tuple[str, str]], after: str | None, from_code: bool) -> None:
    if from_code:
        nodes = [Add("a"), Add("b"), Add("c")]
        for to_id, condition in edges:
            target = next(node for node in nodes if node.id == to_id)
            assert (nodes[0] - condition > target) if condition else (nodes[0] > target)
        engine = WorkflowEngine(nodes=nodes)
    else:
        lines = [{"from": "a", "to": to_id, "condition": condition} for to_id, condition in edges]
        document = {"nodes": [{"id": node_id, "class": "Add"} for node_id in "abc"], "edges": lines}
        engine = WorkflowEngine(write("w.json", document))
    await engine.step()
    assert engine.execution_state.next_node_id == after


async def test_nodes_keep_nothing_between_executions() -> None:
    class Keeps(Node):
        def prepare(self, shared: Any, request_input: Any) -> None:
            self.kept = getattr(self, "kept", 0) + 1
            shared["kept"] = self.kept
            shared["n"] = shared.get("n", 0) + 1

    a = Keeps("a")
    assert a - "shared['n'] < 3" > a
    engine = WorkflowEngine(nodes=[a])
    await engine.run()
    assert engine.execution_state.shared == {"kept": 1, "n": 3}


async def test_a_program_may_change_state_and_edges_between_two_steps() -> None:
    a, b = Add("a"), Add("b")
    engine = WorkflowEngine(nodes=[a, b])
    engine.execution_state.shared["n"] = 40
    assert a > b
    assert await engine.step() is True
    engine.execution_state.shared = {"n": 80}
    await engine.step()
    assert engine.execution_state.shared == {"n": 81}


async def test_retries_of_the_file_and_of_the_class_both_hold() -> None:
    class Flaky(Node):
        def prepare(self, shared: Any, request_input: Any) -> Any:
            return shared.setdefault("tries", [])

        def execute(self, tries: Any) -> None:
            tries.append(self.cur_retry)
            if len(tries) < 3:
                raise ValueError

    document = {"nodes": [{"id": "a", "class": "Flaky", "retry": {"attempts": 3, "wait": 0}}]}
    engine = WorkflowEngine(write("w.json", document))
    await engine.run()
    assert engine.execution_state.shared == {"tries": [0, 1, 2]}
    engine = WorkflowEngine(nodes=[Flaky("a", max_retries=3)])
    await engine.run()
    assert engine.execution_state.shared == {"tries": [0, 1, 2]}


async def test_what_the_file_says_about_errors_and_time_holds_over_a_resume() -> None:
    class Stuck(Node):
        async def execute(self, prepared: Any) -> None:
            await asyncio.sleep(3600)

    class Repair(Node):
        def cleanup(self, shared: Any, prepared: Any, result: Any) -> None:
            assert self.last_error is not None
            shared["repaired"] = [self.last_error.node, self.last_error.type]

    nodes = [
        {"id": "stuck", "class": "Stuck", "timeout": 0.05, "on_error": "goto:repair"},
        {"id": "repair", "class": "Repair"},
    ]
    path = write("w.json", {"nodes": nodes})
    engine = WorkflowEngine(path)
    assert await engine.step() is True
    resumed = WorkflowEngine(path, run_id=engine.run_id)
    await resumed.run()
    assert resumed.execution_state.shared == {"repaired": ["stuck", "NodeTimeout"]}


async def test_parallel_and_batch_nodes() -> None:
    class Parallel(Node):
        def prepare(self, shared: Any, request_input: Any) -> Any:
            return shared["items"]

        async def _execute_with_retry(self, items: Any) -> Any:
            return await asyncio.gather(*(super(Parallel, self)._process_item(item) for item in items))

        async def execute(self, item: Any) -> Any:
            await asyncio.sleep(0)
            return item * 2

        def cleanup(self, shared: Any, prepared: Any, result: Any) -> None:
            shared["items"] = result

    class Batch(Parallel):
        async def _execute_with_retry(self, items: Any) -> Any:
            return [await super(Parallel, self)._process_item(item) for item in items]

    a, b = Parallel("a"), Batch("b")
    assert a > b
    engine = WorkflowEngine(nodes=[a, b], initial_shared_state={"items": [1, 2]})
    await engine.run()
    assert engine.execution_state.shared == {"items": [4, 8]}


async def test_goto_works_here_too_and_is_not_chosen_again_after_a_resume() -> None:
    class Jump(Node):
        def execute(self, prepared: Any) -> None:
            self.goto("c")

    a, b, c = Jump("a"), Add("b", {"by": 5}), Add("c", {"by": 7})
    assert a > b
    engine = WorkflowEngine(nodes=[a, b, c])
    await engine.step()
    again = WorkflowEngine(nodes=[a, b, c], run_id=engine.run_id)
    await again.run()
    assert again.execution_state.shared == {"n": 7}


# Failing --------------------------------------------------------------------------------------------------------------


async def test_a_failure_is_saved_and_raised_as_it_was() -> None:
    store = FileSystemStorage()
    a, b = Add("a"), Fail("b")
    assert a > b
    engine = WorkflowEngine(nodes=[a, b], storage_backend=store)
    with pytest.raises(ValueError, match="no luck") as caught:
        await engine.run()
    assert type(caught.value) is ValueError
    state = engine.execution_state
    assert state.workflow_status is WorkflowStatus.FAILED
    assert state.node_statuses == {"a": NodeStatus.COMPLETED, "b": NodeStatus.FAILED}
    assert state.metadata["error"] == "ValueError: no luck"
    saved = store.load_state(engine.workflow_id, engine.run_id)
    assert saved is not None
    assert [step["workflow_status"] for step in saved["steps"]] == ["HEALTHY", "HEALTHY", "FAILED"]
    assert await engine.step() is False
    assert await engine.run() is False


async def test_a_failed_step_changes_nothing_in_the_state() -> None:
    class Half(Node):
        def prepare(self, shared: Any, request_input: Any) -> None:
            shared["half"] = True
            raise ValueError

    engine = WorkflowEngine(nodes=[Half("a")], initial_shared_state={"n": 1})
    with pytest.raises(ValueError):
        await engine.run()
    assert engine.execution_state.shared == {"n": 1}
    assert engine.tracking_data["steps"][-1]["shared"] == {"n": 1}


async def test_a_value_that_cannot_be_stored_names_node_key_and_type() -> None:
    class Bad(Node):
        def cleanup(self, shared: Any, prepared: Any, result: Any) -> None:
            shared["result"] = {"when": {1, 2}}

    engine = WorkflowEngine(nodes=[Bad("a")])
    with pytest.raises(StateValueError, match=r"Node 'a' put a set at shared\['result'\]\['when'\]"):
        await engine.run()
    assert engine.execution_state.workflow_status is WorkflowStatus.FAILED


async def test_a_cancelled_step_leaves_a_run_that_can_be_stepped_again() -> None:
    entered = asyncio.Event()
    hold = asyncio.Event()

    class Slow(Node):
        async def prepare(self, shared: Any, request_input: Any) -> None:
            shared["n"] = shared.get("n", 0) + 1
            entered.set()
            await hold.wait()

    engine = WorkflowEngine(nodes=[Slow("a")])
    stepping = asyncio.ensure_future(engine.step())
    await entered.wait()
    stepping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stepping
    assert engine.execution_state.shared == {}
    hold.set()
    await engine.step()
    assert engine.execution_state.shared == {"n": 1}


# States ---------------------------------------------------------------------------------------------------------------


def test_a_state_and_its_dict_are_independent() -> None:
    state = ExecutionState(
        shared={"l": [1]},
        next_node_id="b",
        previous_node_id="a",
        workflow_status=WorkflowStatus.WAITING_FOR_INPUT,
        node_statuses={"a": NodeStatus.WAITING_FOR_INPUT},
        awaiting_input={"options": [1]},
        metadata={"step": 3, "save_time": "now"},
    )
    document = state.to_dict()
    assert json.loads(json.dumps(document)) == document
    again = ExecutionState.from_dict(document)
    assert again == state
    state.shared["l"].append(2)
    document["shared"]["l"].append(3)
    document["awaiting_input"]["options"].append(3)
    assert again.shared == {"l": [1]}
    assert again.awaiting_input == {"options": [1]}
    assert state.shared == {"l": [1, 2]}


def test_the_words_of_the_statuses() -> None:
    assert [status.name for status in WorkflowStatus] == ["HEALTHY", "COMPLETED", "FAILED", "WAITING_FOR_INPUT"]
    assert sorted(status.value for status in NodeStatus) == ["completed", "failed", "waiting_for_input"]


async def test_several_engines_on_one_store_keep_apart(own_folder: Path) -> None:
    store = SQLiteStorage("runs.db")
    other = SQLiteStorage("runs.db")
    a, b = Add("a"), Add("b")
    assert a > b
    assert b - "shared['n'] < 20" > a
    engines = [
        WorkflowEngine(nodes=[a, b], storage_backend=backend, initial_shared_state={"n": start})
        for start, backend in enumerate((store, other, store, other))
    ]
    await asyncio.gather(*(engine.run() for engine in engines))
    for engine in engines:
        assert store.load_state(engine.workflow_id, engine.run_id) == engine.tracking_data
    assert [engine.execution_state.shared["n"] for engine in engines] == [20, 21, 20, 21]


def test_names_that_programs_import() -> None:
    import core

    assert core.WorkflowEngine is WorkflowEngine
    assert core.Node is Node
    assert core.Edge is Edge
    assert core.StorageBackend is StorageBackend
    assert core.SQLiteStorage is SQLiteStorage
    assert core.BaseNode.__name__ == "BaseNode"
    with pytest.raises(AttributeError):
        core.NoSuchName  # noqa: B018
    assert set(core.__all__) <= set(dir(core))


async def test_a_node_that_runs_another_workflow_is_refused_in_plain_words() -> None:
    path = write("nested.json", {"nodes": [{"id": "a", "subflow": "other"}], "edges": [], "start": "a"})
    engine = WorkflowEngine(workflow_path=path)
    with pytest.raises(RondoError) as raised:
        await engine.run()
    assert "TaskOrchestrator" in raised.value.next_step and "'other'" in raised.value.message
