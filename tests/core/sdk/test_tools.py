"""Tools and the narrow view of `shared`."""

from __future__ import annotations

import pytest

from core.errors import RondoError, ToolMissing
from core.sdk import SharedView, Tools, shared_view


def test_a_missing_tool_is_named_with_those_that_are_there() -> None:
    tools = Tools({"gmail": 1})
    assert tools["gmail"] == 1
    assert tools.get("slack") is None
    assert ("slack" in tools, list(tools), len(tools)) == (False, ["gmail"], 1)
    with pytest.raises(KeyError) as caught:
        tools["slack"]
    assert isinstance(caught.value, ToolMissing)
    assert isinstance(caught.value, RondoError)
    assert str(caught.value) == "There is no tool 'slack'."
    assert "gmail" in caught.value.cause


def test_the_view_of_a_module_holds_tools_and_says_so_for_everything_else() -> None:
    view = SharedView(Tools({"gmail": 1}))
    assert view["tools"]["gmail"] == 1
    assert list(view) == ["tools"] == list(shared_view)
    with pytest.raises(KeyError, match=r"prepare"):
        view["name"]
    with pytest.raises(ToolMissing, match="gmail"):
        shared_view["tools"]["gmail"]
