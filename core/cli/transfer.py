"""`rondo export` and `rondo import`: a run as one file."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from core.cli.call import Client, JsonOption, RunArgument, WorkspaceOption, new_command_id, open_call
from core.cli.output import ReaderGone, byte_size, status_part
from core.errors import UsageError
from core.link.retention_types import ExportedRun
from core.link.transfer_file import refuse_existing, take_over


def export_command(
    context: typer.Context,
    run: RunArgument,
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Where to; - is stdout. Default: RUN.rondo.json.", show_default=False
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Write a run with all that belongs to it into one JSON file."""
    call = open_call(context, workspace, as_json)
    if output == "-" and call.as_json:
        raise UsageError(
            "Both the run and the report would go to stdout.",
            cause="-o - writes the run there, --json the report.",
            next_step="Leave --json away, or name a file.",
        )

    async def work(client: Client) -> int:
        view = await client.ask(lambda engine: engine.get_run(run))
        target = _target(output, view.short_id)
        if output != "-" and not force:
            refuse_existing(target)
        exported = await client.ask(lambda engine: engine.export_run(new_command_id(), view.run_id))
        source = Path(exported.path)
        try:
            if output == "-":
                _write_out(source)
                return 0
            take_over(source, target, force=force)
        finally:
            _remove(source)
        if call.as_json:
            call.output.document(_document(exported, target))
        else:
            steps = f"{exported.steps} step{'' if exported.steps == 1 else 's'}"
            call.output.line(("✓ ", "green"), f"{target.name}  {byte_size(exported.bytes)}, {steps}")
        return 0

    return call.with_engine(work)


def import_command(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="What `rondo export` wrote.", show_default=False)],
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Take over a run from such a file; nothing of it is executed or approved."""
    call = open_call(context, workspace, as_json)
    path = str(Path(file).expanduser().absolute())
    command_id = new_command_id()

    async def work(client: Client) -> int:
        done = await client.ask(lambda engine: engine.import_run(command_id, path))
        renamed = done.original_id != done.run_id
        if call.as_json:
            call.output.document(
                {
                    "run_id": done.run_id,
                    "original_id": done.original_id,
                    "workflow": done.workflow,
                    "version": done.version,
                    "status": done.status,
                    "original_status": done.original_status,
                    "lines": done.lines,
                    "steps": done.steps,
                }
            )
            return 0
        short = done.run_id[-8:]
        call.output.line(status_part(done.status), f"  {done.workflow}  ", (f"run {short}", "dim"))
        if renamed:
            call.output.note(f"A run with its id {done.original_id} is here already: it got another one.")
        if done.original_status != done.status:
            call.output.note(f"It was {done.original_status}; imported runs don't go on by themselves.")
        call.output.note(("next:  ", "bold"), call.command_line("show", short))
        return 0

    return call.with_engine(work)


def _target(output: str | None, short_id: str) -> Path:
    return Path(output if output is not None else f"{short_id}.rondo.json").expanduser().absolute()


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def _write_out(source: Path) -> None:
    try:
        with source.open("rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise ReaderGone from None


def _document(exported: ExportedRun, target: Path) -> dict[str, object]:
    return {
        "run_id": exported.run_id,
        "workflow": exported.workflow,
        "file": str(target),
        "bytes": exported.bytes,
        "lines": exported.lines,
        "steps": exported.steps,
    }
