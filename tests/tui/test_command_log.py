"""Every action that changes something has its `rondo ...` line, and read-only none is done."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Callable
from typing import Any

import pytest
import scenes
import typer
from engine_double import EngineDouble
from looking import hides, screen_text, settled, shows, until

from core.cli.main import app as command_line
from core.link.api import EngineApi
from core.link.chat_types import AnswerQuestions, Decide, SendMessage
from core.link.commands import Fork, ManyRuns, Rerun, Retry, Rewind, RunNode, StateEdit
from core.link.inspect_types import ChangeBreakpoint
from core.link.messages import engine_methods, may_change
from core.link.retention_types import Prune
from core.link.tool_types import ToolChange
from core.link.types import Answer, StartRun
from tui.app import RondoApp
from tui.command_lines import LINES, WITHOUT_LINE, Recalled, line_of, line_of_place
from tui.navigation import Place

AppOn = Callable[[EngineDouble], RondoApp]

RUN = "01890000-aaaa-7bbb-8ccc-00007f3a09c1"
CHAT = "01890000-aaaa-7bbb-8ccc-0000000c4a77"
NOTHING = Prune(command_id="c", dry_run=False)

CALLS: dict[str, tuple[dict[str, Any], str]] = {
    "start_run": (
        {"start": StartRun(command_id="c", workflow="hello", inputs={"a b": 1}, answers=[("name", "Ada L")])},
        """run hello --input-json '{"a b": 1}' -a 'name=Ada L' --detach""",
    ),
    "step_run": ({"run_id": RUN, "answers": [("ok", True)]}, "step NAME --run 7f3a09c1 -a ok=true"),
    "continue_run": ({"run_id": RUN}, "resume 7f3a09c1 --detach"),
    "pause_run": ({"run_id": RUN, "now": True}, "pause 7f3a09c1 --now"),
    "cancel_run": ({"run_id": RUN}, "cancel 7f3a09c1"),
    "retry_run": (
        {"retry": Retry(command_id="c", run_id=RUN, acknowledge_effects=True)},
        "retry 7f3a09c1 --acknowledge-effects --detach",
    ),
    "rewind_run": (
        {"rewind": Rewind(command_id="c", run_id=RUN, step=0, paused=True, same_version=True)},
        "rewind 7f3a09c1 --step 0 --paused --same-version --detach",
    ),
    "fork_run": (
        {
            "fork": Fork(
                command_id="c", run_id=RUN, step=3, line=9, edits=[StateEdit(path=["a", 0, "b c", "d.e"], value="x")]
            )
        },
        """fork 7f3a09c1 --step 3 --line 9 --set 'a[0].b c["d.e"]="x"' --detach""",
    ),
    "rerun": (
        {"rerun": Rerun(command_id="c", run_id=RUN, inputs={"n": 1})},
        """rerun 7f3a09c1 --input-json '{"n": 1}' --detach""",
    ),
    "run_node": (
        {"run_node": RunNode(command_id="c", workflow="hello", node="greet", run_id=RUN)},
        "run hello --node greet --from 7f3a09c1 --detach",
    ),
    "act_on_runs": (
        {"many": ManyRuns(command_id="c", action="pause", runs=[RUN, RUN], now=True)},
        "pause 7f3a09c1 7f3a09c1 --now",
    ),
    "answer": (
        {"answer": Answer(command_id="c", run_id=RUN, request="name", value="-x y")},
        "answer 7f3a09c1 name -- '-x y'",
    ),
    "approve": ({"name": "hello", "version": "v"}, "approve hello --yes"),
    "trust_workspace": ({}, "approve NAME --trust --yes"),
    "rollback": ({"name": "hello", "version": "a" * 64, "expected": "b"}, f"rollback hello {'a' * 12} --yes"),
    "make_environment": ({"name": "hello", "again": False}, "env hello --rebuild"),
    "prune_environments": ({"days": 30.0}, "env --prune --days 30"),
    "prune": (
        {"prune": Prune(command_id="c", workflow="hello", older_than_seconds=60.0, keep=2, runs=[RUN])},
        "prune hello --run 7f3a09c1 --older-than 60s --keep 2 --yes",
    ),
    "export_run": ({"run_id": RUN}, "export 7f3a09c1"),
    "export_calls": ({"run_id": RUN}, "run NAME --record FILE"),
    "import_run": ({"path": "a b.json"}, "import 'a b.json'"),
    "unlock_secrets": ({"passphrase": "hidden"}, "secrets unlock"),
    "stop_engine": ({}, "engine stop"),
    "send_message": (
        {"message": SendMessage(command_id="c", text="do it", workflow="hello")},
        "chat hello --new -m 'do it'",
    ),
    "answer_questions": (
        {"answer": AnswerQuestions(command_id="c", chat_id=CHAT, number=1, answers=[])},
        "chat --chat 000c4a77",
    ),
    "stop_chat": ({"chat_id": CHAT}, "chat --chat 000c4a77 --stop"),
    "retry_chat": ({"chat_id": CHAT}, "chat --chat 000c4a77 --retry"),
    "set_chat_mode": ({"chat_id": CHAT, "mode": "ask"}, "chat --chat 000c4a77 --mode ask"),
    "allow_tries": ({"chat_id": CHAT, "allowed": False}, "chat --chat 000c4a77 --no-tries"),
    "delete_chat": ({"chat_id": CHAT}, "chat --chat 000c4a77 --delete"),
    "fix_run": ({"run_id": RUN}, "fix 7f3a09c1"),
    "try_proposal": ({"proposal_id": CHAT}, "proposal 000c4a77 --try"),
    "decide_proposal": (
        {"decide": Decide(command_id="c", proposal_id=CHAT, decision="accept", accept=["g1", "g2"], consent=["r1"])},
        "proposal 000c4a77 --accept --groups g1,g2 --allow r1",
    ),
    "undo_edit": ({"workflow": "hello", "edit": 3}, "undo hello --edit 3"),
    "redo_edit": ({"workflow": "hello"}, "redo hello"),
    "create_from_template": ({"name": "mine", "template": "ask"}, "new mine --template ask"),
    "connect_tool": (
        {"name": "gmail", "provider": "direct", "scheme": "", "values": {"key": "hidden"}},
        "authenticate-tool gmail --provider direct",
    ),
    "change_tools": (
        {
            "workflow": "hello",
            "changes": [
                ToolChange(name="gmail", pin=True),
                ToolChange(name="slack", remove=True),
                ToolChange(name="github", version="", account=""),
                ToolChange(name="notion", account="a 1"),
                ToolChange(name="x"),
            ],
        },
        "workflow-tools hello --pin gmail --remove slack --unpin github --set 'notion.account=a 1' --add x",
    ),
    "install_provider": ({"name": "composio-core", "again": True}, "tools install composio-core --again"),
    "remove_provider": ({"name": "composio-core"}, "tools uninstall composio-core"),
    "change_breakpoint": (
        {"change": ChangeBreakpoint(command_id="c", node="ask", run_id=RUN, clear=True)},
        "break 7f3a09c1 ask --clear",
    ),
    "duplicate_workflow": ({"name": "hello", "new_name": "mine"}, "duplicate hello mine"),
    "trash_workflow": ({"name": "hello"}, "trash hello"),
    "empty_trash": ({"trash_ids": ["a1"]}, "trash --empty"),
    "restore_workflow": ({"trash_id": "hello-1"}, "restore hello-1"),
    "disconnect_tool": ({"name": "gmail", "account": "a1"}, "tools disconnect gmail --account a1"),
    "call_tool": (
        {"name": "gmail", "action": "SEND", "arguments": {"to": "x"}},
        """tools call gmail SEND '{"to": "x"}'""",
    ),
}


def known_options() -> dict[str, set[str]]:
    """The options of every command, by its words."""
    found: dict[str, set[str]] = {}

    def walk(command: Any, words: list[str]) -> None:
        for name, inner in getattr(command, "commands", {}).items():
            walk(inner, [*words, name])
        options = {option for entry in command.params for option in (*entry.opts, *entry.secondary_opts)}
        found[" ".join(words)] = options

    walk(typer.main.get_command(command_line), [])
    return found


def test_everything_that_changes_something_has_a_line_or_says_why_not() -> None:
    changing = {name for name in engine_methods() if may_change(name, {})}
    assert changing == {*LINES, *WITHOUT_LINE}
    assert set(CALLS) == set(LINES)


@pytest.mark.parametrize("method", CALLS)
def test_a_line_is_a_command_that_exists_and_means_the_same(method: str) -> None:
    arguments, expected = CALLS[method]
    accepted = inspect.signature(getattr(EngineApi, method)).parameters
    assert set(arguments) <= set(accepted)
    line = line_of(method, arguments, Recalled())
    assert line == f"rondo {expected}"
    assert "hidden" not in line
    words = shlex.split(line)[1:]
    known = known_options()
    command = " ".join(words[:2]) if " ".join(words[:2]) in known else words[0]
    assert command in known
    before_values = words[: words.index("--")] if "--" in words else words
    options = [word for word in before_values if word.startswith("--")]
    assert set(options) <= known[command], f"{command} has no such option"


@pytest.mark.parametrize(
    ("place", "line"),
    [
        (Place("workflows"), "rondo list"),
        (Place("graph", "hello"), "rondo graph hello"),
        (Place("graph", "hello", proposal=CHAT), "rondo proposal 000c4a77"),
        (Place("graph", "hello", versions="a1b2c3d4e5f60718..now"), "rondo diff hello a1b2c3d4e5f6 now"),
        (Place("versions", "hello"), "rondo versions hello"),
        (Place("runs"), "rondo runs"),
        (Place("versions", "hello"), "rondo versions hello"),
        (Place("run", run_id=RUN), "rondo show 7f3a09c1"),
        (Place("inbox"), "rondo runs --status waiting_input"),
        (Place("chat"), "rondo chat"),
        (Place("tools"), "rondo list-tools"),
        (Place("settings"), "rondo settings"),
    ],
)
def test_a_place_has_the_line_that_shows_the_same(place: Place, line: str) -> None:
    assert line_of_place(place) == line
    assert (
        line.removeprefix("rondo ").split(" -")[0].split(" hello")[0].split(" 0")[0].split(" 7")[0] in known_options()
    )


async def test_what_was_done_is_listed_as_commands_to_copy(
    double: EngineDouble, app_on: AppOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenes.mail(double)
    app = app_on(double)
    copied: list[str] = []
    async with app.run_test(size=(100, 30)) as pilot:
        monkeypatch.setattr(app, "copy", copied.append)
        await shows(pilot, "mail_digest")
        await pilot.press("at")
        await shows(pilot, "Nothing yet")
        await pilot.press("escape")
        await hides(pilot, "Nothing yet")
        run = next(run for run in double.runs.values() if run.workflow == "mail_digest")
        app.go_run(run.id)
        await shows(pilot, "run 7f3a09c1")
        await app.engine.cancel_run("c", run.id)
        await pilot.press("at")
        await shows(pilot, "✓ rondo cancel 7f3a09c1")
        assert "· rondo show 7f3a09c1" in screen_text(app)
        await pilot.press("y")
        await until(pilot, lambda: copied)
    assert copied == ["rondo --workspace /home/me/flows cancel 7f3a09c1"]


async def test_what_was_refused_stands_there_with_the_reason(double: EngineDouble, app_on: AppOn) -> None:
    scenes.mail(double)
    app = app_on(double)
    async with app.run_test(size=(100, 30)) as pilot:
        await shows(pilot, "mail_digest")
        with pytest.raises(Exception, match="no run"):
            await app.engine.cancel_run("c", "12345678")
        await pilot.press("at")
        await shows(pilot, "✗ rondo cancel 12345678")


async def test_read_only_nothing_is_done_and_the_screen_says_so(
    double: EngineDouble, app_on: AppOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenes.mail(double)
    monkeypatch.setenv("RONDO_READ_ONLY", "1")
    app = app_on(double)
    async with app.run_test(size=(100, 30)) as pilot:
        await shows(pilot, "read-only   engine ●")
        await shows(pilot, "mail_digest")
        await settled(pilot)
        await pilot.press("r")
        await shows(pilot, "Read-only: `rondo run mail_archive --detach` was not done.")
        assert "start_run" not in double.calls
        await pilot.press("escape", "e")
        await shows(pilot, "in an editor was not done")
