"""A conversation at the terminal: what is said is printed as it comes, questions and proposals are put to the person.

Plain lines, one after the other, so that a screen reader can follow.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from core.cli import prompt
from core.cli.call import Call, Client, end_task, new_command_id
from core.cli.card import proposal_document, risk_text, short, show_card
from core.cli.documents import Document
from core.cli.output import Output
from core.errors import ConsentNeeded, ProposalProblem, RondoError, UsageError
from core.link.chat_types import (
    AnswerQuestions,
    ChatEntry,
    ChatPage,
    ChatQuery,
    Decide,
    Decided,
    ProposalView,
    Question,
    QuestionAnswer,
)
from core.link.event_types import Event, Resync
from core.link.types import ErrorView

WAITS = 3
"""Exit code where a person has to answer or decide."""


@dataclass(slots=True)
class Wishes:
    """What the call said beforehand: `yes` to what passes, `allow` to kinds or ids of risks, `decide` False to stop."""

    yes: bool = False
    allow: list[str] = field(default_factory=list)
    ask: bool = True


class Talk:
    """One conversation, followed until nothing goes on in it."""

    def __init__(self, call: Call, client: Client, chat_id: str, wishes: Wishes, *, since: int = 0) -> None:
        self.chat_id = chat_id
        self.decided: Decided | None = None
        self._call = call
        self._client = client
        self._wishes = wishes
        self._revision = since
        self._printer = Printer(call.output, quiet=call.as_json)
        self._news = asyncio.Event()
        self._entries: dict[int, ChatEntry] = {}

    @property
    def output(self) -> Output:
        return self._call.output

    # Following ----------------------------------------------------------------------------------------------------

    async def rest(self) -> ChatPage:
        """Print what comes until the turn is over; stop the turn where this command is interrupted."""
        watching = asyncio.create_task(self._client.watch(self._hear))
        try:
            while True:
                self._news.clear()
                page = await self._look()
                if not page.chat.busy:
                    self._printer.end()
                    return page
                waiting = asyncio.create_task(self._news.wait())
                try:
                    await asyncio.wait({waiting, watching}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    await end_task(waiting)
                if watching.done():
                    watching.result()
        except asyncio.CancelledError:
            await self._client.ask(lambda engine: engine.stop_chat(self.chat_id))
            raise
        finally:
            await end_task(watching)

    def _hear(self, events: list[Event]) -> None:
        if any(isinstance(event, Resync) or getattr(event, "chat_id", None) == self.chat_id for event in events):
            self._news.set()

    async def _look(self) -> ChatPage:
        """Read what changed, print it, and remember it."""
        while True:
            query = ChatQuery(chat_id=self.chat_id, since=self._revision, limit=200)
            page = await self._client.ask(lambda engine: engine.read_chat(query))  # noqa: B023
            for entry in page.entries:
                self._entries[entry.number] = entry
                self._printer.show(entry)
            if page.revision <= self._revision:
                return page
            self._revision = page.revision
            if not page.entries or page.entries[-1].number == page.last:
                return page

    # Until it is over ---------------------------------------------------------------------------------------------

    async def through(self) -> int:
        """Follow the conversation through its questions and proposals; returns the exit code."""
        while True:
            page = await self.rest()
            questions = self._open_questions()
            if questions is not None:
                if not await self._answer(questions):
                    self._printer.ask(questions)
                    self._next("answer", "chat", "--chat", short(self.chat_id))
                    return WAITS
                continue
            error = self._error()
            if error is not None:
                raise _raised(error)
            if page.chat.open_proposal is None:
                return 0
            proposal_id = page.chat.open_proposal
            proposal = await self._client.ask(lambda engine: engine.get_proposal(proposal_id))  # noqa: B023
            code = await self._decide(proposal)
            if code is not None:
                return code

    def document(self, code: int, proposal: ProposalView | None) -> Document:
        """What became of it, for programs."""
        open_entry = self._open_questions()
        status = "asking" if open_entry is not None else "proposed" if code == WAITS else "done"
        decided = self.decided
        if decided is not None:
            status = "applied" if decided.edit is not None else decided.proposal.status
        return {
            "chat_id": self.chat_id,
            "status": status,
            "questions": None
            if open_entry is None
            else {
                "number": open_entry.number,
                "questions": [
                    {
                        "id": question.id,
                        "text": question.text,
                        "options": [{"label": option.label, "detail": option.detail} for option in question.options],
                        "several": question.several,
                    }
                    for question in open_entry.questions or ()
                ],
            },
            "proposal": proposal_document(proposal) if proposal is not None else None,
            "version": decided.version if decided is not None else None,
            "backup": decided.backup if decided is not None else None,
            "edit": decided.edit if decided is not None else None,
            "approved": decided.approved if decided is not None else None,
            "said": self._last_words(),
        }

    def _last_words(self) -> str:
        said = [entry.text for entry in self._shown() if entry.kind == "model" and entry.text]
        return said[-1] if said else ""

    def _shown(self) -> list[ChatEntry]:
        return [self._entries[number] for number in sorted(self._entries) if not self._entries[number].replaced]

    def _open_questions(self) -> ChatEntry | None:
        last = next((entry for entry in reversed(self._shown()) if entry.kind != "note"), None)
        return last if last is not None and last.kind == "questions" and last.answers is None else None

    def _error(self) -> ErrorView | None:
        last = next((entry for entry in reversed(self._shown()) if entry.kind != "note"), None)
        return last.error if last is not None and last.kind == "error" else None

    # Questions ----------------------------------------------------------------------------------------------------

    async def _answer(self, entry: ChatEntry) -> bool:
        """Answer open questions: with the person, or by skipping where that was said; False where nobody can."""
        questions = entry.questions or []
        if self._wishes.yes:
            answers = [QuestionAnswer(id=question.id) for question in questions]
            self.output.note(("Skipped: the assistant decides, and says what it assumes.", "dim"))
        elif self._wishes.ask and self.output.can_ask:
            asked = await ask_questions(self.output, questions)
            if asked is None:
                return False
            answers = asked
        else:
            return False
        answer = AnswerQuestions(
            command_id=new_command_id(), chat_id=self.chat_id, number=entry.number, answers=answers
        )
        await self._client.ask(lambda engine: engine.answer_questions(answer))
        return True

    def _next(self, what: str, *words: str) -> None:
        """Say where what waits can be done later."""
        if not self._call.as_json:
            self.output.note(("next:  ", "bold"), f"{what}: {self._call.command_line(*words)}")

    # Proposals ----------------------------------------------------------------------------------------------------

    async def _decide(self, proposal: ProposalView) -> int | None:
        """Bring a proposal to a decision; None where the conversation goes on with a comment."""
        if not self._call.as_json:
            show_card(self.output, proposal)
        if self._wishes.yes:
            return await self._apply_unasked(proposal)
        if not (self._wishes.ask and self.output.can_ask):
            self._next("decide", "proposal", short(proposal.proposal_id), "--accept")
            return WAITS
        return await self._ask_about(proposal)

    async def _apply_unasked(self, proposal: ProposalView) -> int:
        """Apply what passes its checks, with the risks that were allowed beforehand."""
        if proposal.status == "broken":
            raise ProposalProblem(
                "The proposal is not applied: checks of it fail.",
                cause="; ".join(
                    f"{check.name}: {check.message}" for check in proposal.checks if check.status == "failed"
                ),
                next_step=f"See it: {self._call.command_line('proposal', short(proposal.proposal_id))}",
            )
        consent = allowed_risks(proposal, self._wishes.allow)
        left = [risk for risk in proposal.risks if risk.id not in consent]
        if left:
            kinds = " ".join(f"--allow {kind}" for kind in sorted({risk.kind for risk in left}))
            raise ConsentNeeded(
                "The proposal is not applied: it needs a yes of its own.",
                cause="; ".join(risk_text(risk) for risk in left),
                next_step="Look at it, then: "
                + self._call.command_line("proposal", short(proposal.proposal_id), "--accept")
                + f" {kinds}",
            )
        await self.accept(proposal, None, consent)
        return 0

    async def _ask_about(self, proposal: ProposalView) -> int | None:
        output = self.output
        typed = prompt.TypedLines(output)
        broken = proposal.status == "broken"
        words = "[r]eject, [c]omment, [l]ater" if broken else "[a]pply, [s]ome, [t]ry, [r]eject, [c]omment, [l]ater"
        while True:
            output.ask(f"{words}: ")
            text = await typed.next()
            choice = (text or "").strip().lower()
            if text is None or choice in ("l", "later"):
                output.line("")
                output.note("It waits: ", self._call.command_line("proposal", short(proposal.proposal_id)))
                return WAITS
            if choice in ("a", "apply") and not broken:
                if await self._apply_asked(proposal, None):
                    return 0
            elif choice in ("s", "some") and not broken:
                groups = await _ask_groups(output, typed, proposal)
                if groups and await self._apply_asked(proposal, groups):
                    return 0
            elif choice in ("t", "try") and not broken:
                proposal = await self._try(proposal)
            elif choice in ("r", "reject"):
                output.ask("Why? (return for no reason) ")
                comment = await typed.next()
                await self._send(proposal, "reject", comment=comment or "")
                output.line("Rejected; nothing was changed.")
                return 0
            elif choice in ("c", "comment"):
                output.ask("What should be different? ")
                comment = await typed.next()
                if comment and comment.strip():
                    await self._send(proposal, "revise", comment=comment)
                    return None
            else:
                output.note(("! ", "yellow"), "Type one of the letters in brackets.")

    async def _apply_asked(self, proposal: ProposalView, groups: list[str] | None) -> bool:
        """Apply, once each risk had its own yes; False where one had not, or where it was refused."""
        consent = allowed_risks(proposal, self._wishes.allow)
        for risk in proposal.risks:
            if risk.id in consent or (groups is not None and risk.group not in groups):
                continue
            if not await prompt.confirm(self.output, ("Allow ", "bold"), risk_text(risk), "?"):
                self.output.note("Nothing was applied.")
                return False
            consent.append(risk.id)
        try:
            await self.accept(proposal, groups, consent)
        except (ProposalProblem, UsageError) as error:
            self.output.error(error)
            return False
        return True

    async def _try(self, proposal: ProposalView) -> ProposalView:
        """Run it dry, in an isolated process; asking for it is the consent."""
        command_id = new_command_id()
        tried = await self._client.ask(lambda engine: engine.try_proposal(command_id, proposal.proposal_id))
        show_card(self.output, _checks_only(tried))
        return tried

    async def accept(self, proposal: ProposalView, groups: list[str] | None, consent: Sequence[str]) -> None:
        """Apply and say so."""
        decided = await self._send(proposal, "accept", accept=groups, consent=list(consent))
        if not self._call.as_json:
            tell_applied(self._call, decided)

    async def _send(self, proposal: ProposalView, decision: Any, **fields: Any) -> Decided:
        decide = Decide(command_id=new_command_id(), proposal_id=proposal.proposal_id, decision=decision, **fields)
        decided = await self._client.ask(lambda engine: engine.decide_proposal(decide))
        if decision != "revise":
            self.decided = decided
        return decided


def _checks_only(proposal: ProposalView) -> ProposalView:
    """The proposal with nothing but its head and its checks, for a card after a try."""
    return msgspec.structs.replace(
        proposal, groups=[], why="", assumptions=[], risks=[], usage=None, understanding=None
    )


def tell_applied(call: Call, decided: Decided) -> None:
    """Say what was applied, where what was there is kept, and what to do next."""
    name = decided.proposal.workflow
    call.output.line(("✓ ", "green"), f"{name} is now version {(decided.version or '')[:12]} (edit {decided.edit})")
    if decided.backup is not None:
        call.output.line(("  what was there: ", "dim"), decided.backup)
    if not decided.approved:
        call.output.line("  The folder also holds changes that nobody approved: rondo run shows them and asks first.")
    call.output.line(
        ("  next: ", "bold"), call.command_line("run", name), ("  undo: ", "dim"), call.command_line("undo", name)
    )


def allowed_risks(proposal: ProposalView, allow: Sequence[str]) -> list[str]:
    """The ids of the risks that were allowed by kind, by id, or all of them."""
    return [risk.id for risk in proposal.risks if "all" in allow or risk.kind in allow or risk.id in allow]


async def ask_questions(output: Output, questions: Sequence[Question]) -> list[QuestionAnswer] | None:
    """Put questions to the person, one after the other; None where the input ends."""
    typed = prompt.TypedLines(output)
    answers = []
    for place, question in enumerate(questions, 1):
        print_question(output, question, place, len(questions))
        hint = "numbers with commas between them" if question.several else "a number"
        output.ask(f"{hint}, your own words, or return to leave it to the assistant: ")
        text = await typed.next()
        if text is None:
            output.line("")
            return None
        answers.append(read_answer(question, text))
    return answers


def print_question(output: Output, question: Question, place: int, count: int) -> None:
    """A question with its options, numbered."""
    output.line((f"Question {place} of {count}: ", "bold"), question.text)
    for number, option in enumerate(question.options, 1):
        output.line(f"  {number}) {option.label}", (f"  {option.detail}" if option.detail else "", "dim"))


def read_answer(question: Question, text: str) -> QuestionAnswer:
    """What was typed: numbers or labels of options, or words of the person's own."""
    labels = [option.label for option in question.options]
    parts = [part.strip() for part in text.split(",") if part.strip()] if question.several else [text.strip()]
    chosen = []
    for part in parts:
        if part.isascii() and part.isdigit() and 1 <= int(part) <= len(labels):
            chosen.append(labels[int(part) - 1])
        elif part in labels:
            chosen.append(part)
    if chosen and len(chosen) == len(parts):
        return QuestionAnswer(id=question.id, chosen=list(dict.fromkeys(chosen)))
    return QuestionAnswer(id=question.id, text=text.strip())


