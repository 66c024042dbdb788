from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest
from engine_side import alive

from core.runner import process_tree
from core.runner.process_tree import children_of, kill_tree, start_ticks

TREE = "sh -c 'sleep 600 & sleep 600 & wait' & sh -c 'setsid sleep 600 & wait' & echo ready; wait"


@pytest.fixture(params=["kernel's lists", "every process", "ps"])
def way_to_find(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """All ways to find children: not every kernel keeps lists, not every system has /proc."""
    if request.param != "kernel's lists":
        monkeypatch.setattr(process_tree, "_HAS_CHILDREN", False)
    if request.param == "ps":
        if shutil.which("ps") is None:
            pytest.skip("no ps here")
        monkeypatch.setattr(process_tree, "_HAS_PROC", False)


def below(pid: int) -> list[int]:
    return [found for child in children_of(pid) for found in (child, *below(child))]


def start_tree() -> tuple[subprocess.Popen[str], list[int]]:
    tree = subprocess.Popen(["sh", "-c", TREE], stdout=subprocess.PIPE, text=True)
    assert tree.stdout is not None
    tree.stdout.readline()
    while len(found := below(tree.pid)) < 5:
        pass
    return tree, found


@pytest.mark.usefixtures("way_to_find")
def test_a_tree_is_killed_from_the_root_to_the_last_leaf() -> None:
    tree, found = start_tree()
    assert kill_tree(tree.pid)
    assert not any(alive(pid) for pid in found)
    assert tree.wait() == -9


@pytest.mark.usefixtures("way_to_find")
def test_a_root_can_be_spared() -> None:
    tree, found = start_tree()
    assert kill_tree(tree.pid, spare_root=True)
    assert not any(alive(pid) for pid in found)
    assert tree.wait() == 0


def test_a_stopped_tree_is_killed_too() -> None:
    tree, found = start_tree()
    for pid in found:
        os.kill(pid, 19)
    assert kill_tree(tree.pid)
    assert not any(alive(pid) for pid in found)
    tree.wait()


@pytest.mark.usefixtures("way_to_find")
def test_a_process_that_is_gone_has_no_start() -> None:
    done = subprocess.Popen([sys.executable, "-S", "-c", ""])
    done.wait()
    assert start_ticks(done.pid) is None
    assert start_ticks(0) is None
    assert start_ticks(os.getpid()) == start_ticks(os.getpid())
    assert children_of(done.pid) == []
    assert kill_tree(done.pid)
