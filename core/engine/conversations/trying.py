"""Trying code that nobody has accepted yet: imported and run dry in a process of its own, once a person allows it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.assistant.workbench import DryRun
from core.definition.load import LoadedWorkflow, load_sources
from core.definition.requirements import requirement_lines
from core.engine.catalog import Catalog
from core.errors import RondoError
from core.link.chat_types import CheckView
from core.runner import trial
from core.runner.process_tree import kill_tree
from core.store.store import Store
from core.tools.pins import tool_names

SECONDS = 20
"""How long a try may take, with its imports."""
PREFIX = "rondo-try-"
LEFT_SECONDS = 3600.0
"""Age from which on a folder of a try is nobody's any more."""
OUTPUT_BYTES = 64 * 1024
RESULT_BYTES = 4 * 1024 * 1024
LOG_CHARACTERS = 2_000
RUNS_LOOKED_AT = 3
RECORDINGS = 60
AT_ONCE = 2

ADVICE = "It was run with recorded or made-up answers in an isolated process; it is not among the runs."


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of a try: `result` is what the process said, None where it said nothing, with `trouble` why."""

    result: dict[str, Any] | None
    output: str
    trouble: str
    seconds: float


class Tries:
    """Makes tries, at most two at a time. `allowed` says whether a person allowed them for a chat."""

    def __init__(self, catalog: Catalog, store: Store, allowed: Callable[[str], Any]) -> None:
        self._catalog = catalog
        self._store = store
        self._allowed = allowed
        self._room = asyncio.Semaphore(AT_ONCE)

    async def dry_run(
        self, chat: str, name: str, files: Mapping[str, bytes], inputs: dict[str, Any], until: str | None
    ) -> DryRun:
        """A try for the assistant, where a person has allowed them in this conversation."""
        if not await self._allowed(chat):
            return DryRun(allowed=False)
        loaded = await asyncio.to_thread(load_sources, name, files)
        if loaded.errors or loaded.graph is None:
            return DryRun(True, error="The draft has errors: validate it first.")
        tried = await self.run(loaded, inputs, until)
        return _for_model(tried)

    async def checks(self, name: str, files: Mapping[str, bytes]) -> list[CheckView]:
        """The checks `import` and `dry run` of files, made now: whoever calls this has a person's yes."""
        loaded = await asyncio.to_thread(load_sources, name, files)
        if loaded.errors or loaded.graph is None:
            why = "The files have errors, so nothing was run."
            return [CheckView(name=check, status="not_run", message=why) for check in ("import", "dry run")]
        tried = await self.run(loaded, {}, None)
        return _checks_of(tried, requirement_lines(loaded.files))

    async def run(self, loaded: LoadedWorkflow, inputs: dict[str, Any], until: str | None) -> Tried:
        """Import and run a workflow dry; whatever it does, this returns soon."""
        graph = loaded.graph
        assert graph is not None
        document = {
            "graph": graph.to_dict(),
            "sources": loaded.sources(),
            "tools": tool_names(loaded.files.get("tools.json")),
            "state": {**graph.initial_state, **trial.sample(graph.inputs or {"type": "object"}, {}), **inputs},
            "until": until,
            "run": True,
            "seconds": SECONDS,
            "recordings": await self._recordings(loaded.name),
        }
        async with self._room:
            scratch = await asyncio.to_thread(_make_scratch, loaded)
            try:
                document |= {"folder": str(scratch / loaded.name), "scratch": str(scratch)}
                return await _spawn(document, scratch)
            finally:
                await asyncio.to_thread(shutil.rmtree, scratch, True)

    async def _recordings(self, workflow: str) -> list[dict[str, Any]]:
        """What the calls of the workflow's last runs were answered with."""
        found: list[dict[str, Any]] = []
        for record in await self._store.runs(workflow=workflow, limit=RUNS_LOOKED_AT):
            for call in await self._store.calls(run=record.number, limit=RECORDINGS):
                if call.status not in ("done", "replayed", "recorded"):
                    continue
                with contextlib.suppress(RondoError, ValueError):
                    _, reply = await self._store.call_content(call.number)
                    if reply:
                        found.append(
                            {"node": call.node, "kind": call.kind, "hash": call.hash, "reply": json.loads(reply)}
                        )
        return found[:RECORDINGS]


def _make_scratch(loaded: LoadedWorkflow) -> Path:
    """A folder with a copy of the files: code finds its data beside itself, and what it writes goes nowhere else."""
    _sweep(Path(tempfile.gettempdir()))
    scratch = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
    for path, content in loaded.files.items():
        place = scratch / loaded.name / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    return scratch


def _sweep(folder: Path) -> None:
    """Remove what tries of engines left that were killed."""
    for left in folder.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            known = left.lstat()
            if known.st_uid == os.getuid() and time.time() - known.st_mtime > LEFT_SECONDS:
                shutil.rmtree(left, ignore_errors=True)


