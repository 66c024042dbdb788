"""How a run process ended, in words: its signal, and what the fault handler wrote as its last output."""

from __future__ import annotations

import re
import signal


def describe_signal(number: int) -> str:
    """What a signal did to a process, as the end of a sentence."""
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    known = {
        "SIGSEGV": "crashed with a segmentation fault (SIGSEGV)",
        "SIGABRT": "aborted itself (SIGABRT)",
        "SIGKILL": "was killed from outside (SIGKILL), as the system does when memory runs out",
    }
    return known.get(name, f"was ended by {name}")


def crash_place(tail: bytes, folder: str) -> str:
    """Where in the workflow's files it crashed, as the fault handler wrote it: " at nodes.py, line 7 (in execute)"."""
    for path, line, name in re.findall(r'File "([^"\n]+)", line (\d+) in (\S+)', tail.decode(errors="replace")):
        if folder and path.startswith(folder + "/"):
            return f" at {path[len(folder) + 1 :]}, line {line} (in {name})"
    return ""


def last_stack(tail: bytes) -> str:
    """The frames of the thread that crashed, else of the main thread, which comes last in a report."""
    text = tail.decode(errors="replace")
    begins = max(text.rfind("Fatal Python error:"), text.rfind("Timeout ("))
    frames: list[str] = []
    crashed = False
    for line in text[begins:].splitlines() if begins >= 0 else ():
        if "hread 0x" in line:
            if frames and crashed:
                break
            frames, crashed = [], line.startswith("Current")
        elif line.startswith('  File "'):
            frames.append(line)
    return "".join(["Where it stood:\n", *(f"{line}\n" for line in reversed(frames))]) if frames else ""
