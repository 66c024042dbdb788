"""Everything that changes the store, in one place to import from."""

from __future__ import annotations

from core.errors import RepeatedCommand
from core.store.operation import UNSET, Number, Operation, Ref, Unset
from core.store.request_operations import AnswerRequest, InsertRequest, MarkRequest, RecordCommand, WithdrawRequests
from core.store.run_operations import (
    InsertLine,
    InsertRun,
    LargeInputs,
    NewRun,
    ParentVisit,
    UpdateLine,
    UpdateRun,
)
from core.store.step_operations import (
    InsertAttempt,
    InsertLogs,
    InsertSnapshot,
    InsertStep,
    PutVersion,
    blob_hash,
)

__all__ = [
    "UNSET",
    "AnswerRequest",
    "InsertAttempt",
    "InsertLine",
    "InsertLogs",
    "InsertRequest",
    "InsertRun",
    "InsertSnapshot",
    "InsertStep",
    "LargeInputs",
    "MarkRequest",
    "NewRun",
    "Number",
    "Operation",
    "ParentVisit",
    "PutVersion",
    "RecordCommand",
    "Ref",
    "RepeatedCommand",
    "Unset",
    "UpdateLine",
    "UpdateRun",
    "WithdrawRequests",
    "blob_hash",
]
