"""What calls of models used, as it crosses the link."""

from __future__ import annotations

import msgspec


class UsageView(msgspec.Struct, kw_only=True, forbid_unknown_fields=False):
    """What calls used together. `unpriced` counts the calls whose cost is not known: `cost` is without them.

    `calls` and tokens are those of models. `cost` holds `tool_cost`: what tools cost, where their provider says so.
    """

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cost: float = 0.0
    unpriced: int = 0
    tool_calls: int = 0
    tool_cost: float = 0.0


def money(dollars: float) -> str:
    """Dollars as a person reads them: "$0.007", "$12.30"."""
    if dollars == 0 or dollars >= 0.1:
        return f"${dollars:,.2f}"
    return f"${dollars:.2g}" if dollars >= 0.0001 else "less than $0.0001"


def usage_text(usage: UsageView) -> str:
    """What calls used, in words: "3 calls, 1,203 tokens, $0.02; 2 tool calls, $0.01 of it"."""
    tools = _tools_text(usage)
    if tools and not usage.calls:
        return tools
    return "; ".join(filter(None, (_models_text(usage), tools and tools + (" of it" if usage.tool_cost else ""))))


def _tools_text(usage: UsageView) -> str:
    if not usage.tool_calls:
        return ""
    text = f"{usage.tool_calls:,} tool call{'' if usage.tool_calls == 1 else 's'}"
    return f"{text}, {money(usage.tool_cost)}" if usage.tool_cost else text


def _models_text(usage: UsageView) -> str:
    tokens = usage.input_tokens + usage.output_tokens
    text = f"{usage.calls:,} call{'' if usage.calls == 1 else 's'}, {tokens:,} tokens, "
    if usage.unpriced == 0:
        return text + money(usage.cost)
    if usage.cost == 0:
        return text + "cost unknown"
    return text + f"{money(usage.cost)} and {usage.unpriced:,} of unknown cost"
