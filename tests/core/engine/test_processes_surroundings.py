"""What surrounds node code: environment, folders, descriptors, modules, interpreters."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engine_side import Play, body, init_frame, process_play

from core.engine.processes import ProcessPool
from core.runner import entry


def said(side: Any) -> Any:
    """The JSON that the node printed."""
    assert side.texts("stdout"), side.heard
    return json.loads(side.texts("stdout")[0])


async def test_secrets_of_the_engines_environment_are_not_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_API_KEY", "planted-secret")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "planted-secret")
    monkeypatch.setenv("RONDO_TOKEN", "planted-secret")
    monkeypatch.setenv("LC_TIME", "C")
    monkeypatch.setenv("https_proxy", "http://proxy")
    source = body(
        "import json",
        "print(json.dumps(dict(os.environ)))",
        "print(json.dumps([open(f'/proc/{pid}/environ').read() for pid in (os.getpid(), os.getppid())]))",
    )
    async with process_play(tmp_path) as play:
        side = await play.run(source, environment={"GRANTED": "yes"})
        seen = said(side)
        assert "planted-secret" not in " ".join(side.texts())
        assert (seen["GRANTED"], seen["LC_TIME"], seen["https_proxy"]) == ("yes", "C", "http://proxy")
        assert seen["PATH"] == os.environ["PATH"]
        assert "GRANTED" not in said(await play.run(source))


async def test_no_descriptor_of_engine_or_zygote_is_inherited(play: Play) -> None:
    await play.start(body("await request_input('?')"))
    source = body(
        "import json",
        "path = '/proc/self/fd/'",
        "names = {fd: os.readlink(path + fd) for fd in os.listdir(path) if os.path.exists(path + fd)}",
        "print(json.dumps(names))",
        "print(subprocess.run(['ls', '/proc/self/fd'], capture_output=True, text=True).stdout.split())",
    )
    side = await play.run(source)
    names = said(side)
    assert names["0"] == "/dev/null"
    assert names["1"] == names["2"] and names["1"].startswith("pipe:")
    own_loop = [name for fd, name in names.items() if int(fd) > 4]
    assert sorted(name.split(":")[0] for name in own_loop) == ["anon_inode", "socket", "socket"]
    assert side.texts("stdout")[1] == "['0', '1', '2', '3']", "3 is the listing itself"


async def test_the_working_directory_is_the_workspace_and_files_lie_beside_the_code(play: Play, tmp_path: Path) -> None:
    init = init_frame(tmp_path, "")
    (Path(init["folder"]) / "data.txt").write_text("beside")
    source = body(
        "import json, pathlib",
        "(self.output_dir / 'report.md').write_text('done')",
        "print(json.dumps([os.getcwd(), __file__, __name__, sys.argv]))",
        "print(pathlib.Path(__file__).with_name('data.txt').read_text())",
    )
    side = await play.run(source)
    file = str(tmp_path / "workflows" / "w" / "nodes.py")
    assert said(side) == [str(tmp_path), file, "nodes", [file]]
    assert side.texts("stdout")[1] == "beside"
    assert (tmp_path / "runs" / "output" / "run-1" / "report.md").read_text() == "done"


async def test_files_of_nodes_have_the_rights_that_the_user_wants(tmp_path: Path) -> None:
    """The engine keeps its own files to itself; that must not pass on to what nodes write."""
    pool = ProcessPool(umask=0o027)
    try:
        await Play(pool, tmp_path).run(body("open('made', 'w').close()"))
        assert (tmp_path / "made").stat().st_mode & 0o777 == 0o640
    finally:
        await pool.close()


async def test_a_workspace_that_is_gone_is_named(play: Play, tmp_path: Path) -> None:
    side = await play.run(body("pass"), workspace=str(tmp_path / "gone"))
    assert side.frames("broken")[0]["failure"]["type"] == "WorkspaceMissing"


async def test_the_stored_version_runs_and_not_the_file(play: Play, tmp_path: Path) -> None:
    folder = tmp_path / "workflows" / "w"
    folder.mkdir(parents=True)
    (folder / "nodes.py").write_text("raise RuntimeError('the live file was imported')")
    (folder / "helpers.py").write_text("WORD = 'live'")
    (folder / "unknown.py").write_text("")
    sources = {
        "nodes.py": body(
            "import helpers, lib.deep, lib.pack, inspect",
            "from lib.pack import WORD",
            "print(helpers.WORD, lib.deep.WORD, WORD, inspect.getsource(helpers).strip())",
            "try: import unknown",
            "except ImportError as error: print(error)",
        ),
        "helpers.py": "WORD = 'stored'",
        "lib/deep.py": "WORD = 'deep'",
        "lib/pack/__init__.py": "from .word import WORD",
        "lib/pack/word.py": "WORD = 'packed'",
    }
    side = await play.run(sources)
    assert side.texts("stdout") == ["stored deep packed WORD = 'stored'", "No module named 'unknown'"]
    assert not list(folder.rglob("__pycache__"))


async def test_the_originals_name_finds_our_module(play: Play) -> None:
    source = """
