"""`rondo env`: the environments of workflows with packages of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated

import typer

from core.cli.call import Call, Client, JsonOption, WorkspaceOption, complete_workflow, new_command_id, open_call
from core.cli.documents import Document, error_document
from core.cli.output import ago, byte_size, iso_time
from core.errors import PackagesProblem, UsageError
from core.link.types import ErrorView
from core.link.workflow_types import EnvironmentView
from core.settings import read_settings

LOOK_SECONDS = 0.3
PACKAGES_NAMED = 6


def environment_command(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="The workflow's name; without it every environment is listed.",
            autocompletion=complete_workflow,
            show_default=False,
        ),
    ] = None,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Make it anew, also where it is there.")] = False,
    prune: Annotated[bool, typer.Option("--prune", help="Remove those that no run used for long.")] = False,
    days: Annotated[
        float | None,
        typer.Option(
            "--days",
            metavar="N",
            min=0,
            help="With --prune: unused for so many days (default: engine.keep_environment_days of the settings).",
            show_default=False,
        ),
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Show the environment of a workflow's packages; make it where it is not there."""
    call = open_call(context, workspace, as_json)
    if (prune and (name or rebuild)) or (rebuild and not name):
        raise UsageError(
            "--prune is for all environments, --rebuild for one.",
            cause="Which environment is meant is not clear.",
            next_step="rondo env NAME --rebuild, or rondo env --prune",
        )

    async def work(client: Client) -> int:
        if prune:
            return await _prune(call, client, days)
        if name is None:
            return await _list(call, client)
        return await _one(call, client, name, rebuild)

    return call.with_engine(work)


async def _one(call: Call, client: Client, name: str, rebuild: bool) -> int:
    """Show one environment, after it was made where that is due. Raises PackagesProblem where it can't be made."""
    view = await client.ask(lambda engine: engine.get_environment(name))
    if view.state != "none" and (rebuild or view.state != "ready"):
        command_id = new_command_id()
        await client.ask(lambda engine: engine.make_environment(command_id, name, rebuild))
        view = await _follow(call, client, name)
        if view.state != "ready" or view.problem is not None:
            raise _problem(name, view.problem)
    if call.as_json:
        call.output.document(environment_document(view))
    else:
        _show(call, name, view)
    return 0


async def _follow(call: Call, client: Client, name: str) -> EnvironmentView:
    """Show what the installer says until the environment is there or can't be; Ctrl+C gives it up."""
    return await follow_making(
        call,
        lambda after: client.ask(lambda engine: engine.get_environment(name, after)),
        lambda: client.ask(lambda engine: engine.cancel_environment(name)),
    )


async def follow_making(
    call: Call,
    look: Callable[[int], Awaitable[EnvironmentView]],
    give_up: Callable[[], Awaitable[EnvironmentView]],
) -> EnvironmentView:
    """Show what the installer says until nothing is being made any more; Ctrl+C gives it up."""
    after = 0
    try:
        while True:
            view = await look(after)
            if not call.as_json:
                for line in view.lines:
                    call.output.note((line, "dim"))
            after = max(after, view.last_line)
            if view.state != "making" and not view.lines:
                return view
            await asyncio.sleep(LOOK_SECONDS)
    except asyncio.CancelledError:
        await give_up()
        raise


async def _list(call: Call, client: Client) -> int:
    views = await client.ask(lambda engine: engine.list_environments())
    if call.as_json:
        call.output.document([environment_document(view) for view in views])
    elif not views:
        call.output.note("No workflow has an environment of its own.")
    else:
        rows = [
            [(view.key or "")[:12], packages_text(view), byte_size(view.size or 0), ago(view.used_at), users_text(view)]
            for view in views
        ]
        call.output.table(["ENVIRONMENT", "PACKAGES", ">SIZE", "LAST USED", "WORKFLOWS"], rows)
    return 0


async def _prune(call: Call, client: Client, given: float | None) -> int:
    days = read_settings(call.workspace).engine.keep_environment_days if given is None else given
    removed = await client.ask(lambda engine: engine.prune_environments(days))
    if call.as_json:
        call.output.document({"removed": [environment_document(view) for view in removed]})
        return 0
    for view in removed:
        size = byte_size(view.size or 0)
        call.output.line(("removed ", "dim"), (view.key or "")[:12], f"  {size}  {packages_text(view)}")
    if not removed:
        call.output.note(f"Every environment was used within {days:g} days; nothing was removed.")
    return 0


def _problem(name: str, problem: ErrorView | None) -> PackagesProblem:
    if problem is None:
        return PackagesProblem(
            f"The environment of {name} was not made.",
            cause="It was given up before it was whole.",
            next_step=f"Make it again: rondo env {name}",
        )
    return PackagesProblem(problem.message, cause=problem.cause, next_step=problem.next_step)


def environment_document(view: EnvironmentView) -> Document:
    """One environment; `path` and what follows are null where there is none yet."""
    return {
        "workflow": view.workflow,
        "state": view.state,
        "key": view.key,
        "path": view.path,
        "python": view.python,
        "python_version": view.python_version,
        "requirements": view.requirements,
        "packages": [{"name": package.name, "version": package.version} for package in view.packages],
        "size": view.size,
        "created_at": iso_time(view.created_at),
        "last_used_at": iso_time(view.used_at),
        "workflows": view.workflows,
        "problem": error_document(view.problem),
    }


def packages_text(view: EnvironmentView) -> str:
    """The first packages with their versions, and how many more there are."""
    named = [f"{package.name} {package.version}" for package in view.packages[:PACKAGES_NAMED]]
    more = len(view.packages) - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "") or "no packages"


def users_text(view: EnvironmentView) -> str:
    """Which workflows of this workspace use it."""
    return ", ".join(view.workflows) or "none here"


def _show(call: Call, name: str, view: EnvironmentView) -> None:
    output = call.output
    if view.state == "none":
        output.line(f"{name} asks for no packages: its runs use Rondo's own Python.")
        output.note(("next:  ", "bold"), "Name packages in its requirements.txt, one a line, and it gets its own.")
        return
    output.line(("✓ ", "green"), f"{name} has an environment of its own")
    facts = [
        ("path", view.path or ""),
        ("python", f"{view.python_version}  {view.python}"),
        ("size", byte_size(view.size or 0)),
        ("made", ago(view.created_at)),
        ("last used", ago(view.used_at)),
        ("used by", users_text(view)),
    ]
    for key, value in facts:
        output.line((f"  {key:<10} ", "dim"), value)
    output.line((f"  {'packages':<10} ", "dim"), f"{len(view.packages)}")
    for package in view.packages:
        output.line(f"    {package.name} {package.version}")
