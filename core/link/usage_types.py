"""What calls of models used, as it crosses the link."""

from __future__ import annotations

import msgspec


class UsageView(msgspec.Struct, kw_only=True, forbid_unknown_fields=False):
    """What calls used together. `unpriced` counts the calls whose cost is not known: `cost` is without them."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cost: float = 0.0
    unpriced: int = 0
