"""The entries of a conversation as lines: what was said, which tools were used, what is asked and proposed. Pure."""

from __future__ import annotations

from core.link.chat_types import ChatEntry, ProposalView
from tui.chat_words import (
    STATUS_WORDS,
    check_spans,
    cost_text,
    proposal_title,
    tokens_text,
    understanding_text,
    usage_text,
)
from tui.markdown_lines import Markdown, fitted, plain_lines, wrap_spans
from tui.spans import SIGN_INKS, Span, Spans, cut_spans
from tui.text import duration, plural, visible

GUTTER = 7
"""Cells before the text, in which it stands who speaks."""
TOOL_LOOKS = {
    "writing": ("✎ writing", "accent"),
    "running": ("● running", "running"),
    "done": ("✓", "good"),
    "failed": ("✗ failed", "bad"),
}
NARROW = 44
"""In fewer columns than this the gutter is left out."""


class EntryLines:
    """One entry and its lines at one width; text that streams costs what is new."""

    def __init__(self, entry: ChatEntry, *, after: str = "", proposal: ProposalView | None = None) -> None:
        self.entry = entry
        self.proposal = proposal
        self._after = after
        self._markdown: Markdown | None = None
        self._width = -1
        self._head: list[Spans] = []
        self._foot: list[Spans] = []

    def update(self, entry: ChatEntry, *, after: str = "", proposal: ProposalView | None = None) -> bool:
        """Take the entry as it is now; `after` is the kind of what stands before it. True if that changes anything."""
        proposal = proposal or self.proposal
        if (entry.revision, after) == (self.entry.revision, self._after) and proposal is self.proposal:
            return False
        grown = self._markdown is not None and entry.text.startswith(self._markdown.text)
        # What streamed may be ahead of a row that was read before it.
        ahead = self._markdown is not None and entry.streaming and self._markdown.text.startswith(entry.text)
        if self._markdown is not None and not ahead:
            if grown:
                self._markdown.append(entry.text[len(self._markdown.text) :])
            else:
                self._markdown = None
        self.entry, self._after, self.proposal = entry, after, proposal
        self._width = -1
        return True

    @property
    def text(self) -> str:
        """What was said so far, with what streamed since the row was read."""
        return self._markdown.text if self._markdown is not None else self.entry.text

    def grow(self, offset: int, text: str) -> bool:
        """More text that streams; False where some in between is missing."""
        markdown = self._spoken()
        known = len(markdown.text)
        if offset > known:
            return False
        if offset + len(text) > known:
            markdown.append(text[known - offset :])
        return True

    def _spoken(self) -> Markdown:
        if self._markdown is None:
            self._markdown = Markdown(self.entry.text)
        return self._markdown

    # Lines -------------------------------------------------------------------------------------------------------

    def count(self, width: int) -> int:
        """How many lines it takes."""
        self._lay_out(width)
        said = self._spoken().count(_room(width)) if self._is_spoken else 0
        return len(self._head) + said + len(self._foot)

    def fixed(self, width: int) -> int:
        """How many lines from the start no more text can change."""
        self._lay_out(width)
        return len(self._head) + (self._spoken().fixed(_room(width)) if self._is_spoken else 0)

    def line(self, number: int, width: int) -> Spans:
        """One line, from 0."""
        self._lay_out(width)
        if number < len(self._head):
            return self._head[number]
        number -= len(self._head)
        if self._is_spoken:
            said = self._spoken().count(_room(width))
            if number < said:
                lead = _gutter("rondo" if number == 0 else "", width, "accent")
                return [*lead, *self._spoken().line(number, _room(width))]
            number -= said
        return self._foot[number]

    @property
    def _is_spoken(self) -> bool:
        return self.entry.kind == "model"

    @property
    def _starts_below(self) -> bool:
        return False

    def _lay_out(self, width: int) -> None:
        if width == self._width:
            return
        self._width = width
        entry = self.entry
        gap: list[Spans] = [] if not self._after or (entry.kind == "tool" and self._after == "tool") else [[]]
        self._foot = []
        match entry.kind:
            case "user":
                self._head = gap + _said("you", plain_lines(entry.text, _room(width)), width, "strong")
            case "model":
                self._head = gap
                self._foot = _turn_lines(entry, width)
            case "tool":
                self._head = [*gap, _tool_line(entry, width)]
            case "questions":
                self._head = gap + _question_lines(entry, width)
            case "proposal":
                self._head = gap + _proposal_lines(self.proposal, width)
            case "error":
                self._head = gap + _error_lines(entry, width)
            case _:
                lines = plain_lines(entry.text, max(1, _room(width) - 2), "dim")
                self._head = gap + _hung([("· ", "dim")], lines, width)
        if entry.kind != "model" and entry.usage is not None:
            self._foot = _turn_lines(entry, width)

    def plain(self) -> str:
        """The entry as text, to be copied or saved."""
        return plain_entry(self.entry, self.text, self.proposal)


