"""Breakpoints: nodes before which runs pause, of a whole workflow or of one run."""

from __future__ import annotations

from dataclasses import dataclass

from core.store.operation import Operation
from core.store.reader import Reader
from core.store.records import BreakpointRow, columns
from core.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class SetBreakpoint(Operation):
    """Set one; where it is set already, nothing changes. `run` is 0 for every run of the workflow."""

    workflow: str
    run: int
    node: str
    set_at: float

    def apply(self, transaction: Transaction) -> None:
        transaction.execute(
            "INSERT OR IGNORE INTO breakpoints(workflow, run, node, set_at) VALUES (?, ?, ?, ?)",
            (self.workflow, self.run, self.node, self.set_at),
        )


@dataclass(frozen=True, slots=True)
class ClearBreakpoints(Operation):
    """Take away the one before a node, or all of the workflow or run where no node is named."""

    workflow: str
    run: int
    node: str

    def apply(self, transaction: Transaction) -> None:
        transaction.execute(
            "DELETE FROM breakpoints WHERE workflow = ? AND run = ? AND (node = ? OR ? = '')",
            (self.workflow, self.run, self.node, self.node),
        )


class BreakpointReads(Reader):
    """What the store knows of breakpoints."""

    async def breakpoints(self) -> list[BreakpointRow]:
        """All of them, in the order in which they were set; there are few."""
        rows = await self._fetch(f"SELECT {columns(BreakpointRow)} FROM breakpoints ORDER BY set_at, node")
        return [BreakpointRow(*row) for row in rows]
