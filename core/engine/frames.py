"""What a run process says, made durable and passed on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from core.crash_points import crash_point
from core.engine.breakpoints import pause_reason
from core.engine.conditions import TAKEN, Conditions, conditions_between
from core.engine.dag_rows import why_skipped
from core.engine.onward import ALONE
from core.engine.trials import CANCELLED
from core.engine.trials import FINAL as FAILED_FOR_GOOD
from core.errors import RunProcessDied, SecretInState
from core.flow.journal import SUBFLOW
from core.flow.settling import Settling
from core.link.types import FINAL, WAITING, ErrorView, InFlight, Status
from core.runner.wire import encode_json
from core.store.operations import InsertAttempt, InsertSnapshot, InsertStep, Operation, UpdateRun

if TYPE_CHECKING:
    from core.engine.actor import RunActor
    from core.engine.secrets import RunSecrets


class Frames:
    """Takes the frames of one actor's process, in order."""

    def __init__(self, actor: RunActor) -> None:
        self._actor = actor
        self._conditions: Conditions | None = None
        self._withheld: list[int] = []
        """Steps of a dag that are not acknowledged, so that nothing new begins while the run comes to rest."""

    def new_process(self) -> None:
        """A new process waits for nothing yet."""
        self._withheld.clear()

    def acknowledge_withheld(self) -> None:
        """Let the process go on after all."""
        for seq in self._withheld:
            self._actor.process_life.send({"t": "ack", "seq": seq})
        self._withheld.clear()

    async def take(self, header: dict[str, Any], payload: bytes) -> None:
        """Act on one frame; the run's final status makes all that come later void."""
        actor = self._actor
        if actor.status in FINAL or header.get("e") != actor.process_life.epoch:
            return
        if actor.secrets is not None:
            try:
                _check(actor.secrets, header, payload)
            except SecretInState as error:
                await self._refuse(error, header["node"])
                return
            header = actor.secrets.cleaned(header)
        match header["t"]:
            case "step":
                await self._step(header, payload)
            case "started":
                await self._started(header)
            case "attempt":
                await self._attempt(header)
            case "request":
                await actor.requests.asked(header)
                if actor.position.settling is not None:
                    await self._come_to_rest()
            case "waits":
                await actor.requests.all_wait(header["keys"])
            case "call":
                actor.world.broker.asked(actor, header, payload)
            case "dropped":
                actor.world.broker.dropped(actor, header)
            case "spent":
                await actor.world.broker.spent(actor, header["key"])
            case "withdrawn":
                await actor.requests.withdraw(header["key"])
            case "failed" | "broken":
                await self._failed(header)
            case "ready":
                actor.process_life.imported()
            case "paused":
                await actor.process_life.has_paused()
            case "ended":
                await self._ended()

    async def _refuse(self, error: SecretInState, node: str) -> None:
        """Keep nothing of what holds a secret: the attempt has failed, and the run. Its own process sees it sooner."""
        actor = self._actor
        flight = actor.in_flight.get(node)
        failure = {name: text for name, text in error.to_dict().items() if name != "details"}
        if flight is not None:
            facts = {"node": node, "visit": flight.visit, "attempt": flight.attempt, "started_at": flight.started_at}
            now = actor.world.now()
            self.attempt_failed({**facts, "ended_at": now, "failure": {**failure, "traceback": ""}, "final": True})
        await actor.fail(ErrorView(**failure, node=node))

    async def _started(self, header: dict[str, Any]) -> None:
        actor = self._actor
        node, visit, attempt = header["node"], header["visit"], header["attempt"]
        actor.process_life.imported()
        await self._keep_attempts()
        await actor.requests.waits_no_more(node)
        flight = InFlight(node=node, visit=visit, attempt=attempt, started_at=header["at"], **header.get("plan", {}))
        actor.in_flight[node] = flight
        actor.process_life.time_limits.begin(flight)
        actor.publish_step(node, visit, attempt, "running", header["at"])
        crash_point("run.started.published")

    async def _attempt(self, header: dict[str, Any]) -> None:
        """Note a failed attempt. What the run comes to with it is decided here where acknowledgements are withheld."""
        actor, node, final = self._actor, header["node"], header.get("final", False)
        flight = actor.in_flight.get(node)
        self.attempt_failed(header)
        await actor.requests.waits_no_more(node)
        # Last in the queue: where it was the last attempt, the run's end is right behind and takes it along.
        actor.post(self._keep_attempts)
        if final and actor.graph.nodes[node].on_error == "fail":
            # The run fails once nothing runs any more, and what waits for its word runs as far as the process knows.
            self.acknowledge_withheld()
        elif not final and flight is not None and flight.pause:
            await self._come_to_rest()

    async def _come_to_rest(self) -> None:
        """Where a dag is to rest and nothing runs any more but what waits, it rests now."""
        actor = self._actor
        if actor.status in FINAL or actor.busy_beside(""):
            return
        if actor.until == "pause":
            await actor.pause()
        elif actor.world.draining and self._withheld:
            await actor.give_up()

    async def _keep_attempts(self) -> None:
        if self._actor.failed_attempts:
            crash_point("run.attempt.noted")
            await self._actor.commit([])
            crash_point("run.attempt.committed")

    def attempt_failed(self, header: dict[str, Any]) -> None:
        """Note a failed attempt for the next commit, which shows it."""
        actor = self._actor
        node, visit, attempt, ended = header["node"], header["visit"], header["attempt"], header["ended_at"]
        failure = header["failure"]
        kept = {**failure, FAILED_FOR_GOOD: True} if header.get("final") else failure
        actor.failed_attempts.append(
            InsertAttempt(
                line=actor.line,
                before_seq=actor.position.seq + 1,
                node=node,
                visit=visit,
                attempt=attempt,
                started_at=header["started_at"],
                ended_at=ended,
                error=json.dumps(kept, ensure_ascii=False),
            )
        )
        actor.in_flight.pop(node, None)
        actor.process_life.time_limits.end(node)
        # Where the process dies before it begins the next attempt, the next process must not number this one again.
        actor.position.attempts[node] = attempt
        text = f"attempt {attempt} failed: {failure['type']}: {failure['message']}"
        actor.log.line(ended, "ERROR", text, node, visit, attempt)

    def attempt_cancelled(self, flight: InFlight, at: float, message: str = "The run was cancelled.") -> None:
        """Note the attempt that a command cuts short for its commit, so that one sees where the run was."""
        failure = {
            "type": CANCELLED,
            "message": message,
            "traceback": "",
            "cause": "",
            "next_step": "",
        }
        self._actor.failed_attempts.append(
            InsertAttempt(
                line=self._actor.line,
                before_seq=self._actor.position.seq + 1,
                node=flight.node,
                visit=flight.visit,
                attempt=flight.attempt,
                started_at=flight.started_at,
                ended_at=at,
                error=json.dumps(failure),
            )
        )

    async def _step(self, header: dict[str, Any], payload: bytes) -> None:
        """Commit a completed visit with everything that belongs to it, then let the process go on.

        With `until` "step" the pause is part of the same commit, so that a crash can't turn it into another step.
        """
        actor = self._actor
        crash_point("run.step.received")
        actor.process_life.time_limits.end(header["node"])
        seq, next_node, node, ended = header["seq"], header["next"], header["node"], header["ended_at"]
        if seq != actor.position.seq + 1:
            raise RunProcessDied(
                f"The run process sent step {seq} after step {actor.position.seq}.",
                cause="A gap or a repeat in the steps; nothing of it was kept.",
                next_step="Start the run again and report it.",
            )
        stops = self._breakpoints_ahead(self._settle_routing(header))
        # Only where nothing but the step's durability decides whether the process goes on.
        goes_on = next_node is not None and actor.until == "end" and not stops and not actor.world.draining
        acknowledge = actor.process_life.sender({"t": "ack", "seq": seq}) if goes_on else None
        operations: list[Operation] = [self._step_operation(header, payload, acknowledge)]
        process_knows = actor.until == "step"
        on_the_way = bool(stops) and actor.until.startswith("node:") and not actor.rests_after(node)
        if header["snapshot"]:
            operations.append(InsertSnapshot(actor.line, seq, payload[len(payload) - header["snapshot"] :]))
        after: Status | None = None
        rests = bool(stops) or actor.rests_after(node)
        first_comes_to_rest = rests and next_node is not None and actor.busy_beside(node)
        if next_node is None or actor.until == ALONE:
            after = "completed"
            operations += actor.status_operations(after, ended_at=ended, node=node)
        elif first_comes_to_rest:
            operations.append(UpdateRun(actor.record.number, until="pause", pause_reason=actor.pause_reason))
        elif rests:
            after = "paused"
            operations += actor.status_operations(after, node=next_node, pause_reason=actor.pause_reason)
            if not process_knows and not on_the_way:
                operations.append(UpdateRun(actor.record.number, until="end"))
        elif actor.status in WAITING:
            # The code went on without the answer it had asked for.
            after = "running"
            operations += actor.status_operations(after)
        operations += actor.requests.withdrawal(node, ended)
        await actor.commit(operations)
        crash_point("run.step.committed")
        position = actor.position
        position.seq, position.next = seq, next_node
        position.visits[node] = header["visit"]
        position.attempts.pop(node, None)
        actor.in_flight.pop(node, None)
        actor.process_life.made_progress()
        actor.publish_step(node, header["visit"], header["attempt"], "completed", ended, seq, next_node)
        actor.requests.withdrawn(node)
        if after is not None:
            actor.process_life.stop_timer()
            actor.entered(after)
        # Without its acknowledgement the process begins nothing more; what runs beside it comes to its end.
        if first_comes_to_rest:
            actor.until = "pause"
            self._withheld.append(seq)
            return
        if after == "paused":
            actor.pause_reason = ""
        if after == "paused" and not process_knows:
            actor.until = actor.until if on_the_way else "end"
            actor.in_flight.clear()
            await actor.process_life.dismiss(at_once=False)
            return
        if after in ("completed", "paused"):
            actor.process_life.expect_exit()
        elif actor.world.draining and acknowledge is None:
            self._withheld.append(seq)
            if not actor.busy_beside(node):
                await actor.give_up()
            return
        if acknowledge is None:
            actor.process_life.send({"t": "ack", "seq": seq})
        crash_point("run.step.acknowledged")

    async def _ended(self) -> None:
        """Going on from an earlier step, no edge led on: the run is complete."""
        actor = self._actor
        await actor.commit(actor.status_operations("completed", ended_at=actor.world.now()))
        actor.position.next = None
        actor.entered("completed")
        actor.process_life.expect_exit()

    def _step_operation(
        self, header: dict[str, Any], payload: bytes, acknowledge: Callable[[], None] | None
    ) -> InsertStep:
        """The row of a step: its delta and its large values stay the opaque bytes that the process sent."""
        on_durable, on_delivered = acknowledge, None
        if not self._actor.process_life.sends_from_any_thread:
            on_durable, on_delivered = None, acknowledge
        length = header["delta"]
        position = length + header.get("own", 0)
        delta, own = payload[:length], payload[length:position]
        blobs: list[tuple[bytes, bytes | None]] = []
        for text, length in header["blobs"]:
            # Without data the store has the value from an earlier step, or refuses this one.
            data = payload[position : position + length] if length else None
            position += length
            blobs.append((bytes.fromhex(text), data))
        kept = ("reason", "condition", "errors", "taken", "refused", "outcome")
        routing = {key: header[key] for key in kept if header.get(key)}
        if header.get("failure"):
            routing["failure"] = {key: header["failure"][key] for key in ("type", "message", "cause", "next_step")}
        return InsertStep(
            line=self._actor.line,
            seq=header["seq"],
            node=header["node"],
            visit=header["visit"],
            attempt=header["attempt"],
            next=header["next"],
            routing=self._kept_routing(header["node"], header["next"], routing),
            started_at=header["started_at"],
            ended_at=header["ended_at"],
            changed=header["changed"],
            delta=delta,
            blobs=tuple(blobs),
            on_durable=on_durable,
            on_delivered=on_delivered,
            own=own,
        )

    def _kept_routing(self, node: str, next_node: str | None, routing: dict[str, Any]) -> str:
        """The text that is kept; what the graph says as well is left out, for it stands in every row of a loop."""
        if routing == {"reason": "default"}:
            return ""
        if routing.keys() == {"reason", "condition"} and routing["reason"] == "edge" and next_node is not None:
            if self._conditions is None:
                self._conditions = conditions_between(self._actor.graph)
            if self._conditions.get((node, next_node)) == routing["condition"]:
                return TAKEN
        return encode_json(routing).decode()

    def _breakpoints_ahead(self, ahead: Iterable[str]) -> list[str]:
        """Before which of the nodes that come next the run is to pause; said in the log."""
        actor = self._actor
        if actor.until in ("step", ALONE):
            return []
        stops = actor.world.breakpoints.among(actor.record, ahead)
        if stops:
            text = f"pauses at a breakpoint before {', '.join(stops)}; go on: rondo resume {actor.short_id}"
            actor.log.line(actor.world.now(), "INFO", text, stops[0])
            actor.pause_reason = pause_reason(stops, actor.pause_reason)
        return stops

    def _settle_routing(self, header: dict[str, Any]) -> list[str]:
        """Say in the log which way the run goes and why; returns the nodes to which it comes with this step."""
        settling = self._actor.position.settling
        known = set(settling.ready) if settling is not None else set()
        self._log_routing(header)
        if settling is None:
            return [header["next"]] if header["next"] is not None else []
        return [node for node in settling.in_turn() if node not in known]

    def _log_routing(self, header: dict[str, Any]) -> None:
        """Say in the log which way the run went and why."""
        node, visit, ended = header["node"], header["visit"], header["ended_at"]
        for edge, error in (header.get("errors") or {}).items():
            text = f"the condition of {edge} failed and counts as false: {error}"
            self._actor.log.line(ended, "WARNING", text, node, visit)
        if self._actor.position.settling is not None:
            self._settle(self._actor.position.settling, header)
            return
        if header["next"] is not None:
            reasons = {
                "edge": f"   because {header.get('condition')}",
                "goto": "   because the node chose it",
                "on_error": "   because it failed",
            }
            text = f"{node} → {header['next']}{reasons.get(header['reason'], '')}"
            self._actor.log.line(ended, "EDGE", text, node, visit)

    def _settle(self, settling: Settling, header: dict[str, Any]) -> None:
        """Say in the log which edges of a dag's node came true, which did not, and what is skipped for it."""
        actor, node, ended = self._actor, header["node"], header["ended_at"]
        for edge in actor.graph.edges_from(node):
            because = f"   because {edge.condition}" if edge.condition else ""
            holds = edge.to_id in header["taken"]
            text = f"{node} → {edge.to_id}{because}" if holds else f"{node} ↛ {edge.to_id}   not: {edge.condition}"
            actor.log.line(ended, "EDGE", text, node, header["visit"])
        for skipped in settling.complete(node, header["taken"]):
            why = "; ".join(why_skipped(actor.graph, settling, skipped))
            actor.log.line(ended, "EDGE", f"{skipped} is skipped: {why}", skipped)

    async def _failed(self, header: dict[str, Any]) -> None:
        failure, node = header["failure"], header.get("node")
        again = f"Read the traceback, mend the node, then: rondo run {self._actor.record.workflow}"
        await self._actor.fail(
            ErrorView(
                type=failure["type"],
                message=failure["message"],
                cause=failure.get("cause") or (f"The code of node {node} raised it." if node else ""),
                next_step=failure.get("next_step") or again,
                node=node,
                traceback=failure.get("traceback", ""),
            )
        )


def _check(secrets: RunSecrets, header: dict[str, Any], payload: bytes) -> None:
    """Raise SecretInState where a state would hold a value: this one's, or that of a run that it wants begun."""
    if header["t"] == "step":
        place = header["delta"]
        end = place + header.get("own", 0)
        operations, own = payload[:place], payload[place:end]
        blobs = []
        for _, length in header["blobs"]:
            # What the store has from an earlier step was looked at when it came; b"" keeps the others' places.
            blobs.append(payload[end : end + length])
            end += length
        secrets.refuse_step(operations, own, blobs, header["node"])
    elif header["t"] == "request" and header["kind"] == SUBFLOW:
        secrets.refuse(encode_json(header["options"]), f"what {header['node']} gives to another workflow")
