"""What can be done with an app on the Tools screen: connect it, try an action, give its accounts up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.message import Message

from core.link.tool_types import ActionRow, ActionView, ConnectionView, ToolDetail, ToolReply, ToolRow
from tui.actions import action
from tui.screens.base import RondoScreen
from tui.screens.confirm import ConfirmSheet
from tui.spans import Spans
from tui.text import plural, visible
from tui.tool_text import connection_spans

if TYPE_CHECKING:
    from tui.widgets.tool_pane import ToolPane


class Disconnected(Message, bubble=False):
    """Accounts were given up."""

    def __init__(self, name: str, gone: list[ConnectionView]) -> None:
        super().__init__()
        self.name = name
        self.gone = gone


class ActionRead(Message, bubble=False):
    """An action with what it takes, to be tried."""

    def __init__(self, view: ActionView) -> None:
        super().__init__()
        self.view = view


def needs_app(screen: ToolActions) -> str:
    """Why there is no app to act on."""
    return "" if screen.selected is not None else "There is no app to act on"


def needs_connecting(screen: ToolActions) -> str:
    """Why nothing can be connected."""
    row = screen.selected
    if row is None:
        return "There is no app to act on"
    return "" if row.needs_connection else f"{visible(row.name)} needs no account"


def needs_account(screen: ToolActions) -> str:
    """Why nothing can be given up."""
    row = screen.selected
    if row is None:
        return "There is no app to act on"
    known = screen.detail.connections if screen.detail is not None else [row.connection] if row.connection else []
    return "" if known else f"{visible(row.name)} has no account"


class ToolActions(RondoScreen):
    """The acting part of the Tools screen. The screen has the list and the pane."""

    pane: ToolPane

    @property
    def selected(self) -> ToolRow | None:
        """The app under the cursor."""
        raise NotImplementedError

    @property
    def detail(self) -> ToolDetail | None:
        """All that is known of it, once it was asked for."""
        raise NotImplementedError

    @property
    def account(self) -> ConnectionView | None:
        """The account under the cursor."""
        raise NotImplementedError

    def open_app(self) -> None:
        """Go to what the app can do."""
        raise NotImplementedError

    @property
    def chosen_action(self) -> ActionRow | None:
        """The action under the cursor."""
        return self.pane.action if self.pane.has_focus else None

    # Accounts ----------------------------------------------------------------------------------------------------

    @action(
        "tools.connect",
        "connect",
        keys="C",
        words="authenticate-tool",
        argument="tool",
        help="Connect an account, or connect it anew; trust an MCP server",
        footer=1,
        when=needs_connecting,
    )
    def connect(self, name: str = "") -> None:
        row, detail = self.selected, self.detail
        if name and (row is None or row.name != name):
            self.rondo.connect_app(name)
        elif row is not None:
            self.rondo.connect_app(row.name, row.provider, detail)

    @action(
        "tools.disconnect",
        "disconnect",
        keys="d",
        words="tools disconnect",
        help="Give up the account under the cursor, or all of the app; trust an MCP server no more",
        footer=5,
        when=needs_account,
    )
    def disconnect(self) -> None:
        row, detail = self.selected, self.detail
        if row is None:
            return
        one = self.account
        known = detail.connections if detail is not None else [row.connection] if row.connection is not None else []
        meant = [one] if one is not None else known
        name, provider, account = row.name, row.provider, one.id if one is not None else ""

        def decided(yes: bool | None) -> None:
            if yes:
                self.ask(
                    lambda: self.engine.disconnect_tool(name, provider, account),
                    lambda gone: Disconnected(name, gone),
                    group="disconnect",
                    doing=f"giving up {name}",
                    exclusive=False,
                )

        lines: list[Spans] = [[(" ", ""), *connection_spans(connection, self.rondo.now())] for connection in meant]
        used = f" Used by {', '.join(map(visible, row.workflows))}." if row.workflows else ""
        if row.provider == "mcp":
            question, text, yes = (
                f"Trust {visible(name)} no more?",
                f"It is ended, and not started again.{used}",
                "end it",
            )
        else:
            question = f"Give up {plural(len(meant), 'account')} of {visible(name)}?"
            text, yes = f"Runs that need it wait until one is connected again.{used}", "give up"
        self.app.push_screen(ConfirmSheet(question, text, yes=yes, lines=lines), decided)

    def on_disconnected(self, message: Disconnected) -> None:
        count = plural(len(message.gone), "account")
        trusted = all(one.provider == "mcp" for one in message.gone)
        text = "is not trusted any more" if trusted else f"{count} given up"
        self.say(f"{visible(message.name)}: {text}", "good")
        self.read_all()

    # Actions of the app ------------------------------------------------------------------------------------------

    @action(
        "tools.try",
        "try",
        keys="t",
        words="tools call",
        help="Fill in what the action takes and call it, as Enter",
        footer=2,
        when=needs_app,
    )
    def try_action(self) -> None:
        row, chosen = self.selected, self.chosen_action
        if row is None or chosen is None:
            # One of its actions has to be chosen first.
            self.open_app()
            return
        name, provider, wanted = row.name, row.provider, chosen.name
        self.ask(
            lambda: self.engine.get_action(name, wanted, provider),
            ActionRead,
            group="action",
            doing=f"reading {name}.{wanted}",
        )

    def on_action_read(self, message: ActionRead) -> None:
        from tui.screens.tool_try import TrySheet

        if self.app.screen is self:
            view = message.view
            self.app.push_screen(TrySheet(view), lambda reply: self._show_reply(view, reply))

    def _show_reply(self, view: ActionView, reply: ToolReply | None) -> None:
        from tui.screens.tool_try import result_sheet

        if reply is not None:
            self.app.push_screen(result_sheet(view, reply))
