"""What the chat shows of texts: markdown that grows, costs, commands."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len

from core.link.model_types import UsageView
from tui.chat_commands import References, command_of, suggestions
from tui.chat_words import money, tokens_text, usage_text
from tui.markdown_lines import Markdown, plain_lines
from tui.spans import Spans, spans_text
from tui.text import many_lines

PIECES = st.sampled_from(
    [
        *("# Head", "word ", "longerword", "**bold**", "*it*", "`code`", "[a](http://b)", "\n", "\n\n", "- item\n"),
        *(
            "  1. sub\n",
            "> quote\n",
            "```python\n",
            "x = 1\n",
            "```\n",
            "| a | b |\n",
            "|---|---|\n",
            "---\n",
            "漢字",
            "\x1b[31m",
        ),
        *("**", "`", "\t", "🙂", "_", "  \n", "\\", "\u202e"),
    ]
)
TEXTS = st.lists(PIECES, max_size=25).map("".join)


def lines_of(markdown: Markdown, width: int) -> list[Spans]:
    return [markdown.line(number, width) for number in range(markdown.count(width))]


@example("```a\n`", [2], 30)
@given(TEXTS, st.lists(st.integers(1, 6), min_size=1, max_size=12), st.integers(8, 50))
def test_text_that_streams_looks_as_if_it_came_at_once(text: str, sizes: list[int], width: int) -> None:
    growing = Markdown()
    at = turn = 0
    while at < len(text):
        step = sizes[turn % len(sizes)]
        fixed = lines_of(growing, width)[: growing.fixed(width)]
        growing.append(text[at : at + step])
        # What was said to be fixed stays as it was.
        assert lines_of(growing, width)[: len(fixed)] == fixed
        at, turn = at + step, turn + 1
    shown = lines_of(growing, width)
    assert shown == lines_of(Markdown(text), width)
    for line in shown:
        assert cell_len(spans_text(line)) <= width
        assert not any(ord(sign) < 0x20 or 0x7F <= ord(sign) <= 0x9F for sign in spans_text(line))


def test_marks_become_inks_and_code_stays_as_it_is() -> None:
    markdown = Markdown("A **b** `c*d*` [e](http://f)\n\n```\n**no**\n")
    assert [spans_text(line) for line in lines_of(markdown, 60)] == ["A b c*d* e (http://f)", "", "│ **no**"]
    assert ("b ", "strong") in lines_of(markdown, 60)[0]


def test_what_one_typed_keeps_its_lines() -> None:
    assert [spans_text(line) for line in plain_lines("a\n\n  b c", 20)] == ["a", "", "  b c"]


def test_pasted_text_keeps_its_lines_and_nothing_a_terminal_acts_on() -> None:
    assert many_lines("a\r\nb\tc\x1b[2J\x07\rd") == "a\nb    c\nd"


@pytest.mark.parametrize(
    ("cost", "text"), [(0, "$0"), (0.0004, "<$0.001"), (0.012, "$0.012"), (0.42, "$0.42"), (12.5, "$12.50")]
)
def test_money_reads_well(cost: float, text: str) -> None:
    assert money(cost) == text


def test_what_is_not_known_is_said() -> None:
    assert usage_text(UsageView(calls=1, input_tokens=900, output_tokens=99, unpriced=1)) == "999 tokens cost unknown"
    assert usage_text(UsageView(calls=2, cost=0.2, unpriced=1)) == "0 tokens $0.20 + 1 call of unknown cost"
    assert tokens_text(4100) == "4.1k tokens"


def test_commands_and_references_complete() -> None:
    references = References([("fetch", "node"), ("summarise", "node")], [("7f3a09c1", "run failed")])
    assert [entry.text for entry in suggestions("see @", references)] == ["@fetch", "@summarise", "@7f3a09c1"]
    assert [entry.text for entry in suggestions("see @sum", references)] == ["@summarise"]
    assert suggestions("mail@sum", references) == []
    assert [entry.text for entry in suggestions("/mode a", references)] == ["ask", "auto"]
    assert command_of("/mode auto") is not None
    assert command_of("/etc/passwd is a file") is None
    assert command_of("and /new") is None
