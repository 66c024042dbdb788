"""The part of the EngineApi that is about models and their providers."""

from __future__ import annotations

from core.engine.actor import error_view
from core.errors import ModelProblem
from core.link.model_types import ModelsStatus, ModelView, ProviderView, RoleView
from core.llm.gateway import Gateway
from core.llm.providers import Provider
from core.settings import PROFILES, ROLES, LiveSettings


class ModelCalls:
    """What an engine says of models; it owns one gateway, through which all calls go."""

    _models: Gateway
    _settings: LiveSettings

    async def models_status(self) -> ModelsStatus:
        problem = await self._models.usable_problem()
        return ModelsStatus(
            profile=self._settings.now.llm.profile,
            profiles=list(PROFILES),
            providers=[await self._provider_view(provider) for provider in self._models.providers().values()],
            roles=[self._role_view(role) for role in ROLES],
            problem=error_view(problem) if problem is not None else None,
        )

    async def list_models(self, provider: str) -> list[ModelView]:
        return [
            ModelView(
                id=model.id,
                provider=model.provider,
                title=model.title,
                context_tokens=model.context_tokens,
                input_price=model.input_price,
                output_price=model.output_price,
            )
            for model in await self._models.list_models(provider)
        ]

    async def _provider_view(self, provider: Provider) -> ProviderView:
        notes = list(provider.notes)
        try:
            access = await self._models.access(provider)
            source, base_url = str(access.source), access.base_url
        except ModelProblem as error:
            source, base_url = "none", provider.base_url
            notes.append(error.message)
        return ProviderView(
            name=provider.name,
            title=provider.title,
            wire=provider.wire,
            base_url=base_url,
            key=source,
            key_names=[provider.key] if provider.key else list(provider.key_names),
            tried=provider.tried,
            custom=provider.custom,
            notes=notes,
        )

    def _role_view(self, role: str) -> RoleView:
        choice = self._models.role(role)
        return RoleView(name=role, model=self._models.shown_model(choice), effort=choice.effort, source=choice.source)
