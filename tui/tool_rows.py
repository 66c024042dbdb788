"""The apps that the Tools screen holds: the pages of a list put together, and what a filter keeps of them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from core.link.tool_types import ActionRow, ToolRow

Row = TypeVar("Row", ToolRow, ActionRow)


def tool_key(row: ToolRow) -> tuple[str, str]:
    """What an app is known by."""
    return row.provider, row.name


def joined(rows: Iterable[ToolRow], more: Iterable[ToolRow]) -> list[ToolRow]:
    """The rows with those of the next page behind them; an app that moved to a later page stands once."""
    return list({tool_key(row): row for row in (*rows, *more)}.values())


def is_mine(row: ToolRow) -> bool:
    """True where the app has an account, or a workflow uses it."""
    return row.connection is not None or bool(row.workflows)


def kept(rows: Sequence[ToolRow], words: str, *, mine: bool = False) -> list[ToolRow]:
    """The apps in which every word occurs, the names that begin so first; `mine`: only those one uses."""
    chosen = [row for row in rows if is_mine(row)] if mine else list(rows)
    return _ranked(chosen, words, lambda row: (*row.categories, row.provider, row.description, *row.workflows))


def kept_actions(rows: Sequence[ActionRow], words: str) -> list[ActionRow]:
    """The actions in which every word occurs, those first whose names have it."""
    return _ranked(list(rows), words, lambda row: (row.id, row.effects, row.description))


def _ranked(rows: list[Row], words: str, more: object) -> list[Row]:
    wanted = words.lower().split()
    if not wanted:
        return rows
    found: list[tuple[int, Row]] = []
    for row in rows:
        names = f"{row.name} {row.title}".lower()
        whole = f"{names} {' '.join(more(row))}".lower()  # type: ignore[operator]
        if all(word in whole for word in wanted):
            begins = names.startswith(wanted[0])
            found.append((0 if begins else 1 if all(word in names for word in wanted) else 2, row))
    return [row for _, row in sorted(found, key=lambda pair: pair[0])]
