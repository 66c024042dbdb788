"""Run ids."""

from __future__ import annotations

import time
import uuid
from concurrent.futures import ThreadPoolExecutor

from core.identifiers import new_run_id, uuid7


def test_ids_made_one_after_the_other_are_unique_and_sort_as_they_were_made() -> None:
    ids = [new_run_id() for _ in range(20_000)]
    assert len(set(ids)) == len(ids)
    assert ids == sorted(ids)


def test_ids_made_by_several_threads_are_unique() -> None:
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda _: new_run_id(), range(5000)))
    assert len(set(ids)) == len(ids)


def test_an_id_is_a_uuid_of_version_7_with_the_time_in_front() -> None:
    before = time.time_ns() // 1_000_000
    made = uuid7()
    assert made.version == 7
    assert made.variant == uuid.RFC_4122
    assert before <= made.int >> 80 <= time.time_ns() // 1_000_000 + 60_000
