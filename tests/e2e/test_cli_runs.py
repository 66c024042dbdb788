"""The command line at work: runs that complete, wait, fail, are refused, are left, and go on after a crash."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pexpect
import pytest
from cli_world import LIMIT_SECONDS, World, is_engine, wait_until
from sales_oracle import expected_numbers, expected_report, report_numbers
from terminal import Terminal

ISO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")

SLOW = """
import os
import time

from core.sdk import Node


class Step(Node):
    def execute(self, prepared):
        with open(self.config["file"], "a") as file:
            file.write(self.id + "\\n")
        time.sleep(self.config["seconds"])
        while self.id == self.config["held"] and not os.path.exists("go"):
            time.sleep(0.02)
        print("did", self.id)
"""


def slow_workflow(world: World, count: int, *, held: str = "", seconds: float = 0.05) -> Path:
    """A workflow `slow` of that many steps; each writes its name into the file that is returned.

    The step that is held ends when there is a file `go`.
    """
    names = [f"s{number}" for number in range(count)]
    file = world.root / "acts.txt"
    folder = world.workflow("slow", SLOW, *(f"{name}:Step" for name in names))
    graph = json.loads((folder / "slow.json").read_text())
    for node in graph["nodes"]:
        node["config"] = {"file": str(file), "held": held, "seconds": seconds}
    (folder / "slow.json").write_text(json.dumps(graph))
    return file


def done(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


# The examples -------------------------------------------------------------------------------------------------------


def test_a_dag_runs_its_branches_and_shows_what_it_skipped(world: World) -> None:
    assert world.rondo("init", ".", "--example", "fan_out", "--quiet").out == ""
    outcome = world.rondo("run", "fan_out", "--json")
    assert outcome.code == 0, outcome
    state = outcome.document["state"]
    assert [one["station"] for one in state["stations"]] == ["harbour", "hill", "island", "valley"]
    shown = world.rondo("show", outcome.document["run_id"], "--json").document
    assert shown["skipped"] == [
        {"node": "heat", "because": ["compare → heat: shared['warmest']['high'] > 40 does not hold"]}
    ]
    assert {step["node"] for step in shown["steps"][1:5]} == {"harbour", "hill", "island", "valley"}
    assert shown["steps"][5]["taken"] == ["frost", "report"]
    assert "skipped" in world.rondo("show", outcome.document["run_id"]).out


def test_the_report_has_the_numbers_of_the_file(world: World) -> None:
    assert world.rondo("init", ".", "--example", "csv_report", "--quiet").out == ""
    outcome = world.rondo("run", "csv_report", "--json")
    assert outcome.code == 0, outcome
    document = outcome.document
    assert document["status"] == "completed"
    assert document["error"] is None
    expected = expected_numbers(world.root / "workflows" / "csv_report" / "sales.csv")
    assert {key: document["state"][key] for key in expected} == expected
    report = Path(document["output_dir"]) / document["state"]["report"]
    assert report_numbers(report.read_text(encoding="utf-8")) == expected_report(expected)


def test_a_person_is_asked_and_greeted(world: World) -> None:
    assert world.rondo("init").code == 0
    outcome = world.rondo("run", "hello")
    assert outcome.code == 3
    answer = re.search(r"^next:  (rondo answer \S+ name) VALUE$", outcome.err, re.MULTILINE)
    assert answer, outcome.err
    outcome = world.rondo(*answer[1].split()[1:], "Ada", "--json")
    assert outcome.code == 0
    assert outcome.document["state"] == {"name": "Ada", "greeting": "Hello, Ada!"}
    outcome = world.rondo("run", "hello", "-a", "name=Grace", "--json")
    assert outcome.code == 0
    assert outcome.document["state"]["greeting"] == "Hello, Grace!"


def test_a_review_goes_on_after_its_engine_was_killed(world: World) -> None:
    assert world.rondo("init", "--example", "review_loop").code == 0
    waiting = world.rondo("run", "review_loop", "-a", "decision=revise", "-a", "comment=shorter", "--json")
    assert waiting.code == 3, waiting
    run_id = waiting.document["run_id"]
    before = world.json("show", run_id)["steps"]
    world.kill_engine()
    outcome = world.rondo("answer", run_id, "decision", "approve", "--json")
    assert outcome.code == 0, outcome
    assert outcome.document["status"] == "completed"
    assert outcome.document["state"]["outcome"] == "published"
    after = [step for step in world.json("show", run_id)["steps"] if step["step"] is not None]
    assert [step["step"] for step in after] == list(range(1, len(after) + 1))
    committed = [step for step in before if step["step"] is not None]
    assert after[: len(committed)] == committed


HELD = """
import pathlib
import time

