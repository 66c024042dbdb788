"""JSON text to and from values: orjson where it is installed, else the standard library."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

try:
    import orjson
except ImportError:
    CONVERTS_SILENTLY = True
    """True where `dumps` takes subclasses, large integers and keys that are not text without a word."""

    def dumps(value: Any) -> bytes:
        """The compact JSON text of a value; raises one of DUMPS_ERRORS."""
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()

    loads: Callable[[bytes], Any] = json.loads
else:
    CONVERTS_SILENTLY = False
    _OPTIONS = orjson.OPT_PASSTHROUGH_SUBCLASS | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME

    def dumps(value: Any) -> bytes:
        """The compact JSON text of a value; raises one of DUMPS_ERRORS."""
        return orjson.dumps(value, option=_OPTIONS)

    loads = orjson.loads

DUMPS_ERRORS = (TypeError, ValueError, RecursionError)
