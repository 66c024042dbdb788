"""Whatever is wrong with the database, its folder or its disk: a clear error, and nothing lost."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from store_rows import log_lines, new_run, started, step

from core.errors import (
    DatabaseBusy,
    DatabaseDamaged,
    DatabaseProblem,
    DatabaseReplaced,
    DiskFull,
    EngineStopping,
    FolderReadOnly,
    ForeignDatabase,
    RondoError,
    SchemaTooNew,
    StoreError,
    WorkspaceMissing,
)
from core.store.opening import open_database
from core.store.store import Store


def rights_count() -> bool:
    """False for a user who may write anywhere whatever the mode says, as root may."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o555)
        return not os.access(folder, os.W_OK)


needs_rights = pytest.mark.skipif(not rights_count(), reason="this user may write anywhere")


def refused(path: Path, kind: type[RondoError], **options: Any) -> RondoError:
    """The error of opening a database; it is of that very kind and says cause and next step."""
    with pytest.raises(kind) as caught:
        Store.open(path, **options)
    assert type(caught.value) is kind
    assert caught.value.message and caught.value.cause and caught.value.next_step
    return caught.value


def fill(path: Path) -> None:
    """A closed database with one run and a log."""

    async def act() -> None:
        store = await asyncio.to_thread(Store.open, path)
        run, line = await started(store, id="the-run-abcd")
        await store.commit([log_lines(run, line, 1, [f"line {number}" * 5 for number in range(2000)])])
        await store.close()

    asyncio.run(act())


# Opening ---------------------------------------------------------------------------------------------------------


def test_a_new_database_is_one_file_after_closing(path: Path) -> None:
    fill(path)
    assert os.listdir(path.parent) == ["rondo.db"]
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA auto_vacuum").fetchone() == (2,)
    assert connection.execute("PRAGMA application_id").fetchone() == (0x526F6E64,)
    connection.close()


def test_a_folder_with_an_odd_name_is_as_good_as_any(tmp_path: Path) -> None:
    folder = tmp_path / "what? 100% #1 ünï & 'so'"
    folder.mkdir()
    fill(folder / "rondo.db")
    assert os.listdir(folder) == ["rondo.db"]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    error = refused(tmp_path / "gone" / "rondo.db", WorkspaceMissing)
    assert str(tmp_path / "gone") in error.message


def test_what_a_killed_first_start_left_is_no_obstacle(path: Path) -> None:
    Path(f"{path}.new").write_bytes(b"half a database")
    Path(f"{path}.new-wal").write_bytes(b"half a log")
    fill(path)
    assert os.listdir(path.parent) == ["rondo.db"]


