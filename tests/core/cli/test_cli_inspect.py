"""`break`, `why`, `output`, `logs` with its filters: called on a real engine of their own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from core.cli.edits import parse_path
from core.engine.engine import Engine
from core.engine.inline import InlinePool
from core.link.engine_types import ClientInfo
from core.places import Workspace

Rondo = Callable[..., Any]

SOURCE = """
from pathlib import Path

from core.sdk import Node


class Fetch(Node):
    def cleanup(self, shared, prepared, result):
        shared["mails"] = [{"id": 1}, {"id": 2}]
        shared["digest"] = {"title": "none", "score": 0}


class Score(Node):
    def execute(self, prepared):
        if not Path("asked").exists():
            Path("asked").touch()
            raise ValueError("low score")

    def cleanup(self, shared, prepared, result):
        shared["digest"]["score"] = 62


class Report(Node):
    def execute(self, prepared):
        self.output_dir.mkdir(parents=True, exist_ok=True)
        (self.output_dir / "report.md").write_text("# Größe\\n")
        (self.output_dir / "raw.bin").write_bytes(bytes(range(256)))
"""


@pytest.fixture
def real(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A workspace whose engine runs for the length of each call, with a workflow `mail`."""

    async def connect(at: Workspace, **_: Any) -> Engine:
        engine = Engine(at, pool=InlinePool(), consent=True)
        await engine.start()
        await engine.hello(ClientInfo(kind="cli", app_version="test"))
        return engine

    monkeypatch.setattr("core.link.start.connect", connect)
    (workspace / "runs").mkdir()
    folder = workspace / "workflows" / "mail"
    folder.mkdir()
    (folder / "nodes.py").write_text(SOURCE)
    nodes = ["Fetch", "Score", "Report"]
    graph = {
        "nodes": [{"id": node.lower(), "class": node, "retry": {"attempts": 2, "wait": 0}} for node in nodes],
        "edges": [{"from": a.lower(), "to": b.lower()} for a, b in pairwise(nodes)],
    }
    (folder / "mail.json").write_text(json.dumps(graph))
    with capture_logs():
        yield workspace


def run(rondo: Rondo) -> Any:
    return rondo("run", "mail", "--json").document


def test_a_breakpoint_pauses_runs_and_says_how_to_go_on(real: Path, rondo: Rondo) -> None:
    (found,) = rondo("break", "mail", "report", "--json").document["breakpoints"]
    assert (found["workflow"], found["node"], found["run_id"]) == ("mail", "report", None)
    outcome = rondo("run", "mail")
    assert "‖ paused" in outcome.out and "breakpoint before report" in outcome.out
    paused = rondo("runs", "--json").document[0]
    assert f"rondo resume {paused['short_id']}" in outcome.err
    shown = rondo("show", paused["run_id"], "--json").document
    assert (shown["status"], shown["next_node"], shown["pause_reason"]) == (
        "paused",
        "report",
        "breakpoint before report",
    )
    assert "breakpoint before report" in rondo("show", paused["run_id"]).out
    done = rondo("resume", paused["run_id"], "--json").document
    assert (done["status"], done["pause_reason"]) == ("completed", None)


def test_breakpoints_are_listed_and_taken_away(real: Path, rondo: Rondo) -> None:
    assert "rondo break NAME NODE" in rondo("break").err
    rondo("break", "mail", "score")
    paused = run(rondo)
    rondo("break", paused["run_id"], "report")
    table = rondo("break").out
    assert "◆ score" in table and "all" in table
    assert "◆ report" in table and paused["short_id"] in table
    assert len(rondo("break", paused["short_id"], "--json").document["breakpoints"]) == 2
    assert [b["node"] for b in rondo("break", "mail", "--clear", "--json").document["breakpoints"]] == ["report"]
    assert rondo("resume", paused["run_id"], "--json").document["pause_reason"] == "breakpoint before report"
    assert rondo("break", paused["run_id"], "report", "--clear", "--json").document == {"breakpoints": []}


@pytest.mark.parametrize(
    ("words", "kind"),
    [(("mail", "nowhere"), "UnknownNode"), (("nothing", "score"), "UnknownRun"), (("nothing",), "UnknownRun")],
)
def test_a_breakpoint_nowhere_is_wrong_usage(real: Path, rondo: Rondo, words: tuple[str, ...], kind: str) -> None:
    outcome = rondo("break", *words, "--json")
    assert (outcome.code, outcome.document["error"]["type"]) == (2, kind)


