"""Budgets: what calls of models may use in a run and in a day before a person is asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core.errors import BudgetReached
from core.flow.journal import BUDGET, FAIL
from core.link.model_types import BudgetView
from core.link.usage_types import money
from core.settings import Settings
from core.store.call_reads import CallTotals
from core.store.records import RequestRow, RunRecord
from core.store.store import Store

RAISE, GO_ON = "raise", "go_on"
"""Answers of a request of kind budget; the third is `fail`."""
RUN, DAY = "run", "day"
DOLLARS = "dollars"
WHAT = (DOLLARS, "tokens", "calls")


@dataclass(frozen=True, slots=True)
class Reached:
    """A budget that has no room for another call; `limit` is what the settings say, `allowed` with what was added."""

    scope: str
    what: str
    limit: float
    allowed: float
    totals: CallTotals

    @property
    def name(self) -> str:
        """As the settings call it."""
        return f"{self.scope}_{self.what}"

    def text(self) -> str:
        """What is used of what, in a sentence."""
        of = "this run" if self.scope == RUN else "this day"
        used = f"{_amount(self.what, _used(self.totals, self.what))} of {_amount(self.what, self.allowed)}"
        totals = self.totals
        more = [f"{totals.calls:,} calls", f"{totals.input_tokens + totals.output_tokens:,} tokens"]
        if self.what != "dollars":
            more.append(money(totals.cost))
        if totals.unpriced:
            more.append(f"{totals.unpriced:,} calls of unknown cost, which are not in it")
        return f"The budget of {of} is used up: {used} ({', '.join(more)})."


class Budgets:
    """Knows what is used; `held` is what calls that are under way may come to, in dollars and tokens."""

    def __init__(self, store: Store, settings: Callable[[], Settings], now: Callable[[], float]) -> None:
        self._store = store
        self._settings = settings
        self._now = now
        self._held: dict[int, tuple[int | None, float, int]] = {}

    def hold(self, number: int, run: int | None, tokens: int, totals: CallTotals) -> None:
        """A call of about so many tokens is under way; it costs what such calls have cost so far."""
        known = totals.input_tokens + totals.output_tokens
        self._held[number] = (run, totals.cost / known * tokens if known else 0.0, tokens)

    def release(self, number: int) -> None:
        """The call has come to its end: what it used is stored."""
        self._held.pop(number, None)

    async def totals(self, run: int | None) -> CallTotals:
        """What a run has used; without one, all since midnight."""
        return await self._store.call_totals(run=run, since=self.midnight() if run is None else None)

    def midnight(self) -> float:
        """When the present day began, local time, in seconds since 1970."""
        return datetime.fromtimestamp(self._now()).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()

    async def reached(self, run: RunRecord | None) -> list[Reached]:
        """The budgets that have no room for another call, of a run and of the day; without a run of the day alone."""
        limits = self._settings().budget_of(run.workflow if run is not None else "")
        found: list[Reached] = []
        for scope in (RUN, DAY) if run is not None else (DAY,):
            wanted = [(what, getattr(limits, f"{scope}_{what}")) for what in WHAT]
            if any(limit for _, limit in wanted):
                number = run.number if run is not None and scope == RUN else None
                totals = await self.totals(number)
                added = await self._added(number)
                for what, limit in wanted:
                    allowed = limit + added.get(f"{scope}_{what}", 0.0)
                    if limit and self._with_held(totals, number, what) >= allowed:
                        found.append(Reached(scope, what, limit, allowed, totals))
        return found

    def _with_held(self, totals: CallTotals, run: int | None, what: str) -> float:
        held = [entry for entry in self._held.values() if run is None or entry[0] == run]
        if what == "calls":
            return totals.calls  # Those under way have their rows.
        return _used(totals, what) + sum(entry[1] if what == "dollars" else entry[2] for entry in held)

    async def _added(self, run: int | None) -> dict[str, float]:
        """By how much people have raised each budget of a run, or of the day."""
        added: dict[str, float] = {}
        for name, options, answer in await self._store.budget_answers(
            run=run, since=0.0 if run is not None else self.midnight()
        ):
            if json.loads(answer) == RAISE and name.startswith(RUN if run is not None else DAY):
                amount = next(option["amount"] for option in json.loads(options) if option["value"] == RAISE)
                added[name] = added.get(name, 0.0) + amount
        return added

    async def views(self, run: RunRecord | None) -> list[BudgetView]:
        """Every budget with what is used of it, those without a limit too."""
        limits = self._settings().budget_of(run.workflow if run is not None else "")
        views = []
        for scope in (RUN, DAY) if run is not None else (DAY,):
            number = run.number if run is not None and scope == RUN else None
            totals, added = await self.totals(number), await self._added(number)
            for what in WHAT:
                limit = getattr(limits, f"{scope}_{what}")
                allowed = limit + added.get(f"{scope}_{what}", 0.0) if limit else 0
                views.append(BudgetView(scope=scope, what=what, limit=allowed, used=_used(totals, what)))
        return views

    def error(self, reached: Reached, workflow: str = "") -> BudgetReached:
        """What a call fails with that is not to be made."""
        place = self._settings().limit_place(workflow, reached.name, "budget")
        return BudgetReached(
            reached.text(),
            cause=f"The setting {place} is {_number(reached.limit)}.",
            next_step=f"Raise {place}, or set it to 0 for no limit; it holds at once.",
            details={"budget": reached.name, "limit": reached.limit},
        )


def question(reached: Reached, rows: Sequence[RequestRow], node: str, visit: int) -> dict[str, Any] | None:
    """What is to be asked before a call of that visit; None where it may be made. Raises nothing.

    `rows` are the requests of the line. The same question is asked once: calls that come to it ask it together.
    """
    same = [row for row in rows if (row.node, row.visit, row.request_id) == (node, visit, reached.name)]
    ours = [row for row in same if row.kind == BUDGET]
    if any(_answer(row) == GO_ON for row in ours):
        return None
    asked = next((row for row in ours if row.status == "open"), None)
    if asked is not None:
        prompt, options = asked.prompt, json.loads(asked.options)
    else:
        prompt = f"{reached.text()} May {node} go on?"
        options = [
            {
                "value": RAISE,
                "label": f"raise: {_amount(reached.what, reached.limit)} more for "
                + ("this run" if reached.scope == RUN else "today"),
                "amount": reached.limit,
            },
            {"value": GO_ON, "label": f"go on: let this visit of {node} use what it needs"},
            {"value": FAIL, "label": "fail: the call fails with BudgetReached"},
        ]
    nth = asked.nth if asked is not None else len({row.nth for row in same})
    facts = {"node": node, "visit": visit, "request_id": reached.name, "nth": nth}
    return {**facts, "prompt": prompt, "options": options, "input_type": "select", "kind": BUDGET}


def refused(reached: Reached, rows: Sequence[RequestRow], node: str, visit: int) -> bool:
    """True where a person said that the calls of this visit are to fail."""
    wanted = (node, visit, reached.name, BUDGET)
    ours = [row for row in rows if (row.node, row.visit, row.request_id, row.kind) == wanted]
    return any(_answer(row) == FAIL for row in ours[-1:])


def _answer(row: RequestRow) -> Any:
    return json.loads(row.answer) if row.status == "answered" and row.answer else None


def _used(totals: CallTotals, what: str) -> float:
    if what == "dollars":
        return totals.cost
    return totals.calls if what == "calls" else totals.input_tokens + totals.output_tokens


def _amount(what: str, value: float) -> str:
    return money(value) if what == "dollars" else f"{_number(value)} {what}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:g}"
