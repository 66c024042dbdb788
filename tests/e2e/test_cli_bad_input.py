"""Bad input, call by call: a message with its cause and the next step, the right exit code, and nothing lost."""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from cli_world import World

COUNT = """
from core.sdk import Node


class First(Node):
    def cleanup(self, shared, prepared, result):
        shared["n"] = 1


class Ask(Node):
    async def prepare(self, shared, request_input):
        return await request_input("How many?", input_type="number", request_id="many")

    def cleanup(self, shared, many, result):
        shared["many"] = many
"""


@pytest.fixture
def counted(own: World) -> World:
    """A workspace with a workflow `count` that sets n and asks how many."""
    own.workflow("count", COUNT, "first", "ask")
    return own


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The same for all tests that change nothing in it, with one run that waits."""
    world = World(tmp_path_factory.mktemp("calm"))
    assert world.rondo("init", ".", "--no-example").code == 0
    world.workflow("count", COUNT, "first", "ask")
    assert world.rondo("run", "count").code == 3
    yield world
    assert [run["status"] for run in world.json("runs", "count")] == ["waiting_input"]
    world.close()


@pytest.fixture
def stopped(counted: World) -> tuple[World, str]:
    """A workspace whose engine has ended, and the id of a run that waits in it."""
    outcome = counted.rondo("run", "count", "--json")
    assert outcome.code == 3, outcome
    assert counted.rondo("engine", "stop").code == 0
    return counted, outcome.document["run_id"]


def refused(world: World, code: int, kind: str, *words: str) -> dict[str, str]:
    """The error of a call that fails."""
    outcome = world.rondo(*words, "--json")
    assert outcome.code == code, outcome
    assert outcome.err == "", outcome
    assert outcome.error["type"] == kind, outcome
    assert outcome.error["cause"], outcome
    return outcome.error


# What is not there ----------------------------------------------------------------------------------------------------


def test_a_workspace_that_is_not_there(world: World) -> None:
    for words in (("list",), ("run", "hello"), ("engine", "start"), ("engine", "status"), ("engine", "stop")):
        error = refused(world, 5, "WorkspaceMissing", *words, "--workspace", str(world.root / "nowhere"))
        assert f"rondo init {world.root / 'nowhere'}" in error["next_step"]
    assert list(world.root.iterdir()) == []


def test_a_folder_that_is_no_workspace_stays_untouched(world: World) -> None:
    refused(world, 5, "WorkspaceMissing", "list")
    assert list(world.root.iterdir()) == []


@pytest.mark.parametrize("command", ["run", "step", "validate", "graph", "approve", "runs"])
def test_an_unknown_workflow(calm: World, command: str) -> None:
    refused(calm, 2, "UnknownWorkflow", command, "cuont")
    refused(calm, 2, "UnknownWorkflow", command, "../workflows/count")


def test_people_are_told_what_happened_why_and_what_to_do(calm: World) -> None:
    outcome = calm.rondo("validate", "cuont")
    assert (outcome.code, outcome.out) == (2, "")
    first, second, third = outcome.err.splitlines()
    assert first == "error: There is no workflow named 'cuont'."
    assert second.startswith("cause: ")
    assert "count" in second
    assert third == "next:  See what there is: rondo list"


@pytest.mark.parametrize("run", ["ffffffff", "x", "%", "01234567-89ab-7cde-8f01-23456789abcd"])
def test_an_unknown_run(calm: World, run: str) -> None:
    refused(calm, 2, "UnknownRun", "show", run)


@pytest.mark.parametrize(
    "words",
    [
        ("logs", "ffffffff"),
        ("logs", "-f", "ffffffff"),
        ("step", "count", "--run", "ffffffff"),
        ("answer", "ffffffff", "many", "1"),
    ],
)
def test_an_unknown_run_is_one_for_every_command(calm: World, words: tuple[str, ...]) -> None:
    refused(calm, 2, "UnknownRun", *words)


def test_a_wrong_request_or_answer_leaves_the_run_waiting(calm: World) -> None:
    run_id = calm.json("runs", "count")[0]["run_id"]
    assert "many" in refused(calm, 2, "UnknownRequest", "answer", run_id, "much", "1")["cause"]
    refused(calm, 2, "InvalidAnswer", "answer", run_id, "many", "a lot")
    document = calm.json("show", run_id)
    assert document["status"] == "waiting_input"
    assert document["awaiting_input"]["request_id"] == "many"


def test_a_second_answer_is_refused(counted: World) -> None:
    run_id = counted.rondo("run", "count", "--json").document["run_id"]
    assert counted.rondo("answer", run_id, "many", "-3").code == 0
    assert counted.rondo("answer", run_id, "many", "2", "--json").code == 2
    assert counted.json("show", run_id)["state"] == {"n": 1, "many": -3}


def test_an_unknown_step_or_version(calm: World) -> None:
    refused(calm, 2, "UnknownStep", "show", calm.json("runs", "count")[0]["run_id"], "--step", "7")
    refused(calm, 2, "UnknownVersion", "run", "count", "--version", "0" * 64)


def test_inputs_that_the_workflow_does_not_take(calm: World) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 3}}, "required": ["n"]}
    calm.workflow("typed", COUNT, "first", "ask", inputs=schema)
    refused(calm, 2, "InvalidInput", "run", "typed", "-i", "n=many")
    refused(calm, 2, "InvalidInput", "run", "typed", "-i", "n=1")
    refused(calm, 2, "InvalidInput", "run", "typed")


# Definitions that are wrong -----------------------------------------------------------------------------------------


def break_json(folder: Path) -> None:
    (folder / "count.json").write_text('{\n  "name": "count",\n  "nodes": [,]\n}\n')


def edit_graph(change: Callable[[dict[str, list[dict[str, str]]]], None]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        graph = json.loads((folder / "count.json").read_text())
        change(graph)
        (folder / "count.json").write_text(json.dumps(graph, indent=2))

    return edit


def unknown_class(graph: dict[str, list[dict[str, str]]]) -> None:
    graph["nodes"][1]["class"] = "Aks"


def edge_to_nowhere(graph: dict[str, list[dict[str, str]]]) -> None:
    graph["edges"].append({"from": "ask", "to": "nowhere"})


@pytest.mark.parametrize(
    ("damage", "code", "file", "has_line", "words"),
    [
        (break_json, "E101", "count.json", True, ""),
        (edit_graph(unknown_class), "E104", "count.json", True, "Aks"),
        (edit_graph(edge_to_nowhere), "E105", "count.json", True, "nowhere"),
        (lambda folder: (folder / "nodes.py").write_text("class First(:\n"), "E109", "nodes.py", True, ""),
        (lambda folder: (folder / "nodes.py").unlink(), "E110", "nodes.py", False, ""),
        (lambda folder: (folder / "count.json").write_bytes(b"\xff\x00\xfe"), "E112", "count.json", False, ""),
    ],
    ids=["syntax of JSON", "unknown class", "edge to nowhere", "syntax of Python", "no nodes.py", "no text"],
)
def test_a_broken_definition_is_found_and_does_not_run(
    calm: World, damage: Callable[[Path], object], code: str, file: str, has_line: bool, words: str
) -> None:
    folder = calm.root / "workflows" / "count"
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    damage(folder)
    try:
        outcome = calm.rondo("validate", "count", "--json")
        assert outcome.code == 1
        finding = next(finding for finding in outcome.document["findings"] if finding["code"] == code)
        assert finding.keys() >= {"code", "severity", "file", "line", "node", "message", "hint"}
        assert (finding["severity"], finding["file"]) == ("error", file)
        assert not has_line or finding["line"] >= 1
        assert words in finding["message"]
        error = refused(calm, 1, "DefinitionError", "run", "count")
        assert "--version" in error["next_step"]
    finally:
        for path, data in before.items():
            path.write_bytes(data)


def test_a_syntax_error_names_file_line_and_column_to_people(calm: World) -> None:
    folder = calm.root / "workflows" / "broken"
    folder.mkdir()
    (folder / "nodes.py").write_text(COUNT)
    (folder / "broken.json").write_text('{\n  "name": "broken",\n  "nodes": [,]\n}\n')
    for words in (("validate", "broken"), ("run", "broken")):
        outcome = calm.rondo(*words)
        assert outcome.code == 1
        assert "broken.json:3:13" in outcome.out + outcome.err
    assert "broken.json:3:13" in calm.rondo("list").out


def test_the_last_good_version_of_a_broken_workflow_still_runs(counted: World) -> None:
    assert counted.rondo("run", "count").code == 3
    good = counted.json("runs")[0]["version"]
    break_json(counted.root / "workflows" / "count")
    assert counted.rondo("run", "count").code == 1
    assert counted.rondo("run", "count", "--version", good).code == 3


@pytest.mark.parametrize(
    ("expression", "words"),
    [("{1, 2}", "set"), ("float('nan')", "nan"), ("object()", "object"), ("{3: 4}", "key"), ("2**70", "64")],
)
def test_a_state_value_that_is_not_json(calm: World, expression: str, words: str) -> None:
    code = f"""
