"""A try of a workflow that nobody has accepted yet: `python trial.py FD`, a document on
stdin, the result on FD.

The code is imported and run in this process alone, with an empty environment, limits of time, memory and files, and
guards that refuse sockets, other programs, and files outside of the workflow and of a scratch folder. What its nodes
call (models, addresses, tools, people) is answered from recordings or by values of the right shape. The guards keep
honest code from acting; they are no wall against code that means harm, so a person has to allow a try.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

MEMORY_BYTES = 2 * 1024**3
FILE_BYTES = 16 * 1024**2
OPEN_FILES = 256
STEPS = 200
"""Most visits of one try: a loop that only an answer ends would go on for ever."""

_SOCKETS = ("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo")
_PROGRAMS = (
    "subprocess.Popen",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "os.system",
    "os.fork",
    "os.forkpty",
    "pty.spawn",
)
_CHANGES = (
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.mkdir",
    "os.chmod",
    "os.chown",
    "os.link",
    "os.symlink",
    "os.truncate",
    "os.utime",
    "shutil.rmtree",
    "shutil.move",
)
_READABLE = ("/usr", "/lib", "/lib64", "/etc/localtime", "/etc/ssl", "/etc/mime.types", "/dev/null", "/dev/urandom")
_WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class NotInATry(PermissionError):
    """What the code wanted to do is not done in a try."""


# Guards -----------------------------------------------------------------------------------------------------------


def limit(seconds: int) -> None:
    """Bound what this process can use."""
    for kind, most in (
        (resource.RLIMIT_CPU, seconds + 1),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_AS, MEMORY_BYTES),
    ):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (most, most))


def end_with(seconds: int) -> None:
    """End this process with the engine that made it, or, where it is not told of that, once its time is over."""
    from core.runner.host import die_with_parent

    die_with_parent(signal.SIGKILL)
    signal.setitimer(signal.ITIMER_REAL, seconds + 5)


def guard(folder: str, scratch: str) -> None:
    """Refuse from here on what reaches out of the try; it can't be taken back in this process."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    python = [sys.prefix, sys.base_prefix, sys.exec_prefix, *(path for path in sys.path if path)]
    readable = [*_roots([*python, package, folder, scratch]), *_READABLE]
    writable = [*_roots([scratch]), "/dev/null"]
    sys.addaudithook(_hook(readable, writable))


def _roots(paths: list[str]) -> list[str]:
    return [os.path.realpath(path) for path in paths if os.path.realpath(path) != "/"]


def _hook(readable: list[str], writable: list[str]) -> Callable[[str, tuple[Any, ...]], None]:
    checking = False

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal checking
        if checking:
            return
        checking = True
        try:
            if event in _SOCKETS:
                raise NotInATry(
                    "A try opens no connection: use self.http or self.llm, which are answered in its place."
                )
            if event in _PROGRAMS:
                raise NotInATry("A try starts no other program.")
            if event == "open":
                _check_open(arguments, readable, writable)
            elif event in _CHANGES:
                _check_change(event, arguments, writable)
        finally:
            checking = False

    return hook


def _check_open(arguments: tuple[Any, ...], readable: list[str], writable: list[str]) -> None:
    path, mode, flags = arguments
    if isinstance(path, int) or path is None:
        return
    writes = any(letter in mode for letter in "wax+") if isinstance(mode, str) else bool((flags or 0) & _WRITE_FLAGS)
    real = os.path.realpath(os.fsdecode(path))
    if not _below(real, writable if writes else readable):
        raise NotInATry(f"A try {'writes' if writes else 'reads'} no file there: {os.fsdecode(path)}")


def _check_change(event: str, arguments: tuple[Any, ...], writable: list[str]) -> None:
    for path in arguments[:2]:
        if isinstance(path, str | bytes | os.PathLike):
            real = os.path.realpath(os.fsdecode(path))
            if not _below(real, writable):
                raise NotInATry(f"A try changes nothing there: {os.fsdecode(path)}")


def _below(real: str, roots: list[str]) -> bool:
    return any(real == root or real.startswith(root + os.sep) for root in roots)


# Answers ----------------------------------------------------------------------------------------------------------


