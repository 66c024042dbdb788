"""`rondo init`: a new workspace."""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from core.cli.call import Call, Client, JsonOption, WorkspaceOption, open_call
from core.errors import EnvironmentProblem, RondoError, UnknownWorkflow, UsageError, WorkspaceMissing
from core.places import Workspace

DEFAULT_EXAMPLE = "hello"

RUNS_README = (
    "Rondo keeps its database, its logs and the output of runs here. "
    "Nothing in this folder belongs in version control.\n"
)

GITIGNORE = """__pycache__/
/runs/*
!/runs/README.md
workflows/*/backups/
workflows/*/output/
workflows/.trash/
"""


def init_command(
    context: typer.Context,
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DIR]", help="The folder, made if it is not there (default: the workspace).", show_default=False
        ),
    ] = None,
    example: Annotated[
        str | None,
        typer.Option(
            "--example", metavar="NAME", help=f"Which example to copy (default: {DEFAULT_EXAMPLE}).", show_default=False
        ),
    ] = None,
    no_example: Annotated[bool, typer.Option("--no-example", help="Copy no example.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing unless something is wrong.")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Make a workspace: folders, an example, trust in what is edited there. Never overwrites."""
    call = open_call(context, workspace, as_json)
    if folder is not None:
        call.workspace = Workspace.at(folder)
    if example is not None and no_example:
        raise UsageError(
            "--example and --no-example don't go together.",
            cause="One asks for what the other declines.",
            next_step="Leave one out.",
        )
    source = _example_source(call, example, no_example)
    created = _make_folders(call.workspace)
    if source is not None and (copied := _copy_example(source, call.workspace)) is not None:
        created.append(copied)
    _trust(call)
    if call.as_json:
        names = [str(path) for path in created]
        call.output.document({"workspace": str(call.workspace.root), "created": names, "trust": "own"})
    elif not quiet:
        _tell(call, created)
    return 0


def _example_source(call: Call, example: str | None, no_example: bool) -> Path | None:
    """The folder to copy: the one asked for; without a wish the default one, where there is no workflow yet."""
    if no_example or (example is None and _has_workflows(call.workspace)):
        return None
    from core.definition.examples import example_names, examples_folder

    name = example or DEFAULT_EXAMPLE
    if name not in example_names():
        raise UnknownWorkflow(
            f"There is no example named {name!r}.",
            cause=f"The examples are {', '.join(example_names())}.",
            next_step=f"Take one of them: rondo init --example {DEFAULT_EXAMPLE}",
        )
    return Path(examples_folder()) / name


def _has_workflows(workspace: Workspace) -> bool:
    try:
        return any(entry.is_dir() and not entry.name.startswith(".") for entry in os.scandir(workspace.workflows_dir))
    except OSError:
        return False


def _make_folders(workspace: Workspace) -> list[Path]:
    """Make what is missing and return it."""
    created: list[Path] = []
    try:
        for folder in (workspace.root, workspace.workflows_dir, workspace.runs_dir):
            if not folder.is_dir():
                folder.mkdir(parents=True)
                created.append(folder)
        for file, text in ((workspace.runs_dir / "README.md", RUNS_README), (workspace.root / ".gitignore", GITIGNORE)):
            if not os.path.lexists(file):
                file.write_text(text, encoding="utf-8")
                created.append(file)
    except OSError as error:
        raise WorkspaceMissing(
            f"The workspace at {workspace.root} can't be made.",
            cause=f"{error.filename or workspace.root}: {error.strerror or error}",
            next_step="Name a folder that you may write: rondo init DIR",
        ) from error
    return created


def _copy_example(source: Path, workspace: Workspace) -> Path | None:
    """Copy an example under its name, whole or not at all; None where that name is taken."""
    target = workspace.workflows_dir / source.name
    if os.path.lexists(target):
        return None
    try:
        with tempfile.TemporaryDirectory(prefix=".copy-", dir=workspace.workflows_dir) as place:
            copy = Path(place) / source.name
            shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__", "backups", "output", ".*"))
            os.rename(copy, target)
    except (OSError, shutil.Error) as error:
        raise EnvironmentProblem(
            f"The example {source.name} can't be copied.",
            cause=str(error),
            next_step=f"See that {workspace.workflows_dir} can be written and has space, then call this again.",
        ) from error
    return target


def _trust(call: Call) -> None:
    """Let everything in this workspace run, now and later. An engine that had to be started for it is ended again."""
    from core.link.start import find_engine, stop_engine

    was_running = find_engine(call.workspace).running

    async def work(client: Client) -> int:
        await client.ask(lambda engine: engine.trust_workspace())
        return 0

    call.with_engine(work)
    if not was_running:
        try:
            call.in_loop(stop_engine(call.workspace))
        except RondoError as error:
            # The workspace is made; an engine that stays ends by itself when it is idle.
            call.output.note(("note: ", "dim"), error.message)


def _tell(call: Call, created: list[Path]) -> None:
    output = call.output
    root = call.workspace.root
    output.line(("✓ ", "green"), f"workspace {root}" if created else f"workspace {root} was complete already")
    for path in created:
        if path != root:
            output.line(("  + ", "green"), str(path.relative_to(root)) + ("/" if path.is_dir() else ""))
    output.line(("  trust: own", "dim"), ("  what you save here may run; take in foreign workflows with care", "dim"))
    here = Path.cwd().resolve() == root
    names = [path.name for path in created if path.parent == call.workspace.workflows_dir]
    steps = (
        ([] if here else [f"cd {shlex.quote(str(root))}"])
        + [f"rondo run {shlex.quote(name)}" for name in names]
        + ["rondo"]
    )
    output.line(("  next: ", "bold"), "  then  ".join(steps))
