"""Templates: small workflows that do something useful without a model, an account or a network.

Each is a folder here with the files of a workflow named `template`; `template.json` in it stands for NAME.json.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from core.errors import UsageError

NAMES = ("approval", "batch", "csv_summary", "retry_or_ask", "text_report")
GRAPH = "template.json"
_FOLDER = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Template:
    """What a template is: `asks` are the inputs and questions that a run of it wants."""

    name: str
    title: str
    description: str
    nodes: int
    asks: list[str] = field(default_factory=list)


@cache
def templates() -> tuple[Template, ...]:
    """Every template, by name."""
    return tuple(_template(name) for name in NAMES)


def read_template(template: str, name: str) -> dict[str, bytes]:
    """The files of a new workflow of that name, made from a template. Raises UsageError for a template not there."""
    if template not in NAMES:
        raise UsageError(
            f"There is no template {template!r}.",
            cause=f"The templates are {', '.join(NAMES)}.",
            next_step="Name one of them, or list them: rondo new --list",
        )
    folder = _FOLDER / template
    document = json.loads((folder / GRAPH).read_text(encoding="utf-8"))
    document.pop("template")
    graph = {"name": name, **{key: value for key, value in document.items() if key != "name"}}
    files = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != GRAPH and "__pycache__" not in path.parts
    }
    files = {path.removesuffix(".txt") if path.endswith(".py.txt") else path: data for path, data in files.items()}
    text = json.dumps(graph, ensure_ascii=False, indent=2) + "\n"
    return {f"{name}.json": text.encode(), "tools.json": b"[]\n", **files}


def _template(name: str) -> Template:
    document = json.loads((_FOLDER / name / GRAPH).read_text(encoding="utf-8"))
    about = document["template"]
    return Template(name, about["title"], document["description"], len(document["nodes"]), list(about["asks"]))
