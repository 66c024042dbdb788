"""How messages stand on the wire: a 4-byte big-endian length, then JSON."""

from __future__ import annotations

import asyncio
import struct

import msgspec

FRAME_LIMIT = 64 * 1024 * 1024
"""Longest message in bytes; what claims to be longer is not ours."""

_LENGTH = struct.Struct(">I")
_encoder = msgspec.json.Encoder()


class FramingError(Exception):
    """The bytes on the connection are not frames, or one is too long."""


def encode_frame(message: object) -> bytes:
    """One message as a frame; raises FramingError where it is too long, TypeError or ValueError where it isn't JSON."""
    body = _encoder.encode(message)
    if len(body) > FRAME_LIMIT:
        raise FramingError(f"a message of {len(body):,} bytes; {FRAME_LIMIT:,} is the most")
    return _LENGTH.pack(len(body)) + body


async def read_frame(reader: asyncio.StreamReader) -> bytes | None:
    """The next message's JSON text, or None where the connection has ended, be it in the middle of a frame."""
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        if length > FRAME_LIMIT:
            raise FramingError(f"a frame that claims {length:,} bytes; {FRAME_LIMIT:,} is the most")
        return await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
