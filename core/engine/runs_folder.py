"""The folder for runs: there, ours, writable, and on a disk that can carry a database and a lock."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

from core.errors import DiskFull, EnvironmentProblem, FolderReadOnly, RondoError

MOUNT_TABLE = Path("/proc/self/mountinfo")

NETWORK_FILESYSTEMS = frozenset(
    {
        "nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "lustre", "gpfs", "beegfs", "glusterfs", "davfs",
        "fuse.sshfs", "fuse.rclone", "fuse.s3fs", "fuse.glusterfs", "fuse.davfs2", "fuse.curlftpfs",
    }
)  # fmt: skip
"""Where a lock and shared memory of one machine mean nothing to another that uses the same folder."""


def prepare_runs_folder(folder: Path) -> None:
    """Make the folder, open to its owner only, where there is none; raises EnvironmentProblem if it can't be used."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise explain(error, folder) from error
    refuse_network_folder(folder, MOUNT_TABLE)


def refuse_network_folder(folder: Path, mount_table: Path) -> None:
    """Raise EnvironmentProblem where the folder is on a network filesystem; systems without a mount table pass."""
    try:
        text = mount_table.read_text(errors="surrogateescape")
    except OSError:
        return
    mount_point, kind = _mount_of(folder.resolve(), text)
    # The root of some sandboxes calls itself 9p and has one user, its own kernel.
    if kind in NETWORK_FILESYSTEMS and not (kind == "9p" and mount_point == "/"):
        raise EnvironmentProblem(
            f"The folder {folder} is on a network filesystem ({kind} at {mount_point}).",
            cause="Locks and shared memory don't work across machines there, so the database could be damaged.",
            next_step="Put `runs` on a local disk: move it there and leave a symbolic link in its place.",
        )


def explain(error: OSError, path: Path) -> RondoError:
    """What an error of the system about a file of the runs folder means to a person."""
    reason = error.strerror or type(error).__name__
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return DiskFull(
                f"There is no space left for {path}.",
                cause=reason,
                next_step="Free space on that disk and call again; nothing is lost.",
            )
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return FolderReadOnly(
                f"{path} can't be written.",
                cause=reason,
                next_step=f"Give user {os.geteuid()} the right to write there, or use a workspace that is writable.",
            )
        case errno.ENOTDIR | errno.EEXIST:
            return EnvironmentProblem(
                f"{path} can't be made.",
                cause=f"{reason}: something else stands where a folder is needed.",
                next_step="Move it away and call again.",
            )
        case _:
            return EnvironmentProblem(
                f"{path} can't be used.", cause=reason, next_step="See what `rondo doctor` says about the folder."
            )


def _mount_of(path: Path, table: str) -> tuple[str, str]:
    """Mount point and filesystem type of the mount a path is on."""
    best = ("", "")
    for line in table.splitlines():
        before, separator, after = line.partition(" - ")
        fields = before.split(" ")
        if not separator or len(fields) < 5:
            continue
        mount_point = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), fields[4])
        # Of several on one point the last one counts.
        if path.is_relative_to(mount_point) and len(mount_point) >= len(best[0]):
            best = (mount_point, after.split(" ")[0])
    return best
