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

from core.places import Workspace, settings_files
from core.settings_fields import Value, choice, default_of, meant, number, refusal, switch, words

FILE_LIMIT = 1024 * 1024
LOOK_SECONDS = 1.0
"""How long values that were read are used before the files are looked at again."""
DEFAULT = "default"
"""The source of a value that no file sets."""


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """`[engine]`: the engine of a workspace."""

    max_runs: int = number(16, "Run processes at once; further runs are queued.", least=1, most=1000)
    idle_minutes: float = number(15.0, "How long an engine that nobody needs stays.", least=0.05)
    keep_environment_days: float = number(30.0, "How long an environment of packages stays that no run used.")
    keep_process_seconds: float = number(30.0, "How long a run that waits keeps its process.")


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """`[limits]` for every workflow, `[workflows.NAME]` for one. 0 means no limit, but for the two of the log."""

    max_runs: int = number(0, "Run processes of one workflow at once; 0: as many as the engine has.")
    memory_mb: int = number(4000, "Memory of a run's process with all it started, in MB of 1,000,000 bytes; 0: any.")
    cpu_seconds: float = number(86_400.0, "CPU time of a run's process with all it started; 0: any.")
    log_lines: int = number(50_000, "Lines of output that are kept of one run.", least=100)
    log_mb: float = number(8.0, "Output that is kept of one run, in MB of 1,000,000 bytes.", least=0.01, most=10_000)


PROFILES = ("default", "development", "local", "fast", "accurate")
ROLES = ("chat", "planner", "executor", "critic")
EFFORTS = ("", "low", "medium", "high")
_MODEL_FORM = (r"[a-z][a-z0-9_-]*:\S+", "must be a provider and a model, such as anthropic:claude-opus-5-5")
_KEY_FORM = (
    r"[A-Z_][A-Z0-9_]*|secret:[A-Za-z0-9_.-]+|none",
    "must name where the key is, never be the key: a variable (MY_API_KEY), secret:NAME, or none",
)


@dataclass(frozen=True, slots=True)
class LlmSettings:
    """`[llm]`: language models. The one model id that Rondo knows by itself is the default of `model`."""

    profile: str = choice("default", "Which models the roles stand for, where a role doesn't say itself.", *PROFILES)
    model: str = words("anthropic:claude-opus-5-5", "The model of the profiles, as provider:id.", *_MODEL_FORM)
    retries: int = number(4, "How often a call is tried again after a cut connection or a busy provider.", most=20)
    first_word_seconds: float = number(180.0, "How long the first sign of a reply may take.", least=1, most=3600)


@dataclass(frozen=True, slots=True)
class RoleSettings:
    """`[llm.roles.NAME]` and `[llm.profiles.NAME]`: what a role, or each role in a profile, stands for."""

    model: str = words("", "The model, as provider:id.", *_MODEL_FORM)
    effort: str = choice("", "How hard it thinks: low, medium, high; empty leaves that to the provider.", *EFFORTS)


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """`[llm.providers.NAME]`: a provider of one's own, or what is other about one that Rondo knows."""

    wire: str = choice("", "The protocol it speaks: anthropic or openai.", "", "anthropic", "openai")
    base_url: str = words("", "Where it is.", r"https?://[^\s]+", "must begin with http:// or https://")
    key: str = words("", "Where its key is: a variable, secret:NAME, or none.", *_KEY_FORM, private=True)
    title: str = words("", "How it is called on screens.")
    tools: bool = switch(True, "Whether its models can call tools.")
    json: str = choice(
        "schema", "How it is asked for JSON: by schema, as an object, or in words.", *("schema", "object", "text")
    )


MODES = ("ask", "propose", "auto")


@dataclass(frozen=True, slots=True)
class AssistantSettings:
    """`[assistant]`: conversations about workflows."""

    mode: str = choice("propose", "How conversations begin: ask changes nothing, auto applies what is safe.", *MODES)
    threshold: float = number(0.7, "How well a request must be understood before something is proposed.", most=1)
    clarity: float = number(0.3, "What clarity counts for in that, against the other three.", most=1)
    completeness: float = number(0.3, "What completeness counts for.", most=1)
    feasibility: float = number(0.25, "What feasibility counts for.", most=1)
    specificity: float = number(0.15, "What specificity counts for.", most=1)
    question_rounds: int = number(3, "Rounds of questions about one request.", most=10)
    check_rounds: int = number(3, "How often checks that fail go back to the model.", most=10)
    model_calls: int = number(24, "Model calls of one turn.", least=1, most=200)
    turn_tokens: int = number(600_000, "Tokens, in and out, of one turn.", least=1000)


