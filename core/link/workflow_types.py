"""What crosses the link about workflows, their versions and environments; see `core.link.types`."""

from __future__ import annotations

from typing import Any

import msgspec

from core.link.types import ErrorView, Status


class _Struct(msgspec.Struct, kw_only=True, forbid_unknown_fields=False):
    pass


# Workflows -------------------------------------------------------------------------------------------------------


class FindingView(_Struct):
    """What lint found; severity is error, warning or note."""

    code: str
    severity: str
    message: str
    file: str = ""
    line: int = 0
    column: int = 0
    node: str | None = None
    hint: str = ""


class LastRun(_Struct):
    run_id: str
    short_id: str
    status: Status
    created_at: float
    started_at: float | None = None
    ended_at: float | None = None
    node: str | None = None
    """Where it is or where it ended."""


class WorkflowRow(_Struct):
    """One line of the list. `version` is None where the folder can't be read; `approved` is about the present files."""

    name: str
    description: str
    version: str | None
    approved: bool
    nodes: int
    edges: int
    findings: list[FindingView]
    last_run: LastRun | None = None
    last_good: str | None = None
    tools: list[str] = []


class NodeView(_Struct):
    """One node with what the code says of its class; `source` is the class's text, `line` where it stands.

    `subflow` is the workflow that it runs, where it has no class of its own.
    """

    id: str
    class_name: str
    config: dict[str, Any]
    retry: dict[str, Any] | None = None
    timeout: float | None = None
    on_error: str = "fail"
    effects: str = ""
    file: str = ""
    line: int = 0
    source: str = ""
    doc: str = ""
    subflow: str = ""


class EdgeView(_Struct):
    from_id: str
    to_id: str
    condition: str = ""


class WorkflowDetail(_Struct):
    """A workflow whole: `folder` is its path, `code_path` what an editor should open."""

    name: str
    description: str
    version: str | None
    approved: bool
    mode: str
    start: str
    nodes: list[NodeView]
    edges: list[EdgeView]
    findings: list[FindingView]
    folder: str
    code_path: str
    inputs: dict[str, Any] | None = None
    initial_state: msgspec.Raw = msgspec.Raw(b"{}")
    last_good: str | None = None
    assumptions: list[str] = []
    """What the assistant took for granted when it wrote it."""


class FileChange(_Struct):
    """One file of a version against another: status is added, removed, changed; `diff` is unified text."""

    path: str
    status: str
    diff: str


class ApprovalView(_Struct):
    """What would be approved: `previous` is the last approved version, None if there was none.

    `requirements` are the lines of requirements.txt: who approves lets these packages be installed, too.
    """

    workflow: str
    version: str
    approved: bool
    reason: str
    """own, example, approved, or why not: never, changed."""
    previous: str | None
    changes: list[FileChange]
    requirements: list[str] = []


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
