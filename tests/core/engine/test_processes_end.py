"""How run processes end: by themselves, by force, with their engine; and that nothing of them is left."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from pathlib import Path

import pytest
from engine_side import LIMIT, Play, alive, begin, body, eventually, number_in, parent_of

from core.engine import processes
from core.engine.processes import ExitStatus, ProcessPool, kill_leftovers
from core.errors import EnvironmentProblem
from core.runner.process_tree import children_of, start_ticks

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and a subreaper")

WITH_GRANDCHILDREN = (
    "def start(name, **options):",
    "    code = f'import os, time; open({name!r}, \"w\").write(str(os.getpid()) + chr(10)); time.sleep(600)'",
    "    subprocess.Popen([sys.executable, '-S', '-c', code], **options)",
    "start('same-session')",
    "start('own-session', start_new_session=True)",
    "subprocess.Popen(['sh', '-c', 'sleep 600 & echo $! > orphan'])",
)
"""Three descendants: one of its session, one of its own, one whose parent is gone."""


async def grandchildren(folder: Path) -> list[int]:
    names = ("same-session", "own-session", "orphan")
    await eventually(lambda: all(number_in(folder / name) for name in names))
    return [number_in(folder / name) or 0 for name in names]


async def test_a_node_that_loops_for_ever_is_killed_with_all_it_started(play: Play, tmp_path: Path) -> None:
    source = body(
        *WITH_GRANDCHILDREN,
        "for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP): signal.signal(number, signal.SIG_IGN)",
        "while True: pass",
    )
    side = await play.start(source)
    pids = [*await grandchildren(tmp_path), side.process.pid]
    assert all(alive(pid) for pid in pids)

    await side.process.kill()
    assert [alive(pid) for pid in pids] == [False] * 4
    assert side.exits == [(ExitStatus(None, signal.SIGKILL), "was killed")]
    await side.process.kill()
    assert len(side.exits) == 1


async def test_a_bomb_of_forks_is_killed_to_the_last(play: Play, tmp_path: Path) -> None:
    source = body(
        "print('lit')",
        "open('bomb', 'w').write(str(os.getpgrp()) + chr(10))",
        "for n in range(6): os.fork()",
        "while True:",
        "    time.sleep(0.002)",
        "    if os.fork() == 0: time.sleep(0.02); os._exit(0)",
        "    try: os.waitpid(-1, os.WNOHANG)",
        "    except ChildProcessError: pass",
    )
    side = await play.start(source)
    await eventually(lambda: number_in(tmp_path / "bomb"))
    await eventually(lambda: len(group_of(side.process.pid)) > 64)
    await side.process.kill()
    assert group_of(side.process.pid) == []


def group_of(group: int) -> list[int]:
    """The processes of a process group that run."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                text = Path(f"/proc/{name}/stat").read_text()
            except OSError:
                continue
            fields = text[text.rindex(")") + 2 :].split()
            if int(fields[2]) == group and fields[0] not in "ZX":
                found.append(int(name))
    return found


@pytest.mark.parametrize(
    ("code", "status", "description"),
    [
        ("os._exit(7)", ExitStatus(7, None), "ended with exit code 7"),
        ("os._exit(0)", ExitStatus(0, None), "ended with exit code 0"),
        ("os.abort()", ExitStatus(None, signal.SIGABRT), "aborted itself (SIGABRT) at nodes.py, line 5 (in prepare)"),
        (
            "os.kill(os.getpid(), signal.SIGKILL)",
            ExitStatus(None, signal.SIGKILL),
            "was killed from outside (SIGKILL), as the system does when memory runs out",
        ),
        ("os.kill(os.getpid(), signal.SIGTERM)", ExitStatus(None, signal.SIGTERM), "was ended by SIGTERM"),
        (
            "threading.Thread(target=lambda: os._exit(3)).start(); time.sleep(9)",
            ExitStatus(3, None),
            "ended with exit code 3",
        ),
    ],
)
async def test_the_end_of_a_process_is_described(play: Play, code: str, status: ExitStatus, description: str) -> None:
    side = await play.run(body(code))
    assert side.exits == [(status, description)]
    assert side.frames("failed") == side.frames("step") == []


async def test_a_segmentation_fault_names_the_line(play: Play) -> None:
    side = await play.run(body("print('before')", "import ctypes; ctypes.string_at(0)"))
    place = "crashed with a segmentation fault (SIGSEGV) at nodes.py, line 6 (in prepare)"
    assert side.exits == [(ExitStatus(None, signal.SIGSEGV), place)]
    assert side.texts("stdout") == ["before"]
    assert any("Segmentation fault" in text for text in side.texts("raw"))


async def test_what_was_said_before_a_death_is_heard_before_it(play: Play) -> None:
    side = await play.run(body("print('last words')", "os.write(1, b'raw words')", "os._exit(1)"))
    assert sorted(side.texts()) == ["last words", "raw words"]


