"""What node code prints: which visit it belongs to, what is kept, and that a flood hurts nobody."""

from __future__ import annotations

import logging

from engine_side import Play, body

RETRY_GRAPH = {
    "name": "w",
    "start": "a",
    "nodes": [{"id": "a", "class": "A", "retry": {"attempts": 2}}],
    "edges": [],
}


async def test_print_stderr_and_logging_arrive_with_node_and_attempt(play: Play) -> None:
    source = """
import logging, sys
from core.sdk import Node

print("importing")

class A(Node):
    def execute(self, prepared):
        print("try", self.cur_retry)
        sys.stderr.write("oh\\n")
        logging.getLogger("lib").warning("careful\\nwith that")
        logging.info("by the way")
        if self.cur_retry == 0:
            raise ValueError
"""
    side = await play.run(source, graph=RETRY_GRAPH)
    assert [(line[2], line[3:6], line[6]) for line in side.lines()] == [
        ("stdout", ("", 0, 0), "importing"),
        ("stdout", ("a", 1, 1), "try 0"),
        ("stderr", ("a", 1, 1), "oh"),
        ("log", ("a", 1, 1), "lib: careful"),
        ("log", ("a", 1, 1), "with that"),
        ("log", ("a", 1, 1), "by the way"),
        ("stdout", ("a", 1, 2), "try 1"),
        ("stderr", ("a", 1, 2), "oh"),
        ("log", ("a", 1, 2), "lib: careful"),
        ("log", ("a", 1, 2), "with that"),
        ("log", ("a", 1, 2), "by the way"),
    ]
    levels = {line[6]: line[1] for line in side.lines()}
    assert (levels["try 0"], levels["oh"], levels["by the way"]) == (logging.INFO, logging.WARNING, logging.INFO)


async def test_output_comes_before_the_step_that_it_belongs_to(play: Play) -> None:
    source = body("print('a')", "subprocess.run(['echo', 'b'])", "os.write(2, b'c\\n')", "print('d', end='')")
    side = await play.run(source)
    step = next(place for place, (kind, what) in enumerate(side.heard) if kind == "frame" and what["t"] == "step")
    before = sorted(what[6] for kind, what in side.heard[:step] if kind == "line")
    assert before == ["a", "b", "c", "d"]


async def test_a_line_without_an_end_is_shown_when_the_visit_waits_or_ends(play: Play) -> None:
    source = body("print('Name', end='? ')", "await request_input('?')", "sys.stdout.write('bye')")
    side = await play.start(source)
    await side.frame("request")
    assert side.texts() == ["Name? "]
    side.process.send({"t": "answer", "key": "a:1:a:0", "value": "x"})
    await side.end()
    assert side.texts() == ["Name? ", "bye"]


async def test_threads_and_tasks_belong_to_the_visit_that_started_them(play: Play) -> None:
    source = body(
        "def say(*words): print(*words)",
        "thread = threading.Thread(target=say, args=('thread',)); thread.start(); thread.join()",
        "await asyncio.to_thread(say, 'to_thread')",
        "await asyncio.get_running_loop().run_in_executor(None, say, 'executor')",
        "async def task(): print('task')",
        "await asyncio.gather(asyncio.create_task(task()))",
        "timer = threading.Timer(0, say, ('timer',)); timer.start(); timer.join()",
    )
    side = await play.run(source)
    assert {line[6]: line[3:6] for line in side.lines()} == dict.fromkeys(
        ("thread", "to_thread", "executor", "task", "timer"), ("a", 1, 1)
    )


async def test_a_pool_thread_belongs_to_the_visit_that_uses_it(play: Play) -> None:
    source = body("shared['n'] += 1", "await asyncio.to_thread(print, 'round', shared['n'])")
    graph = RETRY_GRAPH | {"edges": [{"from": "a", "to": "a", "condition": "shared['n'] < 3"}]}
    side = await play.run(source, graph=graph, state=b'{"n": 0}')
    assert [(line[4], line[6]) for line in side.lines()] == [(1, "round 1"), (2, "round 2"), (3, "round 3")]


async def test_threads_do_not_tear_each_others_lines(play: Play) -> None:
    source = body(
        "def work(name):",
        "    for n in range(200): print(name, n, 'x' * 50, sep='-')",
        "threads = [threading.Thread(target=work, args=(name,)) for name in 'abcd']",
        "[thread.start() for thread in threads]; [thread.join() for thread in threads]",
    )
    side = await play.run(source)
    expected = {f"{name}-{n}-{'x' * 50}" for name in "abcd" for n in range(200)}
    assert set(side.texts()) == expected
    assert len(side.texts()) == 800


async def test_output_from_below_python_belongs_to_the_run(play: Play) -> None:
    side = await play.run(body("subprocess.run('echo out; echo err >&2; printf rest', shell=True)"))
    assert sorted(side.texts("raw")) == ["err", "out", "rest"]
    assert {line[3:6] for line in side.lines("raw")} == {("", 0, 0)}


async def test_output_of_forked_children_is_text_of_the_run(play: Play) -> None:
    source = body(
        "print('parent')",
        "pid = os.fork()",
        "if pid == 0:",
        "    print('child'); logging.warning('child log'); os._exit(0)",
        "os.waitpid(pid, 0)",
        "print('after')",
    )
    side = await play.run(source)
    assert side.texts("stdout") == ["parent", "after"]
    assert side.texts("raw") == ["child", "child log"]
    assert len(side.frames("step")) == 1


