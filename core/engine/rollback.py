"""Writing a stored version back into a workflow's folder, so that nothing that was there is lost.

First everything that will change is copied into `backups/`, then the new files are written beside their places, then
they take them one after the other. Where one can't, the ones before it are put back as they were. What a killed engine
leaves between two of these moves stands whole in the backup.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from core.errors import EnvironmentProblem, UsageError


@dataclass(frozen=True, slots=True)
class PutBack:
    """What was done: `backup` is None where nothing had been there."""

    backup: Path | None
    written: list[str]
    removed: list[str]


def put_back(
    folder: Path, present: Mapping[str, bytes], wanted: Mapping[str, bytes], version: str, now: float
) -> PutBack:
    """Make the files of a version those of the folder; files that belong to no version stay. Blocks.

    `present` is what the folder holds of the version that is there now: what of it the wanted version does not have is
    moved into the backup, for the folder would be another version with it. Raises UsageError where a file is no longer
    as `present` says, EnvironmentProblem where one can't be written; then all is as it was.
    """
    written = sorted(path for path in wanted if present.get(path) != wanted[path])
    removed = sorted(path for path in present if path not in wanted)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".rondo-rollback-") as stage:
            for path in written:
                _check_parents(folder, path)
                _write(Path(stage) / path, wanted[path])
            backup = _keep(folder, [*written, *removed], now, version)
            _exchange(folder, Path(stage), present, written, removed, backup)
        _remove_empty(folder, removed)
    except OSError as error:
        raise EnvironmentProblem(
            f"The files of {folder.name} could not be written.",
            cause=f"{error.filename or folder}: {error.strerror or error}. All is as it was.",
            next_step="Mend that (rights, space), then try again.",
        ) from error
    return PutBack(backup, written, removed)


def _exchange(
    folder: Path, stage: Path, present: Mapping[str, bytes], written: list[str], removed: list[str], backup: Path | None
) -> None:
    """Move the new files into their places and the superfluous ones away; undo it all where one can't be moved."""
    done: list[str] = []
    try:
        for path in [*written, *removed]:
            _check_unchanged(folder, path, present.get(path), backup)
            done.append(path)
            if path in removed:
                (folder / path).unlink()
            else:
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                os.replace(stage / path, folder / path)
    except BaseException:
        for path in reversed(done):
            kept = backup / path if backup is not None else None
            with contextlib.suppress(OSError):
                if kept is not None and os.path.lexists(kept):
                    _copy(kept, folder / path)
                else:
                    (folder / path).unlink(missing_ok=True)
        raise


def _keep(folder: Path, paths: list[str], now: float, version: str) -> Path | None:
    """Copy what will change into a dated folder of `backups/`; None where nothing of it is there."""
    there = [path for path in paths if os.path.lexists(folder / path)]
    if not there:
        return None
    day = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    backups = folder / "backups"
    backups.mkdir(exist_ok=True)
    backup = Path(tempfile.mkdtemp(dir=backups, prefix=f"{day}-before-{version[:12]}-"))
    for path in there:
        _copy(folder / path, backup / path)
    return backup


def _copy(source: Path, target: Path) -> None:
    """Copy a file with its times and rights, in one move; of a link what it leads to."""
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(f".{target.name}.rondo")
    shutil.copy2(source, fresh)
    _sync(fresh)
    os.replace(fresh, target)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    # As a file that an editor makes: the engine's own files are private, a workflow's need not be.
    path.chmod(0o644)
    _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check_parents(folder: Path, path: str) -> None:
    """Refuse to write through a link that leads out of the folder."""
    parent = (folder / path).parent
    if not Path(os.path.realpath(parent)).is_relative_to(os.path.realpath(folder)):
        raise UsageError(
            f"{path} would be written outside of {folder}.",
            cause=f"{parent} is a link that leads elsewhere; nothing was written.",
            next_step="Remove the link, then try again.",
        )


def _check_unchanged(folder: Path, path: str, known: bytes | None, backup: Path | None) -> None:
    """Refuse to overwrite what was saved since the folder was read, or what the backup does not hold."""
    content = _content(folder / path)
    kept = _content(backup / path) if backup is not None else None
    if content != kept or (known is not None and content != known):
        raise UsageError(
            f"{path} changed while it was being replaced.",
            cause="Someone saved it at this moment; all is as it was.",
            next_step="Look at it again, then try again.",
        )


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _remove_empty(folder: Path, removed: list[str]) -> None:
    """Remove the folders that held nothing but what was removed."""
    for path in removed:
        for parent in Path(path).parents:
            if parent == Path("."):
                break
            shutil.rmtree(folder / parent / "__pycache__", ignore_errors=True)
            with contextlib.suppress(OSError):
                (folder / parent).rmdir()
