"""`rondo run`, `rondo step`, `rondo answer`: what makes a run go, and follows it until it is at rest."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from core.cli import prompt
from core.cli.call import (
    Call,
    Client,
    JsonOption,
    NameArgument,
    RunArgument,
    WorkspaceOption,
    end_task,
    new_command_id,
    open_call,
    parse_pairs,
)
from core.cli.calls import keep_recording
from core.cli.documents import run_document
from core.cli.follow import Follower, print_news
from core.cli.output import Output, status_part, took_text
from core.cli.proposals import tell_of_proposals
from core.cli.ready import BLOCKED, CheckOption, is_ready, tell_of_lacks
from core.cli.state import read_state_lines, read_whole_state
from core.errors import AlreadyAnswered, InvalidAnswer, InvalidInput, UnknownRequest, UsageError
from core.flow.answers import SKIP
from core.flow.graph import Graph
from core.flow.journal import SUBFLOW
from core.link.commands import RunNode
from core.link.types import Answer, RequestView, RunView, StartRun

EXIT_CODES = {"completed": 0, "failed": 1, "cancelled": 1, "waiting_input": 3, "waiting_run": 3, "blocked": 4}
"""Exit code for the status in which a run came to rest; 0 for what is not listed (paused)."""

InputsOption = Annotated[
    list[str] | None,
    typer.Option("--input", "-i", metavar="KEY=VALUE", help="One input of the run.", show_default=False),
]
InputJsonOption = Annotated[
    str | None,
    typer.Option("--input-json", metavar="JSON", help="Inputs as a JSON object; -i goes over it.", show_default=False),
]
AnswersOption = Annotated[
    list[str] | None,
    typer.Option(
        "--answer",
        "-a",
        metavar="REQUEST=VALUE",
        help="Answer a request before it is asked; again for a later visit.",
        show_default=False,
    ),
]


def run_command(
    context: typer.Context,
    name: NameArgument,
    inputs: InputsOption = None,
    input_json: InputJsonOption = None,
    answers: AnswersOption = None,
    detach: Annotated[bool, typer.Option("--detach", help="Start the run and return at once.")] = False,
    version: Annotated[
        str | None,
        typer.Option(
            "--version", metavar="HASH", help="Run this stored version, not the folder as it is.", show_default=False
        ),
    ] = None,
    priority: Annotated[
        int,
        typer.Option("--priority", metavar="N", help="Where runs are queued, higher ones go first.", show_default=True),
    ] = 0,
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="NODE", help="Pause after the first visit of this node.", show_default=False),
    ] = None,
    node: Annotated[
        str | None,
        typer.Option(
            "--node", metavar="NODE", help="Run this node alone; the inputs go over its state.", show_default=False
        ),
    ] = None,
    from_run: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="RUN", help="With --node: its state is that of this run before it.", show_default=False
        ),
    ] = None,
    record: Annotated[
        str | None,
        typer.Option(
            "--record", metavar="FILE", help="Write its calls to FILE when it is at rest.", show_default=False
        ),
    ] = None,
    replay: Annotated[
        str | None,
        typer.Option(
            "--replay", metavar="FILE|RUN", help="Answer its calls from a recording, offline.", show_default=False
        ),
    ] = None,
    check: CheckOption = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Run a workflow and follow it."""
    call = open_call(context, workspace, as_json)
    _check_partial(node, until, from_run, check=check)
    _check_recording(node, detach, record, replay)
    replay_file, replay_run = _replayed(replay)
    given = parse_object(input_json)
    texts = parse_pairs(inputs or [], "-i")
    presets = parse_pairs(answers or [], "-a")

    async def work(client: Client) -> int:
        values = {**given, **await typed_inputs(client, name, version, texts)}
        if check and replay is None and not await is_ready(call, client, name, version):
            return BLOCKED
        if replay is None and not check:
            await tell_of_lacks(call, client, name, version)
        if node is not None:
            alone = RunNode(
                command_id=new_command_id(),
                workflow=name,
                node=node,
                run_id=from_run,
                inputs=values,
                answers=list(presets),
                version=version,
            )
            view = await client.ask(lambda engine: engine.run_node(alone))
        else:
            start = StartRun(
                command_id=new_command_id(),
                workflow=name,
                inputs=values,
                answers=list(presets),
                version=version,
                priority=priority,
                until_node=until,
                replay_file=replay_file,
                replay_run=replay_run,
                require_ready=check,
            )
            view = await client.ask(lambda engine: engine.start_run(start))
        call.following = view.short_id
        if detach:
            return await report_detached(call, client, view)
        follower = follower_of(call, client, view)
        announce(call, view)
        if version is None and not call.as_json:
            await tell_of_proposals(call, client, name)
        view = await follow_and_ask(call, client, follower)
        if record is not None:
            kept = await keep_recording(client, view.run_id, record)
            call.output.note(("recorded  ", "dim"), f"{kept.calls} call{'' if kept.calls == 1 else 's'} in {record}")
        return await report(call, client, view)

    return call.with_engine(work)


