"""Services called at their own addresses, with a token or OAuth of the user's: Gmail, Slack, GitHub, Notion."""

from core.tools.direct.provider import Direct

__all__ = ["Direct"]
