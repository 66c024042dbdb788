"""The numbers of the csv_report example, counted another way than the example does."""

from __future__ import annotations

import csv
import re
from collections import Counter, defaultdict
from datetime import date
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any


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


def expected_report(numbers: dict[str, Any]) -> dict[str, dict[str, list[str]]]:
    """What `report_numbers` must read from the report on these numbers."""
    tables = {
        "In all": {"all": numbers["totals"]},
        "By region": numbers["by_region"],
        "By month": numbers["by_month"],
        "By product": numbers["by_product"],
    }
    return {title: {name: in_report(values) for name, values in groups.items()} for title, groups in tables.items()}


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
