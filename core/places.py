"""Where things are: the workspace's files and the user's own folders."""

from __future__ import annotations

import hashlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path

SOCKET_PATH_LIMIT = 100
"""Longest socket path in bytes that every supported system takes (Linux allows 107, macOS 103)."""
SOCKET_PATH_MOST = 103 if sys.platform == "darwin" else 107
"""Longest socket path in bytes that this system takes."""


def _user_folder(variable: str, linux_default: str) -> Path:
    """One of the user's own folders: the XDG variable if it is set, else the system's custom.

    Worked out here and not by platformdirs, because run processes of other environments need it too.
    """
    value = os.environ.get(variable, "")
    if value and os.path.isabs(value):
        return Path(value) / "rondo"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "rondo"
    return Path.home() / linux_default / "rondo"


def data_folder() -> Path:
    """The user's data folder: approvals live here, never in a workspace."""
    return _user_folder("XDG_DATA_HOME", ".local/share")


def state_folder() -> Path:
    """The user's state folder: sockets whose path in the workspace would be too long, view state, keymap copies."""
    return _user_folder("XDG_STATE_HOME", ".local/state")


def cache_folder() -> Path:
    """The user's cache: what can be made again, such as the environments of workflows with packages of their own."""
    if sys.platform == "darwin" and not os.path.isabs(os.environ.get("XDG_CACHE_HOME", "")):
        return Path.home() / "Library" / "Caches" / "rondo"
    return _user_folder("XDG_CACHE_HOME", ".cache")


def config_folder() -> Path:
    """The user's settings folder."""
    return _user_folder("XDG_CONFIG_HOME", ".config")


@dataclass(frozen=True, slots=True)
class Workspace:
    """A folder that holds `workflows/` and `runs/`; every other path of it is derived here.

    `workflows_dir` and `runs_dir` can be named apart (the Python API does).
    """

    root: Path
    workflows_dir: Path
    runs_dir: Path

    @classmethod
    def at(
        cls, root: Path | str, *, workflows_dir: Path | str | None = None, runs_dir: Path | str | None = None
    ) -> Workspace:
        """The workspace at a folder, by its real path, so that two names of one folder are one workspace."""
        real = Path(root).expanduser().resolve()
        workflows = Path(workflows_dir).expanduser().resolve() if workflows_dir is not None else real / "workflows"
        runs = Path(runs_dir).expanduser().resolve() if runs_dir is not None else real / "runs"
        return cls(real, workflows, runs)

    @property
    def database(self) -> Path:
        return self.runs_dir / "rondo.db"

    @property
    def lock(self) -> Path:
        return self.runs_dir / "engine.lock"

    @property
    def engine_card(self) -> Path:
        """`engine.json`: pid, start time, socket and versions of the engine that owns the workspace."""
        return self.runs_dir / "engine.json"

    @property
    def engine_log(self) -> Path:
        return self.runs_dir / "engine.log"

    @property
    def output(self) -> Path:
        """Where runs write files: one folder a run."""
        return self.runs_dir / "output"

    @property
    def socket(self) -> Path:
        """The engine's socket: in `runs/` if that path is short enough, else in the user's state folder."""
        near = self.runs_dir / "engine.sock"
        if len(os.fsencode(near)) <= SOCKET_PATH_LIMIT:
            return near
        name = hashlib.sha256(os.fsencode(self.runs_dir)).hexdigest()[:16]
        return state_folder() / "sockets" / f"{name}.sock"

    def exists(self) -> bool:
        """True where the folder with the workflows is there."""
        return self.workflows_dir.is_dir()


def settings_files(workspace: Workspace) -> tuple[Path, Path]:
    """The user's settings file and the workspace's, which goes over it."""
    return config_folder() / "settings.toml", workspace.root / "rondo.toml"
