"""How a profile's rule chooses a model from a provider's own list, so that no model id stands in this program."""

from __future__ import annotations

import re

from core.llm.messages import ModelInfo

NEW_SECONDS = 540 * 24 * 3600.0
"""A model that is so much older than the newest one is not chosen."""
_OTHER = re.compile(
    r"embed|audio|image|tts|whisper|transcri|moderation|realtime|search|dall|sora|veo|imagen|vision-only|rerank|guard|"
    r"live|instruct-|babbage|davinci|codex|computer-use|deep-research|lyria|robotics|aqa"
)


def talks(model: ModelInfo) -> bool:
    """Whether a model is one that talks, as far as its name says: lists hold all kinds."""
    return _OTHER.search(model.id.lower()) is None


def fastest(listed: list[ModelInfo], otherwise: str) -> str:
    """The cheapest of the newer models whose price is known; `otherwise` ("provider:id") where there is none.

    Small models are the fast ones, and their price says that they are small.
    """
    dates = [date for model in listed if (date := model.extra.get("created"))]
    oldest = max(dates) - NEW_SECONDS if dates else 0.0
    fit = [
        (model.output_price, index, model)
        for index, model in enumerate(listed)
        if model.output_price and talks(model) and model.extra.get("created", oldest) >= oldest
    ]
    if not fit:
        return otherwise
    chosen = min(fit)[2]
    return f"{chosen.provider}:{chosen.id}"


def local_one(listed: list[ModelInfo]) -> str:
    """The first model of a list that talks, "" where none does: servers put first what is loaded or was used last."""
    return next((f"{model.provider}:{model.id}" for model in listed if talks(model)), "")
