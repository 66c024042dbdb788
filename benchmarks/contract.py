"""What every contender of the benchmark does, in whatever environment it lives: standard library only.

A contender is a program: `python -m MODULE VERB FOLDER NUMBERS...`. It prints one JSON document as its last line.

    chain FOLDER N       one run of N steps that only count and append one `record` of 100 bytes to a list in the state:
                         {seconds, growth, disk, journal, synchronous}
    many FOLDER RUNS N   RUNS runs of N steps at once: {seconds}
    text FOLDER N        N steps beside 1 MB of text in the state that no step touches: {seconds, disk}
    read FOLDER N        after `chain FOLDER N`, in a fresh process: {latest, middle}: seconds to open and read a state
    work FOLDER N        a chain whose nodes say in FOLDER/visits that they ran; somebody kills it
    resume FOLDER N      goes on with what `work` left, to the end
    start FOLDER N       N runs of one step, one after the other: {start}: median seconds from the call to the end

`growth` is the time of the last tenth of the steps over that of the first; `disk` bytes after a clean end.
"""

from __future__ import annotations

import json
import os
import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


def text_of_1_mb() -> str:
    """The text that no step touches."""
    return "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz     \n", k=1_000_000))


def record(number: int) -> str:
    """What step `number` appends: 100 characters."""
    return f"{number:>6} ".ljust(100, "x")


def serve(verbs: dict[str, Callable[..., dict[str, Any]]]) -> None:
    """Do what the command line says and print the document."""
    verb, folder, *numbers = sys.argv[1:]
    document = verbs[verb](Path(folder), *map(int, numbers))
    print("\n" + json.dumps(document))


def growth(moments: Sequence[float]) -> float:
    """The time of the last tenth of the steps over that of the first, from the moments at which steps ended."""
    tenth = max(len(moments) // 10, 1)
    first = moments[tenth] - moments[0]
    return (moments[-1] - moments[-1 - tenth]) / first if first > 0 else 0.0


def disk(folder: Path) -> int:
    """Bytes of the files below a folder that keep runs."""
    kept = (path for path in folder.rglob("*") if ".db" in path.name or ".sqlite" in path.name)
    return sum(path.stat().st_size for path in kept if path.is_file())


def say_visited(folder: Path | str, number: int) -> None:
    """Note that a step ran; the note survives a kill."""
    file = os.open(f"{folder}/visits", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(file, b"%d\n" % number)
    os.close(file)


def visits(folder: Path) -> list[int]:
    """The steps that ran, in order."""
    path = folder / "visits"
    return [int(line) for line in path.read_text().split()] if path.exists() else []