def step_command(
    context: typer.Context,
    name: NameArgument,
    run: Annotated[
        str | None,
        typer.Option("--run", metavar="RUN", help="The run to go on with (default: a new one).", show_default=False),
    ] = None,
    inputs: InputsOption = None,
    input_json: InputJsonOption = None,
    answers: AnswersOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Run one step of a workflow and pause."""
    call = open_call(context, workspace, as_json)
    if run is not None and (inputs or input_json is not None):
        raise UsageError(
            "A run that goes on takes no inputs.",
            cause="-i and --input-json are for its first step; --run names a run that has them.",
            next_step="Leave out the inputs, or leave out --run to begin a new run.",
        )
    given = parse_object(input_json)
    texts = parse_pairs(inputs or [], "-i")
    presets = parse_pairs(answers or [], "-a")

    async def work(client: Client) -> int:
        command_id = new_command_id()
        if run is None:
            values = {**given, **await typed_inputs(client, name, None, texts)}
            await tell_of_lacks(call, client, name)
            start = StartRun(command_id=command_id, workflow=name, inputs=values, answers=list(presets), until="step")
            view = await client.ask(lambda engine: engine.start_run(start))
            follower = follower_of(call, client, view)
        else:
            view = await client.ask(lambda engine: engine.get_run(run))
            _check_workflow(call, view, name)
            follower = follower_of(call, client, view)
            await follower.skip_to_now()
            view = await client.ask(lambda engine: engine.step_run(command_id, view.run_id, list(presets)))
        call.following = view.short_id
        return await report(call, client, await follower.until_rest())

    return call.with_engine(work)


def answer_command(
    context: typer.Context,
    run: RunArgument,
    request: Annotated[
        str, typer.Argument(metavar="REQUEST", help="The request's id, or its key.", show_default=False)
    ],
    value: Annotated[
        str, typer.Argument(metavar="VALUE", help="Read by the request's input type.", show_default=False)
    ],
    detach: Annotated[bool, typer.Option("--detach", help="Give the answer and return at once.")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Answer what a run waits for, and follow it until it is at rest again."""
    call = open_call(context, workspace, as_json)

    async def work(client: Client) -> int:
        before = await client.ask(lambda engine: engine.get_run(run))
        follower = follower_of(call, client, before)
        await follower.skip_to_now()
        answer = Answer(command_id=new_command_id(), run_id=before.run_id, request=request, value=value, parse=True)
        view = await client.ask(lambda engine: engine.answer(answer))
        call.following = view.short_id
        if detach:
            return await report_detached(call, client, view)
        return await report(call, client, await follower.until_rest())

    return call.with_engine(work)


def _check_partial(node: str | None, until: str | None, from_run: str | None, *, check: bool) -> None:
    """Raise UsageError where the options for a part of a workflow don't go together."""
    if node is not None and check:
        raise UsageError(
            "--node and --check don't go together.",
            cause="What is checked is what the whole workflow needs.",
            next_step="Leave one of them out; or look first: rondo check NAME",
        )
    if node is not None and until is not None:
        raise UsageError(
            "--node and --until don't go together.",
            cause="One node alone has no node to run up to.",
            next_step="Leave one of them out.",
        )
    if from_run is not None and node is None:
        raise UsageError(
            "--from needs --node.",
            cause="A run lends its state to one node that runs alone.",
            next_step="Name the node, or go on from that run: rondo fork RUN --step N",
        )


def _check_recording(node: str | None, detach: bool, record: str | None, replay: str | None) -> None:
    """Raise UsageError where a recording can't be had or used."""
    if record is not None and detach:
        raise UsageError(
            "--record and --detach don't go together.",
            cause="The recording is written when the run is at rest.",
            next_step="Leave --detach away; or replay the run itself later: rondo run NAME --replay RUN",
        )
    if replay is not None and node is not None:
        raise UsageError(
            "--replay and --node don't go together.",
            cause="A recording is of a whole run.",
            next_step="Leave one of them out.",
        )


def _replayed(replay: str | None) -> tuple[str | None, str | None]:
    """What `--replay` names: a file, by its path, or a run."""
    if replay is None:
        return None, None
    path = Path(replay).expanduser().absolute()
    is_file = path.exists() or os.sep in replay or replay.endswith(".json")
    return (str(path), None) if is_file else (None, replay)


# Inputs ----------------------------------------------------------------------------------------------------------


def parse_object(text: str | None) -> dict[str, Any]:
    """The inputs of `--input-json`; raises InvalidInput."""
    if text is None:
        return {}
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(
            "--input-json is not JSON.", cause=str(error), next_step="""Write it as --input-json '{"key": "value"}'"""
        ) from error
    if not isinstance(value, dict):
        raise InvalidInput(
            "--input-json is not an object.",
            cause=f"It is a {type(value).__name__}; inputs have names.",
            next_step="""Write it as --input-json '{"key": "value"}'""",
        )
    return value


async def typed_inputs(client: Client, name: str, version: str | None, texts: list[tuple[str, str]]) -> dict[str, Any]:
    """Inputs given as text, as the types that the workflow declares for them."""
    if not texts:
        return {}
    from core.definition.inputs import parse_input_text

    detail = await client.ask(lambda engine: engine.get_workflow(name, version))
    graph = Graph(name=name, nodes={}, edges=(), start=detail.start, inputs=detail.inputs)
    return {key: parse_input_text(graph, key, text) for key, text in texts}


def _check_workflow(call: Call, view: RunView, name: str) -> None:
    if view.workflow != name:
        raise UsageError(
            f"Run {view.short_id} is a run of {view.workflow}, not of {name}.",
            cause="NAME and --run don't belong together.",
            next_step=call.command_line("step", view.workflow, "--run", view.short_id),
        )


# Following -------------------------------------------------------------------------------------------------------


def follower_of(call: Call, client: Client, view: RunView) -> Follower:
    """What shows a run's news to people, and nothing where a document is wanted."""
    return Follower(client, view.run_id, None if call.as_json else print_news(call.output))


def announce(call: Call, view: RunView) -> None:
    """Say to people which run this is."""
    if not call.as_json:
        call.output.line(("run ", "dim"), view.short_id, (f" of {view.workflow}, version {view.version[:12]}", "dim"))


async def follow_and_ask(call: Call, client: Client, follower: Follower) -> RunView:
    """Follow the run to its rest; where a person is at the terminal, ask what it asks and follow on."""
    while True:
        view = await follower.until_rest()
        request = _first_request(view)
        if view.status not in ("waiting_input", "waiting_run") or request is None or not call.output.can_ask:
            return view
        if not await _ask(call, client, follower, request):
            return view


async def _ask(call: Call, client: Client, follower: Follower, request: RequestView) -> bool:
    """Ask until there is a valid answer, from here or from elsewhere; False if the person leaves it open."""
    output = call.output
    typed_lines = prompt.TypedLines(output)
    elsewhere = asyncio.create_task(follower.until_answered(request))
    try:
        prompt.ask(output, request)
        while True:
            typed = asyncio.create_task(typed_lines.next())
            try:
                await asyncio.wait({typed, elsewhere}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                answered_here = typed.done()
                await end_task(typed)
            if not answered_here:
                output.line("")
                await elsewhere
                output.note(("Answered elsewhere.", "dim"))
                return True
            text = typed.result()
            if text is None:
                output.line("")
                return False
            try:
                await _send_typed(client, request, text)
                return True
            except (AlreadyAnswered, UnknownRequest) as error:
                output.note(("! ", "yellow"), error.message)
                return True
            except InvalidAnswer as error:
                output.note(("! ", "yellow"), error.message, " ", error.cause)
                output.ask(prompt.prompt_part(request))
    finally:
        await end_task(elsewhere)


async def _send_typed(client: Client, request: RequestView, text: str) -> None:
    value, parse = prompt.read_typed(request, text)
    answer = Answer(command_id=new_command_id(), run_id=request.run_id, request=request.key, value=value, parse=parse)
    await client.ask(lambda engine: engine.answer(answer))


# Results ---------------------------------------------------------------------------------------------------------


async def report_detached(call: Call, client: Client, view: RunView) -> int:
    """Say which run goes on; its exit code is 0, whatever becomes of it."""
    if call.as_json:
        call.output.document(run_document(view, await read_whole_state(client, view.run_id)))
    else:
        call.output.line(view.short_id)
        call.output.note(("follow it: ", "dim"), call.command_line("logs", view.short_id, "-f"))
    return 0


async def report(call: Call, client: Client, view: RunView) -> int:
    """Show a run at rest, its state and what it needs next; return the exit code for it."""
    next_step = next_step_of(call, view)
    for name in view.unused_answers:
        call.output.note(("! ", "yellow"), f"-a {name} was not used: the run has not asked for it.")
    if call.as_json:
        call.output.document(run_document(view, await read_whole_state(client, view.run_id), next_step=next_step))
    else:
        await _show_result(call, client, view, next_step)
    return EXIT_CODES.get(view.status, 0)


async def _show_result(call: Call, client: Client, view: RunView, next_step: str) -> None:
    output = call.output
    steps = f"{view.step} step{'' if view.step == 1 else 's'}"
    took = took_text(view.started_at, view.ended_at)
    output.line(
        status_part(view.status), f"  {view.workflow}  ", (f"run {view.short_id}  {steps}  {took}".rstrip(), "dim")
    )
    if view.pause_reason:
        output.line(("because ", "dim"), view.pause_reason)
    output.lines(await read_state_lines(client, view.run_id))
    show_files(output, view)
    if view.logs_dropped:
        output.note(("! ", "yellow"), f"{view.logs_dropped} log lines were dropped: the run printed more than is kept.")
    show_trouble(call, view)
    if next_step:
        output.note(("next:  ", "bold"), next_step)


def show_files(output: Output, view: RunView) -> None:
    """Say where the run wrote files, if it did."""
    if os.path.isdir(view.output_dir):
        output.line(("files: ", "dim"), view.output_dir)


def show_trouble(call: Call, view: RunView) -> None:
    """Say on stderr why the run failed, and which questions are open."""
    if view.error is not None:
        where = f" in {view.error.node}" if view.error.node else ""
        if view.error.traceback:
            call.output.note((view.error.traceback.rstrip("\n"), "dim"))
        call.output.note(("error: ", "bold red"), f"{view.error.type}{where}: {view.error.message}")
        if view.error.cause:
            call.output.note(("cause: ", "bold"), view.error.cause)
        if view.error.next_step:
            call.output.note(("next:  ", "bold"), view.error.next_step)
    questions = [request for request in view.open_requests if request.kind != SUBFLOW]
    for request in [*questions, *([view.nested_input] if view.nested_input is not None else [])]:
        for line in prompt.question_lines(request, view.run_id):
            call.output.note(*line)


def next_step_of(call: Call, view: RunView) -> str:
    """The command that brings a run at rest on, or nothing where there is none."""
    request = _first_request(view)
    if view.status in ("waiting_input", "waiting_run") and request is not None:
        return call.answer_line(request.run_id[-8:], request, view.open_requests)
    if view.status == "waiting_run":
        awaited = next((child.short_id for child in view.children if child.awaited), "")
        return f"it goes on by itself when run {awaited} ends: " + call.command_line("show", awaited)
    if view.status == "waiting_timer" and request is not None:
        return "it goes on by itself; to end the wait now: " + call.answer_line(
            view.short_id, request, view.open_requests, SKIP
        )
    if view.status == "paused" and view.pause_reason:
        return call.command_line("resume", view.short_id)
    if view.status == "paused":
        return call.command_line("step", view.workflow, "--run", view.short_id)
    if view.status == "blocked":
        return call.command_line("approve", view.workflow)
    return ""


def _first_request(view: RunView) -> RequestView | None:
    """The oldest question; where only another kind of request is open (consent, a connection), the oldest of those."""
    if view.status == "waiting_run":
        return view.nested_input
    return view.awaiting_input or next(iter(view.open_requests), None)
