"""The table of workflows and the pane below it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rich.cells import cell_len
from textual.strip import Strip

from core.link.status import look_of
from core.link.tool_types import WorkflowTool
from core.link.types import RunRow
from core.link.workflow_types import ApprovalView, FindingView, WorkflowDetail, WorkflowRow
from tui.filtering import keep, matched
from tui.spans import Inked, Spans, spans_width
from tui.text import fit, plural, relative_time, shorten, visible, wrap
from tui.widgets.line_list import LineList
from tui.workflow_text import (
    SEVERITY_INKS,
    SEVERITY_SIGNS,
    finding_place,
    history_spans,
    input_names,
    node_path,
    row_remark,
    took,
    tool_lines,
    tool_remark,
    tools_spans,
    worst_first,
)

GAP = 6
"""Fewest cells between what stands on the left and on the right of one line."""

NAME_AT_MOST = 28
STATUS_WIDTH = 11
WHEN_WIDTH = 8
TOOK_WIDTH = 7
NODES_WIDTH = 5
NODE_AT_MOST = 16
TOOLS_AT_MOST = 22
TOOLS_FROM = 100
"""From this width on there is a column for the tools, where a workflow names any."""


class Columns:
    """Widths of the table's columns at a width of the screen."""

    def __init__(self, rows: Sequence[WorkflowRow], width: int) -> None:
        longest = max((len(visible(row.name)) for row in rows), default=8)
        self.name = max(10, min(longest, NAME_AT_MOST, width // 3))
        fixed = self.name + 2 + NODES_WIDTH + 2 + STATUS_WIDTH + 1 + 2 + WHEN_WIDTH + TOOK_WIDTH + 2
        left = width - fixed
        self.node = max(0, min(NODE_AT_MOST, left // 3))
        named = max((sum(len(visible(tool)) + 4 for tool in row.tools) - 2 for row in rows if row.tools), default=0)
        self.tools = max(5, min(named, TOOLS_AT_MOST)) if named and width >= TOOLS_FROM else 0
        self.remark = max(0, left - self.node - (self.tools + 2 if self.tools else 0))


class WorkflowTable(LineList):
    """One workflow a line."""

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__(id="workflows")
        self._now = now
        self._rows: list[WorkflowRow] = []
        self._shown: list[WorkflowRow] = []
        self._filter = ""
        self._tools: Mapping[str, Sequence[WorkflowTool]] = {}
        self.loaded = False

    @property
    def rows(self) -> list[WorkflowRow]:
        """All workflows, filtered or not."""
        return self._rows

    @property
    def shown(self) -> list[WorkflowRow]:
        """The workflows that the filter keeps."""
        return self._shown

    @property
    def selected(self) -> WorkflowRow | None:
        """The workflow under the cursor."""
        return self._shown[self.cursor] if self.cursor < len(self._shown) else None

    def set_rows(self, rows: list[WorkflowRow], wished: str = "") -> None:
        """Show these workflows; the selection goes to the one that is wished, or stays on its workflow, or where that
        is gone on its line."""
        self.loaded = True
        self._rows = rows
        self._apply(wished)

    def set_tools(self, tools: Mapping[str, Sequence[WorkflowTool]]) -> None:
        """Show how the tools stand that workflows name."""
        self._tools = tools
        self.refresh()

    def set_filter(self, text: str) -> None:
        """Keep what matches."""
        self._filter = text
        self._apply()

    def _apply(self, wished: str = "") -> None:
        selected = self.selected
        self._shown = keep(self._rows, self._filter, lambda row: row.name)
        names = [row.name for row in self._shown]
        self.lines_changed()
        if wished in names:
            self.move_to(names.index(wished))
        elif selected is not None and selected.name in names:
            self.move_to(names.index(selected.name))
        elif selected is None or self._filter:
            self.move_to(0)
        self.post_message(self.Moved(self, self.cursor))

    def redraw_running(self) -> None:
        """Draw the lines again whose time goes on."""
        for line, row in enumerate(self._shown):
            if row.last_run is not None and row.last_run.ended_at is None and row.last_run.status == "running":
                self.redraw_line(line)

    def columns(self, width: int) -> Columns:
        """The widths at this width."""
        return Columns(self._rows, width)

    def line_count(self) -> int:
        return len(self._shown)

    def line_spans(self, line: int, width: int) -> Spans:
        row = self._shown[line]
        columns = self.columns(width)
        last = row.last_run
        remark, remark_ink = row_remark(row)
        if not remark:
            remark, remark_ink = tool_remark(self._tools.get(row.name), self._now())
        spans = [*self._name_spans(row, columns.name), ("  ", "")]
        spans += [(fit(str(row.nodes) if row.version or row.nodes else "-", NODES_WIDTH, right=True), ""), ("  ", "")]
        if last is None:
            spans += [(fit("-", STATUS_WIDTH + 1 + columns.node), "dim"), ("  ", "")]
            spans += [(fit("never", WHEN_WIDTH), "dim"), (" " * TOOK_WIDTH, "")]
        else:
            look = look_of(last.status)
            where = "" if last.status == "completed" else visible(last.node or "")
            spans += [(fit(look.text, STATUS_WIDTH + 1), look.ink), (fit(where, columns.node), ""), ("  ", "")]
            spans += [(fit(relative_time(last.ended_at or last.created_at, self._now()), WHEN_WIDTH), "dim")]
            spans += [(fit(took(last.started_at, last.ended_at, self._now()), TOOK_WIDTH, right=True), "")]
        if columns.tools:
            tools = tools_spans(row.tools, self._tools.get(row.name), self._now(), columns.tools)
            spans += [("  ", ""), *tools]
        return [*spans, ("  ", ""), (fit(remark, columns.remark), remark_ink)]

    def _name_spans(self, row: WorkflowRow, width: int) -> Spans:
        name = fit(visible(row.name), width)
        hits = matched(visible(row.name), self._filter)
        if not hits:
            return [(name, "strong")]
        return [(letter, "accent" if place in hits else "strong") for place, letter in enumerate(name)]


class WorkflowHead(Inked):
    """The titles of the table's columns."""

    DEFAULT_CSS = """
    WorkflowHead { height: 1; width: 1fr; }
    """

    def __init__(self, table: WorkflowTable) -> None:
        super().__init__()
        self._table = table

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        columns = self._table.columns(width - 1)
        text = (
            f" {fit('NAME', columns.name)}  {fit('NODES', NODES_WIDTH, right=True)}  "
            f"{fit('LAST RUN', STATUS_WIDTH + 1 + columns.node)}  {fit('WHEN', WHEN_WIDTH)}"
            f"{fit('TOOK', TOOK_WIDTH, right=True)}  {fit('TOOLS', columns.tools + 2) if columns.tools else ''}"
            f"{'FINDINGS' if columns.remark >= 8 else ''}"
        )
        return self.strip([(text, "dim")]).crop_extend(0, width, self.rich_style)


class WorkflowPane(LineList):
    """What there is to know of the selected workflow: description, way, runs, inputs, approval, findings."""

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__(id="workflow-pane")
        self._now = now
        self.detail: WorkflowDetail | None = None
        self._runs: list[RunRow] = []
        self._approval: ApprovalView | None = None
        self._tools: Sequence[WorkflowTool] = ()
        self._built: list[tuple[Spans, FindingView | None]] = []
        self._built_width = -1

    def show(self, detail: WorkflowDetail | None, runs: list[RunRow], approval: ApprovalView | None) -> None:
        """Show a workflow; `approval` is there where it may not run yet."""
        if detail is None or self.detail is None or detail.name != self.detail.name:
            self.set_reactive(LineList.cursor, 0)
            self.scroll_to(y=0, animate=False, force=True)
        self.detail = detail
        self._runs = runs
        self._approval = approval
        self._built_width = -1
        self.lines_changed()

    def set_tools(self, tools: Sequence[WorkflowTool]) -> None:
        """Show how the tools of the workflow stand."""
        if list(tools) != list(self._tools):
            self._tools = tools
            self._built_width = -1
            self.lines_changed()

    @property
    def finding(self) -> FindingView | None:
        """The finding under the cursor, to be opened in an editor."""
        lines = self._lines_at(self.size.width - 1)
        return lines[self.cursor][1] if self.has_focus and self.cursor < len(lines) else None

    def on_resize(self) -> None:
        self.lines_changed()

    def line_count(self) -> int:
        return len(self._lines_at(self.size.width - 1))

    def line_spans(self, line: int, width: int) -> Spans:
        return self._lines_at(width)[line][0]

    def mark(self, line: int) -> tuple[str, str]:
        return super().mark(line) if self.has_focus else (" ", "")

    def _lines_at(self, width: int) -> list[tuple[Spans, FindingView | None]]:
        if width != self._built_width:
            self._built = self._build(max(20, width)) if self.detail is not None else []
            self._built_width = width
        return self._built

    def _build(self, width: int) -> list[tuple[Spans, FindingView | None]]:
        detail = self.detail
        if detail is None:
            return []
        lines: list[tuple[Spans, FindingView | None]] = []
        path = node_path(detail)
        described = wrap(detail.description, width - 1) if detail.description else []
        if len(described) == 1 and path and cell_len(described[0]) + cell_len(path) + GAP < width:
            # Both fit into one line: what it is on the left, the way through its nodes on the right.
            between = width - 1 - cell_len(described[0]) - cell_len(path)
            lines.append(([(described[0], ""), (" " * between, ""), (path, "")], None))
        else:
            lines += [([(text, "")], None) for text in described]
            lines += [([(shorten(path, width - 1), "")], None)] if path else []
        history, names = history_spans(self._runs, self._now()), input_names(detail)
        inputs = "inputs: " + ", ".join(names) if names else ""
        if inputs and spans_width(history) + cell_len(inputs) + GAP < width:
            between = width - 1 - spans_width(history) - cell_len(inputs)
            lines.append(([*history, (" " * between, ""), (inputs, "dim")], None))
        else:
            lines.append((history, None))
            lines += [([(text, "dim")], None) for text in (wrap(inputs, width - 1) if inputs else [])]
        lines += [(spans, None) for spans in tool_lines(self._tools, self._now())]
        for assumption in detail.assumptions:
            lines += [([(text, "dim")], None) for text in wrap(f"assumes: {visible(assumption)}", width - 1)]
        lines += [(spans, None) for spans in self._approval_lines(detail)]
        for finding in worst_first(detail.findings):
            lines += [(spans, finding) for spans in self._finding_lines(finding, width)]
        return lines

    def _approval_lines(self, detail: WorkflowDetail) -> list[Spans]:
        if detail.approved or detail.version is None or self._approval is None:
            return []
        changed = self._approval.previous is not None
        why = "changed since it was approved" if changed else "never approved"
        files = plural(len(self._approval.changes), "file")
        return [[("! not approved ", "waiting"), (f"({why}, {files}): r shows it and asks", "dim")]]

    def _finding_lines(self, finding: FindingView, width: int) -> list[Spans]:
        ink = SEVERITY_INKS.get(finding.severity, "dim")
        head = f"{SEVERITY_SIGNS.get(finding.severity, '·')} {finding.code} "
        place = finding_place(finding)
        message = wrap(finding.message, max(20, width - len(head) - len(place) - 3))
        lines: list[Spans] = [[(head, ink), (f"{place}  " if place else "", "dim"), (message[0], "")]]
        lines += [[("       ", ""), (text, "")] for text in message[1:]]
        if finding.hint:
            lines += [[("       " + text, "dim")] for text in wrap(finding.hint, width - 8)]
        return lines
