"""Where model calls go: finds model, provider and key, makes the call, tries again where that is worth while.

The libraries are loaded in a thread when the first call needs them; this module itself imports none of them.
"""

from __future__ import annotations

import asyncio
import importlib
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from core.errors import ModelProblem, ModelUnreachable, NoModelKey
from core.llm.keys import Access, Keys, check_access
from core.llm.messages import Delta, Effort, Listener, ModelInfo, ModelReply, ModelRequest, Waiting
from core.llm.problems import Trouble, WireTrouble, passes, problem, reason
from core.llm.providers import Provider, provider_named, providers, split_model
from core.llm.roles import RoleChoice, choose_role
from core.llm.selection import fastest, local_one
from core.settings import LLM_PROVIDERS, Settings

log = structlog.get_logger()

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
"""Seconds before the first repetition and before any where the provider says nothing of it; each is twice the last."""
CHOICE_SECONDS = 600.0
"""How long a model that was chosen from a list stays chosen."""


class ProviderWire(Protocol):
    """What `core.llm.wire` gives; named here so that nothing that knows this module imports that one."""

    async def complete(
        self,
        provider: Provider,
        access: Access,
        model_id: str,
        effort: Effort,
        request: ModelRequest,
        listener: Listener,
        first_word_seconds: float,
    ) -> ModelReply: ...

    async def list_models(self, provider: Provider, access: Access) -> list[ModelInfo]: ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class _Target:
    provider: Provider
    access: Access
    model_id: str
    effort: Effort

    @property
    def model(self) -> str:
        return f"{self.provider.name}:{self.model_id}"


async def load() -> ProviderWire:
    """Import the libraries in a thread and make what speaks to providers; may take seconds the first time."""
    module = await asyncio.to_thread(importlib.import_module, "core.llm.wire")
    wire: ProviderWire = module.ProviderWire()
    return wire


