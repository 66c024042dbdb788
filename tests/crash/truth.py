"""What an observer outside of the engine knows: what he was told, and what the nodes did in the world."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from core.errors import UnknownRun
from core.link.event_types import StepChanged
from core.link.session import EngineSession
from core.link.types import StepView


@dataclass(frozen=True)
class Effect:
    """One line that a node wrote: the step it was to become, and where the line begins in the file."""

    at: int
    seq: int
    node: str
    key: str
    pid: int


@dataclass
class Seen:
    """What the observer was told of one run."""

    workflow: str
    steps: dict[tuple[int, int], tuple[str, int, float, int]] = field(default_factory=dict)
    """By line and number: node, visit, end, and how many bytes of effects there were when the step was known."""
    joined: list[object] | None = None
    """What a dag must have come to."""
    answers: list[str] = field(default_factory=list)
    cancelled_at: int | None = None
    """Bytes of effects at the moment of the reply."""
    end: str = ""


EXPECTED_ENDS = {"fails": "failed", "endless": "cancelled"}


@dataclass
class Truth:
    """Collects what was acknowledged, and compares it with the engine's rows and the effects at the end."""

    effects: Path
    runs: dict[str, Seen] = field(default_factory=dict)
    steps_seen: int = 0
    newest_end: float = 0.0
    """When the newest step ended that was seen (wall clock)."""
    lost: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    # What the observer is told ------------------------------------------------------------------------------------

    def start_seen(self, run_id: str, workflow: str) -> None:
        self.runs.setdefault(run_id, Seen(workflow)).workflow = workflow

    def step_seen(self, event: StepChanged) -> None:
        if event.status != "completed" or event.seq is None:
            return
        self.steps_seen += 1
        self.newest_end = max(self.newest_end, event.at)
        seen = self.runs.setdefault(event.run_id, Seen(event.workflow))
        place = (event.line, event.seq)
        known = seen.steps.setdefault(place, (event.node, event.visit, event.at, self.size(event.run_id)))
        if known[:3] != (event.node, event.visit, event.at):
            self.repeated.append(f"{event.run_id}: step {event.seq} was announced twice, with different visits")

    def answer_seen(self, run_id: str, value: str) -> None:
        self.runs[run_id].answers.append(value)

    def joined_seen(self, run_id: str, expected: list[object]) -> None:
        self.runs[run_id].joined = expected

    def cancel_seen(self, run_id: str) -> None:
        self.runs[run_id].cancelled_at = self.size(run_id)

    def end_seen(self, run_id: str, status: str) -> None:
        self.runs[run_id].end = status

    def wrong(self, run_id: str, what: str) -> None:
        self.problems.append(f"{run_id} ({self.runs[run_id].workflow}): {what}")

    def size(self, run_id: str) -> int:
        """Bytes of effects of a run."""
        try:
            return (self.effects / run_id).stat().st_size
        except OSError:
            return 0

    def run_of(self, pid: int) -> str | None:
        """The unfinished run whose newest effect came from that process."""
        for run_id, seen in self.runs.items():
            if not seen.end and (effects := self.effects_of(run_id)) and effects[-1].pid == pid:
                return run_id
        return None

    def effects_of(self, run_id: str) -> list[Effect]:
        """The effects of a run; a line that was cut off by a kill is none."""
        file = self.effects / run_id
        found: list[Effect] = []
        at = 0
        for line in file.read_bytes().splitlines(keepends=True) if file.exists() else ():
            if line.endswith(b"\n"):
                found.append(Effect(at, *json.loads(line)))
            at += len(line)
        return found

    # What is true -------------------------------------------------------------------------------------------------

    async def compare(self, session: EngineSession) -> None:
        """Compare everything that was seen with what the engine has now."""
        for run_id, seen in self.runs.items():
            try:
                await self._compare_run(session, run_id, seen)
            except UnknownRun:
                self.lost.append(f"{run_id}: the whole run")

    async def _compare_run(self, session: EngineSession, run_id: str, seen: Seen) -> None:
        view = await session.get_run(run_id)
        effects = self.effects_of(run_id)
        by_line: dict[int, dict[int | None, StepView]] = {}
        for line in sorted({view.line, *(line for line, _ in seen.steps)}):
            steps = {step.step: step async for step in completed_steps(session, run_id, line)}
            by_line[line] = steps
            if sorted(step for step in steps if step is not None) != list(range(1, len(steps) + 1)):
                self.wrong(run_id, f"gaps in the steps {sorted(filter(None, steps))}")
        for (line, seq), (node, visit, end, _) in seen.steps.items():
            step = by_line[line].get(seq)
            if step is None:
                self.lost.append(f"{run_id}: step {seq}")
            elif (step.node, step.visit, step.ended_at) != (node, visit, end):
                self.lost.append(f"{run_id}: step {seq} is another visit now")
        if seen.workflow == "dag":
            await self._compare_dag(session, run_id, seen, effects)
        else:
            self._compare_effects(run_id, view.line, seen, effects)
            if {effect.seq for effect in effects} < {step for step in by_line[view.line] if step is not None}:
                self.wrong(run_id, "a step is there that no node ran")
        if seen.end:
            expected = EXPECTED_ENDS.get(seen.workflow, "completed")
            if view.status != seen.end:
                self.lost.append(f"{run_id}: it was {seen.end} and is {view.status}")
            elif view.status != expected:
                self.wrong(run_id, f"ended as {view.status} instead of {expected}: {view.error}")
        if seen.answers:
            state = json.loads(bytes((await session.read_state(run_id, None, ["confirmed"])).value))
            if seen.end and state != seen.answers:
                self.lost.append(f"{run_id}: answers {seen.answers}, the state has {state}")

    async def _compare_dag(self, session: EngineSession, run_id: str, seen: Seen, effects: list[Effect]) -> None:
        """What nodes at once did, on each line under its own keys; and that all lines come to what they must."""
        lines = [entry.line for entry in await session.list_lines(run_id)]
        allowed = {
            (node, key_of(run_id, line, node, 1)) for line in lines for node in {effect.node for effect in effects}
        }
        items: dict[str, set[str]] = {}
        for effect in effects:
            if "[" in effect.node:
                items.setdefault(effect.node, set()).add(effect.key)
            elif (effect.node, effect.key) not in allowed:
                self.wrong(run_id, f"{effect.node} ran under another key")
        for node, found in items.items():
            if len(found) > len(lines):
                self.wrong(run_id, f"{node} had {len(found)} keys on {len(lines)} lines")
        for (line, seq), (node, visit, _, size) in seen.steps.items():
            key = key_of(run_id, line, node, visit)
            if any(effect.key == key and effect.at >= size for effect in effects):
                self.repeated.append(f"{run_id}: step {seq} of line {line} was run again after it was acknowledged")
        if seen.joined is not None:
            joined = json.loads(bytes((await session.read_state(run_id, None, ["joined"])).value))
            if joined != seen.joined:
                self.wrong(run_id, f"its end is {joined} instead of {seen.joined}")

    def _compare_effects(self, run_id: str, line: int, seen: Seen, effects: list[Effect]) -> None:
        newest = 0
        for effect in effects:
            if effect.seq < newest:
                self.repeated.append(f"{run_id}: step {effect.seq} was run again after step {newest} had begun")
            elif effect.seq > newest + 1:
                self.wrong(run_id, f"step {effect.seq} was begun after step {newest}")
            newest = max(newest, effect.seq)
            known = seen.steps.get((line, effect.seq))
            if known is not None and effect.at >= known[3]:
                self.repeated.append(f"{run_id}: step {effect.seq} was run again after it was acknowledged")
            if known is not None and effect.key != key_of(run_id, line, known[0], known[1]):
                self.wrong(run_id, f"step {effect.seq} ran under another key")
            if seen.cancelled_at is not None and effect.at >= seen.cancelled_at:
                self.wrong(run_id, f"step {effect.seq} was begun after the run was cancelled")


async def completed_steps(session: EngineSession, run_id: str, line: int) -> AsyncIterator[StepView]:
    """The completed steps of a run's line, in order."""
    after, more = 0, True
    while more:
        page = await session.read_steps(run_id, after=after, line=line)
        for step in page.steps:
            if step.step is not None:
                after = step.step
                yield step
        more = page.more


def key_of(run_id: str, line: int, node: str, visit: int) -> str:
    """The idempotency key of a visit, worked out apart from the engine's code."""
    return hashlib.sha256(json.dumps([run_id, line, node, visit]).encode()).hexdigest()
