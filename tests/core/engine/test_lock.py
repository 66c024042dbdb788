from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.engine.lock import EngineLock
from core.errors import EnvironmentProblem, WorkspaceLocked

HOLD = """
import sys
from pathlib import Path
from core.engine.lock import EngineLock
lock = EngineLock(Path(sys.argv[1]))
lock.acquire(sys.argv[2])
print("held", flush=True)
sys.stdin.read()
"""


def hold(path: Path, holder: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path), holder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


@pytest.mark.parametrize(("holder", "says"), [("engine", "engine"), ("library", "Python program")])
def test_a_taken_lock_is_refused_with_who_holds_it(tmp_path: Path, holder: str, says: str) -> None:
    path = tmp_path / "engine.lock"
    with hold(path, holder) as process:
        with pytest.raises(WorkspaceLocked) as caught:
            EngineLock(path).acquire("engine")
        assert caught.value.details == {"pid": process.pid, "holder": holder}
        assert str(process.pid) in caught.value.cause and says in caught.value.cause
        assert caught.value.next_step
        process.kill()
    EngineLock(path).acquire("engine")


def test_a_released_lock_can_be_taken_and_its_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "engine.lock"
    first, second = EngineLock(path), EngineLock(path)
    first.acquire("engine")
    with pytest.raises(WorkspaceLocked):
        second.acquire("library")
    first.release()
    assert path.exists()
    second.acquire("library")
    second.release()


def test_programs_started_by_the_owner_do_not_keep_the_lock(tmp_path: Path) -> None:
    lock = EngineLock(tmp_path / "engine.lock")
    lock.acquire("engine")
    with subprocess.Popen(
        [sys.executable, "-c", "print(flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        close_fds=False,
    ) as child:
        assert child.stdout is not None
        # Its own program runs: before that, the descriptors may not be closed yet.
        child.stdout.readline()
        lock.release()
        again = EngineLock(tmp_path / "engine.lock")
        again.acquire("engine")
        again.release()
        child.kill()


def test_a_replaced_or_removed_lock_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "engine.lock"
    lock = EngineLock(path)
    assert not lock.is_in_place()
    lock.acquire("engine")
    assert lock.is_in_place()
    os.rename(path, tmp_path / "aside")
    assert not lock.is_in_place()
    path.touch()
    assert not lock.is_in_place()
    os.rename(tmp_path / "aside", path)
    assert lock.is_in_place()
    lock.release()


def test_a_lock_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    (tmp_path / "engine.lock").mkdir()
    with pytest.raises(EnvironmentProblem) as caught:
        EngineLock(tmp_path / "engine.lock").acquire("engine")
    assert "Is a directory" in caught.value.cause
