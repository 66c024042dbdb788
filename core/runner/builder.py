"""Makes one environment: `python -m venv`, then its pip, then the card that says it is whole.

    python entry.py --build      the job as one line of JSON on stdin

It is a process of its own so that it ends with the engine: while the engine lives it holds the other end of stdin. What
pip prints goes to stdout as it is. Nothing counts before the card is in its place, and what was begun is taken away.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, NoReturn

from core.runner.host import adopt_orphans
from core.runner.process_tree import kill_tree

VENV_FAILED, INSTALL_FAILED, SYSTEM_FAILED = 11, 12, 13
"""Exit codes: no bare environment could be made, its packages could not be installed, a file could not be written."""

CARD = "card.json"
LOCK = "lock"
"""In the folder of one content: who makes or removes something there holds it."""
USE_LOCK = "rondo.lock"
"""In an environment: who runs programs of it holds it with others."""
IN_USE, FREE = -1, -2
"""What `claim` gives in place of a descriptor."""
LISTS = "rondo-requirements"
"""The folder in an environment with the lists it was installed from."""


def build() -> NoReturn:
    """Do the job that stdin names, and end."""
    adopt_orphans()
    job = json.loads(sys.stdin.buffer.readline())
    builder = Builder(job)
    threading.Thread(target=builder.end_with_engine, daemon=True).start()
    sys.stdout.flush()
    try:
        code = builder.run()
    except OSError as error:
        _say(f"ERROR: {error}")
        code = SYSTEM_FAILED
    if code:
        builder.take_away()
    sys.stdout.flush()
    os._exit(code)


class Builder:
    """One environment in the making.

    The job: `place` (the folder of the content), `name` (of the new environment in it), `directory` (where pip stands),
    `lists` (texts of the requirement files by path), `card` (what to keep of it), `again` (make it also where there is
    one).
    """

    def __init__(self, job: dict[str, Any]) -> None:
        self._job = job
        self._place = Path(job["place"])
        self._folder = self._place / job["name"]
        self._lock = -1
        self._starting = threading.Lock()

    def run(self) -> int:
        """Make the environment, unless another has made it by now; returns the exit code."""
        self._take_lock()
        if not self._job["again"] and read_card(self._place) is not None:
            return 0
        remove_leftovers(self._place)
        self._folder.mkdir()
        (self._folder / USE_LOCK).touch()
        _say(f"Making a bare environment with Python {platform.python_version()}")
        if self._call([sys.executable, "-I", "-m", "venv", str(self._folder)], "/"):
            return VENV_FAILED
        lists = self._folder / LISTS
        for path, text in self._job["lists"].items():
            (lists / path).parent.mkdir(parents=True, exist_ok=True)
            (lists / path).write_text(text, encoding="utf-8")
        python = str(self._folder / "bin" / "python")
        words = ["install", "--requirement", str(lists / "requirements.txt")]
        _say("Installing the packages with pip")
        if self._call([python, "-I", "-m", "pip", *words], self._job["directory"]):
            return INSTALL_FAILED
        self._write_card()
        return 0

    def end_with_engine(self) -> None:
        """Wait until the engine is gone or wants no more, then end everything and leave nothing half-made."""
        while sys.stdin.buffer.read(4096):
            pass
        # Held for good: no further program is started.
        self._starting.acquire()
        kill_tree(os.getpid(), spare_root=True)
        self.take_away()
        os._exit(0)

    def take_away(self) -> None:
        """Remove what was made, unless it is whole."""
        card = read_card(self._place)
        if card is None or card["folder"] != self._folder.name:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _take_lock(self) -> None:
        self._place.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = take_lock(self._place, wait=False)
        if self._lock < 0:
            _say("Another Rondo makes this environment now; waiting for it.")
            self._lock = take_lock(self._place, wait=True)

    def _call(self, words: list[str], directory: str) -> int:
        with self._starting:
            # The lock goes along: where this process is killed, nobody begins anew before its programs have ended.
            program = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                cwd=directory if os.path.isdir(directory) else "/",
                pass_fds=[self._lock],
            )
        return program.wait()

    def _write_card(self) -> None:
        """Put the card into its place: from now on the environment counts, and one before it no more."""
        card = {
            **self._job["card"],
            "folder": self._folder.name,
            "created_at": time.time(),
            "packages": sorted(_packages(self._folder)),
            "size": _size(self._folder),
        }
        # The card must not outlive a power cut that the files it speaks of do not.
        os.sync()
        fresh = self._place / f"{CARD}.{self._folder.name}"
        with open(fresh, "w", encoding="utf-8") as file:
            json.dump(card, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, self._place / CARD)
        remove_leftovers(self._place)


def _say(text: str) -> None:
    print(text, flush=True)


def _packages(folder: Path) -> list[tuple[str, str]]:
    """Name and version of what was installed, the installer itself left out."""
    places = [str(place) for place in folder.glob("lib*/python*/site-packages") if not place.parent.parent.is_symlink()]
    found = importlib.metadata.distributions(path=places)
    named = {(str(one.metadata["Name"]), str(one.version)) for one in found if one.metadata["Name"]}
    return [(name, version) for name, version in named if name.lower() not in ("pip", "setuptools")]


def _size(folder: Path) -> int:
    """Bytes of all files below a folder."""
    size = 0
    for below, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                size += os.lstat(os.path.join(below, name)).st_size
    return size


# What the engine uses too ------------------------------------------------------------------------------------------


def read_card(place: Path) -> dict[str, Any] | None:
    """What is known of the whole environment in the folder of a content; None where there is none that can be used."""
    try:
        card = json.loads((place / CARD).read_bytes())
        folder = place / card["folder"]
        whole = isinstance(card["packages"], list) and os.access(folder / "bin" / "python", os.X_OK)
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return card if whole else None


def take_lock(place: Path, *, wait: bool) -> int:
    """A descriptor that holds the lock of a content's folder, -1 where another has it; the folder may go meanwhile."""
    while True:
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            descriptor = os.open(place / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(descriptor)
            return -1
        try:
            if os.stat(place / LOCK).st_ino == os.fstat(descriptor).st_ino:
                return descriptor
        except FileNotFoundError:
            pass
        os.close(descriptor)


def remove_leftovers(place: Path) -> None:
    """Remove what is in a content's folder and is neither whole nor in use; the caller holds its lock."""
    card = read_card(place)
    keep = card["folder"] if card is not None else ""
    for entry in list(place.iterdir()):
        if entry.is_dir() and entry.name != keep and not in_use(entry):
            shutil.rmtree(entry, ignore_errors=True)
        elif entry.name.startswith(f"{CARD}."):
            entry.unlink(missing_ok=True)


def in_use(folder: Path) -> bool:
    """True while programs of an environment run."""
    descriptor = claim(folder)
    if descriptor == IN_USE:
        return True
    if descriptor >= 0:
        os.close(descriptor)
    return False


def claim(folder: Path) -> int:
    """A descriptor that keeps others from taking an environment into use; IN_USE where some have, FREE without a lock.

    Who takes one into use looks at the card once more after that, so what is claimed can lose its card and then go.
    """
    try:
        descriptor = os.open(folder / USE_LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return FREE
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return IN_USE
    return descriptor
