"""`rondo doctor`: what is installed, where things are, what is wrong."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from core import places
from core.cli.call import Call, Client, JsonOption, WorkspaceOption, open_call
from core.cli.documents import unclean_end_document
from core.cli.engine import unclean_end_lines
from core.cli.environment import packages_text, users_text
from core.cli.installing import COMPOSIO_CORE, provider_text
from core.cli.logout import ends_processes_at_logout
from core.cli.models import key_part
from core.cli.output import ago, byte_size
from core.cli.settings import problem_place
from core.errors import RondoError
from core.link.engine_types import UncleanEnd
from core.link.model_types import ModelsStatus
from core.places import Workspace, settings_files
from core.settings import read_settings
from core.tools.secrets.keyring_place import KeyringPlace

DISK_LOW = 200 * 2**20
DISK_EMPTY = 20_000_000
"""Bytes of free space under which doctor warns, and calls it broken."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What doctor found: `severity` is error (something does not work) or warning."""

    severity: str
    type: str
    message: str
    cause: str
    next_step: str

    @classmethod
    def from_error(cls, error: RondoError) -> Problem:
        return cls("error", error.type_name, error.message, error.cause, error.next_step)


def doctor_command(context: typer.Context, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> int:
    """Say what is installed, where things are, and what is wrong; exit 5 if something is broken."""
    call = open_call(context, workspace, as_json)
    facts: dict[str, dict[str, str]] = {
        "python": _python_facts(),
        "packages": _package_facts(),
        "terminal": _terminal_facts(),
        "places": _place_facts(call.workspace),
        "disk": _disk_facts(call.workspace),
    }
    problems = [*_encoding_problems(), *_place_problems(), *_disk_problems(call.workspace)]
    problems += [*_settings_problems(call.workspace), *logout_problems()]
    ends: list[UncleanEnd] = []
    facts["engine"], facts["environments"], facts["models"], engine_problems = _ask_engine(call, ends)
    known = {problem.type for problem in problems}
    problems += [problem for problem in engine_problems if problem.type not in known]
    _show(call, facts, problems, ends)
    return 5 if any(problem.severity == "error" for problem in problems) else 0


def _python_facts() -> dict[str, str]:
    return {
        "version": platform.python_version(),
        "implementation": platform.python_implementation(),
        "executable": sys.executable,
        "system": platform.platform(),
    }


def _package_facts() -> dict[str, str]:
    """The versions of Rondo and of what it asks for directly, as its own metadata names them."""
    try:
        needed = importlib.metadata.requires("rondo") or []
        versions = {"rondo": importlib.metadata.version("rondo")}
    except importlib.metadata.PackageNotFoundError:
        return {"rondo": "not installed: it runs from its sources"}
    for requirement in needed:
        name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "missing"
    return versions


def _terminal_facts() -> dict[str, str]:
    columns, lines = shutil.get_terminal_size()
    return {
        "type": os.environ.get("TERM", "unknown"),
        "size": f"{columns}x{lines}",
        "stdin": "terminal" if sys.stdin is not None and sys.stdin.isatty() else "no terminal",
        "stdout": "terminal" if sys.stdout.isatty() else "no terminal",
        "encoding": sys.stdout.encoding or "unknown",
        "colours": "none (NO_COLOR)" if os.environ.get("NO_COLOR") else os.environ.get("COLORTERM", "by type"),
        "over ssh": "yes" if os.environ.get("SSH_CONNECTION") else "no",
    }


def _place_facts(workspace: Workspace) -> dict[str, str]:
    return {
        "workspace": str(workspace.root),
        "workflows": str(workspace.workflows_dir),
        "runs": str(workspace.runs_dir),
        "database": str(workspace.database),
        "engine log": str(workspace.engine_log),
        "socket": str(workspace.socket),
        "approvals": str(places.data_folder()),
        "keyring": KeyringPlace().name() or "none that encrypts: secrets are kept in a file",
        "state": str(places.state_folder()),
        "environments": str(places.cache_folder() / "environments"),
        "settings": str(settings_files(workspace)[0]),
        "workspace settings": str(settings_files(workspace)[1]),
    }


def _disk_facts(workspace: Workspace) -> dict[str, str]:
    free = _free_bytes(workspace.runs_dir)
    return {"free for runs": "unknown" if free is None else byte_size(free)}


def _free_bytes(path: Path) -> int | None:
    try:
        return shutil.disk_usage(_nearest(path)).free
    except OSError:
        return None


def _nearest(path: Path) -> Path:
    """The path itself, or the first folder above it that exists."""
    return next((place for place in (path, *path.parents) if place.exists()), Path("/"))


def _encoding_problems() -> list[Problem]:
    encoding = (sys.stdout.encoding or "").lower().replace("-", "")
    if encoding == "utf8":
        return []
    return [
        Problem(
            "warning",
            "Encoding",
            f"Output is encoded as {sys.stdout.encoding}, so signs and letters are missing from it.",
            "The locale is not a UTF-8 one.",
            "Set one, for example: export LANG=C.UTF-8",
        )
    ]


def _place_problems() -> list[Problem]:
    """The user's own folders: each must be writable, or possible to make."""
    problems = []
    for folder, what in (
        (places.data_folder(), "approvals are kept"),
        (places.state_folder(), "sockets and view states are kept"),
    ):
        nearest = _nearest(folder)
        if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
            problems.append(
                Problem(
                    "error",
                    "FolderReadOnly",
                    f"{folder} can't be written; there {what}.",
                    f"{nearest} is no folder that you may write.",
                    f"Give yourself the right to: chmod u+rwx {nearest}",
                )
            )
    return problems


def _disk_problems(workspace: Workspace) -> list[Problem]:
    free = _free_bytes(workspace.runs_dir)
    if free is None or free >= DISK_LOW:
        return []
    return [
        Problem(
            "error" if free < DISK_EMPTY else "warning",
            "DiskFull",
            f"{byte_size(free)} are free where runs are kept.",
            f"{workspace.runs_dir} is on a disk that is nearly full.",
            "Make space there; a run waits for it and loses nothing.",
        )
    ]


def logout_problems(user: str | None = None, root: Path = Path("/")) -> list[Problem]:
    """Where the system ends what a person started when they log out, the engine and its runs end too."""
    file = ends_processes_at_logout(user, root)
    if not file:
        return []
    return [
        Problem(
            "warning",
            "EndedAtLogout",
            "When you log out of this machine, the engine is ended, and running steps with it.",
            f"{file} says KillUserProcesses=yes. No step that was done is lost: the next engine goes on.",
            "Once: loginctl enable-linger   Then, in place of `rondo` alone: "
            "systemd-run --user --scope rondo engine start",
        )
    ]


def _settings_problems(workspace: Workspace) -> list[Problem]:
    """What can't be used in the settings files; everything else in them holds."""
    return [
        Problem(
            "warning",
            "Settings",
            f"{problem_place(problem)}{problem.message}.",
            "A setting is wrong, so it does not hold.",
            problem.hint,
        )
        for problem in read_settings(workspace).problems
    ]


def _model_facts(status: ModelsStatus) -> dict[str, str]:
    """Which providers have a key, and which were never tried against the live service."""
    facts = {"profile": status.profile, "model of the chat": status.roles[0].model}
    for view in status.providers:
        key = key_part(view)
        tried = "tried" if view.tried else "never tried against the live service"
        facts[view.title] = f"key {key if isinstance(key, str) else key[0]}; {tried}"
    return facts


def _ask_engine(
    call: Call, ends: list[UncleanEnd]
) -> tuple[dict[str, str], dict[str, str], dict[str, str], list[Problem]]:
    """What the engine knows of itself, engines that died, environments and models; where none can be started, why."""
    facts: dict[str, str] = {}
    environments: dict[str, str] = {}
    models: dict[str, str] = {}
    problems: list[Problem] = []

    async def work(client: Client) -> int:
        report = await client.ask(lambda engine: engine.doctor())
        facts.update(report.facts)
        for view in await client.ask(lambda engine: engine.list_environments()):
            text = (
                f"{packages_text(view)}, {byte_size(view.size or 0)}, used {ago(view.used_at)}, by {users_text(view)}"
            )
            environments[(view.key or "")[:12]] = text
        package = await client.ask(lambda engine: engine.get_provider(COMPOSIO_CORE))
        environments[COMPOSIO_CORE] = provider_text(package)
        models.update(_model_facts(await client.ask(lambda engine: engine.models_status())))
        ends.extend(report.unclean_ends)
        problems.extend(
            Problem("error", view.type, view.message, view.cause, view.next_step) for view in report.problems
        )
        return 0

    try:
        call.with_engine(work)
    except RondoError as error:
        if error.exit_code == 130:
            raise
        problems.append(Problem.from_error(error))
        facts["engine"] = "not reachable"
    return facts, environments, models, problems


def _show(call: Call, facts: dict[str, dict[str, str]], problems: list[Problem], ends: list[UncleanEnd]) -> None:
    if call.as_json:
        listed: list[dict[str, Any]] = [
            {
                "severity": problem.severity,
                "type": problem.type,
                "message": problem.message,
                "cause": problem.cause,
                "next_step": problem.next_step,
            }
            for problem in problems
        ]
        call.output.document({**facts, "problems": listed, "unclean_ends": [unclean_end_document(end) for end in ends]})
        return
    for group, entries in facts.items():
        call.output.line((group, "bold"), "" if entries else ("  none", "dim"))
        width = max((len(name) for name in entries), default=0)
        for name, value in entries.items():
            size = name.endswith("size") and value.isdigit()
            call.output.line((f"  {name:<{width}}  ", "dim"), byte_size(int(value)) if size else value)
    if not problems:
        call.output.line(("✓ ", "green"), "nothing is wrong now, but:" if ends else "nothing is wrong")
    for problem in problems:
        sign = ("✗ ", "red") if problem.severity == "error" else ("! ", "yellow")
        call.output.line(sign, problem.message)
        call.output.line(("  cause: ", "dim"), problem.cause)
        call.output.line(("  next:  ", "dim"), problem.next_step)
    for end in ends:
        call.output.lines(unclean_end_lines(end))
