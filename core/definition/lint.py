"""What is wrong with a workflow, without running any of it.

Errors keep a version from running; warnings and notes do not.

| code | meaning |
|---|---|
| E101 | a JSON file is not JSON |
| E102 | the graph's JSON has a wrong shape: a key is missing, or its value is of another kind |
| E103 | the graph has no nodes |
| E104 | a node names a class that the code does not have |
| E105 | an edge, or `on_error: goto:`, leads from or to a node that is not there |
| E106 | two nodes have one id |
| E107 | `start` names no node |
| E108 | a condition, or an expression in `inputs` or `output` of a subflow, is not a Python expression |
| E109 | a Python file has a syntax error |
| E110 | NAME.json or nodes.py is missing |
| E111 | a class that the graph names is not a node |
| E112 | a file or folder can't be read, is too large, or is not UTF-8 |
| E113 | a path under `files` is missing or leaves the folder |
| E114 | a JSON file is too large, nested too deeply, or has a key twice |
| E115 | a graph of mode dag has a cycle |
| E117 | `inputs` is not a JSON Schema of an object |
| E118 | a link leaves the folder of the workflows |
| E119 | `on_error: goto:` in a workflow of mode dag |
| E120 | a node that runs a workflow (`subflow`) has a class or a config, too |
| W201 | a node can't be reached from the start |
| W202 | several default edges leave a node; only the first is taken |
| W203 | an unknown key |
| W205 | the code goes to a node that is not there |
| W206 | a link to a folder is not followed |
| W207 | a relative import at the top of the workflow's folder, which is not a package |
| W208 | `start` names one of several nodes at which a workflow of mode dag begins, or none of them |
| W209 | a key that means something in mode dag only, in a workflow of mode machine |
| W210 | `max_parallel` contradicts the strategy |
| W211 | `subflow` names a workflow that is not there |
| N301 | a class comes from outside the workflow's files, so it can't be checked without running it |
| N302 | there are more findings than are listed |
| N303 | the code of a node in a workflow of mode dag chooses the next node |
| N304 | a workflow runs itself, by itself or by way of another one |
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from core.definition.code_index import ENTRY, CodeIndex, Found
from core.definition.finding import Report
from core.definition.lint_dag import check_dag, check_keys_of_dag
from core.definition.lint_subflow import check_subflows
from core.definition.python_source import ClassInfo, SyntaxProblem, parse_python
from core.definition.text import did_you_mean

if TYPE_CHECKING:
    from core.definition.model import NodeModel, WorkflowModel
    from core.flow.graph import Graph

_CONDITION_LIMIT = 10_000
"""Longest condition in characters."""


def lint_code(index: CodeIndex, report: Report) -> None:
    """Report every file that is not Python."""
    for file, problem in index.problems.items():
        report.add("E109", f"Not Python: {problem.message}.", file=file, line=problem.line, column=problem.column)
    for file, item in index.outward_imports():
        hint = f"Write it without the leading dot{'s' if item.level > 1 else ''}."
        report.add(
            "W207", f"{item} can't be imported: {file} is not in a package.", file=file, line=item.line, hint=hint
        )


def lint_entry(graph: Graph | None, report: Report) -> None:
    """Report a nodes.py that is missing, unless every node is another workflow."""
    if graph is None or not graph.nodes or not all(node.subflow for node in graph.nodes.values()):
        report.add("E110", f"{ENTRY} is missing.", file=ENTRY, hint="It holds the classes of the nodes.")


def lint_graph(model: WorkflowModel, index: CodeIndex, report: Report) -> None:
    """Report what is wrong between the parts of a graph whose shape is right."""
    if not model.nodes:
        report.add("E103", "The graph has no nodes.", path=("nodes",))
        return
    ids = {node.id for node in model.nodes}
    _check_ids(model, ids, report)
    _check_edges(model, ids, report)
    check_subflows(model, _condition_problem, report)
    classes = {name: index.class_of(name) for name in {node.class_name for node in model.nodes}}
    has_classes = index.has_entry or all(node.subflow is not None for node in model.nodes)
    if index.has_entry:
        _check_classes(model, index, report)
        _check_targets(ids, classes, report)
    if model.mode == "dag":
        check_dag(model, classes, report)
        return
    check_keys_of_dag(model, report)
    if has_classes:
        _check_reachable(model, classes, report)
    _check_defaults(model, classes, report)


def _check_ids(model: WorkflowModel, ids: set[str], report: Report) -> None:
    """Report ids given twice, and a start or an `on_error` that names no node."""
    seen: set[str] = set()
    for position, node in enumerate(model.nodes):
        if node.id in seen:
            report.add("E106", f"Two nodes have the id {node.id!r}.", path=("nodes", position, "id"), node=node.id)
        seen.add(node.id)
        reaction = node.on_error or "fail"
        target = reaction.removeprefix("goto:").strip()
        if reaction.startswith("goto:") and target not in ids:
            message = f"on_error of {node.id!r} goes to {target!r}, which is not a node."
            _add_unknown_id(report, message, target, ids, ("nodes", position, "on_error"), node.id)
    if model.start is not None and model.start not in ids:
        hint = did_you_mean(model.start, ids)
        report.add("E107", f"The start {model.start!r} is not a node.", path=("start",), hint=hint)


def _add_unknown_id(
    report: Report, message: str, target: str, ids: set[str], path: tuple[str | int, ...], node: str | None = None
) -> None:
    hint = "" if report.full() else did_you_mean(target, ids) or "Name a node that is there."
    report.add("E105", message, path=path, node=node, hint=hint)


def _check_edges(model: WorkflowModel, ids: set[str], report: Report) -> None:
    """Report edges whose ends are not there and conditions that are not expressions."""
    for position, edge in enumerate(model.edges or ()):
        name = f"The edge {edge.from_id!r} → {edge.to_id!r}"
        for key, end, word in (("from", edge.from_id, "comes from"), ("to", edge.to_id, "goes to")):
            if end not in ids:
                message = f"{name} {word} {end!r}, which is not a node."
                _add_unknown_id(report, message, end, ids, ("edges", position, key))
        problem = _condition_problem((edge.condition or "").strip())
        if problem:
            node = edge.from_id if edge.from_id in ids else None
            report.add(
                "E108", f"{name}: {problem}.", path=("edges", position, "condition"), node=node, hint=_CONDITION_HINT
            )


_CONDITION_HINT = "A condition is a Python expression over shared, such as shared['score'] > 80."


def _condition_problem(condition: str) -> str:
    """Why a condition can't be evaluated, or the empty text; it is parsed and nothing more."""
    if not condition:
        return ""
    if len(condition) > _CONDITION_LIMIT:
        return f"the condition is longer than {_CONDITION_LIMIT} characters"
    if not all(character.isprintable() or character in "\n\t" for character in condition):
        return "the condition has characters that can't be seen; write them as escapes such as \\x1b"
    tree = parse_python(condition, "eval")
    return f"the condition is not a Python expression: {tree.message}" if isinstance(tree, SyntaxProblem) else ""


