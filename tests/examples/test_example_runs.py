"""The shipped examples, run whole: what they leave in the state and in their output folder."""

from __future__ import annotations

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any

import pytest

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
    assert report_numbers(output(tmp_path, "report.md")) == {
        title: {name: in_report(values) for name, values in groups.items()}
        for title, groups in (
            ("In all", {"all": expected["totals"]}),
            ("By region", expected["by_region"]),
            ("By month", expected["by_month"]),
            ("By product", expected["by_product"]),
        )
    }


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


async def test_onboarding_refuses_another_kind_of_user(orchestrator: TaskOrchestrator) -> None:
    with pytest.raises(InvalidInput, match="user_type"):
        await orchestrator.run_workflow("onboarding", input_data={"user_type": "royal"})


# The same numbers, counted another way ----------------------------------------------------------------------------


def expected_numbers(path: Path) -> dict[str, Any]:
    """What csv_report must find in a file: the keys source, quality, totals, by_region, by_month and by_product."""
    rows = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))[1:]
    reasons: Counter[str] = Counter()
    groups: dict[str, defaultdict[str, list[Decimal]]] = {
        name: defaultdict(list) for name in ("all", "by_region", "by_month", "by_product")
    }
    for row in rows:
        empty = [index for index, value in enumerate(row) if value.strip() == ""]
        if empty:
            reasons["no " + ("order", "date", "region", "product", "quantity", "unit_price")[empty[0]]] += 1
            continue
        _, day, region, product, quantity, price = row
        if not re.fullmatch(r"-?\d+", quantity) or not re.fullmatch(r"\d{4}-\d\d-\d\d", day):
            reasons["unreadable number or date"] += 1
            continue
        amount = Decimal(quantity) * Decimal(price)
        month = date.fromisoformat(day).strftime("%Y-%m")
        names = {"all": "all", "by_region": region.strip().capitalize(), "by_month": month, "by_product": product}
        for group, name in names.items():
            groups[group][name].append(amount)
    everything = groups["all"]["all"]
    return {
        "source": {"file": path.name, "rows": len(rows), "bytes": len(path.read_bytes())},
        "quality": {
            "valid": len(everything),
            "refunds": sum(amount < 0 for amount in everything),
            "left_out": sum(reasons.values()),
            "reasons": dict(reasons),
        },
        "totals": expected_figures(everything),
        **{
            group: {name: expected_figures(amounts) for name, amounts in groups[group].items()}
            for group in ("by_region", "by_month", "by_product")
        },
    }


def expected_figures(amounts: list[Decimal]) -> dict[str, Any]:
    """The four numbers of a group, in cents."""
    sold = [amount for amount in amounts if amount > 0]
    return {
        "sales": len(sold),
        "revenue": int(sum(amounts) * 100),
        "refunded": int(-100 * sum(amount for amount in amounts if amount < 0)),
        "median": float(median(sold) * 100),
    }


def in_report(values: dict[str, Any]) -> list[str]:
    """The four numbers as a line of the report shows them."""
    amounts = [f"{Decimal(values[key]) / 100:,.2f}" for key in ("revenue", "refunded", "median")]
    return [str(values["sales"]), *amounts]


def report_numbers(report: str) -> dict[str, dict[str, list[str]]]:
    """The tables of a report: {title: {name: [sales, revenue, refunded, median]}}."""
    tables: dict[str, dict[str, list[str]]] = {}
    for section in report.split("\n## ")[1:]:
        title, *lines = section.split("\n")
        cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
        tables[title] = {name: values for name, *values in cells if name}
    return tables
