"""The versions of a workflow: found by the words people use, listed, compared, and written back."""

from __future__ import annotations

import asyncio
import difflib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from core.definition.difference import FileDifference, diff_files
from core.definition.graph_difference import diff_graphs, summary_of
from core.definition.load import LoadedWorkflow, load_sources
from core.definition.version import version_hash
from core.engine.approvals import Approvals
from core.engine.catalog import Catalog
from core.engine.packed_files import packed_files
from core.engine.rollback import put_back
from core.errors import UnknownVersion, UnknownWorkflow, UsageError
from core.flow.graph import Graph
from core.link.workflow_types import FileChange, GraphChangeView, RollbackView, VersionDiff, VersionRef, VersionView
from core.store.operations import InsertEdit, RecordCommand
from core.store.records import VersionRow
from core.store.store import Store

NOW = "now"
SHORTEST = 4
"""Characters of a hash that name a version, where no other begins with them."""
NEAR_NAMED = 5
LISTED_AT_MOST = 100
_BACKWARDS = re.compile(r"-\d{1,6}")


@dataclass(frozen=True, slots=True)
class Side:
    """One version to compare: `graph` is None where the files give none."""

    ref: VersionRef
    graph: Graph | None
    files: Mapping[str, bytes]


class Versions:
    """What `EngineApi` offers on the versions of workflows."""

    def __init__(self, catalog: Catalog, approvals: Approvals, store: Store, now: Callable[[], float]) -> None:
        self._catalog = catalog
        self._approvals = approvals
        self._store = store
        self._now = now
        self.writing = asyncio.Lock()
        """Held while a folder is written: one rollback after the other."""
        self._summaries: dict[tuple[str, str], list[str]] = {}

    async def all(self, name: str, limit: int, before: str | None) -> list[VersionView]:
        """Versions of a workflow, the last seen first; the folder as it is comes first where it is no stored one."""
        present = await self._present(name)
        rows = await self._store.versions(name)
        runs = await self._store.version_runs(name)
        folder = self._catalog.folder(name)
        fingerprint = version_hash(present.files) if present is not None else ""
        start = 0
        if before is not None:
            start = next((place for place, row in enumerate(rows, start=1) if row.hash == before), len(rows))
        page = rows[start : start + max(1, min(limit, LISTED_AT_MOST))]
        views = []
        if before is None and present is not None and all(row.hash != fingerprint for row in rows):
            views.append(await self._unkept_view(present, fingerprint, rows))
        for place, row in enumerate(page, start=start + 1):
            older = rows[place] if place < len(rows) else None
            count, last = runs.get(row.hash, (0, None))
            foreign = bool(row.imported) and row.hash != fingerprint
            verdict = await asyncio.to_thread(self._approvals.verdict, folder, row.hash, foreign=foreign)
            views.append(
                VersionView(
                    hash=row.hash,
                    first_seen_at=row.created_at,
                    runs=count,
                    last_run_at=last,
                    approved=verdict.approved,
                    present=row.hash == fingerprint,
                    kept=True,
                    previous=older.hash if older is not None else None,
                    changes=await self._summary(name, older, row),
                )
            )
        return views

    async def find(self, name: str, word: str) -> str:
        """The hash of the stored version that a word names: the beginning of a hash, or -1. Raises UnknownVersion."""
        rows = await self._store.versions(name)
        if _BACKWARDS.fullmatch(word):
            return await self._backwards(name, int(word[1:]), rows)
        found = [row for row in rows if row.hash.startswith(word.lower())]
        if len(word) < SHORTEST or len(found) != 1:
            raise _unknown(name, word, rows, found)
        return found[0].hash

    async def stored(self, name: str, word: str) -> LoadedWorkflow:
        """The stored version that a word names, as it was. Raises UnknownVersion."""
        found = await self.find(name, word)
        record = await self._store.version(found)
        if record is None:
            raise _unknown(name, word, [], [])
        return await asyncio.to_thread(load_sources, name, record.files)

    async def diff(self, name: str, before: str, after: str) -> VersionDiff:
        """What leads from one version to another."""
        old, new = await self._side(name, before), await self._side(name, after)
        files = await asyncio.to_thread(diff_files, old.files, new.files)
        graph = []
        if old.graph is not None and new.graph is not None:
            graph = await asyncio.to_thread(diff_graphs, old.graph, new.graph)
        unreadable = [side.ref.word for side in (old, new) if side.graph is None and side.files]
        return VersionDiff(
            workflow=name,
            before=old.ref,
            after=new.ref,
            graph=[GraphChangeView(**change._asdict()) for change in graph],
            files=[FileChange(path=path, status=status, diff=diff) for path, status, diff in files],
            note=f"The graph of {' and '.join(unreadable)} can't be read: see the files." if unreadable else "",
        )

    async def rollback(
        self, name: str, word: str, expected: str, command: Callable[[str], RecordCommand]
    ) -> RollbackView:
        """Make the folder that version again.

        What was there goes into `backups/`. A version that was approved stays so, one that never was does not become
        it. Raises UsageError where the folder is not what the person saw, EnvironmentProblem where it can't be written.
        """
        version = await self.find(name, word)
        record = await self._store.version(version)
        if record is None:
            raise _unknown(name, word, [], [])
        present = await self._present(name)
        files = present.files if present is not None else {}
        if version_hash(files) != expected:
            raise UsageError(
                f"{name} changed since it was shown.",
                cause="Someone saved files of it meanwhile; nothing was written.",
                next_step=f"Look at it again: rondo diff {name} now {version[:12]}",
            )
        if present is not None and not present.errors:
            # What is there now can be brought back in the same way.
            await self._catalog.keep_version(present)
        folder = self._catalog.folder(name)
        done = await asyncio.to_thread(put_back, folder, files, record.files, version, self._now())
        verdict = await asyncio.to_thread(self._approvals.verdict, folder, version)
        if verdict.reason == "approved":
            # It becomes what later changes are compared with.
            await asyncio.to_thread(self._approvals.approve, folder, version)
        view = RollbackView(
            workflow=name,
            version=version,
            previous=version_hash(files) if files else None,
            backup=str(done.backup) if done.backup is not None else None,
            written=done.written,
            removed=done.removed,
            approved=verdict.approved,
        )
        edit = InsertEdit(
            workflow=name,
            at=self._now(),
            author="rollback",
            title=f"Back to version {version[:12]}",
            before=view.previous,
            after=version,
            content=packed_files(name, files, record.files),
        )
        noted = [edit] if files != record.files else []
        await self._store.commit([command(msgspec.json.encode(view).decode()), *noted])
        await self._catalog.fresh(name)
        return view

    # Finding ------------------------------------------------------------------------------------------------------

    async def _present(self, name: str) -> LoadedWorkflow | None:
        """The workflow as its folder is; None where the folder is gone and versions of it are there."""
        try:
            return await self._catalog.fresh(name)
        except UnknownWorkflow:
            if await self._store.versions(name):
                return None
            raise

    async def _backwards(self, name: str, count: int, rows: Sequence[VersionRow]) -> str:
        """The version that was first seen so many before the present one; before a folder that is none, the last."""
        present = await self._present(name)
        fingerprint = version_hash(present.files) if present is not None else ""
        place = next((place for place, row in enumerate(rows) if row.hash == fingerprint), -1)
        if not 0 <= place + count < len(rows):
            raise _unknown(name, f"-{count}", rows, [])
        return rows[place + count].hash

    async def _side(self, name: str, word: str) -> Side:
        if word == NOW:
            present = await self._present(name)
            files = present.files if present is not None else {}
            fingerprint = version_hash(files)
            record = await self._store.version(fingerprint)
            ref = VersionRef(word=NOW, hash=fingerprint, kept=record is not None)
            return Side(ref, present.graph if present is not None else None, files)
        found = await self.find(name, word)
        record = await self._store.version(found)
        if record is None:
            raise _unknown(name, word, [], [])
        graph = Graph.from_dict(json.loads(record.graph))
        return Side(VersionRef(word=word, hash=found, kept=True, first_seen_at=record.created_at), graph, record.files)

    # Summaries ----------------------------------------------------------------------------------------------------

    async def _unkept_view(self, present: LoadedWorkflow, fingerprint: str, rows: Sequence[VersionRow]) -> VersionView:
        """The folder as it is, where it is no stored version: it has errors, or can't be read whole."""
        newest = await self._store.version(rows[0].hash) if rows else None
        changes = _said(await asyncio.to_thread(diff_files, newest.files if newest else {}, present.files))
        errors = len(present.errors)
        if errors:
            changes.insert(0, f"{errors} error{'' if errors == 1 else 's'}")
        return VersionView(
            hash=fingerprint,
            first_seen_at=None,
            runs=0,
            last_run_at=None,
            approved=False,
            present=True,
            kept=False,
            previous=rows[0].hash if rows else None,
            changes=changes,
        )

    async def _summary(self, name: str, older: VersionRow | None, newer: VersionRow) -> list[str]:
        """In a few words what a version changed; versions never change, so it is worked out once."""
        if older is None:
            return ["the first version"]
        pair = (older.hash, newer.hash)
        if pair not in self._summaries:
            old, new = await self._store.version(older.hash), await self._store.version(newer.hash)
            assert old is not None and new is not None
            graphs = [Graph.from_dict(json.loads(record.graph)) for record in (old, new)]
            changes = await asyncio.to_thread(diff_graphs, *graphs)
            files = await asyncio.to_thread(diff_files, old.files, new.files)
            graph = summary_of(changes)
            others = [file for file in files if not graph or file.path != f"{name}.json"]
            self._summaries[pair] = [*([graph] if graph else []), *_said(others)]
        return self._summaries[pair]


