"""Places in a state as people write them: `total`, `user.tags[0]`, `["a key"].x`."""

from __future__ import annotations

import json
import re
from typing import Any

from core.cli.call import parse_pairs
from core.errors import UsageError
from core.link.commands import StateEdit

_PART = re.compile(
    r'\.?(?P<key>[^.\[\]"=]+)|\[(?P<index>\d+)\]|\[(?P<quoted>"(?:[^"\\\x00-\x1f]|\\["\\/])*")\]'
    r"|\['(?P<shown>[^'\\\x00-\x1f]*)'\]"
)


def parse_edits(texts: list[str]) -> list[StateEdit]:
    """The changes of `--set path=json`; raises UsageError for what is not JSON or no path."""
    return [StateEdit(path=parse_path(path), value=_value(path, text)) for path, text in _split(texts)]


def parse_path(text: str) -> list[str | int]:
    """The path that a text means, also as it is shown: `shared['mails'][3]`; raises UsageError."""
    path: list[str | int] = []
    place = len("shared") if text.startswith("shared['") else 0
    while place < len(text):
        found = _PART.match(text, place)
        if found is None or (place == 0 and text[0] == "."):
            raise UsageError(
                f"{text!r} is no place in a state.",
                cause=f"It can't be read from {text[place:]!r} on.",
                next_step='Write it like total, user.name, list[0] or ["a key"].x',
            )
        if found["index"] is not None:
            path.append(int(found["index"]))
        elif found["shown"] is not None:
            path.append(found["shown"])
        else:
            path.append(found["key"] if found["key"] is not None else json.loads(found["quoted"]))
        place = found.end()
    return path


def _split(texts: list[str]) -> list[tuple[str, str]]:
    pairs = []
    for text in texts:
        # An equals sign may stand in a quoted key.
        quoted = re.match(r'(?:[^"=]|"(?:[^"\\]|\\.)*")+(?==)', text)
        if quoted is None:
            parse_pairs([text], "--set")
            raise UsageError(f"--set {text!r} is not path=json.", next_step="Write it as --set path=json")
        pairs.append((quoted[0], text[quoted.end() + 1 :]))
    return pairs


def _value(path: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"The value for {path} is not JSON.",
            cause=str(error),
            next_step=f"""A text needs quotes of its own: --set '{path}="text"'""",
        ) from error
