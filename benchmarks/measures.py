"""The workloads, and the figures that each gives for one contender in one round."""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.contenders import Contender
from benchmarks.contract import visits

SHORT_CHAIN, LONG_CHAIN = 200, 1_000
RUNS, RUN_STEPS = 100, 20
TEXT_STEPS = 50
KILLED_STEPS, KILLS = 200, 4
STARTS = 20
SECONDS = 120
"""After this long a contender hangs."""

Figures = dict[str, float]


def ask(contender: Contender, verb: str, folder: Path, *numbers: int, before: list[str] | None = None) -> Any:
    """Have a contender do a verb; returns its document. Raises RuntimeError with the end of what it said."""
    done = subprocess.run(
        [*(before or []), *contender.command(verb, folder, *numbers)],
        env=contender.variables(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
    )
    if done.returncode:
        raise RuntimeError(f"{contender.name} failed at {verb}:\n{done.stdout[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def chains(contender: Contender, folder: Path) -> Figures:
    """W1 and W4: chains, and reading the long one back in a fresh process."""
    short = ask(contender, "chain", _new(folder), SHORT_CHAIN)
    place = _new(folder)
    long = ask(contender, "chain", place, LONG_CHAIN)
    read = ask(contender, "read", place, LONG_CHAIN)
    return {
        "short": SHORT_CHAIN / short["seconds"],
        "long": LONG_CHAIN / long["seconds"],
        "growth": long["growth"],
        "disk": long["disk"] / 1024,
        "latest": read["latest"] * 1000,
        "middle": read["middle"] * 1000,
    }


def crowds(contender: Contender, folder: Path) -> Figures:
    """W2: many short runs at once."""
    return {"many": RUNS * RUN_STEPS / ask(contender, "many", _new(folder), RUNS, RUN_STEPS)["seconds"]}


def texts(contender: Contender, folder: Path) -> Figures:
    """W3: 1 MB in the state that no step touches."""
    document = ask(contender, "text", _new(folder), TEXT_STEPS)
    return {"text": TEXT_STEPS / document["seconds"], "text disk": document["disk"] / 1024 / TEXT_STEPS}


def kills(contender: Contender, folder: Path) -> Figures:
    """W5: kill -9 at a random step, then the same run to its end in a fresh process.

    A step that ran again after a later one had begun was lost; others that ran again were in flight.
    """
    figures = Counter[str]()
    seconds = []
    for _ in range(KILLS):
        place = _new(folder)
        kill_at(contender, place, random.randrange(5, KILLED_STEPS - 20))
        begin = time.perf_counter()
        with suppress(RuntimeError, subprocess.TimeoutExpired):
            ask(contender, "resume", place, KILLED_STEPS)
            figures["resumed"] += 1
        seconds.append(time.perf_counter() - begin)
        latest = 0
        for number, again in zip(ran := visits(place), _repeats(ran), strict=True):
            figures["lost"] += again and number < latest
            figures["repeated"] += again
            latest = max(latest, number)
    return {
        "resumed": 100 * figures["resumed"] / KILLS,
        "lost": figures["lost"] / KILLS,
        "repeated": figures["repeated"] / KILLS,
        "resume": 1000 * sorted(seconds)[KILLS // 2],
    }


def starts(contender: Contender, folder: Path) -> Figures:
    """From the call that starts a run of one step to its end, with a warm engine."""
    return {"start": ask(contender, "start", _new(folder), STARTS)["start"] * 1000} if contender.ours else {}


MEASURES: tuple[Callable[[Contender, Path], Figures], ...] = (chains, crowds, texts, kills, starts)


def settings(contender: Contender, folder: Path) -> dict[str, str]:
    """What the live connection says of its durability, and the syncs a step costs, counted by strace."""
    document = ask(contender, "chain", _new(folder), 5)
    facts = {"journal": str(document["journal"]), "synchronous": str(document["synchronous"])}
    facts["synchronous"] = {"2": "FULL", "full": "FULL", "1": "NORMAL"}.get(facts["synchronous"], facts["synchronous"])
    if sys.platform == "linux" and shutil.which("strace"):
        few, more = (_syncs(contender, folder, steps) for steps in (50, 150))
        facts["syncs per step"] = f"{(more - few) / 100:.2f}"
    else:
        facts["syncs per step"] = "no strace"
    return facts


def _syncs(contender: Contender, folder: Path, steps: int) -> int:
    with tempfile.NamedTemporaryFile("r") as counts:
        trace = ["strace", "-f", "-qq", "-c", "-e", "trace=fsync,fdatasync", "-o", counts.name]
        ask(contender, "chain", _new(folder), steps, before=trace)
        # strace's columns: % time, seconds, usecs/call, calls, [errors,] syscall
        return sum(int(line.split()[3]) for line in counts if re.search(r"\bf(data)?sync$", line))


def kill_at(contender: Contender, folder: Path, step: int) -> None:
    """Let the contender work until a step has run, and kill it with -9."""
    process = subprocess.Popen(
        contender.command("work", folder, KILLED_STEPS),
        env=contender.variables(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + SECONDS
    while len(visits(folder)) < step and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)
    process.kill()
    process.wait()


def _repeats(ran: list[int]) -> list[bool]:
    seen: set[int] = set()
    return [number in seen or seen.add(number) is not None for number in ran]


def _new(folder: Path) -> Path:
    return Path(tempfile.mkdtemp(dir=folder))
