"""The app over lines that break, in tmux, over ssh, and after signals: the terminal is given back, nothing is lost."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cli_world import RONDO, World, wait_until
from terminal import Open, Terminal

SSHD = shutil.which("sshd") or ("/usr/sbin/sshd" if Path("/usr/sbin/sshd").exists() else None)
TMUX = shutil.which("tmux")

COUNT = """
import os
import time
from core.sdk import Node

class Count(Node):
    def execute(self, prepared):
        for number in range(1, 41):
            print("line", number)
            while not os.path.exists("go") and number == 20:
                time.sleep(0.05)
"""


def hung_up(terminal: Terminal) -> None:
    """Close the line and wait until the app is gone."""
    terminal.close_line()
    wait_until(lambda: not alive(terminal.pid), "the end of the app")


def alive(pid: int) -> bool:
    """True while a process runs; one that has ended and was not asked how is none."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return words.rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_the_app_and_gives_the_terminal_back(hello: World, open_app: Open, number: int) -> None:
    terminal = open_app(hello)
    terminal.wait_for(r"engine ●")
    terminal.wait_for(r"r run")
    engine = hello.engine_pid()
    os.kill(terminal.pid, number)
    assert terminal.wait_for_end() == 128 + number
    # The other screen is left, the cursor is shown, no mouse or paste mode stays, and keys are lines again.
    assert terminal.modes_left() == set()
    assert hello.engine_pid() == engine


BROKEN = """
import sys
import tui.app
from core.places import Workspace

class Broken(tui.app.RondoApp):
    def go_back(self):
        raise RuntimeError("broken on purpose")

tui.app.RondoApp = Broken
sys.exit(tui.app.run_app(Workspace.at(".")))
"""


def test_a_defect_of_the_app_gives_the_terminal_back_and_says_what_goes_on(own: World) -> None:
    kept = {name: value for name, value in own.environment.items() if name.startswith(("XDG_", "RONDO_"))}
    terminal = Terminal([sys.executable, "-c", BROKEN], cwd=own.root, columns=100, rows=30, **kept)
    try:
        terminal.wait_for(r"engine ●")
        terminal.wait_for(r"No workflows yet")
        engine = own.engine_pid()
        terminal.send("q")
        assert terminal.wait_for_end() == 1
        assert terminal.modes_left() == set()
        assert "broken on purpose" in terminal.text
        assert "Engine and runs go on: open it again with rondo" in terminal.text
        assert own.engine_pid() == engine
    finally:
        terminal.end()


def test_read_only_starts_no_engine_looks_at_one_that_runs_and_changes_nothing(hello: World) -> None:
    kept = {name: value for name, value in hello.environment.items() if name.startswith(("XDG_", "RONDO_"))}
    terminal = Terminal.rondo(hello.root, "--read-only", columns=110, rows=30, **kept)
    try:
        terminal.wait_for(r"read-only +engine ○ none")
        terminal.wait_for(r"Read-only starts none\. Start it in another terminal: rondo engine start")
        assert hello.rondo("engine", "start").code == 0
        terminal.wait_for(r"read-only +engine ●")
        terminal.wait_for(r"hello +2")
        terminal.wait_for(r"r run")
        terminal.send("r")
        terminal.wait_for(r"`rondo run hello --detach` was not done")
        assert hello.json("runs") == []
        refused = hello.rondo("--read-only", "run", "hello", "--json")
        assert (refused.code, refused.error["type"]) == (4, "ReadOnly")
    finally:
        terminal.end()


def test_in_an_empty_folder_the_app_offers_to_make_a_workspace_and_opens_it(world: World, open_app: Open) -> None:
    refused = open_app(world, 80, 24)
    refused.wait_for(r"Make one here\? \[y/N\]")
    refused.send("\r")
    assert refused.wait_for_end() == 5
    assert "Make one: rondo init" in refused.text
    assert list(world.root.iterdir()) == []
    terminal = open_app(world, 80, 24)
    terminal.wait_for(r"Make one here\? \[y/N\]")
    terminal.send("y\r")
    terminal.wait_for(r"hello +2")
    terminal.wait_for(r"engine ●")
    terminal.send("q")
    assert terminal.wait_for_end() == 0


