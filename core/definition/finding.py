"""What checking a workflow found, and the report that gathers it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from core.definition.json_text import Path as JsonPath
from core.definition.json_text import find_positions
from core.definition.text import shortened, visible

Severity = Literal["error", "warning", "note"]

_SEVERITIES: dict[str, Severity] = {"E": "error", "W": "warning", "N": "note"}
_LIMITS: dict[Severity, int] = {"error": 100, "warning": 50, "note": 20}
"""How many findings of a severity are kept: apart, so that warnings never push out an error."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong or worth knowing; the codes are listed in `core.definition.lint`.

    `file` is relative to the workflow's folder; `line` and `column` count from 1, 0 where they mean nothing.
    """

    code: str
    severity: Severity
    message: str
    file: str = ""
    line: int = 0
    column: int = 0
    node: str | None = None
    hint: str = ""


class Report:
    """Gathers findings; those about the graph's JSON name a path in it and get line and column at the end."""

    def __init__(self) -> None:
        self._entries: dict[Severity, list[tuple[Finding, JsonPath | None]]] = {"error": [], "warning": [], "note": []}
        self._dropped: dict[Severity, int] = {"error": 0, "warning": 0, "note": 0}

    def add(
        self,
        code: str,
        message: str,
        *,
        file: str = "",
        line: int = 0,
        column: int = 0,
        path: JsonPath | None = None,
        node: str | None = None,
        hint: str = "",
    ) -> None:
        """Note a finding; its severity is the first letter of its code. `path` is a place in the graph's JSON."""
        severity = _SEVERITIES[code[0]]
        entries = self._entries[severity]
        if len(entries) >= _LIMITS[severity]:
            self._dropped[severity] += 1
            return
        finding = Finding(
            code=code,
            severity=severity,
            message=shortened(message),
            file=visible(file),
            line=line,
            column=column,
            node=shortened(node) if node is not None else None,
            hint=shortened(hint),
        )
        entries.append((finding, path))

    def full(self, severity: Severity = "error") -> bool:
        """True when further findings of that severity would only be counted."""
        return len(self._entries[severity]) >= _LIMITS[severity]

    def finish(self, json_file: str = "", json_text: str = "") -> list[Finding]:
        """Every finding, errors first, then by file and line; those with a path are placed in the JSON text."""
        paths = {path for entries in self._entries.values() for _, path in entries if path is not None}
        positions = find_positions(json_text, paths) if paths else {}
        findings: list[Finding] = []
        for severity, entries in self._entries.items():
            placed = [_placed(finding, path, json_file, positions) for finding, path in entries]
            findings += sorted(placed, key=lambda finding: (finding.file, finding.line, finding.column))
            if self._dropped[severity]:
                word = {"error": "errors", "warning": "warnings", "note": "notes"}[severity]
                findings.append(Finding("N302", "note", f"{self._dropped[severity]} more {word} are not listed."))
        return findings


def _placed(
    finding: Finding, path: JsonPath | None, json_file: str, positions: dict[JsonPath, tuple[int, int]]
) -> Finding:
    if path is None:
        return finding
    line, column = positions.get(path, (1, 1))
    return replace(finding, file=visible(json_file), line=line, column=column)


def errors_of(findings: Sequence[Finding]) -> list[Finding]:
    """The findings of severity error."""
    return [finding for finding in findings if finding.severity == "error"]
