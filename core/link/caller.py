"""Which kind of client a call came from, for the record of who did what."""

from __future__ import annotations

from contextvars import ContextVar

caller: ContextVar[str] = ContextVar("caller", default="api")
"""Set around each call that comes over the link: tui, cli, api or test. In process it stays api."""
