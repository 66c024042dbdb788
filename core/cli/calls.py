"""`rondo calls`: what a run asked of models, addresses and tools, what it was answered, and what that cost."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from core.cli.call import Client, JsonOption, RunArgument, WorkspaceOption, open_call
from core.cli.documents import call_document, usage_document
from core.cli.output import Output, Part, ago, duration, one_line, status_part
from core.errors import UsageError
from core.link.model_types import CallFilter, CallRow, CallView, ExportedCalls
from core.link.transfer_file import take_over
from core.link.usage_types import money, usage_text

PAGE = 500
WORDS = {"done": "completed", "replayed": "completed"}


def calls_command(
    context: typer.Context,
    run: RunArgument,
    number: Annotated[
        int | None, typer.Argument(metavar="[N]", help="Show this call with what was said.", show_default=False)
    ] = None,
    node: Annotated[
        str | None, typer.Option("--node", metavar="NODE", help="Only those of this node.", show_default=False)
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """List what a run asked of models, addresses and tools."""
    call = open_call(context, workspace, as_json)

    async def work(client: Client) -> int:
        view = await client.ask(lambda engine: engine.get_run(run))
        rows = await _rows(client, view.run_id, node)
        if number is not None:
            if number not in {row.number for row in rows}:
                raise UsageError(
                    f"The run {view.short_id} has no call {number}.",
                    cause=f"It has {len(rows)}.",
                    next_step=f"See them: {call.command_line('calls', view.short_id)}",
                )
            shown = await client.ask(lambda engine: engine.read_call(number))
            _show_call(call.output, shown, as_json=call.as_json)
            return 0
        usage = await client.ask(lambda engine: engine.get_usage(view.run_id))
        budgets = await client.ask(lambda engine: engine.list_budgets(view.run_id))
        if call.as_json:
            limits = {f"{b.scope}_{b.what}": {"limit": b.limit or None, "used": b.used} for b in budgets}
            calls = [call_document(row) for row in rows]
            call.output.document(
                {"run_id": view.run_id, "calls": calls, "usage": usage_document(usage), "budgets": limits}
            )
            return 0
        if not rows:
            call.output.note("This run made no calls through self.llm, self.http or self.tool.")
            return 0
        heading = [">N", "NODE", "STATUS", "MODEL", ">IN", ">OUT", ">COST", ">TOOK", "WHEN", "WHAT"]
        call.output.table(heading, [_cells(row) for row in rows])
        if usage.calls or usage.tool_calls:
            call.output.line("")
            call.output.line(("used     ", "dim"), usage_text(usage))
        for budget in budgets:
            if budget.limit:
                words = (
                    (money(budget.used), money(budget.limit))
                    if budget.what == "dollars"
                    else (
                        f"{budget.used:,.0f}",
                        f"{budget.limit:,.0f} {budget.what}",
                    )
                )
                call.output.line(("budget   ", "dim"), f"{words[0]} of {words[1]} a {budget.scope}")
        return 0

    return call.with_engine(work)


async def _rows(client: Client, run_id: str, node: str | None) -> list[CallRow]:
    rows: list[CallRow] = []
    while True:
        query = CallFilter(run_id=run_id, node=node, after=rows[-1].number if rows else 0, limit=PAGE)
        page = await client.ask(lambda engine: engine.list_calls(query))  # noqa: B023
        rows += page
        if not page:
            return rows


def _cells(row: CallRow) -> list[Part | list[Part]]:
    usage = row.usage
    cost = "" if usage is None else "unknown" if usage.unpriced else money(usage.cost)
    what = row.title if row.error is None else f"{row.title}  {row.error.type}: {row.error.message}"
    return [
        str(row.number),
        f"{row.node}" + (f" #{row.visit}" if row.visit > 1 else ""),
        _status(row),
        row.model or row.kind,
        f"{usage.input_tokens:,}" if usage is not None and usage.calls else "",
        f"{usage.output_tokens:,}" if usage is not None and usage.calls else "",
        cost,
        duration(row.seconds) if row.seconds is not None else "",
        ago(row.started_at),
        one_line(what)[:100],
    ]


def _status(row: CallRow) -> Part:
    part = status_part(WORDS.get(row.status, row.status))
    return (part[0].replace("completed", row.status), part[1]) if isinstance(part, tuple) else part


def _show_call(output: Output, view: CallView, *, as_json: bool) -> None:
    if as_json:
        output.document({**call_document(view.row), "request": view.request, "reply": view.reply, "cut": view.cut})
        return
    row = view.row
    output.line(_status(row), f"  call {row.number}  ", (row.title, "dim"))
    output.line(("node     ", "dim"), f"{row.node}, visit {row.visit}")
    if row.model:
        output.line(("model    ", "dim"), f"{row.model} {f'({row.role})' if row.role else ''}")
    if row.usage is not None:
        output.line(("used     ", "dim"), usage_text(row.usage))
    for heading, side in (("asked", view.request), ("answered", view.reply)):
        if side is not None:
            output.line("")
            output.line((heading, "bold"))
            output.lines([line] for line in _lines(side))
    if row.error is not None:
        output.line("")
        output.line((f"{row.error.type}: ", "red"), row.error.message)
    if view.cut:
        output.note(("! ", "yellow"), "It is longer than is shown; rondo run --record FILE writes calls whole.")


def _lines(side: Any) -> list[str]:
    """What was said as lines: the texts of messages as they are, anything else as JSON."""
    if isinstance(side, str):
        return side.splitlines()
    if isinstance(side, dict) and isinstance(side.get("messages"), list):
        lines = [f"system: {side['system']}"] if side.get("system") else []
        for message in side["messages"]:
            lines += f"{message.get('from')}: {message.get('text')}".splitlines()
        rest = {name: value for name, value in side.items() if name not in ("messages", "system") and value}
        return lines + (json.dumps(rest, ensure_ascii=False, indent=2).splitlines() if rest else [])
    return json.dumps(side, ensure_ascii=False, indent=2).splitlines()


async def keep_recording(client: Client, run_id: str, file: str) -> ExportedCalls:
    """Write what a run called and was answered to a file; one that is there is replaced."""
    target = await asyncio.to_thread(lambda: Path(file).expanduser().absolute())
    exported = await client.ask(lambda engine: engine.export_calls(run_id))
    await asyncio.to_thread(take_over, Path(exported.path), target, force=True)
    return exported