async def test_other_runs_go_on_when_one_dies(play: Play) -> None:
    waiting = await play.start(body("shared['x'] = await request_input('?')"))
    await waiting.frame("request")
    await play.run(body("import ctypes; ctypes.string_at(0)"))
    waiting.process.send({"t": "answer", "key": "a:1:a:0", "value": 1})
    assert (await waiting.end())[0].code == 0
    assert len(waiting.frames("step")) == 1


@linux_only
@pytest.mark.parametrize("ending", ["pass", "os._exit(1)"])
async def test_what_a_run_leaves_running_ends_with_it(play: Play, tmp_path: Path, ending: str) -> None:
    waits = (
        "while not all(os.path.exists(name) for name in ('same-session', 'own-session', 'orphan')): time.sleep(0.01)"
    )
    side = await play.run(body(*WITH_GRANDCHILDREN, waits, ending))
    assert side.exits[0][0].code == (1 if "exit" in ending else 0)
    assert [alive(pid) for pid in await grandchildren(tmp_path)] == [False] * 3


async def test_threads_tasks_and_exit_handlers_do_not_keep_a_finished_run(play: Play) -> None:
    source = body(
        "import atexit",
        "atexit.register(print, 'exit handler')",
        "threading.Thread(target=time.sleep, args=(600,)).start()",
        "async def stay():",
        "    while True:",
        "        try: await asyncio.sleep(600)",
        "        except asyncio.CancelledError: print('no')",
        "self.task = asyncio.create_task(stay())",
        "asyncio.get_running_loop().run_in_executor(None, time.sleep, 600)",
        "await asyncio.sleep(0)",
    )
    side = await play.run(source)
    assert side.exits[0][0].code == 0
    assert "exit handler" in side.texts("stdout")


async def test_an_exit_handler_that_hangs_is_cut_off(play: Play) -> None:
    side = await play.run(body("import atexit", "atexit.register(time.sleep, 600)"))
    assert len(side.frames("step")) == 1


async def test_a_run_that_closes_its_channel_or_speaks_nonsense_is_ended(play: Play) -> None:
    closing = await play.run(body("os.closerange(3, 64)", "os.open('/dev/null', os.O_RDONLY)"))
    assert closing.frames("step") == []
    assert closing.exits[0][0].code == 70
    assert "closed by somebody else" in closing.texts("raw")[-1]
    nonsense = await play.run(body("os.write(3, b'\\0\\0\\0\\x02\\0\\0\\0\\0[]')", "time.sleep(600)"))
    assert "not a frame" in nonsense.exits[0][1]
    huge = await play.run(body("os.write(3, b'\\xff' * 64)", "time.sleep(600)"))
    assert "not a frame" in huge.exits[0][1]


@linux_only
async def test_when_the_zygote_dies_its_runs_end_and_the_next_gets_a_new_one(play: Play, tmp_path: Path) -> None:
    side = await play.start(body("print('here')", *WITH_GRANDCHILDREN[:4], "while True: pass"))
    await eventually(lambda: number_in(tmp_path / "same-session"))
    zygote = parent_of(side.process.pid)
    assert zygote != os.getpid()
    os.kill(zygote, signal.SIGKILL)
    _, description = await side.end()
    assert "the process that starts runs had died" in description
    assert side.texts("stdout") == ["here"]
    assert not alive(side.process.pid)

    again = await play.start(body("shared['x'] = await request_input('?')"))
    await again.frame("request")
    assert parent_of(again.process.pid) != zygote


async def test_closing_the_pool_leaves_nothing(tmp_path: Path) -> None:
    pool = ProcessPool()
    play = Play(pool, tmp_path)
    side = await play.start(body(*WITH_GRANDCHILDREN, "while True: pass"))
    pids = [*await grandchildren(tmp_path), side.process.pid, parent_of(side.process.pid)]
    await pool.close()
    assert [alive(pid) for pid in pids] == [False] * 5
    assert len(side.exits) == 1


ENGINE = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {helpers!r})
from engine_side import Play, body
from core.engine.processes import ProcessPool

