"""The tools at work: each call of a model is checked, carried out on the draft, and answered in as few words as do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

from core.assistant.api_notes import notes_for, score, words_of
from core.assistant.assumptions import assume
from core.assistant.checks import failed, run_checks
from core.assistant.draft import Draft, Reply
from core.assistant.events import Choice, Question, Task
from core.assistant.facts import facts_about
from core.assistant.marking import data_block, one_line, state_sketch
from core.assistant.memory import Memory
from core.assistant.outline import catalogue, class_line, nodes_in_full, outline
from core.assistant.tool_specs import CHANGING, tools_of
from core.assistant.understanding import DIMENSIONS, Weights, understand
from core.assistant.workbench import Workbench
from core.definition.json_text import JsonProblem, parse_json
from core.definition.load import LoadedWorkflow, load_sources
from core.llm.messages import ToolCall

SOURCE_CAP = 24_000
"""Most characters of a class that a model is given at once."""
NODES_AT_ONCE = 30
SEARCH_HITS = 6
NAMES = 40
EXAMPLE_CAP = 1_500

_CHANGING = frozenset(spec.name for spec in CHANGING)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a call: the text for the model, and one line for the person.

    `questions`: the person is asked, and the result comes later. `malformed`: the arguments could not be understood.
    """

    text: str
    failed: bool = False
    summary: str = ""
    questions: tuple[Question, ...] = ()
    malformed: bool = False
    changed: Literal["", "plan", "draft"] = ""


@dataclass(frozen=True, slots=True)
class Gate:
    """What decides whether something may be proposed."""

    weights: Weights
    threshold: float
    rounds: int


