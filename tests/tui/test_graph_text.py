"""The pane beside a graph: what it says of a node."""

from __future__ import annotations

from engine_double import EngineDouble
from test_graph_run import question, run_view, step, trail_of

from core.link.types import ErrorView, InFlight
from core.link.workflow_types import FindingView, NodeView
from tui.graph_run import RunTrail
from tui.graph_text import code_spans, node_lines
from tui.spans import spans_text, spans_width

WIDTH = 44


def said(detail, node: str, trail: RunTrail | None = None, run=None, width: int = WIDTH) -> list[str]:
    view = next(view for view in detail.nodes if view.id == node)
    return [spans_text(line.spans).rstrip() for line in node_lines(detail, view, trail, run, width)]


def critic_workflow(double: EngineDouble):
    detail = double.workflow(
        "w",
        ["draft", "critic", "post"],
        edges=[
            ("draft", "critic"),
            ("critic", "draft", "shared['score'] <= 80"),
            ("critic", "post", "shared['score'] > 80"),
            ("critic", "post"),
        ],
    )
    critic = detail.nodes[1]
    critic.config = {"min_score": 80, "tone": "kind"}
    critic.retry = {"attempts": 2, "wait": 1.0, "backoff": 2.0}
    critic.timeout = 60.0
    critic.doc = "Scores the draft.\n\nMore of it."
    return detail


def test_class_place_settings_and_edges_are_told(double: EngineDouble) -> None:
    rows = said(critic_workflow(double), "critic")
    assert rows[0] == "class   Critic   nodes.py:24"
    assert rows[1] == "        Scores the draft."
    assert rows[2:4] == ["config  min_score 80", "        tone      kind"]
    assert rows[4] == "retry   2 attempts, wait 1.0s, each wait ×2"
    assert rows[5] == "rules   timeout 1:00"
    assert "edges   → draft" in rows
    assert "          if shared['score'] <= 80" in rows
    assert "from    ← draft" in rows
    assert any("class Critic(Node):" in row for row in rows)


def test_conditions_tell_what_they_came_to_in_the_run(double: EngineDouble) -> None:
    detail = critic_workflow(double)
    trail = trail_of(
        step(1, "draft", next_node="critic", reason="default"),
        step(2, "critic", next_node="draft", reason="edge", condition="shared['score'] <= 80"),
        step(3, "draft", 2, next_node="critic", reason="default"),
        step(
            4,
            "critic",
            2,
            next_node="post",
            reason="edge",
            condition="shared['score'] > 80",
            edge_errors={"draft: shared['score'] <= 80": "KeyError: 'score'"},
        ),
    )
    rows = said(detail, "critic", trail, run_view("completed"))
    assert "run     ✓ 1.0s   visit 2" in rows
    assert "edges   → draft   was error   taken 1×" in rows
    assert "          KeyError: 'score'" in rows
    assert "        → post   was yes   taken 1×" in rows
    assert "        → post   else" in rows
    assert "edges   → critic   taken 2×" in said(detail, "draft", trail, run_view("completed"))


def test_a_node_the_run_has_not_reached_says_so(double: EngineDouble) -> None:
    assert "run     not reached yet" in said(critic_workflow(double), "post", trail_of(), run_view("running"))


def test_a_running_node_tells_visit_and_attempt(double: EngineDouble) -> None:
    run = run_view("running", in_flight=[InFlight(node="critic", visit=2, attempt=3, started_at=0)])
    trail = trail_of(step(1, "critic"))
    assert "run     ● running   visit 2   attempt 3   last 1.0s" in said(critic_workflow(double), "critic", trail, run)


def test_a_waiting_node_shows_the_beginning_of_its_question(double: EngineDouble) -> None:
    request = question("critic")
    request.prompt = "\n".join(f"line {number}" for number in range(10))
    rows = said(critic_workflow(double), "critic", trail_of(), run_view("waiting_input", open_requests=[request]))
    assert "run     ◐ waiting" in rows
    assert "        line 0" in rows
    assert "        line 5" not in rows


def test_a_failed_node_shows_its_error(double: EngineDouble) -> None:
    error = ErrorView(type="ValueError", message="no such date: yesterday", node="critic")
    run = run_view("failed", error=error, next_node="critic")
    rows = said(critic_workflow(double), "critic", trail_of(), run)
    assert "run     ✗ failed" in rows
    assert "        ValueError: no such date: yesterday" in rows


def test_a_choice_of_the_node_itself_is_told(double: EngineDouble) -> None:
    trail = trail_of(step(1, "critic", next_node="post", reason="goto"))
    assert any(
        "the node chose post itself" in row
        for row in said(critic_workflow(double), "critic", trail, run_view("running"))
    )


def test_findings_of_the_node_come_with_their_hint(double: EngineDouble) -> None:
    detail = critic_workflow(double)
    finding = FindingView(
        code="E104", severity="error", message="No class Critic.", file="nodes.py", line=4, node="critic"
    )
    finding.hint = "Did you mean Critique?"
    detail.findings = [finding, FindingView(code="W1", severity="warning", message="Other.", node="draft")]
    rows = said(detail, "critic")
    assert any("E104" in row and "nodes.py:4" in row for row in rows)
    assert "  Did you mean Critique?" in rows
    assert not any("Other." in row for row in rows)


def test_code_is_told_apart_and_loses_nothing() -> None:
    source = "\n".join(
        [
            "class A(Node):",
            '    """Says "hi".',
            "",
            "    # not a comment",
            '    """',
            "    x = f'{1}'  # why",
            "    def go(self):",
            "        return None",
        ]
    )
    rows = code_spans(source)
    assert "\n".join(spans_text(row) for row in rows) == source
    inks = {(text.strip(), ink) for row in rows for text, ink in row}
    assert ("class", "key") in inks
    assert ("# not a comment", "added") in inks
    assert ("# why", "dim") in inks
    assert ("return", "key") in inks


def test_control_characters_of_a_workflow_are_made_visible(double: EngineDouble) -> None:
    detail = double.workflow("w", ["a", "b"], edges=[("a", "b", "shared['\x1b[31m']")])
    detail.nodes[0] = NodeView(
        id="a", class_name="A\x1b", config={"k\x07": "v\x1b]0;"}, file="n\x1b.py", source="x = '\x1b'", doc="d\x1b"
    )
    assert not any("\x1b" in row or "\x07" in row for row in said(detail, "a"))


def test_all_but_the_source_fits_the_width(double: EngineDouble) -> None:
    detail = critic_workflow(double)
    detail.nodes[1].config = {"prompt": "a very long prompt " * 20, "a_very_long_name_of_a_setting_indeed": [1] * 80}
    detail.nodes[1].source = ""
    view = detail.nodes[1]
    for width in (36, 44, 80):
        lines = node_lines(detail, view, None, None, width)
        assert max(spans_width(line.spans) for line in lines) <= width
