"""The waits between tries."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.sdk.retry import LONGEST_WAIT, pause_after

SECONDS = st.floats(0, 1e6)


def test_waits_grow_and_end_at_the_longest() -> None:
    waits = [pause_after(tries, wait=1, backoff=3, max_wait=20) for tries in range(1, 6)]
    assert waits == [1, 3, 9, 20, 20]
    assert [pause_after(tries, wait=8, backoff=0.5) for tries in (1, 2, 3)] == [8, 4, 2]
    assert pause_after(10_000, wait=1, backoff=10) == LONGEST_WAIT
    assert pause_after(10_000, wait=0, backoff=10) == 0


@pytest.mark.parametrize(("draw", "seconds"), [(0.0, 7.5), (0.5, 10.0), (0.75, 11.25)])
def test_jitter_makes_a_wait_shorter_or_longer_by_its_part(draw: float, seconds: float) -> None:
    assert pause_after(1, wait=10, jitter=0.25, draw=draw) == seconds


@given(
    tries=st.integers(1, 5000),
    wait=SECONDS,
    backoff=st.floats(1e-3, 1e3),
    jitter=st.floats(0, 1),
    max_wait=st.none() | SECONDS,
    draw=st.floats(0, 1, exclude_max=True),
)
def test_no_wait_is_negative_or_longer_than_the_longest(
    tries: int, wait: float, backoff: float, jitter: float, max_wait: float | None, draw: float
) -> None:
    seconds = pause_after(tries, wait=wait, backoff=backoff, jitter=jitter, max_wait=max_wait, draw=draw)
    assert 0 <= seconds <= (LONGEST_WAIT if max_wait is None else max_wait)
