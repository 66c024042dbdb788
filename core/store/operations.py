"""Everything that changes the store, in one place to import from."""

from __future__ import annotations

from core.errors import RepeatedCommand
from core.store.breakpoint_rows import ClearBreakpoints, SetBreakpoint
from core.store.call_operations import (
    CallCost,
    CopyRecording,
    FinishCall,
    InsertCall,
    InterruptCalls,
    SpendCall,
    SpendCalls,
)
from core.store.chat_operations import DeleteChat, InsertChat, PutEntry, PutMemory, ReplaceEntries, UpdateChat
from core.store.operation import UNSET, Number, Operation, Ref, Unset
from core.store.proposal_operations import BeginChange, EndChange, InsertEdit, InsertProposal, UpdateProposal
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
    "BeginChange",
    "CallCost",
    "ClearBreakpoints",
    "CopyRecording",
    "DeleteChat",
    "EndChange",
    "FinishCall",
    "InsertAttempt",
    "InsertCall",
    "InsertChat",
    "InsertEdit",
    "InsertLine",
    "InsertLogs",
    "InsertProposal",
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
    "PutEntry",
    "PutMemory",
    "PutVersion",
    "RecordCommand",
    "Ref",
    "RepeatedCommand",
    "ReplaceEntries",
    "SetBreakpoint",
    "SpendCall",
    "SpendCalls",
    "Unset",
    "UpdateChat",
    "UpdateLine",
    "UpdateProposal",
    "UpdateRun",
    "WithdrawRequests",
    "blob_hash",
]
