"""`rondo runs`, `rondo show`: what was run, how it went."""

from __future__ import annotations

import time
from typing import Annotated, cast

import msgspec
import typer

from core.cli.call import Call, Client, JsonOption, RunArgument, WorkspaceOption, complete_workflow, open_call
from core.cli.conditions import condition_documents, read_conditions, show_conditions
from core.cli.documents import (
    change_document,
    line_document,
    run_document,
    run_row_document,
    step_document,
)
from core.cli.follow import step_name, step_pages
from core.cli.output import Output, Part, ago, duration, iso_time, one_line, status_part, took_text, waiting_parts
from core.cli.prune import parse_age
from core.cli.run import next_step_of, show_files, show_trouble
from core.cli.state import read_state_lines, read_whole_state
from core.cli.workflows import require_workflow_folder
from core.errors import DatabaseDamaged, UnknownLine
from core.link.status import LOOKS, status_of_word
from core.link.types import ChangeView, LineView, RunFilter, RunRow, RunView, Status, StepView
from core.link.usage_types import usage_text

PAGE = 200
"""Runs asked for at a time."""
LineOption = Annotated[
    int | None,
    typer.Option(
        "--line", metavar="N", min=1, help="A line of the run (default: the present one).", show_default=False
    ),
]
STEPS_SHOWN = 40
"""Attempts that people see of a run, the last ones; a program gets them all."""


def _status(word: str) -> Status:
    """The engine's word for a status, also where it is named as the tables show it."""
    status = status_of_word(word)
    if status is None:
        raise typer.BadParameter(f"{word!r} is none of: {', '.join(LOOKS)}, or as tables show it: waiting, timer.")
    return cast(Status, status)


StatusOption = Annotated[
    Status | None,
    typer.Option(
        "--status",
        metavar="STATUS",
        parser=_status,
        help=f"Only runs of this status: {', '.join(LOOKS)}.",
        show_default=False,
    ),
]


