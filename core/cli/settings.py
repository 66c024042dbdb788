"""`rondo settings`: every setting as it holds, with where it comes from; and changing one, in either file."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from core.cli.call import Call, JsonOption, WorkspaceOption, open_call
from core.cli.output import Part
from core.errors import UsageError
from core.settings import DEFAULT, EffectiveSetting, SettingProblem, Settings, read_settings
from core.settings_edit import (
    KnownSetting,
    SettingEdit,
    file_of,
    find_setting,
    overruled_by,
    parse_value,
    set_value,
    unset_value,
)
from core.settings_fields import default_of, value_text
from core.settings_journal import SettingsJournal

settings_app = typer.Typer()

KeyArgument = Annotated[
    str, typer.Argument(metavar="KEY", help="The setting, such as limits.memory_mb.", show_default=False)
]
HereOption = Annotated[
    bool, typer.Option("--here", help="In this workspace's rondo.toml, which goes over your own settings.toml.")
]


@settings_app.callback(invoke_without_command=True)
def settings_group(context: typer.Context, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> int:
    """Show every setting as it holds for this workspace and which file it comes from; change one."""
    if context.invoked_subcommand is None:
        _show(open_call(context, workspace, as_json))
    return 0


@settings_app.command("list")
def list_settings_command(
    context: typer.Context, workspace: WorkspaceOption = None, as_json: JsonOption = False
) -> int:
    """Show every setting as it holds, as `rondo settings` alone does."""
    _show(open_call(context, workspace, as_json))
    return 0


@settings_app.command("get")
def get_setting_command(
    context: typer.Context, key: KeyArgument, workspace: WorkspaceOption = None, as_json: JsonOption = False
) -> int:
    """Show one setting as it holds."""
    call = open_call(context, workspace, as_json)
    setting = find_setting(key)
    settings = read_settings(call.workspace)
    if call.as_json:
        call.output.document(_document(_effective(settings, setting)))
    else:
        call.output.line(value_text(_effective(settings, setting).value))
        _note_problems(call, [problem for problem in settings.problems if problem.key == key])
    return 0


@settings_app.command("set", context_settings={"ignore_unknown_options": True})
def set_setting_command(
    context: typer.Context,
    key: KeyArgument,
    value: Annotated[str, typer.Argument(metavar="VALUE", help="Its new value.", show_default=False)],
    here: HereOption = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Write one setting into your settings file, or the workspace's; comments and the rest of the file stay."""
    call = open_call(context, workspace, as_json)
    setting = find_setting(key)
    parsed = parse_value(setting, value)
    if here:
        call.require_folder()
    edit = set_value(file_of(call.workspace, here=here), setting, parsed)
    SettingsJournal().note(edit)
    return _tell(call, setting, edit, f"{key} is {value_text(parsed)}")


@settings_app.command("unset")
def unset_setting_command(
    context: typer.Context,
    key: KeyArgument,
    here: HereOption = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Take one setting out of the file, so that the other file's value or the default holds."""
    call = open_call(context, workspace, as_json)
    setting = find_setting(key)
    path = file_of(call.workspace, here=here)
    edit = unset_value(path, setting)
    if edit is None:
        raise UsageError(
            f"{key} is not set in {path}.",
            cause="The other file or the default says what holds." if not here else "Your own file may set it.",
            next_step=f"See where it comes from: {call.command_line('settings')}",
        )
    SettingsJournal().note(edit)
    return _tell(call, setting, edit, f"{key} is not set there any more")


@settings_app.command("undo")
def undo_setting_command(context: typer.Context, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> int:
    """Take back the last change that was made to a setting by Rondo, here or in the app."""
    call = open_call(context, workspace, as_json)
    edit = SettingsJournal().undo()
    return _tell(call, find_setting(edit.key), edit, f"The change of {edit.key} is taken back")


@settings_app.command("redo")
def redo_setting_command(context: typer.Context, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> int:
    """Do again what undo took back."""
    call = open_call(context, workspace, as_json)
    edit = SettingsJournal().redo()
    return _tell(call, find_setting(edit.key), edit, f"The change of {edit.key} is done again")


def _tell(call: Call, setting: KnownSetting, edit: SettingEdit, text: str) -> int:
    """Say what was done, and what holds now where that is something else."""
    settings = read_settings(call.workspace)
    holds = _effective(settings, setting)
    if call.as_json:
        call.output.document({**_document(holds), "file": edit.file})
        return 0
    call.output.line(text, (f"  in {edit.file}", "dim"))
    over = overruled_by(settings, file_of(call.workspace, here=False), setting.key)
    if over and over != edit.file and holds.source != DEFAULT:
        call.output.note(("! ", "yellow"), f"{holds.source} says {value_text(holds.value)}, and goes over it here.")
    return 0


def _effective(settings: Settings, setting: KnownSetting) -> EffectiveSetting:
    """The setting as it holds, also one in a table with a name that no file sets."""
    found = next((entry for entry in settings.effective() if entry.key == setting.key), None)
    if found is not None:
        return found
    default = default_of(setting.entry)
    return EffectiveSetting(setting.key, default, default, DEFAULT, setting.entry.metadata["text"])


def _show(call: Call) -> None:
    settings = read_settings(call.workspace)
    if call.as_json:
        call.output.document(
            {
                "files": list(settings.files),
                "settings": [_document(entry) for entry in settings.effective()],
                "problems": [problem_document(problem) for problem in settings.problems],
            }
        )
        return
    call.output.table(
        ["SETTING", ">VALUE", "FROM", ""],
        [
            [entry.key, value_text(entry.value), (entry.source, "dim" if entry.source == DEFAULT else ""), entry.text]
            for entry in settings.effective()
        ],
    )
    call.output.line("")
    call.output.line(("Yours for all workspaces: ", "dim"), settings.files[0])
    call.output.line(("This workspace's, over it: ", "dim"), settings.files[-1])
    call.output.line(("Change one: ", "dim"), "rondo settings set KEY VALUE")
    _note_problems(call, settings.problems)


def _note_problems(call: Call, problems: Any) -> None:
    for problem in problems:
        sign: Part = ("! ", "yellow")
        call.output.note(sign, problem_place(problem), problem.message)
        call.output.note(("  next:  ", "dim"), problem.hint)


def _document(entry: EffectiveSetting) -> dict[str, Any]:
    return {
        "key": entry.key,
        "value": entry.value,
        "default": entry.default,
        "source": entry.source,
        "text": entry.text,
    }


def problem_place(problem: SettingProblem) -> str:
    """The file and the line, before what is wrong there."""
    return f"{problem.file}:{problem.line}: " if problem.line else f"{problem.file}: "


def problem_document(problem: SettingProblem) -> dict[str, str | int]:
    """What is wrong in a settings file, for a program."""
    return {
        "file": problem.file,
        "line": problem.line,
        "key": problem.key,
        "message": problem.message,
        "hint": problem.hint,
    }
