"""What crosses the link about engines and their clients; see `core.link.types`."""

from __future__ import annotations

import msgspec

from core.link.types import ErrorView, Status

PROTOCOL = 1
"""Version of the link; a client and an engine that differ offer a restart."""


class _Struct(msgspec.Struct, kw_only=True, forbid_unknown_fields=False):
    pass


class ClientInfo(_Struct):
    """Who calls: `kind` is tui, cli, api or test.

    `keys` are the keys of providers of models and tools in its environment, by variable. The engine holds them in
    memory only; they are in no repr.
    """

    kind: str
    app_version: str
    protocol: int = PROTOCOL
    pid: int = 0
    batches_per_second: int = 30
    read_only: bool = False
    """The engine refuses every call of this client that may change something."""
    keys: dict[str, str] = {}

    def __repr__(self) -> str:
        return (
            f"ClientInfo(kind={self.kind!r}, app_version={self.app_version!r}, pid={self.pid}, keys={len(self.keys)})"
        )


class EngineInfo(_Struct):
    app_version: str
    protocol: int
    schema: int
    pid: int
    started_at: float
    workspace: str


class EngineStatus(_Struct):
    """`runs` counts the runs that are not at rest, by status; `trouble` is what stops the engine from taking work."""

    running: bool
    pid: int | None
    workspace: str
    version: str | None
    runs: dict[str, int]
    started_at: float | None = None
    socket: str | None = None
    clients: int = 0
    open_requests: int = 0
    trouble: ErrorView | None = None
    unclean_end: UncleanEnd | None = None
    """The last time an engine of this workspace died."""


class RecoveredRun(_Struct):
    """A run that an engine left behind when it died: its status and last step then, and what was done about it."""

    run_id: str
    workflow: str
    status: Status
    step: int
    node: str | None
    action: str


class UncleanEnd(_Struct):
    """An engine that died without an end, as the next one found it; `runs` are the first of `run_count`.

    `last_sign_at` is when it was last known to live. `seen` says that a person was told.
    """

    id: str
    pid: int
    started_at: float
    last_sign_at: float
    found_at: float
    cause: str
    runs: list[RecoveredRun]
    run_count: int
    seen: bool = False


class Doctor(_Struct):
    """What the engine knows of itself and its files, for `rondo doctor`."""

    facts: dict[str, str]
    problems: list[ErrorView]
    unclean_ends: list[UncleanEnd] = []
    """When engines of this workspace died, newest first."""
