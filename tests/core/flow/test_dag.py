"""Mode dag: what runs, what is skipped and what comes out depend on the graph alone, whatever the timing."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import DefinitionError, StateConflict
from core.flow.dag import DagInterpreter, PastStep
from core.flow.dag_shape import DagShape, find_cycle, topological
from core.flow.dag_state import Changes
from core.flow.delta import apply_delta
from core.flow.graph import EdgeSpec, Graph, NodeSpec
from core.flow.journal import AttemptPlan, AttemptRecord, Request, StepRecord
from core.flow.visit import VisitFailed
from core.sdk import Node

TEN_SECONDS = 10.0


class Recorder:
    """A journal in memory; the test lets go what runs, answers what is asked and makes steps durable."""

    def __init__(self) -> None:
        self.steps: list[StepRecord] = []
        self.began: dict[str, set[str]] = {}
        """The nodes that have begun, each with those whose steps were durable then."""
        self.durable: set[str] = set()
        self.failed: list[AttemptRecord] = []
        self.waited = 0
        self.gates: dict[str, asyncio.Future[Any]] = {}
        self.at_once = 0
        self._running = 0

    def now(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)

    def random(self) -> float:
        return 0.5

    def clock(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    def started(self, node: str, visit: int, attempt: int, plan: AttemptPlan) -> None:
        self.began[node] = set(self.durable)

    def attempt_failed(self, record: AttemptRecord) -> None:
        self.failed.append(record)

    async def gate(self, name: str) -> Any:
        self.gates[name] = asyncio.get_running_loop().create_future()
        self._running += name.startswith("run ")
        self.at_once = max(self.at_once, self._running)
        try:
            return await self.gates[name]
        finally:
            self._running -= name.startswith("run ")
            self.gates.pop(name, None)

    async def step(self, record: StepRecord) -> None:
        assert record.seq == len(self.steps) + 1
        self.steps.append(record)
        await self.gate(f"step {record.node}")
        self.durable.add(record.node)

    async def request(self, request: Request) -> Any:
        return await self.gate(f"ask {request.node}")

    def waits(self) -> None:
        self.waited += 1

    def log(self, level: str, text: str, node: str = "", visit: int = 0, attempt: int = 0) -> None:
        raise AssertionError(text)


Act = Callable[[Node, dict[str, Any]], None]


def make_node(node_id: str, act: Act, journal: Recorder, *, asks: bool = False) -> Node:
    class Acting(Node):
        async def prepare(self, shared: dict[str, Any], request_input: Any) -> None:
            if asks:
                await request_input("?")

        async def execute(self, prepared: Any) -> None:
            await journal.gate(f"run {node_id}")

        def cleanup(self, shared: dict[str, Any], prepared: Any, result: Any) -> None:
            act(self, shared)

    return Acting(node_id)


def graph_of(ids: list[str], edges: list[tuple[str, str, str]], **fields: Any) -> Graph:
    nodes = {
        node_id: NodeSpec(node_id, "Acting", priority=fields.get("priority", {}).get(node_id, 0)) for node_id in ids
    }
    fields.pop("priority", None)
    return Graph("g", nodes, tuple(EdgeSpec(*edge) for edge in edges), ids[0], mode="dag", **fields)


async def play(
    graph: Graph,
    act: Act,
    choose: Callable[[list[str]], str],
    *,
    history: list[StepRecord] | None = None,
    stop_after: int | None = None,
    initial: dict[str, Any] | None = None,
    asking: str = "",
) -> tuple[DagInterpreter, Recorder]:
    """Run a dag; `choose` says which of what waits goes on next. With `stop_after` it ends after so many steps."""
    journal = Recorder()
    nodes = {node_id: make_node(node_id, act, journal, asks=node_id in asking) for node_id in graph.nodes}
    past = [past_step(record) for record in history or []]
    interpreter = DagInterpreter(graph, nodes, journal, json.dumps(initial or {}).encode(), history=past)
    journal.steps = list(history or [])
    if interpreter.position.next_node is None:
        return interpreter, journal
    running = asyncio.ensure_future(interpreter.run())
    async with asyncio.timeout(TEN_SECONDS):
        while not running.done():
            for _ in range(6):  # Until everything that can has come to a gate.
                await asyncio.sleep(0)
            if stop_after is not None and len(journal.steps) >= stop_after:
                running.cancel()
                await asyncio.wait([running])
                return interpreter, journal
            if journal.gates:
                name = choose(sorted(journal.gates))
                gate = journal.gates[name]
                if not gate.done():
                    gate.set_result("answer")
    running.result()
    return interpreter, journal


def past_step(record: StepRecord) -> PastStep:
    """A step as it comes back from the store."""
    changes = Changes(record.own or record.delta.operations, record.delta.blobs)
    return PastStep(record.node, changes, record.routing.taken, record.routing.refused)


# Any graph ------------------------------------------------------------------------------------------------------------

REDUCERS = {"log": "append", "joined": "merge", "last": "last"}


@dataclass
class Case:
    ids: list[str]
    edges: list[tuple[str, str, str]]
    priority: dict[str, int]
    limit: int | None
    seed: int
    holds: dict[tuple[str, str], bool] = field(default_factory=dict)

    @property
    def graph(self) -> Graph:
        return graph_of(self.ids, self.edges, priority=self.priority, max_parallel=self.limit, reducers=REDUCERS)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    size = draw(st.integers(1, 8))
    names = [f"n{number}" for number in range(size)]
    edges, holds = [], {}
    for later in range(size):
        for earlier in range(later):
            if draw(st.integers(0, 2)) == 0:
                pair = names[earlier], names[later]
                kind = draw(
                    st.sampled_from(["", "True", "shared['{0}'] == '{0}'", "shared['{0}'] != '{0}'", "nothing"])
                )
                edges.append((*pair, kind.format(pair[0])))
                holds[pair] = kind in ("", "True") or "==" in kind
    # The file may have the nodes in any order.
    ids = draw(st.permutations(names))
    return Case(
        ids,
        draw(st.permutations(edges)),
        {node_id: draw(st.integers(0, 2)) for node_id in ids},
        draw(st.sampled_from([1, 2, 3, None])),
        draw(st.integers(0, 2**32)),
        holds,
    )


def act_of_any(node: Node, shared: dict[str, Any]) -> None:
    seen = sorted(key for key in shared if key.startswith("n"))
    shared[node.id] = node.id
    shared["saw " + node.id] = seen
    shared.setdefault("log", []).append(node.id)
    shared.setdefault("joined", {}).setdefault("by", {})[node.id] = len(seen)
    shared["last"] = {"by": node.id}


def model(case: Case) -> tuple[set[str], dict[str, Any]]:
    """Which nodes run and what the state is in the end, worked out plainly."""
    order = topological(case.ids, [(source, target) for source, target, _ in case.edges])
    done: dict[str, set[str]] = {}
    reachable: dict[str, set[str]] = {}
    state: dict[str, Any] = {}
    for node_id in order:
        sources = [source for source, target, _ in case.edges if target == node_id]
        reachable[node_id] = set().union(*({source} | reachable[source] for source in sources))
        if sources and not any(source in done and case.holds[source, node_id] for source in sources):
            continue
        seen = reachable[node_id] & set(done)
        done[node_id] = seen
        state[node_id] = node_id
        state["saw " + node_id] = sorted(seen)
        state.setdefault("log", []).append(node_id)
        state.setdefault("joined", {"by": {}})["by"][node_id] = len(seen)
        state["last"] = {"by": node_id}
    return set(done), state


@settings(max_examples=80, deadline=None)
@given(cases())
def test_what_runs_and_what_comes_out_is_the_same_whatever_the_timing(case: Case) -> None:
    done, state = model(case)

    async def check() -> None:
        interpreter, journal = await play(case.graph, act_of_any, random.Random(case.seed).choice)
        assert {record.node for record in journal.steps} == done == set(journal.began)
        assert set(interpreter.skipped) == set(case.ids) - done
        shape = DagShape(case.graph)
        for node_id, durable in journal.began.items():
            assert set(shape.members(shape.ancestors[node_id])) & done <= durable
        assert interpreter.state == state
        assert journal.steps[-1].routing.next is None
        assert case.limit is None or journal.at_once <= case.limit
        assert_folds(journal.steps, state)

    asyncio.run(check())


@settings(max_examples=50, deadline=None)
@given(cases(), st.data())
def test_a_run_that_was_broken_off_goes_on_to_the_same_end_and_repeats_nothing(case: Case, data: st.DataObject) -> None:
    done, state = model(case)

    async def check() -> None:
        history: list[StepRecord] = []
        choose = random.Random(case.seed).choice
        while len(history) < len(done):
            some = data.draw(st.integers(1, len(done) - len(history)))
            interpreter, journal = await play(
                case.graph, act_of_any, choose, history=history, stop_after=len(history) + some
            )
            kept = data.draw(st.integers(len(history) + 1, len(journal.steps)))
            assert not {record.node for record in history} & set(journal.began)
            history = journal.steps[:kept]  # The last ones may have been sent and never become durable.
        interpreter, _ = await play(case.graph, act_of_any, choose, history=history)
        assert interpreter.state == state and set(interpreter.skipped) == set(case.ids) - done
        assert_folds(history, state)

    asyncio.run(check())


def assert_folds(steps: list[StepRecord], state: dict[str, Any]) -> None:
    """What the store makes of the deltas, one after the other, is the state of the run."""
    folded: dict[str, Any] = {}
    for record in steps:
        apply_delta(folded, record.delta.operations, record.delta.blobs)
    assert folded == state


@given(cases())
def test_a_graph_has_a_cycle_that_is_named_just_where_an_edge_leads_back(case: Case) -> None:
    pairs = [(source, target) for source, target, _ in case.edges]
    assert find_cycle(case.ids, pairs) == []
    shape = DagShape(case.graph)
    for target in case.ids:
        for source in shape.members(shape.ancestors[target]):
            cycle = find_cycle(case.ids, [*pairs, (target, source)])
            assert cycle[0] == cycle[-1] and (target, source) in set(itertools.pairwise(cycle))
    with pytest.raises(DefinitionError, match="n0 → n0"):
        DagShape(graph_of(["n0"], [("n0", "n0", "")]))


# Conflicts and reducers -----------------------------------------------------------------------------------------------

VALUES = st.sampled_from([1, "x", [1], {"k": 1}, {}])
PATHS = st.sampled_from([("a",), ("a", "b"), ("a", "c"), ("a", "b", "d"), ("e",), ("e", "f")])
INITIAL = {"a": {"b": {"d": 0, "x": 0}, "c": 0, "x": 0}, "e": {"f": 0, "x": 0}}


def put(state: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for part in path[:-1]:
        state = state[part]
    state[path[-1]] = value


@given(PATHS, PATHS, VALUES, VALUES, st.integers(0, 9))
def test_independent_changes_clash_just_where_one_place_lies_in_the_other(
    one: tuple[str, ...], other: tuple[str, ...], first: Any, second: Any, seed: int
) -> None:
    def act(node: Node, shared: dict[str, Any]) -> None:
        put(shared, *((one, first) if node.id == "p" else (other, second)))

    async def check() -> None:
        graph = graph_of(["p", "q"], [])
        choose = random.Random(seed).choice
        if one[: len(other)] == other[: len(one)]:
            with pytest.raises(VisitFailed) as raised:
                await play(graph, act, choose, initial=INITIAL)
            assert isinstance(raised.value.error, StateConflict)
            assert set(raised.value.error.details["nodes"]) == {"p", "q"}
        else:
            expected = json.loads(json.dumps(INITIAL))
            put(expected, one, first)
            put(expected, other, second)
            interpreter, _ = await play(graph, act, choose, initial=INITIAL)
            assert interpreter.state == expected

    asyncio.run(check())


Make = Callable[[dict[str, Any], str], None]


def run_all(make: Make, reducers: dict[str, str], ids: str = "pqr", initial: dict[str, Any] | None = None) -> list[Any]:
    """The states that independent nodes end in, by several timings."""

    async def once(seed: int) -> Any:
        graph = graph_of(list(ids), [], reducers=reducers)
        return (await play(graph, lambda n, shared: make(shared, n.id), random.Random(seed).choice, initial=initial))[
            0
        ].state

    async def several() -> list[Any]:
        return [await once(seed) for seed in range(6)]

    return asyncio.run(several())


def test_append_joins_lists_in_the_order_of_the_file() -> None:
    def make(shared: dict[str, Any], me: str) -> None:
        shared["out"] = [*shared.get("out", []), me, me.upper()]

    for initial in ({}, {"out": ["zero"]}):
        expected = [*initial.get("out", []), "p", "P", "q", "Q", "r", "R"]
        assert run_all(make, {"out": "append"}, initial=initial) == [{"out": expected}] * 6


def test_append_of_something_else_than_more_items_is_a_conflict() -> None:
    def make(shared: dict[str, Any], me: str) -> None:
        shared["out"] = [me]

    with pytest.raises(VisitFailed, match="StateConflict"):
        run_all(make, {"out": "append"}, initial={"out": ["zero"]})


def test_merge_joins_dicts_at_all_levels_and_refuses_one_key_twice() -> None:
    def make(shared: dict[str, Any], me: str) -> None:
        shared["out"] = {"by": {me: {"n": 1}}, f"only {me}": True}

    expected = {"by": {me: {"n": 1} for me in "pqr"}, **{f"only {me}": True for me in "pqr"}}
    assert run_all(make, {"out": "merge"}) == [{"out": expected}] * 6

    def same(shared: dict[str, Any], me: str) -> None:
        shared["out"] = {"by": {"all": me}}

    with pytest.raises(VisitFailed, match=r"shared\['out'\]\['by'\]\['all'\]"):
        run_all(same, {"out": "merge"})


def test_last_is_the_last_by_the_order_of_the_graph_not_by_the_clock() -> None:
    def make(shared: dict[str, Any], me: str) -> None:
        shared.setdefault("out", {})["by"] = me

    assert run_all(make, {"out": "last"}) == [{"out": {"by": "r"}}] * 6
    assert (
        run_all(make, {"out": "last"}, ids="rqp", initial={"out": {"by": 0, "more": 1}})
        == [{"out": {"by": "p", "more": 1}}] * 6
    )


def test_a_node_that_follows_may_change_what_independent_ones_joined() -> None:
    def act(node: Node, shared: dict[str, Any]) -> None:
        if node.id == "end":
            shared["out"] = {"sorted": sorted(shared["out"], reverse=True)}
        else:
            shared.setdefault("out", []).append(node.id)

    async def check() -> None:
        graph = graph_of(["p", "q", "end"], [("p", "end", ""), ("q", "end", "")], reducers={"out": "append"})
        for seed in range(4):
            interpreter, _ = await play(graph, act, random.Random(seed).choice)
            assert interpreter.state == {"out": {"sorted": ["q", "p"]}}

    asyncio.run(check())


def test_many_small_changes_in_one_dict_clash_no_more_than_a_few() -> None:
    initial = {"table": {f"{side}{number}": 0 for side in "pqr" for number in range(20)}}

    def make(shared: dict[str, Any], me: str) -> None:
        for number in range(20):
            shared["table"][f"{me}{number}"] = 1

    assert run_all(make, {}, initial=initial) == [{"table": dict.fromkeys(initial["table"], 1)}] * 6


# Waiting --------------------------------------------------------------------------------------------------------------


async def test_who_waits_for_an_answer_gives_its_place_away_and_takes_it_again() -> None:
    graph = graph_of(["p", "q", "r"], [], max_parallel=1)
    order = ["run r", "step r", "ask q", "ask p", "run q", "step q", "run p", "step p"]

    def choose(names: list[str]) -> str:
        while order and order[0] not in names:
            order.append(order.pop(0))
        return order.pop(0)

    _, journal = await play(graph, lambda node, shared: None, choose, asking="pq")
    assert journal.at_once == 1 and journal.waited >= 1
    assert [record.node for record in journal.steps] == ["r", "q", "p"]


async def test_a_failure_stops_those_that_wait_and_lets_those_that_run_end() -> None:
    graph = graph_of(["ask", "bad", "run", "next"], [("run", "next", "")])

    def act(node: Node, shared: dict[str, Any]) -> None:
        if node.id == "bad":
            raise ValueError("no")

    order = iter(["run bad", "run run", "step run"])

    def choose(names: list[str]) -> str:
        wanted = next(order)
        assert wanted in names
        return wanted

    with pytest.raises(VisitFailed, match="no"):
        await play(graph, act, choose, asking="ask")
    assert next(order, None) is None