from core.sdk import Node


class Held(Node):
    def execute(self, prepared):
        with open(self.config["file"], "a") as file:
            print(self.id, self.idempotency_key, file=file)
        while self.id in ("b", "c") and not pathlib.Path("go").exists():
            time.sleep(0.01)

    def cleanup(self, shared, prepared, result):
        shared[self.id] = sorted(shared)
"""


def test_a_dag_whose_engine_is_killed_repeats_only_what_was_in_flight(own: World) -> None:
    folder = own.workflow("held", HELD, *(f"{name}:Held" for name in "abcd"))
    file = own.root / "acts.txt"
    graph = json.loads((folder / "held.json").read_text()) | {"mode": "dag"}
    graph["edges"] = [{"from": source, "to": target} for source, target in ("ab", "ac", "bd", "cd")]
    for node in graph["nodes"]:
        node["config"] = {"file": str(file)}
    graph.pop("start", None)
    (folder / "held.json").write_text(json.dumps(graph))
    run_id = own.rondo("run", "held", "--detach", "--json").document["run_id"]
    wait_until(lambda: len(done(file)) == 3, "both branches are at work")
    own.kill_engine()
    (own.root / "go").touch()
    wait_until(lambda: own.json("show", run_id)["status"] == "completed", "the run is complete")
    acts = [line.split() for line in done(file)]
    assert Counter(node for node, _ in acts) == {"a": 1, "b": 2, "c": 2, "d": 1}
    assert len({key for _, key in acts}) == 4
    assert own.json("show", run_id)["state"] == {"a": [], "b": ["a"], "c": ["a"], "d": ["a", "b", "c"]}


# Following, leaving, losing -----------------------------------------------------------------------------------------


def test_a_run_that_is_interrupted_goes_on(own: World) -> None:
    file = slow_workflow(own, 8, held="s4")
    process = own.begin("run", "slow")
    try:
        wait_until(lambda: len(done(file)) == 5, "the fifth step")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=LIMIT_SECONDS)
    finally:
        process.kill()
    (own.root / "go").touch()
    assert process.returncode == 130
    line = re.search(r"rondo (logs \S+ -f)", err)
    assert line, err
    outcome = own.rondo(*line[1].split())
    assert outcome.code == 0
    assert "did s7" in outcome.out
    assert "✓ completed" in outcome.err
    assert Counter(done(file)) == Counter({f"s{number}": 1 for number in range(8)})


def test_following_goes_on_over_an_engine_that_is_killed(own: World) -> None:
    file = slow_workflow(own, 10, held="s5")
    process = own.begin("run", "slow")
    try:
        wait_until(lambda: len(done(file)) == 6, "the sixth step")
        own.kill_engine()
        (own.root / "go").touch()
        out, err = process.communicate(timeout=LIMIT_SECONDS)
    finally:
        process.kill()
    assert process.returncode == 0, err
    assert "starting it again" in err
    steps = re.findall(r"step (\d+): s\d", out)
    assert steps == [str(number) for number in range(1, 11)]
    acts = Counter(done(file))
    assert sum(acts.values()) - len(acts) <= 1, "only the step in flight may be done again"


def test_following_ends_with_an_engine_that_is_stopped(own: World) -> None:
    file = slow_workflow(own, 40, seconds=0.2)
    process = own.begin("run", "slow")
    try:
        wait_until(lambda: len(done(file)) >= 2, "the second step")
        assert own.rondo("engine", "stop").code == 0
        _, err = process.communicate(timeout=LIMIT_SECONDS)
    finally:
        process.kill()
    assert process.returncode == 5, err
    assert "rondo engine start" in err
    assert own.json("engine", "status")["running"] is False
    run_id = own.json("runs")[0]["run_id"]
    assert own.rondo("logs", run_id, "-f").code == 0
    assert own.json("show", run_id)["status"] == "completed"
    assert Counter(done(file)) == Counter({f"s{number}": 1 for number in range(40)})


def test_a_detached_run_is_followed_by_another_call(own: World) -> None:
    slow_workflow(own, 4)
    run_id = own.rondo("run", "slow", "--detach").out.strip()
    outcome = own.rondo("logs", run_id, "-f", "--json")
    assert outcome.code == 0
    assert [line["text"] for line in outcome.document["lines"] if line["level"] == "INFO"] == [
        f"did s{number}" for number in range(4)
    ]


def test_a_reader_that_leaves_ends_the_command_quietly(own: World) -> None:
    code = "from core.sdk import Node\n\n\nclass Talk(Node):\n    def execute(self, prepared):\n"
    own.workflow("talk", code + "        for n in range(20000):\n            print('line', n)\n", "talk")
    run_id = own.rondo("run", "talk", "--json").document["run_id"]
    process = own.begin("logs", run_id)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert process.wait(LIMIT_SECONDS) == 141


def test_steps_are_done_one_by_one(own: World) -> None:
    file = slow_workflow(own, 3)
    document = own.json("step", "slow")
    assert (document["status"], document["step"]) == ("paused", 1)
    run_id = document["run_id"]
    assert own.json("step", "slow", "--run", run_id)["status"] == "paused"
    assert own.json("step", "slow", "--run", run_id)["status"] == "completed"
    assert done(file) == ["s0", "s1", "s2"]
    outcome = own.rondo("step", "slow", "--run", run_id, "--json")
    assert (outcome.code, outcome.error["type"]) == (2, "RunAtRest")


def test_a_node_that_fails_is_exit_code_1_with_its_line(own: World) -> None:
    code = "from core.sdk import Node\n\n\nclass Bad(Node):\n    def execute(self, prepared):\n        return 1 / 0\n"
    own.workflow("bad", code, "bad")
    outcome = own.rondo("run", "bad")
    assert outcome.code == 1
    assert "ZeroDivisionError in bad: division by zero" in outcome.err
    assert "nodes.py" in outcome.err
    assert "line 6" in outcome.err
    assert own.rondo("run", "bad", "--json").document["error"]["type"] == "ZeroDivisionError"


# Trust --------------------------------------------------------------------------------------------------------------


def test_nothing_runs_before_somebody_approved_it(world: World) -> None:
    mark = world.root / "ran"
    code = f"from core.sdk import Node\n\nopen({str(mark)!r}, 'w')\n\n\nclass Go(Node):\n    pass\n"
    folder = world.workflow("foreign", code, "go")
    for words in (("list",), ("validate", "foreign"), ("graph", "foreign"), ("approve", "foreign", "--diff")):
        assert world.rondo(*words).code == 0, words
    outcome = world.rondo("run", "foreign", "--json")
    assert (outcome.code, outcome.error["type"]) == (4, "NotApproved")
    assert not mark.exists()
    people = world.rondo("run", "foreign")
    assert people.code == 4
    assert "added nodes.py" in people.err
    assert "rondo approve foreign" in people.err
    assert world.json("approve", "foreign")["approved"] is True
    assert world.rondo("run", "foreign").code == 0
    assert mark.exists()
    with open(folder / "nodes.py", "a") as file:
        file.write("# one more line\n")
    changed = world.rondo("run", "foreign", "--json")
    assert changed.code == 4
    assert [change["path"] for change in changed.error["details"]] == ["nodes.py"]  # type: ignore[index]
    assert "+# one more line" in world.rondo("approve", "foreign", "--diff").out


# Documents ----------------------------------------------------------------------------------------------------------


def test_every_document_keeps_its_promise(world: World) -> None:
    assert world.json("init", "--example", "hello")["trust"] == "own"
    run = world.rondo("run", "hello", "--json").document
    run_id = run["run_id"]
    promised = {"run_id", "workflow", "version", "status", "awaiting_input", "open_requests", "state", "error"}
    assert run.keys() >= promised
    assert ISO_TIME.fullmatch(run["created_at"])
    assert run["awaiting_input"].keys() >= {"node_id", "request_id", "key", "prompt", "options", "input_type"}
    shown = world.json("show", run_id)
    assert shown.keys() >= promised | {"steps"}
    assert {"running"} == {step["status"] for step in shown["steps"]}
    assert world.json("answer", run_id, "name", "Ada").keys() >= promised
    steps = world.json("show", run_id)["steps"]
    assert all(step.keys() >= {"step", "node", "attempt", "status", "started_at", "ended_at"} for step in steps)
    assert all(ISO_TIME.fullmatch(step["ended_at"]) for step in steps)
    assert world.json("show", run_id, "--step", "1")["state"] == {"name": "Ada"}
    assert world.json("show", run_id[-8:])["run_id"] == run_id
    (row,) = world.json("list")
    assert (row["name"], row["nodes"], row["edges"], row["findings"]) == ("hello", 2, 1, [])
    assert row["last_run"]["run_id"] == run_id
    assert world.json("runs")[0].keys() >= {"run_id", "workflow", "version", "status"}
    assert world.json("validate", "hello")["findings"] == []
    assert world.json("graph", "hello")["nodes"][0] == {"id": "ask", "class": "AskName"}
    assert world.json("logs", run_id)["run_id"] == run_id
    status = world.json("engine", "status")
    assert status.keys() >= {"running", "pid", "workspace", "version", "runs"}
    assert (status["running"], status["pid"]) == (True, world.engine_pid())
    assert world.json("doctor")["problems"] == []
    assert world.json("engine", "stop")["running"] is False
    assert world.json("engine", "stop")["stopped"] is False


def test_init_keeps_what_is_there(world: World) -> None:
    assert world.rondo("init", "sub/folder").code == 0
    root = world.root / "sub" / "folder"
    (root / ".gitignore").write_text("mine\n")
    code = root / "workflows" / "hello" / "nodes.py"
    code.write_text("# mine\n")
    before = sorted(str(path) for path in root.rglob("*") if path.parent.name != "runs")
    again = world.rondo("init", "sub/folder", "--example", "hello", "--json")
    assert again.code == 0
    assert again.document["created"] == []
    assert (root / ".gitignore").read_text() == "mine\n"
    assert code.read_text() == "# mine\n"
    assert sorted(str(path) for path in root.rglob("*") if path.parent.name != "runs") == before
    outcome = world.rondo("init", "sub/folder", "--example", "nope", "--json")
    assert (outcome.code, outcome.error["type"]) == (2, "UnknownWorkflow")
    assert world.rondo("engine", "status", "--workspace", str(root), "--json").document["running"] is False


# The terminal -------------------------------------------------------------------------------------------------------


@pytest.fixture
def at_terminal(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """The same world for programs in a terminal, which take their environment from this process."""
    assert world.rondo("init").code == 0
    for name, value in world.environment.items():
        monkeypatch.setenv(name, value)
    return world


def test_a_run_asks_at_the_terminal(at_terminal: World) -> None:
    terminal = Terminal.rondo(at_terminal.root, "run", "hello")
    try:
        terminal.wait_for("What is your name")
        terminal.send("Ada\r")
        terminal.wait_for("✓ completed")
        assert terminal.wait_for_end() == 0
        assert "Hello, Ada!" in terminal.text
    finally:
        terminal.end()


def test_two_terminals_see_one_question(at_terminal: World) -> None:
    first = Terminal.rondo(at_terminal.root, "run", "hello")
    try:
        first.wait_for("What is your name")
        run_id = at_terminal.json("runs")[0]["run_id"]
        assert at_terminal.rondo("answer", run_id, "name", "Grace").code == 0
        first.wait_for("Answered elsewhere")
        first.wait_for("Hello, Grace!")
        assert first.wait_for_end() == 0
    finally:
        first.end()


def test_ctrl_c_at_the_question_leaves_the_run_waiting(at_terminal: World) -> None:
    terminal = Terminal.rondo(at_terminal.root, "run", "hello")
    try:
        terminal.wait_for("What is your name")
        terminal.send("\x03")
        terminal.wait_for("goes on without this command")
        assert terminal.wait_for_end() == 130
    finally:
        terminal.end()
    assert at_terminal.json("runs")[0]["status"] == "waiting_input"


def test_a_node_can_not_command_the_terminal(at_terminal: World) -> None:
    code = "from core.sdk import Node\n\n\nclass Evil(Node):\n    def execute(self, prepared):\n"
    code += "        print('\\x1b]0;owned\\x07\\x1b[2J\\x9b2J\\u202ebad')\n"
    code += "    def cleanup(self, shared, prepared, result):\n        shared['\\x1b[2Jkey'] = '\\x1b[3Jvalue'\n"
    at_terminal.workflow("evil", code, "evil")
    program = Path(sys.executable).with_name("rondo")
    output = pexpect.run(f"{program} run evil", cwd=str(at_terminal.root), timeout=LIMIT_SECONDS)
    for command in (b"\x1b]0;", b"\x1b[2J", b"\x1b[3J", "\x9b".encode(), "\u202e".encode()):
        assert command not in output
    assert b"^[]0;owned" in output


def test_no_colour_is_used_where_none_is_wanted(at_terminal: World, monkeypatch: pytest.MonkeyPatch) -> None:
    program = Path(sys.executable).with_name("rondo")
    at_terminal.rondo("run", "hello")
    colour = re.compile(rb"\x1b\[(\d+;)*(3[0-8]|9[0-7])[;m]")
    calls = [f"{program} list", f"{program} runs", f"{program} show ffffffff"]
    monkeypatch.setenv("TERM", "xterm-256color")
    coloured = [pexpect.run(call, cwd=str(at_terminal.root), timeout=LIMIT_SECONDS) for call in calls]
    assert all(colour.search(output) for output in coloured), coloured
    monkeypatch.setenv("NO_COLOR", "1")
    plain = [pexpect.run(call, cwd=str(at_terminal.root), timeout=LIMIT_SECONDS) for call in calls]
    assert not any(colour.search(output) for output in plain), plain


def test_the_screens_are_not_loaded_for_a_command(own: World) -> None:
    program = "import sys\nfrom tui.entry import main\nmain()\nprint('textual' in sys.modules, file=sys.stderr)\n"
    result = subprocess.run(
        [sys.executable, "-c", program, "list", "--json"],
        cwd=own.root,
        env=own.environment,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
    )
    assert result.stderr == "False\n"
    assert json.loads(result.stdout) == []


@pytest.mark.parametrize("words", [[], ["--workspace", "."]])
def test_the_app_needs_a_terminal_and_a_workspace(world: World, words: list[str]) -> None:
    outcome = world.rondo(*words)
    assert outcome.code == 5
    assert "rondo init" in outcome.err
    (world.root / "workflows").mkdir()
    outcome = world.rondo(*words)
    assert outcome.code == 2
    assert "needs a terminal" in outcome.err


def test_no_engine_is_left_behind_by_these_tests(tmp_path: Path) -> None:
    world = World(tmp_path)
    assert world.rondo("init").code == 0
    assert world.rondo("list").code == 0
    pid = world.engine_pid()
    assert pid is not None
    assert is_engine(pid)
    world.close()
    assert not is_engine(pid)
    assert os.path.exists(world.root / "workflows" / "hello")
