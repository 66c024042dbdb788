"""From a CSV file to a table of sums."""

import csv
from collections import defaultdict
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from core.sdk import Node

FOLDER = Path(__file__).parent


class ReadFile(Node):
    """Reads two columns of the file; rows whose value is no number are counted and left out."""

    def prepare(self, shared: dict[str, Any], request_input: Any) -> Any:
        return FOLDER / shared["file"], shared["group_by"], shared["value"]

    def execute(self, prepared: Any) -> Any:
        path, group_by, value = prepared
        pairs, left_out = [], 0
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = {group_by, value} - set(reader.fieldnames or ())
            if missing:
                raise ValueError(f"{path.name} has no column {', '.join(sorted(missing))}; it has {reader.fieldnames}")
            for row in reader:
                try:
                    pairs.append([row[group_by], str(Decimal((row[value] or "").strip()))])
                except InvalidOperation:
                    left_out += 1
        return pairs, left_out

    def cleanup(self, shared: dict[str, Any], prepared: Any, result: Any) -> None:
        shared["pairs"], shared["left_out"] = result


class SumByGroup(Node):
    """Adds the values up by group, exactly."""

    def prepare(self, shared: dict[str, Any], request_input: Any) -> Any:
        return shared["pairs"]

    def execute(self, prepared: Any) -> Any:
        sums: dict[str, Decimal] = defaultdict(Decimal)
        for group, value in prepared:
            sums[group] += Decimal(value)
        return {group: str(total) for group, total in sorted(sums.items())}

    def cleanup(self, shared: dict[str, Any], prepared: Any, result: Any) -> None:
        shared["sums"] = result
        del shared["pairs"]


class WriteReport(Node):
    """Writes the table into the run's output folder."""

    def prepare(self, shared: dict[str, Any], request_input: Any) -> Any:
        head = f"| {shared['group_by']} | {shared['value']} |\n| --- | ---: |\n"
        rows = "".join(f"| {group} | {total} |\n" for group, total in shared["sums"].items())
        return f"{head}{rows}\n{shared['left_out']} rows left out.\n"

    def execute(self, prepared: Any) -> Any:
        path = self.output_dir / "summary.md"
        path.write_text(prepared, encoding="utf-8")
        return str(path)

    def cleanup(self, shared: dict[str, Any], prepared: Any, result: Any) -> None:
        shared["report"] = result
        print(f"wrote {result}")
