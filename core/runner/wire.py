"""Frames between the engine and a run process.

A frame is two big-endian 32-bit lengths, a header (JSON text) and a payload (opaque bytes):
`!II header_length payload_length`, header, payload. Each header has `t` (its kind) and `e` (the epoch of the process).

Engine to process:
    init    run, line, workflow, version, graph (native JSON), sources {path: text of every *.py}, folder (live path),
            output_dir, workspace (becomes the working directory), environment {name: value} (variables granted to this
            run beyond the allow-list), run_key (text that idempotency keys are made from), seq (last committed),
            next (node to enter),
            visits {node: completed visits},
            trials {node: {attempts (of its next visit, used up), forgiven (those of them in rounds before the last),
            failure (of the last one)}}, last_error ([node, type, message] of the last step, where it failed, or null),
            choose_from (node among whose edges the next one is chosen again, or null),
            answers [{key, hash, answer}] (recorded for visits that are not complete), until ("end" or "step"),
            deltas_since_snapshot [bytes, steps],
            limits {import_seconds, log_lines, log_bytes (what is still kept of the run's output), log_reserve [lines,
            bytes] (how much of that is set aside for errors and last lines)}; each has a default.
            history [[node, [taken, ...], [refused, ...], length of its own operations, [length of a blob, ...]], ...]
            (mode dag only: every committed step in order), initial (mode dag: the length of the initial state).
            payload: the state's JSON text; in mode dag the initial state's, then operations and blobs of each step
    ack     seq                                                          step `seq` is durable
    answer  key, value                                                   a request of this process was answered
            for one of kind subflow value is {run_id} with the final state as payload, or {run_id, error}
    result  id, and the reply's JSON text as payload; or error (what the call came to); or ask {node, visit, request_id,
            nth, prompt, options, input_type, kind} (to be asked first, then the call is made again under a new id)
    until   until                                                        from now on: run to the "end", or one "step"
    stop                                                                 give up the running visit and end

Process to engine:
    ready   pid, import_seconds
    started node, visit, attempt, at, plan {attempts, last, pause, timeout} (left out: the only one, without a timeout)
    attempt node, visit, attempt, started_at, ended_at, failure {type, message, traceback, cause, next_step}
    step    seq, node, visit, attempt, started_at, ended_at, next, reason, condition, errors, changed,
            delta (length), blobs [[hash, length or 0 if the engine has it from this process], ...], snapshot (length)
            in mode dag also taken, refused (ids of nodes), own (length).
            outcome (left out, "fallback", or "skipped" with failure: it failed, and the run goes on all the same)
            payload: delta, own, blobs, snapshot, one after the other.    `next` null ends the run
    request node, visit, request_id, nth, kind, prompt, options, input_type, hash,
            due (null, or when a request of kind timer is answered by itself),
            again (kind subflow: this process was told that the call failed, and makes it anew)
    call    id, node, visit, key (the idempotency key of the visit or the item), nth (of its calls with this request),
            kind (llm, http, tool), hash (of the request). payload: the request's JSON text. Many may be under way
    dropped id                                                      the code has given up that call and works on
    spent   key                              the try that made calls under this key failed: they are made anew
    withdrawn key                                                   the code has given up that request and works on
    waits   keys                              (mode dag) nothing goes on before one of these requests is answered
    failed  node, visit, attempt, failure                          the run has failed (its `attempt` frame came before)
    broken  failure                                                the code can't be imported or a class is missing
    ended                                                          nothing is left to do, and no step says so
    paused  seq                                                    `until` is reached; the process ends

Log lines go over a pipe of their own as records: `!I length`, then the JSON text of
`[at, level number, stream, node, visit, attempt, text]`; stream is stdout, stderr or log. A whole number in place of
the text says how many lines over the limit were not sent. What reaches file descriptors 1 and 2 from below Python goes
over a third pipe as raw bytes and belongs to the run.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any

try:
    import orjson

    def encode_json(value: Any) -> bytes:
        """The compact JSON text of a value."""
        return orjson.dumps(value)

    decode_json: Callable[[bytes], Any] = orjson.loads
except ImportError:

    def encode_json(value: Any) -> bytes:
        """The compact JSON text of a value."""
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()

    decode_json = json.loads

PREFIX = struct.Struct("!II")
RECORD_PREFIX = struct.Struct("!I")

HEADER_LIMIT = 64 * 1024 * 1024
PAYLOAD_LIMIT = 1024 * 1024 * 1024
RUN_HEADER_LIMIT = 8 * 1024 * 1024
"""What the engine takes of a run process: its headers are decoded on the event loop."""
TEXT_LIMIT = 64 * 1024
"""Longest message or traceback of a failure, in characters."""
RECORD_LIMIT = 128 * 1024
"""Longest log record in bytes."""
LINE_LIMIT = 16 * 1024
"""Longest line of a log in bytes; longer ones are cut into several."""

LOG_LINES = 50_000
LOG_BYTES = 8 * 1024 * 1024
"""How much of a run's output is kept where the engine names no limits."""
IMPORT_SECONDS = 9.5
"""How long the workflow's imports may take: less than the engine waits, because this side can say what hangs."""


class WireError(Exception):
    """The bytes on the wire are not frames."""


def encode_frame(header: dict[str, Any], payload: bytes = b"") -> bytes:
    """One frame as bytes."""
    text = encode_json(header)
    return b"".join((PREFIX.pack(len(text), len(payload)), text, payload))


class FrameReader:
    """Cuts a stream of bytes into frames; headers longer than `header_limit` bytes are refused."""

    def __init__(self, header_limit: int = HEADER_LIMIT) -> None:
        self._begun = bytearray()
        self._needed = 0
        self._header_limit = header_limit

    def feed(self, data: bytes) -> list[tuple[dict[str, Any], bytes]]:
        """Add bytes as they came and return the frames that are complete.

        Raises WireError on absurd lengths and on headers that are not JSON objects with a kind.
        """
        if self._begun:
            self._begun += data
            if len(self._begun) < self._needed:
                return []
            data = bytes(self._begun)
            self._begun.clear()
        frames: list[tuple[dict[str, Any], bytes]] = []
        start, size = 0, len(data)
        self._needed = PREFIX.size
        while size - start >= PREFIX.size:
            header_length, payload_length = PREFIX.unpack_from(data, start)
            if header_length > self._header_limit or payload_length > PAYLOAD_LIMIT:
                raise WireError(f"a frame of {header_length} + {payload_length} bytes")
            body = start + PREFIX.size
            end = body + header_length + payload_length
            if end > size:
                self._needed = end - start
                break
            payload_start = body + header_length
            frames.append((_decode_header(data[body:payload_start]), data[payload_start:end]))
            start = end
        if start < size:
            self._begun += data[start:]
        return frames


def _decode_header(text: bytes) -> dict[str, Any]:
    try:
        header = decode_json(text)
    except ValueError as error:
        raise WireError(f"a header that is not JSON: {error}") from error
    if not isinstance(header, dict) or not isinstance(header.get("t"), str):
        raise WireError("a header without a kind")
    return header