@dataclass(frozen=True, slots=True)
class BudgetSettings:
    """`[budget]`: what calls of models may use before somebody is asked; 0 means no limit.

    Those of a run may stand under `[workflows.NAME]` too. A day begins at midnight, local time.
    """

    run_dollars: float = number(0.0, "US dollars that the calls of one run may cost, of models and tools; 0: any.")
    run_tokens: int = number(0, "Tokens, in and out, of the model calls of one run; 0: any.")
    run_calls: int = number(1000, "Model calls of one run; 0: any.")
    day_dollars: float = number(0.0, "US dollars that all calls of one day may cost, of models and tools; 0: any.")
    day_tokens: int = number(0, "Tokens, in and out, of all model calls of one day; 0: any.")
    day_calls: int = number(0, "Model calls of one day; 0: any.")


THEMES = (
    "rondo",
    "rondo-light",
    "ansi-dark",
    "ansi-light",
    "atom-one-dark",
    "atom-one-light",
    "catppuccin-frappe",
    "catppuccin-latte",
    "catppuccin-macchiato",
    "catppuccin-mocha",
    "dracula",
    "flexoki",
    "gruvbox",
    "monokai",
    "nord",
    "rose-pine",
    "rose-pine-dawn",
    "rose-pine-moon",
    "solarized-dark",
    "solarized-light",
    "textual-dark",
    "textual-light",
    "tokyo-night",
)
"""The app's own colours, those of the terminal (ansi), and those that Textual brings."""


@dataclass(frozen=True, slots=True)
class ToolSettings:
    """`[tools]`: the services that workflows use."""

    composio: str = choice(
        "composio", "Who serves Composio's apps where a tools.json names nobody.", "composio", "composio-core"
    )
    call_seconds: float = number(120.0, "How long one call of an action may take.", least=1, most=3600)
    wait_seconds: float = number(120.0, "How long a wait that a service asks for may be; 0: none.", most=86_400)
    keep_hours: float = number(6.0, "How long is believed what a provider said of its apps and actions.", most=8760)


