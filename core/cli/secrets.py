"""`rondo secrets`: keep keys and passwords, and say which workflow may have which. No command shows a value."""

from __future__ import annotations

import getpass
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from core.cli.call import Call, Client, JsonOption, NameArgument, WorkspaceOption, open_call
from core.cli.output import Part, ago, iso_time
from core.errors import EngineUnreachable, SecretsLocked, UnknownWorkflow, UsageError
from core.tools.secrets.grants import Grant, Grants
from core.tools.secrets.keyring_place import SECONDS_OF_PERSON, KeyringPlace
from core.tools.secrets.names import LONGEST, check_name
from core.tools.secrets.store import PASSPHRASE, SecretInfo, SecretStore

secrets_app = typer.Typer()

SHORTEST_PASSPHRASE = 8

WHERE = {
    "environment": "the environment",
    "keyring": "the system's keyring",
    "file": "a file of yours, not encrypted",
    "encrypted file": "a file of yours, encrypted",
}

SecretArgument = Annotated[
    str, typer.Argument(metavar="SECRET", help="The secret's name, such as SLACK_TOKEN.", show_default=False)
]


class To(StrEnum):
    """Where a secret can be put."""

    keyring = "keyring"
    file = "file"


@secrets_app.callback()
def secrets_group(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Keys and passwords: kept in your keyring or a file of yours, given to workflows by you, never shown."""


@secrets_app.command("set")
def set_command(
    context: typer.Context,
    secret: SecretArgument,
    value: Annotated[str | None, typer.Argument(hidden=True)] = None,
    to: Annotated[
        To | None, typer.Option("--to", help="Where to keep it (default: the keyring if there is one, else the file).")
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Keep a secret. Its value is asked for, or read from stdin: never write it into the command."""
    call = open_call(context, workspace, as_json)
    check_name(secret)
    if value is not None:
        raise UsageError(
            "A value is never a part of the command.",
            cause="Other users of this machine see commands while they run, and the shell keeps them. "
            "Nothing was kept; if that was the real value, change it.",
            next_step=f"rondo secrets set {secret}, and type or paste it when asked; or pipe it in.",
        )
    store = _store()
    where = store.set(secret, _read_value(secret), to.value if to is not None else None)
    hidden = bool(os.environ.get(secret, "").strip())
    if call.as_json:
        call.output.document({"name": secret, "where": where, "environment": hidden})
        return 0
    call.output.line((secret, "bold"), f" is kept in {WHERE[where]}.")
    if where in ("file", "encrypted file"):
        call.output.line((str(store.file.path), "dim"))
    if hidden:
        call.output.note(("! ", "yellow"), f"The environment has {secret} too, and what is there comes first.")
    return 0


@secrets_app.command("list")
def list_command(context: typer.Context, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> int:
    """List the secrets: where each is, how old, and which workflows may have it. Values are never shown."""
    call = open_call(context, workspace, as_json)
    kept = {info.name: info for info in _store().list()}
    grants: dict[str, list[Grant]] = {}
    for grant in Grants().all():
        grants.setdefault(grant.secret, []).append(grant)
    names = sorted(kept.keys() | grants.keys())
    if call.as_json:
        call.output.document([_document(name, kept.get(name), grants.get(name, [])) for name in names])
        return 0
    if not names:
        call.output.line("No secrets are kept. Keep one: rondo secrets set NAME")
        return 0
    call.output.table(
        ["SECRET", "WHERE", "SET", "WORKFLOWS"],
        [_row(call, name, kept.get(name), grants.get(name, [])) for name in names],
    )
    return 0


@secrets_app.command("remove")
def remove_command(
    context: typer.Context, secret: SecretArgument, workspace: WorkspaceOption = None, as_json: JsonOption = False
) -> int:
    """Remove a secret from where it is kept. What was granted stays granted, for one that is set anew."""
    call = open_call(context, workspace, as_json)
    where = _store().remove(secret)
    if call.as_json:
        call.output.document({"name": secret, "removed_from": where})
    else:
        call.output.line((secret, "bold"), f" is removed from {WHERE[where]}.")
    return 0


@secrets_app.command("grant")
def grant_command(
    context: typer.Context,
    secret: SecretArgument,
    name: NameArgument,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Let a workflow have a secret: as a variable of its environment, and as secret:NAME in headers of self.http."""
    call = open_call(context, workspace, as_json)
    check_name(secret)
    folder = _folder(call, name)
    new = Grants().grant(folder, secret)
    declared = secret in _declared(folder)
    if call.as_json:
        call.output.document({"name": secret, "workflow": name, "folder": str(folder), "granted": True, "new": new})
    else:
        call.output.line((name, "bold"), " may have ", (secret, "bold"), "." if new else " already.")
    if not declared:
        call.output.note(
            ("! ", "yellow"),
            f'{name} does not declare it yet. In {name}.json: "permissions": {{"secrets": ["{secret}"]}}',
        )
    if secret not in {info.name for info in _store().list()} and not os.environ.get(secret, "").strip():
        call.output.note(("! ", "yellow"), f"There is no secret {secret} yet: rondo secrets set {secret}")
    return 0


@secrets_app.command("revoke")
def revoke_command(
    context: typer.Context,
    secret: SecretArgument,
    name: NameArgument,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Take a secret from a workflow. A run that has it keeps it until its process ends."""
    call = open_call(context, workspace, as_json)
    folder = call.workspace.workflows_dir / name
    was = Grants().revoke(folder, secret)
    if call.as_json:
        call.output.document(
            {"name": secret, "workflow": name, "folder": str(folder.resolve()), "granted": False, "new": was}
        )
    else:
        call.output.line((name, "bold"), " may not have ", (secret, "bold"), " any more." if was else ": it never had.")
    return 0


@secrets_app.command("encrypt")
def encrypt_command(context: typer.Context, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> int:
    """Encrypt the file of the secrets with a passphrase, or change the passphrase."""
    call = open_call(context, workspace, as_json)
    store = _store()
    old = _passphrase("Present passphrase") if store.file.encrypted else None
    store = _store(old)
    if old is not None:
        store.file.unlock(old)
    new = _new_passphrase()
    count = store.file.encrypt(new)
    _tell_engine(call, new)
    return _show_encrypted(call, count, encrypted=True)


@secrets_app.command("decrypt")
def decrypt_command(context: typer.Context, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> int:
    """Take the passphrase off the file of the secrets: its values are then readable by whoever is you."""
    call = open_call(context, workspace, as_json)
    store = _store(_passphrase("Passphrase")) if _store().file.encrypted else _store()
    return _show_encrypted(call, store.file.encrypt(None), encrypted=False)


@secrets_app.command("unlock")
def unlock_command(context: typer.Context, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> int:
    """Tell the engine the passphrase; it keeps it in memory, until it ends."""
    call = open_call(context, workspace, as_json)
    if not _store().file.encrypted:
        raise UsageError(
            "The secrets have no passphrase.",
            cause="Their file is not encrypted, so there is nothing to unlock.",
            next_step="Encrypt it: rondo secrets encrypt",
        )
    passphrase = _passphrase("Passphrase")

    async def work(client: Client) -> int:
        await client.ask(lambda engine: engine.unlock_secrets(passphrase))
        if call.as_json:
            call.output.document({"unlocked": True})
        else:
            call.output.line("The engine can use the secrets. Runs that were paused for them: rondo resume RUN")
        return 0

    return call.with_engine(work)


# What the commands need -------------------------------------------------------------------------------------------


def _store(passphrase: str | None = None) -> SecretStore:
    asked: list[str] = [] if passphrase is None else [passphrase]

    def give() -> str | None:
        if not asked:
            asked.append(_passphrase("Passphrase of the secrets"))
        return asked[0]

    return SecretStore(keyring=KeyringPlace(SECONDS_OF_PERSON), passphrase=give)


def _read_value(secret: str) -> str:
    """The value, from a hidden prompt, or all of stdin without the line break at its end."""
    if sys.stdin.isatty():
        return _hidden(f"Value of {secret} (not shown): ").strip()
    text = sys.stdin.read(LONGEST + 2)
    return text.removesuffix("\n").removesuffix("\r")


def _passphrase(what: str) -> str:
    """The passphrase, from the environment or a hidden prompt; raises SecretsLocked where nobody can be asked."""
    if given := os.environ.get(PASSPHRASE):
        return given
    if not sys.stdin.isatty():
        raise SecretsLocked(
            "The secrets are encrypted, and the passphrase is not known here.",
            cause="There is no terminal on which it could be asked for.",
            next_step=f"Set {PASSPHRASE} for this command, or call it at a terminal.",
        )
    return _hidden(f"{what} (not shown): ")


def _new_passphrase() -> str:
    variable = f"{PASSPHRASE}_NEW"
    new = os.environ.get(variable) or os.environ.get(PASSPHRASE) or ""
    if not new:
        if not sys.stdin.isatty():
            raise UsageError(
                "There is no new passphrase.",
                cause="There is no terminal on which it could be asked for.",
                next_step=f"Set {variable} for this command, or call it at a terminal.",
            )
        new = _hidden("New passphrase (not shown): ")
        if _hidden("The same again: ") != new:
            raise UsageError("The two are not the same.", cause="Nothing was changed.", next_step="Try again.")
    if len(new) < SHORTEST_PASSPHRASE:
        raise UsageError(
            f"The passphrase is shorter than {SHORTEST_PASSPHRASE} characters.",
            cause="Whoever copies the file could guess it. Nothing was changed.",
            next_step="Use a longer one, such as four words.",
        )
    return new


def _hidden(prompt: str) -> str:
    try:
        return getpass.getpass(prompt, stream=sys.stderr)
    except (EOFError, KeyboardInterrupt):
        raise UsageError(
            "Nothing was typed.", cause="The input ended. Nothing was changed.", next_step="Try again."
        ) from None


def _folder(call: Call, name: str) -> Path:
    folder = call.workspace.workflows_dir / name
    if os.sep in name or name.startswith(".") or not folder.is_dir():
        raise UnknownWorkflow(
            f"There is no workflow {name}.",
            cause=f"{call.workspace.workflows_dir} has no such folder.",
            next_step=f"See which there are: {call.command_line('list')}",
        )
    return folder.resolve()


def _declared(folder: Path) -> list[str]:
    """The secrets that the workflow's JSON names now; none where it can't be read."""
    from core.tools.secrets.declared import declared

    try:
        return declared((folder / f"{folder.name}.json").read_bytes())
    except OSError:
        return []


def _tell_engine(call: Call, passphrase: str) -> None:
    """Tell an engine that runs in this workspace the new passphrase; none is started for it."""
    from core.link.start import connect

    async def tell() -> None:
        try:
            engine = await connect(call.workspace, kind="cli", start=False)
        except EngineUnreachable:
            return
        try:
            await engine.unlock_secrets(passphrase)
        finally:
            await engine.close()

    if call.workspace.exists():
        call.in_loop(tell())


def _show_encrypted(call: Call, count: int, *, encrypted: bool) -> int:
    if call.as_json:
        call.output.document({"encrypted": encrypted, "values": count})
    elif encrypted:
        call.output.line(f"The file is encrypted ({count} values). Without the passphrase there is no way to them.")
        call.output.line(("An engine that is started anew asks for it: rondo secrets unlock", "dim"))
    else:
        call.output.line(f"The file is not encrypted any more ({count} values); only you can read it.")
    return 0


def _document(name: str, info: SecretInfo | None, grants: list[Grant]) -> dict[str, Any]:
    """One secret, for a program; `where` is null for one that was granted and is not kept."""
    return {
        "name": name,
        "where": info.where if info is not None else None,
        "set_at": iso_time(info.set_at) if info is not None else None,
        "environment": bool(os.environ.get(name, "").strip()),
        "workflows": [
            {"name": grant.workflow, "folder": str(grant.folder), "granted_at": iso_time(grant.granted_at)}
            for grant in grants
        ],
    }


def _row(call: Call, name: str, info: SecretInfo | None, grants: list[Grant]) -> list[Part | list[Part]]:
    own = call.workspace.workflows_dir.resolve()
    workflows = [grant.workflow if grant.folder.parent == own else str(grant.folder) for grant in grants]
    in_environment = bool(os.environ.get(name, "").strip())
    where: Part = "environment" if in_environment else ("missing", "yellow")
    if info is not None:
        where = f"{info.where}, hidden by the environment" if in_environment else info.where
    return [name, where, ago(info.set_at) if info is not None else "-", ", ".join(workflows) or ("none", "dim")]
