"""A draft: a shadow copy of a workflow's files that is edited in whole, revision-checked batches.

A batch is carried out wholly or not at all. A draft touches no disk; between turns it is kept as JSON.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from core.assistant.operations import apply_operations
from core.assistant.problem import EditProblem, EditRefused
from core.assistant.source import apply_definition
from core.assistant.splice import Splice, changed_files, revert
from core.definition.code_index import ENTRY
from core.definition.load import LoadedWorkflow, load_sources
from core.definition.version import COUNT_LIMIT, FILE_LIMIT, listed_path_problem, version_hash
from core.errors import ProposalProblem

REVISION_LIMIT = 500
"""A draft of more batches than this is no longer what one conversation is about."""

Mode = Literal["add", "replace", "delete"]


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch that was carried out: `what` is graph, source or files; `done` says it as it was asked for, in JSON."""

    rev: int
    what: str
    done: Any
    why: str
    splices: tuple[Splice, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The batch as the model is told of it."""
        return {"rev": self.rev, "what": self.what, "done": self.done, "why": self.why}


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of a batch: `rev` is the draft's revision now; `since` are the batches that a stale one missed."""

    ok: bool
    rev: int
    errors: tuple[EditProblem, ...] = ()
    since: tuple[Batch, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """`{ok, rev, errors}`, and `since` where there is any."""
        document: dict[str, Any] = {
            "ok": self.ok,
            "rev": self.rev,
            "errors": [problem.to_json() for problem in self.errors],
        }
        if self.since:
            document["since"] = [batch.to_json() for batch in self.since]
        return document


@dataclass(slots=True)
class Draft:
    """The files of a workflow as they are (`base`) and as they are to be (`files`), by path.

    `base` is empty for a workflow that is not there yet.
    """

    name: str
    base: dict[str, bytes]
    files: dict[str, bytes]
    rev: int = 0
    batches: list[Batch] = field(default_factory=list)

    @classmethod
    def of(cls, name: str, files: Mapping[str, bytes] | None = None) -> Draft:
        """A draft that changes nothing yet; without files one of a new workflow."""
        return cls(name, dict(files or {}), dict(files or {}))

    # What can be asked of it -------------------------------------------------------------------------------------

    @property
    def edited(self) -> bool:
        """True where a file is not as it was."""
        return self.files != self.base

    @property
    def base_version(self) -> str | None:
        """The version that is changed; None for a new workflow."""
        return version_hash(self.base) if self.base else None

    @property
    def version(self) -> str:
        """The version that the draft would give."""
        return version_hash(self.files)

    def loaded(self) -> LoadedWorkflow:
        """The draft read and linted as a workflow."""
        return load_sources(self.name, self.files)

    # Edits -------------------------------------------------------------------------------------------------------

    def apply_graph(self, base_rev: int, ops: Sequence[Any], why: str = "") -> Reply:
        """Carry out operations on the graph (see `core.assistant.operations`), all or none."""
        done = list(ops) if isinstance(ops, list | tuple) else []
        return self._apply(base_rev, "graph", lambda: apply_operations(self.name, self.files, ops), done, why)

    def apply_source(
        self, base_rev: int, name: str, mode: Mode, code: str = "", why: str = "", file: str = ENTRY
    ) -> Reply:
        """Add, replace or delete a whole class, function or constant at the top level of a Python file.

        The code may begin with imports, which are merged into the file's own.
        """
        done = {"name": name, "mode": mode} | ({"file": file} if file != ENTRY else {})
        return self._apply(base_rev, "source", lambda: apply_definition(self.files, file, name, mode, code), done, why)

    def apply_files(self, base_rev: int, contents: Mapping[str, str | bytes | None], why: str = "") -> Reply:
        """Put whole files in place, such as tools.json; None takes one away. Not for the model."""
        done = {path: "removed" if content is None else "written" for path, content in contents.items()}
        return self._apply(base_rev, "files", lambda: self._with_files(contents), done, why)

    def back_to(self, rev: int) -> None:
        """Take back every batch after a revision, exactly; the revision goes on rising.

        What was taken back before does not come again.
        """
        if not 0 <= rev <= self.rev:
            raise ProposalProblem(f"The draft has no revision {rev}.", next_step="Name one of its revisions.")
        while self.batches and self.batches[-1].rev > rev:
            self.files = revert(self.files, self.batches.pop().splices)
            self.rev += 1

    def _apply(self, base_rev: int, what: str, edit: Callable[[], dict[str, bytes]], done: Any, why: str) -> Reply:
        """Carry out an edit if it was made for the revision that the draft has."""
        if base_rev != self.rev or isinstance(base_rev, bool):
            return self._stale(base_rev)
        if len(self.batches) >= REVISION_LIMIT:
            return Reply(False, self.rev, (EditProblem("limit", f"A draft has at most {REVISION_LIMIT} batches."),))
        try:
            files = edit()
            _check_size(files)
        except EditRefused as refused:
            return Reply(False, self.rev, refused.problems)
        splices = changed_files(self.files, files)
        if not splices:
            return Reply(True, self.rev)
        self.rev += 1
        self.files = files
        self.batches.append(Batch(self.rev, what, done, why, splices))
        return Reply(True, self.rev)

    def _stale(self, base_rev: Any) -> Reply:
        problem = EditProblem(
            "stale",
            f"The draft is at revision {self.rev}, not {base_rev!r}; nothing was done.",
            path="base_rev",
            hint="since says what was done meanwhile; ask again for what is still wanted.",
        )
        known = base_rev if isinstance(base_rev, int) else self.rev
        return Reply(False, self.rev, (problem,), tuple(batch for batch in self.batches if batch.rev > known))

    def _with_files(self, contents: Mapping[str, str | bytes | None]) -> dict[str, bytes]:
        files = dict(self.files)
        for path, content in contents.items():
            problem = listed_path_problem(path)
            if problem:
                raise EditRefused(EditProblem("path", f"{path!r} {problem}.", path=path))
            if content is None:
                files.pop(path, None)
            else:
                files[path] = content.encode() if isinstance(content, str) else content
        return files

    # The plain form ----------------------------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        """The draft as JSON values."""
        changed = {path: _kept(content) for path, content in self.files.items() if self.base.get(path) != content}
        return {
            "name": self.name,
            "rev": self.rev,
            "base": {path: _kept(content) for path, content in self.base.items()},
            "changed": changed,
            "removed": sorted(self.base.keys() - self.files.keys()),
            "batches": [
                batch.to_json() | {"splices": [splice.to_json() for splice in batch.splices]} for batch in self.batches
            ],
        }

    @classmethod
    def from_json(cls, form: Mapping[str, Any]) -> Draft:
        """From the plain form; raises ProposalProblem where it is none."""
        try:
            base = {path: _content(kept) for path, kept in form["base"].items()}
            changed = {path: _content(kept) for path, kept in form["changed"].items()}
            files = {path: content for path, content in base.items() if path not in form["removed"]} | changed
            batches = [
                Batch(
                    int(entry["rev"]),
                    str(entry["what"]),
                    entry["done"],
                    str(entry["why"]),
                    tuple(Splice.from_json(splice) for splice in entry["splices"]),
                )
                for entry in form["batches"]
            ]
            return cls(str(form["name"]), base, files, int(form["rev"]), batches)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ProposalProblem(
                "The draft that was kept can't be read.",
                cause=f"{type(error).__name__}: {error}",
                next_step="Ask for the change again.",
            ) from error


def _kept(content: bytes) -> str | dict[str, str]:
    """A file as JSON: its text, or base64 where it is none."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}


def _content(kept: str | Mapping[str, str]) -> bytes:
    return kept.encode() if isinstance(kept, str) else base64.b64decode(kept["base64"], validate=True)


def _check_size(files: Mapping[str, bytes]) -> None:
    if len(files) > COUNT_LIMIT:
        raise EditRefused(EditProblem("limit", f"A workflow has at most {COUNT_LIMIT} files."))
    for path, content in files.items():
        if len(content) > FILE_LIMIT:
            raise EditRefused(EditProblem("limit", f"{path} would be larger than {FILE_LIMIT} bytes.", path=path))
