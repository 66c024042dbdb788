"""A folder as a workflow: what is listed, what is loaded, and what can't be."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from core.definition.load import LoadedWorkflow, list_folders, load_folder, load_sources
from core.errors import WorkspaceMissing
from core.flow.graph import Graph

MakeFolder = Callable[..., Path]


def codes(loaded: LoadedWorkflow) -> list[str]:
    return [finding.code for finding in loaded.findings]


def test_a_good_folder_gives_graph_version_code_and_no_findings(make_folder: MakeFolder) -> None:
    folder = make_folder(
        {"tools.json": '{"tools": [{"name": "gmail"}, "slack"]}', "README.md": "x"},
        graph={"name": "Demo", "description": "Shows", "initial_state": {"n": 1}},
    )
    loaded = load_folder(folder)
    assert loaded.findings == []
    assert loaded.runnable
    assert loaded.name == "demo"
    assert loaded.graph is not None
    assert (loaded.graph.name, loaded.graph.start, loaded.graph.mode) == ("Demo", "a", "machine")
    assert loaded.graph.initial_state == {"n": 1}
    assert loaded.tools == ["gmail", "slack"]
    assert sorted(loaded.files) == ["demo.json", "nodes.py", "tools.json"]
    assert list(loaded.sources()) == ["nodes.py"]
    info = loaded.code.class_of("First")
    assert info is not None
    assert (info.file, info.line, info.end_line, info.doc) == ("nodes.py", 3, 6, "Does the first thing.")
    assert info.methods == ("execute",)
    assert info.source.startswith("class First(Node):")
    assert info.source.endswith("return 1")


def test_the_original_grapheteria_form_loads(make_folder: MakeFolder) -> None:
    graph = {
        "name": ...,
        "nodes": [{"id": "a", "class": "First", "config": None}, {"id": 2, "class": "Second"}],
        "edges": [{"from": "a", "to": 2, "condition": "shared['n'] > 0"}, {"from": 2, "to": "a", "condition": None}],
        "start": "a",
        "initial_state": {"n": 3},
    }
    loaded = load_folder(make_folder(graph=graph))
    assert loaded.findings == []
    assert loaded.graph is not None
    assert list(loaded.graph.nodes) == ["a", "2"]
    assert loaded.graph.edges_from("a")[0].condition == "shared['n'] > 0"
    assert loaded.graph.edges_from("2")[0].condition == ""


def test_every_setting_of_a_node_reaches_the_graph_and_comes_back_out(make_folder: MakeFolder) -> None:
    node = {
        "id": "a",
        "class": "First",
        "config": {"x": [1, "y"]},
        "retry": {"attempts": 3, "wait": 1, "backoff": 2, "jitter": 0.5, "max_wait": 8},
        "timeout": 60,
        "on_error": "goto:b",
        "effects": "write",
    }
    graph = {"nodes": [node, {"id": "b", "class": "Second"}], "inputs": {"type": "object"}, "mode": "machine"}
    loaded = load_folder(make_folder(graph=graph))
    assert codes(loaded) == []
    assert loaded.graph is not None
    assert loaded.graph.to_dict()["nodes"][0] == node
    assert type(loaded.graph).from_dict(loaded.graph.to_dict()) == loaded.graph


def test_stored_files_load_to_the_same_workflow(make_folder: MakeFolder) -> None:
    folder = make_folder({"data/x.csv": b"1,2\n\xff"}, graph={"files": ["./data/x.csv"], "extra": 1})
    live = load_folder(folder)
    stored = load_sources("demo", live.files)
    assert live.files["data/x.csv"] == b"1,2\n\xff"
    assert (stored.version, stored.graph, stored.findings) == (live.version, live.graph, live.findings)
    assert stored.folder is None
    missing = load_sources("demo", {path: data for path, data in live.files.items() if path != "data/x.csv"})
    assert "E113" in codes(missing)


def test_loading_executes_nothing(make_folder: MakeFolder, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    bomb = f"open({str(trace)!r}, 'a').write('executed')\n"
    folder = make_folder(
        {
            "nodes.py": bomb + "from helper_of_demo import X\nclass First(X): pass\nclass Second(X): pass\n",
            "helper_of_demo.py": bomb + "class X: pass\n",
            "__init__.py": bomb + "raise SystemExit\n",
            "conftest.py": bomb,
        },
        graph={"edges": [{"from": "a", "to": "b", "condition": f"open({str(trace)!r}, 'a').write('x')"}]},
    )
    list_folders(folder.parent)
    loaded = load_folder(folder)
    assert loaded.graph is not None
    assert not trace.exists()
    assert "helper_of_demo" not in sys.modules


def test_listing_shows_what_is_a_workflow_and_skips_the_rest(make_folder: MakeFolder) -> None:
    root = make_folder(name="b").parent
    make_folder(name="a b ü")
    make_folder(name=".hidden")
    make_folder(name="__pycache__")
    (root / "only_code").mkdir()
    (root / "only_code" / "nodes.py").write_text("")
    (root / "strange").mkdir()
    (root / "strange" / "nodes.py").mkdir()
    (root / "empty").mkdir()
    (root / "data").mkdir()
    (root / "data" / "other.json").write_text("{}")
    (root / "file.json").write_text("{}")
    assert [folder.name for folder in list_folders(root)] == ["a b ü", "b", "only_code", "strange"]
    assert codes(load_folder(root / "only_code")) == ["E110"]
    assert load_folder(root / "a b ü").runnable


def test_a_workspace_without_workflows_lists_nothing_and_an_unusable_one_says_why(tmp_path: Path) -> None:
    assert list_folders(tmp_path / "missing") == []
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkspaceMissing) as caught:
        list_folders(tmp_path / "file")
    assert caught.value.cause
    assert caught.value.next_step


def test_a_missing_graph_is_a_finding(make_folder: MakeFolder) -> None:
    folder = make_folder()
    (folder / "demo.json").unlink()
    loaded = load_folder(folder)
    assert codes(loaded) == ["E110"]
    assert loaded.graph is None
    assert not loaded.runnable
    assert loaded.version is not None


def test_links_that_leave_are_refused_and_links_that_stay_are_read(make_folder: MakeFolder, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.py").write_text("password = 1")
    (outside / "nodes.py").write_text("")
    folder = make_folder(name="demo")
    shared = make_folder({"lib.py": "x = 1"}, name="shared")
    (folder.parent / "away").symlink_to(outside)
    (folder.parent / "alias").symlink_to(shared)
    (folder / "lib.py").symlink_to(shared / "lib.py")

    assert [found.name for found in list_folders(folder.parent)] == ["alias", "away", "demo", "shared"]
    away = load_folder(folder.parent / "away")
    assert (codes(away), away.version, away.files) == (["E118"], None, {})
    assert load_folder(folder).files["lib.py"] == b"x = 1"
    assert "E118" not in codes(load_folder(folder.parent / "alias"))

    (folder / "leak.py").symlink_to(outside / "secret.py")
    (folder / "package").symlink_to(outside)
    (folder / "loop").symlink_to(folder)
    (folder / "self.py").symlink_to(folder / "self.py")
    loaded = load_folder(folder)
    assert sorted((finding.code, finding.file) for finding in loaded.findings) == [
        ("E112", "self.py"),
        ("E118", "leak.py"),
        ("W206", "loop"),
        ("W206", "package"),
    ]
    assert loaded.version is None
    assert not any(b"password" in content for content in loaded.files.values())


def test_texts_for_people_come_without_what_would_harm_a_terminal(make_folder: MakeFolder) -> None:
    graph = {"name": "x\x1b[2J", "description": "two\nlines\x1b]0;x\x07"}
    loaded = load_folder(make_folder({"tools.json": '{"a\\u001b": 1}'}, graph=graph))
    assert loaded.graph is not None
    assert loaded.graph.name == "x<U+001B>[2J"
    assert loaded.graph.description == "two\nlines<U+001B>]0;x<U+0007>"
    assert loaded.tools == ["a<U+001B>"]


def test_an_endless_list_of_files_is_refused_before_anything_of_it_is_read(make_folder: MakeFolder) -> None:
    loaded = load_folder(make_folder(graph={"files": [1, *(f"f{number}" for number in range(3_000))]}))
    assert sorted(codes(loaded)) == ["E102", "E112"]
    assert loaded.version is None


def test_what_can_not_be_read_is_a_finding(make_folder: MakeFolder) -> None:
    folder = make_folder({"broken.py": b"x = '\xff\xfe'", "big.py": b"#" * (1024 * 1024 + 1)})
    os.mkfifo(folder / "pipe.py")
    (folder / "tools.json").mkdir()
    (folder / "dangling.py").symlink_to("nowhere.py")
    loaded = load_folder(folder)
    found = {(finding.code, finding.file) for finding in loaded.findings}
    assert found == {("E112", name) for name in ("broken.py", "big.py", "pipe.py", "tools.json", "dangling.py")}
    assert loaded.version is None
    assert not loaded.runnable


def test_a_folder_that_is_not_there_or_is_a_file_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "missing", tmp_path / "file", tmp_path / ("x" * 300), tmp_path / "a\0b"):
        loaded = load_folder(path)
        assert codes(loaded) == ["E112"]
        assert loaded.version is None


def test_names_that_would_harm_a_terminal_are_shown_harmless(tmp_path: Path) -> None:
    for name in ("a\x1b[2Jb", "a\nb", "a\u202eb", os.fsdecode(b"a\xffb")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "nodes.py").write_text("")
        loaded = load_folder(folder)
        assert loaded.name.isprintable()
        assert codes(loaded) == ["E112"]
    folder = tmp_path / "demo"
    folder.mkdir()
    (folder / os.fsdecode(b"a\xff\x1b.py")).write_text("")
    loaded = load_folder(folder)
    assert all(finding.file.isprintable() and finding.message.isprintable() for finding in loaded.findings)
    assert loaded.version is None


SCRIPT = """
import datetime, os, sys
from pathlib import Path
from core.definition.load import list_folders, load_folder
root = Path(sys.argv[1])
load_folder(root / "demo")  # imports everything while this process may still read its own library
if os.geteuid() == 0:
    os.setresuid(65534, 65534, 65534)
