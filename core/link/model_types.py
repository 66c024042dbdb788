"""What crosses the link about language models, their calls and what they cost; see `core.link.types`.

Money is in US dollars; a cost of None is not known and is never counted as 0.
"""

from __future__ import annotations

from typing import Any

import msgspec

from core.link.types import ErrorView
from core.link.usage_types import UsageView

__all__ = [
    "BudgetView",
    "CallFilter",
    "CallRow",
    "CallView",
    "ExportedCalls",
    "ModelView",
    "ModelsStatus",
    "ProviderView",
    "RoleView",
    "UsageView",
]


class _Struct(msgspec.Struct, kw_only=True, forbid_unknown_fields=False):
    pass


class ProviderView(_Struct):
    """One provider. `key` says where its key is from, never the key: environment, client, secret, none, not needed."""

    name: str
    title: str
    wire: str
    base_url: str
    key: str
    key_names: list[str]
    tried: bool
    """Whether this version of Rondo was ever tried against the live service."""
    custom: bool = False
    notes: list[str] = msgspec.field(default_factory=list)


class RoleView(_Struct):
    """What a role stands for now; `model` is "provider:id", `source` where it is set."""

    name: str
    model: str
    effort: str
    source: str


class ModelsStatus(_Struct):
    """How models stand in this workspace. `problem` is what keeps the chat from working, with what to do about it."""

    profile: str
    profiles: list[str]
    providers: list[ProviderView]
    roles: list[RoleView]
    problem: ErrorView | None = None


class ModelView(_Struct):
    """A model as its provider lists it; prices are per million tokens."""

    id: str
    provider: str
    title: str = ""
    context_tokens: int | None = None
    input_price: float | None = None
    output_price: float | None = None


class BudgetView(_Struct):
    """A budget and what of it is used: `scope` is run or day, `what` is dollars, tokens or calls; limit 0: none."""

    scope: str
    what: str
    limit: float
    used: float


class CallRow(_Struct):
    """One call of a model, a tool or an address, without what was said. status: running, done, failed, replayed."""

    number: int
    kind: str
    status: str
    started_at: float
    seconds: float | None
    run_id: str | None = None
    chat_id: str | None = None
    node: str = ""
    visit: int = 0
    nth: int = 0
    model: str = ""
    role: str = ""
    title: str = ""
    """What it was, in a few words: the prompt's beginning, or method and address."""
    usage: UsageView | None = None
    error: ErrorView | None = None


class CallView(_Struct):
    """One call with what was asked and answered: JSON, redacted; a side over 64 KiB is cut and `cut` says so."""

    row: CallRow
    request: Any
    reply: Any
    cut: bool = False


class ExportedCalls(_Struct):
    """A run's calls in a file, from which another run can be answered."""

    run_id: str
    workflow: str
    path: str
    bytes: int
    calls: int


class CallFilter(_Struct):
    """The calls of a run or of a chat, or all; after `after` (a number), oldest first."""

    run_id: str | None = None
    chat_id: str | None = None
    node: str | None = None
    after: int = 0
    limit: int = 100
