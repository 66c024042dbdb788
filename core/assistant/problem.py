"""What is wrong with an edit, as the model that asked for it is told."""

from __future__ import annotations

from dataclasses import dataclass

from core.definition.finding import Finding
from core.definition.text import shortened


@dataclass(frozen=True, slots=True)
class EditProblem:
    """One thing that is wrong; `path` says where: `ops[2].set`, or file:line."""

    code: str
    message: str
    node: str = ""
    path: str = ""
    hint: str = ""

    def to_json(self) -> dict[str, str]:
        """`{code, node, path, msg, hint}`, what is empty left out but for code and msg."""
        form = {"code": self.code, "node": self.node, "path": self.path, "msg": self.message, "hint": self.hint}
        return {key: shortened(text) for key, text in form.items() if text or key in ("code", "msg")}

    def __str__(self) -> str:
        """The problem on one line."""
        return shortened(" ".join(part for part in (self.path, self.code, self.message, self.hint) if part))

    @classmethod
    def of(cls, finding: Finding) -> EditProblem:
        """A finding of the lint."""
        place = f"{finding.file}:{finding.line}" if finding.line else finding.file
        return cls(finding.code, finding.message, finding.node or "", place, finding.hint)


class EditRefused(Exception):
    """A batch can't be carried out; it never leaves `core.assistant`: a draft's reply carries the problems."""

    def __init__(self, *problems: EditProblem) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems
