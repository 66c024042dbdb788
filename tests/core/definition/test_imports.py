"""What importing this part costs, and what it may not reach."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
LOAD = "from pathlib import Path; from core.definition.load import load_folder; load_folder(Path('workflows/{}'))"


def modules_after(code: str) -> set[str]:
    """The modules that are loaded after running code in a fresh process."""
    script = f"{code}\nimport sys; print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    return set(result.stdout.split())


def test_importing_the_definition_loads_neither_pydantic_nor_jsonschema() -> None:
    names = "code_index, difference, examples, finding, inputs, lint, load, version"
    loaded = modules_after(f"from core.definition import {names}")
    assert "core.definition.load" in loaded
    assert not loaded & {"pydantic", "jsonschema", "referencing", "core.definition.model", "asyncio", "sqlite3"}


def test_a_workflow_without_an_input_schema_needs_no_jsonschema() -> None:
    code = LOAD.format("hello")
    loaded = modules_after(code)
    assert "core.definition.model" in loaded
    assert "jsonschema" not in loaded


def test_loading_reaches_no_other_part_but_the_graph_and_the_errors() -> None:
    code = LOAD.format("onboarding")
    parts = {name.split(".")[1] for name in modules_after(code) if name.startswith("core.")}
    assert parts == {"definition", "flow", "errors"}
