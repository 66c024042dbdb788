"""What crosses the link about runs that are removed, written into files, or read from them; see `core.link.types`."""

from __future__ import annotations

import msgspec

from core.link.types import Status


class _Struct(msgspec.Struct, kw_only=True, forbid_unknown_fields=False):
    pass


class Prune(_Struct):
    """Which runs that have ended go, of one workflow or of all.

    Those that ended more than `older_than_seconds` ago; and, where the database then holds more than `max_bytes`, the
    oldest ones until it does not. The newest `keep` runs of each workflow stay; alone, `keep` lets all others go.
    With `runs`, ids or unique endings of ids, only those are meant; alone, all of them that have ended go.
    """

    command_id: str
    workflow: str | None = None
    older_than_seconds: float | None = None
    keep: int | None = None
    max_bytes: int | None = None
    dry_run: bool = False
    runs: list[str] | None = None


class PrunedRun(_Struct):
    run_id: str
    workflow: str
    status: Status
    created_at: float
    ended_at: float | None


class KeptRun(_Struct):
    """A run that would go, and why it stays."""

    run_id: str
    workflow: str
    reason: str


class PruneReport(_Struct):
    """What went, or would go: `removed` and `kept` are the first of `removed_count` and `kept_count`.

    Bytes are those of the database with its log; after a dry run they are the same.
    """

    dry_run: bool
    removed: list[PrunedRun]
    removed_count: int
    kept: list[KeptRun]
    kept_count: int
    bytes_before: int
    bytes_after: int
    output_folders: int
    """How many folders with files of these runs were removed, or would be."""


class ExportedRun(_Struct):
    """The file that was written, to be moved away; `steps` counts those of all its lines."""

    run_id: str
    workflow: str
    path: str
    bytes: int
    lines: int
    steps: int


class ImportedRun(_Struct):
    """The run as it is now; `original_id` is the one in the file, where that was taken here already.

    `version` may not run before it is approved, where `approved` is false.
    """

    run_id: str
    original_id: str
    workflow: str
    version: str
    status: Status
    original_status: Status
    lines: int
    steps: int
