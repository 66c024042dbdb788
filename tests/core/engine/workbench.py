"""A workspace to try an engine in: workflows written by the test, real store, real run processes."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any

from core.engine.engine import Engine
from core.link.types import AT_REST, Answer, LogLine, LogQuery, RunView, StartRun
from core.places import Workspace

LIMIT_SECONDS = 60.0


class Workbench:
    """One workspace and at most one engine on it at a time; `crash` leaves what a kill would leave."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.workspace = Workspace.at(root)
        self.workspace.workflows_dir.mkdir(parents=True, exist_ok=True)
        self.workspace.runs_dir.mkdir(exist_ok=True)
        self.engine: Engine

    def write(self, name: str, source: str, *, edges: list[Any] | None = None, **graph: Any) -> Path:
        """Write a workflow: node ids are the class names in lower case unless `graph` says otherwise."""
        code = "from core.sdk import Node\n\n" + dedent(source)
        folder = self.workspace.workflows_dir / name
        folder.mkdir(exist_ok=True)
        (folder / "nodes.py").write_text(code)
        if "nodes" not in graph:
            classes = [
                line.split("(")[0].removeprefix("class ") for line in code.splitlines() if line.startswith("class ")
            ]
            graph["nodes"] = [{"id": known.lower(), "class": known} for known in classes]
        entries = [
            {"from": edge[0], "to": edge[1], **({"condition": edge[2]} if len(edge) > 2 else {})}
            for edge in edges or []
        ]
        (folder / f"{name}.json").write_text(json.dumps({"name": name, "edges": entries, **graph}, indent=1))
        return folder

    def settings(self, text: str) -> None:
        """Write the workspace's settings; they hold for engines that start later, for others within a second."""
        (self.root / "rondo.toml").write_text(text)

    @asynccontextmanager
    async def running(self, **options: Any):
        """An engine on this workspace, closed at the end."""
        self.engine = Engine(self.workspace, **{"consent": True, **options})
        await self.engine.start()
        try:
            yield self.engine
        finally:
            await self.engine.close()

    async def start(self, workflow: str, inputs: dict[str, Any] | None = None, **fields: Any) -> RunView:
        """Start a run and return at once."""
        return await self.engine.start_run(
            StartRun(command_id=uuid.uuid4().hex, workflow=workflow, inputs=inputs or {}, **fields)
        )

    async def run(self, workflow: str, inputs: dict[str, Any] | None = None, **fields: Any) -> RunView:
        """Start a run and wait until it is at rest."""
        return await self.rest((await self.start(workflow, inputs, **fields)).run_id)

    async def rest(self, run_id: str) -> RunView:
        """Wait until the run is at rest."""
        return await self.until(run_id, lambda view: view.status in AT_REST)

    async def until(
        self, run_id: str, condition: Callable[[RunView], bool], *, seconds: float = LIMIT_SECONDS
    ) -> RunView:
        """Wait until the run meets a condition, looking again at every event."""
        events = self.engine.events()
        async with asyncio.timeout(seconds):
            while not condition(view := await self.engine.get_run(run_id)):
                await anext(events)
        return view

    async def answer(self, run_id: str, request: str, value: Any) -> RunView:
        """Answer and return at once."""
        return await self.engine.answer(
            Answer(command_id=uuid.uuid4().hex, run_id=run_id, request=request, value=value)
        )

    def database_bytes(self) -> int:
        """How large the database is, with its log."""
        database = self.workspace.database
        return database.stat().st_size + Path(f"{database}-wal").stat().st_size

    async def state(self, run_id: str, seq: int | None = None, line: int | None = None) -> Any:
        """The whole state of a run."""
        data = b""
        size = 1
        while len(data) < size:
            chunk = await self.engine.read_state_chunk(run_id, seq, len(data), line)
            data, size = data + chunk.data, chunk.size
        return json.loads(data)

    async def log_lines(self, run_id: str, **query: Any) -> list[LogLine]:
        """The lines of a run's log."""
        return (await self.engine.read_logs(LogQuery(run_id=run_id, limit=2_000, **query))).lines

    async def log(self, run_id: str, **query: Any) -> list[str]:
        """The texts of a run's log."""
        page = await self.engine.read_logs(LogQuery(run_id=run_id, limit=2_000, **query))
        return [line.text for line in page.lines]
