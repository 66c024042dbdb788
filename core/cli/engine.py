"""`rondo engine status|start|stop`: the process that owns the workspace."""

from __future__ import annotations

import typer

from core.cli.call import Call, Client, JsonOption, WorkspaceOption, open_call
from core.cli.documents import engine_document
from core.cli.output import Part, ago, status_part
from core.errors import EngineUnreachable
from core.link.engine_types import EngineStatus, UncleanEnd

engine_app = typer.Typer()

RUNS_SHOWN = 10
"""Runs of an engine that died that people see."""


@engine_app.callback()
def engine_group(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """The process that owns the workspace's database and runs its workflows."""


@engine_app.command("status")
def status_command(context: typer.Context, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> int:
    """Say whether an engine runs, and what it does. Starts none."""
    call = open_call(context, workspace, as_json)
    call.require_folder()
    status = call.in_loop(_read_status(call))
    _show_status(call, status)
    return 0


@engine_app.command("start")
def start_command(context: typer.Context, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> int:
    """Start the engine where none runs. Runs that were going on go on."""
    call = open_call(context, workspace, as_json)

    async def work(client: Client) -> int:
        _show_status(call, await client.ask(lambda engine: engine.engine_status()))
        return 0

    return call.with_engine(work)


@engine_app.command("stop")
def stop_command(context: typer.Context, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> int:
    """Let running steps finish and end the engine. Runs go on when it is started again."""
    from core.link.start import find_engine, stop_engine

    call = open_call(context, workspace, as_json)
    call.require_folder()
    was_running = call.in_loop(stop_engine(call.workspace))
    if call.as_json:
        call.output.document({**engine_document(find_engine(call.workspace)), "stopped": was_running})
    else:
        call.output.line("The engine has ended." if was_running else "No engine was running.")
    return 0


async def _read_status(call: Call) -> EngineStatus:
    """What the engine says of itself; what its file says where it does not answer."""
    from core.link.start import connect, find_engine

    found = find_engine(call.workspace)
    if not found.running:
        return found
    try:
        async with await connect(call.workspace, kind="cli", start=False) as engine:
            return await engine.engine_status()
    except EngineUnreachable:
        if find_engine(call.workspace).running:
            raise
        return find_engine(call.workspace)


def _show_status(call: Call, status: EngineStatus) -> None:
    output = call.output
    if call.as_json:
        output.document(engine_document(status))
        return
    if not status.running:
        output.line(("○ ", "dim"), "no engine runs for ", status.workspace)
        return
    output.line(
        ("● ", "cyan"),
        f"engine {status.version}, pid {status.pid}, started {ago(status.started_at)}, for {status.workspace}",
    )
    for word, count in sorted(status.runs.items()):
        output.line(f"{count:>5} ", status_part(word))
    output.line(f"{status.open_requests:>5} open questions")
    if status.unclean_end is not None:
        output.lines(unclean_end_lines(status.unclean_end))
    if status.trouble is not None:
        output.note(("! ", "red"), status.trouble.message, " ", status.trouble.cause)
        output.note(("next:  ", "bold"), status.trouble.next_step)


def unclean_end_lines(end: UncleanEnd) -> list[list[Part]]:
    """When and why an engine died, and what became of the runs that were going on."""
    count = "nothing was going on" if not end.run_count else f"runs that were going on: {end.run_count}"
    lines: list[list[Part]] = [
        [("! ", "yellow"), f"An engine died: pid {end.pid}, last sign of life {ago(end.last_sign_at)}; {count}."],
        [("  cause: ", "dim"), end.cause],
    ]
    for run in end.runs[:RUNS_SHOWN]:
        where = f" at {run.node}" if run.node else ""
        lines.append([f"  {run.run_id[-8:]} {run.workflow}, ", status_part(run.status), f"{where}: {run.action}"])
    if end.run_count > RUNS_SHOWN:
        lines.append([("  and more: rondo engine status --json", "dim")])
    return lines
