"""What goes wrong in a call of a model, before it is put into words for a person: whether to try again hangs on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from core.errors import (
    ModelKeyRefused,
    ModelProblem,
    ModelRateLimited,
    ModelRefusal,
    ModelReplyProblem,
    ModelUnknown,
    ModelUnreachable,
)
from core.llm.keys import Access
from core.llm.messages import ModelReply
from core.llm.providers import Provider
from core.redaction import Redactor

TroubleKind = Literal[
    "rate",
    "quota",
    "busy",
    "connection",
    "timeout",
    "key",
    "model",
    "context",
    "rejected",
    "refusal",
    "cut",
    "form",
    "unreadable",
]
PASSING: frozenset[TroubleKind] = frozenset({"rate", "busy", "connection", "timeout"})
"""Troubles that may be over the next time."""
MOST_SAID = 500


@dataclass(frozen=True, slots=True)
class Trouble:
    """What went wrong: `said` is what the provider or the network says of it, `refused` that nothing listens there.

    `reply` is what came, where something came that can't be used: it was paid for.
    """

    kind: TroubleKind
    said: str
    status: int | None = None
    retry_after: float | None = None
    refused: bool = False
    reply: ModelReply | None = None


class WireTrouble(Exception):
    """A call that failed; it never leaves `core.llm`."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.kind)
        self.trouble = trouble


def passes(trouble: Trouble, provider: Provider) -> bool:
    """Whether it is worth while to try again."""
    return trouble.kind in PASSING and not (trouble.refused and provider.local)


def reason(trouble: Trouble, provider: Provider) -> str:
    """Why a call is tried again, in a few words for the screen."""
    match trouble.kind:
        case "rate":
            return f"{provider.title} wants fewer calls"
        case "busy":
            return f"{provider.title} is busy" + (f" ({trouble.status})" if trouble.status else "")
        case "timeout":
            return f"{provider.title} did not answer in time"
        case _:
            return f"the connection to {provider.title} broke off"


def problem(
    trouble: Trouble, provider: Provider, access: Access, model: str, redactor: Redactor, attempts: int
) -> ModelProblem:
    """The error for a person, with cause and next step; `model` is "provider:id", or "" where none was called."""
    said = redactor.text(trouble.said).strip()
    said = f"{said[:MOST_SAID]}..." if len(said) > MOST_SAID else said
    name = provider.title
    times = f" It was tried {attempts} times." if attempts > 1 else ""
    details = _paid(trouble.reply)
    match trouble.kind:
        case "key":
            return ModelKeyRefused(
                f"{name} does not take the key.",
                cause=f"It says: {said}",
                next_step=f"Check {access.name or 'the key'}"
                + (", which the program that you started last has in its environment." if access.name else ".")
                + " An account may also lack the right to this model.",
            )
        case "quota":
            return ModelKeyRefused(
                f"The account at {name} may not call models now.",
                cause=f"It says: {said}",
                next_step="Look at credit and limits of the account, or choose another provider.",
            )
        case "model":
            return ModelUnknown(
                f"{name} has no model {model.partition(':')[2]!r}." if model else f"{name} has no list of models.",
                cause=f"{access.base_url} says: {said}",
                next_step=f"See what there is with `rondo models {provider.name}`, and name it in the settings."
                if model
                else f"Check base_url under [llm.providers.{provider.name}]; name models in the settings by their ids.",
            )
        case "rate":
            wanted = f" It asks to wait {trouble.retry_after:g} s." if trouble.retry_after else ""
            return ModelRateLimited(
                f"{name} wants fewer calls.",
                cause=f"It says: {said}{wanted}{times}",
                next_step="Try again later, or choose another model for this role.",
            )
        case "context":
            return ModelReplyProblem(
                f"What was said is too long for {model}.",
                cause=f"{name} says: {said}",
                next_step="Begin a new conversation, or choose a model that reads more.",
            )
        case "rejected":
            return ModelProblem(
                f"{name} does not take this call.",
                cause=f"It says: {said}",
                next_step="Choose another model; if no model takes it, please report it.",
            )
        case "refusal":
            return ModelRefusal(
                f"{model} refuses to answer.",
                cause=f"It says: {said}" if said else "It gives no reason.",
                next_step="Say it in other words, or choose another model.",
                details=details,
            )
        case "cut":
            return ModelReplyProblem(
                f"The reply of {model} is cut.",
                cause=said,
                next_step="Allow more tokens, or ask for less at once.",
                details=details,
            )
        case "form":
            return ModelReplyProblem(
                f"{model} did not give the JSON that was asked for.",
                cause=said,
                next_step="Try again, or choose a model that keeps to schemas.",
                details=details,
            )
        case "unreadable":
            return ModelReplyProblem(
                f"The reply of {name} can't be read.",
                cause=said,
                next_step=f"Check that {access.base_url} speaks the protocol of {provider.wire}, or choose another "
                "model.",
            )
        case _:
            return _unreachable(trouble, provider, access, said, times)


def _unreachable(trouble: Trouble, provider: Provider, access: Access, said: str, times: str) -> ModelUnreachable:
    if trouble.refused and provider.local:
        return ModelUnreachable(
            f"{provider.title} does not run.",
            cause=f"Nothing listens at {access.base_url}.",
            next_step=f"Start {provider.title} and its server; or set its address under "
            f"[llm.providers.{provider.name}] base_url.",
        )
    return ModelUnreachable(
        f"{provider.title} can't be reached." if trouble.refused else f"{provider.title} gave no whole answer.",
        cause=f"{access.base_url}: {said}.{times}",
        next_step="Check the network and the address, and try again."
        if trouble.kind != "busy"
        else "Try again later, or choose another model.",
    )


def _paid(reply: ModelReply | None) -> dict[str, object] | None:
    """What a call used that gave nothing of use."""
    if reply is None:
        return None
    usage = reply.usage
    return {
        "model": reply.model,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "cost": usage.cost,
    }
