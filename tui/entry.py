"""The `rondo` command."""

from __future__ import annotations


def main() -> int:
    """Open the app, or hand over to the command line where there are arguments."""
    raise SystemExit("rondo: not built yet")