class Toolbox:
    """The tools over one draft. `words` are what the person asked for in this turn."""

    def __init__(self, memory: Memory, draft: Draft, workbench: Workbench, gate: Gate) -> None:
        self.memory = memory
        self.draft = draft
        self.words = ""
        self.known_names: Collection[str] = ()
        self._workbench = workbench
        self._gate = gate
        self._base = load_sources(draft.name, draft.base)
        self._known_tools: list[str] | None = None
        self._reply_rev = draft.rev
        self._read: tuple[int, LoadedWorkflow] | None = None

    def begin_reply(self) -> None:
        """A reply of the model begins: all its calls were written against the revision that the draft has now."""
        self._reply_rev = self.draft.rev

    # Around the calls ---------------------------------------------------------------------------------------------

    def title(self, call: ToolCall) -> str:
        """What a call is about, in a few words."""
        given = call.arguments or {}
        match call.name:
            case "read_workflow":
                ids = given.get("ids")
                return ", ".join(map(str, ids))[:80] if isinstance(ids, list) and ids else "outline"
            case "read_node_source":
                about = given.get("class")
            case "search_node_types":
                about = given.get("query")
            case "propose_source":
                about = f"{given.get('mode', '')} {given.get('class', '')}"
            case "propose_graph":
                about = given.get("why")
            case "set_plan":
                about = given.get("goal")
            case _:
                about = ""
        return one_line(str(about or ""), 80)

    async def run(self, call: ToolCall, *, asking: bool = False) -> Outcome:
        """Carry out a call. `asking`: the same reply asks the person something, so nothing may be changed after it."""
        spec = next((spec for spec in tools_of(self.memory.mode) if spec.name == call.name), None)
        if spec is None:
            there = ", ".join(spec.name for spec in tools_of(self.memory.mode))
            return _refused(f"There is no tool {call.name!r} in the mode {self.memory.mode}. There are: {there}.")
        if call.arguments is None:
            return Outcome(
                "The arguments are not a JSON object. Write the call again.",
                True,
                "arguments are no JSON",
                malformed=True,
            )
        # In a thread: what checks them takes long to import, and large ones take long to check.
        problem = await asyncio.to_thread(_argument_problem, spec.schema, call.arguments)
        if problem:
            return Outcome(f"The arguments don't fit: {problem}", True, problem, malformed=True)
        if call.name in _CHANGING:
            refusal = self._refusal(asking)
            if refusal:
                return _refused(refusal)
        try:
            outcome: Outcome = await getattr(self, f"_{call.name}")(call.arguments)
        except (RecursionError, UnicodeError) as error:
            return _refused(f"The arguments can't be used: {type(error).__name__}.")
        return outcome

    async def assess(self) -> None:
        """Work out the understanding anew, from what the model said last and what can be counted now."""
        memory = self.memory
        if not memory.levels:
            return
        facts = facts_about(memory, self.words, self._base, await self._tools(), self.known_names)
        levels: Any = memory.levels
        memory.understanding = understand(levels, facts, weights=self._gate.weights, threshold=self._gate.threshold)

    def _refusal(self, asking: bool) -> str:
        """Why nothing may be proposed now; empty where it may."""
        memory = self.memory
        if memory.mode == "ask":
            return "In the mode ask nothing is changed."
        if not self.draft.name:
            return "This conversation has no workflow yet: the person names one, with rondo create NAME or in the chat."
        if asking:
            return "The person is being asked; propose once the answers are there."
        if memory.understanding is None:
            return "First call set_plan with the goal, the tasks and an assessment."
        if memory.understanding.enough or memory.turn.gate_open:
            return ""
        facts = "; ".join(memory.understanding.facts)
        return (
            f"Understood {memory.understanding.score:.0%}, and proposing begins at {memory.understanding.threshold:.0%}"
            f"{f' ({facts})' if facts else ''}. Ask the person with ask_user; nothing was done."
        )

    async def _loaded(self) -> LoadedWorkflow:
        """The draft read as a workflow, once for each revision."""
        kept = self._read
        if kept is None or kept[0] != self.draft.rev:
            kept = self._read = (self.draft.rev, await asyncio.to_thread(self.draft.loaded))
        return kept[1]

    async def _tools(self) -> list[str]:
        if self._known_tools is None:
            own = (await self._loaded()).tools
            self._known_tools = list(dict.fromkeys([*own, *await self._workbench.tools()]))
        return self._known_tools

    def document(self) -> dict[str, Any]:
        """The draft's graph as it stands in NAME.json; empty where that is not there or broken."""
        try:
            document = parse_json(self.draft.files.get(f"{self.draft.name}.json", b"{}").decode(errors="replace"))
        except JsonProblem:
            return {}
        return document if isinstance(document, dict) else {}

    # What the model sees first -----------------------------------------------------------------------------------

    def outline(self) -> str:
        """The draft's graph in few words."""
        return outline(self.draft.name, self.document(), self.draft.rev)

    async def catalogue(self) -> str:
        """The draft's classes, one line each, then the tools and the workflows that nodes can use."""
        loaded = await self._loaded()
        more = [name for name in await self._tools() if name not in loaded.tools]
        lists = {
            "tools of this workflow": loaded.tools,
            "tools of the workspace": more,
            "other workflows": await self._workbench.workflows(),
        }
        lines = [f"{title}: {one_line(', '.join(names[:NAMES]), 400)}" for title, names in lists.items() if names]
        return "\n".join([catalogue(loaded.code), *lines])

    # Reading ------------------------------------------------------------------------------------------------------

    async def _read_workflow(self, given: dict[str, Any]) -> Outcome:
        if given["detail"] == "outline":
            return self._data("outline", self.outline(), cap=80_000)
        ids = [str(node_id) for node_id in given.get("ids") or ()]
        if not ids:
            return _refused("Name the nodes in ids.")
        lines, missing = nodes_in_full(self.document(), ids[:NODES_AT_ONCE])
        if missing:
            lines.append(f"not there: {', '.join(missing)}")
        if len(ids) > NODES_AT_ONCE:
            lines.append(f"[at most {NODES_AT_ONCE} nodes at once]")
        return self._data("nodes", "\n".join(lines), summary=f"{len(ids) - len(missing)} nodes")

    async def _read_node_source(self, given: dict[str, Any]) -> Outcome:
        loaded = await self._loaded()
        info = loaded.code.class_of(given["class"])
        if info is None:
            names = ", ".join(loaded.code.node_names()[:50]) or "none"
            return _refused(f"There is no class {given['class']!r} in the workflow's files. There are: {names}.")
        text = loaded.sources().get(info.file, "")
        imports = [line for line in text.splitlines() if line.startswith(("import ", "from "))][:40]
        place = f"{info.file}:{info.line}"
        body = "\n".join([*imports, "", info.source])
        return self._data(
            f"{info.name} in {place}", body, cap=SOURCE_CAP, summary=f"{info.source.count(chr(10)) + 1} lines"
        )

    async def _search_node_types(self, given: dict[str, Any]) -> Outcome:
        query = given["query"]
        asked = words_of(query)
        code = (await self._loaded()).code
        infos = [info for name in code.node_names() if (info := code.class_of(name)) is not None]
        fitting = sorted(infos, key=lambda info: -score(asked, words_of(f"{info.name} {info.doc}")))
        own = [info for info in fitting if score(asked, words_of(f"{info.name} {info.doc}"))][:SEARCH_HITS]
        examples = await self._workbench.examples(query, 3)
        parts = [f"# {note.title}\n{note.text}" for note in notes_for(query)]
        if own:
            parts.append(self._block("classes of this workflow", "\n".join(class_line(info) for info in own)))
        parts += [
            self._block(f"example from {example.workflow}: {example.name}", example.source, EXAMPLE_CAP)
            for example in examples
        ]
        found = len(own) + len(examples)
        return Outcome("\n\n".join(parts) or "Nothing fits; write a class of your own.", summary=f"{found} classes")

    # Changing -----------------------------------------------------------------------------------------------------

    async def _propose_graph(self, given: dict[str, Any]) -> Outcome:
        # In a thread, as all that reads or changes the files: large ones take a while.
        revision = self._revision(given)
        return self._done(await asyncio.to_thread(self.draft.apply_graph, revision, given["ops"], given["why"]))

    async def _propose_source(self, given: dict[str, Any]) -> Outcome:
        if given["mode"] != "delete" and not given.get("code", "").strip():
            return _refused("code is missing: write the whole class.")
        revision, code = self._revision(given), given.get("code", "")
        reply = await asyncio.to_thread(
            self.draft.apply_source, revision, given["class"], given["mode"], code, given["why"]
        )
        return self._done(reply)

    def _revision(self, given: dict[str, Any]) -> int:
        """The revision that a call means: those of one reply build on each other."""
        base_rev: int = given["base_rev"]
        return self.draft.rev if base_rev == self._reply_rev else base_rev

    def _done(self, reply: Reply) -> Outcome:
        text = _compact(reply.to_json())
        if not reply.ok:
            return Outcome(text, True, "; ".join(problem.message for problem in reply.errors)[:200])
        self.memory.turn.changed = True
        # Whoever may begin a change may correct it, even where failing checks have lowered the understanding meanwhile.
        self.memory.turn.gate_open = True
        if self.memory.turn.tainted:
            self.memory.tainted_draft = True
        return Outcome(text, summary=f"revision {reply.rev}", changed="draft")

    # Checking -----------------------------------------------------------------------------------------------------

    async def _validate(self, given: dict[str, Any]) -> Outcome:
        checks = await asyncio.to_thread(run_checks, self.draft.name, dict(self.draft.files), self.draft.base)
        problems = [problem.to_json() for check in checks for problem in check.problems][:30]
        bad = failed(checks)
        said = ", ".join(check.name for check in checks if check.status in ("failed", "warned"))
        text = _compact({"ok": not bad, "rev": self.draft.rev, "errors": problems})
        return Outcome(text, summary=f"{'fails' if bad else 'warns'}: {said}" if said else "all checks pass")

    async def _dry_run(self, given: dict[str, Any]) -> Outcome:
        result = await self._workbench.dry_run(dict(self.draft.files), given.get("inputs") or {}, given.get("until"))
        if not result.allowed:
            text = "Not allowed yet: the person can allow it on the proposal. Go on without it."
            return Outcome(text, True, "not allowed yet")
        self.memory.turn.tainted = True
        self.memory.tainted_draft |= self.memory.turn.changed
        lines = [
            f"{'completed' if result.completed else 'did not complete'} after: {', '.join(result.steps) or 'no step'}",
            *([f"error: {result.error}"] if result.error else []),
            f"state:\n{state_sketch(result.state)}",
            *([f"log:\n{result.log[-2000:]}"] if result.log else []),
        ]
        summary = "completed" if result.completed else one_line(result.error, 120) or "did not complete"
        return Outcome(self._block("dry run", "\n".join(lines)), summary=summary)

    # Talking ------------------------------------------------------------------------------------------------------

    async def _ask_user(self, given: dict[str, Any]) -> Outcome:
        turn = self.memory.turn
        if turn.rounds >= self._gate.rounds:
            turn.gate_open = True
            return _refused(
                f"The person was asked {turn.rounds} times already. Decide yourself, and say with set_plan what you "
                "assume."
            )
        turn.rounds += 1
        questions = tuple(
            Question(
                f"q{turn.number}.{turn.rounds}.{position}",
                one_line(question["text"], 300),
                tuple(
                    Choice(one_line(option["label"], 80), one_line(option.get("detail", ""), 200))
                    for option in question["options"]
                ),
                bool(question.get("several")),
            )
            for position, question in enumerate(given["questions"], 1)
        )
        return Outcome("", questions=questions)

    async def _set_plan(self, given: dict[str, Any]) -> Outcome:
        memory = self.memory
        memory.goal = one_line(given["goal"], 200)
        renamed = memory.name_open and not self.draft.files
        if renamed:
            memory.workflow = self.draft.name = await self._workbench.name_for(memory.goal)
            memory.name_open = False
        memory.tasks = [
            Task(
                str(task["id"]),
                one_line(task["title"], 120),
                tuple(map(str, task.get("depends_on") or ())),
                bool(task.get("done")),
            )
            for task in given["tasks"][:20]
        ]
        memory.levels = {name: given["assessment"][name] for name in DIMENSIONS}
        memory.slots_open = [slot["name"] for slot in given.get("slots") or () if not (slot["value"] or "").strip()]
        memory.tools_named = [str(tool) for tool in given.get("tools") or ()][:20]
        for assumption in (given.get("assumptions") or ())[:20]:
            assume(memory.assumptions, one_line(assumption["text"], 300), assumption.get("id"))
        await self.assess()
        assert memory.understanding is not None
        turn = memory.turn
        if not memory.understanding.enough and turn.answered and not turn.left_open and turn.rounds < self._gate.rounds:
            # The model itself says that the answers were not enough.
            turn.gate_open = False
        enough = memory.understanding.enough or turn.gate_open
        reply: dict[str, Any] = {"understood": memory.understanding.score, "may_propose": enough}
        if renamed:
            reply["workflow"] = memory.workflow
        if not enough:
            reply |= {"because": list(memory.understanding.facts), "next": "ask_user"}
        return Outcome(_compact(reply), summary=f"understood {memory.understanding.score:.0%}", changed="plan")

    # Blocks -------------------------------------------------------------------------------------------------------

    def _block(self, title: str, text: str, cap: int = 8_000) -> str:
        return data_block(self.memory.boundary, title, text, cap)

    def _data(self, title: str, text: str, *, cap: int = 8_000, summary: str = "") -> Outcome:
        # Every reading ends with the revision, which a change has to name.
        return Outcome(f"{self._block(title, text, cap)}\nrevision {self.draft.rev}", summary=summary)


def _refused(text: str) -> Outcome:
    return Outcome(text, True, one_line(text, 200))


def _argument_problem(schema: dict[str, Any], arguments: dict[str, Any]) -> str:
    """The first thing that is wrong with the arguments of a call, or nothing."""
    # Imported here because it is slow to import.
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

    try:
        error = next(Draft202012Validator(schema).iter_errors(arguments), None)
    except RecursionError:
        return "They are nested too deeply."
    if error is None:
        return ""
    place = ".".join(map(str, error.absolute_path))
    return one_line(f"{f'{place}: ' if place else ''}{error.message}", 200)


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