async def main():
    play = Play(ProcessPool(), Path({folder!r}))
    side = await play.start(body(*{lines!r}))
    await side.frame("started")
    print(side.process.pid, side.process.started_ticks, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


@linux_only
async def test_runs_end_with_their_engine(tmp_path: Path) -> None:
    lines = [*WITH_GRANDCHILDREN, "while True: pass"]
    code = ENGINE.format(helpers=str(Path(__file__).parent.parent / "runner"), folder=str(tmp_path), lines=lines)
    engine = begin(code)
    try:
        assert engine.stdout is not None
        pid, ticks = map(int, engine.stdout.readline().split())
        pids = [*await grandchildren(tmp_path), pid, parent_of(pid)]
        assert all(alive(pid) for pid in pids)
    finally:
        engine.kill()
        engine.communicate()
    await eventually(lambda: not any(alive(pid) for pid in pids))
    assert await kill_leftovers(pid, ticks) is False


@linux_only
async def test_a_new_engine_ends_what_an_old_one_left(tmp_path: Path) -> None:
    code = f"import subprocess, sys, time; {'; '.join(['import os', *child_lines()])}; time.sleep(600)"
    left = begin(code, cwd=tmp_path, start_new_session=True)
    try:
        await eventually(lambda: number_in(tmp_path / "child"))
        child = number_in(tmp_path / "child") or 0
        ticks = start_ticks(left.pid)
        assert ticks is not None
        assert children_of(left.pid) == [child]

        assert await kill_leftovers(left.pid, ticks + 1) is False
        assert alive(left.pid) and alive(child)
        assert await kill_leftovers(left.pid, ticks) is True
        assert not alive(left.pid) and not alive(child)
        assert await kill_leftovers(0, 0) is False
    finally:
        left.kill()
        left.communicate()


def child_lines() -> list[str]:
    inner = "import os, time; open('child', 'w').write(str(os.getpid()) + chr(10)); time.sleep(600)"
    return [f"subprocess.Popen([sys.executable, '-S', '-c', {inner!r}], start_new_session=True)"]


async def test_an_interpreter_that_is_not_there_is_named(play: Play, tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem, match="no-python"):
        await play.start(body("pass"), python=str(tmp_path / "no-python"))
    broken = tmp_path / "broken-python"
    broken.write_text("not a program")
    broken.chmod(0o755)
    side = await play.run(body("pass"), python=str(broken))
    assert "could not be started" in side.exits[0][1]
    async with asyncio.timeout(LIMIT):
        assert (await play.run(body("pass"))).exits[0][0].code == 0


@linux_only
async def test_what_one_run_started_outlives_the_end_of_another(play: Play, tmp_path: Path) -> None:
    side = await play.start(body(*WITH_GRANDCHILDREN, "await request_input('?')"))
    pids = await grandchildren(tmp_path)
    await play.run(body("pass"))
    assert [alive(pid) for pid in pids] == [True] * 3
    await side.process.kill()
    assert [alive(pid) for pid in pids] == [False] * 3


async def test_without_free_descriptors_a_run_is_refused_and_later_ones_work(play: Play) -> None:
    side = await play.start(body("print('here')", "while True: pass"))
    await side.until(lambda: side.texts("stdout"))
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/dev/fd"))) + 5, before[1]))
    taken: list[int] = []
    try:
        with pytest.raises(OSError):
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))
        for _ in range(3):
            with pytest.raises(EnvironmentProblem, match="refused"):
                await play.start(body("pass"))
            os.close(taken.pop())
        await side.process.kill()
        assert side.exits[0][1] == "was killed"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for fd in taken:
            os.close(fd)
    assert len((await play.run(body("shared['x'] = 1"))).frames("step")) == 1


async def test_a_frame_that_is_not_json_starts_nothing(play: Play) -> None:
    with pytest.raises(TypeError):
        await play.start(body("pass"), environment=object())
    assert len((await play.run(body("shared['x'] = 1"))).frames("step")) == 1


@linux_only
@pytest.mark.parametrize("hangs", [False, True], ids=["dies", "hangs"])
async def test_a_run_that_is_being_started_survives_its_zygote(
    play: Play, monkeypatch: pytest.MonkeyPatch, hangs: bool
) -> None:
    first = await play.start(body("await request_input('?')"))
    await first.frame("request")
    zygote = parent_of(first.process.pid)
    os.kill(zygote, signal.SIGSTOP)
    if hangs:
        monkeypatch.setattr(processes, "ANSWER_SECONDS", 3.0)
    starting = asyncio.create_task(play.start(body("shared['x'] = 1")))
    await asyncio.sleep(0)
    if not hangs:
        os.kill(zygote, signal.SIGKILL)
    side = await starting
    await side.end()
    assert len(side.frames("step")) == 1
    await first.end()


async def test_a_run_that_is_being_started_survives_the_loss_of_one_zygote_after_the_other(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    fork, killed = processes._Zygote.fork, 0

    async def fork_of_a_dying_one(zygote: processes._Zygote, process: processes.RunProcess, python: str) -> None:
        nonlocal killed
        if killed < processes.FORK_TRIES - 1:
            killed += 1
            zygote._program.kill()
            await asyncio.to_thread(zygote._program.wait)
        await fork(zygote, process, python)

    monkeypatch.setattr(processes._Zygote, "fork", fork_of_a_dying_one)
    side = await play.run(body("shared['x'] = 1"))
    assert len(side.frames("step")) == 1 and killed == processes.FORK_TRIES - 1


async def test_more_requests_than_the_zygote_takes_at_once_are_all_served(play: Play) -> None:
    await play.pool.start()
    first = await play.start(body("await request_input('?')"))
    zygote = parent_of(first.process.pid)
    os.kill(zygote, signal.SIGSTOP)
    starting = [asyncio.create_task(play.start(body("shared['x'] = 1"))) for _ in range(40)]
    await asyncio.sleep(0)
    os.kill(zygote, signal.SIGCONT)
    sides = await asyncio.gather(*starting)
    for side in sides:
        await side.end()
        assert len(side.frames("step")) == 1
