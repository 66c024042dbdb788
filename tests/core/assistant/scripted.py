"""A model that says what a script says, and a workbench that stands for the program."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from core.assistant.events import Event
from core.assistant.memory import Memory
from core.assistant.proposal import Proposal
from core.assistant.session import Session, SessionLimits
from core.assistant.workbench import ClassExample, DryRun
from core.errors import RondoError
from core.llm.messages import (
    Listener,
    ModelMessage,
    ModelReply,
    ModelRequest,
    TextDelta,
    ToolCall,
    Usage,
)

START = Path(__file__).parent / "golden" / "start"
_REVISION = re.compile(r'"rev":(\d+)|revision (\d+)')


def start_files(name: str | None) -> dict[str, bytes]:
    """The files of a start folder; none for a workflow that is not there yet."""
    if name is None:
        return {}
    return {path.name: path.read_bytes() for path in sorted((START / name).iterdir()) if path.is_file()}


class ScriptedGateway:
    """Plays replies in order. `"$rev"` in arguments is the last revision that the model was told, so it must be told.

    A reply is `{text, calls: [{name, arguments | raw}], stop, error, tokens, hang}`; lists of lines under `code` are
    joined. `hang` streams the text and then waits for ever.
    """

    def __init__(self, replies: list[dict[str, Any]] | None = None) -> None:
        self.replies = list(replies or [])
        self.requests: list[ModelRequest] = []
        self.hanging = asyncio.Event()

    async def complete(self, request: ModelRequest, listener: Listener | None = None) -> ModelReply:
        self.requests.append(request)
        assert self.replies, f"the model was asked once more than the script has replies:\n{request.messages[-1]}"
        reply = self.replies.pop(0)
        text = reply.get("text", "")
        middle = len(text) // 2
        for part in (text[:middle], text[middle:]):
            if part and listener is not None:
                listener(TextDelta(part))
        if reply.get("hang"):
            self.hanging.set()
            await asyncio.Event().wait()
        if "error" in reply:
            raise RondoError.from_dict(reply["error"])
        revision = revision_in([message.text for message in request.messages])
        nth = sum(isinstance(message, ModelMessage) for message in request.messages) + 1
        calls = tuple(
            ToolCall(
                call.get("id", f"call-{nth}-{position}"),
                call["name"],
                None if "raw" in call else filled(call.get("arguments", {}), revision),
                call.get("raw", ""),
            )
            for position, call in enumerate(reply.get("calls", ()), 1)
        )
        stop = reply.get("stop", "tools" if calls else "end")
        usage = Usage(reply.get("tokens", 100), 20, cost=0.001)
        return ModelReply(ModelMessage(text, calls), stop, usage, "scripted:model", 0.5)


def revision_in(texts: list[str]) -> int:
    """The last revision that a model was told."""
    for text in reversed(texts):
        found = _REVISION.findall(text)
        if found:
            return int(found[-1][0] or found[-1][1])
    return 0


def filled(value: Any, revision: int, key: str = "") -> Any:
    """Arguments of a script with what stands for something put in."""
    if isinstance(value, dict):
        return {name: filled(item, revision, name) for name, item in value.items()}
    if key == "code" and isinstance(value, list):
        return "\n".join(value) + "\n"
    if isinstance(value, list):
        return [filled(item, revision) for item in value]
    return revision if value == "$rev" else value


class Desk:
    """A workbench over files in memory."""

    def __init__(self, files: Mapping[str, bytes] | None = None) -> None:
        self.present = dict(files or {})
        self.tool_names = ["gmail", "slack"]
        self.other_workflows = ["look_up"]
        self.known_examples: list[ClassExample] = []
        self.run: DryRun = DryRun(allowed=False)
        self.dry_runs = 0

    async def files(self) -> dict[str, bytes]:
        return dict(self.present)

    async def tools(self) -> list[str]:
        return self.tool_names

    async def workflows(self) -> list[str]:
        return self.other_workflows

    async def examples(self, query: str, limit: int) -> list[ClassExample]:
        return self.known_examples[:limit]

    async def name_for(self, goal: str) -> str:
        return "_".join(goal.lower().split()[:3])

    async def dry_run(self, files: Mapping[str, bytes], inputs: dict[str, Any], until: str | None) -> DryRun:
        self.dry_runs += 1
        return self.run


class Conversation:
    """A session with all that is around it, which can be killed and taken up again."""

    def __init__(
        self, start: str | None = "triage", *, workflow: str = "", limits: SessionLimits | None = None
    ) -> None:
        self.desk = Desk(start_files(start))
        self.gateway = ScriptedGateway()
        self.events: list[Event] = []
        self.kept: list[dict[str, Any]] = []
        self.limits = limits
        self.last_proposal: Proposal | None = None
        self.session = self._session(Memory(workflow or start or "new_one", boundary="b0undary"))

    @classmethod
    def through(cls, gateway: Any, start: str | None = "triage", **more: Any) -> Conversation:
        """A conversation over another gateway, which has `replies` too."""
        talk = cls(start, **more)
        talk.gateway = gateway
        talk.session = talk._session(talk.memory)
        return talk

    @property
    def memory(self) -> Memory:
        return self.session.memory

    def script(self, *replies: dict[str, Any]) -> None:
        """What the model says from now on."""
        self.gateway.replies += replies

    def die(self, at: int = -1) -> None:
        """Take the conversation up as another engine finds it, from one of the times it was kept."""
        self.session = self._session(Memory.from_json(deepcopy(self.kept[at])))

    def told(self, kind: type[Any]) -> list[Any]:
        """The events of a kind, in order."""
        return [event for event in self.events if isinstance(event, kind)]

    def _session(self, memory: Memory) -> Session:
        return Session(memory, self.gateway, self.desk, self.events.append, self._keep, self.limits)

    async def _keep(self, form: dict[str, Any]) -> None:
        self.kept.append(deepcopy(form))


def plan(goal: str = "a change", level: str = "high", **more: Any) -> dict[str, Any]:
    """A call of set_plan that says all four dimensions are of one level."""
    names = ("clarity", "completeness", "feasibility", "specificity")
    arguments = {"goal": goal, "tasks": [{"id": "1", "title": goal}], "assessment": dict.fromkeys(names, level)}
    return {"name": "set_plan", "arguments": arguments | more}


def graph(*ops: dict[str, Any], why: str = "as asked", rev: Any = "$rev") -> dict[str, Any]:
    """A call of propose_graph."""
    return {"name": "propose_graph", "arguments": {"base_rev": rev, "ops": list(ops), "why": why}}


def source(
    name: str, mode: str = "replace", code: str = "", why: str = "as asked", rev: Any = "$rev"
) -> dict[str, Any]:
    """A call of propose_source."""
    arguments = {"base_rev": rev, "class": name, "mode": mode, "why": why} | ({"code": code} if code else {})
    return {"name": "propose_source", "arguments": arguments}


def ask(*questions: str) -> dict[str, Any]:
    """A call of ask_user with two options each."""
    asked = [{"text": text, "options": [{"label": "yes"}, {"label": "no"}]} for text in questions]
    return {"name": "ask_user", "arguments": {"questions": asked}}
