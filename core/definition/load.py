"""Load a workflow: its graph, its code as text, its version and everything that is wrong with it.

Nothing is imported or executed, and nothing raises for what a folder holds: it becomes a finding.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from core.definition.code_index import ENTRY, CodeIndex
from core.definition.finding import Finding, Report, errors_of
from core.definition.json_text import JsonProblem, parse_json
from core.definition.lint import lint_code, lint_entry, lint_graph
from core.definition.lint_subflow import check_neighbours
from core.definition.text import did_you_mean, visible
from core.definition.version import FolderReader, folder_problem, listed_path_problem, version_hash
from core.errors import WorkspaceMissing
from core.flow.graph import Graph

_JSON_CODES = {"syntax": "E101", "value": "E101", "limit": "E114", "duplicate": "E114"}


@dataclass(frozen=True, slots=True)
class LoadedWorkflow:
    """A workflow as its files say, good or broken.

    `folder` is None for a stored version; `version` is None where the files could not all be read, and `files` holds
    exactly the files the version is made of. `graph` is None where the JSON does not give one; with errors in
    `findings` it is good for drawing only. `tools` are the names in tools.json.
    """

    name: str
    folder: Path | None
    version: str | None
    graph: Graph | None
    files: dict[str, bytes]
    findings: list[Finding]
    code: CodeIndex
    tools: list[str] = field(default_factory=list)

    @property
    def errors(self) -> list[Finding]:
        """The findings that keep this version from running."""
        return errors_of(self.findings)

    @property
    def runnable(self) -> bool:
        """True when there is a graph, a version and no error."""
        return self.graph is not None and self.version is not None and not self.errors

    def sources(self) -> dict[str, str]:
        """The text of every Python file that is valid UTF-8, by path."""
        return _texts({path: content for path, content in self.files.items() if path.endswith(".py")}, Report())


def list_folders(workflows_dir: Path) -> list[Path]:
    """The folders that hold a workflow, by name; none where the folder of the workflows is not there.

    A folder counts when it holds NAME.json or nodes.py, or can't be looked into: `load_folder` then says why. Raises
    WorkspaceMissing where the folder of the workflows is there but can't be read.
    """
    try:
        names = sorted(os.listdir(workflows_dir))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise WorkspaceMissing(
            f"The folder of the workflows can't be read: {visible(str(workflows_dir))}",
            cause=error.strerror or type(error).__name__,
            next_step="Make it readable, or name another workspace with --workspace DIR",
        ) from error
    return [workflows_dir / name for name in names if _is_workflow(workflows_dir / name)]


def load_folder(folder: Path) -> LoadedWorkflow:
    """The workflow in a folder, as the files are now."""
    if folder.name in ("", ".."):
        folder = folder.resolve()
    name, report = folder.name, Report()
    problem = folder_problem(folder)
    if problem is None and visible(name) != name:
        problem = "E112", "The folder's name has characters that can't be shown."
    if problem is not None:
        report.add(*problem)
        return LoadedWorkflow(visible(name), folder, None, None, {}, report.finish(), CodeIndex({}))
    reader = FolderReader(folder, name, report)
    reader.read_own()
    document = _read_json(f"{name}.json", reader.files, report)
    reader.read_listed(_listed(document))
    version = version_hash(reader.files) if reader.complete and reader.files else None
    return _assemble(name, folder, version, reader.files, document, report, complete=reader.complete)


def load_sources(name: str, files: Mapping[str, bytes]) -> LoadedWorkflow:
    """The workflow that stored files make: what `load_folder` gave when they were read."""
    own, report = dict(files), Report()
    document = _read_json(f"{name}.json", own, report)
    for index, text in _listed(document).items():
        problem = listed_path_problem(text)
        if not problem and str(PurePosixPath(text)) not in own:
            problem = "is listed but not there"
        if problem:
            report.add("E113", f"{text!r} {problem}.", path=("files", index))
    return _assemble(name, None, version_hash(own), own, document, report, complete=True)


def _is_workflow(folder: Path) -> bool:
    name = folder.name
    if name.startswith(".") or name == "__pycache__" or not os.path.isdir(folder):
        return False
    try:
        os.stat(os.path.join(folder, "."))  # refused for a folder that may not be looked into
        return os.path.lexists(folder / f"{name}.json") or os.path.lexists(folder / ENTRY)
    except OSError:
        return True


def _assemble(
    name: str,
    folder: Path | None,
    version: str | None,
    files: dict[str, bytes],
    document: Any,
    report: Report,
    *,
    complete: bool,
) -> LoadedWorkflow:
    """Check what was read; where not all of it could be, nothing is said to be missing."""
    json_file = f"{name}.json"
    code = CodeIndex(_texts({path: content for path, content in files.items() if path.endswith(".py")}, report))
    lint_code(code, report)
    graph: Graph | None = None
    if document is not None:
        graph = _read_graph(name, folder, document, code, report)
    elif json_file not in files and complete:
        report.add(
            "E110", f"{json_file} is missing.", file=json_file, hint="It holds the graph, under the folder's name."
        )
    if ENTRY not in files and complete:
        lint_entry(graph, report)
    tools = _tool_names(_read_json("tools.json", files, report))
    json_text = files.get(json_file, b"").decode(errors="replace").removeprefix("\ufeff")
    return LoadedWorkflow(name, folder, version, graph, files, report.finish(json_file, json_text), code, tools)


def _read_graph(name: str, folder: Path | None, document: Any, code: CodeIndex, report: Report) -> Graph | None:
    """Check the document's shape, then what its parts say of each other."""
    # Imported here because pydantic is slow to import, and whoever only needs a finding should not pay for it.
    from core.definition import model as shape

    for key, limit in (("nodes", shape.NODE_LIMIT), ("edges", shape.EDGE_LIMIT)):
        items = document.get(key) if isinstance(document, dict) else None
        if isinstance(items, list) and len(items) > limit:
            report.add("E114", f"More than {limit} {key}.", path=(key,))
            return None
    model, problems = shape.check_document(document)
    for path, message in problems:
        report.add("E102", message, path=path, node=_node_at(document, path))
    if model is None:
        return None
    for path, key, known in shape.unknown_keys(document):
        hint = "" if report.full("warning") else did_you_mean(key, known)
        report.add("W203", f"The key {key!r} is not known here and is not used.", path=path, hint=hint)
    lint_graph(model, code, report)
    if folder is not None:
        check_neighbours(model, folder, report)
    inputs = _read_inputs(model.inputs, report)
    return shape.graph_of(model, name, inputs)


