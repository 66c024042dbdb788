"""The package under the original's name, put there by anyone; each case in an interpreter of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

CHECK = """
from grapheteria import Node, Edge, WorkflowEngine, WorkflowStatus, NodeStatus, ExecutionState
from grapheteria.utils import FileSystemStorage, SQLiteStorage, StorageBackend, path_to_id, id_to_path
import core.grapheteria as ours, core.grapheteria.utils as our_utils, core.sdk
assert (Node, WorkflowEngine) == (ours.Node, ours.WorkflowEngine)
assert core.sdk.Node is Node
assert FileSystemStorage is ours.FileSystemStorage is our_utils.FileSystemStorage
assert SQLiteStorage is ours.SQLiteStorage is our_utils.SQLiteStorage
assert issubclass(SQLiteStorage, StorageBackend)
class Mine(Node): pass
assert core.sdk.Node.registry["Mine"] is Mine
WorkflowEngine(nodes=[Mine("a")], storage_backend=SQLiteStorage("x.db"))
"""

WAYS = {
    "both modules": "import core.grapheteria.utils, sys\n"
    "sys.modules['grapheteria'] = core.grapheteria\n"
    "sys.modules['grapheteria.utils'] = core.grapheteria.utils\n",
    "the package alone": "import core.grapheteria, sys\nsys.modules['grapheteria'] = core.grapheteria\n",
    "before anything else of ours": "import sys, importlib\n"
    "sys.modules['grapheteria'] = importlib.import_module('core.grapheteria')\n",
}


def run(code: str, folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("way", WAYS)
def test_programs_import_it_as_grapheteria(way: str, tmp_path: Path) -> None:
    run(WAYS[way] + CHECK, tmp_path)


def test_it_imports_and_runs_with_the_standard_library_alone(tmp_path: Path) -> None:
    run(
        "import sys\n"
        "sys.modules['orjson'] = None\n"
        "sys.modules['grapheteria'] = __import__('core.grapheteria').grapheteria\n" + CHECK + "import asyncio\n"
        "class Sets(Node):\n"
        "    def cleanup(self, shared, prepared, result): shared['t'] = (1, 2)\n"
        "engine = WorkflowEngine(nodes=[Sets('a')])\n"
        "asyncio.run(engine.run())\n"
        "assert engine.execution_state.shared == {'t': [1, 2]}\n"
        "known = sys.stdlib_module_names | {'core', 'orjson', 'grapheteria'}\n"
        "others = {name.partition('.')[0] for name in sys.modules} - known\n"
        "assert not {name for name in others if not name.startswith('_')}, others\n",
        tmp_path,
    )


def test_importing_it_loads_no_database_driver_and_importing_core_nothing(tmp_path: Path) -> None:
    run("import sys, core.grapheteria.utils\nassert 'sqlite3' not in sys.modules", tmp_path)
    run("import sys, core\nassert [n for n in sys.modules if n.startswith('core')] == ['core']", tmp_path)
