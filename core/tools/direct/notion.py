"""Notion by its REST API. Texts are given and taken as plain paragraphs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from core.tools.direct.service import DirectAction, OAuth, Service, Session, number, text

PIECE = 2000
"""Characters of the longest piece of text that Notion takes."""
BLOCKS = 100
"""Blocks that Notion takes at once."""


async def _who(session: Session) -> str:
    me = await session.get("/v1/users/me")
    return str((me.get("bot") or {}).get("workspace_name") or me.get("name") or "")


async def _search(session: Session, args: Mapping[str, Any]) -> Any:
    limit = int(args.get("limit", 20))
    body: dict[str, Any] = {"query": args.get("query", "")}
    if args.get("kind"):
        body["filter"] = {"property": "object", "value": args["kind"]}
    found: list[dict[str, Any]] = []
    more = True
    while more and len(found) < limit:
        page = await session.post("/v1/search", {**body, "page_size": min(100, limit - len(found))}, reads=True)
        found += page.get("results") or []
        more = bool(page.get("has_more") and page.get("next_cursor"))
        body["start_cursor"] = page.get("next_cursor")
    return {"results": [_page(one) for one in found[:limit]], "more": more}


async def _get_page(session: Session, args: Mapping[str, Any]) -> Any:
    number_of = quote(args["page_id"], safe="")
    page = await session.get(f"/v1/pages/{number_of}")
    limit = int(args.get("max_blocks", 500))
    blocks: list[dict[str, Any]] = []
    cursor = ""
    while len(blocks) < limit:
        part = await session.get(
            f"/v1/blocks/{number_of}/children", {"page_size": min(100, limit - len(blocks)), "start_cursor": cursor}
        )
        blocks += part.get("results") or []
        cursor = (part.get("next_cursor") or "") if part.get("has_more") else ""
        if not cursor:
            break
    lines = [_said((one.get(one.get("type", "")) or {}).get("rich_text")) for one in blocks]
    return _page(page) | {"text": "\n".join(lines), "properties": page.get("properties", {}), "more": bool(cursor)}


async def _create_page(session: Session, args: Mapping[str, Any]) -> Any:
    if args.get("database_id"):
        parent = {"database_id": args["database_id"]}
        properties: dict[str, Any] = {args.get("title_property", "Name"): {"title": _rich(args["title"])}}
        properties |= args.get("properties", {})
    else:
        parent = {"page_id": args["parent_page_id"]}
        properties = {"title": {"title": _rich(args["title"])}}
    blocks = _paragraphs(args.get("text", ""))
    body = {"parent": parent, "properties": properties, "children": blocks[:BLOCKS]}
    page = await session.post("/v1/pages", body)
    for start in range(BLOCKS, len(blocks), BLOCKS):
        path = f"/v1/blocks/{quote(page['id'], safe='')}/children"
        await session.post(path, {"children": blocks[start : start + BLOCKS]}, method="PATCH")
    return _page(page)


async def _append(session: Session, args: Mapping[str, Any]) -> Any:
    blocks = _paragraphs(args["text"])
    path = f"/v1/blocks/{quote(args['page_id'], safe='')}/children"
    for start in range(0, len(blocks), BLOCKS):
        await session.post(path, {"children": blocks[start : start + BLOCKS]}, method="PATCH")
    return {"id": args["page_id"], "blocks": len(blocks)}


def _page(one: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": one.get("id"),
        "kind": one.get("object"),
        "title": _title(one),
        "url": one.get("url"),
        "created_time": one.get("created_time"),
        "last_edited_time": one.get("last_edited_time"),
    }


def _title(one: Mapping[str, Any]) -> str:
    if isinstance(one.get("title"), list):
        return _said(one["title"])
    for value in (one.get("properties") or {}).values():
        if isinstance(value, dict) and value.get("type") == "title":
            return _said(value.get("title"))
    return ""


def _said(pieces: Any) -> str:
    return "".join(str(one.get("plain_text", "")) for one in pieces or [] if isinstance(one, dict))


def _rich(words: str) -> list[dict[str, Any]]:
    pieces = [words[start : start + PIECE] for start in range(0, len(words), PIECE)]
    return [{"type": "text", "text": {"content": piece}} for piece in pieces]


def _paragraphs(words: str) -> list[dict[str, Any]]:
    lines = words.splitlines()
    return [{"object": "block", "type": "paragraph", "paragraph": {"rich_text": _rich(line)}} for line in lines]


NOTION = Service(
    name="notion",
    title="Notion",
    description="Find, read, make and extend pages.",
    base_url="https://api.notion.com",
    token_names=("NOTION_TOKEN", "NOTION_API_KEY"),
    token_help="The secret of an internal integration; share the pages with it in Notion.",
    oauth=OAuth("https://api.notion.com/v1/oauth/token", basic=True, json=True),
    who=_who,
    headers={"notion-version": "2022-06-28"},
    actions=(
        DirectAction(
            "search",
            "Find pages and databases by their title.",
            "read",
            _search,
            {
                "query": text("What to look for; everything without it."),
                "kind": {"enum": ["page", "database"], "description": "Only these."},
                "limit": number("How many.", 20, 500),
            },
        ),
        DirectAction(
            "get_page",
            "Read a page with its text.",
            "read",
            _get_page,
            {"page_id": text("The id of the page."), "max_blocks": number("How many blocks.", 500, 5000)},
            ("page_id",),
        ),
        DirectAction(
            "create_page",
            "Make a page below another page, or in a database.",
            "write",
            _create_page,
            {
                "parent_page_id": text("The page that it goes below; or name database_id."),
                "database_id": text("The database that it goes into."),
                "title": text("The title."),
                "text": text("The text; each line is a paragraph."),
                "title_property": text("What the database calls the title.", default="Name"),
                "properties": {"type": "object", "description": "More properties, as Notion's API has them."},
            },
            ("title",),
        ),
        DirectAction(
            "append_text",
            "Put text at the end of a page.",
            "write",
            _append,
            {"page_id": text("The id of the page."), "text": text("The text; each line is a paragraph.")},
            ("page_id", "text"),
        ),
    ),
)
