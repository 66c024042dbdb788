"""Secrets with the real command and a real engine: set, granted, used; no byte of what is kept holds one."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from urllib.parse import quote

import pexpect
from cli_world import LIMIT_SECONDS, RONDO, World, wait_until

VALUE = "kanarie/vogel+geheim=4711"

NODES = """
import base64, os, sys
from core.sdk import Node


class Spill(Node):
    async def prepare(self, shared, request_input):
        value = os.environ["TOKEN"]
        print("here it is:", value)
        print(base64.b64encode(value.encode()).decode(), file=sys.stderr)
        os.write(2, f"below {value}\\n".encode())
        return await request_input(f"Is it {value}?")

    async def execute(self, given):
        raise RuntimeError("no use for " + os.environ["TOKEN"])
"""


def type_value(world: World, value: str) -> str:
    """Set the secret at a terminal; returns all that the terminal showed."""
    terminal = pexpect.spawn(
        RONDO, ["secrets", "set", "TOKEN"], cwd=str(world.root), env=world.environment, timeout=LIMIT_SECONDS
    )
    shown = b""
    terminal.expect("not shown")
    shown += terminal.before + terminal.after
    wait_until(lambda: not terminal.getecho(), "the terminal to hide what is typed")
    terminal.sendline(value)
    terminal.expect(pexpect.EOF)
    shown += terminal.before
    terminal.close()
    assert terminal.exitstatus == 0, shown
    return shown.decode()


def assert_nowhere(folder: Path) -> None:
    raw = VALUE.encode()
    forms = [raw, quote(VALUE, safe="").encode(), raw.hex().encode()]
    forms += [base64.b64encode(raw).rstrip(b"=")[:-1], base64.urlsafe_b64encode(raw).rstrip(b"=")[:-1]]
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert not [form for form in forms if form in data], path


def test_a_secret_is_typed_granted_and_used_and_no_kept_byte_holds_it(own: World) -> None:
    own.workflow("spill", NODES, "spill", permissions={"secrets": ["TOKEN"]})
    own.environment["PYTHON_KEYRING_BACKEND"] = "keyring.backends.null.Keyring"
    shown = type_value(own, VALUE)
    assert VALUE not in shown and "is kept in a file" in shown
    refused = own.rondo("run", "spill", "--json")
    assert refused.code == 4 and refused.error["type"] == "SecretNotGranted"
    assert refused.error["next_step"] == "rondo secrets grant TOKEN spill"
    assert own.rondo("secrets", "grant", "TOKEN", "spill").code == 0
    started = own.rondo("run", "spill", "--detach", "--json")
    assert started.code in (0, 3), started
    run = started.document["run_id"]
    wait_until(lambda: own.rondo("show", run, "--json").document["status"] == "waiting_input", "the question")
    assert_nowhere(own.runs)
    # The engine dies without a word, and the next one asks anew and goes on.
    own.kill_engine()
    assert own.rondo("answer", run, "spill", "yes").code in (0, 1)
    wait_until(lambda: own.rondo("show", run, "--json").document["status"] == "failed", "the end")
    log = own.rondo("logs", run)
    assert "here it is: [secret]" in log.out and "below [secret]" in log.out and VALUE not in log.out + log.err
    exported = own.root / "run.json"
    assert own.rondo("export", run, "-o", str(exported)).code == 0
    doctor = own.rondo("doctor", "--json")
    assert VALUE not in doctor.out and "1 in the file" in doctor.document["engine"]["secrets"]
    assert_nowhere(own.runs)
    assert own.rondo("engine", "stop").code == 0
    assert_nowhere(own.root)


def test_a_value_piped_in_keeps_its_inner_line_breaks(own: World) -> None:
    own.environment["PYTHON_KEYRING_BACKEND"] = "keyring.backends.null.Keyring"
    done = subprocess.run(
        [RONDO, "secrets", "set", "KEY", "--json"],
        input="first line\nsecond line\n",
        capture_output=True,
        text=True,
        cwd=own.root,
        env=own.environment,
        timeout=LIMIT_SECONDS,
        check=True,
    )
    assert json.loads(done.stdout) == {"name": "KEY", "where": "file", "environment": False}
    (kept,) = Path(own.environment["XDG_DATA_HOME"]).glob("rondo/secrets/secrets.json")
    assert json.loads(kept.read_text())["secrets"]["KEY"]["value"] == "first line\nsecond line"