@dataclass(frozen=True, slots=True)
class AppSettings:
    """`[app]`: the app in the terminal."""

    theme: str = choice("rondo", "The app's colours; the ansi ones are those of the terminal.", *THEMES)
    notify: str = choice(
        "off", "How the terminal says that a run begins to wait or fails: off, bell, or osc9.", "off", "bell", "osc9"
    )


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
    value: Value
    default: Value
    source: str
    text: str


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings as they hold for one workspace; `sources` names the file of each key that one sets."""

    engine: EngineSettings = EngineSettings()
    limits: LimitSettings = LimitSettings()
    budget: BudgetSettings = BudgetSettings()
    llm: LlmSettings = LlmSettings()
    assistant: AssistantSettings = AssistantSettings()
    tools: ToolSettings = ToolSettings()
    app: AppSettings = AppSettings()
    tables: Mapping[str, Mapping[str, Mapping[str, Value]]] = field(default_factory=dict)
    """What stands in tables with names of their own: by table ("workflows", "llm.roles"), by name."""
    sources: Mapping[str, str] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    """The files that were looked for, in the order in which they were read."""
    problems: tuple[SettingProblem, ...] = ()

    def table(self, table: str) -> Mapping[str, Mapping[str, Value]]:
        """What the files say in a table such as "llm.roles", by name; only what is set there."""
        return self.tables.get(table, {})

    @property
    def workflows(self) -> Mapping[str, Mapping[str, Value]]:
        """The limits that are set for single workflows."""
        return self.table(WORKFLOWS)

    def _default(self, table: str, entry: dataclasses.Field[Any]) -> Value:
        """What holds where a table does not set it: for a workflow, what holds for all."""
        if table != WORKFLOWS:
            return default_of(entry)
        value: Value = getattr(self.budget if hasattr(self.budget, entry.name) else self.limits, entry.name)
        return value

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
                source = self.sources.get(key, DEFAULT)
                value: Value = getattr(values, entry.name)
                yield EffectiveSetting(key, value, default_of(entry), source, entry.metadata["text"])
        for table, named in self.tables.items():
            known = {entry.name: entry for entry in TABLES[table].entries}
            for name, values in named.items():
                for setting, value in values.items():
                    key = f"{table}.{name}.{setting}"
                    default = self._default(table, known[setting])
                    yield EffectiveSetting(key, value, default, self.sources[key], known[setting].metadata["text"])


@dataclass(frozen=True, slots=True)
class Table:
    """A table of tables, each under a name: one of `names`, or any of the form; `entries` are what one may hold."""

    entries: tuple[dataclasses.Field[Any], ...]
    what: str
    names: tuple[str, ...] = ()
    form: str = r"(?s).+"


SECTIONS: Mapping[str, type[Any]] = {
    "engine": EngineSettings,
    "limits": LimitSettings,
    "budget": BudgetSettings,
    "llm": LlmSettings,
    "assistant": AssistantSettings,
    "tools": ToolSettings,
    "app": AppSettings,
}
WORKFLOWS = "workflows"
OF_WORKFLOWS = (
    *fields(LimitSettings),
    *(entry for entry in fields(BudgetSettings) if entry.name.startswith("run_")),
)
"""What may stand under `[workflows.NAME]`."""
LLM_ROLES, LLM_PROFILES, LLM_PROVIDERS = "llm.roles", "llm.profiles", "llm.providers"
TABLES: Mapping[str, Table] = {
    WORKFLOWS: Table(OF_WORKFLOWS, "the workflow's name, and the limit below it"),
    LLM_ROLES: Table(fields(RoleSettings), "the role, and its model or effort below it", names=ROLES),
    LLM_PROFILES: Table(fields(RoleSettings), "the profile, and its model or effort below it", names=PROFILES),
    LLM_PROVIDERS: Table(
        fields(ProviderSettings), "a name of small letters, digits, - and _", form=r"[a-z][a-z0-9_-]*"
    ),
}


def _with_own(values: Any, own: Mapping[str, Value]) -> Any:
    """The values of a section with those of a workflow over them."""
    known = {entry.name for entry in fields(values)}
    over: dict[str, Any] = {name: value for name, value in own.items() if name in known}
    return dataclasses.replace(values, **over) if over else values


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
        llm=LlmSettings(**reading.values["llm"]),
        assistant=AssistantSettings(**reading.values["assistant"]),
        tools=ToolSettings(**reading.values["tools"]),
        app=AppSettings(**reading.values["app"]),
        tables=reading.tables,
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
        self.tables: dict[str, dict[str, dict[str, Value]]] = {}
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
            if section in TABLES:
                self._take_table((section,), content)
            elif section not in SECTIONS:
                self._unknown((section,), [*SECTIONS, *_below(())], "section")
            elif not isinstance(content, dict):
                self._problem((section,), f"{section} must be a table", f"Write [{section}] and its settings below it.")
            else:
                self.values[section].update(self._checked((section,), content, fields(SECTIONS[section])))

    def _take_table(self, key: tuple[str, ...], content: Any) -> None:
        """Take a table of tables; what is wrong in one of them leaves the others."""
        path = ".".join(key)
        table = TABLES[path]
        hint = f"Write [{path}.NAME] with {table.what}."
        if not isinstance(content, dict):
            self._problem(key, f"{path} must be a table", hint)
            return
        for name, values in content.items():
            if table.names and name not in table.names:
                self._unknown((*key, name), list(table.names), "table")
            elif not re.fullmatch(table.form, name):
                self._problem((*key, name), f"{path}.{name} has a name that can't be used", hint)
            elif not isinstance(values, dict):
                self._problem((*key, name), f"{path}.{name} must be a table", hint)
            else:
                checked = dict(self._checked((*key, name), values, table.entries))
                self.tables.setdefault(path, {}).setdefault(name, {}).update(checked)

    def _checked(
        self, section: tuple[str, ...], content: Mapping[str, Any], entries: Iterable[dataclasses.Field[Any]]
    ) -> Iterator[tuple[str, Value]]:
        """The settings of a table that are known and fit; the others become problems."""
        known = {entry.name: entry for entry in entries}
        for name, value in content.items():
            key = (*section, name)
            if ".".join(key) in TABLES:
                self._take_table(key, value)
            elif name not in known:
                self._unknown(key, [*known, *_below(section)], "setting")
            elif wrong := refusal(value, known[name]):
                held = f"{meant(value, known[name])}The value from before holds: the user's file or the default."
                self._problem(key, f"{'.'.join(key)} {wrong}", held)
            else:
                self.sources[".".join(key)] = str(self._path)
                yield name, value

    def _unknown(self, key: tuple[str, ...], known: list[str], what: str) -> None:
        close = difflib.get_close_matches(key[-1], known, n=1)
        hint = f"Did you mean {close[0]}?" if close else f"There are: {', '.join(known)}."
        self._problem(key, f"there is no {what} {'.'.join(key)}", f"{hint} It has no effect.")

    def _problem(self, key: tuple[str, ...], message: str, hint: str, *, line: int | None = None) -> None:
        if line is None:
            line = _line_of(self._lines, key)
        self.problems.append(SettingProblem(str(self._path), line, ".".join(key), message, hint))


def _below(section: tuple[str, ...]) -> list[str]:
    """The tables of tables that stand directly in a section, by their last word."""
    return [path.split(".")[-1] for path in TABLES if tuple(path.split(".")[:-1]) == section]


def _header(line: str) -> tuple[str, ...] | None:
    """The table that a line opens."""
    found = re.match(r"\s*\[\s*([^\[\]]+?)\s*\]", line)
    return tuple(part.strip().strip("\"'") for part in found[1].split(".")) if found else None


def _line_of(lines: list[str], key: tuple[str, ...]) -> int:
    """Where a key stands, as far as the text shows it, or the first table below it; 0 where neither does."""
    table: tuple[str, ...] = ()
    below = 0
    for at, line in enumerate(lines, start=1):
        opened = _header(line)
        if opened is not None:
            table = opened
            if table == key:
                return at
            if table[: len(key)] == key:
                below = below or at
            continue
        name, separator, _ = line.partition("=")
        if separator and (*table, *(part.strip().strip("\"'") for part in name.split("."))) == key:
            return at
    return below