def _room(width: int) -> int:
    return max(1, width - (GUTTER if width >= NARROW else 1))


def _gutter(name: str, width: int, ink: str = "dim") -> Spans:
    if width < NARROW:
        return [(" ", "")]
    return [(f" {name}".ljust(GUTTER), ink)]


def _said(name: str, lines: list[Spans], width: int, ink: str) -> list[Spans]:
    made = [[*_gutter(name if number == 0 else "", width, ink), *line] for number, line in enumerate(lines)]
    return made if width >= NARROW else [[(f" {name}", ink)], *made]


def _hung(sign: Spans, lines: list[Spans], width: int) -> list[Spans]:
    """Lines below the gutter, the first one after a sign of two cells."""
    return [[*_gutter("", width), *(sign if number == 0 else [("  ", "")]), *line] for number, line in enumerate(lines)]


def _tool_line(entry: ChatEntry, width: int) -> Spans:
    tool = entry.tool
    if tool is None:
        return [*_gutter("", width), (fitted(entry.text, _room(width)), "dim")]
    sign, ink = TOOL_LOOKS[tool.status]
    parts: Spans = [(sign, ink), (" ", ""), (visible(tool.title or tool.name), "")]
    if tool.result and tool.status in ("done", "failed"):
        parts += [("  ", ""), (visible(tool.result), "dim" if tool.status == "done" else "bad")]
    return [*_gutter("", width), *cut_spans(parts, _room(width))]


def _turn_lines(entry: ChatEntry, width: int) -> list[Spans]:
    """What the turn used, once it is over."""
    if entry.streaming or entry.usage is None:
        return []
    usage = entry.usage
    parts = [tokens_text(usage.input_tokens + usage.output_tokens), cost_text(usage)]
    parts += [visible(entry.model)] if entry.model else []
    parts += [duration(entry.seconds)] if entry.seconds is not None else []
    return [[*_gutter("", width), (fitted(" · ".join(parts), _room(width)), "dim")]]


def _question_lines(entry: ChatEntry, width: int) -> list[Spans]:
    questions = entry.questions or []
    given = {answer.id: answer for answer in entry.answers or []}
    count = len(questions)
    words = ("One question", "Two questions", "Three questions")[count - 1] if 0 < count < 4 else f"{count} questions"
    head: Spans = [(entry.text or f"{words} first.", "")]
    if entry.understanding is not None:
        head.append((f"  ({understanding_text(entry.understanding)})", "dim"))
    spans = [part for text, ink in head for part in [(visible(text), ink)]]
    lines = _said("rondo", wrap_spans(spans, _room(width)), width, "accent")
    for fact in entry.understanding.facts if entry.understanding is not None else []:
        lines += _hung([("- ", "dim")], wrap_spans([(visible(fact), "dim")], max(1, _room(width) - 2)), width)
    for number, question in enumerate(questions, 1):
        text = wrap_spans([(visible(question.text), "")], max(1, _room(width) - 2))
        lines += _hung([(f"{number} ", "key")], text, width)
        if entry.answers is None:
            options = "  ".join(f"( ) {visible(option.label)}" for option in question.options)
            said: Spans = [(options, "dim")]
        else:
            answer = given.get(question.id)
            words = ", ".join([*answer.chosen, *([answer.text] if answer.text else [])]) if answer else ""
            said = [("→ ", "good"), (visible(words), "strong")] if words else [("→ decide for me", "dim")]
        lines += _hung([("  ", "")], wrap_spans(said, max(1, _room(width) - 2)), width)
    if entry.answers is None and questions:
        lines.append([*_gutter("", width), ("◐ waits for your answer: enter", "waiting")])
    return lines


