"""Who may run: what counts as an approval, and what doesn't however it looks."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from core.engine.approvals import Approvals, Verdict
from core.errors import EnvironmentProblem
from core.places import data_folder

ONE, TWO = "1" * 64, "2" * 64


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "ws" / "workflows" / "work").mkdir(parents=True)
    return tmp_path / "ws"


def work(root: Path) -> Path:
    return root / "workflows" / "work"


def files() -> list[Path]:
    folder = data_folder() / "approvals"
    return sorted(folder.iterdir()) if folder.exists() else []


def approved_once(root: Path) -> Path:
    """Approve a version; the file that says so."""
    Approvals(root).approve(work(root), ONE)
    (file,) = files()
    return file


def test_a_version_runs_once_it_is_approved_and_another_does_not(root: Path) -> None:
    approvals = Approvals(root)
    assert approvals.verdict(work(root), ONE) == Verdict(False, "never", None)
    approvals.approve(work(root), ONE)
    assert approvals.verdict(work(root), ONE) == Verdict(True, "approved", ONE)
    assert approvals.verdict(work(root), TWO) == Verdict(False, "changed", ONE)
    approvals.approve(work(root), TWO)
    assert approvals.verdict(work(root), ONE) == Verdict(True, "approved", TWO)
    assert Approvals(root).verdict(work(root), TWO).approved


def test_nothing_is_kept_in_the_workspace_and_nobody_else_can_read_it(root: Path) -> None:
    file = approved_once(root)
    assert [path for path in root.rglob("*") if path.is_file()] == []
    assert file.stat().st_mode & 0o077 == 0


def test_trust_in_a_workspace_covers_what_comes_later_and_no_other_workspace(root: Path, tmp_path: Path) -> None:
    Approvals(root).trust_own()
    assert Approvals(root).verdict(work(root), TWO) == Verdict(True, "own", None)
    other = tmp_path / "other"
    (other / "workflows" / "work").mkdir(parents=True)
    assert not Approvals(other).verdict(work(other), TWO).approved


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: b"",
        lambda text: b"{",
        lambda text: b"\xff\xfe",
        lambda text: b"[]",
        lambda text: b"null",
        lambda text: b"[" * 100_000,
        lambda text: json.dumps({**json.loads(text), "path": "/elsewhere"}).encode(),
        lambda text: json.dumps({**json.loads(text), "versions": ONE}).encode(),
        lambda text: json.dumps({**json.loads(text), "versions": [[ONE]]}).encode(),
        lambda text: json.dumps({**json.loads(text), "versions": {ONE: True}}).encode(),
    ],
)
def test_a_file_that_is_not_as_we_write_it_approves_nothing_and_is_replaced_by_the_next_approval(
    root: Path, spoil: Callable[[bytes], bytes]
) -> None:
    file = approved_once(root)
    file.write_bytes(spoil(file.read_bytes()))
    assert not Approvals(root).verdict(work(root), ONE).approved
    Approvals(root).approve(work(root), ONE)
    assert Approvals(root).verdict(work(root), ONE).approved


def test_a_file_of_another_user_approves_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    approved_once(root)
    monkeypatch.setattr(os, "getuid", lambda: os.geteuid() + 1)
    assert not Approvals(root).verdict(work(root), ONE).approved


def test_a_file_put_under_another_name_approves_nothing_there(root: Path) -> None:
    file = approved_once(root)
    other = root / "workflows" / "other"
    other.mkdir()
    Approvals(root).approve(other, TWO)
    (other_file,) = [path for path in files() if path != file]
    other_file.write_bytes(file.read_bytes())
    assert not Approvals(root).verdict(other, ONE).approved


def test_a_folder_that_was_moved_has_to_be_approved_again_and_so_has_what_took_its_place(root: Path) -> None:
    approved_once(root)
    moved = work(root).rename(root / "workflows" / "moved")
    assert not Approvals(root).verdict(moved, ONE).approved
    work(root).mkdir()
    assert Approvals(root).verdict(work(root), TWO) == Verdict(False, "changed", ONE)


def test_a_link_counts_as_the_folder_it_leads_to(root: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    link = root / "workflows" / "link"
    link.symlink_to(elsewhere)
    Approvals(root).approve(link, ONE)
    assert Approvals(root).verdict(elsewhere, ONE).approved
    link.unlink()
    link.symlink_to(work(root))
    assert not Approvals(root).verdict(link, ONE).approved


def test_consent_lets_everything_run_and_keeps_nothing(root: Path) -> None:
    assert Approvals(root, consent=True).verdict(work(root), ONE) == Verdict(True, "consent", None)
    assert files() == []


def test_an_approval_that_cannot_be_kept_says_so(root: Path) -> None:
    folder = data_folder()
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("in the way")
    with pytest.raises(EnvironmentProblem) as caught:
        Approvals(root).approve(work(root), ONE)
    assert str(folder) in caught.value.cause
    assert caught.value.next_step
