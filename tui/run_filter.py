"""What is typed on the `/` line of the runs: words, and `status:failed workflow:mail after:1d`. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from core.link.status import LOOKS, status_of_word
from core.link.types import RunFilter

UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
KEYS = ("status:", "workflow:", "after:", "before:")
TIMES = ("1h", "1d", "7d", "30d")
STATUS_WORDS = tuple(look.word for look in LOOKS.values())
HINT = "part of a workflow or of a run's id   status:failed   workflow:name   after:1d   before:2026-01-31"


class BadFilter(Exception):
    """What was typed is no filter; the text says what is expected."""


def parse_filter(text: str, now: float) -> RunFilter:
    """The runs that a text means; raises BadFilter. What has a key twice means the last one."""
    query = RunFilter()
    for word in text.split():
        key, colon, value = word.partition(":")
        if not colon or f"{key}:" not in KEYS:
            query.words.append(word)
        elif not value:
            raise BadFilter(f"{key}: {_expected(key)}")
        elif key == "status":
            status = status_of_word(value)
            if status is None:
                raise BadFilter(f"no status {value}: {_expected(key)}")
            query.status = status  # type: ignore[assignment]
        elif key == "workflow":
            query.workflow = value
        elif key == "after":
            query.created_after = _moment(key, value, now)
        else:
            query.created_before = _moment(key, value, now)
    return query


def is_narrow(query: RunFilter) -> bool:
    """True where a filter leaves anything out."""
    return bool(query.words or query.status or query.workflow or query.created_after or query.created_before)


def complete_filter(text: str, workflows: Sequence[str]) -> str | None:
    """The text with its last word written out as far as only one thing can be meant first; None where nothing can."""
    word = text.rsplit(" ", 1)[-1]
    if not word:
        return None
    key, colon, _ = word.partition(":")
    known: Sequence[str] = KEYS
    if colon:
        begun_at = {"status": STATUS_WORDS, "workflow": workflows, "after": TIMES, "before": TIMES}
        known = [f"{key}:{value}" for value in begun_at.get(key, ())]
    found = next((entry for entry in known if entry.startswith(word) and entry != word), None)
    return None if found is None else text[: len(text) - len(word)] + found


def _expected(key: str) -> str:
    if key == "status":
        return ", ".join(STATUS_WORDS)
    return "the workflow's whole name" if key == "workflow" else "an age such as 12h or 7d, or a day such as 2026-01-31"


def _moment(key: str, value: str, now: float) -> float:
    """The time that an age or a day means; a day begins at midnight, local time."""
    age = re.fullmatch(r"(\d{1,6}(?:\.\d+)?)([a-z]+)", value.lower())
    if age is not None and age[2] in UNITS:
        return now - float(age[1]) * UNITS[age[2]]
    try:
        return datetime.strptime(value, "%Y-%m-%d").timestamp()
    except (ValueError, OverflowError, OSError):
        raise BadFilter(f"{key}: {_expected(key)}") from None
