"""One turn of a conversation: the person's words go to the model, the model uses tools, and at the end stands an
answer, questions, or a proposal.

The loop is ours: model, tool calls, results, model. The memory is kept after each model call and after each round of
tools, so a killed engine loses the running call at most.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.assistant import assumptions
from core.assistant.checks import Check, failed, run_checks
from core.assistant.draft import Draft
from core.assistant.events import (
    Answer,
    Asked,
    Listener,
    ModelSaid,
    Noted,
    Planned,
    Proposed,
    TextGrew,
    TextVoid,
    ToolBegan,
    ToolEnded,
    ToolWriting,
    TurnEnd,
    TurnFailed,
    TurnStarted,
    Understood,
)
from core.assistant.marking import data_block, nested_deeper, storable
from core.assistant.memory import Memory, added
from core.assistant.prompts import lay_out, system_prompt
from core.assistant.proposal import make_proposal
from core.assistant.repair import FailedRun, repair_words
from core.assistant.tool_specs import tools_of
from core.assistant.tools import Gate, Toolbox
from core.assistant.understanding import Weights
from core.assistant.undo import rebase_draft
from core.assistant.workbench import Workbench
from core.errors import ModelRefusal, ProposalStale, RondoError, UsageError
from core.llm.messages import (
    Delta,
    ModelGateway,
    ModelMessage,
    ModelRequest,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    ToolResult,
    Usage,
    UserMessage,
    Waiting,
)
from core.settings import AssistantSettings

Keep = Callable[[dict[str, Any]], Awaitable[None]]
"""Makes the memory (JSON) durable; the turn goes on once it has."""
CALLS_AT_ONCE = 64
"""Tool calls of one reply that are carried out."""
_DEPTH = 60
"""Deepest nesting of a tool's arguments."""


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """What a turn may use; see `[assistant]` in the settings. `tokens` counts those read and written together."""

    threshold: float = 0.70
    weights: Weights = field(default_factory=Weights)
    question_rounds: int = 3
    check_rounds: int = 3
    model_calls: int = 24
    tokens: int = 600_000
    malformed_in_a_row: int = 3
    repeated_in_a_row: int = 4
    reply_tokens: int | None = None

    @classmethod
    def of(cls, settings: AssistantSettings) -> SessionLimits:
        """As the settings have them."""
        weights = Weights(settings.clarity, settings.completeness, settings.feasibility, settings.specificity)
        return cls(
            threshold=settings.threshold,
            weights=weights,
            question_rounds=settings.question_rounds,
            check_rounds=settings.check_rounds,
            model_calls=settings.model_calls,
            tokens=settings.turn_tokens,
        )


@dataclass(frozen=True, slots=True)
class RunData:
    """Something of a run that goes to the model with the person's words: it is data, and taints the turn.

    `name` is the reference that stands for it in the words (`@name`), where there is one.
    """

    title: str
    text: str
    name: str = ""


