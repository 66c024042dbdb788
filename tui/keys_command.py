"""`rondo keys`: every action with its keys and its words, as the keymap file has left them."""

from __future__ import annotations

import typer

from core.cli.call import JsonOption, WorkspaceOption, open_call
from core.cli.output import Part


def keys_command(context: typer.Context, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> int:
    """Show every action of the app with its keys; change them in keys.toml of your settings folder."""
    call = open_call(context, workspace, as_json)
    from tui import views
    from tui.actions import key_sign, registry
    from tui.keymap import keymap_file, read_keymap, settle

    views.import_all()
    keymap = read_keymap(keymap_file())
    problems = settle(keymap, registry, views.kinds_of_views())
    if call.as_json:
        call.output.document(
            {
                "file": keymap.file,
                "keys": [
                    {
                        "action": found.id,
                        "view": found.view,
                        "keys": [key_sign(key) for key in found.keys],
                        "default": [key_sign(key) for key in found.own_keys],
                        "command": found.command,
                        "title": found.title,
                        "text": found.help,
                    }
                    for found in registry
                ],
                "problems": [
                    {
                        "file": keymap.file,
                        "line": problem.line,
                        "action": problem.action,
                        "message": problem.message,
                        "hint": problem.hint,
                    }
                    for problem in problems
                ],
            }
        )
        return 0
    rows: list[list[Part | list[Part]]] = []
    for found in registry:
        changed = found.keys != found.own_keys
        rows.append(
            [found.view, found.id, (found.key_signs or "-", "bold" if changed else ""), found.help or found.title]
        )
    call.output.table(["VIEW", "ACTION", "KEYS", ""], rows)
    call.output.line("")
    call.output.line(("Yours: ", "dim"), keymap.file, ('   for example: run.start = ["r", "f5"]', "dim"))
    for problem in problems:
        sign: Part = ("! ", "yellow")
        call.output.note(sign, f"{keymap.place(problem)}: {problem.message}")
        call.output.note(("  next:  ", "dim"), problem.hint)
    return 0
