"""The sheet that connects an account: a way to choose, fields to fill in, or a link with what becomes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Literal, cast

from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widget import Widget

from core.errors import ConnectFailed, NotConnected, RondoError
from core.link.tool_types import ConnectionView, ConnectView, SchemeView, ToolDetail
from tui.actions import action
from tui.forms import field_of_account
from tui.screens.base import error_text
from tui.screens.confirm import ConfirmSheet
from tui.screens.sheet import Sheet
from tui.spans import Spans
from tui.text import fit, stopwatch, visible
from tui.tool_text import ENDED, scheme_words
from tui.widgets.form import Form
from tui.widgets.line_list import LineList
from tui.widgets.paragraph import Paragraph
from tui.widgets.qr_code import QrCode

if TYPE_CHECKING:
    from core.link.api import EngineApi
    from tui.app import RondoApp

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 5.0
"""Seconds between two looks at an account."""
LONGEST = 600.0
"""Seconds that a link holds where nobody says how long it does."""
TEXT_WIDTH = 34
"""Columns that the words beside a code need."""
SHEET_ROWS = 3
"""Rows of the sheet that are no room for a code: its title, its keys, and one of the screen below."""

Phase = Literal["asking", "choosing", "filling", "sending", "link", "active", "failed"]


class Described(Message, bubble=False):
    """All that is known of the app."""

    def __init__(self, detail: ToolDetail) -> None:
        super().__init__()
        self.detail = detail


class Begun(Message, bubble=False):
    """What it takes to connect; `filled` says that fields were given."""

    def __init__(self, view: ConnectView, filled: bool) -> None:
        super().__init__()
        self.view = view
        self.filled = filled


class Seen(Message, bubble=False):
    """How the account is now; with a text instead: why that is not known."""

    def __init__(self, connection_id: str, found: ConnectionView | None, text: str = "", over: bool = False) -> None:
        super().__init__()
        self.connection_id = connection_id
        self.found = found
        self.text = text
        self.over = over


class Refused(Message, bubble=False):
    """It can't be connected, or not in this way."""

    def __init__(self, error: RondoError) -> None:
        super().__init__()
        self.error = error


