"""What decides which environment a workflow gets."""

from __future__ import annotations

import pytest

from core.definition.requirements import needed_files, requirement_lines, requirements_key

PYTHON = "CPython 3.11 linux"


def key(files: dict[str, bytes], folder: str = "/a/w", python: str = PYTHON) -> str:
    return requirements_key(files, folder, python)


def test_comments_and_blank_lines_ask_for_nothing() -> None:
    assert requirement_lines({}) == []
    assert requirement_lines({"requirements.txt": b"# only a comment\r\n\r\n   # another\n"}) == []
    text = b"\xef\xbb\xbfrich>=13  # for tables\nx \\\n  ==1\nurl @ https://host/x#egg=x\n"
    assert requirement_lines({"requirements.txt": text}) == ["rich>=13", "x    ==1", "url @ https://host/x#egg=x"]


def test_equal_content_is_one_environment_wherever_it_lies() -> None:
    plain = {"requirements.txt": b"rich>=13\nx==1\n"}
    assert key(plain) == key({"requirements.txt": b"# hello\nrich>=13\n\nx==1", "nodes.py": b"pass"}, "/b/other")
    assert key(plain) != key({"requirements.txt": b"rich>=14\nx==1\n"})
    assert key(plain) != key(plain, python="CPython 3.12 linux")


@pytest.mark.parametrize(
    "line",
    ["./wheels/x.whl", "x @ file:wheels/x.whl", "-f wheels", "--find-links=wheels", "-e .", "-r more.txt", "x.whl"],
)
def test_what_lies_beside_a_workflow_is_its_own(line: str) -> None:
    files = {"requirements.txt": line.encode()}
    assert key(files, "/a/w") != key(files, "/b/w")


@pytest.mark.parametrize(
    "line", ["x[extra]>=1", "x @ https://host/x.whl", "--index-url https://host/simple", "--no-index"]
)
def test_what_lies_elsewhere_is_shared(line: str) -> None:
    files = {"requirements.txt": line.encode()}
    assert key(files, "/a/w") == key(files, "/b/w")


def test_lists_and_archives_that_belong_to_the_version_count() -> None:
    files = {
        "requirements.txt": b"-r lists/more.txt\n./wheels/x.whl\n",
        "lists/more.txt": b"-c limits.txt\n",
        "lists/limits.txt": b"x<2\n",
        "wheels/x.whl": b"PK1",
        "wheels/unused.whl": b"PK2",
        "nodes.py": b"",
    }
    named = {"requirements.txt", "lists/more.txt", "lists/limits.txt", "wheels/x.whl"}
    assert needed_files(files).keys() == named
    for path in named:
        assert key({**files, path: files[path] + b"\n#y==1\nz"}) != key(files), path
    assert key({**files, "wheels/unused.whl": b"other"}) == key(files)
    assert "wheels/unused.whl" in needed_files({**files, "requirements.txt": b"--find-links wheels\nx\n"})


def test_lists_that_name_each_other_come_to_an_end() -> None:
    assert len(needed_files({"requirements.txt": b"-r b.txt", "b.txt": b"-r requirements.txt\n-r b.txt"})) == 2
