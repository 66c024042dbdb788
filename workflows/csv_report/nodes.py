"""From a CSV file to a Markdown report, in steps that each leave small numbers in the state and no rows.

Money is counted in whole cents, so that sums are exact.
"""

import csv
import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from statistics import median
from typing import Any

from grapheteria import Node

FOLDER = Path(__file__).parent
COLUMNS = ["order", "date", "region", "product", "quantity", "unit_price"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sale:
    """One good row; a refund has a negative quantity, and so a negative amount."""

    month: str
    region: str
    product: str
    cents: int


def read_rows(file: str) -> Iterator[dict[str, str]]:
    """The rows of the file as they are."""
    with open(FOLDER / file, newline="", encoding="utf-8") as stream:
        yield from csv.DictReader(stream)


def problem_of(row: dict[str, str]) -> str:
    """Why a row can't be used, or the empty text."""
    for column in COLUMNS:
        if not (row[column] or "").strip():
            return f"no {column}"
    try:
        date.fromisoformat(row["date"])
        int(row["quantity"])
        Decimal(row["unit_price"])
    except (ValueError, InvalidOperation):
        return "unreadable number or date"
    return ""


def read_sales(file: str) -> Iterator[Sale]:
    """The good rows of the file."""
    for row in read_rows(file):
        if not problem_of(row):
            cents = int(row["quantity"]) * int(Decimal(row["unit_price"]) * 100)
            yield Sale(row["date"][:7], row["region"].strip().title(), row["product"].strip(), cents)


class LoadSales(Node):
    """Looks at the file: is it there, are its columns right, how long is it?"""

    def execute(self, _: None) -> dict[str, Any]:
        path = FOLDER / self.config["file"]
        with open(path, newline="", encoding="utf-8") as stream:
            reader = csv.DictReader(stream)
            missing = set(COLUMNS) - set(reader.fieldnames or [])
            if missing:
                raise ValueError(f"{path.name} lacks {', '.join(sorted(missing))}")
            rows = sum(1 for _ in reader)
        log.info("%s: %d rows, %d bytes", path.name, rows, path.stat().st_size)
        return {"file": path.name, "rows": rows, "bytes": path.stat().st_size}

    def cleanup(self, shared: dict[str, Any], _: None, source: dict[str, Any]) -> None:
        shared["source"] = source


class ValidateSales(Node):
    """Counts good rows, refunds, and the rows that have to be left out, by reason."""

    def prepare(self, shared: dict[str, Any], request_input: Any) -> str:
        return shared["source"]["file"]

    def execute(self, file: str) -> dict[str, Any]:
        problems = Counter(problem_of(row) for row in read_rows(file))
        valid = problems.pop("", 0)
        for reason, count in problems.most_common():
            log.warning("%d rows left out: %s", count, reason)
        if not valid:
            raise ValueError(f"no row of {file} can be used")
        refunds = sum(sale.cents < 0 for sale in read_sales(file))
        return {
            "valid": valid,
            "refunds": refunds,
            "left_out": problems.total(),
            "reasons": dict(sorted(problems.items())),
        }

    def cleanup(self, shared: dict[str, Any], file: str, quality: dict[str, Any]) -> None:
        shared["quality"] = quality


class AggregateSales(Node):
    """Adds up the good rows: in all, by region, by month and by product."""

    def prepare(self, shared: dict[str, Any], request_input: Any) -> str:
        return shared["source"]["file"]

    def execute(self, file: str) -> dict[str, Any]:
        sales = list(read_sales(file))
        print(f"adding up {len(sales)} sales")
        return {
            "totals": figures(sale.cents for sale in sales),
            "by_region": self.grouped((sale.region, sale.cents) for sale in sales),
            "by_month": self.grouped((sale.month, sale.cents) for sale in sales),
            "by_product": self.grouped((sale.product, sale.cents) for sale in sales),
        }

    def grouped(self, pairs: Iterable[tuple[str, int]]) -> dict[str, dict[str, Any]]:
        """The figures of each group, by its name."""
        groups: defaultdict[str, list[int]] = defaultdict(list)
        for name, cents in pairs:
            groups[name].append(cents)
        return {name: figures(groups[name]) for name in sorted(groups)}

    def cleanup(self, shared: dict[str, Any], file: str, results: dict[str, Any]) -> None:
        shared.update(results)


def figures(amounts: Iterable[int]) -> dict[str, Any]:
    """Count, revenue after refunds, what was refunded, and the median sale, in cents."""
    cents = list(amounts)
    sold = [amount for amount in cents if amount >= 0]
    return {
        "sales": len(sold),
        "revenue": sum(cents),
        "refunded": -sum(amount for amount in cents if amount < 0),
        "median": median(sold) if sold else None,
    }


class RenderReport(Node):
    """Writes the numbers as Markdown into the run's output folder."""

    def prepare(self, shared: dict[str, Any], request_input: Any) -> dict[str, Any]:
        return dict(shared)

    def execute(self, results: dict[str, Any]) -> str:
        quality = results["quality"]
        lines = [
            f"# {self.config['title']}",
            "",
            f"{results['source']['rows']} rows, {quality['valid']} used, {quality['left_out']} left out.",
            "",
            *table("In all", {"all": results["totals"]}),
            *table("By region", results["by_region"]),
            *table("By month", results["by_month"]),
            *table("By product", results["by_product"]),
        ]
        path = self.output_dir / "report.md"
        path.write_text("\n".join(lines), encoding="utf-8")
        print(f"wrote {path}")
        return path.name

    def cleanup(self, shared: dict[str, Any], results: dict[str, Any], report: str) -> None:
        shared["report"] = report


def table(title: str, groups: dict[str, dict[str, Any]]) -> list[str]:
    """One table of the report, a line for each group."""
    lines = [f"## {title}", "", "| | sales | revenue | refunded | median |", "|---|---:|---:|---:|---:|"]
    for name, values in groups.items():
        amounts = [money(values[key]) for key in ("revenue", "refunded", "median")]
        lines.append(f"| {name} | {values['sales']} | {' | '.join(amounts)} |")
    return [*lines, ""]


def money(cents: float | None) -> str:
    """Cents as an amount with two digits: 1,234.50; a dash where there is none."""
    return "-" if cents is None else f"{Decimal(cents) / 100:,.2f}"
