"""What a workflow needs and does not have, found before its first node acts: accounts, actions, keys, secrets."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from core.definition.load import LoadedWorkflow
from core.definition.reach_out import ReachOut, reach_out
from core.engine.catalog import Catalog
from core.engine.secrets import Secrets
from core.engine.versions import Versions
from core.errors import (
    ModelProblem,
    NotConnected,
    NotReady,
    RondoError,
    SecretProblem,
    ToolProblem,
    ToolProviderMissing,
    ToolUnknown,
)
from core.link.tool_types import Lack
from core.llm.gateway import Gateway
from core.sdk.tools import REGISTERED
from core.tools.hub import ToolHub
from core.tools.pins import Pin, read_pins
from core.tools.secrets.declared import declared

DEEPEST = 8
"""How many workflows inside each other are looked at."""


class Readiness:
    """Looks at a version as it would run now; nothing of it is executed, and nothing is called that acts."""

    def __init__(self, catalog: Catalog, versions: Versions, hub: ToolHub, models: Gateway, secrets: Secrets) -> None:
        self._catalog = catalog
        self._versions = versions
        self._hub = hub
        self._models = models
        self._secrets = secrets

    async def lacks(self, name: str, version: str | None = None) -> list[Lack]:
        """What is missing, of workflows that it runs as nodes too; raises UnknownWorkflow."""
        loaded = await self._catalog.fresh(name) if version is None else await self._versions.stored(name, version)
        return await self._with_nested(loaded, {name}, 1)

    async def require(self, name: str, version: str | None) -> None:
        """Raise NotReady, which names it all, where anything is missing."""
        lacks = await self.lacks(name, version)
        if lacks:
            raise not_ready(name, lacks)

    async def _with_nested(self, loaded: LoadedWorkflow, seen: set[str], depth: int) -> list[Lack]:
        found = await self._of(loaded)
        for spec in loaded.graph.nodes.values() if loaded.graph is not None and depth < DEEPEST else ():
            if not spec.subflow or spec.subflow in seen:
                continue
            seen.add(spec.subflow)
            try:
                nested = await self._catalog.fresh(spec.subflow)
            except RondoError:
                continue  # Linting says that it is not there.
            found += await self._with_nested(nested, seen, depth + 1)
        return found

    async def _of(self, loaded: LoadedWorkflow) -> list[Lack]:
        use = await asyncio.to_thread(reach_out, loaded.files)
        use.registered.update(REGISTERED)  # Of the program itself, in library mode.
        pins = read_pins(loaded.files.get("tools.json"))
        tools = await asyncio.gather(*(self._tool(loaded.name, pin, use) for pin in pins.values()))
        found = [lack for lacks in tools for lack in lacks]
        found += _undeclared_tools(loaded.name, pins, use)
        found += await self._of_secrets(loaded, use)
        return found + await self._of_models(loaded.name, use)

    async def _tool(self, workflow: str, pin: Pin, use: ReachOut) -> list[Lack]:
        """What keeps one tool, and the actions of it that the code calls, from being called."""
        found: list[Lack] = []
        try:
            await self._hub.account_of(pin)
        except NotConnected as problem:
            # The run asks when it comes to it.
            found.append(_lack("account", workflow, pin.name, problem, "waits"))
        except RondoError as problem:
            kind = "tool" if isinstance(problem, ToolUnknown) else "provider"
            return [_lack(kind, workflow, pin.name, problem, "fails")]
        for (tool, action), place in use.actions.items():
            if tool not in (pin.name, pin.service) or tool in use.registered:
                continue
            try:
                await self._hub.find_action(pin, action)
            except ToolUnknown as problem:
                found.append(_lack("action", workflow, f"{tool}.{action}", problem, "fails", place))
            except ToolProviderMissing as problem:
                return [*found, _lack("provider", workflow, pin.name, problem, "fails")]
            except ToolProblem:
                continue  # It can't be told now.
        return found

    async def _of_secrets(self, loaded: LoadedWorkflow, use: ReachOut) -> list[Lack]:
        found = []
        names = declared(loaded.files.get(f"{loaded.name}.json", b""))
        for name, place in use.secrets.items():
            if name not in names:
                lack = Lack(
                    kind="secret",
                    workflow=loaded.name,
                    name=name,
                    message=f"The code refers to secret:{name}, which {loaded.name} does not declare.",
                    next_step=f'Add "permissions": {{"secrets": ["{name}"]}} to {loaded.name}.json, then: '
                    f"rondo secrets grant {name} {loaded.name}",
                    place=place,
                    then="fails",
                )
                found.append(lack)
        try:
            await self._secrets.of(loaded.name, loaded.files)
        except SecretProblem as problem:
            found.append(_lack("secret", loaded.name, ", ".join(names), problem, "refused"))
        return found

    async def _of_models(self, workflow: str, use: ReachOut) -> list[Lack]:
        found: list[Lack] = []
        for (role, model), place in use.models.items():
            try:
                problem = await self._models.usable_problem(role, model)
            except RondoError as error:
                problem = error if isinstance(error, ModelProblem) else ModelProblem(error.message)
            if problem is None:
                continue
            lack = _lack("model", workflow, model or role, problem, "fails", place)
            same = next((one for one in found if one.message == lack.message), None)
            if same is None:
                found.append(lack)
            else:
                same.name += f", {lack.name}"
        return found


def not_ready(workflow: str, lacks: Sequence[Lack]) -> NotReady:
    """All that is missing as one error."""
    count = "1 thing is" if len(lacks) == 1 else f"{len(lacks)} things are"
    return NotReady(
        f"{workflow} is not ready: {count} missing.",
        cause=" ".join(f"({number}) {lack.message}" for number, lack in enumerate(lacks, 1)),
        next_step="; ".join(dict.fromkeys(lack.next_step for lack in lacks if lack.next_step)),
        details=[
            {"kind": lack.kind, "workflow": lack.workflow, "name": lack.name, "message": lack.message} for lack in lacks
        ],
    )


def _undeclared_tools(workflow: str, pins: Mapping[str, Pin], use: ReachOut) -> Iterable[Lack]:
    """Tools that the code names and tools.json does not."""
    services = {pin.service for pin in pins.values()}
    for name, place in use.tools.items():
        if name not in pins and name.lower() not in services and name not in use.registered:
            yield Lack(
                kind="tool",
                workflow=workflow,
                name=name,
                message=f"The code calls the tool {name!r}, which tools.json does not name.",
                next_step=f"rondo workflow-tools {workflow} --add {name}",
                place=place,
                then="fails",
            )


def _lack(kind: str, workflow: str, name: str, problem: RondoError, then: str, place: str = "") -> Lack:
    return Lack(
        kind=kind,
        workflow=workflow,
        name=name,
        message=f"{problem.message} {problem.cause}".strip(),
        next_step=problem.next_step,
        place=place,
        then=then,
    )
