"""`rondo rewind`, `fork`, `rerun`: a run goes on from an earlier step, or another one does; its inputs run again."""

from __future__ import annotations

from typing import Annotated

import typer

from core.cli.call import Call, Client, JsonOption, RunArgument, WorkspaceOption, new_command_id, open_call, parse_pairs
from core.cli.consent import AcknowledgeOption, SameVersionOption, acknowledged
from core.cli.edits import parse_edits
from core.cli.follow import Follower
from core.cli.ready import tell_of_lacks
from core.cli.run import announce, follow_and_ask, follower_of, parse_object, report, report_detached, typed_inputs
from core.cli.show import LineOption, line_of_number
from core.link.commands import Fork, Rerun, Rewind
from core.link.types import RunView

StepOption = Annotated[
    int, typer.Option("--step", metavar="N", min=0, help="Go on after this step; 0 is the beginning.")
]
PausedOption = Annotated[bool, typer.Option("--paused", help="Pause there instead of going on.")]
DetachOption = Annotated[bool, typer.Option("--detach", help="Return at once instead of following the run.")]


def rewind_command(
    context: typer.Context,
    run: RunArgument,
    step: StepOption,
    line_number: LineOption = None,
    paused: PausedOption = False,
    same_version: SameVersionOption = False,
    acknowledge: AcknowledgeOption = False,
    detach: DetachOption = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Let a run go on from an earlier step, on a new line; what came after it stays readable."""
    call = open_call(context, workspace, as_json)

    async def work(client: Client) -> int:
        before = await client.ask(lambda engine: engine.get_run(run))
        if not paused:
            await tell_of_lacks(call, client, before.workflow, before.version if same_version else None)
        rewind = Rewind(
            command_id=new_command_id(),
            run_id=before.run_id,
            step=step,
            line=await _line(client, before, line_number),
            paused=paused,
            same_version=same_version,
        )
        view = await acknowledged(call, client, rewind, acknowledge, lambda engine, command: engine.rewind_run(command))
        follower = follower_of(call, client, view)
        follower.skip_to(step, before.log_last)
        return await _follow(call, client, follower, view, detach)

    return call.with_engine(work)


def fork_command(
    context: typer.Context,
    run: RunArgument,
    step: StepOption,
    edits: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=JSON", help="Change the state first: total=3, user.tags[0]='\"x\"'."),
    ] = None,
    line_number: LineOption = None,
    paused: PausedOption = False,
    same_version: SameVersionOption = False,
    acknowledge: AcknowledgeOption = False,
    detach: DetachOption = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Let a new run go on from a step of this one, which is not touched."""
    call = open_call(context, workspace, as_json)
    changes = parse_edits(edits or [])

    async def work(client: Client) -> int:
        before = await client.ask(lambda engine: engine.get_run(run))
        if not paused:
            await tell_of_lacks(call, client, before.workflow, before.version if same_version else None)
        fork = Fork(
            command_id=new_command_id(),
            run_id=before.run_id,
            step=step,
            line=await _line(client, before, line_number),
            edits=changes,
            paused=paused,
            same_version=same_version,
        )
        view = await acknowledged(call, client, fork, acknowledge, lambda engine, command: engine.fork_run(command))
        follower = follower_of(call, client, view)
        follower.skip_to(step, 0)
        return await _follow(call, client, follower, view, detach)

    return call.with_engine(work)


def rerun_command(
    context: typer.Context,
    run: RunArgument,
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", "-i", metavar="KEY=VALUE", help="Change one input.", show_default=False),
    ] = None,
    input_json: Annotated[
        str | None,
        typer.Option("--input-json", metavar="JSON", help="Inputs to change, as a JSON object.", show_default=False),
    ] = None,
    same_version: SameVersionOption = False,
    detach: DetachOption = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Start a new run with the inputs of this one."""
    call = open_call(context, workspace, as_json)
    given = parse_object(input_json)
    texts = parse_pairs(inputs or [], "-i")

    async def work(client: Client) -> int:
        before = await client.ask(lambda engine: engine.get_run(run))
        version = before.version if same_version else None
        values = {**given, **await typed_inputs(client, before.workflow, version, texts)}
        await tell_of_lacks(call, client, before.workflow, version)
        rerun = Rerun(command_id=new_command_id(), run_id=before.run_id, inputs=values, same_version=same_version)
        view = await client.ask(lambda engine: engine.rerun(rerun))
        return await _follow(call, client, follower_of(call, client, view), view, detach)

    return call.with_engine(work)


async def _line(client: Client, view: RunView, number: int | None) -> int | None:
    """The line that people know by its number within the run."""
    if number is None:
        return None
    lines = await client.ask(lambda engine: engine.list_lines(view.run_id))
    return line_of_number(view, lines, number).line


async def _follow(call: Call, client: Client, follower: Follower, view: RunView, detach: bool) -> int:
    call.following = view.short_id
    if detach:
        return await report_detached(call, client, view)
    announce(call, view)
    return await report(call, client, await follow_and_ask(call, client, follower))
