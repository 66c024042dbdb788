"""Where runs of the Grapheteria API are kept: the interface, and files."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from core.flow.delta import encode_state
from core.grapheteria.errors import InvalidWorkflow, StoreUnreadable

SUFFIX = ".jsonl"

TrackingData = dict[str, Any]
"""`{workflow_id, run_id, steps: [state, ...]}`, and what a fork adds."""


class StorageBackend(ABC):
    """Keeps the tracking data of runs. All methods are synchronous and may be called by several engines."""

    @abstractmethod
    def save_state(self, workflow_id: str, run_id: str, data: TrackingData) -> None:
        """Keep the whole tracking data of a run in place of what was there."""

    @abstractmethod
    def load_state(self, workflow_id: str, run_id: str) -> TrackingData | None:
        """The tracking data of a run, None where there is none."""

    @abstractmethod
    def list_runs(self, workflow_id: str) -> list[str]:
        """The ids of a workflow's runs, sorted."""

    @abstractmethod
    def list_workflows(self) -> list[str]:
        """The ids of the workflows that have runs, sorted."""

    def save_last_step(self, workflow_id: str, run_id: str, data: TrackingData) -> None:
        """Keep tracking data that is what was saved before and one step more; a backend may write that step alone."""
        self.save_state(workflow_id, run_id, data)


@dataclass(frozen=True, slots=True)
class _Saved:
    """What this process wrote last to a file."""

    header: bytes
    steps: int
    size: int


class FileSystemStorage(StorageBackend):
    """A file a run, `base_dir/<workflow id>/<run id>.jsonl`: the tracking data without its steps, then a step a line.

    A step is added at the end of its file and flushed to the disk; everything else replaces the file in one move. So a
    kill at any time leaves the last step that was saved.
    """

    def __init__(self, base_dir: str | os.PathLike[str] = "logs") -> None:
        self.base_dir = Path(base_dir)
        self._saved: dict[Path, _Saved] = {}
        self._numbers = itertools.count()

    def save_state(self, workflow_id: str, run_id: str, data: TrackingData) -> None:
        """Keep the whole tracking data of a run in place of what was there."""
        path = self._path(workflow_id, run_id)
        header, steps = split_data(data)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.{next(self._numbers)}")
        try:
            with temporary.open("wb") as file:
                file.writelines([header, b"\n", *(step + b"\n" for step in steps)])
                file.flush()
                os.fsync(file.fileno())
                size = file.tell()
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        _flush_folder(path.parent)
        self._saved[path] = _Saved(header, len(steps), size)

    def save_last_step(self, workflow_id: str, run_id: str, data: TrackingData) -> None:
        """Add the last step to the run's file, if the file is what this process wrote before; else write it whole."""
        path = self._path(workflow_id, run_id)
        saved = self._saved.get(path)
        header, steps = split_data({**data, "steps": data["steps"][-1:]})
        if (
            saved is None
            or saved.header != header
            or saved.steps != len(data["steps"]) - 1
            or _size(path) != saved.size
        ):
            self.save_state(workflow_id, run_id, data)
            return
        with path.open("ab") as file:
            file.write(steps[0] + b"\n")
            file.flush()
            os.fsync(file.fileno())
            self._saved[path] = _Saved(header, saved.steps + 1, file.tell())

    def load_state(self, workflow_id: str, run_id: str) -> TrackingData | None:
        """The tracking data of a run, None where there is none; a last line that was cut off is left out."""
        path = self._path(workflow_id, run_id)
        try:
            lines = path.read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            return None
        try:
            return join_data(lines[0], lines[1:])
        except (ValueError, IndexError, TypeError) as error:
            raise StoreUnreadable(
                f"{path} can't be read: {error}",
                cause="The file was damaged or not written by this program.",
                next_step="Move the file away, or restore it from a copy.",
            ) from error

    def list_runs(self, workflow_id: str) -> list[str]:
        """The ids of a workflow's runs, sorted."""
        folder = self.base_dir / _file_name(workflow_id)
        return sorted(unquote(path.name.removesuffix(SUFFIX)) for path in folder.glob(f"[!.]*{SUFFIX}"))

    def list_workflows(self) -> list[str]:
        """The ids of the workflows that have runs, sorted."""
        return sorted({unquote(path.parent.name) for path in self.base_dir.glob(f"*/[!.]*{SUFFIX}")})

    def _path(self, workflow_id: str, run_id: str) -> Path:
        return self.base_dir / _file_name(workflow_id) / (_file_name(run_id) + SUFFIX)


def save_step(backend: StorageBackend, workflow_id: str, run_id: str, data: TrackingData) -> None:
    """Save one step more by `save_last_step`, or by `save_state` where that alone is the backend's own."""
    kinds = type(backend).__mro__
    own_step = next((place for place, kind in enumerate(kinds) if "save_last_step" in vars(kind)), len(kinds))
    own_state = next((place for place, kind in enumerate(kinds) if "save_state" in vars(kind)), len(kinds))
    # A subclass or an instance with a save_state of its own counts on being called with every step.
    if own_step <= own_state and "save_state" not in getattr(backend, "__dict__", {}):
        backend.save_last_step(workflow_id, run_id, data)
    else:
        backend.save_state(workflow_id, run_id, data)


def split_data(data: TrackingData) -> tuple[bytes, list[bytes]]:
    """The JSON texts of tracking data without its steps, and of each step; raises StateValueError."""
    header = {key: value for key, value in data.items() if key != "steps"}
    return encode_state(header), [encode_state(step) for step in data["steps"]]


def join_data(header: bytes | str, steps: Iterable[bytes | str]) -> TrackingData:
    """The tracking data of the texts that `split_data` made; raises ValueError."""
    data: TrackingData = json.loads(header)
    data["steps"] = [json.loads(step) for step in steps]
    return data


def _file_name(name: str) -> str:
    """A name as one part of a path; a first dot would hide the file."""
    if not name:
        raise InvalidWorkflow("A workflow id or run id is empty.", next_step="Give it a name.")
    quoted = quote(name, safe=" ")
    return quoted if quoted[0] != "." else "%2E" + quoted[1:]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1


def _flush_folder(folder: Path) -> None:
    """Make a new name in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
