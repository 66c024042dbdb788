"""Library mode: runs as tasks of this very process, with the interface of run processes.

Node code shares the process: its output goes where the program's output goes, and code that never yields stops
everything. The same session runs here as in a run process; only the channel and the importer differ.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from core.engine.processes import ExitStatus, Listener
from core.errors import EnvironmentProblem
from core.flow.graph import Graph
from core.runner import sources
from core.runner.capture import VISIT
from core.runner.failures import failure_document
from core.runner.session import Broken, Session, load_workflow, make_nodes
from core.runner.wire import encode_json
from core.sdk import Node
from core.sdk.node import PRIVATE

KILL_SECONDS = 1.0
ENDED = ExitStatus(0, None)

log = logging.getLogger(__name__)


class InlinePool:
    """Starts runs as tasks. An init frame may hold `classes`, node classes by name, in place of sources to import."""

    has_interpreters = False

    def __init__(self) -> None:
        self._runs: set[InlineRun] = set()

    async def start(self) -> None:
        """Make `import grapheteria` work, as it does in run processes."""
        sources.install_original_name()

    async def spawn(
        self, init: dict[str, Any], state: bytes, listener: Listener, *, python: str | None = None
    ) -> InlineRun:
        """Start a run. Raises EnvironmentProblem where the workflow needs an interpreter of its own."""
        if python is not None:
            raise EnvironmentProblem(
                f"The workflow {init.get('workflow', '')} has an environment of its own.",
                cause="In library mode nodes run in this process, with this process's packages.",
                next_step="Run it through an engine, or install what it needs here.",
            )
        sources.install_original_name()
        run = InlineRun(init, state, listener)
        self._runs.add(run)
        run.task.add_done_callback(lambda _: self._runs.discard(run))
        return run

    async def close(self) -> None:
        """Stop every run."""
        await asyncio.gather(*(run.kill() for run in list(self._runs)))


class InlineRun:
    """One run as a task, with the face of a `RunProcess`; it has no process of its own, so no pid."""

    pid = 0
    started_ticks = 0
    sends_from_any_thread = False
    last_stack = ""

    def __init__(self, init: dict[str, Any], state: bytes, listener: Listener) -> None:
        self.closed = asyncio.Event()
        self._init = init
        self._listener = listener
        self._session: Session | None = None
        self._stopped = False
        self.task = asyncio.create_task(self._run(state), name=f"run {init.get('run', '')}")

    # What the engine does -----------------------------------------------------------------------------------------

    def send(self, header: dict[str, Any], payload: bytes = b"") -> None:
        """Hand a frame to the run; one that has ended takes none."""
        if self._session is not None:
            self._session.on_frame(header, payload)
        elif header["t"] == "stop":
            self._stopped = True

    def sender(self, header: dict[str, Any]) -> Callable[[], None]:
        """What hands this frame over on the event loop."""
        return partial(self.send, header)

    async def stop(self, grace: float) -> None:
        """Cancel the running visit; returns when the run has ended, or after `grace` seconds."""
        self.send({"t": "stop"})
        await self._wait(grace)

    async def kill(self) -> None:
        """Cancel the running visit; code that swallows its cancellation is left behind, for nothing can end it here."""
        self.send({"t": "stop"})
        if self._session is None:
            self.task.cancel()
        await self._wait(KILL_SECONDS)
        self._end("could not be ended: its code swallows cancellation")

    async def _wait(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self.closed.wait(), seconds)
        except TimeoutError:
            return

    # The run ------------------------------------------------------------------------------------------------------

    async def _run(self, state: bytes) -> None:
        description = "ended"
        try:
            self._session = await self._open(state)
            if self._session is not None:
                await self._session.run()
        except asyncio.CancelledError:
            description = "was stopped"
        except BaseException as error:
            # Also what code raises to end a program: here it ends its run.
            description = f"failed: {type(error).__name__}: {error}"
            log.exception("a run failed outside of its nodes")
        self._end(description)

    async def _open(self, state: bytes) -> Session | None:
        """Load the code, in a thread, since nobody knows how long its imports take; None where it can't be used."""
        begun = time.monotonic()
        try:
            graph, nodes = await asyncio.to_thread(_load, self._init)
            session = Session(self._init, state, graph, nodes, _ListenerLog(self._listener))
        except Broken as broken:
            self._say({"t": "broken", "e": self._init.get("e", 0), "failure": failure_document(broken.failure)}, b"")
            return None
        if self._stopped:
            return None
        session.attach(self._say)
        ready = {"t": "ready", "e": self._init.get("e", 0), "pid": 0, "import_seconds": time.monotonic() - begun}
        self._say(ready, b"")
        return session

    def _say(self, header: dict[str, Any], payload: bytes) -> None:
        """Pass a frame on; an error of the engine's must not come up in node code."""
        if self.closed.is_set():
            return
        try:
            self._listener.on_frame(header, payload)
        except Exception:
            # As a process whose engine fails to read it: the run ends, the program goes on.
            log.exception("a frame of a run could not be taken")
            self.task.cancel()

    def _end(self, description: str) -> None:
        if not self.closed.is_set():
            self.closed.set()
            self._listener.on_exit(ENDED, description)


class _ListenerLog:
    """Log lines of the interpreter, straight to the listener."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def write(self, level: int, stream: str, text: str) -> None:
        """Add a line to the present visit."""
        self._listener.on_log_records([(time.time(), level, stream, *VISIT.get(), text)])

    def end_visit(self) -> None:
        """Nothing is begun and not ended: output is not captured here."""


def _load(init: Mapping[str, Any]) -> tuple[Graph, dict[str, Node]]:
    """The graph's nodes, from given classes or from the workflow's sources, which are imported once a version."""
    if init.get("classes") is not None:
        graph = Graph.from_dict(init["graph"])
        return graph, make_nodes(graph, init["classes"], init["folder"])
    text = encode_json([init["folder"], sorted(init["sources"].items())])
    prefix = PRIVATE + hashlib.sha256(text).hexdigest()[:16]
    if prefix not in _finders:
        _finders[prefix] = sources.private_sources(init["sources"], init["folder"], prefix)
        sources.install(_finders[prefix])
    return load_workflow(init, prefix)


_finders: dict[str, sources.SourceFinder] = {}
