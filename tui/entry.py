"""The `rondo` command: the app, or the command line where there are words for it."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main() -> int:
    """Open the app when only a workspace is named, or nothing; hand everything else to the command line.

    Returns the exit code. Neither side is imported for the other: the app starts without the command line's
    libraries, and `rondo list` without the screens'.
    """
    arguments = sys.argv[1:]
    if "--read-only" in arguments and _app_folder(without := [word for word in arguments if word != "--read-only"]):
        from core.read_only import switch_on

        switch_on()
        arguments = without
    folder = _app_folder(arguments)
    if folder is None or "_RONDO_COMPLETE" in os.environ:
        from core.cli.main import add_commands
        from core.cli.main import main as run_command
        from tui.keys_command import keys_command

        add_commands("This machine", keys=keys_command)
        return run_command(arguments)
    return _open_app(folder)


def _app_folder(arguments: list[str]) -> str | None:
    """The workspace that the app should open, or None where the arguments are for the command line."""
    match arguments:
        case []:
            return os.environ.get("RONDO_WORKSPACE") or "."
        case ["--workspace", folder] if folder:
            return folder
        case [argument] if argument.startswith("--workspace=") and argument != "--workspace=":
            return argument.removeprefix("--workspace=")
    return None


def _open_app(folder: str) -> int:
    from core.places import Workspace

    workspace = Workspace.at(folder)
    if not workspace.exists() and not _make_workspace(workspace.root):
        missing = "has no workflows folder" if workspace.root.is_dir() else "is not there"
        print(f"error: There is no workspace at {workspace.root!s}: the folder {missing}.", file=sys.stderr)
        print(f"next:  Make one: rondo init {_quoted(workspace.root)}", file=sys.stderr)
        return 5
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        print("error: The app needs a terminal, and this is none.", file=sys.stderr)
        print("next:  Use its commands, for example: rondo list   (all of them: rondo --help)", file=sys.stderr)
        return 2
    from tui.first_reading import FirstReading

    reading = FirstReading(workspace)
    # The long part of the start; the files are read meanwhile.
    import textual.app  # noqa: F401

    from tui.actions import registry

    first = reading.result()
    registry.wanted = first.keys
    from tui.app import run_app

    return run_app(workspace, first)


def _make_workspace(root: Path) -> bool:
    """Ask the person at the terminal whether a workspace shall be made there, and make it; True where it is there."""
    from core.read_only import is_read_only

    if is_read_only() or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    print(f"There is no workspace at {root}.")
    print("One is two folders, workflows and runs; an example comes with it. Nothing that is there is touched.")
    try:
        answer = input("Make one here? [y/N] ")
    except (EOFError, KeyboardInterrupt):
        print()
        return False
    if answer.strip().lower() not in ("y", "yes"):
        return False
    from core.cli.main import main as run_command

    return run_command(["init", str(root), "--quiet"]) == 0


def _quoted(path: object) -> str:
    import shlex

    return shlex.quote(str(path))


if __name__ == "__main__":
    sys.exit(main())
