"""Frames between the engine and a run process.

A frame is two big-endian 32-bit lengths, a header (JSON text) and a payload (opaque bytes):
`!II header_length payload_length`, header, payload. Each header has `t` (its kind) and `e` (the epoch of the process).

Engine to process:
    init    run, line, workflow, version, graph (native JSON), sources {path: text of every *.py}, folder (live path),
            output_dir, run_key (text that idempotency keys are made from), seq (last committed), next (node to enter),
            visits {node: completed visits}, attempts (attempts of the next visit already used up),
            answers [{key, hash, answer}] (recorded for the next visit), until ("end" or "step"),
            deltas_since_snapshot [bytes, steps], limits {}.            payload: the state's JSON text
    ack     seq                                                          step `seq` is durable
    answer  key, value                                                   a request of this process was answered
    stop                                                                 give up the running visit and end

Process to engine:
    ready   pid, import_seconds
    started node, visit, attempt, at
    attempt node, visit, attempt, started_at, ended_at, failure {type, message, traceback, cause, next_step}
    step    seq, node, visit, attempt, started_at, ended_at, next, reason, condition, errors, changed,
            delta (length), blobs [[hash, length or 0 if the engine has it from this process], ...], snapshot (length)
            payload: delta, blobs, snapshot, one after the other.         `next` null ends the run
    request node, visit, request_id, nth, kind, prompt, options, input_type, hash
    failed  node, visit, attempt, failure                                the run has failed (its `attempt` frame came before)
    broken  failure                                                      the code can't be imported or a class is missing
    paused  seq                                                          `until` is reached; the process ends

Log lines go over a pipe of their own as records: `!I length`, then the JSON text of
`[at, level number, stream, node, visit, attempt, text]`. What reaches file descriptors 1 and 2 from below Python goes over a
third pipe as raw bytes and belongs to the run.
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


class WireError(Exception):
    """The bytes on the wire are not frames."""


def encode_frame(header: dict[str, Any], payload: bytes = b"") -> bytes:
    """One frame as bytes."""
    text = encode_json(header)
    return PREFIX.pack(len(text), len(payload)) + text + payload


class FrameReader:
    """Cuts a stream of bytes into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[dict[str, Any], bytes]]:
        """Add bytes as they came and return the frames that are complete; raises WireError on absurd lengths."""
        buffer = self._buffer
        buffer += data
        frames: list[tuple[dict[str, Any], bytes]] = []
        start = 0
        while len(buffer) - start >= PREFIX.size:
            header_length, payload_length = PREFIX.unpack_from(buffer, start)
            if header_length > HEADER_LIMIT or payload_length > PAYLOAD_LIMIT:
                raise WireError(f"a frame of {header_length} + {payload_length} bytes")
            end = start + PREFIX.size + header_length + payload_length
            if len(buffer) < end:
                break
            body = start + PREFIX.size
            header = decode_json(bytes(buffer[body : body + header_length]))
            frames.append((header, bytes(buffer[body + header_length : end])))
            start = end
        if start:
            del buffer[:start]
        return frames
