"""What changed between two versions: complete, applicable, and safe to show."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.definition.difference import diff_files
from core.definition.text import visible

LINES = st.lists(st.sampled_from(["a", "b", "c", "", "  x", "\\ no"]), max_size=12)


def applied(old: str, diff: str) -> str:
    """The new text, made from the old one and the diff alone."""
    lines = old.split("\n")
    if lines[-1] == "":
        lines.pop()
    else:
        lines[-1] += "\n"  # marks a last line without an end
    result: list[str] = []
    position = 0
    body = diff.split("\n")[2:-1]
    for index, line in enumerate(body):
        ends_open = index + 1 < len(body) and body[index + 1].startswith("\\ No newline")
        text = line[1:] + ("\n" if ends_open else "")
        if line.startswith("@@"):
            numbers = re.match(r"@@ -(\d+)(?:,(\d+))? ", line)
            assert numbers is not None
            start = int(numbers[1]) - (0 if numbers[2] == "0" else 1)
            result += lines[position:start]
            position = start
        elif line.startswith("\\"):
            continue
        elif line.startswith("+"):
            result.append(text)
        else:
            assert lines[position] == text
            position += 1
            if line.startswith(" "):
                result.append(text)
    result += lines[position:]
    joined = "\n".join(result)
    return joined[:-1] if joined.endswith("\n") and result[-1].endswith("\n") else joined + ("\n" if result else "")


@given(LINES, LINES, st.booleans(), st.booleans())
def test_old_text_and_diff_give_the_new_text(old: list[str], new: list[str], old_end: bool, new_end: bool) -> None:
    before, after = "\n".join(old) + "\n" * old_end, "\n".join(new) + "\n" * new_end
    found = diff_files({"f": before.encode()}, {"f": after.encode()})
    assert bool(found) == (before != after)
    if found:
        assert applied(before, found[0].diff) == after


@pytest.mark.skipif(shutil.which("patch") is None, reason="no patch program here")
def test_a_real_patch_program_takes_the_diff(tmp_path: Path) -> None:
    old = "".join(f"line {number}\n" for number in range(5_000))
    edits = {7: "seven\n", 100: "", 4_000: "x\ny\n"}
    new = "".join(edits.get(number, f"line {number}\n") for number in range(5_000)) + "end without newline"
    rewritten = "".join(f"other {number}\n" for number in range(4_000))
    for after in (new, rewritten, ""):
        (diff,) = diff_files({"f": old.encode()}, {"f": after.encode()})
        (tmp_path / "f").write_text(old)
        subprocess.run(["patch", "-p1", "--quiet"], input=diff.diff, text=True, cwd=tmp_path, check=True)
        assert (tmp_path / "f").read_text() == after


def test_added_removed_and_changed_files_come_in_order_of_their_paths() -> None:
    old = {"b": b"1\n", "c": b"1\n", "d": b"1\n"}
    new = {"a": b"1\n", "b": b"2\n", "c": b"1\n", "e": b""}
    found = diff_files(old, new)
    assert [(path, status) for path, status, _ in found] == [
        ("a", "added"),
        ("b", "changed"),
        ("d", "removed"),
        ("e", "added"),
    ]
    assert found[0].diff == "--- /dev/null\n+++ b/a\n@@ -0,0 +1 @@\n+1\n"
    assert found[1].diff == "--- a/b\n+++ b/b\n@@ -1 +1 @@\n-1\n+2\n"
    assert [status for _, status, _ in diff_files(None, new)] == ["added"] * 4
    assert diff_files(new, new) == []


@given(st.binary(max_size=30), st.binary(max_size=30), st.text(max_size=8))
def test_whatever_the_files_hold_the_diff_is_printable_and_says_that_they_differ(
    old: bytes, new: bytes, path: str
) -> None:
    found = diff_files({path: old}, {path: new})
    assert bool(found) == (old != new)
    for name, _, diff in found:
        assert name.isprintable()
        assert visible(diff, keep="\n\t") == diff
        assert any(line.startswith(("+", "-")) for line in diff.split("\n")[2:])


def test_hidden_characters_are_shown_and_never_compared_by_their_looks() -> None:
    cases = {
        "\x1b[2K": "<U+001B>[2K",
        "a\rb": "a<U+000D>b",
        "\u202e": "<U+202E>",
        "\x9b": "<U+009B>",
        "\u2028": "<U+2028>",
    }
    for raw, shown in cases.items():
        (found,) = diff_files({"f": f"{shown}\n".encode()}, {"f": f"{raw}\n".encode()})
        assert found.diff.split("\n")[3:5] == [f"-{shown}", f"+{shown}"]


def test_binary_files_are_named_by_size_and_hash() -> None:
    (found,) = diff_files({"f": b"text\n"}, {"f": b"\x00\x01"})
    assert found.diff.split("\n")[2].startswith("- binary, 5 bytes, sha256 ")
    assert found.diff.split("\n")[3].startswith("+ binary, 2 bytes, sha256 ")


def test_a_large_rewrite_hides_no_line() -> None:
    old = "".join(f"{number % 3}\n" for number in range(20_000))
    new = "".join(f"{number % 2}\n" for number in range(20_000)) + "import os\n"
    (found,) = diff_files({"f": old.encode()}, {"f": new.encode()})
    assert applied(old, found.diff) == new
    assert "+import os" in found.diff.split("\n")
