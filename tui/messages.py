"""What workers tell screens. Only handlers of these messages touch widgets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:
    from core.errors import RondoError
    from core.link.event_types import Event


class EngineEvents(Message, bubble=False):
    """A batch of events of the engine; the app hands it to each screen that is open."""

    def __init__(self, events: list[Event]) -> None:
        super().__init__()
        self.events = events


class EngineReady(Message, bubble=False):
    """The engine can be called (again): read what you show. Comes after the first connection and after every gap."""


class EngineFailed(Message, bubble=False):
    """A call failed; `doing` says what was tried, as in "starting mail_digest". `reading` says that nobody asked for
    it: a screen reads again by itself when the connection is back."""

    def __init__(self, error: RondoError, doing: str = "", *, reading: bool = False) -> None:
        super().__init__()
        self.error = error
        self.doing = doing
        self.reading = reading


class EngineStopped(Message, bubble=False):
    """The engine ended because it was asked to."""


class Copied(Message, bubble=False):
    """A text was copied; `text` is what to say of it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
