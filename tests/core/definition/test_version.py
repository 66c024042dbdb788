"""The version: which files belong to it, and one hash for what they hold."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from core.definition.load import load_folder
from core.definition.version import COUNT_LIMIT, version_hash

MakeFolder = Callable[..., Path]

PATHS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
FILES = st.dictionaries(PATHS, st.binary(max_size=8), max_size=5)


@given(FILES, FILES)
def test_two_sets_of_files_have_one_version_only_if_they_are_the_same(
    one: dict[str, bytes], other: dict[str, bytes]
) -> None:
    assert (version_hash(one) == version_hash(other)) == (one == other)
    assert version_hash(dict(reversed(one.items()))) == version_hash(one)


def test_moving_bytes_between_names_and_files_changes_the_version() -> None:
    versions = [
        {"a": b"bc"},
        {"ab": b"c"},
        {"a": b"b", "c": b""},
        {"a": b"", "b": b"c"},
        {"a": b"\0" * 16},
        {"a": b"", "\0" * 16: b""},
        {},
    ]
    assert len({version_hash(files) for files in versions}) == len(versions)


def test_the_version_is_the_same_in_every_process_and_for_every_copy(make_folder: MakeFolder, tmp_path: Path) -> None:
    folder = make_folder({"lib/a.py": "", "lib/b.py": "x", "z.py": "é"})
    version = load_folder(folder).version
    copy = tmp_path / "elsewhere" / "demo"
    shutil.copytree(folder, copy)
    for path in copy.rglob("*.py"):
        os.utime(path, (1, 1))
        path.chmod(0o700)
    assert load_folder(copy).version == version
    code = (
        "import sys; from pathlib import Path; from core.definition.load import load_folder;"
        "print(load_folder(Path(sys.argv[1])).version)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
        env={**os.environ, "PYTHONHASHSEED": "77"},
    )
    assert result.stdout.strip() == version


def test_exactly_what_belongs_to_a_version_changes_it(make_folder: MakeFolder) -> None:
    folder = make_folder(
        {"data.csv": "1", "tools.json": "[]", "requirements.txt": "", "p/q/r.py": ""}, graph={"files": ["data.csv"]}
    )
    first = load_folder(folder)
    assert first.runnable
    assert sorted(first.files) == ["data.csv", "demo.json", "nodes.py", "p/q/r.py", "requirements.txt", "tools.json"]

    inside = [
        "data.csv",
        "demo.json",
        "nodes.py",
        "p/q/r.py",
        "requirements.txt",
        "tools.json",
        "new.py",
        "p/output/x.py",
    ]
    outside = [
        "README.md",
        "other.json",
        "p/tools.json",
        "backups/old.py",
        "output/made.py",
        ".hidden.py",
        ".venv/lib/x.py",
        "p/.git/x.py",
        "__pycache__/x.py",
        "p/__pycache__/y.py",
    ]
    for path in (*inside, *outside):
        target = folder / path
        before = target.read_bytes() if target.exists() else None
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((before or b"") + b"\n")
        changed = load_folder(folder).version != first.version
        assert changed == (path in inside), path
        target.unlink() if before is None else target.write_bytes(before)
    assert load_folder(folder).version == first.version


def test_a_folder_that_grew_too_large_is_refused_and_says_what_to_do(make_folder: MakeFolder) -> None:
    many = make_folder({f"m{number}.py": "" for number in range(COUNT_LIMIT)}, name="many")
    large = make_folder({f"m{number}.py": b"#" * 1024 * 1024 for number in range(33)}, name="large")
    deep = make_folder({"/".join(["d"] * 40) + "/x.py": ""}, name="deep")
    for folder, word in ((many, "2000 files"), (large, "32 MiB"), (deep, "30 levels")):
        loaded = load_folder(folder)
        assert loaded.version is None
        assert [finding.code for finding in loaded.errors] == ["E112"] * len(loaded.errors)
        assert word in loaded.errors[0].message


def test_a_file_that_vanishes_or_grows_while_it_is_read_is_a_finding(make_folder: MakeFolder) -> None:
    """The file is changed at the moment in which it is opened: what any other program may do."""
    folder = make_folder({"victim.py": "x = 1"})
    real_open = os.open

    def hooked(change: Callable[[], object]) -> Callable[..., int]:
        def open_changed(path: str, *arguments: object, **options: object) -> int:
            if str(path).endswith("victim.py"):
                change()
            return real_open(path, *arguments, **options)  # type: ignore[arg-type]

        return open_changed

    victim = folder / "victim.py"
    for change in (
        victim.unlink,
        lambda: victim.write_bytes(b"#" * 2_000_000),
        lambda: (victim.unlink(), victim.mkdir()),
    ):
        victim.write_text("x = 1")
        os.open = hooked(change)
        try:
            loaded = load_folder(folder)
        finally:
            os.open = real_open
        assert [(finding.code, finding.file) for finding in loaded.errors] == [("E112", "victim.py")]
        assert loaded.version is None


def test_reading_leaves_no_file_open(make_folder: MakeFolder) -> None:
    folder = make_folder({"dir.py/x": "", "big.py": b"#" * 2_000_000, "bad.py": b"\xff"})
    os.mkfifo(folder / "pipe.py")
    load_folder(folder)
    before = len(os.listdir("/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"))
    for _ in range(5):
        load_folder(folder)
    assert len(os.listdir("/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd")) == before
