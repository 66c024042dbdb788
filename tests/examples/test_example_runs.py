"""The shipped examples, run whole: what they leave in the state and in their output folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sales_oracle import expected_numbers, expected_report, report_numbers

from core import TaskOrchestrator
from core.definition.examples import examples_folder
from core.errors import InvalidInput


@pytest.fixture
def orchestrator(tmp_path: Path) -> Iterator[TaskOrchestrator]:
    with TaskOrchestrator(workflows_dir=examples_folder(), storage_dir=tmp_path / "runs") as made:
        yield made


def output(tmp_path: Path, name: str) -> str:
    """The text of the one file of that name that a run wrote."""
    (path,) = (tmp_path / "runs" / "output").glob(f"*/{name}")
    return path.read_text(encoding="utf-8")


async def test_hello_asks_and_greets(orchestrator: TaskOrchestrator) -> None:
    waiting = await orchestrator.run_workflow("hello")
    assert waiting["status"] == "waiting_input"
    assert waiting["awaiting_input"]["request_id"] == "name"
    assert waiting["awaiting_input"]["input_type"] == "text"
    done = await orchestrator.run_workflow("hello", run_id=waiting["run_id"], input_data={"name": " Ada "})
    assert done["status"] == "completed"
    assert done["shared_state"] == {"name": "Ada", "greeting": "Hello, Ada!"}


async def test_csv_report_counts_what_an_independent_reader_counts(
    orchestrator: TaskOrchestrator, tmp_path: Path
) -> None:
    done = await orchestrator.run_workflow("csv_report")
    assert done["status"] == "completed", done["error"]
    expected = expected_numbers(examples_folder() / "csv_report" / "sales.csv")
    state = done["shared_state"]
    assert {key: state[key] for key in expected} == expected
    assert state["quality"]["left_out"] > 50
    assert state["quality"]["refunds"] > 50
    assert state["totals"]["revenue"] > 0
    assert state["report"] == "report.md"
    assert report_numbers(output(tmp_path, "report.md")) == expected_report(expected)


async def test_review_loop_goes_round_until_approved(orchestrator: TaskOrchestrator, tmp_path: Path) -> None:
    run = await orchestrator.run_workflow("review_loop", input_data={"topic": "tests that fail"})
    run_id = run["run_id"]
    assert run["awaiting_input"]["request_id"] == "decision"
    assert run["awaiting_input"]["options"] == ["approve", "revise", "reject"]
    assert run["shared_state"]["history"] == [25, 50, 75]

    run = await orchestrator.run_workflow("review_loop", run_id=run_id, input_data={"decision": "revise"})
    assert run["awaiting_input"]["request_id"] == "comment"
    run = await orchestrator.run_workflow("review_loop", run_id=run_id, input_data={"comment": "name one"})
    assert run["awaiting_input"]["request_id"] == "decision"
    assert run["shared_state"]["history"] == [25, 50, 75, 100]
    run = await orchestrator.run_workflow("review_loop", run_id=run_id, input_data={"decision": "approve"})
    assert run["status"] == "completed"
    assert run["shared_state"]["outcome"] == "published"
    assert run["shared_state"]["revisions"] == 3
    article = output(tmp_path, "article.md")
    assert article.startswith("# Tests that fail\n")
    assert "name one" in article


async def test_review_loop_can_be_rejected(orchestrator: TaskOrchestrator, tmp_path: Path) -> None:
    run = await orchestrator.run_workflow("review_loop", input_data={"decision": "reject"})
    assert run["status"] == "completed"
    assert run["shared_state"]["outcome"] == "rejected"
    assert run["shared_state"]["topic"] == "small tools that last"
    assert not list((tmp_path / "runs").glob("output/*/article.md"))


@pytest.mark.parametrize(
    ("user_type", "way"), [("premium", "escalated to premium support"), ("standard", "standard process done")]
)
async def test_onboarding_goes_the_way_the_agent_chose(
    orchestrator: TaskOrchestrator, tmp_path: Path, user_type: str, way: str
) -> None:
    run = await orchestrator.run_workflow("onboarding", input_data={"user_type": user_type})
    assert run["status"] == "completed"
    assert run["shared_state"]["events"] == ["onboarding started", way, "welcome mail written", "onboarding finished"]
    assert f"To: {run['shared_state']['user']['email']}\n" in output(tmp_path, "welcome.txt")


async def test_fan_out_joins_what_four_stations_say(orchestrator: TaskOrchestrator, tmp_path: Path) -> None:
    run = await orchestrator.run_workflow("fan_out")
    assert run["status"] == "completed", run["error"]
    state = run["shared_state"]
    assert [one["station"] for one in state["stations"]] == ["harbour", "hill", "island", "valley"]
    for one in state["stations"]:
        text = (examples_folder() / "fan_out" / "stations" / f"{one['station']}.csv").read_text()
        days = [[float(cell) for cell in line.split(",")[1:]] for line in text.splitlines()[1:]]
        assert (one["days"], one["frost_days"]) == (len(days), sum(low < 0 for low, _, _ in days))
        assert one["coldest"]["low"] == min(low for low, _, _ in days)
        assert one["warmest"]["high"] == max(high for _, high, _ in days)
        assert one["rain_mm"] == round(sum(rain for _, _, rain in days), 1)
    assert "frost" in state and "heat" not in state
    assert output(tmp_path, "weather.md").count("| 366 |") == 4


async def test_onboarding_refuses_another_kind_of_user(orchestrator: TaskOrchestrator) -> None:
    with pytest.raises(InvalidInput, match="user_type"):
        await orchestrator.run_workflow("onboarding", input_data={"user_type": "royal"})
