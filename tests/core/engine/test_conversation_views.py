"""What crosses the link of conversations fits into a reply, whatever it holds."""

from __future__ import annotations

import msgspec

from core.engine.conversations.views import shortened
from core.link.chat_events import ChatText
from core.link.chat_types import ChangeGroup, ClassChange, ProposalView
from core.link.event_types import Event
from core.link.events import EventQueue
from core.link.types import REPLY_LIMIT


def proposal(diff: str, graph: bytes = b"{}") -> ProposalView:
    change = ClassChange(name="Big", sign="~", diff=diff)
    return ProposalView(
        proposal_id="p",
        number=1,
        chat_id="c",
        workflow="w",
        status="open",
        title="t",
        why="",
        created_at=0.0,
        base=None,
        result="r",
        groups=[ChangeGroup(id=str(number), title="g", graph=[], classes=[change]) for number in range(3)],
        checks=[],
        risks=[],
        assumptions=[],
        before_graph=msgspec.Raw(graph),
        after_graph=msgspec.Raw(graph),
    )


def test_long_diffs_are_cut_with_a_mark_and_short_ones_stay_whole() -> None:
    long = shortened(proposal("+a line of code\n" * 50_000))
    assert len(msgspec.json.encode(long)) < REPLY_LIMIT
    assert "more lines" in long.groups[0].classes[0].diff
    assert shortened(proposal("+one\n")).groups[0].classes[0].diff == "+one\n"


def test_graphs_that_are_too_large_are_left_out() -> None:
    view = shortened(proposal("+one\n", b'"' + b"x" * REPLY_LIMIT + b'"'))
    assert bytes(view.before_graph) == b"null" and len(msgspec.json.encode(view)) < REPLY_LIMIT


def text(offset: int, said: str, number: int = 1) -> ChatText:
    return ChatText(chat_id="c", number=number, offset=offset, text=said)


def test_pieces_of_text_that_wait_are_joined_and_a_new_beginning_takes_their_place() -> None:
    queue = EventQueue()
    first: list[Event] = [text(0, "one "), text(4, "two "), text(0, "other", number=2), text(8, "three")]
    queue.put(first)
    assert [(event.number, event.offset, event.text) for event in queue.take()] == [  # type: ignore[union-attr]
        (2, 0, "other"),
        (1, 0, "one two three"),
    ]
    again: list[Event] = [text(0, "void"), text(0, "new")]
    queue.put(again)
    assert [event.text for event in queue.take()] == ["new"]  # type: ignore[union-attr]
    gap: list[Event] = [text(0, "a"), text(9, "z")]
    queue.put(gap)
    assert [(event.offset, event.text) for event in queue.take()] == [(9, "z")]  # type: ignore[union-attr]
