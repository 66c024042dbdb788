"""Processes are killed at named points and at any moment: nothing acknowledged is lost, nothing is done twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.__main__ import table
from tests.crash.campaign import ELSEWHERE, FIRST, Campaign, crash_points, plan

DAILY = 20
"""Kills of each of the two daily campaigns; the points at which a database is made come on top."""


@pytest.mark.parametrize("seed", [0, 1])
async def test_a_killed_process_loses_nothing_and_nothing_is_done_twice(tmp_path: Path, seed: int) -> None:
    outcome = await Campaign(tmp_path, seed, players=12).run(plan(DAILY - len(FIRST), seed))
    assert outcome.sound, table(outcome)


@pytest.mark.long
@pytest.mark.parametrize("seed", [2, 3])
async def test_under_fifty_runs_a_hundred_kills_lose_nothing(tmp_path: Path, seed: int) -> None:
    outcome = await Campaign(tmp_path, seed, players=50).run(plan(100 - len(FIRST), seed))
    print(table(outcome))
    assert outcome.sound, table(outcome)


def test_the_long_kills_reach_every_named_point() -> None:
    points = {point for point in crash_points() if not point.startswith(ELSEWHERE)}
    assert len(points) >= 30
    assert points == {*FIRST, *plan(98, 2), *plan(98, 3)} - {"random"}
