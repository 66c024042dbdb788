"""What crosses the link about versions of workflows and their environments; see `core.link.types`."""

from __future__ import annotations

import msgspec

from core.link.types import ErrorView, FileChange


class _Struct(msgspec.Struct, kw_only=True, forbid_unknown_fields=False):
    pass


# Versions --------------------------------------------------------------------------------------------------------


class VersionView(_Struct):
    """One version of a workflow. `kept` is False for the folder as it is now, where that is no stored version.

    `runs` counts the runs whose present line uses it; `changes` says in a few words what differs from `previous`, the
    version that was first seen before it.
    """

    hash: str
    first_seen_at: float | None
    runs: int
    last_run_at: float | None
    approved: bool
    present: bool
    kept: bool
    previous: str | None
    changes: list[str]


class VersionRef(_Struct):
    """One side of a comparison: the word it was named by, and the hash of its files; `kept` as in `VersionView`."""

    word: str
    hash: str
    kept: bool
    first_seen_at: float | None = None


class GraphChangeView(_Struct):
    """One change of the graph: kind is added, removed or changed; subject is node, edge or graph."""

    kind: str
    subject: str
    name: str
    text: str


class VersionDiff(_Struct):
    """What leads from one version to another; `note` says why the graphs could not be compared."""

    workflow: str
    before: VersionRef
    after: VersionRef
    graph: list[GraphChangeView]
    files: list[FileChange]
    note: str = ""


class RollbackView(_Struct):
    """What a rollback did; `backup` is the folder with what was there before, None where nothing had to be kept."""

    workflow: str
    version: str
    previous: str | None
    backup: str | None
    written: list[str]
    removed: list[str]
    approved: bool


# Environments ----------------------------------------------------------------------------------------------------


class PackageView(_Struct):
    name: str
    version: str


class EnvironmentView(_Struct):
    """The environment of packages that a workflow, or several, has of its own. Times are seconds, `size` is bytes.

    state: none (no packages are asked for), missing, making, ready, failed (the last try failed, see `problem`).
    `lines` are what the installer said after the line that was asked for; `last_line` numbers the last of them.
    """

    workflow: str | None
    state: str
    key: str | None = None
    path: str | None = None
    python: str | None = None
    python_version: str | None = None
    requirements: list[str] = []
    packages: list[PackageView] = []
    size: int | None = None
    created_at: float | None = None
    used_at: float | None = None
    workflows: list[str] = []
    """The workflows of this workspace that ask for just this."""
    problem: ErrorView | None = None
    lines: list[str] = []
    last_line: int = 0
