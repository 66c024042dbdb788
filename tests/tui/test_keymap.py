"""The keymap file: other keys for actions; what can't hold is named with its line, and the rest works."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import scenes
from engine_double import EngineDouble
from looking import shows, until

from core.places import config_folder
from tui import views
from tui.actions import key_sign, registry
from tui.app import RondoApp
from tui.keymap import KeymapProblem, key_name, keymap_file, read_keymap, settle

AppOn = Callable[[EngineDouble], RondoApp]


@pytest.fixture
def settled_with() -> Iterator[Callable[[str], list[KeymapProblem]]]:
    """Write the keymap and let it hold; the actions get their own keys back after the test."""

    def hold(text: str) -> list[KeymapProblem]:
        keymap_file().parent.mkdir(parents=True, exist_ok=True)
        keymap_file().write_text(text, encoding="utf-8")
        views.import_all()
        return settle(read_keymap(keymap_file()), registry, views.kinds_of_views())

    yield hold
    registry.set_keys({})


def keys_of(action: str) -> tuple[str, ...]:
    return registry[action].keys


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("r", "r"),
        ("R", "R"),
        ("?", "question_mark"),
        ("esc", "escape"),
        ("space", "space"),
        ("gg", "g g"),
        ("x x", "x x"),
        ("ctrl+x", "ctrl+x"),
        ("Ctrl+X", "ctrl+x"),
        ("shift+tab", "shift+tab"),
        ("f5", "f5"),
        ("↑", "up"),
        ("pgdn", "pagedown"),
        ("/", "slash"),
        ("@", "at"),
        ("\\", "backslash"),
        ("ä", "ä"),
        ("nothing", ""),
        ("g x", ""),
        ("f99", ""),
        ("ctrl+", ""),
        ("", ""),
    ],
)
def test_keys_are_written_as_the_screens_show_them(written: str, name: str) -> None:
    assert key_name(written) == name


def test_each_key_that_is_shown_can_be_written() -> None:
    views.import_all()
    for found in registry:
        for key in found.keys:
            assert key_name(key_sign(key)) == key, found.id


def test_actions_get_the_keys_of_the_file(settled_with: Callable[[str], list[KeymapProblem]]) -> None:
    problems = settled_with('run.start = ["f7", "ctrl+y"]\nlist.open = []\n["move"]\nfirst = "zz"\n')
    assert problems == []
    assert keys_of("run.start") == ("f7", "ctrl+y")
    assert keys_of("list.open") == ()
    assert keys_of("move.first") == ("z z",)
    assert keys_of("app.help") == ("question_mark", "f1")


def test_two_actions_may_change_places(settled_with: Callable[[str], list[KeymapProblem]]) -> None:
    assert settled_with('run.start = "e"\nworkflow.edit = "r"\n') == []
    assert (keys_of("run.start"), keys_of("workflow.edit")) == (("e",), ("r",))


@pytest.mark.parametrize(
    ("text", "line", "message", "hint"),
    [
        ('app.help = "h1"\n', 1, "there is no key 'h1' (app.help)", "has no effect"),
        ('\nrun.begin = "f5"\n', 2, "there is no action run.begin", "Did you mean run"),
        ('run.start = "q"\n', 1, "q is the key of app.back (back) too", "run.start keeps r"),
        ('run.start = "j"\n', 1, "j is the key of move.down (down) too", "Give move.down another key"),
        ('run.start = "f5"\nrun.start-with-inputs = "f5"\n', 2, "f5 is the key of run.start (run) too", "keeps R"),
        ("run.start = 5\n", 1, "run.start must be a key or a list of keys", "[] for none"),
        ("[run]\n\nstart = true\n", 3, "run.start must be a key or a list of keys", "[] for none"),
        ("run.start = \n", 1, "the keymap is not TOML", "Mend it"),
    ],
)
def test_what_can_not_hold_is_named_with_its_line_and_the_rest_works(
    text: str, line: int, message: str, hint: str, settled_with: Callable[[str], list[KeymapProblem]]
) -> None:
    (problem,) = settled_with(text)
    assert problem.line == line
    assert message in problem.message
    assert hint in problem.hint
    if "f5" not in text:
        assert keys_of("run.start") == ("r",)


def test_a_key_of_another_screen_is_no_clash(settled_with: Callable[[str], list[KeymapProblem]]) -> None:
    assert settled_with('list.new = "x"\n') == []


def test_without_a_file_nothing_is_wrong() -> None:
    keymap = read_keymap(config_folder() / "keys.toml")
    assert (dict(keymap.wanted), keymap.problems) == ({}, ())


async def test_a_wrong_line_is_said_and_the_action_keeps_its_key(double: EngineDouble, app_on: AppOn) -> None:
    keymap_file().parent.mkdir(parents=True)
    keymap_file().write_text('run.start = "q"\n', encoding="utf-8")
    scenes.mail(double)
    try:
        async with app_on(double).run_test(size=(120, 30)) as pilot:
            await shows(pilot, "mail_digest")
            await shows(pilot, "keys.toml:1: q is the key of app.back (back) too")
            await pilot.press("r")
            await until(pilot, lambda: "start_run" in double.calls)
    finally:
        registry.set_keys({})


PROGRAM = """
import asyncio, sys
sys.path[:0] = {paths!r}
from tui.actions import registry
import tui.first_reading
from tui.first_reading import FirstReading
tui.first_reading.LATE_SECONDS = 60
from core.places import Workspace
from pathlib import Path
home = Path("/nowhere")
workspace = Workspace(home, home / "workflows", home / "runs")
registry.wanted = FirstReading(workspace).result().keys
from tui.app import RondoApp
from engine_double import EngineDouble
import scenes
from looking import shows, until

async def main():
    double = EngineDouble()
    scenes.mail(double)
    app = RondoApp(workspace, make_client=lambda _: double)
    async with app.run_test(size=(120, 30)) as pilot:
        await shows(pilot, "f6 run")
        await pilot.press("f6")
        await until(pilot, lambda: "start_run" in double.calls)
        print(double.calls.count("start_run"))
        app.go_back()
        await shows(pilot, "NODES")
        await pilot.press("r")
        await pilot.press("z", "z")
        await until(pilot, lambda: app.screen.table.cursor == app.screen.table.line_count() - 1)
        print(double.calls.count("start_run"))

asyncio.run(main())
"""


def test_a_start_with_a_keymap_uses_its_keys_from_the_first_paint_on(tmp_path: Path) -> None:
    keymap_file().parent.mkdir(parents=True)
    keymap_file().write_text('run.start = "f6"\nmove.last = "zz"\n', encoding="utf-8")
    program = PROGRAM.format(paths=[str(Path(__file__).parent), *sys.path])
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == ["1", "1"]


def test_rondo_keys_lists_every_action_with_what_is_wrong(tmp_path: Path) -> None:
    keymap_file().parent.mkdir(parents=True)
    keymap_file().write_text('run.start = ["f5"]\nrun.stop = "x"\n', encoding="utf-8")
    program = "import sys; sys.argv = ['rondo', 'keys', *sys.argv[1:]]; from tui.entry import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", program, "--json"], capture_output=True, text=True, timeout=120, check=True
    )
    document = json.loads(done.stdout)
    rows = {row["action"]: row for row in document["keys"]}
    assert (rows["run.start"]["keys"], rows["run.start"]["default"]) == (["f5"], ["r"])
    assert rows["move.first"]["keys"] == ["gg", "home"]
    assert document["problems"][0]["line"] == 2
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert "run.start" in shown.stdout
    assert "there is no action run.stop" in shown.stderr.replace("\n", "")
