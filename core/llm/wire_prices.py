"""What calls cost, by a table that comes with the library: what it does not know costs None, never 0.

Imported by `core.llm.wire` alone: it brings the table with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import genai_prices
from genai_prices.data_snapshot import get_snapshot

SOME = 1000
"""Tokens whose price is looked up: few, because many may have another one."""


@dataclass(frozen=True, slots=True)
class Prices:
    """What is known of a model; prices are US dollars per million tokens."""

    title: str = ""
    context_tokens: int | None = None
    input_price: float | None = None
    output_price: float | None = None


UNKNOWN = Prices()


def price_of(provider_id: str, model_id: str, usage: Any) -> float | None:
    """What a call costs in US dollars; None where the price or what was used is not known."""
    if not provider_id or not (usage.input_tokens or usage.output_tokens):
        return None
    try:
        return float(genai_prices.calc_price(usage, model_id, provider_id=provider_id).total_price)
    except (LookupError, ValueError):
        return None


def prices_of(provider_id: str, model_id: str) -> Prices:
    """What the table knows of a model."""
    if not provider_id:
        return UNKNOWN
    try:
        _, model = get_snapshot().find_provider_model(model_id, None, provider_id, None)
    except LookupError:
        return UNKNOWN
    return Prices(
        title=model.name or "",
        context_tokens=model.context_window,
        input_price=_one(provider_id, model_id, genai_prices.Usage(input_tokens=SOME)),
        output_price=_one(provider_id, model_id, genai_prices.Usage(output_tokens=SOME)),
    )


def _one(provider_id: str, model_id: str, usage: genai_prices.Usage) -> float | None:
    try:
        price: Decimal = genai_prices.calc_price(usage, model_id, provider_id=provider_id).total_price
    except (LookupError, ValueError):
        return None
    return float(price) * 1_000_000 / SOME
