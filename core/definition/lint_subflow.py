"""What is wrong with the nodes of a graph that run other workflows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.definition.finding import Report
from core.definition.json_text import JsonProblem, parse_json
from core.definition.text import did_you_mean

if TYPE_CHECKING:
    from core.definition.model import WorkflowModel

_DEPTH = 8
"""How far others are looked into for a cycle: no run is nested deeper."""
_LARGEST = 1024 * 1024
"""Bytes of another workflow's JSON that are read for it."""


def check_subflows(model: WorkflowModel, problem_of: Callable[[str], str], report: Report) -> None:
    """Report nodes that are half subflow, and expressions that are none. `problem_of` says what is wrong with one."""
    for position, node in enumerate(model.nodes):
        place = ("nodes", position)
        if node.subflow is None:
            for key in ("inputs", "output"):
                if getattr(node, key) is not None:
                    message = f"{node.id!r} has {key}, which means something beside subflow only."
                    report.add("W203", message, path=(*place, key), node=node.id)
            continue
        for key, there in (("class", "class_name" in node.model_fields_set), ("config", node.config is not None)):
            if there:
                message = f"{node.id!r} runs the workflow {node.subflow!r}, so it can't have {key}, too."
                hint = (
                    "Take one of the two out." if key == "class" else "Give the other workflow what it needs in inputs."
                )
                report.add("E120", message, path=(*place, key), node=node.id, hint=hint)
        for key, values in (("inputs", node.inputs), ("output", node.output)):
            for name, value in values.items() if isinstance(values, dict) else ():
                problem = problem_of(value) if isinstance(value, str) else ""
                if isinstance(value, str) and not value.strip():
                    problem = "the expression is empty"
                if problem:
                    problem = problem.replace("the condition", "the expression")
                    hint = f"A text is a Python expression over shared; one that is meant as it stands: {repr(value)!r}"
                    message = f"{key}[{name!r}] of {node.id!r}: {problem}."
                    report.add("E108", message, path=(*place, key, name), node=node.id, hint=hint)


def check_neighbours(model: WorkflowModel, folder: Path, report: Report) -> None:
    """Report subflows that are not beside the workflow's folder, and those that lead back to it."""
    wanted: dict[str, bool] = {}
    for position, node in enumerate(model.nodes):
        name = node.subflow
        if name is None:
            continue
        path = ("nodes", position, "subflow")
        if not _is_there(folder.parent, name):
            known = [path.name for path in folder.parent.iterdir() if _is_there(folder.parent, path.name)]
            message = f"There is no workflow {name!r} beside this one."
            report.add("W211", message, path=path, node=node.id, hint=did_you_mean(name, known))
            continue
        if name not in wanted:
            wanted[name] = name == folder.name or _leads_to(folder.parent, name, folder.name)
        if wanted[name]:
            message = (
                f"{name!r} runs {folder.name!r} in turn: it must come to an end before it is nested {_DEPTH} deep."
            )
            if name == folder.name:
                message = (
                    f"{node.id!r} runs its own workflow: it must come to an end before it is nested {_DEPTH} deep."
                )
            report.add("N304", message, path=path, node=node.id)


def _is_there(workflows: Path, name: str) -> bool:
    return Path(name).name == name and (workflows / name / f"{name}.json").is_file()


def _leads_to(workflows: Path, name: str, target: str) -> bool:
    seen, level = {name}, [name]
    for _ in range(_DEPTH):
        following = {found for known in level for found in _subflows_of(workflows / known / f"{known}.json")}
        if target in following:
            return True
        level = [found for found in following - seen if _is_there(workflows, found)]
        seen |= following
    return False


def _subflows_of(file: Path) -> Iterable[str]:
    """The workflows that another one's nodes run, as far as its file can be read."""
    try:
        document: Any = parse_json(file.read_text("utf-8")) if file.stat().st_size <= _LARGEST else None
    except (OSError, ValueError, JsonProblem):
        return ()
    nodes = document.get("nodes") if isinstance(document, dict) else None
    found = [node.get("subflow") for node in nodes if isinstance(node, dict)] if isinstance(nodes, list) else []
    return {name for name in found if isinstance(name, str)}
