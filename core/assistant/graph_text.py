"""The graph of a workflow as its JSON says it: read, changed in place, and written so that the rest keeps its bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.assistant.json_edit import JsonText
from core.assistant.problem import EditProblem, EditRefused
from core.definition.json_text import SIZE_LIMIT, JsonProblem

BYTE_ORDER_MARK = "\ufeff"


class GraphText:
    """The document of NAME.json; `nodes` and `edges` are its lists, to be changed in place. Raises EditRefused.

    A file that is not there is an empty graph.
    """

    def __init__(self, path: str, content: bytes | None) -> None:
        self.path = path
        self._mark = ""
        text = _decoded(path, content) if content is not None else '{\n  "nodes": [],\n  "edges": []\n}\n'
        if text.startswith(BYTE_ORDER_MARK):
            self._mark, text = BYTE_ORDER_MARK, text[1:]
        try:
            if len(text) > SIZE_LIMIT:
                raise JsonProblem("limit", f"The file is larger than {SIZE_LIMIT} bytes.")
            self._json = JsonText(text)
        except JsonProblem as problem:
            place = f"{path}:{problem.line}"
            raise EditRefused(EditProblem("E101", problem.message, path=place, hint=_BY_HAND)) from None
        self.document: dict[str, Any] = self._json.value
        if not isinstance(self.document, dict):
            raise EditRefused(EditProblem("E102", "The document is not an object.", path=path, hint=_BY_HAND))
        self.nodes = self._objects("nodes")
        self.edges = self._objects("edges")

    def _objects(self, key: str) -> list[dict[str, Any]]:
        value = self.document.get(key)
        items: list[dict[str, Any]] = [] if value is None else value
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise EditRefused(
                EditProblem("E102", f"{key} is not a list of objects.", path=f"{self.path} {key}", hint=_BY_HAND)
            )
        return items

    def content(self) -> bytes:
        """The file with what was changed; raises EditRefused for a value that no JSON file can hold."""
        if self.nodes or "nodes" in self.document:
            self.document["nodes"] = self.nodes
        if self.edges or self.document.get("edges") is not None:
            self.document["edges"] = self.edges
        try:
            text = self._json.rewritten(self.document)
            JsonText(text)
            return (self._mark + text).encode()
        except JsonProblem as problem:
            raise EditRefused(EditProblem("value", problem.message, hint="Nothing was changed.")) from None
        except (TypeError, ValueError, RecursionError) as error:
            message = f"A value can't be written as JSON: {type(error).__name__}."
            raise EditRefused(EditProblem("value", message, hint="Nothing was changed.")) from None


def graph_file(name: str) -> str:
    """The path of a workflow's graph."""
    return f"{name}.json"


def read_graph(name: str, files: Mapping[str, bytes]) -> GraphText:
    """The graph among a workflow's files."""
    return GraphText(graph_file(name), files.get(graph_file(name)))


def node_id(node: Mapping[str, Any]) -> str:
    """A node's id as the graph knows it; numbers are ids, too."""
    return id_text(node.get("id"))


def id_text(value: Any) -> str:
    """An id as text; the empty text for what is none."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def ends(edge: Mapping[str, Any]) -> tuple[str, str]:
    """From where to where an edge leads."""
    return id_text(edge.get("from")), id_text(edge.get("to"))


def condition(edge: Mapping[str, Any]) -> str:
    """An edge's condition; the empty text for a default edge."""
    value = edge.get("condition")
    return value.strip() if isinstance(value, str) else ""


def goto_target(node: Mapping[str, Any]) -> str:
    """The node that `on_error` leads to, or the empty text."""
    value = node.get("on_error")
    return value.removeprefix("goto:").strip() if isinstance(value, str) and value.startswith("goto:") else ""


def _decoded(path: str, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise EditRefused(EditProblem("E112", "Not UTF-8 text.", path=path, hint=_BY_HAND)) from None


_BY_HAND = "The graph's file must be mended by hand before it can be edited here."
