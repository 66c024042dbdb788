"""kill -9 at any moment loses nothing that was acknowledged and keeps no half of a group."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import orjson
import pytest

from core.store.store import Store

SCRIPT = Path(__file__).with_name("committing.py")


def kill_while_committing(path: Path, acknowledgements: int) -> dict[int, int]:
    """Let a program commit and kill it after that many acknowledgements; return the last one of each run."""
    seen: dict[int, int] = {}
    with subprocess.Popen([sys.executable, str(SCRIPT), str(path)], stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        for _ in range(acknowledgements):
            line = program.stdout.readline()
            assert line.endswith("\n"), "the program ended by itself"
            note(seen, line)
        program.kill()
        # What it had written before the end was acknowledged too.
        for line in program.stdout:
            if line.endswith("\n"):
                note(seen, line)
    return seen


def note(seen: dict[int, int], line: str) -> None:
    run, seq = map(int, line.split())
    assert seq > seen.get(run, 0), "acknowledgements came out of order"
    seen[run] = seq


async def check(path: Path, acknowledged: dict[int, int]) -> None:
    """Open the database as the next engine does and compare."""
    store = await asyncio.to_thread(lambda: Store.open(path, check=True))
    await store.start_reads()
    for record in await store.runs():
        assert record.line is not None
        last = await store.step_total(record.line)
        assert last >= acknowledged.get(record.number, 0)
        if last:
            assert record.node == f"node{last}"
            rows, last_row = await store.logs(record.number, limit=last + 1)
            assert last_row == last and [row.text for row in rows] == [f"step {n}" for n in range(1, last + 1)]
            _, text = await store.state_at(record.line)
            assert orjson.loads(text) == {"text": f"{last:06d}" * 1000, "n": last}
    await store.close()


def kill_and_check(path: Path, rounds: Iterable[int]) -> None:
    total = 0
    for acknowledgements in rounds:
        acknowledged = kill_while_committing(path, acknowledgements)
        total += len(acknowledged)
        asyncio.run(check(path, acknowledged))
    assert total > 0


def test_a_killed_program_loses_nothing_it_had_acknowledged(path: Path) -> None:
    generator = random.Random()
    kill_and_check(path, [1, *(generator.randrange(2, 400) for _ in range(7))])


@pytest.mark.long
@pytest.mark.parametrize("number", range(15))
def test_a_killed_program_loses_nothing_whenever_it_is_killed(path: Path, number: int) -> None:
    generator = random.Random()
    kill_and_check(path, [generator.randrange(1, 600) for _ in range(10)])