class Ways(LineList):
    """The ways to connect an account, one a line."""

    DEFAULT_CSS = """
    Ways { height: auto; max-height: 8; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.schemes: list[SchemeView] = []

    def show(self, schemes: list[SchemeView]) -> None:
        """Show these ways."""
        self.schemes = schemes
        self.refresh(layout=True)
        self.lines_changed()

    def get_content_height(self, container: object, viewport: object, width: int) -> int:
        return max(1, len(self.schemes))

    def line_count(self) -> int:
        return len(self.schemes)

    def line_spans(self, line: int, width: int) -> Spans:
        scheme = self.schemes[line]
        return [
            (fit(visible(scheme.title or scheme.name), 24), "strong"),
            (fit(scheme_words(scheme), max(0, width - 24)), "dim"),
        ]


def needs_link(sheet: ConnectSheet) -> str:
    """Why there is no link to copy."""
    return "" if sheet.phase == "link" else "There is no link"


def needs_new(sheet: ConnectSheet) -> str:
    """Why nothing begins anew."""
    return "" if sheet.phase in ("failed", "link") else "It is under way"


def needs_step(sheet: ConnectSheet) -> str:
    """Why there is nothing to go on with."""
    return "" if sheet.phase in ("choosing", "filling", "active") else "It is under way"


def needs_form(sheet: ConnectSheet) -> str:
    """Why there are no fields to go through."""
    return "" if sheet.phase == "filling" else "There is nothing to fill in"


class ConnectSheet(Sheet[ConnectionView]):
    """Connect an account of an app; dismisses with it, or with None. What is typed is sent once and kept nowhere."""

    view = "connect"

    DEFAULT_CSS = """
    ConnectSheet Horizontal { height: auto; }
    ConnectSheet Horizontal > Vertical { height: auto; width: 1fr; }
    ConnectSheet .form { height: auto; }
    """

    def __init__(self, name: str, provider: str = "", detail: ToolDetail | None = None) -> None:
        super().__init__(f"Connect {visible(name)}")
        self._wanted = name
        self._provider = provider
        self._detail = detail
        self._scheme: SchemeView | None = None
        self._view: ConnectView | None = None
        self._found: ConnectionView | None = None
        self._ends_at = 0.0
        """When the link ends."""
        self.phase: Phase = "asking"
        self._about = Paragraph("")
        self._ways = Ways()
        self._fields = Vertical(classes="form")
        self._form: Form | None = None
        self._link = Paragraph("", "strong")
        self._left = Paragraph("", "dim")
        self._code = QrCode()
        self._code_missing = Paragraph("", "dim")
        self._problem = Paragraph("", "bad", classes="form-problem")

    @property
    def rondo(self) -> RondoApp:
        """The app, by its own type."""
        return cast("RondoApp", self.app)

    @property
    def engine(self) -> EngineApi:
        """The engine."""
        return self.rondo.engine

    def compose_body(self) -> Iterable[Widget]:
        with Horizontal():
            with Vertical():
                yield self._about
                yield self._ways
                yield self._link
                yield self._left
                yield self._code_missing
            yield self._code
        yield self._fields
        yield self._problem
        for part in (self._ways, self._fields, self._link, self._left, self._code, self._code_missing):
            part.display = False

    def on_mount(self) -> None:
        self.set_interval(1.0, self._show_time)
        if self._detail is None:
            self._describe()
        else:
            self._begin_with(self._detail)

    # What the engine is asked ------------------------------------------------------------------------------------

    def _ask(self, call: Callable[[], Awaitable[Message]]) -> None:
        async def work() -> None:
            try:
                message = await call()
            except RondoError as error:
                self.post_message(Refused(error))
            else:
                self.post_message(message)

        self.run_worker(work, group="connect", exclusive=True, name="connect")

    def _describe(self) -> None:
        self._enter("asking", f"Asking how {visible(self._wanted)} is connected…")

        async def call() -> Message:
            return Described(await self.engine.get_tool(self._wanted, self._provider, False))

        self._ask(call)

    def on_described(self, message: Described) -> None:
        self._detail = message.detail
        self._begin_with(message.detail)

    def _begin_with(self, detail: ToolDetail) -> None:
        """Go on where there is one way, else let one be chosen."""
        self._provider = detail.row.provider
        self._wanted = detail.row.name
        if len(detail.schemes) > 1 and self._scheme is None:
            self._enter("choosing", "There are several ways:")
            self._ways.show(detail.schemes)
            self.set_focus(self._ways)
        else:
            self._scheme = self._scheme or (detail.schemes[0] if detail.schemes else None)
            self._connect({})

    def _connect(self, values: dict[str, str]) -> None:
        if self._form is not None:
            self._enter("sending", "Sending what you filled in…")
        else:
            self._enter("asking", f"Asking how {visible(self._wanted)} is connected…")
        scheme = self._scheme.name if self._scheme is not None else ""

        async def call() -> Message:
            view = await self.engine.connect_tool(self._wanted, self._provider, scheme, values or None)
            return Begun(view, bool(values))

        self._ask(call)

    def on_begun(self, message: Begun) -> None:
        view = self._view = message.view
        self._provider = view.provider or self._provider
        if view.state == "ACTIVE":
            self._done(ConnectionView(id=view.connection_id, app=view.app, provider=view.provider, state="ACTIVE"))
        elif view.link:
            self._show_link(view)
        elif view.fields and view.scheme == "TRUST":
            self._ask_for_trust(view)
        elif view.fields and (self._form is None or not message.filled):
            self._fill_in(view)
        elif view.fields:
            missing = ", ".join(visible(field.title or field.name) for field in view.fields if field.required)
            self._enter("filling", self._about.text)
            self._problem.text = f"✗ This is still needed: {missing}"
        else:
            self._fail(f"{visible(view.app)} gave neither a link nor anything to fill in.")

    def on_refused(self, message: Refused) -> None:
        """Say why; what was filled in stays where it was refused."""
        if self._form is not None and isinstance(message.error, ConnectFailed):
            self._enter("filling", self._fields_words())
            self._problem.text = f"✗ {error_text(message.error)}"
            self._form.begin()
        else:
            self._fail(error_text(message.error))

    # Filling in --------------------------------------------------------------------------------------------------

    def _ask_for_trust(self, view: ConnectView) -> None:
        words = view.fields[0].description or view.fields[0].title
        self._enter("asking", words)

        def decided(yes: bool | None) -> None:
            if yes:
                self._connect({view.fields[0].name: "yes"})
            else:
                self.dismiss(None)

        question = f"Trust the MCP server {visible(self._wanted)}?"
        self.app.push_screen(ConfirmSheet(question, visible(words), yes="trust it"), decided)

    def _fields_words(self) -> str:
        scheme = self._view.scheme if self._view is not None else ""
        return f"Fill this in ({visible(scheme)}); it goes to the service and is shown nowhere."

    def _fill_in(self, view: ConnectView) -> None:
        self._enter("filling", self._fields_words())
        self._form = Form([field_of_account(field) for field in view.fields], eager=True, classes="tall")
        self._fields.mount(self._form)
        self.on_resize()

    def on_form_completed(self) -> None:
        self._send_form()

    def _send_form(self) -> None:
        given = self._form.read() if self._form is not None else None
        if given is not None:
            self._connect({name: value for name, value in given.items() if value})

    def _drop_form(self) -> None:
        """Nothing of what was typed is kept."""
        if self._form is not None:
            self._form.remove()
            self._form = None

    # The link ----------------------------------------------------------------------------------------------------

    def _show_link(self, view: ConnectView) -> None:
        self._drop_form()
        where = "It is copied to your terminal's clipboard, too."
        self._enter("link", f"Open this link in a browser, on any machine, to connect {visible(view.app)}. {where}")
        self._link.text = visible(view.link)
        # To the clipboard of the terminal, which is where the person is.
        self.app.copy_to_clipboard(view.link)
        self._ends_at = view.expires_at if view.expires_at is not None else self.rondo.now() + LONGEST
        self._show_code()
        self._show_time()
        self.run_worker(self._follow(view, self._ends_at), group="follow", exclusive=True, name="follow")

    async def _follow(self, view: ConnectView, ends_at: float) -> None:
        """Look at the account until it is active or can't become so."""
        pause = FIRST_PAUSE
        number = view.connection_id
        while True:
            over = self.rondo.now() >= ends_at
            try:
                found = await self.engine.check_connection(self._wanted, number, self._provider)
            except NotConnected as error:
                self.post_message(Seen(number, None, error_text(error), over=True))
                return
            except RondoError as error:
                self.post_message(Seen(number, None, error.message))
            else:
                self.post_message(Seen(number, found, over=over))
                if found.state == "ACTIVE" or found.state in ENDED or over:
                    return
            await asyncio.sleep(pause)
            pause = min(pause * 1.3, LONGEST_PAUSE)

    def on_seen(self, message: Seen) -> None:
        """Follow what becomes of the account of the present link."""
        if self.phase != "link" or self._view is None or message.connection_id != self._view.connection_id:
            return
        found = message.found
        if found is not None and found.state == "ACTIVE":
            self._done(found)
        elif found is not None and found.state in ENDED:
            reason = visible(found.reason or "The service says so.")
            self._fail(f"{visible(self._wanted)} could not be connected: the account is {found.state}.\n{reason}")
        elif message.over and found is None:
            self._fail(message.text)
        elif message.over:
            self._fail("EXPIRED: the link has ended before anybody used it.")
        else:
            self._problem.text = f"{visible(message.text)} It is tried again." if message.text else ""

    def _show_time(self) -> None:
        if self.phase == "link":
            left = max(0.0, self._ends_at - self.rondo.now())
            self._left.text = f"◐ waiting for you; the link ends in {stopwatch(left)}"

    def _show_code(self) -> None:
        """Draw the code where it has room beside the words."""
        if self.phase != "link" or self._view is None:
            return
        room = self.size.width - TEXT_WIDTH
        fits = self._code.show(self._view.link, room, self.size.height - SHEET_ROWS)
        self._code_missing.display = not fits
        self._code_missing.text = "" if fits else "The terminal is too small for its QR code."

    def on_resize(self) -> None:
        super().on_resize()
        self._show_code()

    # Ends --------------------------------------------------------------------------------------------------------

    def _enter(self, phase: Phase, words: str) -> None:
        self.phase = phase
        self._about.text = words
        self._about.used_ink = ""
        self._problem.text = ""
        self._ways.display = phase == "choosing"
        self._fields.display = phase in ("filling", "sending")
        self._link.display = self._left.display = phase == "link"
        if phase != "link":
            self._code.display = self._code_missing.display = False
        if phase in ("active", "failed"):
            self._drop_form()
        if self.focused is not None and not self.focused.display:
            self.set_focus(None)
        self.refresh_keys()

    def _done(self, found: ConnectionView) -> None:
        self._found = found
        who = f" as {visible(found.account)}" if found.account and found.provider != "mcp" else ""
        word = "trusted" if found.provider == "mcp" else "connected"
        self._enter("active", f"● {visible(self._wanted)} is {word}{who}. Runs that wait for it go on.")
        self._about.used_ink = "good"

    def _fail(self, text: str) -> None:
        self._enter("failed", f"✗ {text}\nn begins anew, esc leaves.")
        self._about.used_ink = "bad"

    # Keys --------------------------------------------------------------------------------------------------------

    def on_line_list_chosen(self, event: LineList.Chosen) -> None:
        self.go_on()

    @action(
        "connect.go-on",
        "go on",
        keys="enter",
        help="Take this way; send what is filled in; close at the end",
        footer=1,
        when=needs_step,
    )
    def go_on(self) -> None:
        match self.phase:
            case "choosing" if self._ways.schemes:
                self._scheme = self._ways.schemes[self._ways.cursor]
                self._connect({})
            case "filling":
                self._send_form()
            case "active":
                self.dismiss(self._found)

    @action("connect.copy", "copy the link", keys="y", help="Copy the link once more", footer=2, when=needs_link)
    def copy_link(self) -> None:
        if self._view is not None:
            self.rondo.copy(self._view.link)

    @action("connect.anew", "a new link", keys="n", help="Begin anew, with a new link", footer=3, when=needs_new)
    def begin_anew(self) -> None:
        self._scheme = None if self._detail is None else self._scheme
        self._describe()

    @action("connect.next", "next field", keys="tab,down", help="To the next field", footer=4, when=needs_form)
    def next_field(self) -> None:
        self.focus_next()

    @action("connect.previous", "field before", keys="shift+tab,up", help="To the field before", when=needs_form)
    def previous_field(self) -> None:
        self.focus_previous()

    @action("connect.close", "back", keys="escape,q", help="Back; a link that was opened holds on", footer=5)
    def close(self) -> None:
        self.dismiss(self._found)
