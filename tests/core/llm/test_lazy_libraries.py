"""The libraries of models are loaded when a model is called, and by one group of modules alone."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

LIBRARIES = {"pydantic_ai", "anthropic", "openai", "genai_prices", "httpx2"}
CORE = Path(__file__).parents[3] / "core"


def test_nothing_that_starts_loads_a_library_of_models() -> None:
    modules = ["tui.app", "core.cli.main", "core.engine.main", "core.orchestrator", "core.llm.gateway"]
    program = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert set(modules) < loaded
    assert not LIBRARIES & loaded
    assert not [name for name in loaded if name.startswith("core.llm.wire")]


def test_only_the_wire_imports_them() -> None:
    found = set()
    for path in CORE.rglob("*.py"):
        text = path.read_text()
        if not any(library in text for library in LIBRARIES):
            continue
        for node in ast.walk(ast.parse(text)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.split(".")[0] in LIBRARIES - {"httpx2"} for name in names):
                found.add(path.relative_to(CORE).as_posix())
    assert found == {"llm/wire.py", "llm/wire_history.py", "llm/wire_prices.py", "llm/wire_troubles.py"}
