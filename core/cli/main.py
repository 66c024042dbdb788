"""The command line: its commands, and what becomes of their errors."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from typing import Annotated, Any

import typer

from core.cli import act, init, run, show, travel, workflows
from core.cli.call import JsonOption, WorkspaceOption
from core.cli.calls import calls_command
from core.cli.changes import changes_command
from core.cli.chat import chat_command
from core.cli.create import create_command, fix_command, new_command, update_command
from core.cli.doctor import doctor_command
from core.cli.engine import engine_app
from core.cli.environment import environment_command
from core.cli.inspect import break_command, output_command, why_command
from core.cli.logs import logs_command
from core.cli.models import models_command
from core.cli.output import Output, ReaderGone
from core.cli.proposals import edits_command, proposal_command, proposals_command, redo_command, undo_command
from core.cli.prune import prune_command
from core.cli.ready import check_command
from core.cli.secrets import secrets_app
from core.cli.settings import settings_app
from core.cli.shelf import duplicate_command, restore_command, trash_command
from core.cli.tools import (
    authenticate_tool_command,
    list_tools_command,
    tool_details_command,
    tools_app,
    workflow_tools_command,
)
from core.cli.transfer import export_command, import_command
from core.cli.versions import diff_command, rollback_command, versions_command
from core.cli.workflows import print_changes, print_findings
from core.errors import DefinitionError, NotApproved, RondoError, UsageError
from core.link.workflow_types import FindingView
from core.read_only import FLAG, switch_on
from core.version import VERSION

PIPE_CLOSED = 141
"""Exit code when the reader of our output has gone: what a shell reports for SIGPIPE."""

app = typer.Typer(
    help="Build, run and repair workflows in the terminal. Without a command, the app opens.",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


@app.callback()
def root(
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
    read_only: Annotated[
        bool, typer.Option(FLAG, help="Change nothing: what would is refused (or RONDO_READ_ONLY=1).")
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", is_eager=True, callback=lambda value: _version(value)),
    ] = False,
) -> None:
    """Take the options that may stand before the command."""


_DASHED = {"ignore_unknown_options": True}
"""For commands whose values may begin with a dash: -5 is a number and -1 a version, not an option."""


def add_commands(title: str, **commands: Callable[..., Any]) -> None:
    """Add commands of programs that this one may not import, such as those about the screens."""
    _panel(title, **commands)


def _panel(title: str, **commands: Callable[..., Any]) -> None:
    """Commands that the help shows together, in this order."""
    for name, function in commands.items():
        settings = _DASHED if name in ("answer", "diff", "rollback") else {}
        app.command(name.rstrip("_").replace("_", "-"), rich_help_panel=title, context_settings=settings)(function)


_panel(
    "Workflows",
    list=workflows.list_command,
    graph=workflows.graph_command,
    validate=workflows.validate_command,
    init=init.init_command,
    new=new_command,
    approve=workflows.approve_command,
    versions=versions_command,
    diff=diff_command,
    rollback=rollback_command,
    duplicate=duplicate_command,
    trash=trash_command,
    restore=restore_command,
    env=environment_command,
)
_panel(
    "Conversations",
    create=create_command,
    update=update_command,
    fix=fix_command,
    chat=chat_command,
    proposals=proposals_command,
    proposal=proposal_command,
    edits=edits_command,
    undo=undo_command,
    redo=redo_command,
)
_panel(
    "Runs",
    run=run.run_command,
    step=run.step_command,
    answer=run.answer_command,
    runs=show.runs_command,
    show=show.show_command,
    logs=logs_command,
    changes=changes_command,
    why=why_command,
    output=output_command,
    break_=break_command,
    pause=act.pause_command,
    resume=act.resume_command,
    cancel=act.cancel_command,
    retry=act.retry_command,
    rerun=travel.rerun_command,
    rewind=travel.rewind_command,
    fork=travel.fork_command,
    export=export_command,
    import_=import_command,
    prune=prune_command,
)
_panel(
    "Models and tools",
    models=models_command,
    calls=calls_command,
    list_tools=list_tools_command,
    tool_details=tool_details_command,
    authenticate_tool=authenticate_tool_command,
    workflow_tools=workflow_tools_command,
    check=check_command,
)
app.add_typer(tools_app, name="tools", rich_help_panel="Models and tools")
app.add_typer(secrets_app, name="secrets", rich_help_panel="Models and tools")
_panel("This machine", doctor=doctor_command)
app.add_typer(settings_app, name="settings", rich_help_panel="This machine")
app.add_typer(engine_app, name="engine", rich_help_panel="This machine")


def main(arguments: list[str]) -> int:
    """Run one command and return its exit code; every error ends as a message or a document, never as a traceback."""
    words = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if FLAG in words:
        # It may stand anywhere, as --json may.
        switch_on()
        at = words.index(FLAG)
        arguments = [*arguments[:at], *arguments[at + 1 :]]
    as_json = "--json" in words
    try:
        try:
            code = _call(arguments)
        except RondoError as error:
            _print_error(Output(as_json=as_json), error)
            code = error.exit_code
        except (ReaderGone, BrokenPipeError):
            raise
        except Exception as error:
            # A defect of ours: a person gets an error like any other, and the traceback to report.
            traceback.print_exc()
            _print_error(Output(as_json=as_json), _defect(error))
            code = 1
        sys.stdout.flush()
        return code
    except (ReaderGone, BrokenPipeError):
        # What is still buffered must not fail again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED


def _call(arguments: list[str]) -> int:
    """Let typer parse and call; its own complaints become a UsageError."""
    try:
        code: Any = app(args=arguments, prog_name="rondo", standalone_mode=False)
    except typer.Abort:
        raise UsageError("Nothing was done.", cause="The input ended.", next_step="rondo --help") from None
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        raise _usage_error(error) from error
    return code if isinstance(code, int) else 0


def _usage_error(error: Any) -> UsageError:
    """What typer says about the words of a call, and how they are meant."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "rondo"
    usage = " ".join(context.get_usage().split()).removeprefix("Usage: ") if context is not None else ""
    cause = f"It is used like this: {usage}" if usage else ""
    return UsageError(error.format_message(), cause=cause, next_step=f"See the words: {path} --help")


def _defect(error: Exception) -> RondoError:
    return RondoError(
        "Rondo itself failed.",
        cause=f"{type(error).__name__}: {error}",
        next_step="Report it with the traceback; what the engine does goes on.",
    )


def _print_error(output: Output, error: RondoError) -> None:
    """The error, and for people what belongs to it: the findings, or the changes that nobody approved yet."""
    if not output.as_json and isinstance(error, NotApproved):
        print_changes(
            output.note,
            [(str(c.get("path")), str(c.get("status")), str(c.get("diff"))) for c in _entries(error.details)],
        )
    if not output.as_json and isinstance(error, DefinitionError):
        print_findings(output.note, [_finding(entry) for entry in _entries(error.details)])
    output.error(error)


def _entries(details: Any) -> list[dict[str, Any]]:
    """The dicts among an error's details, which crossed the link and may be of any shape."""
    if isinstance(details, dict):
        details = details.get("changes")
    return [entry for entry in details if isinstance(entry, dict)] if isinstance(details, list) else []


def _finding(entry: dict[str, Any]) -> FindingView:
    known = {name: entry[name] for name in FindingView.__struct_fields__ if name in entry}
    return FindingView(**{"code": "", "severity": "error", "message": "", **known})


def _version(wanted: bool) -> None:
    if wanted:
        print(f"rondo {VERSION}")
        raise typer.Exit()
