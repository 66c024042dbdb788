"""JSON from others: what nobody could have meant is an error like any other."""

from __future__ import annotations

import json
from typing import Any


def read_json(content: bytes | str) -> Any:
    """The value of a JSON text; raises ValueError, also where it is nested too deeply to be read."""
    try:
        return json.loads(content)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
