"""The command line: its commands, and what becomes of their errors."""

from __future__ import annotations

import os
import sys
import traceback
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
from core.cli.models import models_command
from core.cli.output import Output, ReaderGone
from core.cli.proposals import edits_command, proposal_command, proposals_command, redo_command, undo_command
from core.cli.prune import prune_command
from core.cli.secrets import secrets_app
from core.cli.settings import settings_command
from core.cli.transfer import export_command, import_command
from core.cli.versions import diff_command, rollback_command, versions_command
from core.cli.workflows import print_changes, print_findings
from core.errors import DefinitionError, NotApproved, RondoError, UsageError
from core.link.types import FindingView
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
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", is_eager=True, callback=lambda value: _version(value)),
    ] = False,
) -> None:
    """Take the options that may stand before the command."""


app.command("init")(init.init_command)
app.command("new")(new_command)
app.command("create")(create_command)
app.command("update")(update_command)
app.command("fix")(fix_command)
app.command("chat")(chat_command)
app.command("proposals")(proposals_command)
app.command("proposal")(proposal_command)
app.command("edits")(edits_command)
app.command("undo")(undo_command)
app.command("redo")(redo_command)
app.command("list")(workflows.list_command)
app.command("validate")(workflows.validate_command)
app.command("graph")(workflows.graph_command)
app.command("run")(run.run_command)
app.command("step")(run.step_command)
# A value may begin with a dash: -5 is a number, not an option.
app.command("answer", context_settings={"ignore_unknown_options": True})(run.answer_command)
app.command("pause")(act.pause_command)
app.command("resume")(act.resume_command)
app.command("cancel")(act.cancel_command)
app.command("retry")(act.retry_command)
app.command("rerun")(travel.rerun_command)
app.command("rewind")(travel.rewind_command)
app.command("fork")(travel.fork_command)
app.command("runs")(show.runs_command)
app.command("show")(show.show_command)
app.command("changes")(changes_command)
app.command("calls")(calls_command)
app.command("logs")(show.logs_command)
app.command("approve")(workflows.approve_command)
app.command("versions")(versions_command)
# -1 is a version, not an option.
app.command("diff", context_settings={"ignore_unknown_options": True})(diff_command)
app.command("rollback", context_settings={"ignore_unknown_options": True})(rollback_command)
app.command("env")(environment_command)
app.command("prune")(prune_command)
app.command("export")(export_command)
app.command("import")(import_command)
app.command("doctor")(doctor_command)
app.command("settings")(settings_command)
app.command("models")(models_command)
app.add_typer(secrets_app, name="secrets")
app.add_typer(engine_app, name="engine")


def main(arguments: list[str]) -> int:
    """Run one command and return its exit code; every error ends as a message or a document, never as a traceback."""
    as_json = "--json" in arguments[: arguments.index("--")] if "--" in arguments else "--json" in arguments
    try:
        try:
            code = _call(arguments)
        except RondoError as error:
            _print_error(Output(as_json=as_json), error)
            code = error.exit_code
        except (ReaderGone, BrokenPipeError):
            raise
        except Exception as error:
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
