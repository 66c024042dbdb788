"""`rondo pause`, `resume`, `cancel`, `retry`: one run, many runs, or all that a filter names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import typer

from core.cli import prompt
from core.cli.call import Call, Client, JsonOption, WorkspaceOption, complete_workflow, new_command_id, open_call
from core.cli.consent import AcknowledgeOption, SameVersionOption, acknowledged, tell_effects
from core.cli.documents import outcome_document, run_document
from core.cli.output import one_line, status_part
from core.cli.ready import tell_of_lacks
from core.cli.run import announce, follow_and_ask, follower_of, report, report_detached
from core.cli.show import StatusOption
from core.cli.state import read_whole_state
from core.errors import UsageError
from core.link.commands import ManyRuns, Retry
from core.link.types import RunFilter, RunOutcome, RunView, Status

Action = Literal["cancel", "pause", "resume", "retry"]
SUITABLE: dict[Action, tuple[str, ...]] = {
    "cancel": ("queued", "running", "waiting_input", "waiting_timer", "waiting_run", "paused", "blocked"),
    "pause": ("queued", "running", "waiting_input", "waiting_timer", "waiting_run"),
    "resume": ("paused",),
    "retry": ("failed",),
}
"""The statuses of the runs that a filter without a status means; cancelled runs are tried again only by name."""
PAGE = 500

RunsArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[RUN]...", help="Ids, or their last characters.", show_default=False)
]
WorkflowOption = Annotated[
    str | None,
    typer.Option(
        "--workflow",
        metavar="NAME",
        help="Runs of this workflow.",
        autocompletion=complete_workflow,
        show_default=False,
    ),
]
AllOption = Annotated[bool, typer.Option("--all", help="Every run for which it makes sense.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask before acting on what a filter names.")]
DetachOption = Annotated[bool, typer.Option("--detach", help="Return at once instead of following a single run.")]


@dataclass(slots=True)
class Chosen:
    """Which runs a call means: those it names, or those a filter names."""

    runs: list[str]
    workflow: str | None
    status: Status | None
    everything: bool
    yes: bool

    @property
    def filtered(self) -> bool:
        """True where not every run is named."""
        return self.workflow is not None or self.status is not None or self.everything

    @property
    def single(self) -> str | None:
        """The one run that is named, where it is one."""
        return self.runs[0] if len(self.runs) == 1 and not self.filtered else None


def cancel_command(
    context: typer.Context,
    runs: RunsArgument = None,
    workflow: WorkflowOption = None,
    status: StatusOption = None,
    everything: AllOption = False,
    yes: YesOption = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """End runs for good, whatever their code does."""
    chosen = _chosen(runs, workflow, status, everything, yes)
    return _act(open_call(context, workspace, as_json), "cancel", chosen)


def pause_command(
    context: typer.Context,
    runs: RunsArgument = None,
    now: Annotated[
        bool, typer.Option("--now", help="Give up the running step; it runs again when the run goes on.")
    ] = False,
    workflow: WorkflowOption = None,
    status: StatusOption = None,
    everything: AllOption = False,
    yes: YesOption = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Pause runs when their running step is complete."""
    chosen = _chosen(runs, workflow, status, everything, yes)
    return _act(open_call(context, workspace, as_json), "pause", chosen, now=now)


