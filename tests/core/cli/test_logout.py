"""`rondo doctor` warns where the system ends a person's processes at logout."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.cli.doctor import logout_problems
from core.cli.logout import ends_processes_at_logout


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    return tmp_path


def write(root: Path, file: str, text: str) -> Path:
    path = root / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_without_a_setting_processes_stay(root: Path) -> None:
    assert ends_processes_at_logout("ada", root) == ""
    write(root, "etc/systemd/logind.conf", "[Login]\n#KillUserProcesses=yes\nHandlePowerKey=off\n")
    assert ends_processes_at_logout("ada", root) == ""
    assert logout_problems("ada", root) == []


def test_the_file_that_ends_them_is_named_with_what_to_do(root: Path) -> None:
    path = write(root, "etc/systemd/logind.conf", "[Login]\nKillUserProcesses=yes\n")
    assert ends_processes_at_logout("ada", root) == str(path)
    (problem,) = logout_problems("ada", root)
    assert problem.severity == "warning"
    assert str(path) in problem.cause
    assert "loginctl enable-linger" in problem.next_step and "rondo engine start" in problem.next_step


def test_a_later_file_has_the_last_word(root: Path) -> None:
    write(root, "usr/lib/systemd/logind.conf", "[Login]\nKillUserProcesses=yes\n")
    write(root, "etc/systemd/logind.conf.d/50-mine.conf", "[Login]\nKillUserProcesses=no\n")
    assert ends_processes_at_logout("ada", root) == ""
    last = write(root, "usr/lib/systemd/logind.conf.d/90-late.conf", "[Login]\nKillUserProcesses = true\n")
    assert ends_processes_at_logout("ada", root) == str(last)
    write(root, "etc/systemd/logind.conf.d/90-late.conf", "[Login]\n")
    assert ends_processes_at_logout("ada", root) == ""


def test_only_those_who_are_meant_are_warned(root: Path) -> None:
    write(root, "etc/systemd/logind.conf", "[Login]\nKillUserProcesses=yes\nKillExcludeUsers=root ada\n")
    assert ends_processes_at_logout("ada", root) == ""
    assert ends_processes_at_logout("eve", root)
    write(root, "etc/systemd/logind.conf", "[Login]\nKillUserProcesses=yes\nKillOnlyUsers=eve\n")
    assert ends_processes_at_logout("ada", root) == ""
    assert ends_processes_at_logout("root", root) == ""


def test_without_systemd_there_is_nothing_to_warn_of(tmp_path: Path) -> None:
    write(tmp_path, "etc/systemd/logind.conf", "[Login]\nKillUserProcesses=yes\n")
    assert ends_processes_at_logout("ada", tmp_path) == ""


@pytest.mark.parametrize("text", ["KillUserProcesses=yes", "[Login\nx", "\x00\xff", "[Login]\nKillUserProcesses\n"])
def test_a_broken_file_is_as_good_as_none(root: Path, text: str) -> None:
    write(root, "etc/systemd/logind.conf", text)
    assert ends_processes_at_logout("ada", root) == ""