async def _spawn(document: dict[str, Any], scratch: Path) -> Tried:
    begun = time.monotonic()
    read_end, write_end = os.pipe()
    os.set_inheritable(write_end, True)
    environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": str(scratch), "TMPDIR": str(scratch)}
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-B",
            trial.__file__,
            str(write_end),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=scratch,
            env=environment,
            pass_fds=[write_end],
            start_new_session=True,
        )
    except OSError as error:
        os.close(read_end)
        return Tried(None, "", f"No process could be started: {error.strerror}.", time.monotonic() - begun)
    finally:
        os.close(write_end)
    assert process.stdin is not None and process.stdout is not None
    result = asyncio.ensure_future(_read_pipe(read_end))
    output = asyncio.ensure_future(_read_output(process.stdout))
    trouble = ""
    try:
        async with asyncio.timeout(SECONDS):
            process.stdin.write(json.dumps(document).encode())
            with contextlib.suppress(ConnectionError):
                await process.stdin.drain()
                process.stdin.close()
            data = await result
            await process.wait()
    except TimeoutError:
        trouble = f"It did not come to its end within {SECONDS} s."
        data = b""
    finally:
        await asyncio.to_thread(kill_tree, process.pid)
        for task in (result, output):
            if not task.done():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(asyncio.shield(task), 1.0)
            task.cancel()
    said = output.result() if output.done() and not output.cancelled() else ""
    try:
        parsed = json.loads(data) if data else None
    except ValueError:
        parsed = None
    if parsed is None and not trouble:
        code = process.returncode
        trouble = (
            f"The process ended before the try did ({f'signal {-code}' if code and code < 0 else f'exit {code}'})."
        )
    return Tried(parsed, said, trouble, time.monotonic() - begun)


async def _read_pipe(descriptor: int) -> bytes:
    """All of a pipe, within bounds."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", buffering=0)
    )
    try:
        data = b""
        while len(data) <= RESULT_BYTES and (part := await reader.read(65536)):
            data += part
        return data if len(data) <= RESULT_BYTES else b""
    finally:
        transport.close()


async def _read_output(stream: asyncio.StreamReader) -> str:
    """What was printed, its end; all of it is taken, so that nobody waits for room."""
    kept = b""
    while part := await stream.read(65536):
        kept = (kept + part)[-OUTPUT_BYTES:]
    return kept.decode(errors="replace")


# What it comes to -------------------------------------------------------------------------------------------------


def _checks_of(tried: Tried, requirements: list[str]) -> list[CheckView]:
    result, seconds = tried.result, round(tried.seconds, 2)
    if result is None:
        last = tried.output.strip().splitlines()[-3:]
        failed = CheckView(name="import", status="failed", message=tried.trouble, findings=last, seconds=seconds)
        return [failed, CheckView(name="dry run", status="not_run", message="The try did not come so far.")]
    if not result["imported"]:
        return [_failed_import(result["problem"], requirements), CheckView(name="dry run", status="not_run")]
    imported = CheckView(name="import", status="passed", seconds=round(result["import_seconds"], 2))
    outcome = result["outcome"]
    path = " → ".join(step["node"] for step in outcome["steps"]) or "nothing"
    if outcome["completed"]:
        message = f"It ran to its end: {path}. {ADVICE}"
        status = "passed"
    elif outcome["blocked"]:
        message = f"It stopped where it reaches outside: {outcome['error']}. {ADVICE}"
        status = "warned"
    else:
        message = f"It failed after {path}: {outcome['error']}. {ADVICE}"
        status = "failed"
    findings = [*outcome["calls"], *outcome["attempts"]]
    if not outcome["completed"]:
        findings += outcome["traceback"].strip().splitlines()[-6:]
    dry = CheckView(
        name="dry run",
        status="passed" if status == "passed" else "warned" if status == "warned" else "failed",
        message=message,
        findings=findings[:40],
        seconds=round(result["run_seconds"], 2),
    )
    return [imported, dry]


def _failed_import(problem: dict[str, Any], requirements: list[str]) -> CheckView:
    if requirements and "is not there" in problem["message"]:
        message = f"{problem['message']} Its packages are installed when it is first run."
        return CheckView(name="import", status="not_run", message=message)
    findings = [problem["cause"], *problem["traceback"].strip().splitlines()[-6:]]
    return CheckView(name="import", status="failed", message=problem["message"], findings=findings)


def _for_model(tried: Tried) -> DryRun:
    result = tried.result
    if result is None:
        return DryRun(True, error=tried.trouble, log=tried.output[-LOG_CHARACTERS:])
    if not result["imported"]:
        problem = result["problem"]
        return DryRun(True, error=f"{problem['message']}\n{problem['traceback']}", log=tried.output[-LOG_CHARACTERS:])
    outcome = result["outcome"]
    steps = tuple(f"{step['node']} -> {step['next'] or 'end'}" for step in outcome["steps"])
    error = "\n".join(part for part in (outcome["error"], outcome["traceback"]) if part)
    log = "\n".join([*outcome["calls"], tried.output])[-LOG_CHARACTERS:]
    return DryRun(True, outcome["completed"], steps, error, outcome["state"], log)
