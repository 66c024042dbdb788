"""Tools through the Python API, as the first systems have them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from composio_server import KEY, FakeComposio
from loopback import serving_beside

from core import TaskOrchestrator
from core.errors import ConnectFailed, ToolUnknown

CODE = """
from core import Node


class Send(Node):
    async def execute(self, prepared):
        gmail_tool = shared["tools"]["gmail"]
        return await gmail_tool.send_email({"recipient_email": "user@example.com", "subject": "Test", "body": "x"})

    def cleanup(self, shared, prepared, result):
        shared["sent"] = result
"""


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeComposio]:
    made = FakeComposio(page=100)
    made.link_ends = (datetime.now(UTC) + timedelta(minutes=10)).isoformat()
    with serving_beside(made) as loopback:
        monkeypatch.setenv("COMPOSIO_API_KEY", KEY)
        monkeypatch.setenv("COMPOSIO_BASE_URL", loopback.url)
        yield made


def test_tools_are_found_connected_and_used(tmp_path: Path, fake: FakeComposio) -> None:
    folder = tmp_path / "workflows" / "mail"
    folder.mkdir(parents=True)
    (folder / "nodes.py").write_text(CODE)
    (folder / "tools.json").write_text('["gmail"]')
    (folder / "mail.json").write_text(json.dumps({"nodes": [{"id": "send", "class": "Send"}], "edges": []}))
    with TaskOrchestrator(workflows_dir=tmp_path / "workflows") as orchestrator:
        assert "gmail" in [tool["name"] for tool in orchestrator.list_available_tools()]
        assert orchestrator.get_tool_details("gmail")["actions"][0]["name"] == "send_email"
        assert "no account" in orchestrator.get_workflow_tools("mail")[0]["problem"]
        [lack] = orchestrator.check_workflow("mail")
        assert (lack["kind"], lack["name"]) == ("account", "gmail")
        links: list[str] = []

        def open_link(link: str) -> None:
            links.append(link)
            fake.accounts[link.rpartition("/")[2]]["status"] = "ACTIVE"

        assert orchestrator.authenticate_tool("gmail", on_link=open_link) is True
        assert len(links) == 1
        assert orchestrator.check_workflow("mail") == []
        result = asyncio.run(orchestrator.run_workflow("mail"))
        assert (result["status"], result["shared_state"]) == ("completed", {"sent": {"id": "m-1"}})
        assert [tool["name"] for tool in orchestrator.list_available_tools(connected=True)] == ["gmail"]

        def refuse(link: str) -> None:
            fake.accounts[link.rpartition("/")[2]]["status"] = "FAILED"

        assert orchestrator.authenticate_tool("gmail", on_link=refuse) is False
        with pytest.raises(ConnectFailed, match="generic_api_key"):
            orchestrator.authenticate_tool("airtable")
        assert orchestrator.authenticate_tool("airtable", {"generic_api_key": "good-key-123"})
        with pytest.raises(ToolUnknown):
            orchestrator.get_tool_details("nowhere")
