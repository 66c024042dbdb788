"""`rondo tools install`, `rondo tools uninstall`: providers of tools that can't share an environment with Rondo."""

from __future__ import annotations

from typing import Annotated

import typer

from core.cli.call import Call, Client, JsonOption, WorkspaceOption, new_command_id, open_call
from core.cli.environment import environment_document, follow_making
from core.cli.output import ago, byte_size
from core.errors import PackagesProblem
from core.link.workflow_types import EnvironmentView
from core.tools.making import GONE

COMPOSIO_CORE = "composio-core"

ProviderArgument = Annotated[
    str, typer.Argument(metavar="PROVIDER", help=f"The provider: {COMPOSIO_CORE}.", show_default=False)
]


def install_command(
    context: typer.Context,
    provider: ProviderArgument,
    again: Annotated[bool, typer.Option("--again", help="Install it anew, also where it is there.")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Install what a provider needs, in an environment of its own. Only composio-core needs that."""
    call = open_call(context, workspace, as_json)

    async def work(client: Client) -> int:
        command_id = new_command_id()
        view = await client.ask(lambda engine: engine.install_provider(command_id, provider, again))
        if view.state == "making" and not as_json:
            call.output.note(f"Installing {provider}; Ctrl+C gives it up.")
        view = await follow_making(
            call,
            lambda after: client.ask(lambda engine: engine.get_provider(provider, after)),
            lambda: client.ask(lambda engine: engine.cancel_install(provider)),
        )
        if view.state != "ready" or view.problem is not None:
            raise _problem(provider, view)
        _show(call, provider, view)
        return 0

    return call.with_engine(work)


def uninstall_command(
    context: typer.Context,
    provider: ProviderArgument,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Take away what was installed for a provider; accounts and keys stay."""
    call = open_call(context, workspace, as_json)

    async def work(client: Client) -> int:
        before = await client.ask(lambda engine: engine.get_provider(provider))
        after = await client.ask(lambda engine: engine.remove_provider(provider))
        if as_json:
            call.output.document(_document(provider, after))
        elif before.state == "ready":
            call.output.line((provider, "bold"), f" is taken away: {byte_size(before.size or 0)} are free again.")
        else:
            call.output.line((provider, "bold"), " was not installed.")
        return 0

    return call.with_engine(work)


def provider_text(view: EnvironmentView) -> str:
    """Whether it is installed, in one line."""
    if view.state == "making":
        return "is being installed"
    if view.state == "ready":
        return f"{_version(view)}, {byte_size(view.size or 0)}, used {ago(view.used_at)}; its calls go to API v3.1"
    return f"not installed; only who names it needs it: rondo tools install {COMPOSIO_CORE}"


def _show(call: Call, provider: str, view: EnvironmentView) -> None:
    if call.as_json:
        call.output.document(_document(provider, view))
        return
    size = byte_size(view.size or 0)
    call.output.line(
        ("✓ ", "green"), (provider, "bold"), f" {_version(view)} is installed: {len(view.packages)} packages, {size}"
    )
    call.output.line(("  path  ", "dim"), view.path or "")
    call.output.note(GONE)
    call.output.note(("next:  ", "bold"), f"rondo workflow-tools NAME --set TOOL.provider={provider}")
    call.output.note(f'       or, for all that name no provider: composio = "{provider}" under [tools] in the settings')


def _version(view: EnvironmentView) -> str:
    return next((one.version for one in view.packages if one.name.replace("_", "-").lower() == COMPOSIO_CORE), "")


def _document(provider: str, view: EnvironmentView) -> dict[str, object]:
    document = environment_document(view)
    del document["workflow"], document["workflows"]
    return {"provider": provider, **document}


def _problem(provider: str, view: EnvironmentView) -> PackagesProblem:
    if view.problem is None:
        return PackagesProblem(
            f"{provider} was not installed.",
            cause="It was given up before it was whole.",
            next_step=f"Install it again: rondo tools install {provider}",
        )
    return PackagesProblem(view.problem.message, cause=view.problem.cause, next_step=view.problem.next_step)