@pytest.mark.long
def test_a_terminal_that_is_closed_in_a_run_is_opened_again_without_a_gap(own: World, open_app: Open) -> None:
    own.workflow("count", COUNT, "count:Count")
    terminal = open_app(own)
    terminal.wait_for(r"count +1")
    terminal.wait_for(r"engine ●")
    terminal.send("r")
    terminal.wait_for(r"INFO +line 20")
    engine = own.engine_pid()
    hung_up(terminal)
    (own.root / "go").touch()
    wait_until(lambda: own.json("runs")[0]["status"] == "completed", "the end of the run")
    assert own.engine_pid() == engine
    again = open_app(own)
    # Where one was: on the run, with every line of it.
    again.wait_for(r"Back where the line was lost")
    again.wait_for(r"✓ completed")
    again.wait_for(r"INFO +line 40")
    run = own.json("runs")[0]["short_id"]
    lines = own.rondo("logs", run).out
    assert [f"line {number}" in lines for number in range(1, 41)] == [True] * 40
    again.send("q")
    again.wait_for(r"count +1 +✓ completed")


@pytest.mark.long
def test_an_answer_that_was_begun_is_there_after_the_line_was_lost(hello: World, open_app: Open) -> None:
    terminal = open_app(hello)
    terminal.wait_for(r"engine ●")
    terminal.wait_for(r"r run")
    terminal.send("r")
    terminal.wait_for(r"What is your name\?")
    terminal.send("\t")
    terminal.wait_for(r"enter sends")
    terminal.send("Grace Hop")
    terminal.wait_for(r"Grace Hop")
    hung_up(terminal)
    again = open_app(hello)
    again.wait_for(r"Grace Hop")
    again.send("\t")
    again.wait_for(r"enter sends")
    again.send("per\r")
    again.wait_for(r"Hello, Grace Hopper!")


# Other terminals ---------------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "linux", "COLORTERM": ""}, {"TERM": "vt100"}])
def test_terminals_with_few_colours_or_none_show_the_same_words(hello: World, environment: dict[str, str]) -> None:
    kept = {name: value for name, value in hello.environment.items() if name.startswith(("XDG_", "RONDO_"))}
    terminal = Terminal.rondo(hello.root, columns=80, rows=24, **{**kept, **environment})
    try:
        terminal.wait_for(r"hello +2")
        terminal.wait_for(r"engine ●")
        terminal.send("8")
        terminal.wait_for(r"\[engine\]")
        terminal.send("q")
        terminal.wait_for(r"NAME +NODES")
        terminal.send("q")
        assert terminal.wait_for_end() == 0
    finally:
        terminal.end()


@pytest.mark.long
def test_a_resize_at_any_time_is_followed(hello: World, open_app: Open) -> None:
    terminal = open_app(hello, 120, 40)
    terminal.wait_for(r"engine ●")
    terminal.wait_for(r"r run")
    terminal.send("r")
    terminal.wait_for(r"What is your name\?")
    for columns, rows, text in ((60, 18, "60x18 cells are too few"), (30, 8, "30x8 cells"), (250, 70, "state")):
        terminal.resize(columns, rows)
        terminal.wait_for(text)
    terminal.resize(80, 24)
    terminal.wait_for(r"What is your name\?")
    terminal.wait_for(lambda screen: "too few" not in screen)


