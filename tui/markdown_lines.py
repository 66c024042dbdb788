"""Markdown as lines to draw, for text that grows: what is complete is worked out once, and only the open end again.

A small part of Markdown, the one that answers of a model use: headings, paragraphs, lists, quotes, tables, code.
Nothing in it reaches the terminal but as text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from rich.cells import cell_len, set_cell_size

from tui.spans import Span, Spans, joined, spans_width
from tui.text import fit, visible

_FENCE = re.compile(r"^ {0,3}(?P<mark>`{3,}|~{3,})\s*(?P<language>[\w+#.-]*)")
_HEADING = re.compile(r"^ {0,3}#{1,6}\s+(?P<text>.*?)\s*#*\s*$")
_BREAK = re.compile(r"^ {0,3}([-*_])(\s*\1){2,}\s*$")
_ITEM = re.compile(r"^(?P<space>\s*)(?P<mark>[-*+]|\d{1,4}[.)])\s+(?P<text>.*)$")
_QUOTE = re.compile(r"^ {0,3}>\s?(?P<text>.*)$")
_TABLE = re.compile(r"^\s*\|.*")
_TABLE_LINE = re.compile(r"^\s*\|?(\s*:?-+:?\s*\|)+\s*(:?-+:?\s*)?$")
_INLINE = re.compile(
    r"(?P<escape>\\[\\`*_{}\[\]()#+.!|<>~-])"
    r"|(?P<ticks>`+)(?P<code>.+?)(?P=ticks)(?!`)"
    r"|\*\*(?P<strong>(?=\S).+?(?<=\S))\*\*"
    r"|(?<!\w)__(?P<strong2>(?=\S).+?(?<=\S))__(?!\w)"
    r"|\*(?P<emphasis>(?=[^\s*])[^*]*?(?<=\S))\*"
    r"|(?<!\w)_(?P<emphasis2>(?=[^\s_])[^_]*?(?<=\S))_(?!\w)"
    r"|\[(?P<label>[^\]\[]+)\]\((?P<address>[^)\s]+)\)"
)
WIDEST_RULE = 60


def inline_spans(text: str, ink: str = "") -> Spans:
    """The text of a paragraph with its marks as inks; marks that are not closed stand as they are."""
    spans: Spans = []
    at = 0
    for found in _INLINE.finditer(text):
        spans.append((visible(text[at : found.start()]), ink))
        at = found.end()
        if found["escape"]:
            spans.append((found["escape"][1:], ink))
        elif found["code"]:
            code = found["code"]
            spans.append((visible(code[1:-1] if code[:1] == code[-1:] == " " and code.strip() else code), "code"))
        elif strong := found["strong"] or found["strong2"]:
            spans += inline_spans(strong, "strong")
        elif emphasis := found["emphasis"] or found["emphasis2"]:
            spans += inline_spans(emphasis, ink or "emphasis")
        else:
            # The address is shown, since what a link says of itself need not be true.
            label, address = visible(found["label"]), visible(found["address"])
            spans += [(label, ink)] if label == address else [(label, ink), (f" ({address})", "dim")]
    spans.append((visible(text[at:]), ink))
    return [span for span in spans if span[0]]


def wrap_spans(spans: Spans, width: int) -> list[Spans]:
    """Spans in lines of at most `width` cells, broken between words where there are any. Never empty."""
    lines: list[Spans] = []
    line: Spans = []
    room = width
    for word in _words(spans):
        size = spans_width(word)
        if word[0][0].isspace():
            # Blanks are dropped where a line breaks.
            if line and size <= room:
                line += word
                room -= size
            elif line:
                lines.append(line)
                line, room = [], width
            continue
        if size > room and line:
            lines.append(line)
            line, room = [], width
        while size > width > 0:
            head, word = _cut(word, width)
            lines.append(head)
            size = spans_width(word)
        line += word
        room = width - spans_width(line)
    return [*(joined(made) for made in lines), joined(line)] if line or not lines else [joined(made) for made in lines]


def _words(spans: Spans) -> list[Spans]:
    """The spans as words and blanks in turn; a word may have several inks."""
    words: list[Spans] = []
    for text, ink in spans:
        for part in re.findall(r" +|[^ ]+", text):
            if words and not part.isspace() and not words[-1][0][0].isspace():
                words[-1].append((part, ink))
            else:
                words.append([(part, ink)])
    return words


def _cut(word: Spans, width: int) -> tuple[Spans, Spans]:
    head: Spans = []
    left = width
    for place, (text, ink) in enumerate(word):
        if cell_len(text) <= left:
            head.append((text, ink))
            left -= cell_len(text)
            continue
        part = set_cell_size(text, left).rstrip(" ") if left else ""
        if not part and not head:
            part = text[:1]
        if part:
            head.append((part, ink))
        return head, [(text[len(part) :], ink), *word[place + 1 :]]
    return head, []


@dataclass(slots=True)
class Block:
    """One piece of the text: what it is, the lines that belong to it, how far it is set in."""

    kind: str
    texts: list[str] = field(default_factory=list)
    mark: str = ""
    indent: int = 0


class Markdown:
    """A text and its lines at one width. `append` costs what is new and the block that is open."""

    def __init__(self, text: str = "") -> None:
        self.text = ""
        self._rest = ""
        self._fence = ""
        self._gap = False
        self._blocks: list[Block] = []
        self._open: Block | None = None
        self._width = -1
        self._done: list[Spans] = []
        self._drawn = 0
        self._last_kind = ""
        self._tail: list[Spans] | None = None
        self.append(text)

    def append(self, text: str) -> None:
        """More text at the end."""
        self.text += text
        lines = (self._rest + text).split("\n")
        self._rest = lines.pop()
        for line in lines:
            self._take(line.rstrip("\r"))
        self._tail = None

    def fixed(self, width: int) -> int:
        """How many lines from the start no more text can change."""
        self._draw(width)
        return len(self._done)

    def count(self, width: int) -> int:
        """How many lines there are."""
        return self.fixed(width) + len(self._open_lines(width))

    def line(self, number: int, width: int) -> Spans:
        """One line, from 0."""
        done = self.fixed(width)
        return self._done[number] if number < done else self._open_lines(width)[number - done]

    # Reading -----------------------------------------------------------------------------------------------------

    def _take(self, line: str) -> None:
        """A line is complete: it goes on with the open block, or begins another."""
        if self._fence:
            if line.strip().startswith(self._fence) and not line.strip().strip(self._fence[0]):
                self._fence = ""
                self._gap = True
            else:
                self._add(Block("code", [line]))
            return
        if not line.strip():
            self._close()
            self._gap = True
            return
        block = self._begun(line)
        if block is None and self._open is not None:
            self._open.texts.append(line)
        elif block is not None and self._open is not None and block.kind == self._open.kind in ("table", "quote"):
            self._open.texts += block.texts
        else:
            self._close()
            self._open = block or Block("text", [line])
            if self._open.kind in ("heading", "break", "fence"):
                if self._open.kind == "fence":
                    self._fence = self._open.mark
                self._close()

    def _begun(self, line: str) -> Block | None:
        """The block that a line begins, None where it goes on with what is open."""
        if found := _FENCE.match(line):
            return Block("fence", [found["language"]], found["mark"])
        if found := _HEADING.match(line):
            return Block("heading", [found["text"]])
        if _BREAK.match(line):
            return Block("break")
        if found := _ITEM.match(line):
            return Block("item", [found["text"]], found["mark"], len(found["space"].expandtabs(4)))
        if found := _QUOTE.match(line):
            return Block("quote", [found["text"]])
        if _TABLE.match(line):
            return Block("table", [line])
        return None if self._open is not None and self._open.kind != "table" else Block("text", [line])

    def _close(self) -> None:
        if self._open is not None:
            self._add(self._open)
            self._open = None

    def _add(self, block: Block) -> None:
        if self._gap and self._blocks:
            self._blocks.append(Block("gap"))
        self._gap = False
        self._blocks.append(block)

    # Drawing -----------------------------------------------------------------------------------------------------

    def _draw(self, width: int) -> None:
        if width != self._width:
            self._width = width
            self._done = []
            self._drawn = 0
            self._tail = None
            self._last_kind = ""
        while self._drawn < len(self._blocks):
            self._done += self._block_lines(self._blocks[self._drawn], width)
            self._last_kind = self._blocks[self._drawn].kind
            self._drawn += 1

    def _open_lines(self, width: int) -> list[Spans]:
        """The lines of what is not complete."""
        if self._tail is not None:
            return self._tail
        lines: list[Spans] = []
        gap: list[Spans] = [[]] if self._gap and self._blocks else []
        rest = self._rest
        if self._fence:
            if rest and not self._fence.startswith(rest.strip()[: len(self._fence)] or " "):
                lines = gap + self._block_lines(Block("code", [rest]), width)
        else:
            block = self._begun(rest) if rest.strip() else None
            if self._open is None:
                lines = gap + (self._block_lines(block, width) if block is not None else [])
            elif block is None or (block.kind == self._open.kind and block.kind in ("table", "quote")):
                more = block.texts if block is not None else [rest] if rest.strip() else []
                whole = Block(self._open.kind, self._open.texts + more, self._open.mark, self._open.indent)
                lines = gap + self._block_lines(whole, width)
            else:
                lines = gap + self._block_lines(self._open, width) + self._block_lines(block, width)
        self._tail = lines
        return lines

    def _block_lines(self, block: Block, width: int) -> list[Spans]:
        """A block as lines."""
        match block.kind:
            case "gap":
                return [[]]
            case "heading":
                return wrap_spans(inline_spans(block.texts[0], "strong"), width)
            case "break":
                return [[("─" * min(width, WIDEST_RULE), "rule")]]
            case "fence":
                return [[("┌ ", "rule"), (visible(block.texts[0]), "dim")]] if block.texts[0] else []
            case "code":
                return _code_lines(block.texts[0], width)
            case "item":
                sign = "•" if block.mark in "-*+" else block.mark
                inset = min(block.indent, max(0, width // 3))
                return _hanging([(" " * inset, ""), (sign + " ", "key")], _joined_text(block.texts), width)
            case "quote":
                lines = wrap_spans(inline_spans(_joined_text(block.texts), "emphasis"), max(1, width - 2))
                return [[("▎ ", "rule"), *line] for line in lines]
            case "table":
                return _table_lines(block.texts, width)
        return _paragraph_lines(block.texts, width)


def _joined_text(texts: list[str]) -> str:
    return " ".join(text.strip() for text in texts if text.strip())


def _paragraph_lines(texts: list[str], width: int) -> list[Spans]:
    lines: list[Spans] = []
    part: list[str] = []
    for text in texts:
        part.append(text)
        if text.endswith(("  ", "\\")):
            part[-1] = text.rstrip("\\")
            lines += wrap_spans(inline_spans(_joined_text(part)), width)
            part = []
    return lines + (wrap_spans(inline_spans(_joined_text(part)), width) if part else [])


def _hanging(head: Spans, text: str, width: int) -> list[Spans]:
    inset = spans_width(head)
    lines = wrap_spans(inline_spans(text), max(1, width - inset))
    return [[*(head if number == 0 else [(" " * inset, "")]), *line] for number, line in enumerate(lines)]


def _code_lines(text: str, width: int) -> list[Spans]:
    room = max(1, width - 2)
    shown = visible(text.replace("\t", "    "))
    lines: list[Spans] = []
    while True:
        head = shown if cell_len(shown) <= room else set_cell_size(shown, room).rstrip(" ") or shown[:room]
        sign: Span = ("│ " if not lines else "│↪" if room > 8 else "│ ", "rule")
        lines.append([sign, (head, "code")])
        shown = shown[len(head) :]
        if not shown:
            return lines


def _cells(row: str) -> list[str]:
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", row.strip().strip("|"))]


def _table_lines(rows: list[str], width: int) -> list[Spans]:
    """A table in columns, or where it is too wide each row as a list: nothing is cut."""
    kept = [row for row in rows if not _TABLE_LINE.match(row)]
    if not kept:
        return []
    table = [[inline_spans(cell) for cell in _cells(row)] for row in kept]
    count = max(len(row) for row in table)
    for row in table:
        row += [[] for _ in range(count - len(row))]
    widths = [max(spans_width(row[column]) for row in table) for column in range(count)]
    lines: list[Spans] = []
    if sum(widths) + 2 * count - 2 <= width:
        for number, row in enumerate(table):
            line: Spans = []
            for column, cell in enumerate(row):
                shown = [(text, ink or "strong") for text, ink in cell] if number == 0 and len(rows) > 1 else cell
                gap = widths[column] - spans_width(cell) + (2 if column < count - 1 else 0)
                line += [*shown, (" " * gap, "")]
            lines.append(line)
            if number == 0 and len(rows) > len(kept):
                lines.append([("─" * (sum(widths) + 2 * count - 2), "rule")])
        return lines
    head, body = table[0], table[1:] or [table[0]]
    for row in body:
        for column, cell in enumerate(row):
            lead: Spans = [
                ("• " if column == 0 else "  ", "key"),
                *[(text, "strong") for text, _ in head[column]],
                (": ", ""),
            ]
            parts = wrap_spans([*lead[1:], *cell], max(1, width - 2))
            lines += [[lead[0] if number == 0 else ("  ", ""), *part] for number, part in enumerate(parts)]
    return lines


def plain_lines(text: str, width: int, ink: str = "") -> list[Spans]:
    """Text as it was typed: its own lines kept, wrapped to the width."""
    lines: list[Spans] = []
    for part in text.split("\n"):
        inset = min(len(part) - len(part.lstrip(" ")), width // 3)
        made = wrap_spans([(visible(part.strip(" ")), ink)], max(1, width - inset)) if part.strip() else [[]]
        lines += [[(" " * inset, ""), *line] if inset else line for line in made]
    return lines or [[]]


def fitted(text: str, width: int) -> str:
    """Text on one line in at most `width` cells, without control characters."""
    shown = visible(text)
    return shown if cell_len(shown) <= width else fit(shown, width)
