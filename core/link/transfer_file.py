"""Taking over the file that an engine wrote for this client: same machine, same user."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from pathlib import Path

from core.errors import EnvironmentProblem, UsageError


def refuse_existing(target: Path) -> None:
    """Raise UsageError where something is at the target already."""
    if os.path.lexists(target):
        raise UsageError(
            f"{target} is there already.", cause="Nothing was written over it.", next_step="Add --force, or -o FILE"
        )


def take_over(source: Path, target: Path, *, force: bool = False) -> None:
    """Move the file to the target, all at once; blocks. Raises UsageError where it is there and `force` is not given.

    Raises EnvironmentProblem where it can't be written; then the target is as it was.
    """
    try:
        try:
            if force:
                os.replace(source, target)
            else:
                os.link(source, target)
        except FileExistsError:
            refuse_existing(target)
            raise
        except OSError as error:
            # Another file system, or one without hard links.
            if error.errno not in (errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK):
                raise
            _copy(source, target, force)
        source.unlink(missing_ok=True)
    except OSError as error:
        raise EnvironmentProblem(
            f"{target} can't be written.",
            cause=f"{error.strerror or error}.",
            next_step="Name another place with -o FILE; the run is as it was.",
        ) from error


def _copy(source: Path, target: Path, force: bool) -> None:
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    os.close(handle)
    part = Path(name)
    try:
        shutil.copyfile(source, part)
        if force:
            os.replace(part, target)
        else:
            refuse_existing(target)
            os.rename(part, target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()
