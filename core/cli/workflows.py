"""`rondo list`, `rondo validate`, `rondo graph`, `rondo approve`: what there is, and what may run."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from core.cli.call import Call, Client, JsonOption, NameArgument, WorkspaceOption, open_call
from core.cli.documents import FindingLike, approval_document, finding_document, workflow_document
from core.cli.output import SEVERITY_STYLES, Output, Part, ago, status_part, took_text
from core.cli.prompt import TypedLines
from core.errors import DefinitionError, UnknownWorkflow
from core.link.workflow_types import ApprovalView, WorkflowRow

if TYPE_CHECKING:
    from core.definition.load import LoadedWorkflow

DIFF_STYLES = {"+": "green", "-": "red", "@": "cyan"}


def list_command(context: typer.Context, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> int:
    """List the workflows: name, nodes, edges, findings, last run."""
    call = open_call(context, workspace, as_json)

    async def work(client: Client) -> int:
        rows = await client.ask(lambda engine: engine.list_workflows())
        if call.as_json:
            call.output.document([workflow_document(row) for row in rows])
        elif rows:
            headings = ["~NAME", ">NODES", ">EDGES", "~LAST RUN", "WHEN", ">TOOK", "FINDINGS"]
            call.output.table(headings, [_row_cells(row) for row in rows])
        else:
            call.output.note(
                "No workflows.",
                f" Get one: {call.command_line('init', str(call.workspace.root), '--example', 'hello')}",
            )
        return 0

    return call.with_engine(work)


def _row_cells(row: WorkflowRow) -> list[Part | list[Part]]:
    run = row.last_run
    if run is None:
        last: list[Part | list[Part]] = ["-", "never", ""]
    else:
        took = took_text(run.started_at, run.ended_at)
        where = f"  {run.node}" if run.node and run.status != "completed" else ""
        last = [[status_part(run.status), where], ago(run.created_at), took]
    return [row.name, str(row.nodes), str(row.edges), *last, _findings_cell(row)]


def _findings_cell(row: WorkflowRow) -> list[Part]:
    """The worst finding with its place and how many more there are; else what keeps the workflow from running."""
    worst = sorted(row.findings, key=lambda finding: list(SEVERITY_STYLES).index(finding.severity))
    if worst and worst[0].severity != "note":
        first = worst[0]
        more = f"  and {len(worst) - 1} more" if len(worst) > 1 else ""
        return [(f"{first.code} {_place(first)}", SEVERITY_STYLES[first.severity]), f" {first.message}", (more, "dim")]
    return [] if row.approved else [("! not approved", "yellow")]


def _place(finding: FindingLike) -> str:
    if not finding.file:
        return ""
    line = f":{finding.line}" if finding.line else ""
    column = f":{finding.column}" if finding.line and finding.column else ""
    return f"{finding.file}{line}{column}"


# Files, read without an engine ------------------------------------------------------------------------------------


def require_workflow_folder(call: Call, name: str) -> Path:
    """The workflow's folder; raises UnknownWorkflow, with the names that come near, where there is none."""
    folder = call.workspace.workflows_dir / name
    if name and name not in (".", "..") and "/" not in name and "\0" not in name and folder.is_dir():
        return folder
    from core.definition.load import list_folders

    names = [entry.name for entry in list_folders(call.workspace.workflows_dir)]
    near = difflib.get_close_matches(name, names, n=3)
    raise UnknownWorkflow(
        f"There is no workflow named {name!r}.",
        cause=f"{call.workspace.workflows_dir} has no folder of that name."
        + (f" Near it: {', '.join(near)}." if near else ""),
        next_step=f"See what there is: {call.command_line('list')}",
    )


def _load(call: Call, name: str) -> LoadedWorkflow:
    from core.definition.load import load_folder

    call.require_workspace()
    return load_folder(require_workflow_folder(call, name))


def validate_command(
    context: typer.Context, name: NameArgument, workspace: WorkspaceOption = None, as_json: JsonOption = False
) -> int:
    """Check a workflow without running anything; exit 1 if there is an error."""
    call = open_call(context, workspace, as_json)
    loaded = _load(call, name)
    errors = [finding for finding in loaded.findings if finding.severity == "error"]
    if call.as_json:
        findings = [finding_document(finding) for finding in loaded.findings]
        call.output.document({"workflow": name, "version": loaded.version, "findings": findings})
    else:
        print_findings(call.output.line, loaded.findings)
        if not loaded.findings:
            call.output.line(("✓ ", "green"), f"{name}: nothing found")
    return 1 if errors else 0


