from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.runner.wire import PREFIX, FrameReader, WireError, encode_frame

headers = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(st.characters(exclude_categories=["Cs"])),
).map(lambda header: header | {"t": "x"})


@given(st.lists(st.tuples(headers, st.binary())), st.lists(st.integers(0, 2000)))
def test_frames_come_out_as_they_went_in_however_the_stream_is_cut(
    frames: list[tuple[dict[str, Any], bytes]], cuts: list[int]
) -> None:
    stream = b"".join(encode_frame(header, payload) for header, payload in frames)
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    reader = FrameReader()
    found = [frame for start, end in pairwise(edges) for frame in reader.feed(stream[start:end])]
    assert found == frames


@given(st.binary())
def test_any_bytes_are_frames_or_a_clear_refusal(data: bytes) -> None:
    reader = FrameReader(header_limit=1000)
    try:
        for header, _ in reader.feed(data):
            assert isinstance(header["t"], str)
    except WireError as error:
        assert str(error)


@pytest.mark.parametrize("text", [b"[]", b'{"t": 1}', b"{}", b"nonsense", b"\xff\xff", b""])
def test_a_header_that_is_none_is_refused(text: bytes) -> None:
    with pytest.raises(WireError):
        FrameReader().feed(PREFIX.pack(len(text), 0) + text)


def test_a_header_beyond_the_limit_is_refused_before_it_is_there() -> None:
    with pytest.raises(WireError, match="1001"):
        FrameReader(header_limit=1000).feed(PREFIX.pack(1001, 0))


def test_frames_are_the_same_without_orjson() -> None:
    header = {"t": "step", "text": "é\x00\U0001f600", "n": [1, 2.5, None, True]}
    code = "import sys; sys.modules['orjson'] = None\nfrom core.runner.wire import encode_frame\n"
    code += f"sys.stdout.buffer.write(encode_frame({header!r}, b'p'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert FrameReader().feed(done.stdout) == [(header, b"p")] == FrameReader().feed(encode_frame(header, b"p"))
    assert json.loads(done.stdout[8:-1]) == header
