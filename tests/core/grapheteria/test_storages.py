"""Where runs are kept: files and SQLite, kills, other programs' eyes, backends of users' own."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from core.errors import DatabaseProblem
from core.grapheteria import FileSystemStorage, Node, SQLiteStorage, StorageBackend, WorkflowEngine
from core.grapheteria.utils import id_to_path, path_to_id


class Grow(Node):
    def cleanup(self, shared: Any, prepared: Any, result: Any) -> None:
        shared["n"] = shared.get("n", 0) + 1
        shared["text"] = "x" * 1000


def looping(node_id: str = "a", until: int = 10) -> Node:
    node = Grow(node_id)
    assert node - f"shared['n'] < {until}" > node
    return node


@pytest.fixture(params=["file", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> StorageBackend:
    return FileSystemStorage(tmp_path / "logs") if request.param == "file" else SQLiteStorage(tmp_path / "w.db")


def again(store: StorageBackend) -> StorageBackend:
    """The same store, as another process opens it."""
    return FileSystemStorage(store.base_dir) if isinstance(store, FileSystemStorage) else SQLiteStorage(store.db_path)  # type: ignore[attr-defined]


DATA = {"workflow_id": "w", "run_id": "r", "steps": [{"shared": {"a": [1, None, "é"]}}, {"shared": {}}], "more": 1}


def test_what_is_saved_is_loaded(store: StorageBackend) -> None:
    assert store.load_state("w", "r") is None
    assert store.list_runs("w") == []
    assert store.list_workflows() == []
    store.save_state("w", "r", DATA)
    store.save_state("w", "q", {**DATA, "run_id": "q", "steps": []})
    store.save_state("other.one", "r", {**DATA, "workflow_id": "other.one"})
    for view in (store, again(store)):
        assert view.load_state("w", "r") == DATA
        assert view.load_state("w", "q") == {**DATA, "run_id": "q", "steps": []}
        assert view.load_state("w", "none") is None
        assert view.list_runs("w") == ["q", "r"]
        assert view.list_runs("nothing") == []
        assert view.list_workflows() == ["other.one", "w"]


def test_saving_again_replaces(store: StorageBackend) -> None:
    store.save_state("w", "r", DATA)
    shorter = {**DATA, "steps": DATA["steps"][:1]}  # type: ignore[index]
    store.save_state("w", "r", shorter)
    assert again(store).load_state("w", "r") == shorter


def test_a_last_step_that_does_not_fit_what_is_stored_is_saved_whole(store: StorageBackend) -> None:
    store.save_last_step("w", "r", DATA)
    assert again(store).load_state("w", "r") == DATA
    longer = {**DATA, "steps": [{"x": number} for number in range(5)]}
    again(store).save_last_step("w", "r", longer)
    assert store.load_state("w", "r") == longer
    longer["steps"].append({"x": 5})  # type: ignore[attr-defined]
    store.save_last_step("w", "r", longer)
    assert again(store).load_state("w", "r") == longer


@pytest.mark.parametrize("name", ["../up", "a/b", "a b", ".hidden", "..", ".", "a.b", "ä", "a%2Fb", "x" * 60])
def test_any_name_is_kept_in_its_place(store: StorageBackend, name: str, tmp_path: Path) -> None:
    store.save_state(name, name, DATA)
    assert again(store).list_workflows() == [name]
    assert again(store).list_runs(name) == [name]
    assert again(store).load_state(name, name) == DATA
    inside = tmp_path / "logs" if isinstance(store, FileSystemStorage) else tmp_path
    outside = [path for path in tmp_path.rglob("*") if path.is_file() and inside not in path.parents]
    assert outside == []


async def test_a_step_costs_the_same_however_long_the_run_is(tmp_path: Path) -> None:
    written: list[int] = []

    class Counts(FileSystemStorage):
        def save_last_step(self, workflow_id: str, run_id: str, data: Any) -> None:
            before = size_of(tmp_path)
            super().save_last_step(workflow_id, run_id, data)
            written.append(size_of(tmp_path) - before)

    await WorkflowEngine(nodes=[looping(until=100)], storage_backend=Counts(tmp_path)).run()
    assert len(written) == 100
    assert max(written) < 2 * min(written)


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


async def test_the_table_is_read_by_other_programs_as_it_always_was(tmp_path: Path) -> None:
    store = SQLiteStorage(db_path=tmp_path / "w.db")
    engines = [WorkflowEngine(nodes=[looping()], workflow_id="flow", storage_backend=store) for _ in range(2)]
    for engine in engines:
        await engine.run()
    connection = sqlite3.connect(tmp_path / "w.db")
    rows = connection.execute("SELECT workflow_id, run_id, state_json, updated_at FROM workflow_states").fetchall()
    columns = [row[1] for row in connection.execute("PRAGMA table_info(workflow_states)")]
    connection.close()
    assert columns == ["workflow_id", "run_id", "state_json", "updated_at"]
    assert [row[:2] for row in rows] == [("flow", engine.run_id) for engine in engines]
    assert [json.loads(row[2]) for row in rows] == [engine.tracking_data for engine in engines]
    assert all(row[3] for row in rows)


def test_a_table_of_another_program_is_left_alone(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "w.db")
    connection.execute("CREATE TABLE workflow_states(workflow_id, run_id, state_json, updated_at)")
    connection.close()
    with pytest.raises(ValueError, match="workflow_states"):
        SQLiteStorage(tmp_path / "w.db")
    (tmp_path / "text.db").write_text("not a database, and long enough to be taken for one" * 10)
    with pytest.raises(DatabaseProblem, match=r"text\.db"):
        SQLiteStorage(tmp_path / "text.db")


def test_a_file_of_another_program_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "r.jsonl").write_text("nonsense\n")
    with pytest.raises(ValueError, match=r"r\.jsonl"):
        FileSystemStorage(tmp_path).load_state("w", "r")


def cut_off(folder: Path) -> None:
    file = next(folder.rglob("*.jsonl"))
    os.truncate(file, file.stat().st_size - 7)


async def test_a_step_that_was_cut_off_is_left_out_and_written_again(tmp_path: Path) -> None:
    store = FileSystemStorage(tmp_path)
    engine = WorkflowEngine(nodes=[looping()], storage_backend=store)
    await engine.step()
    await engine.step()
    cut_off(tmp_path)
    resumed = WorkflowEngine(nodes=[looping()], storage_backend=FileSystemStorage(tmp_path), run_id=engine.run_id)
    assert resumed.execution_state.shared["n"] == 1
    await resumed.run()
    assert store.load_state(engine.workflow_id, engine.run_id) == resumed.tracking_data
    assert resumed.execution_state.shared["n"] == 10


KILLED = """
import asyncio, sys
from core.grapheteria import Node, WorkflowEngine
from core.grapheteria.utils import FileSystemStorage, SQLiteStorage

