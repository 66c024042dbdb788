"""`rondo changes`: what a step changed in the state, or in what any two states differ."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import typer

from core.cli.call import Client, JsonOption, WorkspaceOption, open_call
from core.cli.documents import Document, change_document
from core.cli.show import change_parts, line_of_number
from core.errors import UsageError
from core.link.types import ChangeView, StatePoint

POINT = re.compile(r"(?P<run>[^.@]*)(?:\.(?P<line>\d+))?(?:@(?P<step>\d+))?")


@dataclass(slots=True)
class Point:
    """A state as it was found: the run, the number of its line, the step."""

    run_id: str
    short_id: str
    number: int
    line: int
    step: int

    @property
    def document(self) -> Document:
        return {"run_id": self.run_id, "line": self.number, "step": self.step}

    @property
    def state_point(self) -> StatePoint:
        return StatePoint(run_id=self.run_id, step=self.step, line=self.line)

    def __str__(self) -> str:
        return f"{self.short_id}.{self.number}@{self.step}"


def changes_command(
    context: typer.Context,
    first: Annotated[
        str,
        typer.Argument(metavar="RUN[.LINE][@STEP]", help="A state: the run's last one, or that after a step."),
    ],
    second: Annotated[
        str | None,
        typer.Argument(
            metavar="[RUN[.LINE][@STEP]]",
            help="The state to compare with; @STEP alone is of the same run.",
            show_default=False,
        ),
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Show what a step changed, or in what two states differ, of any steps, lines and runs."""
    call = open_call(context, workspace, as_json)

    async def work(client: Client) -> int:
        before = await _find(client, first, None)
        if second is None:
            after = before
            before = Point(after.run_id, after.short_id, after.number, after.line, max(0, after.step - 1))
            changes = await client.ask(lambda engine: engine.read_changes(after.run_id, after.step, after.line))
        else:
            after = await _find(client, second, before.run_id)
            points = before.state_point, after.state_point
            changes = await client.ask(lambda engine: engine.read_difference(*points))
        if call.as_json:
            documents = [change_document(change) for change in changes]
            call.output.document({"from": before.document, "to": after.document, "changes": documents})
        else:
            call.output.line((f"from {before} to {after}", "dim"))
            _show(call.output.line, changes)
        return 0

    return call.with_engine(work)


def _show(line: Callable[..., None], changes: list[ChangeView]) -> None:
    for change in changes:
        line(*change_parts(change))
    if not changes:
        line(("nothing differs", "dim"))


async def _find(client: Client, text: str, same_run: str | None) -> Point:
    """The state that a text means; raises UsageError, UnknownRun, UnknownLine."""
    found = POINT.fullmatch(text)
    run = (found["run"] or same_run) if found is not None else None
    if found is None or not run:
        raise UsageError(
            f"{text!r} names no state.",
            cause="A state is a run, with .LINE and @STEP where it is not the last of the present line.",
            next_step="Write it like 3fa85f64, 3fa85f64@4 or 3fa85f64.1@4",
        )
    view = await client.ask(lambda engine: engine.get_run(run))
    lines = await client.ask(lambda engine: engine.list_lines(view.run_id))
    line = line_of_number(view, lines, int(found["line"]) if found["line"] else None)
    step = int(found["step"]) if found["step"] else line.step
    return Point(view.run_id, view.short_id, line.number, line.line, step)
