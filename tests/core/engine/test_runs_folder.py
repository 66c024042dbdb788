from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from core.engine.runs_folder import MOUNT_TABLE, explain, prepare_runs_folder, refuse_network_folder
from core.errors import DiskFull, EnvironmentProblem, FolderReadOnly, RondoError

LOCAL = "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"


def refuse(tmp_path: Path, folder: Path, table: str) -> None:
    (tmp_path / "mountinfo").write_text(table)
    refuse_network_folder(folder, tmp_path / "mountinfo")


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "9p", "fuse.sshfs"])
def test_a_network_filesystem_is_refused_with_the_way_out(tmp_path: Path, kind: str) -> None:
    table = LOCAL + f"90 22 0:50 / {tmp_path} rw - {kind} server:/export rw\n"
    with pytest.raises(EnvironmentProblem) as caught:
        refuse(tmp_path, tmp_path / "w" / "runs", table)
    assert kind in caught.value.message and str(tmp_path) in caught.value.message
    assert "local disk" in caught.value.next_step


def test_a_local_disk_inside_a_network_filesystem_is_fine_and_so_is_its_neighbour(tmp_path: Path) -> None:
    mounts = f"90 22 0:50 / {tmp_path} rw - nfs4 s:/e rw\n91 90 8:1 / {tmp_path}/local rw - ext4 /dev/sda rw\n"
    refuse(tmp_path, tmp_path / "local" / "runs", LOCAL + mounts)
    with pytest.raises(EnvironmentProblem):
        refuse(tmp_path, tmp_path / "local2" / "runs", LOCAL + mounts)


def test_of_two_mounts_on_one_folder_the_later_one_counts(tmp_path: Path) -> None:
    over = f"90 22 0:50 / {tmp_path} rw - nfs4 s:/e rw\n91 90 8:1 / {tmp_path} rw - ext4 /dev/sda rw\n"
    refuse(tmp_path, tmp_path, LOCAL + over)


def test_a_mount_with_a_space_in_its_name_is_understood(tmp_path: Path) -> None:
    folder = tmp_path / "my share"
    name = str(folder).replace(" ", r"\040")
    with pytest.raises(EnvironmentProblem):
        refuse(tmp_path, folder / "runs", LOCAL + f"90 22 0:50 / {name} rw shared:2 master:1 - cifs //s/e rw\n")


def test_a_link_to_a_local_disk_is_judged_by_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "share").mkdir()
    (tmp_path / "disk").mkdir()
    (tmp_path / "share" / "runs").symlink_to(tmp_path / "disk")
    refuse(tmp_path, tmp_path / "share" / "runs", LOCAL + f"90 22 0:50 / {tmp_path}/share rw - nfs s:/e rw\n")


def test_a_sandbox_whose_root_calls_itself_9p_and_a_system_without_a_mount_table_pass(tmp_path: Path) -> None:
    refuse(tmp_path, tmp_path, "22 1 0:1 / / rw - 9p none rw\n")
    refuse_network_folder(tmp_path, tmp_path / "no such file")


def test_the_folder_is_made_for_its_owner_only_and_a_present_one_is_taken(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "runs"
    prepare_runs_folder(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    prepare_runs_folder(folder)


def test_a_file_in_the_folders_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(EnvironmentProblem) as caught:
        prepare_runs_folder(tmp_path / "runs")
    assert str(tmp_path / "runs") in caught.value.message and caught.value.next_step


@pytest.mark.skipif(not MOUNT_TABLE.exists(), reason="this system has no mount table")
def test_the_real_mount_table_is_understood(tmp_path: Path) -> None:
    refuse_network_folder(tmp_path, MOUNT_TABLE)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, DiskFull),
        (errno.EDQUOT, DiskFull),
        (errno.EROFS, FolderReadOnly),
        (errno.EACCES, FolderReadOnly),
        (errno.EIO, EnvironmentProblem),
    ],
)
def test_what_the_system_says_becomes_an_error_with_cause_and_next_step(number: int, kind: type[RondoError]) -> None:
    error = explain(OSError(number, os.strerror(number)), Path("/w/runs"))
    assert type(error) is kind
    assert "/w/runs" in error.message and error.cause == os.strerror(number) and error.next_step
    assert error.exit_code == 5
