"""Changes in words: the titles of groups, and what is said of nodes, edges, settings and code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from core.assistant.graph_text import condition
from core.assistant.json_edit import same
from core.definition.difference import diff_files
from core.definition.graph_difference import fields_changed
from core.definition.text import shortened, visible

if TYPE_CHECKING:
    from core.assistant.grouping import Change
    from core.assistant.units import Values

Sign = Literal["+", "-", "~"]

TITLE_LENGTH = 120
_NAMED = 3


def class_of(node: Mapping[str, Any]) -> str:
    """What a node is: its class, or the workflow that it runs."""
    return shortened(f"runs {node['subflow']}" if node.get("subflow") else str(node.get("class", "")), 60)


def node_text(name: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> str:
    """A change of a node on one line."""
    shown = shortened(name, 60)
    if before is None:
        rest = {key: value for key, value in (after or {}).items() if key not in ("id", "class", "subflow")}
        said = fields_changed({}, rest)
        return f"{shown}  {class_of(after or {})}" + (f"  ({said})" if said else "")
    if after is None:
        return f"{shown}  {class_of(before)}"
    return f"{shown}  {fields_changed(before, after)}"


def edge_lines(
    ends: Sequence[str], before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[Sign, int, str]]:
    """The changes of the edges between two nodes: sign, number (of the new edges, of the old one where it is gone)."""
    name = " → ".join(shortened(end, 60) for end in ends)
    gone, come = list(enumerate(before, 1)), list(enumerate(after, 1))
    for number, edge in list(gone):
        equal = next((item for item in come if same(item[1], edge)), None)
        if equal is not None:
            come.remove(equal)
            gone.remove((number, edge))
    for (_, old), (number, new) in zip(gone, come, strict=False):
        yield "~", number, f"{name}  {fields_changed(old, new)}"
    for number, edge in gone[len(come) :]:
        yield "-", number, name + _when(edge)
    for number, edge in come[len(gone) :]:
        yield "+", number, name + _when(edge)


def setting_text(key: str, before: Any, after: Any) -> str:
    """A change of a setting on one line."""
    old, new = ({key: value} if value is not None else {} for value in (before, after))
    return fields_changed(old, new)


def code_diff(file: str, before: str | bytes | None, after: str | bytes | None) -> str:
    """A unified diff of one part of a file."""
    old, new = ({} if side is None else {file: _ended(side)} for side in (before, after))
    found = diff_files(old, new)
    return found[0].diff if found else ""


def group_title(group: str, own: Sequence[Change], before: Values, after: Values) -> str:
    """A group on one line: "+ weekday_gate  WeekdayGate  between start and fetch"."""
    kind, _, name = group.partition(":")
    shown = visible(name)
    if kind == "node":
        return shortened(_node_title(name, own, before, after), TITLE_LENGTH)
    first = own[0]
    if kind == "edges":
        lines = [*edge_lines(first.unit[1:], before.get(first.unit) or [], after.get(first.unit) or [])]
        sign, _, text = lines[0] if lines else ("~", 0, shown)
        return shortened(f"{sign} {text}", TITLE_LENGTH)
    if kind == "setting":
        return shortened(
            f"{first.sign} {setting_text(name, before.get(first.unit), after.get(first.unit))}", TITLE_LENGTH
        )
    if kind == "module":
        sign = first.sign if len({change.sign for change in own}) == 1 else "~"
        return shortened(f"{sign} {shown}  {_module_words(own)}", TITLE_LENGTH)
    if kind == "code":
        users = [unit[1] for unit, node in after.items() if unit[0] == "node" and node.get("class") == name]
        said = f"  code of {_listed(users)}" if users else ""
        return shortened(f"{first.sign} {shown}{said}", TITLE_LENGTH)
    sign = "+" if all(c.sign == "+" for c in own) else "-" if all(c.sign == "-" for c in own) else "~"
    return shortened(f"{sign} {shown}", TITLE_LENGTH)


def _node_title(name: str, own: Sequence[Change], before: Values, after: Values) -> str:
    unit = ("node", name)
    renamed = next((change.unit[1] for change in own if change.unit[0] == "node" and change.unit != unit), None)
    code = any(change.unit[0] == "def" for change in own)
    if renamed is not None:
        return f"~ {renamed}  renamed to {name}" + (", code changed" if code else "")
    if unit not in before:
        return f"+ {name}  {class_of(after[unit])}  {_place(name, after)}".rstrip()
    if unit not in after:
        return f"- {name}  {class_of(before[unit])}  {_place(name, before)}".rstrip()
    said = fields_changed(before[unit], after[unit])
    return f"~ {name}  {class_of(after[unit])}  {said}" + (", code changed" if code else "")


def _place(name: str, side: Values) -> str:
    """Where a node stands among the others."""
    above = [unit[1] for unit in side if unit[0] == "edges" and unit[2] == name and unit[1] != name]
    below = [unit[2] for unit in side if unit[0] == "edges" and unit[1] == name and unit[2] != name]
    if len(above) == 1 and len(below) == 1:
        return f"between {above[0]} and {below[0]}"
    if above:
        return f"after {_listed(above)}"
    return f"before {_listed(below)}" if below else ""


def _module_words(own: Sequence[Change]) -> str:
    imports = [change.unit[2] for change in own if change.unit[0] == "import"]
    return _listed(imports) if len(imports) == len(own) else "code between the classes"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_NAMED])
    return f"{shown} and {len(names) - _NAMED} more" if len(names) > _NAMED else shown


def _when(edge: Mapping[str, Any]) -> str:
    said = condition(edge)
    return f"  when {shortened(said, 60)}" if said else ""


def _ended(side: str | bytes) -> bytes:
    return side if isinstance(side, bytes) else f"{side}\n".encode()
