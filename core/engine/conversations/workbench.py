"""What the assistant of one conversation may ask of the engine; nothing here writes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from core.assistant.workbench import ClassExample, DryRun
from core.definition.examples import example_names, examples_folder
from core.definition.load import LoadedWorkflow, load_folder
from core.engine.catalog import Catalog
from core.engine.conversations.journal import Journal
from core.engine.conversations.naming import free_name, name_after
from core.errors import RondoError

SOURCE_LIMIT = 6_000
"""Characters of a class that is shown as an example."""
_WORD = re.compile(r"[a-z]+|\d+")

TryRun = Callable[[str, Mapping[str, bytes], dict[str, Any], str | None], Awaitable[DryRun]]


class EngineWorkbench:
    """Implements `core.assistant.workbench.Workbench` for one workflow, which need not exist yet."""

    def __init__(self, workflow: str, catalog: Catalog, journal: Journal, try_run: TryRun) -> None:
        self._workflow = workflow
        self._catalog = catalog
        self._journal = journal
        self._try_run = try_run

    async def files(self) -> dict[str, bytes]:
        """The workflow's files as they are now; none where it is not there yet."""
        return await self._journal.files(self._workflow)

    async def name_for(self, goal: str) -> str:
        """A free name of the goal's first words, which the workflow has from now on."""
        self._workflow = free_name(name_after(goal), await self.workflows())
        return self._workflow

    async def tools(self) -> list[str]:
        """The tools that workflows of this workspace name."""
        return sorted({tool for loaded in await self._catalog.all() for tool in loaded.tools})

    async def workflows(self) -> list[str]:
        """The names of the other workflows."""
        return [loaded.name for loaded in await self._catalog.all() if loaded.name != self._workflow]

    async def examples(self, query: str, limit: int) -> list[ClassExample]:
        """Node classes of other workflows, and of the shipped examples, whose name, text or code has the words."""
        known = [loaded for loaded in await self._catalog.all() if loaded.name != self._workflow]
        return await asyncio.to_thread(_examples, known, query, limit)

    async def dry_run(self, files: Mapping[str, bytes], inputs: dict[str, Any], until: str | None) -> DryRun:
        """Run the draft in an isolated process, if a person has allowed that for this conversation."""
        return await self._try_run(self._workflow, files, inputs, until)


def _examples(known: list[LoadedWorkflow], query: str, limit: int) -> list[ClassExample]:
    wanted = set(_words(query))
    found: list[tuple[int, ClassExample]] = []
    names = {loaded.name for loaded in known}
    for loaded in [*known, *_shipped(names)]:
        for known_class in loaded.code.classes():
            score = 4 * len(wanted & set(_words(known_class.name))) + 2 * len(wanted & set(_words(known_class.doc)))
            score += len(wanted & set(_words(known_class.source[:SOURCE_LIMIT])))
            if score:
                example = ClassExample(
                    loaded.name, known_class.name, known_class.doc, known_class.source[:SOURCE_LIMIT]
                )
                found.append((score, example))
    found.sort(key=lambda entry: -entry[0])
    return [example for _, example in found[:limit]]


def _shipped(taken: set[str]) -> list[LoadedWorkflow]:
    try:
        folder = examples_folder()
        return [load_folder(folder / name) for name in example_names() if name not in taken]
    except (RondoError, OSError):
        return []


def _words(text: str) -> list[str]:
    """Words in lower case, names in one word taken apart."""
    return _WORD.findall(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text).lower())
