"""What becomes of an engine when its person logs out: systemd's logind may end everything that they started."""

from __future__ import annotations

import configparser
import getpass
from collections.abc import Iterator
from pathlib import Path

FOLDERS = ("etc/systemd", "run/systemd", "usr/local/lib/systemd", "usr/lib/systemd")
"""Where logind's settings are, the strongest first, below the root of the file system."""
YES = frozenset({"1", "yes", "y", "true", "t", "on"})


def ends_processes_at_logout(user: str | None = None, root: Path = Path("/")) -> str:
    """The file that has logind end this user's processes at logout; "" where nothing does, or no logind runs."""
    if not (root / "run/systemd/system").is_dir():
        return ""
    found: dict[str, tuple[str, Path]] = {}
    for path in _files(root):
        for name, value in _login_section(path):
            found[name] = (value, path)
    switch, file = found.get("killuserprocesses", ("no", Path()))
    if switch.lower() not in YES:
        return ""
    name = user if user is not None else _user_name()
    only = found.get("killonlyusers", ("", Path()))[0].split()
    spared = found.get("killexcludeusers", ("root", Path()))[0].split()
    return str(file) if name not in spared and (not only or name in only) else ""


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""


def _files(root: Path) -> Iterator[Path]:
    """The main file, then the drop-ins by name, each from the strongest folder that has it."""
    main = next((path for folder in FOLDERS if (path := root / folder / "logind.conf").is_file()), None)
    if main is not None:
        yield main
    drop_ins: dict[str, Path] = {}
    for folder in reversed(FOLDERS):
        for path in sorted((root / folder / "logind.conf.d").glob("*.conf")):
            drop_ins[path.name] = path
    for name in sorted(drop_ins):
        yield drop_ins[name]


def _login_section(path: Path) -> Iterator[tuple[str, str]]:
    """The settings of a file, by name in small letters; of one that can't be read none."""
    parser = configparser.ConfigParser(interpolation=None, strict=False, allow_no_value=True)
    try:
        parser.read_string(path.read_text(encoding="utf-8", errors="replace"))
    except (OSError, configparser.Error):
        return
    if parser.has_section("Login"):
        for name, value in parser.items("Login"):
            if value:
                yield name.lower(), value.strip().strip('"')
