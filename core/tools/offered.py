"""Keys of tools that a client tells its engine of: one that is set in a terminal works with an engine that runs."""

from __future__ import annotations

from collections.abc import Mapping

OFFERED = frozenset(
    {
        "COMPOSIO_API_KEY",
        "GITHUB_TOKEN",
        "GH_TOKEN",
        "GMAIL_TOKEN",
        "NOTION_API_KEY",
        "NOTION_TOKEN",
        "SLACK_BOT_TOKEN",
        "SLACK_TOKEN",
    }
)
"""Named here once more, because no provider is imported for it."""

LONGEST = 4096


def offered_tool_keys(environment: Mapping[str, str]) -> dict[str, str]:
    """The keys of tools in an environment, by variable; implausible ones are left out."""
    found = {name: environment.get(name, "").strip() for name in sorted(OFFERED)}
    return {name: value for name, value in found.items() if 0 < len(value) <= LONGEST}
