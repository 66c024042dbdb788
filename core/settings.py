"""Settings: the user's `settings.toml`, the workspace's `rondo.toml` over it; defaults stand here and nowhere else.

Nothing in these files can stop Rondo: what can't be read or understood is left out, and `rondo doctor` names it.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from core.places import Workspace, config_folder

USER_FILE = "settings.toml"
WORKSPACE_FILE = "rondo.toml"
FILE_LIMIT = 1024 * 1024
LOOK_SECONDS = 1.0
"""How long values that were read are used before the files are looked at again."""
DEFAULT = "default"
"""The source of a value that no file sets."""

Number = int | float


def _setting(default: Number, text: str, *, least: Number = 0, most: Number = 1_000_000_000) -> Any:
    """A number with its bounds and the sentence that explains it."""
    return field(default=default, metadata={"text": text, "least": least, "most": most})


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """`[engine]`: the engine of a workspace."""

    max_runs: int = _setting(16, "Run processes at once; further runs are queued.", least=1, most=1000)
    idle_minutes: float = _setting(15.0, "How long an engine that nobody needs stays.", least=0.05)
    keep_environment_days: float = _setting(30.0, "How long an environment of packages stays that no run used.")
    keep_process_seconds: float = _setting(30.0, "How long a run that waits keeps its process.")


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """`[limits]` for every workflow, `[workflows.NAME]` for one. 0 means no limit, but for the two of the log."""

    max_runs: int = _setting(0, "Run processes of one workflow at once; 0: as many as the engine has.")
    memory_mb: int = _setting(4000, "Memory of a run's process with all it started, in MB of 1,000,000 bytes; 0: any.")
    cpu_seconds: float = _setting(86_400.0, "CPU time of a run's process with all it started; 0: any.")
    log_lines: int = _setting(50_000, "Lines of output that are kept of one run.", least=100)
    log_mb: float = _setting(8.0, "Output that is kept of one run, in MB of 1,000,000 bytes.", least=0.01, most=10_000)


@dataclass(frozen=True, slots=True)
class BudgetSettings:
    """`[budget]`: what calls of models may use before somebody is asked; 0 means no limit.

    Those of a run may stand under `[workflows.NAME]` too. A day begins at midnight, local time.
    """

    run_dollars: float = _setting(0.0, "US dollars that the model calls of one run may cost; 0: any.")
    run_tokens: int = _setting(0, "Tokens, in and out, of the model calls of one run; 0: any.")
    run_calls: int = _setting(1000, "Model calls of one run; 0: any.")
    day_dollars: float = _setting(0.0, "US dollars that all model calls of one day may cost; 0: any.")
    day_tokens: int = _setting(0, "Tokens, in and out, of all model calls of one day; 0: any.")
    day_calls: int = _setting(0, "Model calls of one day; 0: any.")


@dataclass(frozen=True, slots=True)
class SettingProblem:
    """What is wrong in a settings file; `line` is 0 where the whole file is meant."""

    file: str
    line: int
    key: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class EffectiveSetting:
    """One value as it holds, with where it comes from: a file's path, or "default"."""

    key: str
    value: Number
    default: Number
    source: str
    text: str


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings as they hold for one workspace; `sources` names the file of each key that one sets."""

    engine: EngineSettings = EngineSettings()
    limits: LimitSettings = LimitSettings()
    budget: BudgetSettings = BudgetSettings()
    workflows: Mapping[str, Mapping[str, Number]] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    """The files that were looked for, in the order in which they were read."""
    problems: tuple[SettingProblem, ...] = ()

    def limits_of(self, workflow: str) -> LimitSettings:
        """The limits that hold for the runs of a workflow."""
        limits: LimitSettings = _with_own(self.limits, self.workflows.get(workflow, {}))
        return limits

    def budget_of(self, workflow: str) -> BudgetSettings:
        """The budgets that hold for the runs of a workflow."""
        budget: BudgetSettings = _with_own(self.budget, self.workflows.get(workflow, {}))
        return budget

    def limit_place(self, workflow: str, name: str, section: str = "limits") -> str:
        """Where a person changes a limit of a workflow: key and file, as a part of a sentence."""
        key = f"workflows.{workflow}.{name}" if name in self.workflows.get(workflow, {}) else f"{section}.{name}"
        section, _, _ = key.rpartition(".")
        return f"{name} under [{section}] in {self.sources.get(key) or self.files[-1]}"

    def effective(self) -> Iterator[EffectiveSetting]:
        """Every setting with its value and source, in the order of the documentation."""
        for section in SECTIONS:
            values = getattr(self, section)
            for entry in fields(values):
                key = f"{section}.{entry.name}"
                value: Number = getattr(values, entry.name)
                source = self.sources.get(key, DEFAULT)
                yield EffectiveSetting(key, value, _default(entry), source, entry.metadata["text"])
        known = {entry.name: entry for entry in OF_WORKFLOWS}
        for workflow, values in self.workflows.items():
            for name, value in values.items():
                key = f"workflows.{workflow}.{name}"
                default: Number = getattr(self.budget if hasattr(self.budget, name) else self.limits, name)
                yield EffectiveSetting(key, value, default, self.sources[key], known[name].metadata["text"])


SECTIONS: Mapping[str, type[Any]] = {"engine": EngineSettings, "limits": LimitSettings, "budget": BudgetSettings}
WORKFLOWS = "workflows"
OF_WORKFLOWS = (
    *fields(LimitSettings),
    *(entry for entry in fields(BudgetSettings) if entry.name.startswith("run_")),
)
"""What may stand under `[workflows.NAME]`."""


def _with_own(values: Any, own: Mapping[str, Number]) -> Any:
    """The values of a section with those of a workflow over them."""
    known = {entry.name for entry in fields(values)}
    over: dict[str, Any] = {name: value for name, value in own.items() if name in known}
    return dataclasses.replace(values, **over) if over else values


def settings_files(workspace: Workspace) -> tuple[Path, Path]:
    """The user's file and the workspace's, which goes over it."""
    return config_folder() / USER_FILE, workspace.root / WORKSPACE_FILE


def read_settings(workspace: Workspace) -> Settings:
    """Read both files; never raises, what is wrong is among `problems`."""
    reading = _Reading()
    paths = settings_files(workspace)
    for path in paths:
        reading.read(path)
    return Settings(
        engine=EngineSettings(**reading.values["engine"]),
        limits=LimitSettings(**reading.values["limits"]),
        budget=BudgetSettings(**reading.values["budget"]),
        workflows=reading.workflows,
        sources=reading.sources,
        files=tuple(str(path) for path in paths),
        problems=tuple(reading.problems),
    )


class LiveSettings:
    """The settings as they are now: read again once a file has changed, without anybody's doing."""

    def __init__(self, workspace: Workspace, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._workspace = workspace
        self._monotonic = monotonic
        self._looked_at = -math.inf
        self._seen: tuple[Any, ...] = ()
        self._settings = Settings()

    @property
    def now(self) -> Settings:
        """The present settings; the files are looked at no more than once a second."""
        moment = self._monotonic()
        if moment - self._looked_at >= LOOK_SECONDS:
            self._looked_at = moment
            seen = tuple(_stamp(path) for path in settings_files(self._workspace))
            if seen != self._seen:
                self._seen = seen
                self._settings = read_settings(self._workspace)
        return self._settings


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """What changes with a file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


class _Reading:
    """Collects values from files; a later file's value replaces an earlier one's."""

    def __init__(self) -> None:
        self.values: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
        self.workflows: dict[str, dict[str, Number]] = {}
        self.sources: dict[str, str] = {}
        self.problems: list[SettingProblem] = []
        self._path = Path()
        self._lines: list[str] = []

    def read(self, path: Path) -> None:
        """Take one file; one that is not there sets nothing."""
        self._path, self._lines = path, []
        try:
            with path.open("rb") as file:
                text = file.read(FILE_LIMIT + 1).decode()
        except FileNotFoundError:
            return
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            self._problem((), f"the file can't be read: {reason}", "Mend or remove it; its settings don't hold.")
            return
        self._lines = text.splitlines()
        try:
            if len(text) > FILE_LIMIT:
                raise tomllib.TOMLDecodeError("it is longer than 1 MiB")
            document = tomllib.loads(text)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            found = re.search(r"at line (\d+)", str(error))
            self._problem(
                (),
                f"the file is not TOML: {error}",
                "Mend that line; until then no setting of this file holds.",
                line=int(found[1]) if found else 0,
            )
            return
        self._take(document)

    def _take(self, document: Mapping[str, Any]) -> None:
        for section, content in document.items():
            if section not in SECTIONS and section != WORKFLOWS:
                self._unknown((section,), [*SECTIONS, WORKFLOWS], "section")
            elif not isinstance(content, dict):
                self._problem((section,), f"{section} must be a table", f"Write [{section}] and its settings below it.")
            elif section == WORKFLOWS:
                self._take_workflows(content)
            else:
                for name, value in self._checked((section,), content, fields(SECTIONS[section])):
                    self.values[section][name] = value

    def _take_workflows(self, content: Mapping[str, Any]) -> None:
        for workflow, values in content.items():
            if not isinstance(values, dict):
                hint = f"Write [{WORKFLOWS}.NAME] with the workflow's name, and the limit below it."
                self._problem((WORKFLOWS, workflow), f"{WORKFLOWS}.{workflow} must be a table", hint)
                continue
            for name, value in self._checked((WORKFLOWS, workflow), values, OF_WORKFLOWS):
                self.workflows.setdefault(workflow, {})[name] = value

    def _checked(
        self, section: tuple[str, ...], content: Mapping[str, Any], entries: Iterable[dataclasses.Field[Any]]
    ) -> Iterator[tuple[str, Number]]:
        """The settings of a table that are known and fit; the others become problems."""
        known = {entry.name: entry for entry in entries}
        for name, value in content.items():
            if name not in known:
                self._unknown((*section, name), list(known), "setting")
                continue
            refusal = _refusal(value, known[name])
            if refusal:
                held = "The value from before holds: the user's file or the default."
                self._problem((*section, name), f"{'.'.join((*section, name))} {refusal}; got {value!r}", held)
                continue
            self.sources[".".join((*section, name))] = str(self._path)
            yield name, value

    def _unknown(self, key: tuple[str, ...], known: list[str], what: str) -> None:
        close = difflib.get_close_matches(key[-1], known, n=1)
        hint = f"Did you mean {close[0]}?" if close else f"There are: {', '.join(known)}."
        self._problem(key, f"there is no {what} {'.'.join(key)}", f"{hint} It has no effect.")

    def _problem(self, key: tuple[str, ...], message: str, hint: str, *, line: int | None = None) -> None:
        if line is None:
            line = _line_of(self._lines, key)
        self.problems.append(SettingProblem(str(self._path), line, ".".join(key), message, hint))


def _refusal(value: Any, entry: dataclasses.Field[Any]) -> str:
    """What a value must be, where it is something else."""
    whole = isinstance(_default(entry), int)
    least, most = entry.metadata["least"], entry.metadata["most"]
    kinds = (int,) if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not math.isfinite(value):
        return f"must be a {'whole number' if whole else 'number'}"
    if not least <= value <= most:
        return f"must be between {least} and {most}"
    return ""


def _default(entry: dataclasses.Field[Any]) -> Number:
    default: Any = entry.default
    value: Number = default
    return value


def _header(line: str) -> tuple[str, ...] | None:
    """The table that a line opens."""
    found = re.match(r"\s*\[\s*([^\[\]]+?)\s*\]", line)
    return tuple(part.strip().strip("\"'") for part in found[1].split(".")) if found else None


def _line_of(lines: list[str], key: tuple[str, ...]) -> int:
    """Where a key stands, as far as the text shows it; 0 where it does not."""
    table: tuple[str, ...] = ()
    for number, line in enumerate(lines, start=1):
        opened = _header(line)
        if opened is not None:
            table = opened
            if table == key:
                return number
            continue
        name, separator, _ = line.partition("=")
        if separator and (*table, *(part.strip().strip("\"'") for part in name.split("."))) == key:
            return number
    return 0