from core.sdk import Node


class Good(Node):
    def cleanup(self, shared, prepared, result):
        shared["kept"] = 1


class Bad(Node):
    def cleanup(self, shared, prepared, result):
        shared["deep"] = [0, {{"x": {expression}}}]
"""
    calm.workflow("values", code, "good", "bad")
    outcome = calm.rondo("run", "values", "--json")
    assert outcome.code == 1
    error = outcome.document["error"]
    assert (error["type"], error["node"]) == ("StateValueError", "bad")
    text = " ".join(str(error[field]) for field in ("message", "cause", "next_step"))
    assert "deep" in text
    assert words in text.lower()
    assert error["next_step"]
    assert outcome.document["state"] == {"kept": 1}


# Around the program -------------------------------------------------------------------------------------------------


def test_runs_is_no_folder(counted: World) -> None:
    assert counted.rondo("engine", "stop").code == 0
    for entry in counted.runs.iterdir():
        entry.unlink()
    counted.runs.rmdir()
    counted.runs.write_text("I am a file")
    outcome = counted.rondo("run", "count", "--json")
    assert outcome.code == 5
    assert outcome.error["cause"]
    assert counted.runs.read_text() == "I am a file"


def drop_rights() -> None:
    """Give up, before the command starts, what lets root write where the mode forbids it."""
    override_rights, drop_from_bounding_set = 1, 24
    ctypes.CDLL(None).prctl(drop_from_bounding_set, override_rights, 0, 0, 0)


def test_a_runs_folder_that_can_not_be_written(stopped: tuple[World, str]) -> None:
    world, run_id = stopped
    os.chmod(world.runs, 0o500)
    try:
        outcome = world.rondo("run", "count", "--json", preexec_fn=drop_rights)
        assert outcome.code == 5, outcome
        assert outcome.error["type"] == "FolderReadOnly"
        assert str(world.runs) in outcome.error["cause"] + outcome.error["message"] + outcome.error["next_step"]
        doctor = world.rondo("doctor", "--json", preexec_fn=drop_rights)
        assert doctor.code == 5
        assert "FolderReadOnly" in [problem["type"] for problem in doctor.document["problems"]]
    finally:
        os.chmod(world.runs, 0o700)
    assert world.json("show", run_id)["status"] == "waiting_input"


def test_a_database_that_another_program_holds(stopped: tuple[World, str]) -> None:
    world, run_id = stopped
    with closing(sqlite3.connect(world.runs / "rondo.db", isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        error = refused(world, 5, "DatabaseBusy", "show", run_id)
        assert error["next_step"]
        other.execute("ROLLBACK")
    assert world.json("show", run_id)["status"] == "waiting_input"


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"this is no database at all" * 1000,
        lambda data: data[: len(data) // 2 - 100],
        lambda data: data[:100] + bytes(len(data) - 100),
    ],
    ids=["another file", "cut in half", "zeros"],
)
def test_a_damaged_database_is_refused_and_left_as_it_is(
    stopped: tuple[World, str], damage: Callable[[bytes], bytes]
) -> None:
    world, run_id = stopped
    database = world.runs / "rondo.db"
    whole = database.read_bytes()
    broken = damage(whole)
    database.write_bytes(broken)
    refused(world, 5, "DatabaseDamaged", "show", run_id)
    assert database.read_bytes() == broken
    database.write_bytes(whole)
    assert world.json("show", run_id)["status"] == "waiting_input"


def test_a_database_of_a_newer_rondo_is_refused_and_left_as_it_is(stopped: tuple[World, str]) -> None:
    world, run_id = stopped
    with closing(sqlite3.connect(world.runs / "rondo.db")) as database:
        (schema,) = database.execute("PRAGMA user_version").fetchone()
        database.execute("PRAGMA user_version = 999")
    error = refused(world, 5, "SchemaTooNew", "show", run_id)
    assert "999" in error["message"] + error["cause"] + error["next_step"]
    with closing(sqlite3.connect(world.runs / "rondo.db")) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (999,)
        database.execute(f"PRAGMA user_version = {schema}")
    assert world.json("show", run_id)["status"] == "waiting_input"


def test_a_workspace_whose_lock_is_held(stopped: tuple[World, str]) -> None:
    world, run_id = stopped
    with open(world.runs / "engine.lock", "ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        outcome = world.rondo("show", run_id, "--json")
        assert outcome.code == 5, outcome
        assert outcome.error["type"] in ("WorkspaceLocked", "EngineUnreachable")
    assert world.json("show", run_id)["status"] == "waiting_input"
