from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from engine_side import Play, process_play


@pytest.fixture
async def play(tmp_path: Path) -> AsyncIterator[Play]:
    """Runs in processes, in a workspace of the test's own."""
    async with process_play(tmp_path) as playing:
        yield playing