def _check_classes(model: WorkflowModel, index: CodeIndex, report: Report) -> None:
    """Report classes that are missing, are no nodes, or can't be looked at."""
    noted: set[str] = set()
    for position, node in enumerate(model.nodes):
        name = node.class_name
        if node.subflow is not None:
            continue
        lookup = index.look_up(name)
        path = ("nodes", position, "class")
        if lookup.found is Found.UNKNOWN and not report.full():
            hint = lookup.reason or did_you_mean(name, index.node_names())
            report.add("E104", f"No class {name!r} in {ENTRY}.", path=path, node=node.id, hint=hint)
        elif lookup.found is Found.UNKNOWN:
            report.add("E104", f"No class {name!r} in {ENTRY}.", path=path, node=node.id)
        elif lookup.found is Found.NOT_A_NODE:
            place = f" ({lookup.info.file}:{lookup.info.line})" if lookup.info is not None else ""
            message = f"{name!r}{place} is not a node: {lookup.reason}"
            report.add("E111", message, path=path, node=node.id, hint="from grapheteria import Node")
        elif lookup.found is Found.ELSEWHERE and name not in noted:
            noted.add(name)
            report.add(
                "N301", f"{name!r} can't be checked without running it: {lookup.reason}.", path=path, node=node.id
            )


def _check_targets(ids: set[str], classes: Mapping[str, ClassInfo | None], report: Report) -> None:
    """Report ids in the code that it goes to and that are no nodes."""
    for name in sorted(classes):
        info = classes[name]
        for target in sorted(info.targets - ids) if info is not None else ():
            assert info is not None
            message = f"{name} goes to {target!r}, which is not a node."
            report.add("W205", message, file=info.file, line=info.line, hint=did_you_mean(target, ids))


def _check_reachable(model: WorkflowModel, classes: Mapping[str, ClassInfo | None], report: Report) -> None:
    """Report nodes that nothing leads to; silent where the code of a node that is reached may go anywhere."""
    nodes = {node.id: node for node in model.nodes}
    follows: defaultdict[str, set[str]] = defaultdict(set)
    for edge in model.edges or ():
        follows[edge.from_id].add(edge.to_id)
    for node in model.nodes:
        info = classes[node.class_name]
        follows[node.id] |= info.targets if info is not None else set()
        if node.on_error is not None and node.on_error.startswith("goto:"):
            follows[node.id].add(node.on_error.removeprefix("goto:").strip())
    reached = _reached(follows, model.start if model.start in nodes else model.nodes[0].id)
    if any(_routes_anywhere(nodes[node_id], classes) for node_id in reached if node_id in nodes):
        return
    for position, node in enumerate(model.nodes):
        if node.id not in reached:
            message = f"{node.id!r} can't be reached from the start."
            report.add("W201", message, path=("nodes", position, "id"), node=node.id)


def _routes(node: NodeModel, classes: Mapping[str, ClassInfo | None]) -> bool:
    """True for a node that chooses the next one itself."""
    info = classes[node.class_name]
    return _is_agent(node) or (info is not None and info.routes)


def _routes_anywhere(node: NodeModel, classes: Mapping[str, ClassInfo | None]) -> bool:
    """True for a node whose next node is worked out at run time."""
    info = classes[node.class_name]
    return _is_agent(node) or (info is not None and info.routes_anywhere)


def _is_agent(node: NodeModel) -> bool:
    # The class of an agent says so in its code; the graph can say it for a class that does not.
    return node.config is not None and node.config.get("node_type") == "agent"


def _reached(follows: Mapping[str, Iterable[str]], start: str) -> set[str]:
    reached, waiting = {start}, [start]
    while waiting:
        for target in follows.get(waiting.pop(), ()):
            if target not in reached:
                reached.add(target)
                waiting.append(target)
    return reached


def _check_defaults(model: WorkflowModel, classes: Mapping[str, ClassInfo | None], report: Report) -> None:
    """Report default edges that are never taken; where the code chooses, they only show what it may choose."""
    routing = {node.id for node in model.nodes if _routes(node, classes)}
    seen: set[str] = set()
    for position, edge in enumerate(model.edges or ()):
        if (edge.condition or "").strip() or edge.from_id in routing:
            continue
        if edge.from_id in seen:
            message = f"{edge.from_id!r} has several edges without a condition; only the first is taken."
            report.add(
                "W202", message, path=("edges", position), node=edge.from_id, hint="Give it a condition, or remove it."
            )
        seen.add(edge.from_id)
