"""Whole workflow folders, copied and moved so that a kill leaves each of them in one place, whole.

A copy is made beside its place under a hidden name and takes it in one move. The trash is `workflows/.trash/`: a folder
there has a card, written first, and holds the workflow's folder as it was. Everything here blocks.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import structlog

from core.crash_points import crash_point
from core.errors import EnvironmentProblem, UsageError

TRASH = ".trash"
STAGE = ".rondo-copy-"
"""How the hidden folder begins in which a copy is made."""
MARK = ".rondo-copied"
"""The file in a copy that names the command which made it, until that is noted in the database."""
CARD, FOLDER = "card.json", "folder"
REMOVED = "removed"
"""What a folder in the trash is called from the moment on that it can't be taken out again."""
LEFT_BEHIND = frozenset({"backups", "output", "__pycache__"})
"""What belongs to one workflow's past and not to a copy of it."""
EMPTY_SECONDS = 86_400.0
"""So long the card of what was taken out again is kept, for a client that asks twice."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Card:
    """What is known of a workflow in the trash; `restored_by` is the command that took it out, or was about to."""

    id: str
    workflow: str
    at: float
    version: str | None = None
    restored_by: str = ""


def copy_folder(
    source: Path, target: Path, present: Mapping[str, bytes], files: Mapping[str, bytes], command_id: str
) -> None:
    """Make a folder of these files and of what else the source holds; `present` are the source's own files of these.

    Until `settle_copy` the copy says which command made it. Raises UsageError where the target is there,
    EnvironmentProblem where it can't be made; then nothing is there.
    """
    stage: Path | None = None
    try:
        stage = Path(tempfile.mkdtemp(dir=target.parent, prefix=STAGE))
        shutil.copytree(source, stage, symlinks=True, dirs_exist_ok=True, ignore=_left_out(source, present))
        for path, content in files.items():
            place = stage / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
            place.chmod(0o644)
        (stage / MARK).write_text(command_id, encoding="utf-8")
        stage.chmod(stat.S_IMODE(source.stat().st_mode))
        _sync_tree(stage)
        crash_point("folder.copied")
        _require_free(target)
        os.rename(stage, target)
        _sync(target.parent)
    except (OSError, shutil.Error) as error:
        raise _problem(f"{source.name} could not be copied to {target.name}.", target, error) from error
    finally:
        if stage is not None:
            shutil.rmtree(stage, ignore_errors=True)


def is_copied_by(target: Path, command_id: str) -> bool:
    """True where this command made the copy and had not the time to note that it did."""
    try:
        return (target / MARK).read_text(encoding="utf-8") == command_id
    except (OSError, UnicodeDecodeError):
        return False


def settle_copy(target: Path) -> None:
    """It is noted that the copy was made."""
    with contextlib.suppress(OSError):
        (target / MARK).unlink(missing_ok=True)


def throw_away(folder: Path, card: Card) -> Path:
    """Put a workflow's folder into the trash, and return where it is; what is there already stays there.

    Raises EnvironmentProblem where it can't be moved; then it is where it was.
    """
    entry = folder.parent / TRASH / card.id
    try:
        entry.mkdir(parents=True, exist_ok=True)
        _write_card(entry, card)
        crash_point("folder.card_written")
        os.rename(folder, entry / FOLDER)
        crash_point("folder.thrown_away")
        _sync(entry)
        _sync(folder.parent)
    except OSError as error:
        raise _problem(f"{folder.name} could not be put into the trash.", folder, error) from error
    return entry / FOLDER


def take_out(workflows_dir: Path, card: Card, command_id: str) -> Path:
    """Put a folder back from the trash to its place, and return that. Raises UsageError where the place is taken."""
    entry = workflows_dir / TRASH / card.id
    target = workflows_dir / card.workflow
    try:
        _require_free(target)
        _write_card(entry, replace(card, restored_by=command_id))
        os.rename(entry / FOLDER, target)
        crash_point("folder.taken_out")
        _sync(workflows_dir)
    except OSError as error:
        raise _problem(f"{card.workflow} could not be taken out of the trash.", target, error) from error
    return target


def remove_for_good(workflows_dir: Path, trash_id: str) -> bool:
    """Remove what is in the trash under an id; False where nothing is. A kill leaves it whole, or out of reach.

    Raises EnvironmentProblem where it can't be removed.
    """
    entry = workflows_dir / TRASH / trash_id
    if not is_in_trash(workflows_dir, trash_id):
        return False
    try:
        os.rename(entry / FOLDER, entry / REMOVED)
        _sync(entry)
        _remove_entry(entry)
    except OSError as error:
        raise EnvironmentProblem(
            f"{entry.name} could not be removed from the trash whole.",
            cause=f"{getattr(error, 'filename', None) or entry}: {error.strerror or error}.",
            next_step="Mend that (rights), then try again.",
        ) from error
    return True


def _remove_entry(entry: Path) -> None:
    removed = entry / REMOVED
    if removed.is_symlink():
        removed.unlink()
    elif removed.exists():
        shutil.rmtree(removed)
    (entry / CARD).unlink(missing_ok=True)
    entry.rmdir()


def read_card(workflows_dir: Path, trash_id: str) -> Card | None:
    """The card of something in the trash, also of what was taken out a short time ago; None where there is none."""
    try:
        document = json.loads((workflows_dir / TRASH / trash_id / CARD).read_bytes())
        return Card(**{name: document[name] for name in Card.__slots__ if name in document})
    except (OSError, ValueError, TypeError):
        return None


def is_in_trash(workflows_dir: Path, trash_id: str) -> bool:
    """True where the folder itself is there, and not only its card."""
    return (workflows_dir / TRASH / trash_id / FOLDER).is_dir()


def in_trash(workflows_dir: Path) -> list[Card]:
    """What can be taken out of the trash, the newest first."""
    try:
        names = os.listdir(workflows_dir / TRASH)
    except OSError:
        return []
    cards = [read_card(workflows_dir, name) for name in names if is_in_trash(workflows_dir, name)]
    return sorted((card for card in cards if card is not None), key=lambda card: (-card.at, card.id))


def clear_left_over(workflows_dir: Path, now: float | None = None) -> None:
    """Remove half-made copies of a killed engine, and cards whose folder was taken out long ago."""
    for stage in workflows_dir.glob(f"{STAGE}*"):
        shutil.rmtree(stage, ignore_errors=True)
        log.info("a copy that was not finished was removed", folder=stage.name)
    moment = time.time() if now is None else now
    with contextlib.suppress(OSError):
        for entry in (workflows_dir / TRASH).iterdir():
            card = entry / CARD
            if os.path.lexists(entry / REMOVED):
                with contextlib.suppress(OSError):
                    _remove_entry(entry)
                continue
            if not (entry / FOLDER).exists() and card.is_file() and moment - card.stat().st_mtime > EMPTY_SECONDS:
                card.unlink()
                entry.rmdir()


def _left_out(source: Path, present: Mapping[str, bytes]):  # type: ignore[no-untyped-def]
    """What `copytree` passes over: files that are written anew, what belongs to the past, what is no file."""

    def chosen(folder: str, names: list[str]) -> set[str]:
        place = Path(folder).relative_to(source)
        out: set[str] = set()
        for name in names:
            kind = os.lstat(os.path.join(folder, name)).st_mode
            past = name.startswith(".") or name == "__pycache__" or (place == Path(".") and name in LEFT_BEHIND)
            special = not (stat.S_ISREG(kind) or stat.S_ISDIR(kind) or stat.S_ISLNK(kind))
            if past or special or str(place / name) in present:
                out.add(name)
        return out

    return chosen


def _require_free(target: Path) -> None:
    if os.path.lexists(target):
        raise UsageError(
            f"There is a workflow or folder {target.name!r} already.",
            cause=f"{target} is there; nothing is ever overwritten.",
            next_step=f"Choose another name, or put that one into the trash first: rondo trash {target.name}",
        )


def _write_card(entry: Path, card: Card) -> None:
    fresh = entry / f"{CARD}.new"
    fresh.write_text(json.dumps(asdict(card)), encoding="utf-8")
    _sync(fresh)
    os.replace(fresh, entry / CARD)
    _sync(entry)


def _sync_tree(folder: Path) -> None:
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place) / name
            if not path.is_symlink():
                _sync(path)
        _sync(Path(place))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _problem(message: str, place: Path, error: OSError | shutil.Error) -> EnvironmentProblem:
    reason = getattr(error, "strerror", None) or str(error)
    name = getattr(error, "filename", None) or place
    return EnvironmentProblem(
        message, cause=f"{name}: {reason}. All is as it was.", next_step="Mend that (rights, space), then try again."
    )
