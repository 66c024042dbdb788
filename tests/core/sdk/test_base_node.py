"""Nodes with one method from state to state."""

from __future__ import annotations

from typing import Any

import pytest

from core.sdk import BaseNode, Node, make_node


class Adds(BaseNode):
    async def execute(self, state: Any) -> Any:
        state["n"] = state.get("n", 0) + 1
        return state


class Replaces(BaseNode):
    def __init__(self, node_id: str, node_type: str = "task") -> None:
        super().__init__(node_id, node_type)

    async def execute(self, state: Any) -> Any:
        return {**{key: value for key, value in state.items() if key != "old"}, "new": 1}


class Wrong(BaseNode):
    async def execute(self, state: Any) -> Any:
        return 5


async def test_the_returned_state_is_the_state() -> None:
    shared = {"n": 1}
    assert await Adds("a", "task").run_standalone(shared) is shared
    assert shared == {"n": 2}
    changed = {"old": 1, "kept": 2}
    assert await Replaces("a").run_standalone(changed) is changed
    assert changed == {"kept": 2, "new": 1}


async def test_anything_else_that_is_returned_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Wrong.execute returned int; it must return the state"):
        await Wrong("a", "task").run_standalone({})
    with pytest.raises(TypeError, match=r"the id of the next node"):
        await Wrong("a", "agent").run_standalone({})


def test_it_is_made_from_json_like_every_node() -> None:
    node = Node.from_dict({"id": "x", "class": "Adds", "config": {"node_type": "agent", "k": 1}})
    assert isinstance(node, Adds)
    assert (node.id, node.node_id, node.node_type, node.config) == ("x", "x", "agent", {"node_type": "agent", "k": 1})
    own_init = make_node(Replaces, "y", {"k": 1})
    assert (own_init.id, own_init.config) == ("y", {"k": 1})


@pytest.mark.parametrize("parameters", ["node_id", "node_id, node_type", "**named", "*all", "id, config", ""])
def test_whatever_its_init_takes(parameters: str) -> None:
    names: dict[str, Any] = {"BaseNode": BaseNode}
    given = ", ".join(f"{name}={name}" if name in ("id", "config") else name for name in parameters.split(", ") if name)
    exec(f"class Made(BaseNode):\n  def __init__(self, {parameters}): BaseNode.__init__(self, {given})", names)
    node = make_node(names["Made"], "x", {"k": 1})
    assert (node.id, node.node_id, node.node_type, node.config) == ("x", "x", "task", {"k": 1})  # type: ignore[attr-defined]


def test_id_and_type_by_position_as_its_users_write_it() -> None:
    node = BaseNode("a", "agent")
    assert (node.id, node.node_id, node.node_type) == ("a", "a", "agent")
