"""The pure parts of the layout, each by its promise."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from core.drawing.channels import Segment, assign_tracks
from core.drawing.columns import Gaps, Item, settle, spread
from core.drawing.parts import neighbourhood
from core.drawing.ranks import Descent, Wire, back_wires, components, row_numbers
from core.flow.graph import EdgeSpec, Graph, NodeSpec


@st.composite
def channels(draw: st.DrawFn) -> list[Segment]:
    """Segments with all columns different above and all different below, in any order."""
    count = draw(st.integers(1, 12))
    columns = st.permutations(range(0, 2 * count, draw(st.sampled_from([1, 2]))))
    tops, bottoms = draw(columns), draw(columns)
    pairs = zip(tops, bottoms, strict=True)
    return [Segment(key, (top,), (bottom,)) for key, (top, bottom) in enumerate(pairs)]


def cells_of(segment: Segment, tracks: int) -> list[tuple[int, int, str]]:
    """The cells of a segment in a channel, rows -1 and `tracks` being the layers; corners are of kind corner."""
    parts = segment.parts or (segment,)
    cells: list[tuple[int, int, str]] = []
    upper, lower = parts[0], parts[-1]
    if segment.straight:
        return [(segment.low, row, "upright") for row in range(-1, tracks + 1)]
    for part in parts:
        cells += [(column, part.track, "level") for column in range(part.low + 1, part.high)]
        cells += [(part.low, part.track, "corner"), (part.high, part.track, "corner")]
    cells += [(segment.tops[0], row, "upright") for row in range(-1, upper.track)]
    cells += [(segment.bottoms[0], row, "upright") for row in range(lower.track + 1, tracks + 1)]
    if len(parts) == 2:
        low, high = sorted((upper.track, lower.track))
        cells += [(upper.bottoms[0], row, "upright") for row in range(low + 1, high)]
    return cells


@given(channels())
def test_lines_of_a_channel_cross_but_never_share_cells(segments: list[Segment]) -> None:
    tracks = assign_tracks(segments)
    seen: dict[tuple[int, int], tuple[int, str]] = {}
    for segment in segments:
        for x, y, kind in cells_of(segment, tracks):
            other = seen.get((x, y))
            crossing = other is not None and {other[1], kind} == {"level", "upright"} and other[0] != segment.key
            assert other is None or crossing, f"{kind} of {segment.key} meets {other} at {(x, y)}"
            if other is None:
                seen[x, y] = (segment.key, kind)


def test_a_ring_of_lines_is_drawn_with_one_line_more() -> None:
    segments = [Segment(0, (0,), (4,)), Segment(1, (4,), (0,))]
    assert assign_tracks(segments) == 3
    assert sum(segment.parts is not None for segment in segments) == 1


@given(
    wishes=st.lists(st.tuples(st.floats(-50, 50), st.sampled_from([1.0, 4.0])), min_size=1, max_size=10),
    gap=st.integers(1, 3),
    slack=st.integers(0, 20),
)
def test_ports_rise_stay_apart_and_stay_inside(wishes: list[tuple[float, float]], gap: int, slack: int) -> None:
    low = -5
    high = low + (len(wishes) - 1) * gap + slack
    numbers = spread(wishes, low, high, gap)
    assert all(low <= number <= high for number in numbers)
    assert all(following - number >= gap for number, following in pairwise(numbers))


def test_ports_that_have_room_stand_where_they_wish() -> None:
    assert spread([(3, 1.0), (8, 1.0), (20, 1.0)], 0, 20, 2) == [3, 8, 20]


@given(st.lists(st.tuples(st.floats(-30, 30), st.integers(0, 6), st.integers(0, 9)), min_size=1, max_size=12))
def test_things_on_a_row_never_touch(things: list[tuple[float, int, int]]) -> None:
    gaps = Gaps(boxes=3, box_line=2, lines=1, ports=1)
    layer = [Item("node" if before else "line", 0, goal, before, before and after) for goal, before, after in things]
    settle([layer], [], gaps)
    ordered = sorted(layer, key=lambda item: item.column)
    for left, right in pairwise(ordered):
        assert right.first - left.last - 1 >= gaps.between(left, right)


@given(st.integers(1, 15).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.tuples(*[st.integers(0, n - 1)] * 2)))))
def test_without_the_lines_back_there_is_no_loop_and_the_start_is_on_top(
    case: tuple[int, list[tuple[int, int]]],
) -> None:
    count, pairs = case
    nodes = [f"n{number}" for number in range(count)]
    wires = [Wire(index, nodes[one], nodes[other], "") for index, (one, other) in enumerate(pairs)]
    back = back_wires(nodes, wires, "n0")
    descents = [
        Descent(wire, wire.target, wire.source) if wire.index in back else Descent(wire, wire.source, wire.target)
        for wire in wires
        if not wire.is_loop
    ]
    rows = row_numbers(nodes, descents, "n0")
    assert rows["n0"] == 0
    assert all(rows[descent.upper] < rows[descent.lower] for descent in descents)
    assert set(rows.values()) == set(range(max(rows.values()) + 1))


def test_only_the_line_that_closes_a_loop_is_a_line_back() -> None:
    wires = [Wire(0, "a", "b", ""), Wire(1, "b", "c", ""), Wire(2, "c", "b", ""), Wire(3, "c", "d", "")]
    assert back_wires(["a", "b", "c", "d"], wires, "a") == {2}


def test_parts_that_hang_together_are_found() -> None:
    assert components(["a", "b", "c", "d"], [("a", "c"), ("d", "b")]) == [["a", "c"], ["b", "d"]]


def test_the_neighbourhood_goes_along_and_against_edges() -> None:
    names = ["a", "b", "c", "d", "e"]
    edges = tuple(EdgeSpec(one, other) for one, other in pairwise(names))
    graph = Graph("line", {name: NodeSpec(name, "Step") for name in names}, edges, "a")
    near = neighbourhood(graph, "c", 1)
    assert list(near.nodes) == ["b", "c", "d"]
    assert near.start == "c"
    assert neighbourhood(graph, "c", 2).start == "a"