class Grow(Node):
    def cleanup(self, shared, prepared, result):
        shared["n"] = shared.get("n", 0) + 1
        shared["text"] = "x" * 2000

a = Grow("a")
a - "True" > a

async def main():
    store = FileSystemStorage("logs") if sys.argv[1] == "file" else SQLiteStorage("w.db")
    engine = WorkflowEngine(nodes=[a], storage_backend=store)
    while await engine.step():
        print(engine.execution_state.shared["n"], flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("kind", ["file", "sqlite"])
def test_a_kill_at_any_time_loses_no_step_that_was_saved(kind: str, tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[3]
    (tmp_path / "program.py").write_text(KILLED)
    for number in range(5):
        process = subprocess.Popen(
            [sys.executable, "program.py", kind],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(root)},
        )
        assert process.stdout is not None
        seen = 0
        while seen < 5 + 3 * number:
            seen = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        seen = max([seen, *(int(line) for line in process.stdout.read().splitlines()[:-1])])
        process.stdout.close()
        process.wait(60)
        store = FileSystemStorage(tmp_path / "logs") if kind == "file" else SQLiteStorage(tmp_path / "w.db")
        run_id = store.list_runs("workflow")[-1]
        stored = store.load_state("workflow", run_id)
        assert stored is not None
        assert seen <= stored["steps"][-1]["shared"]["n"] <= seen + 2
        assert [step["metadata"]["step"] for step in stored["steps"]] == list(range(len(stored["steps"])))


def test_threads_share_a_store(store: StorageBackend) -> None:
    def save(name: str) -> None:
        data: dict[str, Any] = {"workflow_id": "w", "run_id": name, "steps": []}
        store.save_state("w", name, data)
        for number in range(10):
            data["steps"].append({"n": number})
            store.save_last_step("w", name, data)

    threads = [threading.Thread(target=save, args=(f"r{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for number in range(4):
        stored = again(store).load_state("w", f"r{number}")
        assert stored is not None
        assert [step["n"] for step in stored["steps"]] == list(range(10))


class InMemory(StorageBackend):
    """As users write them: the whole tracking data, every time."""

    def __init__(self) -> None:
        self.saves: list[str] = []

    def save_state(self, workflow_id: str, run_id: str, data: Any) -> None:
        self.saves.append(json.dumps(data))

    def load_state(self, workflow_id: str, run_id: str) -> Any:
        return json.loads(self.saves[-1]) if self.saves else None

    def list_runs(self, workflow_id: str) -> list[str]:
        return []

    def list_workflows(self) -> list[str]:
        return []


class Unrelated:
    """A backend that only looks like one."""

    def __init__(self) -> None:
        self.saves: list[str] = []

    save_state = InMemory.save_state
    load_state = InMemory.load_state


class Wrapped(FileSystemStorage):
    """One of ours whose save_state a user has replaced."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.saves: list[str] = []

    def save_state(self, workflow_id: str, run_id: str, data: Any) -> None:
        super().save_state(workflow_id, run_id, data)
        self.saves.append(json.dumps(data))


@pytest.mark.parametrize("kind", ["abstract", "unrelated", "wrapped"])
async def test_a_backend_of_ones_own_gets_the_whole_tracking_data_each_time(kind: str, tmp_path: Path) -> None:
    backend: Any = {"abstract": InMemory, "unrelated": Unrelated}.get(kind, lambda: Wrapped(tmp_path))()
    engine = WorkflowEngine(nodes=[looping(until=3)], storage_backend=backend)
    await engine.run()
    assert [len(json.loads(save)["steps"]) for save in backend.saves] == [1, 2, 3, 4]
    assert json.loads(backend.saves[-1]) == engine.tracking_data
    if kind == "abstract":
        resumed = WorkflowEngine(nodes=[looping(until=5)], storage_backend=backend, run_id=engine.run_id)
        await resumed.run()
        assert resumed.execution_state.shared["n"] == 5


@pytest.mark.parametrize(
    ("path", "workflow_id"),
    [
        ("hello.json", "hello"),
        ("workflows/hello.json", "workflows.hello"),
        ("./a/../workflows/hello.json", "workflows.hello"),
        ("/abs/x.json", ".abs.x"),
    ],
)
def test_paths_and_ids(path: str, workflow_id: str) -> None:
    assert path_to_id(path) == workflow_id
    assert id_to_path(workflow_id) == os.path.normpath(path)
    assert path_to_id(Path(path)) == workflow_id
