"""The commands of the Runs screen: on the marked runs, or on the one under the cursor; each says what came of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal
from uuid import uuid4

from msgspec.structs import replace
from textual.message import Message

from core.link.commands import ManyRuns
from core.link.retention_types import Prune, PruneReport
from core.link.status import look_of
from core.link.types import RunOutcome, RunRow
from tui.actions import action
from tui.run_compare import Comparison, compare_runs, comparison_lines
from tui.screens.base import RondoScreen
from tui.screens.confirm import ConfirmSheet
from tui.spans import Spans
from tui.text import fit, plural, relative_time, size, visible
from tui.widgets.run_table import RunTable

Command = Literal["cancel", "pause", "resume", "retry"]
DOING: dict[Command, str] = {
    "cancel": "cancelling",
    "pause": "pausing",
    "resume": "resuming",
    "retry": "trying again",
}
OVER = ("completed", "cancelled")
"""Runs that neither go on nor wait for anything."""
AT_ONCE = 500
"""Runs of one call."""
NAMED = 500
"""Runs that a question or an answer lists; it counts the others."""


class ManyDone(Message, bubble=False):
    """What came of a command for each run, and the command."""

    def __init__(self, many: ManyRuns, outcomes: list[RunOutcome]) -> None:
        super().__init__()
        self.many = many
        self.outcomes = outcomes


class PrunePlanned(Message, bubble=False):
    """What would be removed."""

    def __init__(self, plan: PruneReport) -> None:
        super().__init__()
        self.plan = plan


class Pruned(Message, bubble=False):
    """What was removed."""

    def __init__(self, report: PruneReport) -> None:
        super().__init__()
        self.report = report


class Compared(Message, bubble=False):
    """Two runs were read; `lines` is what there is to say."""

    def __init__(self, comparison: Comparison, lines: list[Spans]) -> None:
        super().__init__()
        self.comparison = comparison
        self.lines = lines


def needs_runs(screen: ManyRunsActions) -> str:
    """Why there is nothing to act on."""
    return "" if screen.meant() else "There is no run to act on"


def needs_going(screen: ManyRunsActions) -> str:
    """Why there is nothing to end or to hold: what is over stays as it is."""
    rows = screen.meant()
    if rows and all(row.status in OVER for row in rows):
        return "It has ended already" if len(rows) == 1 else "They have all ended already"
    return needs_runs(screen)


def needs_two(screen: ManyRunsActions) -> str:
    """Why nothing can be compared."""
    return "" if screen.pair() is not None else "Mark two runs with space to compare them"


def run_line(row: RunRow, now: float) -> Spans:
    """A run in a list of some."""
    look = look_of(row.status)
    return [
        (f" {row.short_id}  ", "dim"),
        (fit(visible(row.workflow), 28), "strong"),
        (f"  {fit(look.text, 12)}", look.ink),
        (f"  {relative_time(row.created_at, now)}", "dim"),
    ]


class ManyRunsActions(RondoScreen):
    """What can be done with some runs. The screen has their table."""

    table: RunTable

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._names: dict[str, str] = {}
        """The workflows of the runs that a command is on its way to."""

    def show_marks(self) -> None:
        """Say how many runs are marked."""
        raise NotImplementedError

    def meant(self) -> list[RunRow]:
        """The marked runs; where none is, the one under the cursor."""
        if self.table.marked:
            return list(self.table.marked.values())
        selected = self.table.selected
        return [selected] if selected is not None else []

    def pair(self) -> tuple[str, str] | None:
        """The two marked runs, or the one marked and the one under the cursor."""
        ids = list(self.table.marked)
        selected = self.table.selected
        if len(ids) == 1 and selected is not None and selected.run_id not in ids:
            ids.append(selected.run_id)
        return (ids[0], ids[1]) if len(ids) == 2 else None

    # Marks -----------------------------------------------------------------------------------------------------

    @action("runs.mark", "mark", keys="space", words="mark", help="Mark the run, or take the mark back", footer=1)
    def mark(self) -> None:
        self.table.toggle_mark()
        self.show_marks()

    @action("runs.mark-all", "mark all", keys="asterisk", words="mark all", help="Mark all that are loaded, or none")
    def mark_all(self) -> None:
        self.table.mark_all()
        self.show_marks()

    # Commands --------------------------------------------------------------------------------------------------

    @action(
        "runs.cancel",
        "cancel",
        keys="x",
        words="cancel",
        help="End the marked runs, or this one; asks first",
        footer=3,
        when=needs_going,
    )
    def cancel_runs(self) -> None:
        rows = self.meant()
        text = "Their processes end at once. What their steps have done stays done; a cancelled run never goes on."
        self._confirm(f"Cancel {plural(len(rows), 'run')}?", text, "cancel", rows, lambda: self._send("cancel", rows))

    @action(
        "runs.pause",
        "pause",
        keys="P",
        words="pause",
        help="Pause them when their running step is complete",
        footer=4,
        when=needs_going,
    )
    def pause_runs(self) -> None:
        self._send("pause", self.meant())

    @action("runs.resume", "resume", keys="p", words="resume", help="Let paused runs go on", footer=5, when=needs_going)
    def resume_runs(self) -> None:
        self._send("resume", self.meant())

    @action(
        "runs.retry",
        "try again",
        keys="t",
        words="retry",
        help="Let failed or cancelled runs go on from where they ended",
        footer=6,
        when=needs_runs,
    )
    def retry_runs(self) -> None:
        self._send("retry", self.meant())

    def _confirm(self, question: str, text: str, yes: str, rows: Sequence[RunRow], then: Callable[[], None]) -> None:
        now = self.rondo.now()
        lines = [run_line(row, now) for row in rows[:NAMED]]
        if len(rows) > NAMED:
            lines.append([(f" … and {plural(len(rows) - NAMED, 'more run', 'more runs')}", "dim")])

        def decided(agreed: bool | None) -> None:
            if agreed:
                then()

        them = "it" if len(rows) == 1 else "them"
        self.rondo.push_screen(ConfirmSheet(question, text, yes=f"{yes} {them}", lines=lines), decided)

    def _send(self, command: Command, rows: Sequence[RunRow]) -> None:
        self._names = {row.run_id: row.workflow for row in rows}
        self._send_many(ManyRuns(command_id=str(uuid4()), action=command, runs=list(self._names)))

    def _send_many(self, many: ManyRuns) -> None:
        async def call() -> Message:
            outcomes: list[RunOutcome] = []
            for start in range(0, len(many.runs), AT_ONCE):
                part = replace(many, runs=many.runs[start : start + AT_ONCE], command_id=f"{many.command_id}/{start}")
                outcomes += await self.engine.act_on_runs(part)
            return ManyDone(many, outcomes)

        self._call(call, DOING[many.action])

    def _call(self, call: Callable[[], Awaitable[Message]], doing: str) -> None:
        self.ask(call, lambda message: message, group=f"many {uuid4()}", doing=doing, exclusive=False)

    def on_many_done(self, message: ManyDone) -> None:
        """Say of each run what came of it; ask where nodes may act again."""
        many, outcomes = message.many, message.outcomes
        asked = [one for one in outcomes if one.error is not None and one.error.type == "EffectsNotAcknowledged"]
        if asked and not self.is_covered:
            self._ask_about_effects(many, asked)
            outcomes = [one for one in outcomes if one not in asked]
        for outcome in outcomes:
            if outcome.error is None:
                self.table.marked.pop(outcome.run_id, None)
        self.table.refresh()
        self.show_marks()
        refused = [one for one in outcomes if one.error is not None]
        if not outcomes:
            return
        if len(outcomes) == 1 or self.app.screen is not self:
            self._say_outcomes(many, outcomes, refused)
            return
        from tui.screens.read import ReadSheet

        title = f"{many.action}: {plural(len(outcomes), 'run')}" + (f", {len(refused)} refused it" if refused else "")
        lines = [self._outcome_line(one) for one in sorted(outcomes, key=lambda one: one.error is None)]
        self.rondo.push_screen(ReadSheet(title, lines))

    def _say_outcomes(self, many: ManyRuns, outcomes: list[RunOutcome], refused: list[RunOutcome]) -> None:
        if len(outcomes) == 1 and refused and (error := outcomes[0].error) is not None:
            self.rondo.say("\n".join(text for text in (error.message, error.cause, error.next_step) if text), "problem")
        elif len(outcomes) == 1:
            look = look_of(outcomes[0].status or "")
            self.rondo.say(f"Run {outcomes[0].run_id[-8:]} is {look.word} ({many.action})", "good")
        else:
            done = len(outcomes) - len(refused)
            rest = f", {len(refused)} refused it" if refused else ""
            self.rondo.say(f"{many.action}: {plural(done, 'run')} did{rest}", "hint" if refused else "good")

    def _outcome_line(self, outcome: RunOutcome) -> Spans:
        name = fit(visible(self._names.get(outcome.run_id, "")), 20)
        head: Spans = [(f" {outcome.run_id[-8:]}  ", "dim"), (name, "strong"), ("  ", "")]
        if outcome.error is not None:
            why = " ".join(text for text in (outcome.error.message, outcome.error.cause) if text)
            return [*head, ("✗ refused  ", "bad"), (visible(why), "")]
        look = look_of(outcome.status or "")
        return [*head, (look.text, look.ink)]

    def _ask_about_effects(self, many: ManyRuns, asked: list[RunOutcome]) -> None:
        again = replace(many, command_id=str(uuid4()), runs=[one.run_id for one in asked], acknowledge_effects=True)

        def decided(agreed: bool | None) -> None:
            if agreed:
                self._send_many(again)

        text = "Nodes that write may act a second time in these runs."
        lines = [self._outcome_line(one) for one in asked]
        question = f"May they act again in {plural(len(asked), 'run')}?"
        self.rondo.push_screen(ConfirmSheet(question, text, yes="they may", lines=lines), decided)

    # Removing --------------------------------------------------------------------------------------------------

    @action(
        "runs.prune",
        "remove",
        keys="d",
        words="prune",
        help="Remove the marked runs that have ended, or this one, for good; asks with the list",
        footer=7,
        when=needs_runs,
    )
    def prune_runs(self) -> None:
        prune = Prune(command_id=str(uuid4()), runs=[row.run_id for row in self.meant()], dry_run=True)
        self.ask(lambda: self.engine.prune(prune), PrunePlanned, group="prune", doing="looking what would go")

    def on_prune_planned(self, message: PrunePlanned) -> None:
        plan = message.plan
        if self.app.screen is not self:
            return
        kept: list[Spans] = []
        for held in plan.kept:
            stays: Spans = [(f" {held.run_id[-8:]}  ", "dim"), (fit(visible(held.workflow), 28), "")]
            kept.append([*stays, (f"  stays: {visible(held.reason)}", "waiting")])
        if not plan.removed_count:
            reason = plan.kept[0].reason if plan.kept else "none of them is there any more"
            self.say(f"Nothing can be removed: {reason}", "hint")
            return
        now = self.rondo.now()
        lines: list[Spans] = []
        for run in plan.removed:
            look = look_of(run.status)
            ended = relative_time(run.ended_at or run.created_at, now)
            head: Spans = [(f" {run.run_id[-8:]}  ", "dim"), (fit(visible(run.workflow), 28), "strong")]
            lines.append([*head, (f"  {fit(look.text, 12)}", look.ink), (f"  {ended}", "dim")])
        if plan.removed_count > len(lines):
            lines.append([(f" … and {plan.removed_count - len(lines)} more", "dim")])
        removal = Prune(command_id=str(uuid4()), runs=[run.run_id for run in plan.removed])

        def decided(agreed: bool | None) -> None:
            if agreed:
                self.ask(lambda: self.engine.prune(removal), Pruned, group="prune", doing="removing")

        question = f"Remove {plural(plan.removed_count, 'run')} for good?"
        folders = plural(plan.output_folders, "folder")
        text = f"With steps, states, logs, answers and {folders} of files. Nothing brings them back."
        self.rondo.push_screen(ConfirmSheet(question, text, yes="remove", lines=[*lines, *kept]), decided)

    def on_pruned(self, message: Pruned) -> None:
        report = message.report
        gone = [run.run_id for run in report.removed]
        self.table.update_rows(gone, [])
        for run_id in gone:
            self.table.marked.pop(run_id, None)
        self.show_marks()
        saved = max(0, report.bytes_before - report.bytes_after)
        self.rondo.say(f"{plural(report.removed_count, 'run')} removed, {size(saved)} given back", "good")
        self.read_all()

    # Comparing -------------------------------------------------------------------------------------------------

    @action(
        "runs.compare",
        "compare",
        keys="equals_sign",
        words="compare",
        help="Compare the two marked runs: path, state, times, cost",
        # Only shown once two runs are meant, and then it is what the marks are for.
        footer=1,
        when=needs_two,
    )
    def compare(self) -> None:
        pair = self.pair()
        if pair is None:
            return
        one, other = pair

        async def call() -> Message:
            comparison = await compare_runs(self.engine, one, other, self.rondo.now())
            return Compared(comparison, await comparison_lines(comparison))

        self.ask(call, lambda message: message, group="compare", doing="comparing")

    def on_compared(self, message: Compared) -> None:
        if self.app.screen is not self:
            return
        from tui.screens.read import ReadSheet

        self.rondo.push_screen(ReadSheet(message.comparison.title, message.lines))