def _read_inputs(inputs: Any, report: Report) -> dict[str, Any] | None:
    """The workflow's input schema where it is one."""
    if inputs is None:
        return None
    from core.definition.inputs import schema_problem

    problem = schema_problem(inputs)
    if problem is not None:
        path, message = problem
        report.add("E117", message, path=("inputs", *path), hint="inputs is a JSON Schema of type object.")
        return None
    return dict(inputs)


def _read_json(path: str, files: Mapping[str, bytes], report: Report) -> Any:
    """The value of a JSON file, or None with a finding (without one where the file is not there)."""
    if path not in files:
        return None
    text = _text(path, files[path], report)
    if text is None:
        return None
    try:
        value = parse_json(text)
    except JsonProblem as problem:
        code = _JSON_CODES[problem.kind]
        report.add(code, problem.message, file=path, line=problem.line, column=problem.column, hint=problem.hint)
        return None
    if value is None:
        report.add("E102", "The document must be an object.", file=path, line=1, column=1)
    return value


def _texts(files: Mapping[str, bytes], report: Report) -> dict[str, str]:
    """The files as text; those that are not UTF-8 are reported and left out."""
    texts = {path: _text(path, content, report) for path, content in files.items()}
    return {path: text for path, text in texts.items() if text is not None}


def _text(path: str, content: bytes, report: Report) -> str | None:
    try:
        return content.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        report.add("E112", "Not UTF-8 text.", file=path, line=line, column=0, hint="Save the file as UTF-8.")
        return None


def _listed(document: Any) -> dict[int, str]:
    """The texts under `files` by their position, whatever else is wrong with the document."""
    listed = document.get("files") if isinstance(document, dict) else None
    items = enumerate(listed) if isinstance(listed, list) else ()
    return {index: text for index, text in items if isinstance(text, str)}


def _tool_names(document: Any) -> list[str]:
    """The names in tools.json: a list of names or of objects with a name, or an object by name."""
    if isinstance(document, dict) and isinstance(document.get("tools"), list | dict):
        document = document["tools"]
    if isinstance(document, dict):
        document = list(document)
    names: list[str] = []
    for entry in document if isinstance(document, list) else ():
        name = entry.get("name") if isinstance(entry, dict) else entry
        if isinstance(name, str):
            names.append(visible(name))
    return names


def _node_at(document: Any, path: tuple[str | int, ...]) -> str | None:
    """The id of the node that a place in the document belongs to, where it has one."""
    if len(path) < 2 or path[0] != "nodes" or not isinstance(path[1], int):
        return None
    node_id = document["nodes"][path[1]].get("id") if isinstance(document["nodes"][path[1]], dict) else None
    return node_id if isinstance(node_id, str) else None
