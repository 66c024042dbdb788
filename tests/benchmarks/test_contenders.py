"""The benchmark's own contenders do their work: a figure that nothing stands behind would be worse than none."""

from pathlib import Path

import pytest

from benchmarks import measures
from benchmarks.contenders import FLOOR, OURS, Contender
from benchmarks.contract import visits


@pytest.mark.parametrize("contender", [FLOOR, *OURS], ids=lambda contender: contender.name)
def test_a_chain_is_made_and_read_back(contender: Contender, tmp_path: Path) -> None:
    document = measures.ask(contender, "chain", tmp_path, 20)
    assert document["seconds"] > 0 and document["disk"] > 0 and document["journal"] == "wal"
    read = measures.ask(contender, "read", tmp_path, 20)
    assert read["latest"] > 0 and read["middle"] > 0


@pytest.mark.long
@pytest.mark.parametrize("contender", OURS, ids=lambda contender: contender.name)
def test_work_that_was_killed_is_resumed_without_a_loss(contender: Contender, tmp_path: Path) -> None:
    measures.kill_at(contender, tmp_path, 7)
    before = visits(tmp_path)
    assert before[:7] == list(range(1, 8))
    measures.ask(contender, "resume", tmp_path, measures.KILLED_STEPS)
    ran = visits(tmp_path)
    assert sorted(set(ran)) == list(range(1, measures.KILLED_STEPS + 1))
    assert len(ran) - len(set(ran)) <= 1
