"""The environments of providers of tools that can't share one with Rondo: installed when somebody wants them.

They are in the user's data folder, each provider's in a folder of its own, and stay until they are taken away.
"""

from __future__ import annotations

import asyncio
import importlib.resources
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from core.definition.requirements import REQUIREMENTS, requirements_key
from core.engine.environments.cache import EnvironmentCache, Held, Need, python_name
from core.engine.environments.making import Environments, Making
from core.engine.environments.service import environment_view, said_after
from core.engine.environments.trouble import provider_problem
from core.errors import PackagesProblem, RondoError, UsageError
from core.link.workflow_types import EnvironmentView
from core.places import data_folder

COMPOSIO_CORE = "composio-core"


@dataclass(frozen=True, slots=True)
class _Package:
    """What is installed for a provider: `lock` is the list with hashes, in `module`."""

    module: str
    line: str
    lock: str = "requirements.lock"


PACKAGES: Mapping[str, _Package] = {
    COMPOSIO_CORE: _Package("core.tools.composio_core", "composio-core==0.7.22"),
}


class ProviderEnvironment:
    """The environment of one provider; the tool layer takes it into use by `hold`."""

    def __init__(self, name: str, changed: Callable[[str], None]) -> None:
        self.name = name
        self.cache = EnvironmentCache(data_folder() / "providers" / name)
        self.environments = Environments(changed, self.cache, provider_problem)
        self._package = PACKAGES[name]
        self._need: Need | None = None
        self._ended: Making | None = None
        self._task: asyncio.Task[None] | None = None
        self._acted: set[str] = set()

    @property
    def need(self) -> Need:
        """What is to be installed. It may read a file."""
        if self._need is None:
            package = self._package
            lock = importlib.resources.files(package.module).joinpath(package.lock).read_bytes()
            key = requirements_key({REQUIREMENTS: lock}, "", python_name())
            self._need = Need(key, (package.line,), {REQUIREMENTS: lock.decode()}, "/")
        return self._need

    def installed(self) -> bool:
        """True where it is there. It reads files."""
        return self.cache.find(self.need.key) is not None

    def hold(self) -> Held | None:
        """Take it into use; None where it is not there. It reads files."""
        return self.cache.hold(self.need.key)

    async def get(self, after: int = 0) -> EnvironmentView:
        """How it is, with what the installer said after line `after`."""
        need = await asyncio.to_thread(lambda: self.need)
        found = await asyncio.to_thread(self.cache.find, need.key)
        view = environment_view(self.environments, None, need.key, found, [])
        view.requirements = list(need.lines)
        view.lines, view.last_line = said_after(self.environments.making(need.key) or self._ended, after)
        return view

    async def install(self, command_id: str, again: bool) -> EnvironmentView:
        """Begin to install it where it is not there (or anew, with `again`) and return at once."""
        installed = await asyncio.to_thread(self.installed)
        if command_id not in self._acted and self._task is None and (again or not installed):
            self._acted.add(command_id)
            self._task = asyncio.create_task(self._install(again), name=f"install {self.name}")
            # So that the view shows it being made.
            await asyncio.sleep(0)
        return await self.get()

    async def cancel(self) -> EnvironmentView:
        """Give up what `install` began."""
        task = self._task
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        return await self.get()

    async def remove(self) -> EnvironmentView:
        """Take it away, and what is left of earlier ones; raises PackagesProblem where somebody uses it."""
        await self.cancel()
        left = await asyncio.to_thread(self._remove, "")
        if left:
            raise PackagesProblem(
                f"{self.name} is in use.",
                cause="Another Rondo of yours, with another workspace, works with it now.",
                next_step="Wait for its runs, or end that engine there: rondo engine stop",
            )
        self._ended = None
        return await self.get()

    async def close(self) -> None:
        """Give up what is being made."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self.environments.close()

    async def _install(self, again: bool) -> None:
        try:
            await self.environments.make(self.need, self.name, lambda line: None, again=again, begun=self._note)
            await asyncio.to_thread(self._remove, self.need.key)
        except RondoError:
            # It is kept as the problem of the environment, and shown with it.
            return
        finally:
            self._task = None

    def _note(self, making: Making) -> None:
        self._ended = making

    def _remove(self, but: str) -> bool:
        """Remove all but one; returns whether one is left because somebody uses it."""
        return bool([one for one in self.cache.all() if one.key != but and not self.cache.remove(one.key)])


class ProviderEnvironments:
    """All of them by the provider's name, as clients ask for them."""

    def __init__(self, changed: Callable[[str], None], let_go: Callable[[str], Awaitable[None]]) -> None:
        """`let_go` has a provider end what it runs of its environment."""
        self._let_go = let_go
        self._all = {name: ProviderEnvironment(name, changed) for name in PACKAGES}

    def __getitem__(self, name: str) -> ProviderEnvironment:
        found = self._all.get(name)
        if found is None:
            others = {
                "mcp": "pip install 'mcp>=2.3,<2.4' installs what it needs, beside Rondo.",
                "composio": "It comes with Rondo.",
                "direct": "It comes with Rondo.",
            }
            raise UsageError(
                f"There is nothing to install for {name!r}.",
                cause=others.get(name, "No provider has that name."),
                next_step="What can be installed: " + ", ".join(self._all) + ".",
            )
        return found

    @property
    def busy(self) -> bool:
        """True while something is being installed."""
        return any(one.environments.busy for one in self._all.values())

    async def install(self, command_id: str, name: str, again: bool) -> EnvironmentView:
        """Begin to install one; what runs of it is ended before it is made anew."""
        found = self[name]
        if again:
            await self._let_go(name)
        return await found.install(command_id, again)

    async def remove(self, name: str) -> EnvironmentView:
        """Take one away, once it runs no more."""
        found = self[name]
        await self._let_go(name)
        return await found.remove()

    async def close(self) -> None:
        """Give up everything."""
        await asyncio.gather(*(one.close() for one in self._all.values()))
