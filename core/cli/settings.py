"""`rondo settings`: every setting as it holds, with where it comes from."""

from __future__ import annotations

import typer

from core.cli.call import JsonOption, WorkspaceOption, open_call
from core.settings import DEFAULT, SettingProblem, read_settings
from core.settings_fields import value_text


def settings_command(context: typer.Context, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> int:
    """Show every setting as it holds for this workspace, and which file it comes from."""
    call = open_call(context, workspace, as_json)
    settings = read_settings(call.workspace)
    if call.as_json:
        call.output.document(
            {
                "files": list(settings.files),
                "settings": [
                    {
                        "key": entry.key,
                        "value": entry.value,
                        "default": entry.default,
                        "source": entry.source,
                        "text": entry.text,
                    }
                    for entry in settings.effective()
                ],
                "problems": [problem_document(problem) for problem in settings.problems],
            }
        )
        return 0
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
    for problem in settings.problems:
        call.output.note(("! ", "yellow"), problem_place(problem), problem.message)
        call.output.note(("  next:  ", "dim"), problem.hint)
    return 0


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
