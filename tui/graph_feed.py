"""Reading what the graph screen shows: the workflow that is drawn, and what a run did since it was read last."""

from __future__ import annotations

from textual.message import Message

from core.flow.graph import EdgeSpec, Graph, NodeSpec
from core.link.api import EngineApi
from core.link.routing_types import ConditionsView
from core.link.types import RunFilter, RunView, StepView
from core.link.workflow_types import WorkflowDetail
from tui.graph_run import RunTrail


class WorkflowRead(Message, bubble=False):
    """The workflow that is drawn: the folder as it is now, or the version of the run that was asked for."""

    def __init__(self, detail: WorkflowDetail) -> None:
        super().__init__()
        self.detail = detail


class RunRead(Message, bubble=False):
    """The run that is shown (None: there is none yet) and its steps after `after`."""

    def __init__(self, run: RunView | None, steps: list[StepView], after: int) -> None:
        super().__init__()
        self.run = run
        self.steps = steps
        self.after = after


class ConditionsRead(Message, bubble=False):
    """What the conditions of a node's edges saw last."""

    def __init__(self, conditions: ConditionsView) -> None:
        super().__init__()
        self.conditions = conditions


async def read_workflow(engine: EngineApi, workflow: str, run_id: str) -> WorkflowDetail:
    """The folder as it is now; with a run, the version that the run belongs to."""
    detail = await engine.get_workflow(workflow)
    if run_id:
        run = await engine.get_run(run_id)
        if run.version != detail.version:
            return await engine.get_workflow(workflow, run.version)
    return detail


async def read_run(engine: EngineApi, workflow: str, run_id: str, trail: RunTrail | None) -> RunRead:
    """The run with this id, else the workflow's newest, and the steps that the trail doesn't know yet."""
    if not run_id:
        rows = await engine.list_runs(RunFilter(workflow=workflow, limit=1))
        if not rows:
            return RunRead(None, [], 0)
        run_id = rows[0].run_id
    run = await engine.get_run(run_id)
    known = trail is not None and (trail.run_id, trail.line) == (run.run_id, run.line)
    first = after = trail.seq if trail is not None and known else 0
    steps: list[StepView] = []
    while True:
        page = await engine.read_steps(run_id, after)
        steps += page.steps
        after = max([after, *(step.step for step in page.steps if step.step is not None)])
        if not page.more:
            return RunRead(run, steps, first)


def graph_of(detail: WorkflowDetail) -> Graph:
    """The graph as the drawing takes it."""
    nodes = {node.id: NodeSpec(node.id, node.class_name) for node in detail.nodes}
    edges = tuple(EdgeSpec(edge.from_id, edge.to_id, edge.condition) for edge in detail.edges)
    return Graph(detail.name, nodes, edges, detail.start, detail.mode)