def test_why_names_the_steps_that_wrote_a_value(real: Path, rondo: Rondo) -> None:
    run_id = run(rondo)["run_id"]
    document = rondo("why", run_id, "digest.score", "--json").document
    assert (document["path"], document["value"], document["more"]) == (["digest", "score"], "62", False)
    assert [(w["step"], w["node"], w["op"], w["value"], w["with_path"]) for w in document["writes"]] == [
        (2, "score", "set", "62", ["digest", "score"]),
        (1, "fetch", "set", "0", ["digest"]),
    ]
    assert rondo("why", run_id, "digest.score", "--step", "1", "--json").document["value"] == "0"
    newest = rondo("why", run_id, "digest.score", "--limit", "1", "--json").document
    assert ([write["step"] for write in newest["writes"]], newest["more"]) == ([2], True)
    out = rondo("why", run_id, "shared['digest']").out
    assert "changed inside" in out and "['score'] = 62" in out
    assert "set with shared['mails']" in rondo("why", run_id, "mails[1].id").out
    missing = rondo("why", run_id, "nothing", "--json")
    assert (missing.code, missing.document["error"]["type"]) == (2, "UsageError")


@pytest.mark.parametrize("text", ["shared['a'][0]['b c']", 'a[0]["b c"]', "['a'][0]['b c']"])
def test_a_place_is_written_as_it_is_shown_or_shorter(text: str) -> None:
    assert parse_path(text) == ["a", 0, "b c"]


def test_a_key_named_shared_is_a_key() -> None:
    assert parse_path("shared.x") == ["shared", "x"]
    assert parse_path("shared[0]") == ["shared", 0]


def test_the_files_of_a_run_are_listed_and_printed(real: Path, rondo: Rondo) -> None:
    run_id = run(rondo)["run_id"]
    document = rondo("output", run_id, "--json").document
    assert [(file["path"], file["size"]) for file in document["files"]] == [("raw.bin", 256), ("report.md", 10)]
    assert Path(document["folder"]) == real / "runs" / "output" / run_id
    assert "report.md" in rondo("output", run_id).out
    assert rondo("output", run_id, "report.md", "--json").document["text"] == "# Größe\n"
    assert rondo("output", run_id, "raw.bin", "--json").document["text"] is None
    missing = rondo("output", run_id, "../../rondo.db", "--json")
    assert (missing.code, missing.document["error"]["type"]) == (2, "UsageError")


def test_a_run_without_files_says_where_they_would_be(real: Path, rondo: Rondo) -> None:
    rondo("break", "mail", "report")
    outcome = rondo("output", run(rondo)["run_id"])
    assert (outcome.code, outcome.out) == (0, "")
    assert "runs/output" in outcome.err


def test_logs_are_filtered_by_level_node_and_text(real: Path, rondo: Rondo) -> None:
    run_id = run(rondo)["run_id"]

    def texts(*words: str) -> list[str]:
        return [line["text"] for line in rondo("logs", run_id, *words, "--json").document["lines"]]

    failed = ["attempt 1 failed: ValueError: low score"]
    assert texts("--level", "warning") == failed
    assert texts("--search", "REPORT") == ["score → report"]
    assert texts("--node", "score", "--level", "error") == failed
    assert "fetch → score" not in rondo("logs", run_id, "--node", "score").out
    wrong = rondo("logs", run_id, "--level", "loud", "--json")
    assert (wrong.code, wrong.document["error"]["type"]) == (2, "UsageError")


def test_a_log_is_written_into_a_new_file_only(real: Path, rondo: Rondo) -> None:
    run_id = run(rondo)["run_id"]
    count = len(rondo("logs", run_id, "--json").document["lines"])
    document = rondo("logs", run_id, "-o", "run.log", "--json").document
    assert (document["file"], document["lines"]) == ("run.log", count)
    lines = (real / "run.log").read_text().splitlines()
    assert len(lines) == count
    assert any(line.endswith("ERROR   score          attempt 1 failed: ValueError: low score") for line in lines)
    again = rondo("logs", run_id, "-o", "run.log", "--json")
    assert (again.code, again.document["error"]["type"]) == (2, "UsageError")
    assert "1 line in errors.log" in rondo("logs", run_id, "--level", "error", "-o", "errors.log").out
