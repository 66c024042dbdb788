from __future__ import annotations

import asyncio
import struct

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.link import framing
from core.link.framing import FramingError, encode_frame, read_frame

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


async def frames_of(parts: list[bytes]) -> list[bytes]:
    reader = asyncio.StreamReader()

    async def feed() -> None:
        for part in parts:
            reader.feed_data(part)
            await asyncio.sleep(0)
        reader.feed_eof()

    feeding = asyncio.create_task(feed())
    frames = []
    while (frame := await read_frame(reader)) is not None:
        frames.append(frame)
    await feeding
    return frames


@given(st.lists(JSON, max_size=5), st.data())
def test_messages_arrive_whole_however_the_bytes_are_cut(messages: list[object], data: st.DataObject) -> None:
    stream = b"".join(encode_frame(message) for message in messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    parts = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert [msgspec.json.decode(frame) for frame in asyncio.run(frames_of(parts))] == messages


@given(JSON, st.data())
def test_a_connection_that_breaks_inside_a_message_gives_no_part_of_it(message: object, data: st.DataObject) -> None:
    stream = encode_frame(message)
    cut = data.draw(st.integers(0, len(stream) - 1))
    assert asyncio.run(frames_of([stream[:cut]])) == []


async def test_a_length_that_is_absurd_is_refused_before_any_memory_is_taken() -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(struct.pack(">I", framing.FRAME_LIMIT + 1))
    with pytest.raises(FramingError):
        await read_frame(reader)


def test_a_message_over_the_limit_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(framing, "FRAME_LIMIT", 10)
    assert encode_frame("12345678")
    with pytest.raises(FramingError):
        encode_frame("123456789")
