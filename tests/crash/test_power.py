"""The power is cut at any moment of a real engine's life: what was acknowledged is there afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash import power

REASON = power.missing_tool()


@pytest.mark.skipif(bool(REASON), reason=REASON)
@pytest.mark.parametrize(("steps", "cuts"), [(60, 60), pytest.param(900, 1500, marks=pytest.mark.long)])
async def test_a_power_cut_loses_nothing_that_was_acknowledged(tmp_path: Path, steps: int, cuts: int) -> None:
    files = await power.record(tmp_path, steps)
    result = power.cut_everywhere(files, tmp_path / "cut", 1, cuts // 3)
    print(result)
    assert (result.missing, result.damaged) == ([], [])
    assert result.cuts >= cuts
    assert result.acknowledged == 4 * (steps // 4 + 1)


@pytest.mark.skipif(bool(REASON), reason=REASON)
async def test_a_disk_that_only_says_it_has_synced_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = await power.record(tmp_path, 16)
    monkeypatch.setattr(power.Content, "sync", lambda content: None)
    result = power.cut_everywhere(files, tmp_path / "cut", 1, 10)
    assert result.missing or result.damaged
