"""The node as its authors know it: life cycle, retries, running alone, building a graph."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from core.errors import NodeExit, OutsideVisit
from core.sdk import Edge, Node, find_node_class, make_node
from core.sdk.execution import ExecutionState, NodeStatus


async def no_input(*arguments: Any, **named: Any) -> Any:
    raise AssertionError("nothing asks here")


class Plain(Node):
    def prepare(self, shared: Any, request_input: Any) -> Any:
        return shared["n"]

    def execute(self, prepared: Any) -> Any:
        return prepared + 1

    def cleanup(self, shared: Any, prepared: Any, result: Any) -> None:
        shared["n"] = result


class Async(Node):
    async def prepare(self, shared: Any, request_input: Any) -> Any:
        await asyncio.sleep(0)
        return shared["n"]

    async def execute(self, prepared: Any) -> Any:
        await asyncio.sleep(0)
        return prepared + 1

    async def cleanup(self, shared: Any, prepared: Any, result: Any) -> None:
        await asyncio.sleep(0)
        shared["n"] = result


class Awaitables(Node):
    def prepare(self, shared: Any, request_input: Any) -> Any:
        return later(shared["n"])

    def execute(self, prepared: Any) -> Any:
        return later(prepared + 1)

    def cleanup(self, shared: Any, prepared: Any, result: Any) -> Any:
        return later(shared.update(n=result))


async def later(value: Any) -> Any:
    await asyncio.sleep(0)
    return value


@pytest.mark.parametrize("kind", [Plain, Async, Awaitables])
async def test_each_phase_may_be_plain_async_or_return_an_awaitable(kind: type[Node]) -> None:
    shared = {"n": 1}
    assert await kind().run_standalone(shared) is shared
    assert shared == {"n": 2}


async def test_missing_phases_do_nothing() -> None:
    class Empty(Node):
        pass

    assert await Empty().run_standalone({"n": 1}) == {"n": 1}


async def test_execute_sees_only_what_prepare_returned_and_cleanup_sees_both() -> None:
    seen: list[Any] = []

    class Node1(Node):
        def prepare(self, shared: Any, request_input: Any) -> Any:
            return "prepared"

        def execute(self, prepared: Any) -> Any:
            seen.append(prepared)
            return "result"

        def cleanup(self, shared: Any, prepared: Any, result: Any) -> None:
            seen.append((shared, prepared, result))

    await Node1().run_standalone({"n": 1})
    assert seen == ["prepared", ({"n": 1}, "prepared", "result")]


def test_attributes_and_their_defaults() -> None:
    node = Plain()
    prefix, _, digits = node.id.rpartition("_")
    assert prefix == "Plain"
    assert len(digits) == 8 and int(digits, 16) >= 0
    assert node.id != Plain().id
    assert (node.type, node.config, node.edges) == ("Plain", {}, {})
    assert (node.max_retries, node.wait, node.cur_retry) == (1, 0, 0)
    other = Plain("a", {"k": 1}, 3, 2)
    assert (other.id, other.config, other.max_retries, other.wait) == ("a", {"k": 1}, 3, 2)
    named = Plain(id="b", config={"k": 2}, max_retries=4, wait=0.5)
    assert (named.id, named.config, named.max_retries, named.wait) == ("b", {"k": 2}, 4, 0.5)


async def test_attributes_set_in_a_phase_end_with_the_execution() -> None:
    class Keeps(Node):
        def prepare(self, shared: Any, request_input: Any) -> None:
            assert not hasattr(self, "kept")
            self.kept = 1

        def execute(self, prepared: Any) -> Any:
            self.kept += 1

        def cleanup(self, shared: Any, prepared: Any, result: Any) -> None:
            shared["kept"] = self.kept

    node = Keeps()
    for _ in range(2):
        assert await node.run_standalone({}) == {"kept": 2}
    assert not hasattr(node, "kept")


# Retries --------------------------------------------------------------------------------------------------------------


class Flaky(Node):
    """Fails as often as config says."""

    def prepare(self, shared: Any, request_input: Any) -> Any:
        shared["prepared"] = shared.get("prepared", 0) + 1
        return shared.setdefault("tries", [])

    def execute(self, tries: Any) -> Any:
        tries.append(self.cur_retry)
        if len(tries) <= self.config["failures"]:
            raise ValueError(f"try {len(tries)}")
        return "done"

    def cleanup(self, shared: Any, prepared: Any, result: Any) -> None:
        shared["result"] = result


async def test_only_the_execute_phase_is_tried_again() -> None:
    shared = await Flaky(config={"failures": 2}, max_retries=3).run_standalone({})
    assert shared == {"prepared": 1, "tries": [0, 1, 2], "result": "done"}


@pytest.mark.parametrize("max_retries", [0, 1, 2])
async def test_after_the_last_try_the_error_is_raised(max_retries: int) -> None:
    shared: dict[str, Any] = {}
    with pytest.raises(ValueError, match=f"try {max(max_retries, 1)}"):
        await Flaky(config={"failures": 5}, max_retries=max_retries).run_standalone(shared)
    assert "result" not in shared


@pytest.mark.parametrize("is_async", [False, True])
async def test_exec_fallback_decides_after_the_last_try(is_async: bool) -> None:
    def fallback(self: Node, prepared: Any, error: Exception) -> Any:
        return f"instead of {error}"

    async def fallback_later(self: Node, prepared: Any, error: Exception) -> Any:
        return fallback(self, prepared, error)

    kind = type("WithFallback", (Flaky,), {"exec_fallback": fallback_later if is_async else fallback})
    shared = await kind(config={"failures": 5}, max_retries=2).run_standalone({})
    assert shared["result"] == "instead of try 2"
    assert len(shared["tries"]) == 2


async def test_a_parallel_node_overrides_execute_with_retry() -> None:
    class Parallel(Node):
        def prepare(self, shared: Any, request_input: Any) -> Any:
            self.running = self.most = 0
            return shared["items"]

        async def _execute_with_retry(self, items: Any) -> Any:
            return await asyncio.gather(*(super(Parallel, self)._execute_with_retry(item) for item in items))

        async def execute(self, item: Any) -> Any:
            self.running += 1
            self.most = max(self.most, self.running)
            await asyncio.sleep(0)
            self.running -= 1
            return item * 2

        def cleanup(self, shared: Any, prepared: Any, result: Any) -> None:
            shared["out"], shared["most"] = result, self.most

    assert await Parallel().run_standalone({"items": [1, 2, 3]}) == {"items": [1, 2, 3], "out": [2, 4, 6], "most": 3}


async def test_items_of_a_parallel_node_are_tried_again_one_by_one() -> None:
    tries: dict[int, int] = {}

    class ParallelRetry(Node):
        async def _execute_with_retry(self, items: Any) -> Any:
            return await asyncio.gather(*(super(ParallelRetry, self)._execute_with_retry(item) for item in items))

        async def execute(self, item: Any) -> Any:
            tries[item] = tries.get(item, 0) + 1
            await asyncio.sleep(0)
            if tries[item] < item:
                raise ValueError(item)
            return item

        def prepare(self, shared: Any, request_input: Any) -> Any:
            return [1, 2, 3]

        def cleanup(self, shared: Any, prepared: Any, result: Any) -> None:
            shared["out"] = result

    assert await ParallelRetry(max_retries=3).run_standalone({}) == {"out": [1, 2, 3]}
    assert tries == {1: 1, 2: 2, 3: 3}


async def test_a_batch_node_overrides_process_item() -> None:
    class Batch(Node):
        def prepare(self, shared: Any, request_input: Any) -> Any:
            return shared["items"]

        async def _process_item(self, items: Any) -> Any:
            return [await super(Batch, self)._process_item(item) for item in items]

        def execute(self, item: Any) -> Any:
            return item * 2

        def cleanup(self, shared: Any, prepared: Any, result: Any) -> None:
            shared["out"] = result

    assert (await Batch().run_standalone({"items": [1, 2]}))["out"] == [2, 4]


# Running alone --------------------------------------------------------------------------------------------------------


async def test_asking_for_input_alone_is_not_possible() -> None:
    class Asks(Node):
        async def prepare(self, shared: Any, request_input: Any) -> Any:
            return await request_input("name?")

    with pytest.raises(NotImplementedError):
        await Asks().run_standalone({})


async def test_run_notes_success_and_failure_in_the_state() -> None:
    state = ExecutionState(shared={"n": 1})
    await Plain("a").run(state, no_input)
    assert state.shared == {"n": 2}
    assert state.node_statuses == {"a": NodeStatus.COMPLETED}
    with pytest.raises(ValueError, match="try 1"):
        await Flaky("b", {"failures": 1}).run(state, no_input)
    assert state.node_statuses["b"] is NodeStatus.FAILED
    assert state.metadata["error"] == "ValueError: try 1"


async def test_sys_exit_in_a_node_is_a_failure_and_not_the_end_of_the_program() -> None:
    class Exits(Node):
        async def execute(self, prepared: Any) -> Any:
            sys.exit(3)

    with pytest.raises(NodeExit, match=r"sys\.exit\(3\)"):
        await Exits().run_standalone({})


async def test_keys_folder_and_tools_belong_to_a_visit() -> None:
    node = Plain()
    for name in ("output_dir", "idempotency_key", "tools"):
        with pytest.raises(OutsideVisit, match=name):
            getattr(node, name)
    with pytest.raises(OutsideVisit, match="goto"):
        node.goto("a")


async def test_a_node_alone_can_use_everything_it_can_use_in_a_run(tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)

    class Uses(Node):
        def execute(self, prepared: Any) -> Any:
            self.goto("anywhere")
            (self.output_dir / "file").write_text("x")
            return len(self.idempotency_key), dict(self.tools)

        def cleanup(self, shared: Any, prepared: Any, result: Any) -> None:
            shared["result"] = result

    assert (await Uses().run_standalone({}))["result"] == (64, {})
    assert (tmp_path / "output" / "file").exists()


# Building a graph -----------------------------------------------------------------------------------------------------


def edges_of(node: Node) -> list[tuple[str, str, str]]:
    return [(edge.from_id, edge.to_id, edge.condition) for edge in node.outgoing()]


def test_arrows_chain_and_conditions_stand_before_them() -> None:
    a, b, c = Plain("a"), Plain("b"), Plain("c")
    assert (a > b) is b
    assert (a - "shared['n'] > 1" > c) is c
    first, second, third = Plain("1"), Plain("2"), Plain("3")
    assert first > second > third
    assert edges_of(a) == [("a", "b", ""), ("a", "c", "shared['n'] > 1")]
    assert (edges_of(first), edges_of(second), edges_of(third)) == ([("1", "2", "")], [("2", "3", "")], [])
    assert list(a.edges) == ["b", "c"]
    assert a.edges["c"].condition == "shared['n'] > 1"
    assert isinstance(a.edges["b"], Edge)


def test_a_conditional_arrow_chains_too() -> None:
    a, b, c = Plain("a"), Plain("b"), Plain("c")
    assert a - "True" > b > c
    assert edges_of(a) == [("a", "b", "True")]
    assert edges_of(b) == [("b", "c", "")]


def test_two_conditions_to_one_node_both_count() -> None:
    a, b = Plain("a"), Plain("b")
    assert a - "x" > b
    assert a - "y" > b
    assert [edge.condition for edge in a.outgoing()] == ["x", "y"]
    assert a.edges["b"].condition == "y"


def test_edges_that_are_put_into_the_dict_or_taken_out_count_as_the_dict_says() -> None:
    a, b, c = Plain("a"), Plain("b"), Plain("c")
    assert a > b
    a.edges["c"] = Edge("a", "c", "x")
    assert edges_of(a) == [("a", "b", ""), ("a", "c", "x")]
    del a.edges["b"]
    assert edges_of(a) == [("a", "c", "x")]
    assert c.outgoing() == []


@pytest.mark.parametrize("condition", [1, None, True, lambda shared: True])
def test_a_condition_that_is_no_text_is_a_type_error(condition: Any) -> None:
    with pytest.raises(TypeError, match="condition"):
        Plain() - condition


def test_an_arrow_to_something_else_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        _ = Plain() > "b"  # type: ignore[operator]
    with pytest.raises(TypeError):
        _ = Plain() - "x" > "b"  # type: ignore[operator]


# From JSON ------------------------------------------------------------------------------------------------------------


def test_json_names_a_class_and_gives_id_and_config() -> None:
    node = Node.from_dict({"id": "x", "class": "Plain", "config": {"k": 1}})
    assert type(node) is Plain
    assert (node.id, node.config) == ("x", {"k": 1})
    assert Node.from_dict({"class": "Plain"}).id.startswith("Plain_")


def test_an_unknown_class_is_named_with_those_that_are_known() -> None:
    with pytest.raises(ValueError, match=r"NoSuchClass.*Plain"):
        Node.from_dict({"id": "x", "class": "NoSuchClass"})


def test_a_workflows_own_class_comes_before_one_of_the_same_name() -> None:
    class Start(Node):
        pass

    own = Start

    class Start(Node):  # type: ignore[no-redef]
        pass

    assert find_node_class("Start") is Start
    assert find_node_class("Start", {"Start": own}) is own
    assert find_node_class("Start", {"Start": 5}) is Start


def test_nodes_with_another_init_are_made_too() -> None:
    class TakesNothing(Node):
        def __init__(self) -> None:
            super().__init__(max_retries=4)

    class TakesConfig(Node):
        def __init__(self, config: Any) -> None:
            super().__init__(config=config)
            self.limit = self.config["limit"]

    class TakesAll(Node):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            self.seen = (self.id, dict(self.config))

    class NeedsMore(Node):
        def __init__(self, client: Any) -> None:
            super().__init__()

    nothing = make_node(TakesNothing, "x", {"k": 1})
    assert (nothing.id, nothing.config, nothing.max_retries) == ("x", {"k": 1}, 4)
    limited = make_node(TakesConfig, "x", {"limit": 3})
    assert (limited.id, limited.limit) == ("x", 3)  # type: ignore[attr-defined]
    assert make_node(TakesAll, "x", {"k": 1}).seen == ("x", {"k": 1})  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match=r"NeedsMore.*client"):
        make_node(NeedsMore, "x", {})
