"""What crosses the link of breakpoints, of a run's output files, and of who wrote a value."""

from __future__ import annotations

import msgspec


class _Struct(msgspec.Struct, kw_only=True, forbid_unknown_fields=False):
    pass


class BreakpointView(_Struct):
    """A node before which runs pause: every run of the workflow, or the one of `run_id`."""

    workflow: str
    node: str
    set_at: float
    run_id: str | None = None


class ChangeBreakpoint(_Struct):
    """Set a breakpoint of a workflow, or of one run where `run_id` is given; or take it away.

    Without a node all of them are taken away.
    """

    command_id: str
    node: str = ""
    workflow: str | None = None
    run_id: str | None = None
    clear: bool = False


class OutputFile(_Struct):
    """A file below a run's output folder, by its path there. `kind` is file, link or other: only files are read."""

    path: str
    size: int
    modified_at: float
    kind: str = "file"


class OutputPage(_Struct):
    """Files in the order of their paths. `count` and `size` are of all files, as many as were looked at.

    `more` says that there are files after these; `cut` that the folder has more than are ever looked at.
    """

    folder: str
    files: list[OutputFile]
    count: int
    size: int
    more: bool = False
    cut: bool = False


class OutputPart(_Struct):
    """A piece of a file; `text` says that it is UTF-8, but for a letter that is cut off at its end."""

    path: str
    size: int
    modified_at: float
    offset: int
    data: bytes
    text: bool


class PartWritten(_Struct):
    """Something that a step changed inside the value: `path` goes on from it; `value` is a preview, or null."""

    op: str
    path: list[str | int]
    value: str | None


class WriteView(_Struct):
    """A step that wrote a value. `op` says how: `set`, `append` (it came with the items that a list got at its end),
    `del`, or `parts`, where only what is inside it changed.

    `path` is where the value was then, which another place can be where a list lost items before it. `with_path` is
    what was written as a whole: the value itself or what it lies in. `value` is a preview. A step without a node is
    how the run began (step 0), or an edit by a person.
    """

    step: int
    node: str
    visit: int
    attempt: int
    at: float
    op: str
    path: list[str | int]
    with_path: list[str | int]
    value: str | None = None
    parts: list[PartWritten] = []
    part_count: int = 0


class WhyPage(_Struct):
    """Who wrote the value at `path`, the newest first. Where `next_before` is given there may be more: ask again with
    it as `before`, and with `next_path`."""

    run_id: str
    step: int
    path: list[str | int]
    value: str | None
    writes: list[WriteView]
    next_before: int | None = None
    next_path: list[str | int] = []