async def _ask_groups(output: Output, typed: prompt.TypedLines, proposal: ProposalView) -> list[str]:
    output.ask(f"Which of 1 to {len(proposal.groups)}? (numbers with commas between them) ")
    text = await typed.next() or ""
    try:
        return chosen_groups(proposal, text)
    except UsageError as error:
        output.note(("! ", "yellow"), error.message)
        return []


def chosen_groups(proposal: ProposalView, text: str) -> list[str]:
    """The ids of the groups that numbers or ids name; raises UsageError."""
    by_id = {group.id for group in proposal.groups}
    found = []
    for part in (part.strip() for part in text.split(",")):
        if part in by_id:
            found.append(part)
        elif part.isascii() and part.isdigit() and 1 <= int(part) <= len(proposal.groups):
            found.append(proposal.groups[int(part) - 1].id)
        elif part:
            raise UsageError(
                f"There is no change {part!r} in the proposal.",
                cause=f"Its changes are numbered from 1 to {len(proposal.groups)}.",
                next_step=f"See them: rondo proposal {short(proposal.proposal_id)}",
            )
    return found


def _raised(error: ErrorView) -> RondoError:
    document = {"type": error.type, "message": error.message, "cause": error.cause, "next_step": error.next_step}
    return RondoError.from_dict(document)