class Gateway:
    """Implements `core.llm.messages.ModelGateway` over settings and keys; belongs to one event loop.

    Every failure is of the ModelProblem family. `sleep` and `jitter` (0 to 1) can be replaced by tests.
    """

    def __init__(
        self,
        settings: Callable[[], Settings],
        keys: Keys,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.keys = keys
        self._settings = settings
        self._sleep = sleep
        self._jitter = jitter
        self._monotonic = monotonic
        self._loading: asyncio.Task[ProviderWire] | None = None
        self._chosen: dict[tuple[str, str], tuple[float, str]] = {}
        self._closed = False

    # Calls -----------------------------------------------------------------------------------------------------------

    async def complete(self, request: ModelRequest, listener: Listener | None = None) -> ModelReply:
        """Call a model. A reply without schema may end by refusal or length; with a schema these are errors.

        An error of a call that was paid for has in `details` what it used. Cancelling ends the call and its connection.
        """
        hear = listener or _nobody
        started = self._monotonic()
        said_before = False

        def hear_and_note(delta: Delta) -> None:
            nonlocal said_before, hear
            said_before = True
            try:
                hear(delta)
            except Exception:
                # A fault there is none of the provider's, and must not cost a reply that is paid for.
                log.exception("what comes of a reply can't be shown")
                hear = _nobody

        target: _Target | None = None
        try:
            async with asyncio.timeout(request.timeout):
                target = await self._target(request)
                wire = await self._wire()
                retries = self._settings().llm.retries
                for attempt in range(1, retries + 2):
                    try:
                        reply = await wire.complete(
                            target.provider,
                            target.access,
                            target.model_id,
                            target.effort,
                            request,
                            hear_and_note,
                            self._settings().llm.first_word_seconds,
                        )
                        seconds = self._monotonic() - started
                        return replace(reply, retries=attempt - 1, seconds=seconds)
                    except WireTrouble as error:
                        trouble = error.trouble
                        left = request.timeout - (self._monotonic() - started)
                        pause = self._pause(trouble, target.provider, attempt, retries, left)
                        if pause is None:
                            raise self._problem(trouble, target, attempt) from None
                    log.info("model call tried again", model=target.model, kind=trouble.kind, seconds=pause)
                    hear_and_note(Waiting(pause, reason(trouble, target.provider), again=said_before))
                    said_before = False
                    await self._sleep(pause)
        except TimeoutError:
            raise self._too_late(request, target) from None
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def list_models(self, provider: str) -> list[ModelInfo]:
        """Ask a provider for its models; raises the ModelProblem family."""
        found = provider_named(self.providers(), provider)
        access = await self.access(found)
        check_access(found, access)
        wire = await self._wire()
        try:
            return await wire.list_models(found, access)
        except WireTrouble as error:
            raise problem(error.trouble, found, access, "", self.keys.redactor, 1) from None

    async def warm(self) -> None:
        """Load the libraries, so that the first call need not wait for it."""
        await self._wire()

    async def close(self) -> None:
        """End every connection; no call can be made afterwards."""
        self._closed = True
        if self._loading is None:
            return
        with suppress(Exception):
            await (await asyncio.shield(self._loading)).close()

    # What the settings say -------------------------------------------------------------------------------------------

    def providers(self) -> dict[str, Provider]:
        """Every provider by name, as the settings are now."""
        return providers(self._settings().table(LLM_PROVIDERS))

    def role(self, role: str) -> RoleChoice:
        """What a role stands for now."""
        return choose_role(self._settings(), role)

    def shown_model(self, choice: RoleChoice) -> str:
        """The model of a role as it is shown: of one that a rule chooses, what was chosen, or by what it will be."""
        if choice.rule == "given":
            return choice.model
        kept = self._chosen.get(self._choice_key(choice))
        if kept is not None:
            return kept[1]
        return "the first model on this machine" if choice.rule == "local" else "the cheapest of its provider's list"

    async def access(self, provider: Provider) -> Access:
        """How a provider is reached now; the key may come from a secret store, which is asked in a thread."""
        if self.keys.secret is None:
            return self.keys.access(provider)
        return await asyncio.to_thread(self.keys.access, provider)

    async def usable_problem(self, role: str = "chat", model: str = "") -> ModelProblem | None:
        """What keeps a role, or a model, from working, as far as it shows without a call; None where nothing does."""
        try:
            if not model:
                choice = self.role(role)
                if choice.rule == "local":
                    return None
                model = choice.model
            name, _ = split_model(model)
            provider = provider_named(self.providers(), name)
            check_access(provider, await self.access(provider))
        except NoModelKey as error:
            return self._without_key(error)
        except ModelProblem as error:
            return error
        return None

    # Inside ----------------------------------------------------------------------------------------------------------

    async def _wire(self) -> ProviderWire:
        if self._closed:
            raise ModelUnreachable("No model is called any more.", cause="The engine is about to end.")
        if self._loading is None:
            self._loading = asyncio.create_task(load(), name="load the model libraries")
        try:
            return await asyncio.shield(self._loading)
        except ImportError as error:
            self._loading = None
            raise ModelProblem(
                "The libraries for models can't be loaded.",
                cause=str(error),
                next_step="Install Rondo anew: `make setup`, or pip install --force-reinstall rondo.",
            ) from error

    async def _target(self, request: ModelRequest) -> _Target:
        effort = request.effort
        if request.model:
            model = request.model
        else:
            choice = self.role(request.role)
            effort = effort or choice.effort
            model = await self._model_of(choice)
        name, model_id = split_model(model)
        provider = provider_named(self.providers(), name)
        access = await self.access(provider)
        try:
            check_access(provider, access)
        except NoModelKey as error:
            raise self._without_key(error) from None
        return _Target(provider, access, model_id, effort)

    async def _model_of(self, choice: RoleChoice) -> str:
        """The model of a role; a profile's rule chooses it from a provider's list, which is kept for a while."""
        if choice.rule == "given":
            return choice.model
        key = self._choice_key(choice)
        kept = self._chosen.get(key)
        if kept is not None and self._monotonic() - kept[0] < CHOICE_SECONDS:
            return kept[1]
        if choice.rule == "fast":
            model = fastest(await self.list_models(key[1]), choice.model)
        else:
            model = await self._local_model()
        self._chosen[key] = (self._monotonic(), model)
        return model

    @staticmethod
    def _choice_key(choice: RoleChoice) -> tuple[str, str]:
        return choice.rule, "" if choice.rule == "local" else split_model(choice.model)[0]

    async def _local_model(self) -> str:
        """A model of the first provider on this machine that answers and has one."""
        silent: list[str] = []
        for provider in self.providers().values():
            if not provider.local:
                continue
            try:
                model = local_one(await self.list_models(provider.name))
            except ModelProblem:
                silent.append(f"{provider.title} ({(await self.access(provider)).base_url}) does not answer")
                continue
            if model:
                return model
            silent.append(f"{provider.title} has no model")
        raise ModelUnreachable(
            "The profile local finds no model on this machine.",
            cause=f"{'; '.join(silent)}.",
            next_step="Start LM Studio or Ollama with a model, or name one as model under [llm.profiles.local].",
        )

    def _pause(self, trouble: Trouble, provider: Provider, attempt: int, retries: int, left: float) -> float | None:
        """Seconds until the next attempt; None where there is none. What the provider asks for goes before our own."""
        if attempt > retries or not passes(trouble, provider):
            return None
        if trouble.retry_after is not None:
            pause = max(trouble.retry_after, 0.0)
        else:
            pause = min(FIRST_PAUSE * 2 ** (attempt - 1), LONGEST_PAUSE) * (0.75 + 0.5 * self._jitter())
        return pause if pause < left else None

    def _problem(self, trouble: Trouble, target: _Target, attempts: int) -> ModelProblem:
        return problem(trouble, target.provider, target.access, target.model, self.keys.redactor, attempts)

    def _too_late(self, request: ModelRequest, target: _Target | None) -> ModelProblem:
        who = target.model if target is not None else "The model"
        return ModelUnreachable(
            f"{who} did not come to an end within {request.timeout:g} s.",
            cause="The time limit of the call.",
            next_step="Ask for less at once, or allow the call more time.",
        )

    def _without_key(self, error: NoModelKey) -> NoModelKey:
        """The error with what else is possible: providers that have a key, or need none."""
        ready = [
            provider.title
            for provider in self.providers().values()
            if not provider.local and self.keys.has_at_hand(provider)
        ]
        more = (
            f" Or choose a model of {' or '.join(ready)}: [llm] model in rondo.toml."
            if ready
            else (' Without a key: profile = "local" under [llm] uses LM Studio or Ollama.')
        )
        return NoModelKey(error.message, cause=error.cause, next_step=error.next_step + more)


def _nobody(delta: Delta) -> None:
    """Hears what comes of a reply where nobody else does."""
