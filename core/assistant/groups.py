"""The difference of two states of a workflow as groups of changes, each accepted or rejected as one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from core.assistant.grouping import Change, Grouping
from core.assistant.units import Unit, equal, errors_of, put_together, taken_apart
from core.assistant.wording import code_diff, edge_lines, group_title, node_text, setting_text
from core.definition.code_index import ENTRY
from core.definition.text import shortened
from core.errors import ProposalProblem

Sign = Literal["+", "-", "~"]


@dataclass(frozen=True, slots=True)
class GraphLine:
    """One change of the graph; `target` is a node's id, "from to number" of an edge (from 1), or a key."""

    what: Literal["node", "edge", "settings"]
    sign: Sign
    target: str
    text: str


@dataclass(frozen=True, slots=True)
class CodeLine:
    """One change of code: a class, function or constant, or "" for what stands between them; unified diff."""

    name: str
    sign: Sign
    diff: str
    file: str


@dataclass(frozen=True, slots=True)
class Group:
    """What is accepted or rejected as one; `needs` are the ids of groups that must be accepted with it."""

    id: str
    title: str
    graph: tuple[GraphLine, ...]
    code: tuple[CodeLine, ...]
    needs: tuple[str, ...] = ()


class Changes:
    """All changes between two states of a workflow's files.

    A change that several groups share, such as an edge between two new nodes, is made when all of them are accepted;
    a class that several new nodes have, when one of them is.
    """

    def __init__(self, name: str, base: Mapping[str, bytes], after: Mapping[str, bytes]) -> None:
        self.name = name
        self.base, self.after = dict(base), dict(after)
        self.before_units, self.after_units = taken_apart(name, base, after)
        changed = [
            unit
            for unit in dict.fromkeys([*self.before_units, *self.after_units])
            if not equal(self.before_units.get(unit), self.after_units.get(unit))
        ]
        grouping = Grouping(name, self.before_units, self.after_units, changed)
        self.changes: list[Change] = grouping.changes
        self._needs = grouping.needs
        self.groups: tuple[Group, ...] = tuple(self._group(group) for group in grouping.order)

    def owners(self, unit: Unit) -> tuple[str, ...]:
        """The groups that a changed unit belongs to."""
        return next((change.owners for change in self.changes if change.unit == unit), ())

    def closed(self, accept: Collection[str]) -> set[str]:
        """These groups with all that they need. Raises ProposalProblem for an id that is not there."""
        known = {group.id for group in self.groups}
        unknown = sorted(set(accept) - known)
        if unknown:
            raise ProposalProblem(
                f"There is no group {shortened(unknown[0], 80)!r} in this proposal.",
                cause="A proposal's groups are named by their ids.",
                next_step="Look at the proposal again and choose among its groups.",
            )
        found, waiting = set(accept), list(accept)
        while waiting:
            for needed in self._needs.get(waiting.pop(), ()):
                if needed not in found:
                    found.add(needed)
                    waiting.append(needed)
        return found

    def without(self, reject: Collection[str]) -> set[str]:
        """The groups that remain when these are rejected: what needs them goes, too."""
        gone = set(reject)
        return {group.id for group in self.groups if not self.closed([group.id]) & gone}

    def files(self, accept: Collection[str] | None = None) -> dict[str, bytes]:
        """The files with the accepted groups (None: all) and what they need; all give `after`, none gives `base`.

        Raises ProposalProblem for an unknown id, or where the result would have errors that neither side has.
        """
        accepted = {group.id for group in self.groups} if accept is None else self.closed(accept)
        if len(accepted) == len(self.groups):
            return dict(self.after)
        wanted = {
            change.unit: self.after_units.get(change.unit) for change in self.changes if change.accepted(accepted)
        }
        if not wanted:
            return dict(self.base)
        files = put_together(self.name, self.base, self.after, wanted)
        if ENTRY in self.after and ENTRY not in self.base:
            files.setdefault(ENTRY, b"")
        self._check(files)
        return files

    def _check(self, files: Mapping[str, bytes]) -> None:
        known = errors_of(self.name, self.base) | errors_of(self.name, self.after)
        new = sorted(errors_of(self.name, files) - known)
        if new:
            raise ProposalProblem(
                f"These parts alone don't make a workflow that can run: {new[0][1]}",
                cause="What was left out is needed by what was accepted.",
                next_step="Accept more of the proposal, or send it back with a comment.",
                details=[{"code": code, "message": message} for code, message in new],
            )

    # What is shown -----------------------------------------------------------------------------------------------

    def _group(self, group: str) -> Group:
        own = [change for change in self.changes if group in change.owners]
        graph = tuple(line for change in own for line in self._graph_lines(change))
        code = tuple(self._code_lines(group, own))
        title = group_title(group, own, self.before_units, self.after_units)
        return Group(group, title, graph, code, tuple(self._needs.get(group, ())))

    def _graph_lines(self, change: Change) -> list[GraphLine]:
        kind = change.unit[0]
        before, after = self.before_units.get(change.unit), self.after_units.get(change.unit)
        if kind == "node":
            return [GraphLine("node", change.sign, change.unit[1], node_text(change.unit[1], before, after))]
        if kind == "edges":
            ends = change.unit[1:]
            return [
                GraphLine("edge", sign, f"{ends[0]} {ends[1]} {number}", text)
                for sign, number, text in edge_lines(ends, before or [], after or [])
            ]
        if kind == "setting":
            text = setting_text(change.unit[1], before, after)
            return [GraphLine("settings", change.sign, change.unit[1], text)]
        return []

    def _code_lines(self, group: str, own: list[Change]) -> list[CodeLine]:
        """The code of a group: each definition by itself, imports and the rest of a file together."""
        lines = []
        between: dict[str, list[Unit]] = {}
        for change in own:
            kind, *where = change.unit
            if kind == "def":
                diff = code_diff(where[0], self._value(change.unit, 0), self._value(change.unit, 1))
                lines.append(CodeLine(where[1], change.sign, diff, where[0]))
            elif kind in ("import", "rest"):
                between.setdefault(where[0], []).append(change.unit)
            elif kind == "file":
                diff = code_diff(where[0], self._value(change.unit, 0), self._value(change.unit, 1))
                lines.append(CodeLine("", change.sign, diff, where[0]))
        heads = []
        for file, units in between.items():
            before = [value for unit in units if (value := self._value(unit, 0)) is not None]
            after = [value for unit in units if (value := self._value(unit, 1)) is not None]
            sign: Sign = "+" if not before else "-" if not after else "~"
            diff = code_diff(file, "\n".join(before) if before else None, "\n".join(after) if after else None)
            heads.append(CodeLine("", sign, diff, file))
        return heads + lines

    def _value(self, unit: Unit, side: int) -> Any:
        return (self.before_units, self.after_units)[side].get(unit)