async def require_model(client: Client, name: str = "") -> None:
    """Raise what keeps models from being asked, and say what works without one."""
    status = await client.ask(lambda engine: engine.models_status())
    if status.problem is not None:
        problem = _raised(status.problem)
        made = f"rondo new {name} --list" if name else "rondo new --list"
        problem.next_step = f"{problem.next_step} Without a model: {made}".strip()
        raise problem


class Printer:
    """Prints entries as they grow, each part once."""

    def __init__(self, output: Output, *, quiet: bool) -> None:
        self._output = output
        self._quiet = quiet
        self._printed: dict[int, str] = {}
        self._open: int | None = None

    def show(self, entry: ChatEntry, *, past: bool = False) -> None:
        """Print what is new of an entry. `past`: also what the person said."""
        if self._quiet or entry.replaced:
            return
        match entry.kind:
            case "model":
                self._text(entry)
            case "user" if past:
                self._line(entry, ("you: ", "bold cyan"), entry.text)
            case "tool" if entry.tool is not None and entry.tool.status in ("done", "failed"):
                tool = entry.tool
                sign = ("✓ ", "green") if tool.status == "done" else ("✗ ", "red")
                about = tool.title or tool.name
                self._line(entry, sign, (f"{about}{f': {tool.result}' if tool.result else ''}", "dim"))
            case "note":
                self._line(entry, ("· ", "dim"), (entry.text, "dim"))
            case "questions" if past:
                given = {answer.id: answer for answer in entry.answers or ()}
                for question in entry.questions or ():
                    self._output.line(("asked: ", "bold"), question.text)
                    if entry.answers is not None:
                        said = given.get(question.id)
                        words = [*said.chosen, said.text] if said is not None else []
                        self._output.line(
                            ("  you: ", "bold cyan"), ", ".join(filter(None, words)) or ("decide for me", "dim")
                        )
            case "proposal" if past:
                self._line(entry, ("proposed: ", "bold"), entry.text)
            case "error" if past and entry.error is not None:
                self._line(entry, ("error: ", "red"), entry.error.message)

    def ask(self, entry: ChatEntry) -> None:
        """Print questions that nobody is there to answer now."""
        if not self._quiet:
            for place, question in enumerate(entry.questions or (), 1):
                print_question(self._output, question, place, len(entry.questions or ()))

    def end(self) -> None:
        """Nothing more comes for now."""
        if self._open is not None:
            self._output.line("")
            self._open = None

    def _text(self, entry: ChatEntry) -> None:
        before = self._printed.get(entry.number, "")
        if entry.text == before and not (entry.number == self._open and not entry.streaming):
            return
        if not entry.text.startswith(before):
            # It was begun anew.
            self.end()
            before = ""
        if self._open not in (None, entry.number):
            self.end()
        new = entry.text[len(before) :]
        if new:
            self._output.part(new)
            self._open = entry.number
        self._printed[entry.number] = entry.text
        if not entry.streaming:
            self.end()

    def _line(self, entry: ChatEntry, *parts: Any) -> None:
        text = str(parts)
        if self._printed.get(entry.number) == text:
            return
        self.end()
        self._printed[entry.number] = text
        self._output.line(*parts)
