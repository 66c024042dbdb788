"""`rondo models`: which models the roles stand for, which providers there are, and what models one has."""

from __future__ import annotations

from typing import Annotated

import typer

from core.cli.call import Call, Client, JsonOption, WorkspaceOption, open_call
from core.cli.documents import Document
from core.cli.output import Part
from core.link.model_types import ModelsStatus, ModelView, ProviderView
from core.link.types import ErrorView
from core.settings import DEFAULT

_KEYS = {
    "client": ("given by a terminal", "green"),
    "environment": ("in the environment", "green"),
    "secret": ("in the secret store", "green"),
    "not needed": ("not needed", ""),
}


def models_command(
    context: typer.Context,
    provider: Annotated[
        str | None,
        typer.Argument(
            metavar="[PROVIDER]", help="List the models that this provider has; it is asked.", show_default=False
        ),
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Show the models of the roles and which providers have a key; with a provider, list its models."""
    call = open_call(context, workspace, as_json)

    async def work(client: Client) -> int:
        if provider is None:
            status = await client.ask(lambda engine: engine.models_status())
            if call.as_json:
                call.output.document(status_document(status))
            else:
                _show_status(call, status)
            return 0
        models = await client.ask(lambda engine: engine.list_models(provider))
        if call.as_json:
            call.output.document([model_document(model) for model in models])
        else:
            _show_models(call, models)
        return 0

    return call.with_engine(work)


def key_part(view: ProviderView) -> Part:
    """Where the key of a provider is, or which variable would hold it."""
    if view.key in _KEYS:
        return _KEYS[view.key]
    return f"not set: {view.key_names[0]}" if view.key_names else "not set", "yellow"


def status_document(status: ModelsStatus) -> Document:
    """How models stand, for a program."""
    return {
        "profile": status.profile,
        "profiles": status.profiles,
        "roles": [
            {"name": role.name, "model": role.model, "effort": role.effort, "source": role.source}
            for role in status.roles
        ],
        "providers": [
            {
                "name": view.name,
                "title": view.title,
                "wire": view.wire,
                "base_url": view.base_url,
                "key": view.key,
                "key_names": view.key_names,
                "tried": view.tried,
                "custom": view.custom,
                "notes": view.notes,
            }
            for view in status.providers
        ],
        "problem": _problem_document(status.problem) if status.problem is not None else None,
    }


def _problem_document(problem: ErrorView) -> Document:
    return {
        "type": problem.type,
        "message": problem.message,
        "cause": problem.cause,
        "next_step": problem.next_step,
    }


def model_document(model: ModelView) -> Document:
    """A model, for a program; prices are US dollars per million tokens, null where they are not known."""
    return {
        "model": f"{model.provider}:{model.id}",
        "id": model.id,
        "provider": model.provider,
        "title": model.title,
        "context_tokens": model.context_tokens,
        "input_price": model.input_price,
        "output_price": model.output_price,
    }


def _show_status(call: Call, status: ModelsStatus) -> None:
    others = ", ".join(name for name in status.profiles if name != status.profile)
    call.output.line(("profile ", "dim"), (status.profile, "bold"), (f"  (there are also {others})", "dim"))
    call.output.line("")
    call.output.table(
        ["ROLE", "MODEL", "EFFORT", "FROM"],
        [
            [role.name, role.model, role.effort or "-", (role.source, "dim" if role.source == DEFAULT else "")]
            for role in status.roles
        ],
    )
    call.output.line("")
    call.output.table(
        ["PROVIDER", "KEY", "ADDRESS"],
        [[view.name, key_part(view), view.base_url] for view in status.providers],
    )
    untried = [view.title for view in status.providers if not view.tried]
    if untried:
        call.output.line("")
        call.output.line((f"Never tried against the live service by this version: {', '.join(untried)}.", "dim"))
    if status.problem is not None:
        call.output.note(("! ", "yellow"), status.problem.message)
        call.output.note(("  cause: ", "dim"), status.problem.cause)
        call.output.note(("  next:  ", "dim"), status.problem.next_step)


def _show_models(call: Call, models: list[ModelView]) -> None:
    call.output.table(
        ["MODEL", "NAME", ">CONTEXT", ">$/M IN", ">$/M OUT"],
        [
            [
                f"{model.provider}:{model.id}",
                model.title or "-",
                f"{model.context_tokens:,}" if model.context_tokens else "-",
                _price(model.input_price),
                _price(model.output_price),
            ]
            for model in models
        ],
    )


def _price(price: float | None) -> str:
    return "unknown" if price is None else f"{price:g}"
