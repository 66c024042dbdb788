"""A store in a folder of its own."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.store.store import Store

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a test's database is."""
    return tmp_path / "rondo.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[Store]:
    """An open store that can be read."""
    store = await asyncio.to_thread(Store.open, path)
    await store.start_reads()
    yield store
    await store.close()
