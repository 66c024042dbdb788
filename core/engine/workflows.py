"""Workflows as clients see them: listed, opened, approved, and refused where they may not run."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from core.definition.difference import diff_files
from core.definition.load import LoadedWorkflow
from core.definition.requirements import requirement_lines
from core.engine.approvals import Approvals, Verdict
from core.engine.catalog import Catalog, broken_error, is_broken
from core.engine.versions import Versions
from core.engine.views import last_run_view, workflow_detail, workflow_row
from core.errors import DefinitionError, NotApproved, UsageError
from core.flow.graph import Graph
from core.link.workflow_types import ApprovalView, FileChange, WorkflowDetail, WorkflowRow
from core.store.store import Store


class Workflows:
    """The workspace's workflows with what was approved and what ran last."""

    def __init__(self, catalog: Catalog, approvals: Approvals, versions: Versions, store: Store) -> None:
        self._catalog = catalog
        self._versions = versions
        self._approvals = approvals
        self._store = store

    async def list(self) -> list[WorkflowRow]:
        """One row a workflow, by name."""
        loaded = await self._catalog.all()
        last = await self._store.last_runs([workflow.name for workflow in loaded])
        verdicts = await asyncio.to_thread(lambda: [self._read_verdict(workflow) for workflow in loaded])
        rows = []
        for workflow, verdict in zip(loaded, verdicts, strict=True):
            last_good = await self._catalog.last_good(workflow.name) if workflow.errors else workflow.version
            rows.append(workflow_row(workflow, verdict, last_run_view(last.get(workflow.name)), last_good))
        return rows

    async def detail(self, name: str, version: str | None) -> WorkflowDetail:
        """One workflow whole: as its folder is now, or a stored version."""
        if version is None:
            loaded = await self._catalog.fresh(name)
        else:
            loaded = await self._versions.stored(name, version)
        last_good = await self._catalog.last_good(name) if loaded.errors else loaded.version
        return workflow_detail(loaded, await self._verdict(loaded), last_good, self._catalog.folder(name))

    async def graph(self, name: str) -> Graph:
        """The graph as the folder has it; where that is broken, as it last was when it could be read."""
        loaded = await self._catalog.fresh(name)
        if loaded.graph is None and (last_good := await self._catalog.last_good(name)) is not None:
            loaded = await self._versions.stored(name, last_good)
        if loaded.graph is None:
            raise broken_error(loaded, None)
        return loaded.graph

    async def runnable(self, name: str, version: str | None) -> LoadedWorkflow:
        """What a new run would run, kept as a version; raises DefinitionError or NotApproved."""
        if version is None:
            loaded = await self._catalog.fresh(name)
        else:
            loaded = await self._versions.stored(name, version)
        if is_broken(loaded):
            raise broken_error(loaded, await self._catalog.last_good(name))
        verdict = await self._verdict(loaded)
        if not verdict.approved and await self._is_foreign(loaded):
            version = (loaded.version or "")[:12]
            raise NotApproved(
                f"Version {version} of {name} came with an imported run and was never approved to run.",
                cause="Its code would run with your rights, so a person has to look at it first. Nothing was started.",
                next_step=f"See it with rondo diff {name} now {version}, make it the folder's with rondo rollback"
                f" {name} {version}; or go on under the folder as it is now.",
            )
        if not verdict.approved:
            view = await self._view(loaded)
            why = "was never approved to run" if verdict.reason == "never" else "changed since it was last approved"
            raise NotApproved(
                f"{name} {why}.",
                cause="Its code would run with your rights, so a person has to look at it first. Nothing was started."
                + _packages_sentence(view.requirements),
                next_step=f"Look at it and let it run: rondo approve {name}",
                details=[{"path": c.path, "status": c.status, "diff": c.diff} for c in view.changes],
            )
        await self._catalog.keep_version(loaded)
        return loaded

    async def approval(self, name: str) -> ApprovalView:
        """What would be approved: the folder as it is now against what was approved last."""
        return await self._view(await self._catalog.fresh(name))

    async def approve(self, name: str, version: str) -> ApprovalView:
        """Let the version run that the person was shown."""
        loaded = await self._catalog.fresh(name)
        if loaded.version != version:
            raise UsageError(
                f"{name} changed since it was shown.",
                cause=f"It is now version {(loaded.version or 'unreadable')[:12]}, not {version[:12]}.",
                next_step=f"Look at it again: rondo approve {name} --diff",
            )
        await self._catalog.keep_version(loaded)
        await asyncio.to_thread(self._approvals.approve, self._catalog.folder(name), version)
        return await self._view(loaded)

    async def _verdict(self, loaded: LoadedWorkflow) -> Verdict:
        return await asyncio.to_thread(self._read_verdict, loaded, await self._is_foreign(loaded))

    async def _is_foreign(self, loaded: LoadedWorkflow) -> bool:
        """True for a stored version that was imported; what stands in the folder is the user's."""
        return loaded.folder is None and loaded.version is not None and await self._store.is_imported(loaded.version)

    def _read_verdict(self, loaded: LoadedWorkflow, foreign: bool = False) -> Verdict:
        if loaded.version is None:
            return Verdict(False, "unreadable", None)
        return self._approvals.verdict(self._catalog.folder(loaded.name), loaded.version, foreign=foreign)

    async def _view(self, loaded: LoadedWorkflow) -> ApprovalView:
        if loaded.version is None:
            raise DefinitionError(
                f"{loaded.name} can't be read.",
                cause=loaded.errors[0].message if loaded.errors else "",
                next_step=f"See why: rondo validate {loaded.name}",
            )
        verdict = await self._verdict(loaded)
        previous = await self._store.version(verdict.previous) if verdict.previous else None
        changes = await asyncio.to_thread(diff_files, previous.files if previous else None, loaded.files)
        return ApprovalView(
            workflow=loaded.name,
            version=loaded.version,
            approved=verdict.approved,
            reason=verdict.reason,
            previous=verdict.previous,
            changes=[FileChange(path=path, status=status, diff=diff) for path, status, diff in changes],
            requirements=requirement_lines(loaded.files),
        )


def _packages_sentence(requirements: Sequence[str]) -> str:
    """What approving lets be installed, beside the workflow's own code."""
    if not requirements:
        return ""
    return f" It also asks for packages, which would be installed for it: {', '.join(requirements)}."