def print_findings(line: Callable[..., None], findings: Sequence[FindingLike]) -> None:
    """Print findings for people through `line`: place, code, message, hint."""
    for finding in findings:
        style = SEVERITY_STYLES.get(finding.severity, "")
        node = f" [{finding.node}]" if finding.node else ""
        line((f"{finding.severity} {finding.code} ", style), f"{_place(finding)}{node} {finding.message}")
        if finding.hint:
            line((f"  hint: {finding.hint}", "dim"))


def graph_command(
    context: typer.Context, name: NameArgument, workspace: WorkspaceOption = None, as_json: JsonOption = False
) -> int:
    """Draw a workflow's graph as text."""
    call = open_call(context, workspace, as_json)
    loaded = _load(call, name)
    if loaded.graph is None:
        raise DefinitionError(
            f"{name} has no graph that can be drawn.",
            cause=next(
                (finding.message for finding in loaded.findings if finding.severity == "error"),
                "Its files can't be read.",
            ),
            next_step=f"See all findings: {call.command_line('validate', name)}",
            details=[finding_document(finding) for finding in loaded.findings],
        )
    if call.as_json:
        call.output.document(loaded.graph.to_dict())
        return 0
    from core.drawing.text import draw_text

    drawn = draw_text(loaded.graph, call.output.width, None)
    call.output.lines([line] for line in drawn.splitlines())
    return 0


# Approval ---------------------------------------------------------------------------------------------------------


def approve_command(
    context: typer.Context,
    name: NameArgument,
    diff: Annotated[
        bool, typer.Option("--diff", help="Show what changed since the last approval; approve nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Approve without asking.")] = False,
    trust: Annotated[
        bool, typer.Option("--trust", help="Approve every present and future version in this workspace: it is yours.")
    ] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Let this version of a workflow run."""
    call = open_call(context, workspace, as_json)

    async def work(client: Client) -> int:
        approval = await client.ask(lambda engine: engine.approval(name))
        asks = call.output.can_ask and not yes
        if not call.as_json and (diff or asks) and (diff or not approval.approved):
            _show_approval(call.output, approval)
        if not diff and not approval.approved:
            if asks and not await _consents(call.output, approval):
                call.output.note(f"Not approved: {name} does not run.")
                return 4
            if trust:
                await client.ask(lambda engine: engine.trust_workspace())
                approval = await client.ask(lambda engine: engine.approval(name))
            else:
                approval = await client.ask(lambda engine: engine.approve(name, approval.version))
        if call.as_json:
            call.output.document(approval_document(approval))
        elif not diff:
            call.output.line(
                ("✓ ", "green"), f"{name} may run, version {approval.version[:12]}", (f" ({approval.reason})", "dim")
            )
        return 0

    return call.with_engine(work)


async def _consents(output: Output, approval: ApprovalView) -> bool:
    output.ask(f"Let {approval.workflow}, version {approval.version[:12]}, run on this machine? [y/N] ")
    typed = await TypedLines(output).next()
    return (typed or "").strip().lower() in ("y", "yes")


def _show_approval(output: Output, approval: ApprovalView) -> None:
    since = (
        "never approved before" if approval.previous is None else f"approved before: version {approval.previous[:12]}"
    )
    state = "may run" if approval.approved else "may not run"
    output.line(f"{approval.workflow}, version {approval.version[:12]}: {state} ({approval.reason}); {since}")
    print_changes(output.line, [(change.path, change.status, change.diff) for change in approval.changes])
    if not approval.changes:
        output.line(("no file differs from the last approved version", "dim"))
    if approval.requirements:
        output.line("Its first run installs packages into an environment of its own, which runs code of theirs:")
        for line in approval.requirements:
            output.line(f"  {line}")


def print_changes(line: Callable[..., None], changes: Sequence[tuple[str, str, str]]) -> None:
    """Print changed files as (path, status, unified diff), line by line through `line`."""
    for path, status, text in changes:
        line((f"{status} {path}", "bold"))
        for row in text.splitlines():
            line((f"  {row}", DIFF_STYLES.get(row[:1], "")))