print([folder.name for folder in list_folders(root)])
for name in ("closed", "demo"):
    loaded = load_folder(root / name)
    print(loaded.version, sorted((finding.code, finding.file) for finding in loaded.findings))
"""


def test_what_one_may_not_read_is_a_finding(make_folder: MakeFolder, tmp_path: Path) -> None:
    import shutil
    import tempfile

    # Not below tmp_path: pytest keeps that closed to other users, and a test that runs as root has to become one.
    with tempfile.TemporaryDirectory(prefix="rondo-test-") as place:
        os.chmod(place, 0o755)
        root = Path(place) / "workflows"
        shutil.copytree(make_folder({"secret.py": "", "inner/deep.py": ""}).parent, root)
        shutil.copytree(root / "demo", root / "closed")
        (root / "demo" / "secret.py").chmod(0)
        (root / "demo" / "inner").chmod(0)
        (root / "closed").chmod(0)
        result = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(root)], capture_output=True, text=True, cwd=Path(__file__).parents[3]
        )
        (root / "closed").chmod(0o755)
        (root / "demo" / "inner").chmod(0o755)
    assert result.stderr == ""
    assert result.stdout.splitlines() == [
        "['closed', 'demo']",
        "None [('E112', '')]",
        "None [('E112', 'inner'), ('E112', 'secret.py')]",
    ]


def test_what_is_assumed_of_a_workflow_is_known(make_folder: MakeFolder) -> None:
    loaded = load_folder(make_folder(graph={"assumptions": ["The time zone is Europe/Berlin.", "No attachments."]}))
    assert loaded.graph is not None
    assert loaded.graph.assumptions == ("The time zone is Europe/Berlin.", "No attachments.")
    assert Graph.from_dict(loaded.graph.to_dict()) == loaded.graph
