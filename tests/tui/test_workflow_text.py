"""What the table and the pane say of a workflow."""

from __future__ import annotations

import pytest
from engine_double import NOW, EngineDouble
from hypothesis import given
from hypothesis import strategies as st

from core.link.types import RunRow
from core.link.workflow_types import FindingView, WorkflowRow
from tui.filtering import keep, matched
from tui.workflow_text import finding_place, history_spans, input_names, node_path, row_remark, worst_first


def row(**fields: object) -> WorkflowRow:
    plain = {"name": "w", "description": "", "version": "v", "approved": True, "nodes": 1, "edges": 0, "findings": []}
    return WorkflowRow(**{**plain, **fields})  # type: ignore[arg-type]


def finding(severity: str, code: str = "E1", **fields: object) -> FindingView:
    return FindingView(code=code, severity=severity, message="Something is off.", **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("nodes", "edges", "path"),
    [
        (["a", "b", "c"], None, "a → b → c"),
        (["a", "b", "c"], [("a", "b"), ("b", "a"), ("b", "c")], "a ⇄ b → c"),
        (["a"], [], "a"),
        (["a"], [("a", "a")], "a"),
        (["a", "b", "c", "d"], [("a", "b"), ("a", "c"), ("c", "d")], "a → c → d  + 1 beside"),
        (["a", "b"], [("a", "nowhere"), ("a", "b")], "a → b"),
        ([], [], ""),
    ],
)
def test_the_way_through_the_nodes(nodes: list[str], edges: list[tuple[str, str]] | None, path: str) -> None:
    detail = EngineDouble().workflow("w", nodes, edges=edges)  # type: ignore[arg-type]
    assert node_path(detail) == path


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=30))
def test_any_graph_has_a_way(edges: list[tuple[int, int]]) -> None:
    detail = EngineDouble().workflow("w", [f"n{n}" for n in range(8)], edges=[(f"n{a}", f"n{b}") for a, b in edges])
    assert node_path(detail).startswith("n0")


def test_an_error_comes_before_consent_and_consent_before_warnings() -> None:
    assert row_remark(row()) == ("", "")
    assert row_remark(row(findings=[finding("warning")]))[0].startswith("1 warning")
    assert row_remark(row(approved=False, findings=[finding("warning")]))[0] == "! not approved"
    broken = row(approved=False, findings=[finding("warning"), finding("error", "E104", file="nodes.py", line=41)])
    assert row_remark(broken)[0].startswith("E104 nodes.py:41")


def test_findings_say_where() -> None:
    assert finding_place(finding("error", file="nodes.py", line=3)) == "nodes.py:3"
    assert finding_place(finding("error", file="nodes.py")) == "nodes.py"
    assert finding_place(finding("error", node="fetch")) == "fetch"
    assert [f.severity for f in worst_first([finding("note"), finding("error"), finding("warning")])] == [
        "error",
        "warning",
        "note",
    ]


def test_inputs_are_named_with_their_types() -> None:
    detail = EngineDouble().workflow(
        "w",
        ["a"],
        inputs={
            "properties": {"since": {"type": "string", "format": "date"}, "n": {"type": "integer"}},
            "required": ["n"],
        },
    )
    assert input_names(detail) == ["since (date)", "n* (integer)"]


def run_row(status: str, took: float) -> RunRow:
    return RunRow(
        run_id="r",
        short_id="r",
        workflow="w",
        version="v",
        status=status,  # type: ignore[arg-type]
        step=1,
        created_at=NOW - 100,
        started_at=NOW - 100,
        ended_at=NOW - 100 + took,
    )


def test_the_last_runs_are_bars_and_signs() -> None:
    spans = history_spans([run_row("completed", 4), run_row("failed", 1), run_row("completed", 8)], NOW)
    text = "".join(part for part, _ in spans)
    assert text.startswith("last 3  █✗▄")
    assert "median 6.0s" in text


def test_a_workflow_that_never_ran_says_what_to_press() -> None:
    assert "r starts one" in history_spans([], NOW)[0][0]


def test_a_filter_is_fuzzy_and_can_leave_out() -> None:
    names = ["mail_digest", "mail_import", "hello"]
    assert keep(names, "mdig", str) == ["mail_digest"]
    assert keep(names, "!mail", str) == ["hello"]
    assert keep(names, " ", str) == names
    assert keep(names, "!", str) == names
    assert matched("hello", "hl") == {0, 2}
    assert matched("hello", "!h") == frozenset()
