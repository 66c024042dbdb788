"""The `rondo ...` line that does the same as a call of the engine, for every call that changes something. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from typing import Any

from core.link.tool_types import ActionView
from core.masking import without_secrets
from tui.navigation import Place

Arguments = Mapping[str, Any]

WITHOUT_LINE = frozenset({"see_unclean_end", "check_connection", "cancel_environment", "cancel_install"})
"""Calls that change something and are no action of a person's: what the app notes for itself, what it repeats to see
how something goes on, and giving up what a command line gives up with Ctrl+C."""


class Recalled:
    """What earlier calls said, where a line needs it: the workflow of a run, of a chat, of the last approval, and what
    actions take."""

    def __init__(self) -> None:
        self._workflows: dict[str, str] = {}
        self.approval = "NAME"
        self._actions: dict[tuple[str, str], dict[str, Any]] = {}

    def note(self, method: str, arguments: Arguments, result: Any) -> None:
        """Take note of what a call was answered."""
        if method == "approval":
            self.approval = str(arguments.get("name", "NAME"))
        if isinstance(result, ActionView):
            self._actions[result.app, result.row.name] = result.inputs
        for row in result[-50:] if isinstance(result, list) else (result,):
            run_id = getattr(row, "run_id", None)
            workflow = getattr(row, "workflow", None)
            if isinstance(run_id, str) and isinstance(workflow, str) and workflow:
                self._workflows[run_id] = workflow

    def taken_by(self, call: Arguments) -> dict[str, Any]:
        """The schema of what a call of a tool is given; an empty one where it was never asked for."""
        return self._actions.get((call["name"], call["action"]), {})

    def workflow_of(self, run_id: str) -> str:
        """The workflow of a run, or a word that stands for it."""
        return self._workflows.get(run_id, "NAME")


def line_of(method: str, arguments: Arguments, recalled: Recalled) -> str:
    """The command line of a call; "" for one that has none."""
    make = LINES.get(method)
    return "" if make is None else shlex.join(["rondo", *make(arguments, recalled)])


def line_of_place(place: Place) -> str:
    """The command line that shows what a place shows."""
    match place.view:
        case "graph" if place.versions:
            words = ["diff", place.workflow, *(version[:12] for version in place.versions.split(".."))]
        case "versions":
            words = ["versions", place.workflow]
        case "graph":
            words = ["proposal", place.proposal[-8:]] if place.proposal else ["graph", place.workflow]
        case "runs":
            words = ["runs", place.workflow]
        case "versions":
            words = ["versions", place.workflow]
        case "run":
            words = ["show", short(place.run_id)]
        case "inbox":
            words = ["runs", "--status", "waiting_input"]
        case view:
            words = [LOOKS.get(view, view)]
    return shlex.join(["rondo", *(word for word in words if word)])


LOOKS = {"workflows": "list", "chat": "chat", "tools": "list-tools", "settings": "settings"}


def short(run_id: str) -> str:
    """A run's id as people write it."""
    return run_id[-8:]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else _json(value)


def _options(source: Any, **words: str) -> list[str]:
    """The options of the fields that are set: a switch for True, else the option with its value."""
    found: list[str] = []
    for name, option in words.items():
        value = getattr(source, name)
        if value is True:
            found.append(option)
        elif value not in (None, False, "", 0) or (name == "step" and value == 0):
            found += [option, str(value)]
    return found


def _start(arguments: Arguments, _: Recalled) -> list[str]:
    start = arguments["start"]
    words = ["step" if start.until == "step" else "run", start.workflow]
    words += _options(start, version="--version", until_node="--until", priority="--priority")
    words += ["--input-json", _json(start.inputs)] if start.inputs else []
    for request, value in start.answers:
        words += ["-a", f"{request}={_text(value)}"]
    replayed = start.replay_file or (short(start.replay_run) if start.replay_run else "")
    words += ["--replay", replayed] if replayed else []
    return words if start.until == "step" else [*words, "--detach"]


def _step(arguments: Arguments, recalled: Recalled) -> list[str]:
    run_id = arguments["run_id"]
    words = ["step", recalled.workflow_of(run_id), "--run", short(run_id)]
    for request, value in arguments["answers"]:
        words += ["-a", f"{request}={_text(value)}"]
    return words


