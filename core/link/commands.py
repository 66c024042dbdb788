"""What a client asks of runs, as structs that cross the link; each `command_id` acts once."""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class _Struct(msgspec.Struct, kw_only=True, forbid_unknown_fields=False):
    pass


class RunNode(_Struct):
    """One node alone, in a run of its own that is complete after it.

    Its state is that of `run_id` before that run's last visit of the node, or the workflow's initial state; the keys of
    `inputs` go over it. `answers` and `version` are those of `StartRun`.
    """

    command_id: str
    workflow: str
    node: str
    run_id: str | None = None
    inputs: dict[str, Any] = {}
    answers: list[tuple[str, Any]] = []
    version: str | None = None


class Rerun(_Struct):
    """A new run with the inputs of that run; the keys of `inputs` go over them."""

    command_id: str
    run_id: str
    inputs: dict[str, Any] = {}
    same_version: bool = False


class Retry(_Struct):
    """Let a failed or cancelled run go on from the node it ended at, on a new line.

    A new line belongs to the version that the folder has now, with `same_version` to that of the line before. Nodes
    that declare `effects: write` and may act again are a refusal unless `acknowledge_effects`.
    """

    command_id: str
    run_id: str
    same_version: bool = False
    acknowledge_effects: bool = False


class Rewind(_Struct):
    """Let a run go on from an earlier step of its present line, or of `line`, on a new line; see `Retry`."""

    command_id: str
    run_id: str
    step: int
    line: int | None = None
    paused: bool = False
    same_version: bool = False
    acknowledge_effects: bool = False


class StateEdit(_Struct):
    """A value to put into the state; all but the last part of the path must be there."""

    path: list[str | int]
    value: Any


class Fork(_Struct):
    """A new run that goes on from a step of another one; `edits` change the state first. See `Rewind`."""

    command_id: str
    run_id: str
    step: int
    line: int | None = None
    edits: list[StateEdit] = []
    paused: bool = False
    same_version: bool = False
    acknowledge_effects: bool = False


class ManyRuns(_Struct):
    """One command for many runs, at most 500; each acts once under `command_id`. `now` is for pause."""

    command_id: str
    action: Literal["cancel", "pause", "resume", "retry"]
    runs: list[str]
    now: bool = False
    same_version: bool = False
    acknowledge_effects: bool = False
