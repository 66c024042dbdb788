"""`python -m tests.crash [--n N] [--seed S] [--runs R]`: kills under load, and a table of what came of them."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from pathlib import Path

from tests.crash.campaign import Campaign, Kill, Outcome, crash_points, plan


def main() -> int:
    """Run the campaign; the exit status is 1 if anything was lost, repeated, stuck or not reached."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--n", type=int, default=80, help="how many kills")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=int, default=50, help="how many runs go on at once")
    parser.add_argument("--point", action="append", help="kill at this point only; may be repeated")
    options = parser.parse_args()
    targets = [options.point[n % len(options.point)] for n in range(options.n)] if options.point else []
    with tempfile.TemporaryDirectory(prefix="rondo-crash-") as folder:
        for name in ("DATA", "STATE", "CONFIG"):
            os.environ[f"XDG_{name}_HOME"] = str(Path(folder) / "user" / name.lower())
        campaign = Campaign(Path(folder), options.seed, options.runs)
        outcome = asyncio.run(campaign.run(targets or plan(options.n, options.seed), _tell))
    print(table(outcome))
    return 0 if outcome.sound else 1


def _tell(kill: Kill) -> None:
    recovery = "" if kill.recovery is None else f"{kill.recovery:.2f} s"
    print(f"{kill.point:<36}{recovery:>8}", file=sys.stderr, flush=True)


def table(outcome: Outcome) -> str:
    """The outcome as text."""
    groups: dict[str, list[Kill]] = {}
    for kill in outcome.kills:
        groups.setdefault(kill.point.partition(".")[0], []).append(kill)
    lines = [f"{'killed at':<12}{'kills':>7}{'points':>8}{'p50 s':>8}{'p99 s':>8}{'max s':>8}"]
    for group, kills in sorted(groups.items()):
        lines.append(_line(group, kills))
    lines.append(_line("all", outcome.kills))
    lines.append("")
    lines.append(
        f"{len(crash_points())} named points; {outcome.runs} runs, {outcome.steps} steps acknowledged, "
        f"in {outcome.seconds:.0f} s"
    )
    for name, found in (
        ("lost acknowledged", outcome.lost),
        ("repeated completed visits", outcome.repeated),
        ("other contradictions", outcome.problems),
        ("points not reached", outcome.not_reached),
    ):
        lines.append(f"{name + ':':<28}{len(found)}")
        lines += [f"    {text}" for text in found[:20]]
    lines.append(f"{'stuck runs:':<28}{outcome.stuck}")
    return "\n".join(lines)


def _line(name: str, kills: list[Kill]) -> str:
    times = sorted(kill.recovery for kill in kills if kill.recovery is not None)
    shown = "".join(f"{_part(times, part):>8.2f}" for part in (0.5, 0.99, 1.0)) if times else f"{'-':>8}" * 3
    points = len({kill.point for kill in kills})
    return f"{name:<12}{len(kills):>7}{points:>8}{shown}"


def _part(times: list[float], part: float) -> float:
    return times[min(len(times) - 1, int(len(times) * part))]


if __name__ == "__main__":
    sys.exit(main())
