"""`rondo logs`: what a run printed and logged, whole or filtered, on the terminal or in a file."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from core.cli.call import Call, Client, JsonOption, RunArgument, WorkspaceOption, open_call
from core.cli.documents import log_document
from core.cli.follow import Follower, LogFilter, log_pages, log_parts, print_news
from core.cli.output import status_part
from core.cli.run import next_step_of
from core.link.log_text import open_new, write_lines
from core.link.types import RunView


def logs_command(
    context: typer.Context,
    run: RunArgument,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run is at rest.")] = False,
    level: Annotated[
        str | None,
        typer.Option("--level", metavar="LEVEL", help="This one and above: info, warning, error.", show_default=False),
    ] = None,
    node: Annotated[
        str | None, typer.Option("--node", metavar="NODE", help="Only lines of this node.", show_default=False)
    ] = None,
    search: Annotated[
        str | None,
        typer.Option("--search", metavar="TEXT", help="Only lines with this text, in any case.", show_default=False),
    ] = None,
    target: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write them into a new file.", show_default=False),
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Print what a run printed and logged."""
    call = open_call(context, workspace, as_json)
    wanted = LogFilter(node=node, minimum_level=level, search=search)

    async def work(client: Client) -> int:
        view = await client.ask(lambda engine: engine.get_run(run))
        call.following = view.short_id
        if target is not None:
            return await _save(call, client, view, wanted, target)
        if follow:
            show = None if call.as_json else print_news(call.output)
            view = await Follower(client, view.run_id, show, steps=False, wanted=wanted).until_rest()
        if call.as_json:
            numbers = {line.line: line.number for line in await client.ask(lambda engine: engine.list_lines(run))}
            lines = [line async for page in log_pages(client, view.run_id, wanted=wanted) for line in page.lines]
            documents = [log_document(line, numbers) for line in lines]
            document = {"run_id": view.run_id, "status": view.status, "lines": documents}
            call.output.document({**document, "dropped": view.logs_dropped})
            return 0
        if not follow:
            async for page in log_pages(client, view.run_id, wanted=wanted):
                call.output.lines(log_parts(line) for line in page.lines)
        if view.logs_dropped:
            call.output.note(
                ("! ", "yellow"), f"{view.logs_dropped} lines were dropped: the run printed more than is kept."
            )
        if follow:
            call.output.note(status_part(view.status), f"  {view.workflow}  run {view.short_id}")
            if next_step := next_step_of(call, view):
                call.output.note(("next:  ", "bold"), next_step)
        return 0

    return call.with_engine(work)


async def _save(call: Call, client: Client, view: RunView, wanted: LogFilter, target: Path) -> int:
    """Write the lines into a file and say how many."""
    file = await asyncio.to_thread(open_new, target)
    count = 0
    try:
        async for page in log_pages(client, view.run_id, wanted=wanted):
            await asyncio.to_thread(write_lines, file, page.lines)
            count += len(page.lines)
    finally:
        await asyncio.to_thread(file.close)
    if call.as_json:
        call.output.document({"run_id": view.run_id, "file": str(target), "lines": count})
    else:
        call.output.line(f"{count} line{'' if count == 1 else 's'} in {target}")
    return 0
