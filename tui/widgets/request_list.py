"""The list of open questions: who asks what, and since when."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual.strip import Strip

from core.link.types import RequestView
from tui.spans import Inked, Spans
from tui.text import fit, relative_time, visible
from tui.widgets.line_list import LineList

AGE_WIDTH = 8
KIND_WIDTH = 11
NAME_AT_MOST = 24
NODE_AT_MOST = 18

Identity = tuple[str, str]
"""A request by the ids of its run and of itself."""

KINDS = {"error": "a failure", "budget": "a budget", "repeat": "a repeat", "connection": "an account"}
"""What kinds of requests are called that no node asks by itself."""


def identity(request: RequestView) -> Identity:
    """What a request is known by as long as it is open."""
    return request.run_id, request.key


def kind_words(request: RequestView) -> str:
    """What is asked for: the failure, budget or repeat it is about, or what the answer is to be."""
    return KINDS.get(request.kind, request.input_type)


class Columns:
    """Widths of the list's columns at a width of the list."""

    def __init__(self, width: int) -> None:
        left = max(0, width - AGE_WIDTH - KIND_WIDTH - 8)
        self.name = max(8, min(NAME_AT_MOST, left // 3))
        self.node = max(6, min(NODE_AT_MOST, left // 4))
        self.prompt = max(0, left - self.name - self.node)


class RequestList(LineList):
    """One request a line, the oldest first. One that was settled under the cursor stays until the cursor leaves it."""

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__(id="requests")
        self._now = now
        self.rows: list[RequestView] = []
        self.settled: dict[Identity, str] = {}
        """What became of requests that are still listed and not open any more."""
        self.loaded = False

    @property
    def selected(self) -> RequestView | None:
        """The request under the cursor."""
        return self.rows[self.cursor] if self.cursor < len(self.rows) else None

    @property
    def selected_is_open(self) -> bool:
        """True where the request under the cursor can be answered."""
        return self.selected is not None and identity(self.selected) not in self.settled

    def show(self, rows: Sequence[RequestView], keep: RequestView | None) -> None:
        """Show the open requests; `keep` stays listed where it stands and selected, also where it is not among them."""
        self.loaded = True
        listed = list(rows)
        if keep is not None and identity(keep) not in {identity(row) for row in listed}:
            listed.insert(min(self.cursor, len(listed)), keep)
        self.settled = {found: words for found, words in self.settled.items() if keep and found == identity(keep)}
        if listed == self.rows:
            return
        self.rows = listed
        if keep is not None:
            self.set_reactive(
                LineList.cursor, next(n for n, row in enumerate(listed) if identity(row) == identity(keep))
            )
        self.lines_changed()
        self.show_line(self.cursor)
        self.post_message(self.Moved(self, self.cursor))

    def note_settled(self, request: RequestView, words: str) -> None:
        """Say what became of a request that is still listed."""
        self.settled[identity(request)] = words
        self.refresh()

    def select(self, request: RequestView) -> None:
        """Put the cursor on a request."""
        places = [place for place, row in enumerate(self.rows) if identity(row) == identity(request)]
        if places:
            self.cursor = places[0]

    def line_count(self) -> int:
        return len(self.rows)

    def line_spans(self, line: int, width: int) -> Spans:
        row = self.rows[line]
        columns = Columns(width)
        words = self.settled.get(identity(row))
        age = (fit(relative_time(row.opened_at, self._now()), AGE_WIDTH), "dim")
        if words is not None:
            name = fit(visible(row.workflow), columns.name)
            return [("· ", "dim"), age, ("  ", ""), (name, "dim"), ("  ", ""), (words, "dim")]
        return [
            ("◐ ", "waiting"),
            age,
            ("  ", ""),
            (fit(visible(row.workflow), columns.name), "strong"),
            ("  ", ""),
            (fit(visible(row.node), columns.node), ""),
            ("  ", ""),
            (fit(kind_words(row), KIND_WIDTH), "waiting" if row.kind in KINDS else "dim"),
            (fit(visible((row.prompt or "").strip().split("\n")[0]), columns.prompt), ""),
        ]


class RequestHead(Inked):
    """The titles of the list's columns."""

    DEFAULT_CSS = """
    RequestHead { height: 1; width: 1fr; }
    """

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        columns = Columns(width - 1)
        text = (
            f"   {fit('ASKED', AGE_WIDTH)}  {fit('WORKFLOW', columns.name)}  {fit('NODE', columns.node)}"
            f"  {fit('WANTS', KIND_WIDTH)}QUESTION"
        )
        return self.strip([(text, "dim")]).crop_extend(0, width, self.rich_style)
