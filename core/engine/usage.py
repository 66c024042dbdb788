"""Watches what run processes use, and ends those that use more than they may."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol

import structlog

from core.link.types import ErrorView
from core.runner.usage import Usage, tree_usage
from core.settings import Settings

log = structlog.get_logger()

LOOK_SECONDS = 0.5
MB = 1_000_000


class Watched(Protocol):
    """A run process, as far as it is watched."""

    @property
    def pid(self) -> int:
        """0 where there is none, or none of its own."""
        ...

    @property
    def workflow(self) -> str: ...

    def over_limit(self, failure: ErrorView) -> None:
        """The present process used more than it may."""
        ...


class UsageWatch:
    """Looks at all run processes twice a second, while there are any."""

    def __init__(self, watched: Callable[[], Iterable[Watched]], settings: Callable[[], Settings]) -> None:
        self._watched = watched
        self._settings = settings
        self._started = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """A process was started."""
        self._started.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="usage of run processes")

    async def close(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            await self._started.wait()
            await asyncio.sleep(LOOK_SECONDS)
            targets = [(life, life.pid) for life in self._watched() if life.pid > 0]
            if not targets:
                self._started.clear()
                continue
            settings = self._settings()
            limits = [settings.limits_of(life.workflow) for life, _ in targets]
            wanted = [(pid, limit.memory_mb * MB) for (_, pid), limit in zip(targets, limits, strict=True)]
            try:
                usages = await asyncio.to_thread(lambda wanted: [tree_usage(*one) for one in wanted], wanted)
            except OSError as error:
                log.warning("run processes could not be looked at", error=str(error))
                continue
            for (life, pid), usage in zip(targets, usages, strict=True):
                failure = excess(settings, life.workflow, usage)
                # Another process may have come in its place meanwhile.
                if failure is not None and life.pid == pid:
                    life.over_limit(failure)


def excess(settings: Settings, workflow: str, usage: Usage) -> ErrorView | None:
    """What is said of a process that uses too much; None where it doesn't."""
    limits = settings.limits_of(workflow)
    if 0 < limits.memory_mb * MB < usage.memory:
        return ErrorView(
            type="MemoryLimit",
            message=f"The run used more than {memory_text(limits.memory_mb * MB)} of memory.",
            cause=f"Its process with all it had started was measured at {memory_text(usage.memory)}.",
            next_step="Let the node work in smaller parts, or raise "
            + settings.limit_place(workflow, "memory_mb")
            + f" (it is {limits.memory_mb}), and run it again.",
        )
    if 0 < limits.cpu_seconds < usage.cpu_seconds:
        return ErrorView(
            type="CpuLimit",
            message=f"The run used more than {limits.cpu_seconds:g} s of CPU time.",
            cause=f"Its process with all it had started was measured at {usage.cpu_seconds:.1f} s: perhaps a loop.",
            next_step="Look where the node spends its time, or raise "
            + settings.limit_place(workflow, "cpu_seconds")
            + f" (it is {limits.cpu_seconds:g}), and run it again.",
        )
    return None


def memory_text(size: int) -> str:
    """Bytes for a person: `312 MB`, `2 GB`, `2.5 GB`."""
    return f"{size / MB:.0f} MB" if size < 1000 * MB else f"{size / (1000 * MB):.3g} GB"
