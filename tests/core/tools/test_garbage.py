"""What others left in files and headers: garbage is passed over, and a clock that was put back makes nothing fresh."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.errors import ToolSettingsProblem, ToolUnknown, ToolUnreachable
from core.tools import http
from core.tools.cache import SchemaCache
from core.tools.composio.wire import slug
from core.tools.http import rate_limited, retry_after
from core.tools.mcp.config import read_servers
from core.tools.mcp.trust import Trust
from core.tools.pins import read_pins
from core.tools.provider import App

DEEP = b"[" * 100_000
GMAIL = App("gmail", "Gmail", "composio")


def test_a_tools_json_that_nobody_can_read_names_no_tools() -> None:
    for content in (DEEP, b'{"tools":' * 50_000, b"\xff\xfe", b"NaN", b'{"tools": 3}x', b""):
        assert read_pins(content) == {}


def test_garbage_among_what_is_kept_of_apps_counts_as_missing(tmp_path: Path) -> None:
    cache = SchemaCache(tmp_path, lambda: 1000.0)
    cache.put("composio", "app gmail", [GMAIL])
    [file] = (tmp_path / "composio").iterdir()
    document = json.loads(file.read_text())
    empty = json.dumps({**document, "apps": []}).encode()
    for content in (DEEP, b"\0" * 5000, b"[]", b"{}", empty):
        file.write_bytes(content)
        assert cache.get("composio", "app gmail") is None, content[:20]


def test_what_was_kept_before_the_clock_was_put_back_is_not_taken_as_fresh(tmp_path: Path) -> None:
    clock = 2_000_000_000.0
    cache = SchemaCache(tmp_path, lambda: clock)
    cache.put("composio", "app gmail", [GMAIL])
    kept = cache.get("composio", "app gmail")
    assert kept is not None and cache.fresh(kept, 3600)
    clock -= 86400 * 1000
    assert not cache.fresh(kept, 3600)
    assert cache.age(kept) == 0.0, "it can still be shown where nobody can be asked"


@pytest.mark.parametrize("text", ["inf", "-inf", "nan", "1e999", "9" * 500, "soon", "Mon, 32 Foo 99 99:99:99 GMT"])
def test_a_retry_after_that_makes_no_sense_is_none(text: str) -> None:
    assert retry_after({"retry-after": text}) is None
    assert "Its limit of calls is reached" in rate_limited("Slack", {"retry-after": text}).cause


@pytest.mark.parametrize("name", ["", " ", ".", ".."])
def test_a_name_that_would_lead_elsewhere_is_none(name: str) -> None:
    with pytest.raises(ToolUnknown, match="is no name"):
        slug(name)
    assert slug("a/../b?c") == "a%2F..%2Fb%3Fc"


@pytest.mark.parametrize("address", ["http://[::1", "http://127.0.0.1:99999", "http://127.0.0.1:port", "not a url", ""])
async def test_an_address_that_is_none_is_said_to_be_out_of_reach(address: str) -> None:
    client = http.ServiceClient("Composio", address)
    try:
        with pytest.raises(ToolUnreachable, match="can't be reached"):
            await client.send("POST", "/x", effects="write")
    finally:
        await client.close()


def test_settings_and_trust_that_are_nested_without_end_are_said_or_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "mcp.json"
    file.write_bytes(DEEP)
    with pytest.raises(ToolSettingsProblem, match="nested too deeply"):
        read_servers([file])
    (tmp_path / "abc.json").write_bytes(DEEP)
    assert Trust(tmp_path).of("abc") is None
