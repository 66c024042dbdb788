"""What the conditions of edges saw, read back from a run."""

from __future__ import annotations

from pathlib import Path

import pytest
from workbench import Workbench

from core.engine.condition_values import places_in
from core.link.routing_types import ConditionsView


@pytest.mark.parametrize(
    ("condition", "places"),
    [
        ("shared['digest']['score'] > 80", {"shared['digest']['score']": ("digest", "score")}),
        ("shared.get('n', 0) < len(shared['mails'])", {"shared.get('n', 0)": ("n",), "shared['mails']": ("mails",)}),
        ("shared['rows'][0]['ok'] and not shared['stop']", {"shared['rows'][0]['ok']": ("rows", 0, "ok")}),
        ("shared[shared['key']] == 1", {"shared['key']": ("key",)}),
        ("'x' in shared", {}),
        ("any(row['ok'] for row in shared['rows'])", {"shared['rows']": ("rows",)}),
        ("not an expression", {}),
        ("", {}),
    ],
)
def test_a_condition_names_its_places(condition: str, places: dict[str, tuple[str | int, ...]]) -> None:
    found = dict(places_in(condition))
    assert places.items() <= found.items()
    assert bool(found) == bool(places)


def told(view: ConditionsView) -> dict[str, dict[str, str | None]]:
    return {known.to_id: {value.place: value.value for value in known.values} for known in view.conditions}


async def test_a_loop_tells_what_its_conditions_saw_each_time_around(tmp_path: Path) -> None:
    bench = Workbench(tmp_path)
    bench.write(
        "loop",
        """
        class Count(Node):
            def cleanup(self, shared, prepared, result):
                shared["n"] = shared.get("n", 0) + 1
                shared["rows"] = [1] * shared["n"]

        class Done(Node):
            pass
        """,
        edges=[("count", "count", "shared['n'] < 3"), ("count", "done", "shared.get('gone') or shared['rows']")],
    )
    async with bench.running() as engine:
        run = await bench.run("loop")
        seen = [await engine.read_conditions(run.run_id, step) for step in (0, 1, 3, 4)]
        assert [view.node for view in seen] == ["", "count", "count", "done"]
        gone = {"shared.get('gone')": None}
        assert told(seen[1]) == {"count": {"shared['n']": "1"}, "done": {**gone, "shared['rows']": "list of 1"}}
        assert told(seen[2]) == {"count": {"shared['n']": "3"}, "done": {**gone, "shared['rows']": "list of 3"}}
        assert told(seen[0]) == told(seen[3]) == {}


async def test_in_a_dag_conditions_tell_what_their_node_saw_and_not_what_ran_beside_it(tmp_path: Path) -> None:
    bench = Workbench(tmp_path)
    bench.write(
        "dag",
        """
        class Start(Node):
            def cleanup(self, shared, prepared, result):
                shared["mark"] = "start"

        class Left(Node):
            def cleanup(self, shared, prepared, result):
                shared["left"] = 1

        class Right(Node):
            def cleanup(self, shared, prepared, result):
                shared["right"] = 2

        class End(Node):
            pass
        """,
        mode="dag",
        max_parallel=1,
        edges=[
            ("start", "left"),
            ("start", "right"),
            ("left", "end", "shared['left'] == 1 and 'right' not in shared or shared['right']"),
            ("right", "end", "shared['right'] == 2 or shared['left'] or shared['mark']"),
        ],
    )
    async with bench.running() as engine:
        run = await bench.run("dag")
        assert run.status == "completed"
        steps = {view.node: view.step for view in (await engine.read_steps(run.run_id)).steps}
        left = told(await engine.read_conditions(run.run_id, steps["left"] or 0))
        right = told(await engine.read_conditions(run.run_id, steps["right"] or 0))
        assert left["end"] == {"shared['left']": "1", "shared['right']": None}
        assert right["end"] == {"shared['right']": "2", "shared['left']": None, "shared['mark']": '"start"'}
