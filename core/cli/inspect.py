"""`rondo break`, `why`, `output`: where runs stop, who wrote a value, what files a run left."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from typing import Annotated

import typer

from core.cli.call import Call, Client, JsonOption, RunArgument, WorkspaceOption, new_command_id, open_call
from core.cli.documents import Document
from core.cli.edits import parse_path
from core.cli.output import Part, ReaderGone, ago, byte_size, iso_time
from core.cli.show import LineOption, line_of_number
from core.errors import UsageError
from core.link.inspect_types import BreakpointView, ChangeBreakpoint, OutputFile, OutputPage, OutputPart, WriteView

PIECE = 128 * 1024
TEXT_IN_DOCUMENT = 1024 * 1024
"""Bytes of a file up to which a document has its text."""
FILES_AT_ONCE = 500


def break_command(
    context: typer.Context,
    target: Annotated[
        str | None,
        typer.Argument(metavar="[NAME|RUN]", help="A workflow: all its runs; or one run.", show_default=False),
    ] = None,
    node: Annotated[str | None, typer.Argument(metavar="[NODE]", help="Pause before it.", show_default=False)] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Take it away; without NODE all of them.")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Let runs pause before a node; without NODE, list where they do."""
    call = open_call(context, workspace, as_json)

    async def work(client: Client) -> int:
        workflow, run_id = await _meant(call, client, target)
        if target is None or (node is None and not clear):
            found = await client.ask(lambda engine: engine.list_breakpoints(workflow, run_id))
            _show_breakpoints(call, found)
            return 0
        change = ChangeBreakpoint(
            command_id=new_command_id(), node=node or "", workflow=workflow, run_id=run_id, clear=clear
        )
        found = await client.ask(lambda engine: engine.change_breakpoint(change))
        _show_breakpoints(call, found)
        return 0

    return call.with_engine(work)


async def _meant(call: Call, client: Client, target: str | None) -> tuple[str | None, str | None]:
    """The workflow, or else the run, of that name."""
    if target is None or (call.workspace.workflows_dir / target).is_dir():
        return target, None
    view = await client.ask(lambda engine: engine.get_run(target))
    return None, view.run_id


def _show_breakpoints(call: Call, found: list[BreakpointView]) -> None:
    if call.as_json:
        call.output.document({"breakpoints": [_breakpoint_document(view) for view in found]})
    elif found:
        call.output.table(
            ["~WORKFLOW", "PAUSES BEFORE", "RUNS", "SET"],
            [
                [view.workflow, f"◆ {view.node}", view.run_id[-8:] if view.run_id else "all", ago(view.set_at)]
                for view in found
            ],
        )
    else:
        call.output.note(f"No breakpoints. Set one: {call.command_line('break', 'NAME', 'NODE')}")


def _breakpoint_document(view: BreakpointView) -> Document:
    return {"workflow": view.workflow, "node": view.node, "run_id": view.run_id, "set_at": iso_time(view.set_at)}


