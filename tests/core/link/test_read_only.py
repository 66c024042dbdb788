"""The engine itself refuses what a read-only client may not do."""

from __future__ import annotations

import pytest

from core.link.messages import engine_methods, may_change
from core.link.retention_types import Prune


@pytest.mark.parametrize("method", ["list_runs", "get_run", "read_logs", "hello", "doctor", "approval"])
def test_looking_changes_nothing(method: str) -> None:
    assert method in engine_methods()
    assert not may_change(method, {})


@pytest.mark.parametrize("method", ["start_run", "answer", "stop_engine", "trust_workspace", "rerun"])
def test_everything_else_may_change_something(method: str) -> None:
    assert method in engine_methods()
    assert may_change(method, {})


def test_a_dry_run_of_prune_only_looks() -> None:
    assert may_change("prune", {"prune": Prune(command_id="c")})
    assert not may_change("prune", {"prune": Prune(command_id="c", dry_run=True)})