class Session:
    """A conversation at work. One task at a time calls it; cancelling that task ends the turn and keeps what was said.

    A cancelled turn raises CancelledError after it has kept the memory.
    """

    def __init__(
        self,
        memory: Memory,
        gateway: ModelGateway,
        workbench: Workbench,
        listener: Listener,
        keep: Keep,
        limits: SessionLimits | None = None,
    ) -> None:
        self.memory = memory
        self._gateway = gateway
        self._workbench = workbench
        self._tell = listener
        self._keep = keep
        self._limits = limits or SessionLimits()
        self._toolbox: Toolbox | None = None
        self._partial: list[str] = []
        self._usage = Usage()
        self._head = ("", "")

    # What a person does -------------------------------------------------------------------------------------------

    async def send(self, text: str, data: Sequence[RunData] = ()) -> TurnEnd:
        """Say something and follow it to the turn's end. Where questions are open, the words answer them all."""
        memory = self.memory
        if memory.asking:
            return await self.answer((), said=text)
        self._begin(text, data)
        memory.goal, memory.tasks, memory.understanding = "", [], None
        memory.levels, memory.slots_open, memory.tools_named = {}, [], []
        return await self._turn()

    async def revise(self, comment: str) -> TurnEnd:
        """Say what is to be different about the open proposal; the model goes on from its draft."""
        self._begin(f"About the proposal: {comment}", ())
        # The person has seen what was understood and says what is not right about it.
        self.memory.turn.gate_open = self.memory.understanding is not None
        return await self._turn()

    async def repair(self, failure: FailedRun) -> TurnEnd:
        """Let the model repair what made a run fail; the proposal then offers to go on before the failed node."""
        self.memory.repair = failure.resume
        words, data = repair_words(failure)
        return await self.send(words, [RunData(title, text) for title, text in data])

    async def answer(self, answers: Sequence[Answer], said: str = "") -> TurnEnd:
        """Answer the open questions; those without an answer are skipped. Raises UsageError where none is open.

        `said` are words that the person wrote in place of choosing.
        """
        memory = self.memory
        call = next((call for call in memory.open_calls() if call.name == "ask_user"), None)
        if not memory.questions or call is None:
            raise UsageError("No question of this conversation is open.", next_step="Write a message instead.")
        text = assumptions.take_answers(memory, answers, said)
        memory.messages.append(ToolResult(call.id, call.name, text))
        memory.turn.running = True
        self._tell(ToolEnded(call.id, call.name, "", False, "answered"))
        return await self._turn()

    async def go_on(self) -> TurnEnd:
        """Go on with a turn whose engine died: the calls that have no result yet are done, then the model is asked."""
        if self.memory.asking or not self.memory.turn.running:
            return TurnEnd("asking" if self.memory.asking else "done", questions=tuple(self.memory.questions))
        return await self._turn()

    def _begin(self, text: str, data: Sequence[RunData]) -> None:
        """Begin a turn with these words, what happened meanwhile before them, and the data after them."""
        memory = self.memory
        memory.settle("the turn ended before this was done")
        memory.begin_turn()
        self._tell(TurnStarted(memory.turn.number))
        blocks = [data_block(memory.boundary, piece.title, piece.text) for piece in data]
        notes, memory.notes = [f"[{note}]" for note in memory.notes], []
        memory.turn.tainted = bool(data)
        memory.turn.words = text
        memory.turn.names = [piece.name for piece in data if piece.name]
        memory.messages.append(UserMessage("\n\n".join([*notes, text, *blocks])))

    # The loop -----------------------------------------------------------------------------------------------------

    async def _turn(self) -> TurnEnd:
        memory = self.memory
        self._usage, self._partial = Usage(), []
        try:
            self._toolbox = await self._open_toolbox()
            await self._store()
            return await self._loop(self._toolbox)
        except asyncio.CancelledError:
            said = "".join(self._partial)
            if said:
                memory.messages.append(ModelMessage(f"{said}\n\n[stopped by the person]"))
            memory.settle("stopped by the person")
            memory.turn.running = False
            await self._store()
            raise
        except Exception as error:
            # Whatever went wrong, the memory must be one that the next turn can go on with.
            memory.settle("the turn ended with an error before this was done")
            memory.turn.running = False
            await self._store()
            if not isinstance(error, RondoError):
                raise
            self._tell(TurnFailed(error))
            return TurnEnd("failed", error=error, usage=self._usage)

    async def _loop(self, toolbox: Toolbox) -> TurnEnd:
        memory = self.memory
        calls = memory.open_calls()
        if calls and await self._use_tools(toolbox, calls):
            return self._ask()
        while True:
            last = memory.messages[-1]
            if not isinstance(last, ModelMessage):
                spent = self._spent()
                if spent:
                    return await self._end(toolbox, note=spent)
                last = await self._call_model()
            if not last.tool_calls:
                checks = await self._check(toolbox)
                if checks is None or not await self._hand_back(toolbox, checks):
                    return await self._end(toolbox, checks=checks)
            elif await self._use_tools(toolbox, last.tool_calls):
                return self._ask()

    async def _call_model(self) -> ModelMessage:
        memory = self.memory
        messages = lay_out(memory, *self._head)
        request = ModelRequest(
            messages=messages,
            system=system_prompt(memory.mode),
            tools=tools_of(memory.mode),
            max_tokens=self._limits.reply_tokens,
            cache_after=len(messages),
        )
        self._partial = []
        reply = await self._gateway.complete(request, self._heard)
        self._partial = []
        memory.turn.calls += 1
        memory.turn.tokens += reply.usage.input_tokens + reply.usage.output_tokens
        memory.usage = added(memory.usage, reply.usage)
        self._usage = added(self._usage, reply.usage)
        message = _received(reply.message)
        self._tell(ModelSaid(message.text, reply.model, reply.usage, reply.seconds))
        if reply.stop == "refusal":
            # A refused reply is no part of the conversation: sent again, it would be refused again.
            raise ModelRefusal(
                "The model refused to answer.",
                cause=message.text or "It gave no reason.",
                next_step="Say it in other words, or choose another model in the settings.",
            )
        if reply.stop == "length":
            self._tell(Noted("The reply was cut: it is longer than the model may write at once."))
        memory.messages.append(message)
        await self._store()
        return message

    def _heard(self, delta: Delta) -> None:
        match delta:
            case TextDelta(text):
                self._partial.append(text)
                self._tell(TextGrew(text))
            case Waiting(seconds, reason, again):
                self._partial = [] if again else self._partial
                self._tell(TextVoid(seconds, reason) if again else Noted(_again_words(seconds, reason)))
            case ToolCallDelta(call_id, name, characters):
                self._tell(ToolWriting(call_id, name, characters))

    async def _use_tools(self, toolbox: Toolbox, calls: Sequence[ToolCall]) -> bool:
        """Carry out the calls in order; True where the person is asked something and the turn waits."""
        memory, turn = self.memory, self.memory.turn
        asking = False
        toolbox.begin_reply()
        all_malformed = True
        for position, call in enumerate(calls, 1):
            title = toolbox.title(call)
            self._tell(ToolBegan(call.id, call.name, title))
            if call.name == "ask_user" and asking:
                text = "Only one ask_user at a time; put the questions into one call."
                self._result(call, title, text, True, text)
                continue
            if position > CALLS_AT_ONCE:
                text = f"Not done: at most {CALLS_AT_ONCE} calls in one reply."
                self._result(call, title, text, True, text)
                continue
            outcome = await toolbox.run(call, asking=asking)
            all_malformed &= outcome.malformed
            if outcome.questions:
                asking = True
                memory.questions = list(outcome.questions)
                continue
            self._result(call, title, outcome.text, outcome.failed, outcome.summary)
            if outcome.changed == "plan":
                self._tell(Planned(tuple(memory.tasks)))
                if memory.understanding is not None:
                    self._tell(Understood(memory.understanding))
            if outcome.changed == "draft":
                memory.draft = toolbox.draft.to_json()
        turn.malformed = turn.malformed + 1 if all_malformed else 0
        wanted = json.dumps([(call.name, call.arguments or call.text) for call in calls], sort_keys=True)
        digest = hashlib.sha256(wanted.encode(errors="replace")).hexdigest()
        turn.repeats = turn.repeats + 1 if digest == turn.last_calls else 1
        turn.last_calls = digest
        await self._store()
        return asking

    def _ask(self) -> TurnEnd:
        memory = self.memory
        questions = tuple(memory.questions)
        self._tell(Asked(questions, memory.turn.rounds, memory.understanding))
        return TurnEnd("asking", questions=questions, usage=self._usage)

    async def _check(self, toolbox: Toolbox) -> list[Check] | None:
        """The checks of what this turn has changed, if it has; they block, hence the thread."""
        draft = toolbox.draft
        if not draft.edited or not self.memory.turn.changed:
            return None
        return await asyncio.to_thread(run_checks, draft.name, dict(draft.files), draft.base)

    async def _hand_back(self, toolbox: Toolbox, checks: list[Check]) -> bool:
        """Give checks that fail back to the model, if it may still try; True where it is to be asked again."""
        turn = self.memory.turn
        if not failed(checks):
            return False
        turn.checks_failed += 1
        if turn.checks_failed > self._limits.check_rounds or self._spent():
            return False
        self.memory.messages.append(UserMessage(_failures(checks, toolbox.draft.rev)))
        await toolbox.assess()
        await self._store()
        return True

    async def _end(self, toolbox: Toolbox, *, checks: list[Check] | None = None, note: str = "") -> TurnEnd:
        """End the turn: with a proposal where something was changed, and with a note where it was cut short."""
        memory, draft = self.memory, toolbox.draft
        proposal = None
        if note:
            self._tell(Noted(note))
            memory.notes.append(note)
            checks = await self._check(toolbox)
        if checks is not None:
            await asyncio.to_thread(assumptions.write, memory.assumptions, draft, toolbox.document())
            proposal = await asyncio.to_thread(
                make_proposal, memory, draft, checks, self._usage, complete=not note and not memory.asking
            )
            memory.draft, memory.proposed_revision = draft.to_json(), draft.rev
        elif not draft.edited:
            memory.draft, memory.tainted_draft = None, False
        memory.turn.running = False
        await self._store()
        if proposal is not None:
            self._tell(Proposed(proposal))
        return TurnEnd("done", proposal, usage=self._usage)

    # Around it ----------------------------------------------------------------------------------------------------

    async def _open_toolbox(self) -> Toolbox:
        """The tools over the draft, or over a new one of the files as they are."""
        memory, limits = self.memory, self._limits
        draft, lost = await _draft_of(memory, await self._workbench.files())
        if lost is not None:
            self._tell(Noted(f"The open change was given up: {lost.message}"))
        # Only the program puts files into a draft, for a person who named tools: that is to be decided about, too.
        named = any(batch.what == "files" and batch.rev > memory.proposed_revision for batch in draft.batches)
        memory.turn.changed |= named and memory.mode != "ask"
        gate = Gate(limits.weights, limits.threshold, limits.question_rounds)
        toolbox = await asyncio.to_thread(Toolbox, memory, draft, self._workbench, gate)
        toolbox.words, toolbox.known_names = memory.turn.words, memory.turn.names
        memory.assumptions = assumptions.gathered(memory, toolbox.document())
        self._head = (await toolbox.catalogue(), toolbox.outline())
        await toolbox.assess()
        return toolbox

    def _result(self, call: ToolCall, title: str, text: str, failure: bool, summary: str) -> None:
        self.memory.messages.append(ToolResult(call.id, call.name, text, failure))
        self._tell(ToolEnded(call.id, call.name, title, failure, summary))

    def _spent(self) -> str:
        """Why the turn can't go on; empty where it can."""
        turn, limits = self.memory.turn, self._limits
        if turn.calls >= limits.model_calls:
            return f"The turn ends after {turn.calls} calls of the model without coming to an end; say how to go on."
        if turn.malformed >= limits.malformed_in_a_row:
            return f"The turn ends: the model wrote {turn.malformed} tool calls in a row that can't be understood."
        if turn.repeats >= limits.repeated_in_a_row:
            return f"The turn ends: the model used the same tool {turn.repeats} times in a row in the same way."
        if turn.tokens >= limits.tokens:
            return f"The turn ends after {turn.tokens:,} tokens without coming to an end; say how to go on."
        return ""

    async def _store(self) -> None:
        await self._keep(self.memory.to_json())


