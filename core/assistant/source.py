"""Whole classes, functions and constants of a Python file, edited so that everything else keeps its bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal


def apply_definition(
    files: Mapping[str, bytes], file: str, name: str, mode: Literal["add", "replace", "delete"], code: str
) -> dict[str, bytes]:
    """The files with a definition added, replaced or deleted; raises EditRefused."""
    raise NotImplementedError
