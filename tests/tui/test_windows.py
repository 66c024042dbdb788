"""Windows on many rows: always a stretch without gaps, never more than they may hold."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core.link.types import StepView
from tui.step_rows import CAPACITY, StepRows
from tui.window import Window


def window(capacity: int = 20) -> Window[int]:
    return Window(lambda row: row, capacity)


@given(st.lists(st.tuples(st.sampled_from(["older", "newer", "first", "last"]), st.integers(1, 12)), max_size=40))
def test_a_window_moves_over_the_rows_without_gaps(moves: list[tuple[str, int]]) -> None:
    total = 200
    rows = list(range(1, total + 1))
    shown = window()
    shown.replace(rows[-10:], at_start=False, at_end=True)
    for move, count in moves:
        if move == "older":
            before = rows[max(0, shown.first - 1 - count) : shown.first - 1]
            shown.prepend(before, at_start=not before or before[0] == 1)
        elif move == "newer":
            after = rows[shown.last : shown.last + count]
            shown.append(after, at_end=not after or after[-1] == total)
        elif move == "first":
            shown.replace(rows[:count], at_start=True, at_end=count >= total)
        else:
            shown.replace(rows[-count:], at_start=count >= total, at_end=True)
        assert shown.rows == list(range(shown.first, shown.last + 1))
        assert len(shown) <= 20
        assert not (shown.at_start and shown.first > 1)
        assert not (shown.at_end and shown.last < total)


@given(st.lists(st.integers(1, 500), unique=True, min_size=1).map(sorted), st.integers(1, 500))
def test_a_row_is_found_by_its_number(rows: list[int], number: int) -> None:
    shown = window(500)
    shown.replace(rows, at_start=True, at_end=True)
    place = shown.index_of(number)
    if number < rows[0] or number > rows[-1]:
        assert place is None
    else:
        assert place is not None
        assert rows[place] == max(row for row in rows if row <= number)


def test_rows_that_came_twice_are_shown_once() -> None:
    shown = window()
    shown.append([1, 2, 3], at_end=True)
    shown.append([2, 3, 4], at_end=True)
    shown.prepend([1, 2], at_start=True)
    assert shown.rows == [1, 2, 3, 4]


# Steps ---------------------------------------------------------------------------------------------------------------


def attempt(step: int | None, node: str = "a", visit: int = 1, number: int = 1, status: str = "completed") -> StepView:
    return StepView(
        step=step, node=node, visit=visit, attempt=number, status=status, started_at=0.0, ended_at=1.0, next_node=None
    )


def history(steps: int, failures: set[int]) -> list[StepView]:
    """`steps` completed visits; those in `failures` failed once before."""
    rows = []
    for step in range(1, steps + 1):
        if step in failures:
            rows.append(attempt(None, visit=step, number=1, status="failed"))
        rows.append(attempt(step, visit=step, number=2 if step in failures else 1))
    return rows


def page(rows: list[StepView], after: int, limit: int) -> tuple[list[StepView], bool]:
    """What the engine gives for `read_steps(after, limit)`."""
    chosen = []
    seq = 0
    for row in rows:
        if seq >= after and seq - after < limit:
            chosen.append(row)
        seq = row.step or seq
    return chosen, seq - after > limit


@given(st.integers(1, 60), st.sets(st.integers(1, 60)), st.lists(st.integers(1, 60), max_size=12))
def test_steps_that_are_read_while_they_happen_come_out_whole(total: int, failures: set[int], reads: list[int]) -> None:
    rows = history(total, failures)
    loaded = StepRows()
    for seen in sorted(min(read, total) for read in [*reads, total]):
        so_far = history(seen, failures)
        part, more = page(so_far, loaded.last_step, 400)
        loaded.extend(loaded.last_step, part, seen, more=more)
    assert loaded.rows == rows
    assert loaded.total == total
    assert loaded.at_end


@given(st.integers(1, 60), st.sets(st.integers(1, 60)), st.integers(0, 59))
def test_older_steps_join_without_a_seam(total: int, failures: set[int], begin: int) -> None:
    rows = history(total, failures)
    begin = min(begin, total - 1)
    loaded = StepRows()
    part, more = page(rows, begin, 400)
    loaded.replace(begin, part, total, more=more)
    older, _ = page(rows, 0, begin)
    added = loaded.prepend(0, older)
    assert added == len(older)
    assert loaded.rows == rows


def test_many_steps_do_not_pile_up() -> None:
    rows = history(CAPACITY * 3, {5, 1999, 2000, 2001, 4000})
    loaded = StepRows()
    for after in range(0, CAPACITY * 3, 400):
        part, more = page(rows, after, 400)
        loaded.extend(after, part, CAPACITY * 3, more=more)
    assert len(loaded.rows) <= CAPACITY
    assert loaded.rows == rows[-len(loaded.rows) :]
    assert loaded.rows[0].step == loaded.after + 1 or loaded.rows[0].step is None


def test_an_attempt_shows_the_state_before_it() -> None:
    loaded = StepRows()
    loaded.replace(0, [attempt(1), attempt(None, "b", status="failed"), attempt(2, "b", number=2)], 2, more=False)
    assert [loaded.state_step(place) for place in range(3)] == [1, 1, 2]
    assert [loaded.number(place) for place in range(3)] == [1, 2, 2]
    assert [loaded.begins_visit(place) for place in range(3)] == [True, True, False]
    assert [loaded.tried_before(place) for place in range(3)] == [False, True, True]
    assert loaded.place_of_step(2) == 2