def why_command(
    context: typer.Context,
    run: RunArgument,
    place: Annotated[str, typer.Argument(metavar="PATH", help='A place in the state: mails[3], user.name, ["a b"].x')],
    step: Annotated[
        int | None, typer.Option("--step", metavar="N", min=0, help="As it is after this step.", show_default=False)
    ] = None,
    line_number: LineOption = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="At most so many, the newest.")] = 20,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Show which steps wrote a value of the state, the newest first."""
    call = open_call(context, workspace, as_json)
    path = parse_path(place)

    async def work(client: Client) -> int:
        view = await client.ask(lambda engine: engine.get_run(run))
        lines = await client.ask(lambda engine: engine.list_lines(view.run_id))
        line = line_of_number(view, lines, line_number).line
        page = await client.ask(lambda engine: engine.read_why(view.run_id, path, step, line, None, limit))
        value, writes, at = page.value, page.writes, page.step
        while page.next_before is not None and len(writes) < limit:
            asked = page.next_path, step, line, page.next_before, limit - len(writes)
            page = await client.ask(lambda engine: engine.read_why(view.run_id, *asked))  # noqa: B023
            writes = [*writes, *page.writes]
        if call.as_json:
            document = {"run_id": view.run_id, "step": at, "path": path, "value": value}
            more = page.next_before is not None
            call.output.document({**document, "writes": [_write_document(write) for write in writes], "more": more})
            return 0
        call.output.line((f"after step {at}  ", "dim"), f"{path_text(path)} = {value}")
        call.output.table([">STEP", "NODE", "HOW", "~VALUE", "WHEN"], [_write_cells(write, path) for write in writes])
        if page.next_before is not None:
            call.output.note("There may be more: --limit N")
        return 0

    return call.with_engine(work)


def path_text(path: list[str | int]) -> str:
    """A place in the state as code: `shared['mails'][3]`."""
    return "shared" + "".join(f"[{part!r}]" for part in path)


def _write_cells(write: WriteView, path: list[str | int]) -> list[Part | list[Part]]:
    node = write.node + (f"#{write.visit}" if write.visit > 1 else "")
    if not node:
        node = "(where it began)" if write.step == 0 else "(edited by a person)"
    how = {"set": "set", "append": "added to the list", "del": "removed", "parts": "changed inside"}[write.op]
    if write.op in ("set", "del") and write.with_path != write.path:
        how += f" with {path_text(write.with_path)}"
    if write.path != path:
        how += f" as {path_text(write.path)}"
    value: list[Part] = [write.value or ""]
    for part in write.parts:
        inside = "".join(f"[{name!r}]" for name in part.path)
        value.append(f"{inside} {'removed' if part.value is None else '= ' + part.value}  ")
    if write.part_count > len(write.parts):
        value.append((f"and {write.part_count - len(write.parts)} more", "dim"))
    return [str(write.step), node, how, value, ago(write.at)]


def _write_document(write: WriteView) -> Document:
    return {
        "step": write.step,
        "node": write.node,
        "visit": write.visit,
        "attempt": write.attempt,
        "at": iso_time(write.at),
        "op": write.op,
        "path": write.path,
        "with_path": write.with_path,
        "value": write.value,
        "parts": [{"op": part.op, "path": part.path, "value": part.value} for part in write.parts],
        "part_count": write.part_count,
    }


def output_command(
    context: typer.Context,
    run: RunArgument,
    file: Annotated[
        str | None, typer.Argument(metavar="[FILE]", help="Write this one to stdout.", show_default=False)
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """List the files that a run left in its output folder, or print one."""
    call = open_call(context, workspace, as_json)

    async def work(client: Client) -> int:
        view = await client.ask(lambda engine: engine.get_run(run))
        if file is not None:
            return await _print_file(call, client, view.run_id, file)
        pages = await _pages(client, view.run_id)
        files = [found for page in pages for found in page.files]
        if call.as_json:
            documents = [_file_document(found) for found in files]
            call.output.document({"run_id": view.run_id, "folder": view.output_dir, "files": documents})
        elif files:
            call.output.table(
                ["FILE", ">SIZE", "CHANGED"],
                [
                    [found.path if found.kind == "file" else f"{found.path} ({found.kind})", *_size_and_age(found)]
                    for found in files
                ],
            )
            call.output.line((f"{len(files)} in {view.output_dir}", "dim"))
        else:
            call.output.note(f"The run has written no files to {view.output_dir}")
        if pages[-1].cut:
            call.output.note("There are more files than are listed.")
        return 0

    return call.with_engine(work)


async def _pages(client: Client, run_id: str) -> list[OutputPage]:
    pages: list[OutputPage] = []
    after = ""
    while not pages or pages[-1].more:
        at = after
        pages.append(await client.ask(lambda engine: engine.list_output(run_id, at, FILES_AT_ONCE)))  # noqa: B023
        after = pages[-1].files[-1].path if pages[-1].files else after
    return pages


def _size_and_age(file: OutputFile) -> list[Part]:
    return [byte_size(file.size), ago(file.modified_at)]


def _file_document(file: OutputFile) -> Document:
    return {"path": file.path, "size": file.size, "kind": file.kind, "modified_at": iso_time(file.modified_at)}


async def _print_file(call: Call, client: Client, run_id: str, path: str) -> int:
    """Write a file to stdout as it is; on a terminal only text, with what a terminal must not get made visible."""
    first = await client.ask(lambda engine: engine.read_output(run_id, path, 0, PIECE))
    terminal = sys.stdout.isatty()
    if terminal and not call.as_json and not first.text:
        raise UsageError(
            f"{path} is no text.",
            cause="What it holds would confuse the terminal.",
            next_step=f"Write it into a file: {call.command_line('output', run_id[-8:], path)} > FILE",
        )
    if call.as_json:
        text = None
        if first.text and first.size <= TEXT_IN_DOCUMENT:
            text = b"".join([part.data async for part in _parts(client, run_id, first)]).decode("utf-8", "replace")
        document = {"run_id": run_id, "path": path, "size": first.size, "modified_at": iso_time(first.modified_at)}
        call.output.document({**document, "text": text})
        return 0
    async for part in _parts(client, run_id, first):
        if terminal:
            call.output.lines([line] for line in part.data.decode("utf-8", "replace").splitlines())
        else:
            _write_bytes(part.data)
    return 0


def _write_bytes(data: bytes) -> None:
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise ReaderGone from None


async def _parts(client: Client, run_id: str, first: OutputPart) -> AsyncIterator[OutputPart]:
    """The whole file in pieces, up to the size that it had at first."""
    part = first
    while part.data:
        yield part
        offset = part.offset + len(part.data)
        if offset >= first.size:
            return
        part = await client.ask(lambda engine: engine.read_output(run_id, first.path, offset, PIECE))  # noqa: B023