def _onward(word: str, name: str) -> Callable[[Arguments, Recalled], list[str]]:
    def make(arguments: Arguments, _: Recalled) -> list[str]:
        asked = arguments[name]
        known = {"step": "--step", "line": "--line", "paused": "--paused"}
        options = {option: sign for option, sign in known.items() if hasattr(asked, option)}
        words = [word, short(asked.run_id), *_options(asked, **options)]
        for edit in getattr(asked, "edits", ()):
            words += ["--set", f"{path_text(edit.path)}={_json(edit.value)}"]
        words += _options(asked, same_version="--same-version", acknowledge_effects="--acknowledge-effects")
        return [*words, "--detach"]

    return make


def path_text(path: list[str | int]) -> str:
    """A place in a state as `--set` takes it: `user.tags[0]`, `["a key"].x`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part and not set(part) & set('.[]"='):
            text += f".{part}" if text else part
        else:
            text += f"[{_json(part)}]"
    return text


def _rerun(arguments: Arguments, _: Recalled) -> list[str]:
    rerun = arguments["rerun"]
    words = ["rerun", short(rerun.run_id), *_options(rerun, same_version="--same-version")]
    return [*words, *(["--input-json", _json(rerun.inputs)] if rerun.inputs else []), "--detach"]


def _run_node(arguments: Arguments, _: Recalled) -> list[str]:
    asked = arguments["run_node"]
    words = ["run", asked.workflow, "--node", asked.node]
    words += ["--from", short(asked.run_id)] if asked.run_id else []
    words += ["--input-json", _json(asked.inputs)] if asked.inputs else []
    return [*words, *_options(asked, version="--version"), "--detach"]


def _many(arguments: Arguments, _: Recalled) -> list[str]:
    many = arguments["many"]
    words = [many.action, *(short(run) for run in many.runs), *_options(many, now="--now")]
    return [*words, *_options(many, same_version="--same-version", acknowledge_effects="--acknowledge-effects")]


def _answer(arguments: Arguments, _: Recalled) -> list[str]:
    answer = arguments["answer"]
    value = _text(answer.value)
    return ["answer", short(answer.run_id), answer.request, *(["--", value] if value.startswith("-") else [value])]


def _prune(arguments: Arguments, _: Recalled) -> list[str]:
    prune = arguments["prune"]
    words = ["prune", *([prune.workflow] if prune.workflow else [])]
    for run in prune.runs or ():
        words += ["--run", short(run)]
    if prune.older_than_seconds is not None:
        words += ["--older-than", f"{prune.older_than_seconds:g}s"]
    words += ["--keep", str(prune.keep)] if prune.keep is not None else []
    words += ["--max-size", str(prune.max_bytes)] if prune.max_bytes is not None else []
    return [*words, "--dry-run" if prune.dry_run else "--yes"]


def _message(arguments: Arguments, _: Recalled) -> list[str]:
    message = arguments["message"]
    chat = ["--chat", message.chat_id[-8:]] if message.chat_id else ["--new"]
    return [
        "chat",
        *([message.workflow] if message.workflow and not message.chat_id else []),
        *chat,
        "-m",
        message.text,
    ]


def _chat(*words: str) -> Callable[[Arguments, Recalled], list[str]]:
    return lambda arguments, _: ["chat", "--chat", arguments["chat_id"][-8:], *words]


def _decide(arguments: Arguments, _: Recalled) -> list[str]:
    decide = arguments["decide"]
    words = ["proposal", decide.proposal_id[-8:]]
    if decide.decision == "accept":
        words += ["--accept", *(["--groups", ",".join(decide.accept)] if decide.accept is not None else [])]
        for risk in decide.consent:
            words += ["--allow", risk]
    elif decide.decision == "reject":
        words.append("--reject")
    return [*words, *(["--comment", decide.comment] if decide.comment else [])]


def _tool(word: str) -> Callable[[Arguments, Recalled], list[str]]:
    def make(arguments: Arguments, recalled: Recalled) -> list[str]:
        words = [*word.split(), arguments["name"]]
        if word == "tools call":
            words += [arguments["action"], _json(without_secrets(arguments["arguments"], recalled.taken_by(arguments)))]
        # What was filled in to connect an account is asked for at the prompt, and is in no line.
        for name in ("provider", "scheme", "account"):
            words += [f"--{name}", arguments[name]] if arguments.get(name) else []
        return words

    return make


def _break(arguments: Arguments, _: Recalled) -> list[str]:
    change = arguments["change"]
    target = short(change.run_id) if change.run_id else change.workflow or "NAME"
    return ["break", target, *([change.node] if change.node else []), *(["--clear"] if change.clear else [])]


def _tools(arguments: Arguments, _: Recalled) -> list[str]:
    words = ["workflow-tools", arguments["workflow"]]
    for change in arguments["changes"]:
        fields = {name: getattr(change, name) for name in ("provider", "app", "version", "account")}
        given = {name: value for name, value in fields.items() if value}
        if change.remove:
            words += ["--remove", change.name]
        elif change.pin:
            words += ["--pin", change.name]
        elif not given:
            words += ["--unpin" if "" in fields.values() else "--add", change.name]
        for name, value in given.items():
            words += ["--set", f"{change.name}.{name}={value}"]
    return words


def _edit(arguments: Arguments) -> list[str]:
    return ["--edit", str(arguments["edit"])] if arguments.get("edit") is not None else []


LINES: Mapping[str, Callable[[Arguments, Recalled], list[str]]] = {
    "start_run": _start,
    "step_run": _step,
    "continue_run": lambda a, _: ["resume", short(a["run_id"]), "--detach"],
    "pause_run": lambda a, _: ["pause", short(a["run_id"]), *(["--now"] if a.get("now") else [])],
    "cancel_run": lambda a, _: ["cancel", short(a["run_id"])],
    "retry_run": _onward("retry", "retry"),
    "rewind_run": _onward("rewind", "rewind"),
    "fork_run": _onward("fork", "fork"),
    "rerun": _rerun,
    "run_node": _run_node,
    "act_on_runs": _many,
    "answer": _answer,
    "approve": lambda a, _: ["approve", a["name"], "--yes"],
    "trust_workspace": lambda _, recalled: ["approve", recalled.approval, "--trust", "--yes"],
    "rollback": lambda a, _: ["rollback", a["name"], a["version"][:12], "--yes"],
    "make_environment": lambda a, _: ["env", a["name"], "--rebuild"],
    "prune_environments": lambda a, _: ["env", "--prune", "--days", f"{a['days']:g}"],
    "prune": _prune,
    "export_run": lambda a, _: ["export", short(a["run_id"])],
    "export_calls": lambda a, recalled: ["run", recalled.workflow_of(a["run_id"]), "--record", "FILE"],
    "import_run": lambda a, _: ["import", a["path"]],
    "unlock_secrets": lambda _a, _: ["secrets", "unlock"],
    "stop_engine": lambda _a, _: ["engine", "stop"],
    "send_message": _message,
    "answer_questions": lambda a, _: ["chat", "--chat", a["answer"].chat_id[-8:]],
    "stop_chat": _chat("--stop"),
    "retry_chat": _chat("--retry"),
    "set_chat_mode": lambda a, _: ["chat", "--chat", a["chat_id"][-8:], "--mode", a["mode"]],
    "allow_tries": lambda a, _: ["chat", "--chat", a["chat_id"][-8:], "--tries" if a["allowed"] else "--no-tries"],
    "delete_chat": _chat("--delete"),
    "fix_run": lambda a, _: ["fix", short(a["run_id"])],
    "try_proposal": lambda a, _: ["proposal", a["proposal_id"][-8:], "--try"],
    "decide_proposal": _decide,
    "undo_edit": lambda a, _: ["undo", a["workflow"], *_edit(a)],
    "redo_edit": lambda a, _: ["redo", a["workflow"]],
    "create_from_template": lambda a, _: ["new", a["name"], "--template", a["template"]],
    "connect_tool": _tool("authenticate-tool"),
    "change_tools": _tools,
    "install_provider": lambda a, _: ["tools", "install", a["name"], *(["--again"] if a.get("again") else [])],
    "remove_provider": lambda a, _: ["tools", "uninstall", a["name"]],
    "change_breakpoint": _break,
    "duplicate_workflow": lambda a, _: ["duplicate", a["name"], a["new_name"]],
    "trash_workflow": lambda a, _: ["trash", a["name"]],
    "empty_trash": lambda a, _: ["trash", "--empty"],
    "restore_workflow": lambda a, _: ["restore", a["trash_id"]],
    "disconnect_tool": _tool("tools disconnect"),
    "call_tool": _tool("tools call"),
}