# tmux --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def tmux(hello: World) -> Iterator[Callable[..., str]]:
    """A tmux server of the test's own, with nobody's settings."""
    if TMUX is None:
        pytest.skip("no tmux on this machine")
    name = f"rondo-test-{os.getpid()}-{time.monotonic_ns()}"
    environment = {**hello.environment, "TERM": "xterm-256color", "SHELL": "/bin/sh"}
    environment.pop("TMUX", None)

    def call(*words: str) -> str:
        done = subprocess.run(
            [TMUX, "-f", "/dev/null", "-L", name, *words],
            env=environment,
            cwd=hello.root,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.stdout

    yield call
    call("kill-server")


@pytest.mark.long
def test_in_tmux_a_run_is_done_text_copied_and_the_session_left_and_found_again(
    hello: World, tmux: Callable[..., str]
) -> None:
    def shows(text: str) -> None:
        wait_until(lambda: text in tmux("capture-pane", "-p", "-t", "work"), f"{text!r} in tmux")

    tmux("new-session", "-d", "-s", "work", "-x", "110", "-y", "32", RONDO)
    shows("engine ●")
    shows("r run")
    tmux("send-keys", "-t", "work", "r")
    shows("What is your name?")
    tmux("send-keys", "-t", "work", "Tab")
    shows("enter sends")
    tmux("send-keys", "-t", "work", "-l", "Ada")
    shows("› Ada")
    tmux("send-keys", "-t", "work", "Enter")
    shows("Hello, Ada!")
    tmux("send-keys", "-t", "work", "8")
    shows("[engine]")
    tmux("send-keys", "-t", "work", "y")
    # tmux has it in its own buffer, whatever it makes of OSC 52.
    wait_until(lambda: tmux("show-buffer") == "rondo settings set engine.max_runs 16", "the copy in tmux")
    tmux("resize-window", "-t", "work", "-x", "80", "-y", "24")
    shows("[engine]")
    tmux("send-keys", "-t", "work", "q")
    shows("Hello, Ada!")
    engine = hello.engine_pid()
    tmux("kill-session", "-t", "work")
    assert hello.engine_pid() == engine
    tmux("new-session", "-d", "-s", "work", "-x", "110", "-y", "32", RONDO)
    shows("✓ completed")


# ssh ---------------------------------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@pytest.fixture
def ssh(hello: World, tmp_path: Path) -> Iterator[list[str]]:
    """A server of the test's own, on loopback, with keys made for it; the words of `ssh` to it."""
    client = shutil.which("ssh")
    if SSHD is None or client is None or shutil.which("ssh-keygen") is None:
        pytest.skip("no OpenSSH client and server on this machine")
    folder = tmp_path / "ssh"
    folder.mkdir(mode=0o700)
    for key in ("host", "mine"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(folder / key)],
            check=True,
            timeout=60,
        )
    (folder / "authorized").write_text((folder / "mine.pub").read_text())
    (folder / "authorized").chmod(0o600)
    port = free_port()
    Path("/run/sshd").mkdir(exist_ok=True) if os.geteuid() == 0 else None
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n"
        "PasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\nStrictModes no\n"
        f"PermitRootLogin yes\nPidFile {folder}/pid\nAcceptEnv XDG_* RONDO_* COLORTERM LC_*\n"
    )
    server = subprocess.Popen(
        [SSHD, "-D", "-e", "-f", str(folder / "sshd_config")], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )

    def listens() -> bool:
        if server.poll() is not None:
            said = server.stderr.read().decode() if server.stderr is not None else ""
            pytest.skip(f"sshd does not run here: {said.strip()[-300:]}")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_until(listens, "the ssh server")
    sent = [name for name in hello.environment if name.startswith(("XDG_", "RONDO_"))]
    yield [
        client,
        *("-F", "/dev/null", "-tt", "-p", str(port), "-i", str(folder / "mine"), "-o", "IdentitiesOnly=yes"),
        *("-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={folder}/known", "-o", "LogLevel=ERROR"),
        *("-o", f"SendEnv={' '.join(sent)} COLORTERM LC_*"),
        f"{getpass.getuser()}@127.0.0.1",
    ]
    server.terminate()
    server.wait(timeout=60)


@pytest.mark.long
def test_over_a_real_ssh_a_run_survives_the_line_and_is_shown_again(hello: World, ssh: list[str]) -> None:
    kept = {name: value for name, value in hello.environment.items() if name.startswith(("XDG_", "RONDO_"))}
    words = [*ssh, f"cd '{hello.root}' && exec '{RONDO}'"]
    terminals = [Terminal(words, cwd=hello.root, columns=100, rows=30, **kept)]
    try:
        terminal = terminals[0]
        terminal.wait_for(r"hello +2")
        terminal.wait_for(r"engine ●")
        terminal.wait_for(r"r run")
        terminal.send("r")
        terminal.wait_for(r"What is your name\?")
        engine = hello.engine_pid()
        # The client dies, as with a lost line: the server closes the terminal behind it.
        os.kill(terminal.pid, signal.SIGKILL)
        terminal.wait_for_end()
        assert hello.engine_pid() == engine
        terminals.append(Terminal(words, cwd=hello.root, columns=80, rows=24, **kept))
        again = terminals[1]
        again.wait_for(r"What is your name\?|◐ waiting")
        hello.rondo("answer", hello.json("runs")[0]["short_id"], "name", "Ada")
        again.wait_for(r"✓ completed")
        again.send(":quit\r")
        assert again.wait_for_end() == 0
    finally:
        for terminal in terminals:
            terminal.end()
