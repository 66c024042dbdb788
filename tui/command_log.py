"""The command log: what was done in this session, each as the `rondo ...` line that does the same.

`LoggedEngine` stands between the screens and the engine. So no screen has to say what it does, and none can forget to;
and where nothing may change, nothing does.
"""

from __future__ import annotations

import inspect
import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from core.errors import RondoError
from core.link.api import EngineApi
from core.link.messages import may_change
from core.places import Workspace
from core.read_only import is_read_only, refused
from tui.command_lines import WITHOUT_LINE, Recalled, line_of

KEPT = 500


@dataclass(slots=True)
class LoggedCommand:
    """One thing that was done; `status` is going, done, failed or looked (a place that was gone to)."""

    at: float
    line: str
    status: str
    problem: str = ""


class CommandLog:
    """The last commands, oldest first. Kept in memory only: answers of people stand in it."""

    def __init__(self, workspace: Workspace, now: Callable[[], float]) -> None:
        self.entries: list[LoggedCommand] = []
        self._workspace = workspace
        self._now = now

    def begin(self, line: str) -> LoggedCommand:
        """Note a command that was sent."""
        return self._add(LoggedCommand(self._now(), line, "going"))

    def did(self, line: str) -> None:
        """Note a command that is done already."""
        self._add(LoggedCommand(self._now(), line, "done"))

    def looked(self, line: str) -> None:
        """Note a place that was gone to; the same one again is not worth a line."""
        if not self.entries or self.entries[-1].line != line:
            self._add(LoggedCommand(self._now(), line, "looked"))

    def _add(self, entry: LoggedCommand) -> LoggedCommand:
        self.entries = [*self.entries, entry][-KEPT:]
        return entry

    def to_paste(self, entry: LoggedCommand) -> str:
        """The line as it works in a shell here: with the workspace, where a plain one would mean another."""
        here = Workspace.at(os.environ.get("RONDO_WORKSPACE") or ".").root
        if here == self._workspace.root or not entry.line.startswith("rondo "):
            return entry.line
        words = ["rondo", "--workspace", str(self._workspace.root)]
        return f"{shlex.join(words)}{entry.line.removeprefix('rondo')}"


class LoggedEngine:
    """The engine as the screens call it: the same methods, noted in the log where they change something."""

    def __init__(self, wrapped: Any, log: CommandLog) -> None:
        self.wrapped = wrapped
        self._log = log
        self._recalled = Recalled()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.wrapped, name)
        declared = getattr(EngineApi, name, None)
        if not inspect.iscoroutinefunction(declared):
            return method
        signature = inspect.signature(declared)

        async def call(*positional: Any, **named: Any) -> Any:
            bound = signature.bind(None, *positional, **named)
            bound.apply_defaults()
            arguments = {key: value for key, value in bound.arguments.items() if key != "self"}
            if not may_change(name, arguments):
                result = await method(*positional, **named)
                self._recalled.note(name, arguments, result)
                return result
            return await self._do(name, arguments, lambda: method(*positional, **named))

        return call

    async def _do(self, name: str, arguments: dict[str, Any], act: Callable[[], Any]) -> Any:
        """Do what changes something, with its line in the log."""
        line = "" if name in WITHOUT_LINE else line_of(name, arguments, self._recalled)
        if is_read_only():
            raise refused(f"`{line}`" if line else f"'{name}'")
        entry = self._log.begin(line) if line else None
        try:
            result = await act()
        except BaseException as error:
            if entry is not None:
                entry.status = "failed"
                entry.problem = error.message if isinstance(error, RondoError) else "given up"
            raise
        if entry is not None:
            entry.status = "done"
        self._recalled.note(name, arguments, result)
        return result