def _proposal_lines(proposal: ProposalView | None, width: int) -> list[Spans]:
    if proposal is None:
        return [[*_gutter("", width), ("proposal …", "dim")]]
    room = _room(width)
    word, ink = STATUS_WORDS[proposal.status]
    title: list[Span] = [(proposal_title(proposal), "strong"), ("  ", ""), (word, ink)]
    texts = [wrap_spans(title, room), wrap_spans([(visible(proposal.title), "")], room)]
    lines = [line for part in texts for line in part]
    if proposal.status in ("open", "broken", "stale"):
        lines += wrap_spans(check_spans(proposal.checks), room)
    for group in proposal.groups:
        sign = group_sign(proposal, group.id)
        lines.append(cut_spans([(sign, SIGN_INKS[sign]), (f" {visible(group_title(group.title))}", "")], room))
    if proposal.risks and proposal.status == "open":
        wants = plural(len(proposal.risks), "risk wants a yes", "risks want a yes")
        lines.append([(f"! {wants} of its own" if len(proposal.risks) == 1 else f"! {wants} of their own", "bad")])
    if proposal.usage is not None:
        lines.append([(usage_text(proposal.usage), "dim")])
    if proposal.status in ("open", "broken", "stale"):
        lines.append([("enter opens it", "key")])
    return _said("rondo", lines, width, "accent")


def group_title(title: str) -> str:
    """A group's title without the sign that it may begin with."""
    return title[2:] if title[:2] in ("+ ", "- ", "~ ") else title


def group_sign(proposal: ProposalView, group_id: str) -> str:
    """`+`, `-` or `~`: what a group does to what it is about."""
    group = next(group for group in proposal.groups if group.id == group_id)
    signs = [change.sign for change in group.graph if change.what == "node"]
    signs += [change.sign for change in group.classes] if not signs else []
    signs += [change.sign for change in group.graph] if not signs else []
    return signs[0] if len(set(signs)) == 1 else "~"


def _error_lines(entry: ChatEntry, width: int) -> list[Spans]:
    error = entry.error
    room = max(1, _room(width) - 2)
    lines = wrap_spans([(visible(error.message if error is not None else entry.text), "bad")], room)
    for text in (error.cause, error.next_step) if error is not None else ():
        lines += plain_lines(text, room, "dim") if text else []
    return _hung([("✗ ", "bad")], lines, width)


def plain_entry(entry: ChatEntry, text: str, proposal: ProposalView | None) -> str:
    """An entry as text for a file or the clipboard."""
    match entry.kind:
        case "tool":
            tool = entry.tool
            return f"[{tool.status}] {tool.title or tool.name} {tool.result}".rstrip() if tool is not None else text
        case "questions":
            lines = [text] if text else []
            given = {answer.id: answer for answer in entry.answers or []}
            for question in entry.questions or []:
                options = " / ".join(option.label for option in question.options)
                lines.append(f"{question.text} ({options})")
                answer = given.get(question.id)
                if entry.answers is not None:
                    words = ", ".join([*answer.chosen, answer.text]).strip(", ") if answer is not None else ""
                    lines.append(f"-> {words or 'decide for me'}")
            return "\n".join(lines)
        case "proposal" if proposal is not None:
            signs = [group_sign(proposal, group.id) for group in proposal.groups]
            titles = [group_title(group.title) for group in proposal.groups]
            groups = "\n".join(f"  {sign} {title}" for sign, title in zip(signs, titles, strict=True))
            return f"{proposal_title(proposal)} ({proposal.status})\n{proposal.title}\n{groups}".rstrip()
        case "error" if entry.error is not None:
            error = entry.error
            return "\n".join(part for part in (error.message, error.cause, error.next_step) if part)
    return text
