"""Writes the CSV file of the csv_report example: a year of made-up sales, always the same bytes.

`python tests/examples/make_sales.py > workflows/csv_report/sales.csv`
"""

from __future__ import annotations

import csv
import io
import random
import sys
from datetime import date, timedelta

ROWS = 3_200
REGIONS = ("North", "South", "East", "West", "Central")
PRICES = {
    "Desk lamp": 3490,
    "Office chair": 18900,
    "Notebook, ruled": 450,
    "Café mug": 1295,
    "Monitor arm": 7999,
    "Whiteboard": 12450,
    "Cable set": 1850,
}


def sales_csv() -> str:
    """The file's text: refunds, missing fields, unreadable numbers and untidy names are part of it."""
    draw = random.Random(20240101).random  # random() alone gives the same numbers in every version of Python
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["order", "date", "region", "product", "quantity", "unit_price"])
    for number in range(ROWS):
        day = date(2024, 1, 1) + timedelta(days=int(draw() * 366))
        product = list(PRICES)[int(draw() * len(PRICES))]
        region = REGIONS[int(draw() ** 1.5 * len(REGIONS))]
        quantity = 1 + int(draw() ** 3 * 12)
        price = int(PRICES[product] * (0.85 + 0.05 * int(draw() * 5)))
        row = [f"A{10_000 + number}", day.isoformat(), region, product, str(quantity), f"{price / 100:.2f}"]
        writer.writerow(_untidy(row, draw(), draw()))
    return stream.getvalue()


def _untidy(row: list[str], kind: float, which: float) -> list[str]:
    """About one row in seven is a refund, incomplete or untidy."""
    if kind < 0.05:
        row[4] = f"-{row[4]}"
    elif kind < 0.08:
        row[1 + int(which * 5)] = ""
    elif kind < 0.09:
        row[4] = "n/a"
    elif kind < 0.095:
        row[1] = f"{row[1][8:]}.{row[1][5:7]}.{row[1][:4]}"
    elif kind < 0.13:
        row[2] = f" {row[2].lower()}" if which < 0.5 else row[2].upper()
    return row


if __name__ == "__main__":
    sys.stdout.buffer.write(sales_csv().encode())
