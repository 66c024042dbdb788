"""Events about conversations and what they propose: hints, the rows are the truth; see `core.link.types`."""

from __future__ import annotations

from typing import Literal

import msgspec


class _Struct(msgspec.Struct, kw_only=True, forbid_unknown_fields=False):
    pass


ProposalStatus = Literal["open", "applied", "rejected", "revised", "broken", "stale"]
"""broken: checks fail, so it can't be applied. revised: a later one took its place. stale: the workflow changed."""


class ChatChanged(_Struct, tag="chat"):
    """Entries of a conversation changed: read those of a higher revision than yours."""

    chat_id: str
    workflow: str | None
    revision: int
    busy: bool


class ChatText(_Struct, tag="chat_text"):
    """More text of an entry that streams: it stands at `offset` (characters). Lossy; the rows are the truth."""

    chat_id: str
    number: int
    offset: int
    text: str


class ProposalChanged(_Struct, tag="proposal"):
    proposal_id: str
    workflow: str
    status: ProposalStatus


ChatEvent = ChatChanged | ChatText | ProposalChanged
