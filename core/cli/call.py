"""One call of the command line: its workspace, its output, and the engine it talks to."""

from __future__ import annotations

import asyncio
import os
import shlex
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from core.cli.output import Output
from core.errors import EngineLost, EngineStopping, RondoError, UsageError, WorkspaceMissing
from core.link.api import EngineApi
from core.link.event_types import EngineChanged, Event, Resync
from core.link.types import RequestView
from core.places import Workspace
from core.read_only import check_command

T = TypeVar("T")

LOSSES_ALLOWED = 5
"""Engines that may end under one command within a minute before it gives up."""

WorkspaceOption = Annotated[
    Path | None,
    typer.Option(
        "--workspace",
        metavar="DIR",
        help="The workspace's folder (default: RONDO_WORKSPACE, else here).",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Write one JSON document to stdout and nothing else.")]


class Interrupted(RondoError):
    """The person pressed Ctrl+C; what the engine does goes on."""

    exit_code = 130


def default_workspace() -> Path:
    """The workspace of a command that names none: RONDO_WORKSPACE, else the current folder."""
    return Path(os.environ.get("RONDO_WORKSPACE") or ".")


def new_command_id() -> str:
    """An id that makes a repeated command act once."""
    return uuid.uuid4().hex


class Client:
    """The engine of a workspace for the length of one command; found again, or started again, when it ends."""

    def __init__(self, workspace: Workspace, note: Callable[[str], None]) -> None:
        self.workspace = workspace
        self._note = note
        self._engine: Any = None
        self._losses: list[float] = []
        self._stopping = False
        self._connecting = asyncio.Lock()

    async def engine(self) -> EngineApi:
        """The engine, connected; starts one where none runs."""
        async with self._connecting:
            if self._engine is None:
                self._engine = await _connect(self.workspace, self._silence)
            engine: EngineApi = self._engine
            return engine

    async def ask(self, question: Callable[[EngineApi], Awaitable[T]]) -> T:
        """Put a question to the engine; where it ends meanwhile, put it to the next one.

        Commands must carry one command id for all tries.
        """
        while True:
            engine = await self.engine()
            try:
                return await question(engine)
            except EngineLost as error:
                await self._lost(engine, error)
            except UsageError:
                raise
            except RondoError as error:
                # An engine that is ending can't answer any more, in words that don't always say so.
                if self._stopping:
                    raise _stopped() from error
                raise

    async def watch(self, on_events: Callable[[list[Event]], None]) -> None:
        """Hand over batches of events for ever, across engines; a Resync says that some may be missing."""
        while True:
            engine = await self.engine()
            try:
                on_events([Resync()])
                async for batch in engine.events():
                    self._stopping |= any(
                        isinstance(event, EngineChanged) and event.state == "stopping" for event in batch
                    )
                    on_events(batch)
                raise EngineLost("The engine ended.")
            except EngineLost as error:
                await self._lost(engine, error)

    async def close(self) -> None:
        """Let the connection go; the engine stays."""
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.close()

    def _silence(self, silent: bool) -> None:
        """Say that the engine does not answer, or does again; what was asked is answered when it goes on."""
        if silent:
            from core.link.start import not_answering

            problem = not_answering(self.workspace)
            self._note(f"{problem.message} {problem.cause}")
            self._note(f"{problem.next_step} Still waiting; Ctrl+C ends this command and no run.")
        else:
            self._note("The engine answers again.")

    async def _lost(self, engine: EngineApi, error: EngineLost) -> None:
        # What it said last may still be on its way to `watch`.
        await asyncio.sleep(0.02)
        if engine is not self._engine:
            return
        if self._stopping:
            raise _stopped() from error
        now = time.monotonic()
        self._losses = [*(loss for loss in self._losses if now - loss < 60), now]
        if len(self._losses) > LOSSES_ALLOWED:
            raise error
        self._note("The engine ended; starting it again.")
        await self.close()


def _stopped() -> EngineStopping:
    return EngineStopping(
        "The engine was stopped.",
        cause="Someone asked it to end; no step that was done is lost.",
        next_step="Start it again, and its runs go on: rondo engine start",
    )


async def end_task(task: asyncio.Task[Any]) -> None:
    """Cancel a helper task and wait for its end; what it failed with meets the next question to the engine too."""
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()


async def _connect(workspace: Workspace, tell_silence: Callable[[bool], None]) -> Any:
    from core.link.client import RemoteEngine
    from core.link.start import connect

    engine = await connect(workspace, kind="cli")
    # An engine inside this process can't fall silent alone.
    if isinstance(engine, RemoteEngine):
        engine.liveness.tell = tell_silence
    return engine


class Call:
    """What every command has: the workspace, the output, and a way to run its work against the engine."""

    def __init__(self, workspace: Workspace, *, as_json: bool) -> None:
        self.workspace = workspace
        self.output = Output(as_json=as_json)
        self.following: str | None = None
        """The run that goes on when this command is interrupted."""

    @property
    def as_json(self) -> bool:
        return self.output.as_json

    def require_folder(self) -> None:
        """Raise WorkspaceMissing unless the workspace's folder is there."""
        if not self.workspace.root.is_dir():
            raise self._no_workspace("There is no such folder.")

    def require_workspace(self) -> None:
        """Raise WorkspaceMissing unless the folder holds workflows: nothing is ever started just anywhere."""
        self.require_folder()
        if not self.workspace.exists():
            raise self._no_workspace(f"It has no {self.workspace.workflows_dir.name} folder.")

    def with_engine(self, work: Callable[[Client], Awaitable[int]]) -> int:
        """Run a command's work with a client of the engine and return its exit code.

        On Ctrl+C raises Interrupted, which says how to go on following the run, if one was started.
        """
        self.require_workspace()

        async def connected() -> int:
            client = Client(self.workspace, self.output.note)
            try:
                return await work(client)
            finally:
                await client.close()

        return self.in_loop(connected())

    def in_loop(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end; Ctrl+C cancels it and raises Interrupted."""
        try:
            return asyncio.run(work)
        except KeyboardInterrupt:
            raise self._interrupted() from None

    def command_line(self, *words: str) -> str:
        """A command a person can paste, quoted, with `--workspace` where a plain one would mean another workspace."""
        line = ["rondo", *words]
        if Workspace.at(default_workspace()).root != self.workspace.root:
            line += ["--workspace", str(self.workspace.root)]
        return shlex.join(line)

    def answer_line(
        self, short_id: str, request: RequestView, open_requests: list[RequestView], value: str = "VALUE"
    ) -> str:
        """The command that answers a request: by its id, or by its key where several have that id."""
        same = [other for other in open_requests if other.request_id == request.request_id]
        name = request.request_id if len(same) <= 1 else request.key
        return self.command_line("answer", short_id, name, value)

    def _no_workspace(self, cause: str) -> WorkspaceMissing:
        root = self.workspace.root
        return WorkspaceMissing(
            f"There is no workspace at {root}.", cause=cause, next_step=f"Make one: rondo init {shlex.quote(str(root))}"
        )

    def _interrupted(self) -> Interrupted:
        if self.following is None:
            return Interrupted("Interrupted.", next_step=f"See what runs: {self.command_line('runs')}")
        return Interrupted(
            f"Interrupted: run {self.following} goes on without this command.",
            cause="Ctrl+C ends what is shown here, never the run.",
            next_step=f"Follow it: {self.command_line('logs', self.following, '-f')}",
        )


def open_call(context: typer.Context, workspace: Path | None, as_json: bool) -> Call:
    """The call of a command: options given after it win over those before it."""
    check_command(" ".join(context.command_path.split()[1:]))
    above: Any = context.parent
    while above is not None:
        workspace = workspace or above.params.get("workspace")
        as_json = as_json or bool(above.params.get("as_json"))
        above = above.parent
    return Call(Workspace.at(workspace or default_workspace()), as_json=as_json)


def parse_pairs(texts: list[str], option: str) -> list[tuple[str, str]]:
    """Split `key=value` texts; the value may hold more `=`. Raises UsageError where there is none."""
    pairs = []
    for text in texts:
        key, sign, value = text.partition("=")
        if not sign or not key:
            raise UsageError(
                f"{option} {text!r} is not key=value.",
                cause="There is no name before an equals sign." if sign else "There is no equals sign.",
                next_step=f"Write it as {option} key=value",
            )
        pairs.append((key, value))
    return pairs


def complete_workflow(context: typer.Context, incomplete: str) -> list[str]:
    """The workflows' names for the shell's completion: folder names only, nothing is read."""
    folder = context.find_root().params.get("workspace") or context.params.get("workspace") or default_workspace()
    try:
        names = [entry.name for entry in os.scandir(Workspace.at(folder).workflows_dir) if entry.is_dir()]
    except OSError:
        return []
    return sorted(name for name in names if name.startswith(incomplete) and not name.startswith((".", "__")))


NameArgument = Annotated[
    str,
    typer.Argument(metavar="NAME", help="The workflow's name.", autocompletion=complete_workflow, show_default=False),
]
RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="The run's id, or its last characters.", show_default=False)
]
