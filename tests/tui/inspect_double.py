"""The part of the engine in memory that is about breakpoints, output files, and who wrote a value."""

from __future__ import annotations

from typing import Any

from core.engine.state_parts import preview, value_at
from core.errors import UsageError
from core.link.event_types import BreakpointsChanged
from core.link.inspect_types import (
    BreakpointView,
    ChangeBreakpoint,
    OutputFile,
    OutputPage,
    OutputPart,
    WhyPage,
    WriteView,
)


class InspectDouble:
    """Breakpoints by workflow, files by run, and writes found in the states that the runs had."""

    runs: dict[str, Any]

    def __init__(self) -> None:
        super().__init__()
        self.breakpoints: list[BreakpointView] = []
        self.files: dict[str, dict[str, bytes]] = {}
        """By run: contents by path."""

    async def _called(self, method: str) -> None:
        raise NotImplementedError

    def send(self, *events: Any) -> None:
        raise NotImplementedError

    def now(self) -> float:
        raise NotImplementedError

    async def list_breakpoints(self, workflow: str | None = None, run_id: str | None = None) -> list[BreakpointView]:
        await self._called("list_breakpoints")
        return [view for view in self.breakpoints if workflow in (None, view.workflow)]

    async def change_breakpoint(self, change: ChangeBreakpoint) -> list[BreakpointView]:
        await self._called("change_breakpoint")
        name = change.workflow or self.runs[change.run_id or ""].workflow
        kept = [v for v in self.breakpoints if (v.workflow, v.run_id, v.node) != (name, change.run_id, change.node)]
        made = BreakpointView(workflow=name, node=change.node, set_at=self.now(), run_id=change.run_id)
        self.breakpoints = kept if change.clear else [*kept, made]
        self.send(BreakpointsChanged(workflow=name))
        return self.breakpoints

    def _files(self, run_id: str) -> list[OutputFile]:
        found = sorted(self.files.get(run_id, {}).items())
        return [OutputFile(path=path, size=len(data), modified_at=self.now() - 60) for path, data in found]

    async def list_output(self, run_id: str, after: str = "", limit: int = 200) -> OutputPage:
        await self._called("list_output")
        files = self._files(run_id)
        size = sum(file.size for file in files)
        return OutputPage(folder=f"/home/me/flows/runs/output/{run_id}", files=files, count=len(files), size=size)

    async def read_output(self, run_id: str, path: str, offset: int = 0, limit: int = 64 * 1024) -> OutputPart:
        await self._called("read_output")
        data = self.files[run_id][path]
        piece = data[offset : offset + limit]
        return OutputPart(path=path, size=len(data), modified_at=0.0, offset=offset, data=piece, text=b"\0" not in data)

    async def read_why(
        self,
        run_id: str,
        path: list[str | int],
        step: int | None = None,
        line: int | None = None,
        before: int | None = None,
        limit: int = 20,
    ) -> WhyPage:
        await self._called("read_why")
        run = self.runs[run_id]
        at = run.step if step is None else step
        value = preview(value_at(run.states[at], path))
        writes = []
        for seq in range(at if before is None else before - 1, -1, -1):
            now, earlier = _at(run.states[seq], path), _at(run.states[seq - 1], path) if seq else None
            if now == earlier:
                continue
            if len(writes) == limit:
                return _page(run_id, at, path, value, writes, seq + 1)
            row = next((row for row in run.steps if row.step == seq), None)
            writes.append(
                WriteView(
                    step=seq,
                    node=row.node if row else "",
                    visit=row.visit if row else 0,
                    attempt=1,
                    at=row.ended_at if row else run.created_at,
                    op="set" if now is not None else "del",
                    path=path,
                    with_path=path,
                    value=now and preview(now),
                )
            )
        return _page(run_id, at, path, value, writes, None)


def _page(
    run_id: str, step: int, path: list[str | int], value: str, writes: list[WriteView], before: int | None
) -> WhyPage:
    return WhyPage(
        run_id=run_id,
        step=step,
        path=path,
        value=value,
        writes=writes,
        next_before=before,
        next_path=path,
    )


def _at(state: Any, path: list[str | int]) -> Any:
    try:
        return value_at(state, path)
    except UsageError:
        return None