class TryJournal:
    """A `core.flow.journal.Journal` that keeps nothing and answers everything at once."""

    def __init__(self, recordings: list[dict[str, Any]], until: str | None) -> None:
        self.steps: list[dict[str, Any]] = []
        self.calls: list[str] = []
        self.failed: list[str] = []
        self._recordings = recordings
        self._until = until
        self.log_lines: list[str] = []

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """A try waits for nothing."""

    def random(self) -> float:
        """Always the same number, so that a try can be repeated."""
        return 0.5

    def clock(self) -> Any:
        """The event loop's."""
        return asyncio.get_running_loop()

    def started(self, node: str, visit: int, attempt: int, plan: Any) -> None:
        """An attempt begins."""

    def attempt_failed(self, record: Any) -> None:
        """An attempt failed."""
        self.failed.append(f"{record.node}: {record.failure.type}: {record.failure.message}")

    async def step(self, record: Any) -> None:
        """A visit is complete."""
        self.steps.append({"node": record.node, "next": record.routing.next, "changed": record.delta.changed})
        if record.node == self._until or len(self.steps) >= STEPS:
            raise Enough

    def waits(self) -> None:
        """A try waits for nobody."""

    async def request(self, request: Any) -> Any:
        """The answer that is easiest to give."""
        if request.kind in ("timer", "subflow"):
            return None if request.kind == "timer" else {"run_id": "", "status": "completed", "state": {}}
        answer = "fail" if request.kind == "error" else plain_answer(request.input_type, request.options)
        self.calls.append(f"{request.node} asked {request.request_id}: answered {json.dumps(answer)}")
        return answer

    async def call(self, call: Any) -> dict[str, Any]:
        """What was recorded for this call, or for one of the same node and kind; else a value of the right shape."""
        same = [one for one in self._recordings if one["kind"] == call.kind and one["node"] == call.node]
        exact = next((one for one in same if one["hash"] == call.hash), None)
        found = exact or next((one for one in same if not one.get("used")), None)
        if found is not None:
            found["used"] = True
            self.calls.append(f"{call.node} called {call.kind}: answered from a recording")
            reply: dict[str, Any] = found["reply"]
            return reply
        self.calls.append(f"{call.node} called {call.kind}: answered with a made-up value")
        return stub_reply(call.kind, json.loads(call.text))

    def spend_calls(self, key: str) -> None:
        """Nothing is recorded."""

    def log(self, level: str, text: str, node: str = "", visit: int = 0, attempt: int = 0) -> None:
        """Keep the last lines."""
        self.log_lines = [*self.log_lines[-50:], f"{level} {node} {text}"]


class Enough(Exception):
    """The node was reached up to which the try was to go, or too many steps were made."""


