"""Answers to requests: read from text, checked against what was asked."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any, NoReturn

from core.errors import InvalidAnswer, StateValueError
from core.flow.journal import Request
from core.flow.values import check_value

YES = frozenset({"yes", "y", "true"})
NO = frozenset({"no", "n", "false"})
SKIP = "now"
"""The answer by which a person ends a wait for a time."""


def request_hash(request: Request) -> str:
    """A fingerprint of what is asked: kind, input type, prompt and options; options must be JSON (TypeError).

    The due time of a timer is no part of it: code that starts again works out another one, and means the same wait.
    """
    asked = [request.kind, request.input_type, request.prompt, request.options]
    return hashlib.sha256(json.dumps(asked, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def parse_answer(input_type: str, options: Any, text: str) -> Any:
    """The answer that a text from a command line stands for, by input type; raises InvalidAnswer.

    select takes an option's value or label; multiselect takes several with commas between them, or a JSON list.
    """
    match input_type:
        case "select":
            value = _chosen(options, text)
        case "multiselect":
            value = [_chosen(options, item) for item in _items(text)]
        case "confirm":
            value = _confirmed(text)
        case "number":
            value = _number(text)
        case "timer":
            value = text.strip().casefold()
        case "json":
            value = _json(text)
        case _:
            value = text
    return check_answer(input_type, options, value)


def check_answer(input_type: str, options: Any, value: Any) -> Any:
    """The JSON value as an answer of that input type; raises InvalidAnswer. None means not answered."""
    if value is None:
        raise InvalidAnswer(
            "There is no answer.",
            cause="None (null) means that the question is not answered; nothing changed.",
            next_step="Give a value.",
        )
    try:
        check_value(value, root="answer")
    except StateValueError as error:
        raise InvalidAnswer(
            f"The answer can't be stored: {error.message}", cause=error.cause, next_step=error.next_step
        ) from error
    match input_type:
        case "text":
            if not isinstance(value, str):
                _refuse("text", _show(value))
        case "select":
            _check_option(options, value)
        case "multiselect":
            if not isinstance(value, list):
                _refuse(f"a list of options ({_show_options(options)})", _show(value))
            for item in value:
                _check_option(options, item)
            return [item for place, item in enumerate(value) if not _among(item, value[:place])]
        case "confirm":
            if not isinstance(value, bool):
                _refuse("yes or no", _show(value))
        case "number":
            if isinstance(value, bool) or not isinstance(value, int | float):
                _refuse("a number", _show(value))
        case "timer":
            if value != SKIP:
                _refuse(f'"{SKIP}", which ends the wait', _show(value))
    return value


def option_values(options: Any) -> list[Any]:
    """The values that options offer: they are a list of texts or numbers, or of `{value, label}`."""
    return [
        option.get("value", option.get("label")) if isinstance(option, dict) else option for option in _listed(options)
    ]


def option_labels(options: Any) -> list[str]:
    """What options are called on the screen, in the order of `option_values`."""
    return [
        str(option.get("label", option.get("value"))) if isinstance(option, dict) else str(option)
        for option in _listed(options)
    ]


def _listed(options: Any) -> list[Any]:
    if isinstance(options, dict):
        return [{"value": value, "label": label} for value, label in options.items()]
    return list(options) if isinstance(options, list | tuple) else []


def _chosen(options: Any, text: str) -> Any:
    """The value of the option that a text names: as a value, as a label, then with the case ignored."""
    values, labels = option_values(options), option_labels(options)
    if not values:
        return text
    wanted = text.strip()
    for names in ([_as_text(value) for value in values], labels):
        if wanted in names:
            return values[names.index(wanted)]
    folded = [
        value
        for value, label in zip(values, labels, strict=True)
        if wanted.casefold() in (_as_text(value).casefold(), label.casefold())
    ]
    if len(folded) != 1:
        _refuse(f"one of {_show_options(options)}", repr(text))
    return folded[0]


def _check_option(options: Any, value: Any) -> None:
    values = option_values(options)
    if values and not _among(value, values):
        _refuse(f"one of {_show_options(options)}", _show(value))


def _among(value: Any, values: list[Any]) -> bool:
    return any(value == other and isinstance(value, bool) is isinstance(other, bool) for other in values)


def _items(text: str) -> list[str]:
    if text.lstrip().startswith("["):
        items = _json(text)
        return [item if isinstance(item, str) else _as_text(item) for item in items]
    return [item.strip() for item in text.split(",") if item.strip()]


def _confirmed(text: str) -> bool:
    word = text.strip().casefold()
    if word not in YES | NO:
        _refuse("yes or no", repr(text))
    return word in YES


def _number(text: str) -> int | float:
    try:
        return int(text.strip())
    except ValueError:
        pass
    try:
        value = float(text.strip())
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        _refuse("a number such as 3 or 2.5", repr(text))
    return value


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        _refuse("JSON", repr(text), f"The text can't be read: {error}.")


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _show_options(options: Any) -> str:
    shown = []
    for value, label in zip(option_values(options), option_labels(options), strict=True):
        text = _as_text(value)
        shown.append(text if text == label else f"{text} ({label})")
    return ", ".join(shown) or "any"


def _show(value: Any) -> str:
    text = _as_text(value)
    return f"{text if len(text) <= 60 else text[:59] + '…'} ({type(value).__name__})"


def _refuse(expected: str, got: str, cause: str = "It doesn't fit what the question asks for.") -> NoReturn:
    raise InvalidAnswer(
        f"The answer must be {expected}; got {got}.",
        cause=f"{cause} Nothing changed.",
        next_step=f"Answer with {expected}.",
    )
