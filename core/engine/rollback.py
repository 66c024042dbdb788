"""Writing a stored version back into a workflow's folder, so that nothing that was there is lost.

First everything that will change is copied into `backups/`, then the new files are written beside their places, then
they take them one after the other. Where one can't, the ones before it are put back as they were. Before the first move
a plan is written, by which the next engine finishes what a killed one has begun.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from core.errors import EnvironmentProblem, UsageError

STAGE = ".rondo-rollback-"
"""How the folder begins, in that of a workflow, in which the new files wait for their places."""
PLAN, FILES = "plan.json", "files"
FILE_RIGHTS, FOLDER_RIGHTS = 0o644, 0o755
"""As an editor makes them: the engine's own files are private, a workflow's need not be."""

log = structlog.get_logger()


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
        _make_folder(folder)
        with tempfile.TemporaryDirectory(dir=folder, prefix=STAGE) as stage:
            for path in written:
                _check_parents(folder, path)
                _write(Path(stage) / FILES / path, wanted[path])
            backup = _keep(folder, [*written, *removed], now, version)
            _write_plan(Path(stage), written, removed, backup)
            _exchange(folder, Path(stage) / FILES, present, written, removed, backup)
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
            _move(None if path in removed else stage / path, folder / path)
    except BaseException:
        for path in reversed(done):
            kept = backup / path if backup is not None else None
            with contextlib.suppress(OSError):
                if kept is not None and os.path.lexists(kept):
                    _copy(kept, folder / path)
                else:
                    (folder / path).unlink(missing_ok=True)
        raise


def finish_interrupted(workflows_dir: Path) -> None:
    """Finish every rollback that a killed engine has begun, and remove what one left that had not. Blocks.

    A file that someone changed since stays as it is.
    """
    for stage in workflows_dir.glob(f"*/{STAGE}*"):
        try:
            plan = json.loads((stage / PLAN).read_bytes())
            for path in [*plan["written"], *plan["removed"]]:
                _finish(stage.parent, stage / FILES, path, plan)
            log.info("a rollback was finished", folder=str(stage.parent), files=len(plan["written"]))
        except FileNotFoundError:
            # It had not begun to move anything.
            pass
        except (OSError, ValueError, KeyError) as error:
            log.error("a rollback could not be finished", folder=str(stage.parent), error=str(error))
            continue
        shutil.rmtree(stage, ignore_errors=True)


def _finish(folder: Path, stage: Path, path: str, plan: dict[str, Any]) -> None:
    kept = _content(Path(plan["backup"]) / path) if plan["backup"] is not None else None
    if _content(folder / path) != kept:
        return
    if path in plan["removed"]:
        _move(None, folder / path)
    elif os.path.lexists(stage / path):
        _move(stage / path, folder / path)


def _move(new: Path | None, place: Path) -> None:
    """Put a new file into its place; without one, take away what is there."""
    if new is None:
        place.unlink(missing_ok=True)
    else:
        _make_folder(place.parent)
        os.replace(new, place)


def _write_plan(stage: Path, written: list[str], removed: list[str], backup: Path | None) -> None:
    plan = {"written": written, "removed": removed, "backup": str(backup) if backup is not None else None}
    fresh = stage / f"{PLAN}.new"
    fresh.write_text(json.dumps(plan), encoding="utf-8")
    _sync(fresh)
    os.replace(fresh, stage / PLAN)


def _keep(folder: Path, paths: list[str], now: float, version: str) -> Path | None:
    """Copy what will change into a dated folder of `backups/`; None where nothing of it is there."""
    there = [path for path in paths if os.path.lexists(folder / path)]
    if not there:
        return None
    day = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    backups = folder / "backups"
    _make_folder(backups)
    backup = Path(tempfile.mkdtemp(dir=backups, prefix=f"{day}-before-{version[:12]}-"))
    backup.chmod(FOLDER_RIGHTS)
    for path in there:
        _copy(folder / path, backup / path)
    return backup


def _copy(source: Path, target: Path) -> None:
    """Copy a file with its times and rights, in one move; of a link what it leads to."""
    _make_folder(target.parent)
    fresh = target.with_name(f".{target.name}.rondo")
    shutil.copy2(source, fresh)
    _sync(fresh)
    os.replace(fresh, target)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(FILE_RIGHTS)
    _sync(path)


def _make_folder(folder: Path) -> None:
    """Make a folder with those above it, where they are not there yet."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        folder.chmod(FOLDER_RIGHTS)


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