def resume_command(
    context: typer.Context,
    runs: RunsArgument = None,
    workflow: WorkflowOption = None,
    status: StatusOption = None,
    everything: AllOption = False,
    yes: YesOption = False,
    detach: DetachOption = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Let paused runs go on; a single one is followed."""
    call = open_call(context, workspace, as_json)
    chosen = _chosen(runs, workflow, status, everything, yes)
    run = chosen.single
    if run is None:
        return _act(call, "resume", chosen)
    command_id = new_command_id()

    async def work(client: Client) -> int:
        before = await client.ask(lambda engine: engine.get_run(run))
        follower = follower_of(call, client, before)
        await follower.skip_to_now()
        view = await client.ask(lambda engine: engine.continue_run(command_id, before.run_id))
        call.following = view.short_id
        if detach:
            return await report_detached(call, client, view)
        announce(call, view)
        return await report(call, client, await follow_and_ask(call, client, follower))

    return call.with_engine(work)


def retry_command(
    context: typer.Context,
    runs: RunsArgument = None,
    same_version: SameVersionOption = False,
    acknowledge: AcknowledgeOption = False,
    workflow: WorkflowOption = None,
    status: StatusOption = None,
    everything: AllOption = False,
    yes: YesOption = False,
    detach: DetachOption = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Let failed or cancelled runs go on from the node they ended at; a single one is followed."""
    call = open_call(context, workspace, as_json)
    chosen = _chosen(runs, workflow, status, everything, yes)
    run = chosen.single
    if run is None:
        return _act(call, "retry", chosen, same_version=same_version, acknowledge_effects=acknowledge)

    async def work(client: Client) -> int:
        before = await client.ask(lambda engine: engine.get_run(run))
        follower = follower_of(call, client, before)
        await follower.skip_to_now()
        await tell_of_lacks(call, client, before.workflow, before.version if same_version else None)
        retry = Retry(command_id=new_command_id(), run_id=before.run_id, same_version=same_version)
        view = await acknowledged(call, client, retry, acknowledge, lambda engine, command: engine.retry_run(command))
        call.following = view.short_id
        if detach:
            return await report_detached(call, client, view)
        announce(call, view)
        return await report(call, client, await follow_and_ask(call, client, follower))

    return call.with_engine(work)


def _chosen(runs: list[str] | None, workflow: str | None, status: Status | None, everything: bool, yes: bool) -> Chosen:
    chosen = Chosen(runs or [], workflow, status, everything, yes)
    if not chosen.runs and not chosen.filtered:
        raise UsageError(
            "Which runs?",
            cause="No run is named and no filter is given.",
            next_step="Name runs, or choose them with --workflow NAME, --status STATUS or --all; see them: rondo runs",
        )
    if chosen.runs and chosen.filtered:
        raise UsageError(
            "Runs are named, and a filter is given too.",
            cause="It could mean either.",
            next_step="Name the runs, or choose them with --workflow, --status and --all.",
        )
    return chosen


def _act(call: Call, action: Action, chosen: Chosen, **fields: Any) -> int:
    """Carry the command out and say what came of it."""
    run = chosen.single

    async def work(client: Client) -> int:
        if run is not None:
            return await _act_on_one(call, client, action, run, bool(fields.get("now")))
        runs = chosen.runs or await _find(client, action, chosen)
        if chosen.filtered and runs and not chosen.yes and not await _agreed(call, action, len(runs)):
            call.output.note("Nothing was done.")
            return 1
        return await _act_on_many(call, client, action, runs, fields)

    return call.with_engine(work)


async def _act_on_one(call: Call, client: Client, action: Action, run: str, now: bool) -> int:
    command_id = new_command_id()
    if action == "cancel":
        view = await client.ask(lambda engine: engine.cancel_run(command_id, run))
    else:
        view = await client.ask(lambda engine: engine.pause_run(command_id, run, now))
    if call.as_json:
        call.output.document(run_document(view, await read_whole_state(client, view.run_id)))
        return 0
    call.output.line(status_part(view.status), f"  {view.workflow}  ", (f"run {view.short_id}", "dim"))
    if view.pausing:
        call.output.note(
            f"It pauses when {_where(view)} is complete; at once: ", call.command_line("pause", view.short_id, "--now")
        )
    elif view.status == "paused":
        call.output.note(("next:  ", "bold"), call.command_line("resume", view.short_id))
    return 0


def _where(view: RunView) -> str:
    return ", ".join(flight.node for flight in view.in_flight) or "the running step"


async def _find(client: Client, action: Action, chosen: Chosen) -> list[str]:
    """The runs that the filter names, the newest first."""
    found: list[str] = []
    for status in (chosen.status,) if chosen.status is not None else SUITABLE[action]:
        before: str | None = None
        while True:
            query = RunFilter(workflow=chosen.workflow, status=status, limit=PAGE, before=before)  # type: ignore[arg-type]
            page = await client.ask(lambda engine: engine.list_runs(query))  # noqa: B023
            found += [row.run_id for row in page]
            if len(page) < PAGE:
                break
            before = page[-1].run_id
    return found


async def _agreed(call: Call, action: Action, count: int) -> bool:
    """Ask once, with the number of runs; raises UsageError where nobody can be asked."""
    runs = f"{count} run{'' if count == 1 else 's'}"
    if not call.output.can_ask:
        raise UsageError(
            f"This would {action} {runs}, and nobody can be asked whether it should.",
            cause="There is no terminal to ask at, or --json is given.",
            next_step="Say so beforehand: --yes",
        )
    return await prompt.confirm(call.output, f"{action.capitalize()} {runs}?")


async def _act_on_many(call: Call, client: Client, action: Action, runs: list[str], fields: dict[str, Any]) -> int:
    outcomes = await _send(client, action, runs, fields)
    waiting = [o for o in outcomes if o.error is not None and o.error.type == "EffectsNotAcknowledged"]
    if waiting and call.output.can_ask:
        for outcome in waiting:
            tell_effects(call, outcome.error.message if outcome.error is not None else "")
        if await prompt.confirm(call.output, f"May they act again in {len(waiting)} of the runs?"):
            again = await _send(client, action, [o.run_id for o in waiting], {**fields, "acknowledge_effects": True})
            by_id = {outcome.run_id: outcome for outcome in again}
            outcomes = [by_id.get(outcome.run_id, outcome) for outcome in outcomes]
    failed = sum(outcome.error is not None for outcome in outcomes)
    if call.as_json:
        call.output.document({"runs": [outcome_document(outcome) for outcome in outcomes], "failed": failed})
    else:
        _show_outcomes(call, outcomes, failed)
    return 1 if failed else 0


async def _send(client: Client, action: Action, runs: list[str], fields: dict[str, Any]) -> list[RunOutcome]:
    outcomes: list[RunOutcome] = []
    for start in range(0, len(runs), PAGE):
        many = ManyRuns(command_id=new_command_id(), action=action, runs=runs[start : start + PAGE], **fields)
        outcomes += await client.ask(lambda engine: engine.act_on_runs(many))  # noqa: B023
    return outcomes


def _show_outcomes(call: Call, outcomes: list[RunOutcome], failed: int) -> None:
    if not outcomes:
        call.output.note("No runs are meant.")
        return
    rows = []
    for outcome in outcomes:
        status = ("✗ refused", "red") if outcome.status is None else status_part(outcome.status)
        why = one_line(outcome.error.message) if outcome.error is not None else ""
        rows.append([outcome.run_id[-8:], status, why])
    call.output.table(["RUN", "STATUS", ""], rows)
    if failed:
        call.output.note(("! ", "yellow"), f"{failed} of {len(outcomes)} refused it.")
