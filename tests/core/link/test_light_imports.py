from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"pydantic", "aiosqlite", "httpx", "graphlay", "markdown_it", "sqlite3", "structlog", "orjson", "rich", "typer"}


@pytest.mark.parametrize("module", ["core.link", "core.link.client", "core.link.session", "core.link.start"])
def test_what_clients_import_before_the_first_paint_stays_light(module: str) -> None:
    program = f"import sys, {module}; print(*sys.modules)"
    loaded = set(
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    )
    assert module in loaded
    assert not HEAVY & loaded
    assert not [name for name in loaded if name.startswith(("core.engine", "core.store", "core.link.server"))]