def runs_command(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]", help="Only runs of this workflow.", autocompletion=complete_workflow, show_default=False
        ),
    ] = None,
    status: StatusOption = None,
    top: Annotated[bool, typer.Option("--top", help="Leave out the runs of subflows.")] = False,
    match: Annotated[
        list[str] | None,
        typer.Option("--match", metavar="TEXT", help="A part of the workflow's name or of the run's id."),
    ] = None,
    after: Annotated[
        str | None, typer.Option("--after", metavar="AGE", help="Started less long ago: 1d, 12h.", show_default=False)
    ] = None,
    before: Annotated[
        str | None, typer.Option("--before", metavar="AGE", help="Started longer ago.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="At most so many, the newest.")] = 50,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """List runs, the newest first."""
    call = open_call(context, workspace, as_json)
    now = time.time()
    wanted = RunFilter(
        workflow=name,
        status=status,
        top=top,
        words=match or [],
        created_after=now - parse_age(after) if after is not None else None,
        created_before=now - parse_age(before) if before is not None else None,
    )

    async def work(client: Client) -> int:
        rows = await _read_rows(client, wanted, limit)
        if not rows and name is not None:
            require_workflow_folder(call, name)
        if call.as_json:
            call.output.document([run_row_document(row) for row in rows])
        elif rows:
            call.output.table(
                ["RUN", "~WORKFLOW", "STATUS", "~NODE", ">STEP", "WHEN", ">TOOK"], [_row_cells(row) for row in rows]
            )
        else:
            call.output.note(
                "No runs.", *([f" Start one: {call.command_line('run', name or 'NAME')}"] if status is None else [])
            )
        return 0

    return call.with_engine(work)


async def _read_rows(client: Client, wanted: RunFilter, limit: int) -> list[RunRow]:
    rows: list[RunRow] = []
    while len(rows) < limit:
        query = msgspec.structs.replace(
            wanted, limit=min(PAGE, limit - len(rows)), before=rows[-1].run_id if rows else None
        )
        page = await client.ask(lambda engine: engine.list_runs(query))  # noqa: B023
        rows += page
        if len(page) < query.limit:
            break
    return rows


def _row_cells(row: RunRow) -> list[Part | list[Part]]:
    return [
        row.short_id,
        [row.workflow, (f"  ↳ of {row.parent_run[-8:]}" if row.parent_run is not None else "", "dim")],
        waiting_parts(row.status, row.due_at, row.queue_position),
        row.node or "",
        str(row.step),
        ago(row.created_at),
        took_text(row.started_at, row.ended_at),
    ]


def show_command(
    context: typer.Context,
    run: RunArgument,
    step: Annotated[
        int | None,
        typer.Option(
            "--step", metavar="N", min=0, help="The state after this step (default: the last).", show_default=False
        ),
    ] = None,
    line_number: LineOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Show a run: status, lines, steps, and the state after the last or the given step."""
    call = open_call(context, workspace, as_json)

    async def work(client: Client) -> int:
        view = await client.ask(lambda engine: engine.get_run(run))
        lines = await client.ask(lambda engine: engine.list_lines(view.run_id))
        line = line_of_number(view, lines, line_number)
        if call.as_json:
            return await _show_document(call, client, view, lines, line, step)
        return await _show_run(call, client, view, lines, line, step)

    return call.with_engine(work)


def line_of_number(view: RunView, lines: list[LineView], number: int | None) -> LineView:
    """The run's line of that number, by default the present one; raises UnknownLine."""
    found = [line for line in lines if number is None or line.number == number]
    if not found:
        raise UnknownLine(
            f"The run {view.short_id} has no line {number}.",
            cause=f"It has {len(lines)} line{'' if len(lines) == 1 else 's'}.",
            next_step=f"See them: rondo show {view.short_id}",
        )
    return found[-1]


async def _show_document(
    call: Call, client: Client, view: RunView, lines: list[LineView], line: LineView, step: int | None
) -> int:
    """Write all that can be read; a state that is damaged is null, and `problem` says why."""
    at = line.step if step is None else step
    state, problem = b"null", None
    try:
        state = await read_whole_state(client, view.run_id, at, line.line)
    except DatabaseDamaged as error:
        problem = error
    document = run_document(view, state, step=at, next_step=next_step_of(call, view))
    if problem is not None:
        document["problem"] = problem.to_dict()
    document["line"] = line.number
    document["lines"] = [line_document(known) for known in lines]
    document["steps"] = [step_document(entry) for entry in await _read_steps(client, view.run_id, line=line.line)]
    if step is not None and problem is None:
        changes = await client.ask(lambda engine: engine.read_changes(view.run_id, step, line.line))
        document["changes"] = [change_document(change) for change in changes]
        document["conditions"] = condition_documents(await read_conditions(client, view.run_id, step, line.line))
    call.output.document(document)
    return 0 if problem is None else problem.exit_code


async def _read_steps(client: Client, run_id: str, after: int = 0, line: int | None = None) -> list[StepView]:
    return [step async for page in step_pages(client, run_id, after, line) for step in page]


async def _show_run(
    call: Call, client: Client, view: RunView, lines: list[LineView], line: LineView, step: int | None
) -> int:
    """Show all that can be read; what is damaged is said in the state's place."""
    output = call.output
    problem = None
    try:
        state = await read_state_lines(client, view.run_id, step, line.line)
    except DatabaseDamaged as error:
        problem = error
        state = [[("✗ ", "red"), text] for text in (error.message, error.cause, error.next_step) if text]
    output.line(
        *waiting_parts(view.status, view.due_at, view.queue_position),
        f"  {view.workflow}  ",
        (f"run {view.run_id}", "dim"),
        (f"  {view.activity or view.pause_reason}" if view.activity or view.pause_reason else "", "dim"),
    )
    took = f", took {took}" if (took := took_text(view.started_at, view.ended_at)) else ""
    output.line(("version  ", "dim"), view.version[:12])
    output.line(("started  ", "dim"), f"{ago(view.created_at)} ({iso_time(view.created_at)}){took}")
    if view.parent is not None:
        of = f"{view.parent.run_id[-8:]} of {view.parent.workflow}, node {view.parent.node}  "
        output.line(("part of  ", "dim"), f"run {of}", status_part(view.parent.status))
    if view.replay:
        output.line(("replay   ", "dim"), f"of {view.replay}: calls are answered from there")
    if view.usage is not None:
        output.line(("calls    ", "dim"), f"{usage_text(view.usage)}  ", (f"rondo calls {view.short_id}", "dim"))
    show_files(output, view)
    output.line("")
    _show_lines(output, lines, line)
    await _show_steps(output, client, view, line, step)
    _show_children(output, view)
    output.line(("state ", "dim"), ("at the last step" if step is None else f"after step {step}", "dim"))
    output.lines(state)
    if step and problem is None:
        changes = await client.ask(lambda engine: engine.read_changes(view.run_id, step, line.line))
        output.line("")
        output.line((f"changed by step {step}", "dim"))
        output.lines(change_parts(change) for change in changes)
        show_conditions(output, await read_conditions(client, view.run_id, step, line.line))
    show_trouble(call, view)
    next_step = next_step_of(call, view)
    if next_step:
        output.note(("next:  ", "bold"), next_step)
    return 0 if problem is None else problem.exit_code


def _show_lines(output: Output, lines: list[LineView], chosen: LineView) -> None:
    """The run's histories, where it has more than one or goes on from another run."""
    if len(lines) == 1 and lines[0].parent_step is None:
        return
    rows: list[list[Part | list[Part]]] = []
    for line in lines:
        came = ""
        if line.parent_run is not None:
            came = f"step {line.parent_step} of run {line.parent_run[-8:]}"
        elif line.parent_step is not None:
            parent = next((known.number for known in lines if known.line == line.parent_line), 0)
            came = f"step {line.parent_step} of line {parent}"
        mark = "▌" if line is chosen else ""
        status = status_part(line.status)
        rows.append([mark, str(line.number), status, str(line.step), line.version[:12], came, ago(line.created_at)])
    output.table(["", ">LINE", "STATUS", ">STEPS", "VERSION", "FROM", "WHEN"], rows)
    output.line("")


def _show_children(output: Output, view: RunView) -> None:
    """The runs of subflows, the newest first."""
    if not view.children:
        return
    rows: list[list[Part | list[Part]]] = [
        [child.node, child.short_id, child.workflow, status_part(child.status), ago(child.created_at)]
        for child in view.children
    ]
    output.table(["NODE", "RUN", "WORKFLOW", "STATUS", "WHEN"], rows)
    output.line("")


async def _show_steps(output: Output, client: Client, view: RunView, line: LineView, chosen: int | None) -> None:
    steps = await _read_steps(client, view.run_id, after=max(0, line.step - STEPS_SHOWN), line=line.line)
    left_out = line.step > STEPS_SHOWN or len(steps) > STEPS_SHOWN
    waiting = _waiting_row(view, steps) if line.line == view.line else []
    steps = [*steps[-STEPS_SHOWN:], *waiting]
    asking = {(request.node, request.visit) for request in view.open_requests}
    rows = [_step_cells(step, view.status, chosen, asking) for step in steps]
    rows += _skipped_rows(view) if line.line == view.line else []
    if not rows:
        return
    output.table(["", ">STEP", "NODE", "STATUS", ">TOOK", "WHEN", "NEXT"], rows)
    if left_out:
        output.line((f"earlier steps: {'rondo show ' + view.short_id + ' --json'}", "dim"))
    output.line("")


def _waiting_row(view: RunView, steps: list[StepView]) -> list[StepView]:
    """A row for the node that waits, where it is not among the steps: a run that waits long has nothing in flight."""
    request = view.awaiting_input or next(iter(view.open_requests), None)
    if request is None or any(step.status == "running" for step in steps):
        return []
    return [
        StepView(
            step=None,
            node=request.node,
            visit=request.visit,
            attempt=request.nth if request.kind == "error" else 1,
            status=view.status,
            started_at=request.opened_at,
            ended_at=None,
        )
    ]


def _skipped_rows(view: RunView) -> list[list[Part | list[Part]]]:
    """A row for each node of a dag that will not run, with why."""
    return [
        ["", "", skipped.node, status_part("skipped"), "", "", one_line("; ".join(skipped.because))]
        for skipped in view.skipped
    ]


def _step_cells(
    step: StepView, run_status: str, chosen: int | None, asking: set[tuple[str, int]]
) -> list[Part | list[Part]]:
    node = step_name(step)
    word = step.status
    if word == "running":
        # An attempt that has begun is where the run is: what the run waits for, it waits for.
        word = "waiting_input" if run_status == "running" and (step.node, step.visit) in asking else run_status
    status: list[Part] = [status_part(word)]
    if step.attempt > 1 or step.status == "failed":
        status.append((f" attempt {step.attempt}", "dim"))
    took = "" if step.ended_at is None else duration(step.ended_at - step.started_at)
    following = ", ".join(step.taken) if step.reason == "dag" else step.next_node or ""
    if step.error is not None:
        error = f"{step.error.type}: {one_line(step.error.message)[:80]}"
        following = f"{following or 'end'}  after {error}" if step.status == "skipped" else error
    if step.fallback:
        following += "  by exec_fallback"
    if step.condition:
        following += f"  because {one_line(step.condition)}"
    mark = "▌" if chosen is not None and step.step == chosen else ""
    return [mark, "" if step.step is None else str(step.step), node, status, took, ago(step.started_at), following]


def change_parts(change: ChangeView) -> list[Part]:
    """One path that differs, for people."""
    path = "shared" + "".join(f"[{part!r}]" for part in change.path)
    if change.op == "del":
        return [("- ", "red"), path, (f"  was {change.before}", "dim")]
    if change.before is None:
        return [("+ ", "green"), f"{path} = {change.after}"]
    return [("~ ", "yellow"), f"{path} = {change.after}", (f"  was {change.before}", "dim")]
