"""The parts of an engine that are about conversations, put together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from core.assistant.memory import Mode
from core.assistant.session import SessionLimits
from core.assistant.workbench import DryRun
from core.engine.conversations.chats import Chats
from core.engine.conversations.conversation import Surroundings
from core.engine.conversations.journal import Journal
from core.engine.conversations.proposals import Proposals
from core.engine.conversations.references import References
from core.engine.conversations.trying import Tries
from core.engine.conversations.workbench import EngineWorkbench
from core.llm.messages import Listener, ModelReply, ModelRequest

if TYPE_CHECKING:
    from core.engine.broker import Broker
    from core.engine.engine import Engine


class ChatGateway:
    """The way of one conversation to the models: through the broker, which records and holds the budgets."""

    def __init__(self, broker: Broker, chat_id: str) -> None:
        self._broker = broker
        self._chat_id = chat_id

    async def complete(self, request: ModelRequest, listener: Listener | None = None) -> ModelReply:
        """Ask a model for this conversation."""
        return await self._broker.complete(request, chat_id=self._chat_id, listener=listener)


def make_conversations(engine: Engine) -> tuple[Journal, Proposals, Tries, Chats]:
    """The journal of applied changes, the proposals, the tries and the conversations of an engine."""
    store, catalog, now = engine._store, engine._catalog, engine._now
    journal = Journal(catalog, engine._approvals, engine._versions, store, now)
    proposals = Proposals(store, engine._bus, journal, now)

    async def allowed(chat_id: str) -> bool:
        found = await store.chat(chat_id)
        return found is not None and bool(found[0].tries)

    tries = Tries(catalog, store, allowed)

    def workbench(chat_id: str, workflow: str) -> EngineWorkbench:
        async def try_run(name: str, files: Mapping[str, bytes], inputs: dict[str, Any], until: str | None) -> DryRun:
            return await tries.dry_run(chat_id, name, files, inputs, until)

        return EngineWorkbench(workflow, catalog, journal, try_run)

    around = Surroundings(
        store=store,
        bus=engine._bus,
        now=now,
        redact=engine._redacted,
        gateway=lambda chat_id: ChatGateway(engine._broker, chat_id),
        workbench=workbench,
        limits=lambda: SessionLimits.of(engine._settings.now.assistant),
        mode=lambda: cast(Mode, engine._settings.now.assistant.mode),
        keep_proposal=proposals.keep,
        ended=engine._turn_ended,
    )
    references = References(engine._queries, store)
    return journal, proposals, tries, Chats(around, catalog, journal, proposals, references)
