"""Waits for a time through the command line: over a killed engine, days long, ended by a person."""

from __future__ import annotations

from cli_world import LIMIT_SECONDS, World, wait_until

CODE = """
from grapheteria import Node


class Wait(Node):
    async def execute(self, prepared):
        await self.wait_for({seconds})

    def cleanup(self, shared, prepared, result):
        shared["waited"] = shared.get("waited", 0) + 1


class After(Node):
    pass
"""


def test_a_wait_goes_on_over_an_engine_that_is_killed(own: World) -> None:
    # The file appears while the node waits, so no slow look from outside can miss the second.
    appears = "import asyncio, pathlib; asyncio.get_running_loop().call_later(0.3, pathlib.Path('waits').touch)"
    code = CODE.format(seconds=1).replace("await self", f"{appears}\n        await self")
    own.workflow("waits", code, "Wait", "After")
    process = own.begin("run", "waits", "--json")
    try:
        wait_until((own.root / "waits").exists, "the wait")
        own.kill_engine()
        out, err = process.communicate(timeout=LIMIT_SECONDS)
    finally:
        process.kill()
    assert process.returncode == 0, err
    (run,) = own.json("runs")
    shown = own.json("show", run["run_id"])
    assert (shown["status"], shown["state"]["waited"], shown["step"]) == ("completed", 1, 2)
    assert run["run_id"] in out


def test_a_wait_of_days_is_shown_and_ended_by_a_person(own: World) -> None:
    own.workflow("waits", CODE.format(seconds=3 * 86_400 + 60), "Wait", "After")
    run_id = own.json("run", "waits", "--detach")["run_id"]
    wait_until(lambda: own.json("runs", "--status", "waiting_timer"), "the wait")
    assert "◷ timer in 3 d" in own.rondo("runs").out
    shown = own.rondo("show", run_id)
    assert "◷ timer in 3 d" in shown.out
    assert f"rondo answer {run_id[-8:]} wait now" in shown.err
    document = own.json("show", run_id)
    assert document["awaiting_input"] is None
    assert document["due_at"] == document["open_requests"][0]["due_at"] is not None
    assert own.rondo("answer", run_id, "wait", "tomorrow").code == 2
    outcome = own.rondo("answer", run_id, "wait", "now", "--json")
    assert outcome.code == 0, outcome
    assert outcome.document["status"] == "completed"


def test_after_a_kill_the_engine_says_what_it_left_and_what_was_done(own: World) -> None:
    code = CODE.format(seconds=0).replace("await self.wait_for(0)", "__import__('time').sleep(60)")
    own.workflow("long", code, "long:Wait")
    assert own.json("engine", "start")["unclean_end"] is None
    run_id = own.json("run", "long", "--detach")["run_id"]
    wait_until(lambda: own.json("show", run_id)["steps"], "the node")
    pid = own.engine_pid()
    own.kill_engine()
    end = own.json("engine", "start")["unclean_end"]
    assert (end["pid"], end["run_count"]) == (pid, 1)
    (run,) = end["runs"]
    assert (run["run_id"], run["status"], run["step"]) == (run_id, "running", 0)
    assert run["action"].endswith("went on after step 0")
    assert own.json("doctor")["unclean_ends"] == [end]
    assert "nothing is wrong now, but:" in own.rondo("doctor").out
    shown = own.rondo("engine", "status").out
    assert f"An engine died: pid {pid}" in shown
    assert f"{run_id[-8:]} long" in shown


def test_runs_that_wait_for_room_say_their_place_and_priority_goes_first(own: World) -> None:
    (own.root / "rondo.toml").write_text("[engine]\nmax_runs = 1\n")
    own.workflow(
        "hold", CODE.format(seconds=0).replace("await self.wait_for(0)", "__import__('time').sleep(60)"), "wait"
    )
    held = own.json("run", "hold", "--detach")["run_id"]
    wait_until(lambda: own.json("show", held)["steps"], "the node")
    plain = own.json("run", "hold", "--detach")["run_id"]
    urgent = own.json("run", "hold", "--detach", "--priority", "5")["run_id"]
    positions = {row["run_id"]: (row["queue_position"], row["priority"]) for row in own.json("runs")}
    assert positions == {held: (None, 0), urgent: (1, 5), plain: (2, 0)}
    assert "○ queued #2" in own.rondo("show", plain).out
