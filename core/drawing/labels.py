"""Names and conditions as a drawing shows them: one row, short, without characters that a terminal must not get."""

from __future__ import annotations

import re

from rich.cells import cell_len, set_cell_size

LABEL_WIDTH = 22
"""Most cells of a condition on the canvas; the whole text is shown elsewhere."""
NAME_WIDTH = 28
"""Most cells of a node's name in its box."""

_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
_SPACE = re.compile(r"\s+")
_GET = re.compile(r"""shared\.get\(\s*(['"])(?P<key>\w+)\1\s*(?:,[^()]*)?\)""")
_FIRST_KEY = re.compile(r"""\bshared\[(['"])(?P<key>\w+)\1\]""")
_NEXT_KEY = re.compile(r"""(?<=[\w\]])\[(['"])(?P<key>\w+)\1\]""")


def plain(text: str) -> str:
    """The text on one line, runs of white space as one space, other control characters as a question mark."""
    return _UNSAFE.sub("?", _SPACE.sub(" ", text).strip())


def shorten(text: str, width: int) -> str:
    """The text cut to at most `width` cells; what is cut ends in an ellipsis."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1).rstrip() + "…"


def condition_label(condition: str) -> str:
    """A condition for the canvas, in short and cut to `LABEL_WIDTH`."""
    return shorten(in_short(condition), LABEL_WIDTH)


def in_short(expression: str) -> str:
    """An expression over the state as people say it: `shared['mail']['score'] > 80` becomes `mail.score > 80`."""
    text = _GET.sub(r"\g<key>", plain(expression))
    text = _FIRST_KEY.sub(r"\g<key>", text)
    return _NEXT_KEY.sub(r".\g<key>", text)


def node_name(node_id: str) -> str:
    """A node's name for its box, cut to `NAME_WIDTH`."""
    return shorten(plain(node_id) or "?", NAME_WIDTH)