def stub_reply(kind: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """A made-up reply of the right shape."""
    if kind == "llm":
        schema = request.get("schema")
        if schema is None:
            return {"text": "a made-up answer"}
        value = sample(schema, schema)
        return {"text": json.dumps(value), "value": value}
    if kind == "http":
        headers = {"content-type": "application/json"}
        return {"status": 200, "url": request.get("url", ""), "headers": headers, "text": "{}"}
    return {"value": {}}


def sample(schema: Any, root: Mapping[str, Any], depth: int = 0) -> Any:
    """A value that fits a JSON Schema, as far as its usual words go."""
    if not isinstance(schema, Mapping) or depth > 8:
        return None
    if "$ref" in schema:
        place: Any = root
        for part in str(schema["$ref"]).removeprefix("#/").split("/"):
            place = place.get(part, {}) if isinstance(place, Mapping) else {}
        return sample(place, root, depth + 1)
    for word in ("default", "const"):
        if word in schema:
            return schema[word]
    if schema.get("enum"):
        return schema["enum"][0]
    for word in ("anyOf", "oneOf", "allOf"):
        if schema.get(word):
            return sample(schema[word][0], root, depth + 1)
    kind = schema.get("type")
    match kind[0] if isinstance(kind, list) and kind else kind:
        case "object":
            properties = schema.get("properties") or {}
            return {name: sample(part, root, depth + 1) for name, part in properties.items()}
        case "array":
            return [sample(schema["items"], root, depth + 1)] if schema.get("items") else []
        case "integer":
            return int(schema.get("minimum", 1))
        case "number":
            return float(schema.get("minimum", 1))
        case "boolean":
            return True
        case "null":
            return None
    return "text" if kind in ("string", None) and not schema.get("properties") else {}


def plain_answer(input_type: str, options: Any) -> Any:
    """An answer that a question of this type takes."""
    choices = [
        option["value"] if isinstance(option, Mapping) and "value" in option else option
        for option in (options if isinstance(options, list) else [])
    ]
    match input_type:
        case "confirm":
            return True
        case "number":
            return 1
        case "json":
            return {}
        case "select" if choices:
            return choices[0]
        case "multiselect":
            return choices[:1]
    return choices[0] if choices else "text"


# The try ----------------------------------------------------------------------------------------------------------


async def run(document: Mapping[str, Any], graph: Any, nodes: Any) -> dict[str, Any]:
    """Run the graph from its start; returns what came of it."""
    from core.flow.dag import DagInterpreter
    from core.flow.delta import decode_state, encode_state
    from core.flow.interpreter import Interpreter
    from core.flow.position import Position
    from core.flow.visit import VisitFailed
    from core.sdk.tools import ToolProxy, as_nodes_see

    journal: Any = TryJournal(list(document.get("recordings") or ()), document.get("until"))
    initial = encode_state(document["state"])
    around: dict[str, Any] = {"run_key": "try", "line": 1, "output_dir": Path(document["scratch"]) / "output"}
    around["tools"] = {name: ToolProxy(name) for name in document.get("tools") or ()}
    interpreter: Any
    if graph.mode == "dag":
        interpreter = DagInterpreter(graph, nodes, journal, initial, **around)
    else:
        interpreter = Interpreter(
            graph, nodes, journal, as_nodes_see(decode_state(initial)), position=Position(0, graph.start, {}), **around
        )
    outcome: dict[str, Any] = {"completed": False, "error": "", "traceback": "", "blocked": False}
    try:
        await interpreter.run("end")
        outcome["completed"] = True
    except Enough:
        outcome["completed"] = len(journal.steps) < STEPS
        outcome["error"] = "" if outcome["completed"] else f"It goes on after {STEPS} steps."
    except VisitFailed as failed:
        failure = failed.failure
        outcome |= {
            "error": f"{failed.node}: {failure.type}: {failure.message}",
            "traceback": failure.traceback,
            "blocked": failure.type == NotInATry.__name__,
        }
    state = getattr(interpreter, "state", {})
    return outcome | {
        "steps": journal.steps,
        "calls": journal.calls[:100],
        "attempts": journal.failed[:20],
        "state": _bounded(state),
        "log": journal.log_lines,
    }


def _bounded(state: Any) -> Any:
    """The state where it is JSON of a bearable size."""
    try:
        text = json.dumps(state)
    except (TypeError, ValueError):
        return {}
    return state if len(text) < 200_000 else {}


def main() -> None:
    """Take the document, try, give the result, and end."""
    from core.runner import sources
    from core.runner.failures import failure_document
    from core.runner.session import Broken, load_workflow

    document = json.load(sys.stdin)
    folder, scratch = document["folder"], document["scratch"]
    seconds = int(document["seconds"])
    # Loaded before the guards stand, for what nodes are likely to want.
    import core.flow.dag
    import core.grapheteria  # noqa: F401

    asyncio.set_event_loop(loop := asyncio.new_event_loop())
    sources.install(sources.SourceFinder(document["sources"], folder))
    sources.install_original_name()
    limit(seconds)
    end_with(seconds)
    guard(folder, scratch)
    result: dict[str, Any] = {"imported": False, "problem": None, "outcome": None}
    begun = time.monotonic()
    try:
        graph, nodes = load_workflow(document)
        result |= {"imported": True, "import_seconds": time.monotonic() - begun}
    except Broken as broken:
        result["problem"] = failure_document(broken.failure)
    else:
        if document["run"]:
            begun = time.monotonic()
            result["outcome"] = loop.run_until_complete(run(document, graph, nodes))
            result["run_seconds"] = time.monotonic() - begun
    sys.stdout.flush()
    _give(result)
    os._exit(0)


def _give(result: dict[str, Any]) -> None:
    data = json.dumps(result, default=str).encode()
    while data:
        data = data[os.write(int(sys.argv[1]), data) :]


if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or ".") != here]
    import importlib.util

    spec = importlib.util.spec_from_file_location("rondo_entry", os.path.join(here, "entry.py"))
    assert spec is not None and spec.loader is not None
    entry = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(entry)
    entry.bring_core()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from core.runner import trial

    trial.main()
