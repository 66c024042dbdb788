"""Rows that are too narrow for what stands in them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tui.spans import cut_spans, spans_text, spans_width


@given(st.lists(st.tuples(st.text("ab ›界", max_size=8), st.just("")), max_size=6), st.integers(1, 30))
def test_what_is_cut_says_so(spans: list[tuple[str, str]], width: int) -> None:
    cut = cut_spans(spans, width)
    if spans_width(spans) <= width:
        assert spans_text(cut) == spans_text(spans)
    else:
        assert spans_width(cut) == width
        assert spans_text(cut).endswith("…")
