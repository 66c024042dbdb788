"""Which secrets a workflow's JSON says it needs."""

from __future__ import annotations

import json

from core.tools.secrets.names import is_name


def declared(text: bytes) -> list[str]:
    """What stands in `permissions.secrets`, in order, each once; what can't be a secret's name is left out."""
    if b'"secrets"' not in text:
        return []
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return []
    permissions = document.get("permissions") if isinstance(document, dict) else None
    names = permissions.get("secrets") if isinstance(permissions, dict) else None
    known = [name for name in names if isinstance(name, str) and is_name(name)] if isinstance(names, list) else []
    return list(dict.fromkeys(known))