import grapheteria
import core.grapheteria
from grapheteria import Node, Edge
from grapheteria.utils import FileSystemStorage
import core.sdk

class A(Node):
    def execute(self, prepared):
        print(grapheteria is core.grapheteria, issubclass(A, core.sdk.Node))
"""
    side = await play.run(source)
    assert side.texts("stdout") == ["True True"]


async def test_code_sees_its_tools_and_no_state_at_module_level(play: Play) -> None:
    source = body("print(list(shared_at_top), len(shared_at_top['tools']))").replace(
        "class A", "shared_at_top = shared\nclass A"
    )
    side = await play.run(source, state=b'{"secret": 1}')
    assert side.texts("stdout") == ["['tools'] 0"]


# What can't be imported -------------------------------------------------------------------------------------------


async def broken(play: Play, source: str | dict[str, str], **changes: Any) -> dict[str, Any]:
    side = await play.run(source, **changes)
    assert side.exits[0][0].code == 0
    (frame,) = side.frames("broken")
    assert side.frames("ready") == []
    failure: dict[str, Any] = frame["failure"]
    return failure


async def test_a_missing_package_is_named_with_the_line_to_add(play: Play) -> None:
    failure = await broken(play, {"nodes.py": "import helpers", "helpers.py": "\nimport yaml_not_there.parser"})
    assert failure["type"] == "NodeImportError"
    assert failure["message"] == "The module yaml_not_there is not there (helpers.py, line 2)."
    assert "requirements.txt" in failure["next_step"]
    assert "yaml_not_there" in failure["next_step"]
    assert "importlib" not in failure["traceback"]


async def test_a_known_package_goes_by_its_name_for_the_installer(play: Play) -> None:
    assert "opencv-python" in (await broken(play, "import cv2"))["next_step"]


async def test_a_misspelt_own_module_is_suggested(play: Play) -> None:
    failure = await broken(play, {"nodes.py": "import helper", "helpers.py": ""})
    assert failure["next_step"] == "Did you mean helpers?"


async def test_a_syntax_error_is_placed(play: Play) -> None:
    failure = await broken(play, "x = 1\ndef f(:\n    pass\n")
    assert failure["message"].startswith("nodes.py, line 2:")


@pytest.mark.parametrize("code", ["1 / 0", "raise SystemExit(2)", "raise BaseException('odd')", "from . import x"])
async def test_whatever_the_top_level_raises_is_told(play: Play, code: str) -> None:
    failure = await broken(play, f"\n\n{code}")
    assert "(nodes.py, line 3)" in failure["message"]
    assert failure["next_step"]


async def test_a_crash_while_importing_is_told(play: Play) -> None:
    side = await play.run("import ctypes\nctypes.string_at(0)")
    assert "SIGSEGV" in side.exits[0][1]
    assert "nodes.py, line 2" in side.exits[0][1]


async def test_an_import_that_hangs_is_given_up_with_its_place(play: Play) -> None:
    source = "import time, threading\nprint('begun')\n\nwhile True: pass"
    failure = await broken(play, source, limits={"import_seconds": 1.0})
    assert "took more than 1 s" in failure["message"]
    assert 'nodes.py", line 4' in failure["traceback"]


async def test_a_missing_class_is_named(play: Play) -> None:
    failure = await broken(play, "from core.sdk import Node\nclass Aa(Node): pass")
    assert failure["type"] == "NodeCodeMissing"
    assert "'A'" in failure["message"]
    assert "Did you mean Aa?" in failure["next_step"]


async def test_a_class_that_can_not_be_made_is_told(play: Play) -> None:
    source = "from core.sdk import Node\nclass A(Node):\n    def __init__(self):\n        raise ValueError('no config')"
    failure = await broken(play, source)
    assert "no config" in failure["message"]
    assert "line 4" in failure["traceback"]
    assert "sys.exit" in (await broken(play, source.replace("ValueError", "SystemExit")))["cause"]


# Other interpreters -----------------------------------------------------------------------------------------------


def other_pythons() -> Iterator[str]:
    """Interpreters of this machine that are not ours and new enough."""
    for name in ("python3.11", "python3.12", "python3.13", "python3.14"):
        for folder in (
            *os.environ.get("PATH", "").split(os.pathsep),
            *map(str, Path.home().glob(".pyenv/versions/*/bin")),
        ):
            path = os.path.join(folder, name)
            if os.access(path, os.X_OK) and "shims" not in path:
                yield path


@pytest.fixture
def bare_python(tmp_path: Path) -> str:
    """This interpreter without any package: standard library only."""
    script = tmp_path / "bare-python"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
    script.chmod(0o755)
    return str(script)


ABOUT = body(
    "def there(name):",
    "    try: __import__(name)",
    "    except ImportError: return False",
    "    return True",
    "import json",
    "about = {name: there(name) for name in ('orjson', 'pydantic', 'tui')}",
    "print(json.dumps(about | {'python': sys.version_info[:2]}))",
    "shared['answer'] = await request_input('?')",
)


async def test_a_run_works_under_an_interpreter_without_any_package(play: Play, bare_python: str) -> None:
    side = await play.run(ABOUT, python=bare_python, answers={"a": "é\ud7ff"})
    assert side.frames("broken") == []
    assert said(side) == {"python": list(sys.version_info[:2]), "orjson": False, "pydantic": False, "tui": False}
    assert json.loads(side.payloads[0]) == [["set", ["answer"], "é\ud7ff"]]
    assert side.exits[0][0].code == 0


@pytest.mark.parametrize("python", sorted(set(other_pythons())))
async def test_a_run_works_under_other_pythons(play: Play, python: str) -> None:
    side = await play.run(ABOUT, python=python, answers={"a": 1})
    assert side.frames("step"), side.heard
    assert said(side)["tui"] is False


async def test_a_hang_under_another_interpreter_is_killed(play: Play, bare_python: str) -> None:
    side = await play.start(body("print('here')", "while True: pass"), python=bare_python)
    await side.until(lambda: side.texts("stdout"))
    await side.process.kill()
    assert side.exits[0][1] == "was killed"


async def test_an_interpreter_that_is_too_old_says_so(play: Play) -> None:
    old = [path for version in ("3.9", "3.10") for path in Path.home().glob(f".pyenv/versions/{version}*/bin/python3")]
    if not old:
        pytest.skip("no Python older than 3.11 on this machine")
    failure = await broken(play, body("pass"), python=str(old[0]))
    assert "3.11 or newer is needed" in failure["message"]


def test_the_entry_module_can_be_called_by_name() -> None:
    code = "import core.runner.entry as entry; print(entry.OLDEST)"
    root = str(Path(entry.__file__).parents[2])
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "(3, 11)"
