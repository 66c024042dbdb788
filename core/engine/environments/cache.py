"""The environments on this machine: found by content, held while in use, removed when nobody used them for long.

Each content has a folder: a lock, the environment, and the card that says it is whole. Calls read and write files, so
make them in a thread.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import shutil
import sys
import sysconfig
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.definition.requirements import needed_files, requirement_lines, requirements_key
from core.places import cache_folder
from core.runner.builder import CARD, IN_USE, USE_LOCK, claim, read_card, remove_leftovers, take_lock

DAY_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class Need:
    """What a version of a workflow needs: `key` names the content, `lists` are the requirement files by path."""

    key: str
    lines: tuple[str, ...]
    lists: Mapping[str, str]
    directory: str


@dataclass(frozen=True, slots=True)
class Environment:
    """One environment that is whole. Times are seconds since 1970, `size` is bytes."""

    key: str
    folder: Path
    lines: tuple[str, ...]
    packages: tuple[tuple[str, str], ...]
    python_version: str
    size: int
    created_at: float
    used_at: float

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"


class Held:
    """An environment that nobody removes until `release`."""

    def __init__(self, environment: Environment, descriptor: int) -> None:
        self.environment = environment
        self._descriptor = descriptor

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.environment.python

    def release(self) -> None:
        """Let it go; calling it again changes nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def python_name() -> str:
    """What of this Python decides whether an environment fits it."""
    return f"{platform.python_implementation()} {sys.implementation.cache_tag} {sysconfig.get_platform()}"


def need_of(files: Mapping[str, bytes], folder: Path) -> Need | None:
    """What a version with these files needs; None where it asks for no packages. Pure."""
    lines = requirement_lines(files)
    if not lines:
        return None
    lists = {
        path: content.decode("utf-8", "replace")
        for path, content in needed_files(files).items()
        if path.endswith(".txt")
    }
    return Need(requirements_key(files, str(folder), python_name()), tuple(lines), lists, str(folder))


class EnvironmentCache:
    """The user's environments, shared by all engines of this machine."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder if folder is not None else cache_folder() / "environments"

    def place(self, key: str) -> Path:
        """The folder of a content."""
        return self.folder / key

    def find(self, key: str) -> Environment | None:
        """The environment of that content, where it is whole."""
        place = self.place(key)
        card = read_card(place)
        if card is None:
            return None
        with contextlib.suppress(OSError, TypeError, ValueError, KeyError):
            return _environment(key, place, card)
        return None

    def hold(self, key: str) -> Held | None:
        """Take the environment of that content into use; None where there is none that is whole."""
        environment = self.find(key)
        if environment is None:
            return None
        try:
            descriptor = os.open(environment.folder / USE_LOCK, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return None
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        # It may have been removed or replaced before the lock was there.
        present = self.find(key)
        if present is None or present.folder != environment.folder:
            os.close(descriptor)
            return None
        with contextlib.suppress(OSError):
            os.utime(self.place(key) / CARD)
        return Held(present, descriptor)

    def all(self) -> list[Environment]:
        """Every environment, the last used first."""
        found = [environment for key in self._keys() if (environment := self.find(key)) is not None]
        return sorted(found, key=lambda environment: -environment.used_at)

    def prune(self, days: float) -> list[Environment]:
        """Remove what was not used for so many days, and what is half-made; return the whole ones that are gone."""
        removed: list[Environment] = []
        for key in self._keys():
            place = self.place(key)
            lock = take_lock(place, wait=False)
            if lock < 0:
                continue
            try:
                remove_leftovers(place)
                environment = self.find(key)
                if environment is not None and time.time() - environment.used_at < days * DAY_SECONDS:
                    continue
                if environment is not None and not _remove(place, environment):
                    continue
                removed += [environment] if environment is not None else []
                if not any(entry.is_dir() for entry in place.iterdir()):
                    shutil.rmtree(place, ignore_errors=True)
            except OSError:
                continue
            finally:
                os.close(lock)
        return removed

    def remove(self, key: str) -> bool:
        """Remove the environment of that content; False where it is in use or being made."""
        place = self.place(key)
        lock = take_lock(place, wait=False)
        if lock < 0:
            return False
        try:
            environment = self.find(key)
            if environment is not None and not _remove(place, environment):
                return False
            remove_leftovers(place)
            if not any(entry.is_dir() for entry in place.iterdir()):
                shutil.rmtree(place, ignore_errors=True)
        except OSError:
            return False
        finally:
            os.close(lock)
        return True

    def _keys(self) -> list[str]:
        try:
            return sorted(entry.name for entry in self.folder.iterdir() if entry.is_dir())
        except OSError:
            return []


def _environment(key: str, place: Path, card: dict[str, Any]) -> Environment:
    return Environment(
        key=key,
        folder=place / str(card["folder"]),
        lines=tuple(map(str, card["lines"])),
        packages=tuple((str(name), str(version)) for name, version in card["packages"]),
        python_version=str(card["python_version"]),
        size=int(card["size"]),
        created_at=float(card["created_at"]),
        used_at=os.stat(place / CARD).st_mtime,
    )


def _remove(place: Path, environment: Environment) -> bool:
    """Remove a whole environment; False where it is in use."""
    claimed = claim(environment.folder)
    if claimed == IN_USE:
        return False
    try:
        (place / CARD).unlink(missing_ok=True)
    finally:
        if claimed >= 0:
            os.close(claimed)
    shutil.rmtree(environment.folder, ignore_errors=True)
    return True
