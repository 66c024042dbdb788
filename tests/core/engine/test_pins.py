"""Which tools a workflow may call, and what of them is fixed: shown and changed, with a way back."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from composio_server import KEY, FakeComposio
from loopback import serving
from workbench import Workbench

from core.errors import DefinitionError, NotConnected, UsageError
from core.link.tool_types import ToolChange, WorkflowTool
from core.tools.pins import changed, read_pins


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Workbench]:
    fake = FakeComposio(page=100)
    async with serving(fake) as loopback:
        monkeypatch.setenv("COMPOSIO_API_KEY", KEY)
        monkeypatch.setenv("COMPOSIO_BASE_URL", loopback.url)
        bench = Workbench(tmp_path)
        bench.write("w", "class Do(Node):\n    pass")
        async with bench.running():
            request = await bench.engine.connect_tool("gmail")
            fake.accounts[request.connection_id]["status"] = "ACTIVE"
            yield bench


async def change(bench: Workbench, *changes: ToolChange) -> list[WorkflowTool]:
    return await bench.engine.change_tools(uuid.uuid4().hex, "w", list(changes))


def tools_json(bench: Workbench) -> str:
    return (bench.workspace.workflows_dir / "w" / "tools.json").read_text()


async def test_a_tool_is_added_pinned_loosened_and_taken_out(bench: Workbench) -> None:
    added = await change(bench, ToolChange(name="gmail"), ToolChange(name="team", app="weather"))
    assert [tool.name for tool in added] == ["gmail", "team"]
    assert json.loads(tools_json(bench)) == ["gmail", {"name": "team", "app": "weather"}]

    [pinned, _] = await change(bench, ToolChange(name="gmail", pin=True))
    assert pinned.connection is not None
    assert (pinned.provider, pinned.version, pinned.account) == ("composio", "20261101_00", pinned.connection.id)
    assert json.loads(tools_json(bench))[0] == {
        "name": "gmail",
        "provider": "composio",
        "version": "20261101_00",
        "account": pinned.account,
    }
    await change(
        bench, ToolChange(name="gmail", account="", version="", provider=""), ToolChange(name="team", remove=True)
    )
    assert json.loads(tools_json(bench)) == ["gmail"]
    assert [edit.title for edit in await bench.engine.list_edits("w")] == [
        "Tools: gmail changed, without team",
        "Tools: gmail pinned",
        "Tools: with gmail, with team",
    ]
    # What was changed is approved, and can be taken back.
    assert (await bench.engine.approval("w")).approved
    await bench.engine.undo_edit(uuid.uuid4().hex, "w")
    assert len(json.loads(tools_json(bench))) == 2


async def test_what_is_not_changed_keeps_its_bytes(bench: Workbench) -> None:
    path = bench.workspace.workflows_dir / "w" / "tools.json"
    path.write_text('{\n    "tools": {"slack": {"account": "ca_9", "note": "ours"},\n        "notion": {}}\n}\n')
    await change(bench, ToolChange(name="slack", account="ca_8"))
    assert json.loads(path.read_text()) == {"tools": {"slack": {"account": "ca_8", "note": "ours"}, "notion": {}}}
    before = path.read_bytes()
    await change(bench, ToolChange(name="slack", account="ca_8"))
    assert path.read_bytes() == before
    assert len(await bench.engine.list_edits("w")) == 1, "nothing was different"


async def test_what_can_t_be_done_changes_nothing(bench: Workbench) -> None:
    path = bench.workspace.workflows_dir / "w" / "tools.json"
    path.write_text('["gmail", "airtable"]')
    with pytest.raises(UsageError, match="has no tool 'slack'"):
        await change(bench, ToolChange(name="gmail", version="1"), ToolChange(name="slack", remove=True))
    with pytest.raises(NotConnected):
        await change(bench, ToolChange(name="airtable", pin=True))
    assert path.read_text() == '["gmail", "airtable"]'
    path.write_text("[")
    with pytest.raises(DefinitionError, match=r"tools\.json of w can't be read"):
        await change(bench, ToolChange(name="gmail"))
    assert path.read_text() == "["


@pytest.mark.parametrize(
    "document",
    [["a", {"name": "b", "app": "c"}], {"a": {}, "b": {"app": "c"}}, {"tools": ["a", {"name": "b", "app": "c"}]}],
)
def test_every_form_of_the_file_keeps_its_form(document: object) -> None:
    def pins(value: object) -> dict[str, str]:
        return {name: pin.account for name, pin in read_pins(json.dumps(value).encode()).items()}

    given = changed(document, "a", {"account": "x"})
    assert type(given) is type(document)
    assert pins(given) == {"a": "x", "b": ""}
    assert pins(changed(given, "a", {"account": ""})) == {"a": "", "b": ""}
    assert pins(changed(given, "b", None)) == {"a": "x"}
    assert pins(changed(given, "new", {})) == {"a": "x", "b": "", "new": ""}
