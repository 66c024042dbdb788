"""GitHub by its REST API."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

from core.errors import ToolProblem, ToolRateLimited
from core.tools.direct.service import DirectAction, OAuth, Service, Session, number, text, texts
from core.tools.http import Answer
from core.tools.provider import Effects

_REPOSITORY = {"owner": text("Who the repository belongs to."), "repo": text("The repository's name.")}
_NUMBER = {"type": "integer", "minimum": 1, "description": "The number of the issue or pull request."}


async def _who(session: Session) -> str:
    return str((await session.get("/user")).get("login", ""))


def _repository(args: Mapping[str, Any]) -> str:
    return f"/repos/{quote(args['owner'], safe='')}/{quote(args['repo'], safe='')}"


async def _issues(session: Session, args: Mapping[str, Any]) -> Any:
    query = {"state": args.get("state", "open"), "labels": ",".join(args.get("labels", [])), "since": args.get("since")}
    found, more = await _paged(session, f"{_repository(args)}/issues", query, int(args.get("limit", 30)))
    return {"issues": [_issue(one) for one in found], "more": more}


async def _get_issue(session: Session, args: Mapping[str, Any]) -> Any:
    return _issue(await session.get(f"{_repository(args)}/issues/{args['number']}"))


async def _create_issue(session: Session, args: Mapping[str, Any]) -> Any:
    body = {name: args[name] for name in ("title", "body", "labels", "assignees") if args.get(name)}
    return _issue(await session.post(f"{_repository(args)}/issues", body))


async def _pull_request(session: Session, args: Mapping[str, Any]) -> Any:
    one = await session.get(f"{_repository(args)}/pulls/{args['number']}")
    keys = ("draft", "merged", "mergeable", "commits", "additions", "deletions", "changed_files")
    branches = {"head": (one.get("head") or {}).get("ref"), "base": (one.get("base") or {}).get("ref")}
    return _issue(one) | {key: one.get(key) for key in keys} | branches


async def _comments(session: Session, args: Mapping[str, Any]) -> Any:
    path = f"{_repository(args)}/issues/{args['number']}/comments"
    found, more = await _paged(session, path, {}, int(args.get("limit", 30)))
    return {"comments": [_comment(one) for one in found], "more": more}


async def _create_comment(session: Session, args: Mapping[str, Any]) -> Any:
    path = f"{_repository(args)}/issues/{args['number']}/comments"
    return _comment(await session.post(path, {"body": args["body"]}))


async def _paged(
    session: Session, path: str, query: Mapping[str, Any], limit: int
) -> tuple[list[dict[str, Any]], bool]:
    found: list[dict[str, Any]] = []
    size, page = min(100, limit), 1
    while True:
        items = await session.get(path, {**query, "per_page": size, "page": page})
        found += items
        if len(items) < size or len(found) >= limit:
            return found[:limit], len(items) == size
        page += 1


def _issue(one: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("number", "title", "state", "body", "html_url", "created_at", "updated_at", "comments")
    return {key: one.get(key) for key in keys} | {
        "author": (one.get("user") or {}).get("login"),
        "labels": [label.get("name") if isinstance(label, dict) else label for label in one.get("labels") or []],
        "is_pull_request": "pull_request" in one or "merged" in one,
    }


def _comment(one: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("id", "body", "html_url", "created_at")
    return {key: one.get(key) for key in keys} | {"author": (one.get("user") or {}).get("login")}


def _problem(answer: Answer, effects: Effects) -> ToolProblem | None:
    """GitHub says with 403 that there were too many calls, and when there may be more."""
    if answer.status not in (403, 429):
        return None
    headers = answer.headers
    if "retry-after" not in headers and headers.get("x-ratelimit-remaining") != "0":
        return None
    after: float | None = None
    if "retry-after" in headers:
        after = _seconds(headers["retry-after"])
    elif "x-ratelimit-reset" in headers and "date" in headers:
        reset = _seconds(headers["x-ratelimit-reset"])
        after = max(0.0, reset - parsedate_to_datetime(headers["date"]).timestamp()) if reset is not None else None
    return ToolRateLimited(
        "GitHub takes no more calls for now.",
        cause=str(answer.object().get("message") or "Its limit of calls is reached."),
        next_step="Wait, then try again.",
        details={"retry_after": after} if after is not None else None,
    )


def _seconds(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None


GITHUB = Service(
    name="github",
    title="GitHub",
    description="Issues, pull requests and their comments.",
    base_url="https://api.github.com",
    token_names=("GITHUB_TOKEN", "GH_TOKEN"),
    token_help="A personal access token that may read and write issues and pull requests.",
    oauth=OAuth("https://github.com/login/oauth/access_token"),
    who=_who,
    problem=_problem,
    headers={"accept": "application/vnd.github+json", "x-github-api-version": "2022-11-28", "user-agent": "rondo"},
    actions=(
        DirectAction(
            "list_issues",
            "List issues of a repository; pull requests are among them.",
            "read",
            _issues,
            {
                **_REPOSITORY,
                "state": {"enum": ["open", "closed", "all"], "default": "open"},
                "labels": texts("Only with these labels."),
                "since": text("Only changed since this time, in ISO 8601."),
                "limit": number("How many.", 30, 1000),
            },
            ("owner", "repo"),
        ),
        DirectAction(
            "get_issue",
            "Get one issue.",
            "read",
            _get_issue,
            {**_REPOSITORY, "number": _NUMBER},
            ("owner", "repo", "number"),
        ),
        DirectAction(
            "create_issue",
            "Open an issue.",
            "write",
            _create_issue,
            {
                **_REPOSITORY,
                "title": text("The title."),
                "body": text("The text, in Markdown."),
                "labels": texts("Labels."),
                "assignees": texts("Who it is for."),
            },
            ("owner", "repo", "title"),
        ),
        DirectAction(
            "get_pull_request",
            "Get one pull request.",
            "read",
            _pull_request,
            {**_REPOSITORY, "number": _NUMBER},
            ("owner", "repo", "number"),
        ),
        DirectAction(
            "list_comments",
            "Read what was said on an issue or a pull request.",
            "read",
            _comments,
            {**_REPOSITORY, "number": _NUMBER, "limit": number("How many.", 30, 1000)},
            ("owner", "repo", "number"),
        ),
        DirectAction(
            "create_comment",
            "Say something on an issue or a pull request.",
            "write",
            _create_comment,
            {**_REPOSITORY, "number": _NUMBER, "body": text("The text, in Markdown.")},
            ("owner", "repo", "number", "body"),
        ),
    ),
)
