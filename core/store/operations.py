"""Everything that changes the store, in one place to import from."""

from __future__ import annotations

from core.errors import RepeatedCommand
from core.store.call_operations import (
    CallCost,
    CopyRecording,
    FinishCall,
    InsertCall,
    InterruptCalls,
    SpendCall,
    SpendCalls,
)
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
    "CallCost",
    "CopyRecording",
    "FinishCall",
    "InsertAttempt",
    "InsertCall",
    "InsertLine",
    "InsertLogs",
    "InsertRequest",
    "InsertRun",
    "InsertSnapshot",
    "InsertStep",
    "InterruptCalls",
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
    "SpendCall",
    "SpendCalls",
    "Unset",
    "UpdateLine",
    "UpdateRun",
    "WithdrawRequests",
    "blob_hash",
]
