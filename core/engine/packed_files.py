"""The files of a workflow before and after a change, as the journal of applied changes keeps them."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping

from core.assistant.draft import Draft


def packed_files(name: str, before: Mapping[str, bytes], after: Mapping[str, bytes]) -> bytes:
    """Both as deflated JSON; what did not change stands in it once."""
    form = Draft(name, dict(before), dict(after)).to_json()
    return zlib.compress(json.dumps(form, ensure_ascii=False).encode())


def unpacked_files(content: bytes) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """The files before and after."""
    draft = Draft.from_json(json.loads(zlib.decompress(content)))
    return draft.base, draft.files