async def test_a_forked_worker_process_can_do_a_part_of_the_work(play: Play) -> None:
    source = """
import multiprocessing
from core.sdk import Node

def square(n):
    print("square", n)
    return n * n

class A(Node):
    def execute(self, prepared):
        with multiprocessing.get_context("fork").Pool(2) as pool:
            return pool.map(square, [1, 2, 3])
    def cleanup(self, shared, prepared, result):
        shared["squares"] = result
"""
    side = await play.run(source)
    assert b"[1,4,9]" in side.payloads[0]
    assert sorted(side.texts("raw")) == ["square 1", "square 2", "square 3"]


async def test_standard_input_is_empty(play: Play) -> None:
    side = await play.run(body("print(repr(sys.stdin.read()))", "shared['line'] = input('> ')"))
    assert "''" in side.texts("stdout")
    assert side.frames("failed")[0]["failure"]["type"] == "EOFError"


async def test_a_hundred_megabytes_of_prints_are_counted_and_not_kept(play: Play) -> None:
    source = body("for n in range(1_000_000): print('x' * 99)", "shared['done'] = True")
    side = await play.run(source)
    assert len(side.frames("step")) == 1
    # A quarter of four fifths of 50,000 lines, the last hundred, and the line that says what is missing.
    assert len(side.lines()) == 10_000 + 100 + 1
    assert side.dropped == 1_000_000 - 10_100


async def test_a_hundred_megabytes_from_another_program_are_counted_and_not_kept(play: Play) -> None:
    side = await play.run(body("subprocess.run('yes 123456789 | head -c 100000000', shell=True)"))
    assert len(side.frames("step")) == 1
    assert len(side.lines()) == 10_000 + 100 + 1
    assert side.dropped == 10_000_000 - 10_100


async def test_one_endless_line_is_cut(play: Play) -> None:
    side = await play.run(body("print('é' * 40_000)", "os.write(1, b'y' * 40_000)"))
    texts = side.texts("stdout")
    assert "".join(texts) == "é" * 40_000
    assert max(len(text.encode()) for text in texts) <= 16 * 1024
    assert "".join(side.texts("raw")) == "y" * 40_000


async def test_the_limits_of_a_run_are_the_engines(play: Play) -> None:
    source = body("for n in range(10): print(n)", "subprocess.run('seq 10', shell=True)")
    side = await play.run(source, limits={"log_lines": 4})
    # A quarter of what is left for the node, then for what came from below, and nothing set aside for last lines.
    assert side.texts("stdout") == ["0"]
    assert side.texts("raw") == ["1"]
    assert side.dropped == 18
    small = await play.run(body("for n in range(10): print('x' * 100)"), limits={"log_bytes": 1000})
    assert len(small.texts("stdout")) == 2 + 1
    assert small.dropped == 7


async def test_broken_text_is_kept_as_far_as_it_is_text(play: Play) -> None:
    source = body(
        "print('a\\0b \\ud800 \\x1b[31m')",
        "sys.stdout.buffer.write(b'\\xff\\xfe\\n')",
        "os.write(1, b'\\xff\\0z\\n')",
        "logging.warning('lone \\udc80')",
    )
    side = await play.run(source)
    assert side.texts("stdout") == ["ab ? \x1b[31m", "\ufffd\ufffd"]
    assert side.texts("raw") == ["\ufffdz"]
    assert side.texts("log") == ["lone ?"]


async def test_records_that_node_code_forges_do_no_harm(play: Play) -> None:
    source = body("print('before')", "os.write(4, b'\\xff' * 100)", "print('after')", "shared['ok'] = 1")
    side = await play.run(source)
    assert side.texts() == ["before"]
    assert side.dropped >= 1
    assert len(side.frames("step")) == 1

    forged = body("os.write(4, len(b'[1]').to_bytes(4, 'big') + b'[1]')", "print('after')")
    side = await play.run(forged)
    assert (side.texts(), side.dropped) == (["after"], 1)


async def test_logging_set_up_by_the_workflow_still_arrives(play: Play) -> None:
    source = body(
        "logging.basicConfig(level=logging.DEBUG, format='%(message)s')",
        "logging.debug('fine')",
        "logging.basicConfig(filename='app.log', level=logging.INFO, force=True)",
        "logging.info('both')",
        "print(open('app.log').read())",
    )
    side = await play.run(source)
    assert side.texts("log") == ["fine", "both"]
    assert "INFO:root:both" in side.texts("stdout")


async def test_usual_tricks_with_standard_output_work(play: Play) -> None:
    source = body(
        "import contextlib, io",
        "sys.stdout.reconfigure(encoding='utf-8', line_buffering=True)",
        "subprocess.run(['echo', 'child'], stdout=sys.stdout, stderr=sys.stderr)",
        "with contextlib.redirect_stdout(io.StringIO()) as text: print('hidden')",
        "print(text.getvalue().strip().upper(), sys.stdout.isatty(), sys.stdout.encoding, flush=True)",
        "print('via original', file=sys.__stdout__)",
    )
    side = await play.run(source)
    assert side.texts("stdout") == ["HIDDEN False utf-8"]
    assert sorted(side.texts("raw")) == ["child", "via original"]
