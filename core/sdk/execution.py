"""Where a run stands, under the names of the Grapheteria API."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class WorkflowStatus(Enum):
    """How a run is."""

    HEALTHY = "HEALTHY"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    WAITING_FOR_INPUT = "WAITING_FOR_INPUT"


class NodeStatus(Enum):
    """How the last execution of a node ended, or that it waits."""

    WAITING_FOR_INPUT = "waiting_for_input"
    COMPLETED = "completed"
    FAILED = "failed"


@dataclass
class ExecutionState:
    """A run at one moment; `awaiting_input` is `{node_id, request_id, prompt, options, input_type}` or None."""

    shared: dict[str, Any] = field(default_factory=dict)
    next_node_id: str | None = None
    previous_node_id: str | None = None
    workflow_status: WorkflowStatus = WorkflowStatus.HEALTHY
    node_statuses: dict[str, NodeStatus] = field(default_factory=dict)
    awaiting_input: dict[str, Any] | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """An independent copy as JSON values; statuses are texts."""
        return {
            "shared": copy.deepcopy(self.shared),
            "next_node_id": self.next_node_id,
            "previous_node_id": self.previous_node_id,
            "workflow_status": self.workflow_status.name,
            "node_statuses": {node_id: status.value for node_id, status in self.node_statuses.items()},
            "awaiting_input": copy.deepcopy(self.awaiting_input),
            "metadata": copy.deepcopy(self.metadata),
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> ExecutionState:
        """The state that `to_dict` has written, independent of the document."""
        return cls(
            shared=copy.deepcopy(document["shared"]),
            next_node_id=document.get("next_node_id"),
            previous_node_id=document.get("previous_node_id"),
            workflow_status=WorkflowStatus[document.get("workflow_status", "HEALTHY")],
            node_statuses={
                node_id: NodeStatus(value) for node_id, value in (document.get("node_statuses") or {}).items()
            },
            awaiting_input=copy.deepcopy(document.get("awaiting_input")),
            metadata=copy.deepcopy(document.get("metadata") or {}),
        )
