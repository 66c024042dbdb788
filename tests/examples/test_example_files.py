"""The shipped examples as files: clean, complete, and approved by the hashes in the package."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from core.definition.examples import EXAMPLES, example_hashes, example_names, examples_folder, present_hashes
from core.definition.load import load_folder

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_is_clean(name: str) -> None:
    loaded = load_folder(examples_folder() / name)
    assert loaded.findings == []
    assert loaded.runnable
    assert loaded.graph is not None
    assert loaded.graph.description
    assert all(loaded.code.class_of(node.class_name) is not None for node in loaded.graph.nodes.values())


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_has_a_readme_that_says_how_to_run_it(name: str) -> None:
    readme = (examples_folder() / name / "README.md").read_text(encoding="utf-8")
    assert f"rondo run {name}\n" in readme
    assert "What to look at:" in readme


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_class_and_every_module_of_an_example_says_what_it_does(name: str) -> None:
    for file in (examples_folder() / name).glob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        assert ast.get_docstring(tree)
        assert all(ast.get_docstring(node) for node in tree.body if isinstance(node, ast.ClassDef))


def test_the_hashes_in_the_package_are_those_of_the_files() -> None:
    assert example_hashes() == present_hashes(), "an example was changed: run python -m core.definition.examples"
    assert sorted(example_hashes()) == sorted(example_names())


def test_a_copied_example_is_still_the_approved_one_until_it_is_changed(tmp_path: Path) -> None:
    shutil.copytree(examples_folder() / "hello", tmp_path / "hello")
    assert load_folder(tmp_path / "hello").version in example_hashes().values()
    (tmp_path / "hello" / "extra.py").write_text("")
    assert load_folder(tmp_path / "hello").version not in example_hashes().values()


def test_the_sales_file_is_the_one_its_script_makes() -> None:
    made = subprocess.run([sys.executable, ROOT / "tests/examples/make_sales.py"], capture_output=True, check=True)
    assert made.stdout == (examples_folder() / "csv_report" / "sales.csv").read_bytes()


def test_writing_the_hashes_anew_writes_what_is_there(tmp_path: Path) -> None:
    """The command on a copy of the checkout, so that the real file stays as it is."""
    shutil.copytree(ROOT / "core", tmp_path / "core", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "workflows", tmp_path / "workflows", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "workflows" / "hello" / "extra.py").write_text("")
    subprocess.run([sys.executable, "-m", "core.definition.examples"], cwd=tmp_path, check=True)
    written = json.loads((tmp_path / "core" / "definition" / "example_hashes.json").read_text())
    assert {name for name, version in written.items() if version != example_hashes()[name]} == {"hello"}


def test_an_installed_package_finds_the_examples_inside_itself(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "core", tmp_path / "core", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "workflows", tmp_path / "core" / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    code = (
        "from core.definition.examples import *; print(examples_folder()); assert example_hashes() == present_hashes()"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == str(tmp_path / "core" / "examples")
