"""Set-up: what make says on a machine that lacks something, and what the wheel holds."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]


def make_setup(folder: Path, python: str) -> subprocess.CompletedProcess[str]:
    """`make setup` in a folder with nothing but the Makefile and the files it looks at."""
    for name in ("Makefile", "requirements.lock", "requirements-dev.lock", "pyproject.toml"):
        shutil.copy(PROJECT / name, folder / name)
    return subprocess.run(
        ["make", "setup", f"PYTHON={python}"], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )


def pretend_python(folder: Path, version: str, *, has_venv: bool) -> str:
    """A program that answers as a Python of that version does."""
    script = folder / "python3"
    script.write_text(
        "#!/bin/sh\n"
        'case "$*" in\n'
        f"  --version) echo Python {version};;\n"
        f"  *version_info?\\<*) exit {0 if version >= '3.11' else 1};;\n"
        f"  *ensurepip*) exit {0 if has_venv else 1};;\n"
        f"  *version_info*) echo {version};;\n"
        "  *) exit 9;;\n"
        "esac\n"
    )
    script.chmod(0o755)
    return str(script)


def test_a_machine_without_python_is_told_what_to_install(tmp_path: Path) -> None:
    done = make_setup(tmp_path, "python-that-is-not-there")
    assert done.returncode != 0
    assert "Install Python 3.11 or newer" in done.stderr


def test_an_old_python_is_refused_by_its_version(tmp_path: Path) -> None:
    done = make_setup(tmp_path, pretend_python(tmp_path, "3.10", has_venv=True))
    assert done.returncode != 0
    assert "Python 3.10 is too old" in done.stderr


def test_a_python_without_venv_names_the_package_to_install(tmp_path: Path) -> None:
    done = make_setup(tmp_path, pretend_python(tmp_path, "3.11", has_venv=False))
    assert done.returncode != 0
    assert "apt-get install python3.11-venv" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_lock_files_pin_everything_by_hash_and_name_no_index() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (PROJECT / name).read_text()
        assert "://" not in text
        assert "index" not in text
        pins = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
        assert pins
        assert all("==" in pin for pin in pins)
        assert text.count("--hash=sha256:") >= len(pins)


@pytest.mark.long
def test_the_wheel_holds_the_examples_and_the_styles(tmp_path: Path) -> None:
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--quiet",
            "--no-deps",
            "--no-build-isolation",
            "-w",
            str(tmp_path),
            ".",
        ],
        cwd=PROJECT,
        check=True,
        timeout=300,
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for example in ("csv_report", "fan_out", "hello", "mail_digest", "onboarding", "review_loop"):
        assert f"core/examples/{example}/{example}.json" in names
        assert f"core/examples/{example}/nodes.py" in names
    assert "core/examples/csv_report/sales.csv" in names
    assert "core/definition/example_hashes.json" in names
    assert any(name.endswith(".tcss") for name in names)