def _said(files: Sequence[FileDifference]) -> list[str]:
    """Changed files in a few words: "nodes.py +3 -1"."""
    return [_file_words(file) for file in files]


def _file_words(file: FileDifference) -> str:
    if file.status != "changed":
        return f"{file.path} {file.status}"
    lines = file.diff.splitlines()[2:]
    plus, minus = (sum(line.startswith(sign) for line in lines) for sign in "+-")
    return f"{file.path} +{plus} -{minus}"


def _unknown(name: str, word: str, rows: Sequence[VersionRow], found: Sequence[VersionRow]) -> UnknownVersion:
    """The refusal of a word that names no version or several, with those that come near."""
    message = f"{name} has no stored version {word!r}."
    if len(found) > 1:
        message = f"{word!r} names several versions of {name}."
    near = list(found) or [row for row in rows if difflib.SequenceMatcher(None, row.hash[:12], word[:12]).ratio() > 0.6]
    kind = "They are" if found else "Near it" if near else "The last ones"
    named = [row.hash[:12] for row in (near or rows)][:NEAR_NAMED]
    cause = (
        f"{kind}: {', '.join(named)}." if named else "None is kept: a version is kept once it is seen without errors."
    )
    if 0 < len(word) < SHORTEST and not _BACKWARDS.fullmatch(word):
        cause = f"A hash needs at least {SHORTEST} characters. {cause}"
    return UnknownVersion(
        message, cause=cause, next_step=f"See them all: rondo versions {name}", details=[row.hash for row in near]
    )
