"""The run that a call of another workflow starts."""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import Any

from core.store.records import RequestRow


def child_run_id(parent: str, line: int, header: dict[str, Any], made_anew: int) -> str:
    """The id of the run that a call starts: the same whenever that call is repeated. Its time is the parent's."""
    call = [parent, line, *(header[name] for name in ("node", "visit", "request_id", "nth", "hash")), made_anew]
    digest = int.from_bytes(hashlib.sha256(json.dumps(call).encode()).digest()[:16])
    fields = (uuid.UUID(parent).int >> 80 << 80) | (digest & ((1 << 80) - 1))
    fields = fields & ~(0xF << 76) | 0x7 << 76
    return str(uuid.UUID(int=fields & ~(0b11 << 62) | 0b10 << 62))


def child_of(row: RequestRow) -> str:
    """The id of the run that a request of kind subflow waits for."""
    return str(json.loads(row.options)["run"])
