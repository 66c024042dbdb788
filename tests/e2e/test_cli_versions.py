"""Versions and packages by the command line, with real engines."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pexpect
import pytest
from cli_world import LIMIT_SECONDS, World, is_engine, wait_until
from tiny_wheel import requirements, write_wheel

from core.runner.builder import read_card

ONE = """
from core.sdk import Node


class First(Node):
    def prepare(self, shared, _):
        shared["n"] = 1
"""
TWO = (
    ONE
    + """

class Then(Node):
    def prepare(self, shared, _):
        shared["n"] += 1
"""
)
USES = """
import tinything
from core.sdk import Node


class Use(Node):
    def prepare(self, shared, _):
        shared["word"] = tinything.WORD
"""


def two_versions(world: World) -> tuple[str, str, Path]:
    """A workflow that was saved and run twice; returns both versions and its folder."""
    folder = world.workflow("w", ONE, "first")
    first = world.json("run", "w")["version"]
    world.workflow("w", TWO, "first", "then")
    return first, world.json("run", "w")["version"], folder


def test_a_workflow_goes_back_to_what_it_was(own: World) -> None:
    first, second, folder = two_versions(own)
    rows = own.json("versions", "w")
    assert [(row["version"], row["runs"], row["present"], row["approved"]) for row in rows] == [
        (second, 1, True, True),
        (first, 1, False, True),
    ]
    assert rows[0]["changes"][0] == "+node then, +edge first → then"
    assert first[:12] in own.rondo("versions", "w").out
    diff = own.json("diff", "w", "-1", "now")
    assert [change["text"] for change in diff["graph"]] == ["node then added (Then)", "edge first → then added"]
    assert diff["files"][0]["path"] == "nodes.py"
    shown = own.rondo("diff", "w", first[:8], second[:8])
    assert shown.code == 0
    assert "+class Then(Node):" in shown.out
    assert "node then added" in shown.out
    # Nothing is written unasked.
    outcome = own.rondo("rollback", "w", "-1")
    assert outcome.code == 2
    assert f"rondo rollback w {first[:12]} --yes" in outcome.err
    assert (folder / "nodes.py").read_text() == TWO
    done = own.json("rollback", "w", "-1", "--yes")
    assert (done["version"], done["previous"], done["approved"]) == (first, second, True)
    assert (folder / "nodes.py").read_text() == ONE
    assert (Path(done["backup"]) / "nodes.py").read_text() == TWO
    assert own.json("run", "w")["state"] == {"n": 1}
    assert own.json("run", "w", "--version", second[:8])["state"] == {"n": 2}
    error = own.rondo("rollback", "w", "0000", "--yes", "--json")
    assert error.code == 2
    assert error.error["type"] == "UnknownVersion"
    assert second[:12] in error.error["cause"]
    assert own.rondo("versions", "nope", "--json").code == 2


def test_going_back_asks_at_a_terminal(own: World) -> None:
    first, _, folder = two_versions(own)
    for answer, code in (("n", TWO), ("y", ONE)):
        child = pexpect.spawn(
            str(Path(sys.executable).with_name("rondo")),
            ["rollback", "w", "-1"],
            cwd=str(own.root),
            env=own.environment,
            encoding="utf-8",
            timeout=LIMIT_SECONDS,
        )
        child.expect(r"Make w version .* again\?")
        child.sendline(answer)
        child.expect(pexpect.EOF)
        assert (folder / "nodes.py").read_text() == code
    assert own.json("versions", "w")[1]["present"]
    assert own.json("versions", "w")[1]["version"] == first


def packages(world: World, *lines: str, name: str = "uses") -> Path:
    """A workflow that needs a package from a folder of wheels; returns its requirements.txt."""
    wheels = world.root.parent / "wheels"
    write_wheel(wheels)
    file = world.workflow(name, USES, "use") / "requirements.txt"
    file.write_text(requirements(wheels, *(lines or ("tinything",))))
    return file


def places(world: World) -> list[Path]:
    """Everything in the cache that is an environment, whole or not."""
    found = Path(world.environment["XDG_CACHE_HOME"]).glob("rondo/environments/*/*")
    return [place for place in found if place.is_dir()]


def builders() -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"--build" in entry.read_bytes().split(b"\0"):
                found.append(int(entry.parent.name))
        except OSError:
            continue
    return found


@pytest.mark.long
def test_an_environment_is_made_shown_made_again_and_pruned(own: World) -> None:
    file = packages(own)
    view = own.json("env", "uses")
    assert (view["state"], view["packages"]) == ("ready", [{"name": "tinything", "version": "1.0"}])
    assert own.json("run", "uses")["state"] == {"word": "installed"}
    shown = own.rondo("env", "uses").out
    assert view["path"] in shown
    assert "tinything 1.0" in shown
    again = own.json("env", "uses", "--rebuild")
    assert again["path"] != view["path"]
    assert [entry["path"] for entry in own.json("env")] == [again["path"]]
    assert "tinything 1.0" in own.json("doctor")["environments"][again["key"][:12]]
    assert own.json("env", "--prune")["removed"] == []
    assert [gone["key"] for gone in own.json("env", "--prune", "--days", "0")["removed"]] == [again["key"]]
    assert places(own) == []
    file.write_text("--no-index\nnowhere-to-be-found\n")
    outcome = own.rondo("env", "uses", "--json")
    assert outcome.code == 5
    assert "nowhere-to-be-found" in outcome.error["cause"]
    outcome = own.rondo("run", "uses", "--json")
    assert (outcome.code, outcome.document["error"]["type"]) == (1, "PackagesProblem")
    assert places(own) == []
    assert own.rondo("env", "--rebuild", "--json").code == 2


@pytest.mark.long
def test_an_engine_killed_while_it_makes_one_leaves_nothing_half_made(own: World) -> None:
    packages(own)
    before = set(builders())
    run = own.json("run", "uses", "--detach")["run_id"]
    wait_until(lambda: [place for place in places(own) if (place / "bin").is_dir()], "the making's beginning")
    own.kill_engine()
    wait_until(lambda: not set(builders()) - before, "the builder's end")
    assert places(own) == []
    # The next engine takes the run up and makes it anew.
    view = wait_until(
        lambda: (shown := own.json("show", run))["status"] in ("completed", "failed") and shown, "the run's end"
    )
    assert view["status"] == "completed", view["error"]
    assert len(places(own)) == 1
    assert read_card(places(own)[0].parent) is not None


@pytest.mark.long
def test_two_engines_make_one_environment_once(own: World) -> None:
    """Two workspaces of one person ask for the same packages at the same moment."""
    packages(own)
    other = own.root.parent / "other"
    own.rondo("init", str(other), "--quiet", "--no-example")
    folder = other / "workflows" / "twin"
    folder.mkdir(parents=True)
    source = own.root / "workflows" / "uses"
    (folder / "nodes.py").write_text(USES)
    (folder / "requirements.txt").write_bytes((source / "requirements.txt").read_bytes())
    graph = json.loads((source / "uses.json").read_text())
    (folder / "twin.json").write_text(json.dumps({**graph, "name": "twin"}))
    calls = [own.begin("run", "uses", "--json"), own.begin("run", "twin", "--workspace", str(other), "--json")]
    try:
        texts = [call.communicate(timeout=LIMIT_SECONDS * 2)[0] for call in calls]
        assert [json.loads(text)["state"] for text in texts] == [{"word": "installed"}] * 2
        assert len(places(own)) == 1
        logs = [
            own.rondo("logs", json.loads(texts[0])["run_id"]).out,
            own.rondo("logs", json.loads(texts[1])["run_id"], "--workspace", str(other)).out,
        ]
        assert sum("Successfully installed" in text for text in logs) == 1
    finally:
        card = other / "runs" / "engine.json"
        if card.exists() and is_engine(pid := json.loads(card.read_text())["pid"]):
            os.kill(pid, signal.SIGTERM)
            wait_until(lambda: not is_engine(pid), "the other engine's end")


@pytest.mark.long
def test_interrupting_the_making_ends_it(own: World) -> None:
    packages(own)
    own.rondo("engine", "start")
    before = set(builders())
    call = own.begin("env", "uses")
    wait_until(lambda: [place for place in places(own) if (place / "bin").is_dir()], "the making's beginning")
    call.send_signal(signal.SIGINT)
    call.communicate(timeout=LIMIT_SECONDS)
    assert call.returncode == 130
    wait_until(lambda: not set(builders()) - before, "the builder's end")
    assert places(own) == []


def test_nothing_is_installed_before_someone_agreed(own: World, tmp_path: Path) -> None:
    packages(own)
    # Another person, who has agreed to nothing here.
    own.environment["XDG_DATA_HOME"] = str(tmp_path / "another")
    outcome = own.rondo("run", "uses", "--json")
    assert outcome.code == 4
    assert "tinything" in outcome.error["cause"]
    assert own.rondo("env", "uses", "--json").code == 4
    shown = own.rondo("approve", "uses", "--diff").out
    assert "installs packages" in shown
    assert "  tinything" in shown
    assert "tinything" in own.json("approve", "uses")["requirements"]
    assert places(own) == []
