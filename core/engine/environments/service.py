"""Environments as clients see them: looked at, made, given up, removed."""

from __future__ import annotations

import asyncio
from typing import Any

import structlog

from core.definition.load import LoadedWorkflow
from core.engine.catalog import Catalog
from core.engine.environments.cache import Environment, Need, need_of
from core.engine.environments.making import Environments, Making
from core.engine.workflows import Workflows
from core.errors import RondoError, UsageError
from core.link.types import ErrorView
from core.link.workflow_types import EnvironmentView, PackageView

log = structlog.get_logger()

LINES_AT_ONCE = 500
LINE_LENGTH = 400
PACKAGES_SHOWN = 500
"""Packages of one environment in a list of environments; asked for alone, all are told."""


class EnvironmentService:
    """What `EngineApi` offers on environments."""

    def __init__(self, catalog: Catalog, workflows: Workflows, environments: Environments) -> None:
        self._catalog = catalog
        self._workflows = workflows
        self._environments = environments
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._pruning: asyncio.Task[list[Environment]] | None = None
        self._acted: set[str] = set()
        self._ended: dict[str, Making] = {}

    def start(self, days: float) -> None:
        """Remove what was not used for so many days, in the background."""
        removing = asyncio.to_thread(self._environments.cache.prune, days)
        self._pruning = asyncio.create_task(removing, name="prune environments")
        self._pruning.add_done_callback(_report)

    async def all(self) -> list[EnvironmentView]:
        """Every environment on this machine."""
        found = await asyncio.to_thread(self._environments.cache.all)
        users = self._users(await self._catalog.all())
        views = [self._view(None, environment.key, environment, users) for environment in found]
        for view in views:
            del view.packages[PACKAGES_SHOWN:]
        return views

    async def get(self, name: str, after: int) -> EnvironmentView:
        """The environment of one workflow, and what was said after line `after` while it was made."""
        need = await self._need(name)
        if need is None:
            return EnvironmentView(workflow=name, state="none")
        found = await asyncio.to_thread(self._environments.cache.find, need.key)
        view = self._view(name, need.key, found, self._users(await self._catalog.all()))
        view.requirements = list(need.lines)
        making = self._environments.making(need.key) or self._ended.get(need.key)
        view.lines, view.last_line = said_after(making, after)
        return view

    async def make(self, command_id: str, name: str, again: bool) -> EnvironmentView:
        """Begin to make it; raises NotApproved, and UsageError where the workflow asks for no packages."""
        loaded = await self._workflows.runnable(name, None)
        need = need_of(loaded.files, self._catalog.folder(name))
        if need is None:
            raise UsageError(
                f"{name} asks for no packages.",
                cause="It has no requirements.txt, or nothing is in it: its runs use Rondo's own Python.",
                next_step=f"Name packages in {self._catalog.folder(name)}/requirements.txt, one a line.",
            )
        whole = await asyncio.to_thread(self._environments.cache.find, need.key)
        if command_id not in self._acted and (again or whole is None):
            self._acted.add(command_id)
            if need.key not in self._tasks:
                task = asyncio.create_task(self._make(need, name, again), name=f"make the environment of {name}")
                self._tasks[need.key] = task
                task.add_done_callback(lambda _: self._tasks.pop(need.key, None))
                # So that the view shows it being made.
                await asyncio.sleep(0)
        return await self.get(name, 0)

    async def cancel(self, name: str) -> EnvironmentView:
        """Give up what `make` began; where a run waits for it too, it goes on."""
        need = await self._need(name)
        task = self._tasks.get(need.key) if need is not None else None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        return await self.get(name, 0)

    async def prune(self, days: float) -> list[EnvironmentView]:
        """Remove what nobody used for so many days."""
        removed = await asyncio.to_thread(self._environments.cache.prune, days)
        return [self._view(None, environment.key, environment, {}) for environment in removed]

    async def close(self) -> None:
        """Give up everything."""
        tasks: list[asyncio.Task[Any]] = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if self._pruning is not None:
            tasks.append(self._pruning)
        if tasks:
            await asyncio.wait(tasks)

    async def _make(self, need: Need, name: str, again: bool) -> None:
        try:
            await self._environments.make(need, name, lambda line: None, again=again, begun=self._note)
        except RondoError:
            # It is kept as the content's problem, and shown with it.
            return

    def _note(self, making: Making) -> None:
        self._ended[making.need.key] = making

    async def _need(self, name: str) -> Need | None:
        loaded = await self._catalog.fresh(name)
        return need_of(loaded.files, self._catalog.folder(name))

    def _users(self, workflows: list[LoadedWorkflow]) -> dict[str, list[str]]:
        """The workflows of this workspace by the content they ask for."""
        users: dict[str, list[str]] = {}
        for workflow in workflows:
            need = need_of(workflow.files, self._catalog.folder(workflow.name))
            if need is not None:
                users.setdefault(need.key, []).append(workflow.name)
        return users

    def _view(
        self, name: str | None, key: str, found: Environment | None, users: dict[str, list[str]]
    ) -> EnvironmentView:
        return environment_view(self._environments, name, key, found, users.get(key, []))


def environment_view(
    environments: Environments, name: str | None, key: str, found: Environment | None, users: list[str]
) -> EnvironmentView:
    """An environment as clients see it, with what is known of its making."""
    problem = environments.problem(key)
    state = "ready" if found is not None else "failed" if problem is not None else "missing"
    if environments.making(key) is not None:
        state = "making"
    view = EnvironmentView(workflow=name, state=state, key=key, workflows=users)
    if problem is not None:
        view.problem = ErrorView(
            type=problem.type_name, message=problem.message, cause=problem.cause, next_step=problem.next_step
        )
    if found is not None:
        view.path, view.python = str(found.folder), str(found.python)
        view.python_version, view.requirements = found.python_version, list(found.lines)
        view.packages = [PackageView(name=package, version=version) for package, version in found.packages]
        view.size, view.created_at, view.used_at = found.size, found.created_at, found.used_at
    return view


def said_after(making: Making | None, after: int) -> tuple[list[str], int]:
    """What the installer said after line `after`, and the number of the last line of it."""
    if making is None:
        return [], 0
    start = max(0, after - making.first)
    lines = making.lines[start : start + LINES_AT_ONCE]
    return [line[:LINE_LENGTH] for line in lines], making.first + start + len(lines)


def _report(pruning: asyncio.Task[list[Environment]]) -> None:
    if pruning.cancelled():
        return
    if (error := pruning.exception()) is not None:
        log.error("unused environments could not be removed", error=str(error))
    for environment in [] if error is not None else pruning.result():
        log.info("an environment nobody used was removed", key=environment.key, lines=list(environment.lines))
