from __future__ import annotations

import importlib
import linecache
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from core.runner.sources import install, private_sources

Import = Callable[[dict[str, str], str], ModuleType]


@pytest.fixture
def import_nodes(tmp_path: Path) -> Iterator[Import]:
    """Imports the `nodes` of sources below a prefix; everything is forgotten afterwards."""
    before, finders = set(sys.modules), list(sys.meta_path)

    def import_below(sources: dict[str, str], prefix: str) -> ModuleType:
        install(private_sources(sources, str(tmp_path), prefix))
        return importlib.import_module(f"{prefix}.nodes")

    yield import_below
    sys.meta_path[:] = finders
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_two_versions_live_side_by_side(import_nodes: Import) -> None:
    def sources(word: str) -> dict[str, str]:
        return {
            "nodes.py": "import helpers, lib.a as a\nfrom lib import b\n"
            "from helpers import WORD as again\nimport lib.c\n"
            "words = [helpers.WORD, a.WORD, b.WORD, again, lib.c.WORD]\n"
            "def later():\n    import late\n    return late.WORD",
            "helpers.py": f"WORD = {word!r}",
            "late.py": "from helpers import WORD",
            "lib/a.py": "from helpers import WORD",
            "lib/b.py": "from .a import WORD",
            "lib/c.py": "import lib.b\nWORD = lib.b.WORD",
        }

    one, two = import_nodes(sources("one"), "private_one"), import_nodes(sources("two"), "private_two")
    assert one.words == ["one"] * 5
    assert two.words == ["two"] * 5
    assert (one.later(), two.later()) == ("one", "two")
    assert "helpers" not in sys.modules
    assert one.__file__ == two.__file__


def test_tracebacks_show_the_stored_lines(import_nodes: Import, tmp_path: Path) -> None:
    (tmp_path / "nodes.py").write_text("another text\n" * 5)
    nodes = import_nodes({"nodes.py": "def f():\n    return 1 / 0  # stored line\n"}, "private_trace")
    with pytest.raises(ZeroDivisionError) as caught:
        nodes.f()
    linecache.checkcache()
    assert "# stored line" in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("text", ["\ufeffWORD = 'é'", "# -*- coding: latin-1 -*-\nWORD = 'é'", "\r\nWORD = 'é'\r\n"])
def test_the_text_counts_and_not_how_the_file_was_encoded(import_nodes: Import, text: str) -> None:
    assert import_nodes({"nodes.py": text}, "private_text").WORD == "é"


def test_a_folders_own_init_is_not_run(import_nodes: Import) -> None:
    sources = {"nodes.py": "WORD = 1", "__init__.py": "raise RuntimeError"}
    assert import_nodes(sources, "private_init").WORD == 1


def test_installed_and_standard_modules_are_found_as_ever(import_nodes: Import) -> None:
    nodes = import_nodes({"nodes.py": "import json, os.path\nfrom collections import abc"}, "private_standard")
    assert nodes.json is importlib.import_module("json")
    assert nodes.os is importlib.import_module("os")
