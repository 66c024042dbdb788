"""Four stations are read at once; what they say comes together again."""

import csv
import time
from pathlib import Path

from grapheteria import Node

FOLDER = Path(__file__).parent


class Plan(Node):
    """Says what the others are to read."""

    def cleanup(self, shared, prepared, result):
        shared["year"] = 2024


class ReadStation(Node):
    """Reads the file of one station. There are four nodes of this class, and they run at the same time."""

    def prepare(self, shared, request_input):
        return str(shared["year"])

    def execute(self, year):
        # A real station answers over a slow line. In mode dag a plain execute works in a thread of its own.
        time.sleep(self.config.get("seconds", 0))
        with open(FOLDER / self.config["file"], newline="") as file:
            days = [day for day in csv.DictReader(file) if day["date"].startswith(year)]
        print(f"{len(days)} days")
        coldest = min(days, key=lambda day: float(day["low"]))
        warmest = max(days, key=lambda day: float(day["high"]))
        return {
            "station": self.id,
            "days": len(days),
            "rain_mm": round(sum(float(day["rain_mm"]) for day in days), 1),
            "frost_days": sum(float(day["low"]) < 0 for day in days),
            "coldest": {"date": coldest["date"], "low": float(coldest["low"])},
            "warmest": {"date": warmest["date"], "high": float(warmest["high"])},
        }

    def cleanup(self, shared, year, found):
        # Each of the four sees the empty list; the reducer "append" joins what they add, in the order of the graph.
        shared["stations"].append(found)


class Compare(Node):
    """Sees all four, because edges lead here from each of them."""

    def cleanup(self, shared, prepared, result):
        stations = shared["stations"]
        shared["coldest"] = min((one["coldest"] | {"station": one["station"]} for one in stations), key=by("low"))
        shared["warmest"] = max((one["warmest"] | {"station": one["station"]} for one in stations), key=by("high"))
        shared["wettest"] = max(stations, key=by("rain_mm"))["station"]


class Frost(Node):
    """Runs only where there was frost."""

    def cleanup(self, shared, prepared, result):
        days = {one["station"]: one["frost_days"] for one in shared["stations"] if one["frost_days"]}
        shared["frost"] = f"Frost on {', '.join(f'{count} days at {name}' for name, count in days.items())}."


class Heat(Node):
    """Would run only where it was hotter than 40 degrees: here it is skipped."""

    def cleanup(self, shared, prepared, result):
        shared["heat"] = f"Great heat at {shared['warmest']['station']}."


class Report(Node):
    """Runs when frost and heat are settled: done or skipped."""

    def prepare(self, shared, request_input):
        return shared

    def execute(self, shared):
        lines = [f"# Weather {shared['year']}", ""]
        lines += ["| station | days | rain (mm) | coldest | warmest |", "|---|---:|---:|---:|---:|"]
        for one in shared["stations"]:
            cells = one["station"], one["days"], one["rain_mm"], one["coldest"]["low"], one["warmest"]["high"]
            lines.append(f"| {' | '.join(map(str, cells))} |")
        lines += ["", *(shared[key] for key in ("frost", "heat") if key in shared)]
        path = self.output_dir / "weather.md"
        path.write_text("\n".join(lines) + "\n")
        return path

    def cleanup(self, shared, prepared, path):
        shared["report"] = path.name
        print(f"wrote {path}")


def by(key):
    """What to compare dicts by."""
    return lambda value: value[key]