def _again_words(seconds: float, reason: str) -> str:
    """That a call is tried again, and when."""
    return f"{reason}. Trying again {f'in {seconds:.0f} s' if seconds >= 0.5 else 'at once'}"


async def _draft_of(memory: Memory, present: dict[str, bytes]) -> tuple[Draft, ProposalStale | None]:
    """The draft over the files as they are, and why the open one was given up where it had to be."""
    if memory.draft is None:
        return Draft.of(memory.workflow, present), None
    draft = await asyncio.to_thread(Draft.from_json, memory.draft)
    if draft.base == present:
        return draft, None
    try:
        draft = await asyncio.to_thread(rebase_draft, draft, present)
        memory.draft = draft.to_json()
        return draft, None
    except ProposalStale as stale:
        memory.settle("the workflow was changed by others")
        memory.messages.append(
            UserMessage("[The workflow was changed by others. Your draft is gone; begin from it as it is now.]")
        )
        memory.draft, memory.tainted_draft, memory.proposed_revision = None, False, 0
        return Draft.of(memory.workflow, present), stale


def _received(message: ModelMessage) -> ModelMessage:
    """A reply as it can be kept: no lone surrogates, nothing nested too deeply, and call ids that differ.

    Small servers see to none of these.
    """
    ids = [call.id for call in message.tool_calls]
    same = len(set(ids)) < len(ids) or not all(ids)
    calls = []
    for number, call in enumerate(message.tool_calls, 1):
        deep = nested_deeper(call.arguments, _DEPTH)
        calls.append(
            ToolCall(
                f"{call.id or 'call'}-{number}" if same else storable(call.id),
                storable(call.name),
                None if deep else storable(call.arguments),
                "(nested too deeply)" if deep else storable(call.text),
            )
        )
    opaque = None if same or nested_deeper(message.opaque, _DEPTH) else storable(message.opaque)
    return ModelMessage(storable(message.text), tuple(calls), opaque)


def _failures(checks: Sequence[Check], revision: int) -> str:
    """What the model reads when checks of its draft fail."""
    lines = [finding for check in checks if check.status == "failed" for finding in (check.findings or [check.message])]
    return f"[Checks of the draft fail, revision {revision}. Correct it, then say you are done.]\n" + "\n".join(
        lines[:30]
    )