@pytest.mark.parametrize("content", [b"", b"not a database", b"\0" * 100_000], ids=["empty", "text", "zeros"])
def test_a_file_that_is_no_database_is_refused_and_kept(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    refused(path, DatabaseDamaged)
    assert path.read_bytes() == content


@pytest.mark.parametrize("cut", ["the first page", "the end", "half"])
def test_a_damaged_database_is_refused_and_never_made_anew(path: Path, cut: str) -> None:
    fill(path)
    whole = path.read_bytes()
    broken = {
        "the first page": whole[:16] + b"\xff" * 1000 + whole[1016:],
        "the end": whole[: -4096 * 3],
        "half": whole[: len(whole) // 8192 * 4096],
    }[cut]
    path.write_bytes(broken)
    refused(path, DatabaseDamaged, check=True)
    assert path.read_bytes() == broken


def test_a_damaged_page_is_found_by_the_check(path: Path) -> None:
    fill(path)
    whole = bytearray(path.read_bytes())
    page = whole.rindex(b"line 1500") // 4096 * 4096
    whole[page : page + 64] = b"\xa5" * 64
    path.write_bytes(whole)
    error = refused(path, DatabaseDamaged, check=True)
    assert str(path) in error.message and ".recover" in error.next_step


def test_a_sound_database_passes_the_check(path: Path) -> None:
    fill(path)
    asyncio.run(Store.open(path, check=True).close())


def test_a_log_whose_database_is_gone_is_not_swallowed(path: Path) -> None:
    """A new database would take the old log for its own."""
    fill(path)
    connection = open_database(path)
    connection.execute("UPDATE runs SET node = 'x'")
    log = Path(f"{path}-wal").read_bytes()
    connection.close()
    path.unlink()
    Path(f"{path}-wal").write_bytes(log)
    error = refused(path, DatabaseDamaged)
    assert "rondo.db-wal" in error.cause and not path.exists()


def test_a_database_without_a_table_is_damaged(path: Path) -> None:
    fill(path)
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE attempts")
    connection.close()
    assert "attempts" in refused(path, DatabaseDamaged).cause


def test_a_database_of_another_program_is_refused_and_kept(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE notes (text)")
    connection.close()
    before = path.read_bytes()
    refused(path, ForeignDatabase)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA application_id = 77")
    connection.close()
    assert "0x4d" in refused(path, ForeignDatabase).cause
    assert len(path.read_bytes()) == len(before)


def test_a_database_of_a_newer_rondo_is_refused_and_kept(path: Path) -> None:
    fill(path)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 9")
        connection.execute("UPDATE meta SET value = '4.2.0' WHERE key = 'written_by'")
        connection.execute("DROP TABLE attempts")
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()
    before = path.read_bytes()
    error = refused(path, SchemaTooNew)
    assert "4.2.0" in error.message and "schema 9" in error.cause and "4.2.0" in error.next_step
    assert path.read_bytes() == before


@needs_rights
def test_a_folder_without_write_permission_is_named(path: Path) -> None:
    fill(path)
    path.parent.chmod(0o555)
    try:
        error = refused(path, FolderReadOnly)
        new = refused(path.with_name("new.db"), FolderReadOnly)
    finally:
        path.parent.chmod(0o755)
    assert str(path.parent) in error.message and "0555" in error.cause and str(path.parent) in new.message


@needs_rights
def test_a_file_without_write_permission_is_named(path: Path) -> None:
    fill(path)
    path.chmod(0o444)
    error = refused(path, FolderReadOnly)
    assert str(path) in error.message and "0444" in error.cause


def test_a_folder_where_the_database_should_be_is_an_error(path: Path) -> None:
    path.mkdir()
    refused(path, DatabaseProblem)


# Other programs --------------------------------------------------------------------------------------------------


async def test_a_database_that_another_program_holds_is_busy(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.store.opening.BUSY_SECONDS", 0.05)
    await asyncio.to_thread(fill, path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    await asyncio.to_thread(refused, path, DatabaseBusy)
    other.execute("ROLLBACK")
    store = await asyncio.to_thread(Store.open, path)
    await store.start_reads()
    other.execute("BEGIN IMMEDIATE")
    futures = [store.commit_soon([new_run(f"run-{number}")]) for number in range(20)]
    errors = await asyncio.gather(*futures, return_exceptions=True)
    assert all(isinstance(error, DatabaseBusy) for error in errors)
    assert (await store.run("the-run-abcd")).number == 1
    other.execute("ROLLBACK")
    await store.commit([new_run("run-after")])
    assert [record.id for record in await store.runs()] == ["run-after", "the-run-abcd"]
    other.close()
    await store.close()


@pytest.mark.parametrize("ending", ["", "-wal"])
async def test_files_that_were_deleted_are_noticed_before_the_next_commit(path: Path, ending: str) -> None:
    store = await asyncio.to_thread(Store.open, path)
    await started(store)
    store.check_identity()
    os.unlink(f"{path}{ending}")
    with pytest.raises(DatabaseReplaced, match="removed or replaced"):
        store.check_identity()
    futures = [store.commit_soon([new_run()]) for _ in range(3)]
    for error in await asyncio.gather(*futures, return_exceptions=True):
        assert isinstance(error, DatabaseReplaced)
    await store.close()


async def test_a_database_that_was_replaced_is_noticed(path: Path) -> None:
    store = await asyncio.to_thread(Store.open, path)
    await started(store)
    other = path.with_name("other.db")
    await asyncio.to_thread(fill, other)
    os.replace(other, path)
    with pytest.raises(DatabaseReplaced):
        store.check_identity()
    with pytest.raises(DatabaseReplaced):
        await store.commit([new_run()])
    await store.close()


# The disk --------------------------------------------------------------------------------------------------------


async def test_a_full_disk_fails_what_does_not_fit_and_nothing_else(path: Path) -> None:
    connection = await asyncio.to_thread(open_database, path)
    store = Store(path, connection)
    await store.start_reads()
    run, line = await started(store)
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages + 4}")
    large = ("x" * 100_000,)
    futures = [
        store.commit_soon([log_lines(run, line, 1, ["before"])]),
        store.commit_soon([step(line, 1, ["setb", ["text"], 0], values=large)]),
        store.commit_soon([log_lines(run, line, 2, ["after"])]),
    ]
    before, too_large, after = await asyncio.gather(*futures, return_exceptions=True)
    assert before == [None] and after == [None]
    assert isinstance(too_large, DiskFull) and "Free some space" in too_large.next_step
    rows, _ = await store.logs(run)
    assert [row.text for row in rows] == ["before", "after"] and await store.step_total(line) == 0
    connection.execute("PRAGMA max_page_count = 100000")
    await store.commit([step(line, 1, ["setb", ["text"], 0], values=large)])
    assert await store.step_total(line) == 1
    await store.close()


def can_mount() -> bool:
    """True where a test may have a small disk of its own."""
    if shutil.which("unshare") is None:
        return False
    try:
        tried = subprocess.run(
            ["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, timeout=60, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return tried.returncode == 0


needs_disk = pytest.mark.skipif(not can_mount(), reason="this user can't mount a small disk of its own")


def on_a_small_disk(folder: Path, what: str) -> dict[str, Any]:
    """Do something on a disk of 2 MB; return what was seen there."""
    script = Path(__file__).with_name("small_disk.py")
    ended = subprocess.run(
        ["unshare", "-rm", sys.executable, str(script), str(folder), what], capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 0, ended.stderr
    seen: dict[str, Any] = json.loads(ended.stdout)
    return seen


@needs_disk
def test_runs_go_on_when_a_full_disk_has_room_again(tmp_path: Path) -> None:
    seen = on_a_small_disk(tmp_path, "fill")
    assert seen["error"] == "DiskFull" and str(tmp_path) in seen["message"] and "KiB are free" in seen["cause"]
    assert seen["read_while_full"] == seen["acknowledged_before"] > 0
    assert seen["acknowledged_after"] > seen["acknowledged_before"]
    assert seen["found_after_reopening"] == seen["acknowledged_after"]
    assert seen["check"] == "ok"


@needs_disk
def test_a_full_disk_is_named_when_the_database_is_opened(tmp_path: Path) -> None:
    assert on_a_small_disk(tmp_path, "open while full")["error"] == "DiskFull"
    assert on_a_small_disk(tmp_path, "create while full")["error"] == "DiskFull"


@needs_disk
def test_a_backup_onto_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    seen = on_a_small_disk(tmp_path, "backup while full")
    assert seen["error"] == "DiskFull" and seen["files"] == ["ballast"]


@needs_disk
def test_a_disk_mounted_for_reading_only_is_named(tmp_path: Path) -> None:
    seen = on_a_small_disk(tmp_path, "read-only")
    assert seen["error"] == "FolderReadOnly" and str(tmp_path) in seen["message"]


# Backups ---------------------------------------------------------------------------------------------------------


async def test_a_backup_is_whole_though_commits_go_on(store: Store, path: Path, tmp_path: Path) -> None:
    run, line = await started(store)
    await store.commit([log_lines(run, line, 1, ["x" * 200] * 3000)])
    target = tmp_path / "copies" / "backup.db"
    target.parent.mkdir()
    copying = asyncio.create_task(store.backup(target))
    seq = 0
    while not copying.done():
        seq += 1
        await store.commit([step(line, seq), log_lines(run, line, 3000 + seq, ["more"])])
    await copying
    assert os.listdir(target.parent) == ["backup.db"]
    copy = await asyncio.to_thread(lambda: Store.open(target, check=True))
    await copy.start_reads()
    total = await copy.step_total(line)
    assert total <= seq and await copy.last_log_row(run) == 3000 + total
    await copy.close()


async def test_a_backup_replaces_nothing(store: Store, path: Path, tmp_path: Path) -> None:
    target = tmp_path / "backup.db"
    target.write_bytes(b"precious")
    for taken in (target, path):
        with pytest.raises(StoreError, match="already"):
            await store.backup(taken)
    assert target.read_bytes() == b"precious"


async def test_a_backup_into_a_folder_that_is_not_there_is_an_error(store: Store, tmp_path: Path) -> None:
    with pytest.raises(DatabaseProblem):
        await store.backup(tmp_path / "gone" / "backup.db")


async def test_a_closed_store_makes_no_backup(path: Path, tmp_path: Path) -> None:
    store = await asyncio.to_thread(Store.open, path)
    await store.start_reads()
    await store.close()
    with pytest.raises(EngineStopping, match="closed"):
        await store.backup(tmp_path / "backup.db")


async def test_what_was_stored_is_rescued_from_files_that_were_deleted(path: Path) -> None:
    store = await asyncio.to_thread(Store.open, path)
    await started(store)
    await store.start_reads()
    stored = [record.id for record in await store.runs()]
    assert stored
    for ending in ("", "-wal", "-shm"):
        os.unlink(f"{path}{ending}")
    copy = path.with_name("copy.db")
    await store.rescue(copy)
    await store.close()
    again = await asyncio.to_thread(Store.open, copy, check=True)
    await again.start_reads()
    assert [record.id for record in await again.runs()] == stored
    await again.close()
