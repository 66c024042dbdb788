"""The provider `composio-core`: the package that older workflows use, for whoever wants just that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from core.errors import NotConnected, ToolProblem, ToolReplyProblem, ToolUnknown
from core.redaction import Redactor
from core.tools.composio.connecting import connect_account
from core.tools.composio.provider import USER_ID
from core.tools.composio.results import result_of
from core.tools.composio.wire import BASE_URL, Wire
from core.tools.composio_core.bridge import Bridge, Errand
from core.tools.composio_core.models import NAME, action_of, app_of, connection_of
from core.tools.composio_core.process import CoreProcess, Installation
from core.tools.provider import Action, App, Connection, ConnectRequest, ConnectScheme, Page, ToolResult
from core.tools.waiting import Patience

LIST_SECONDS = 300.0
"""How long a question may take that is answered page by page."""


class ComposioCore:
    """Composio by its older package. `key` is called in a thread; the key never leaves this process but to Composio."""

    name = NAME

    def __init__(
        self,
        key: Callable[[], str | None],
        installation: Installation,
        *,
        base_url: str = BASE_URL,
        user_id: str = USER_ID,
        patience: Patience | None = None,
        **limits: float,
    ) -> None:
        self._wire = Wire(base_url, key, patience if patience is not None else Patience())
        self._user_id = user_id
        self._bridge = Bridge(self._wire, user_id)
        self._process = CoreProcess(installation, self._bridge, **limits)

    async def close(self) -> None:
        await self._process.close()
        await self._wire.close()

    async def require(self) -> None:
        await self._process.require()
        await self._wire.found_key()

    async def check(self) -> str:
        version = await self._process.start()
        await self._wire.get("/toolkits", {"limit": "1"})
        return f"{NAME} {version} runs, and the key works"

    async def _ask(self, what: str, errand: Errand | None = None, **arguments: Any) -> Any:
        return await self._process.ask(what, arguments, errand or Errand(seconds=LIST_SECONDS))

    # What there is ------------------------------------------------------------------------------------------------

    async def list_apps(self, query: str = "", cursor: str = "") -> Page[App]:
        found = await self._ask("apps", Errand(seconds=LIST_SECONDS, search=query))
        return Page(tuple(app_of(model) for model in _read(found)))

    async def get_app(self, app: str) -> App:
        try:
            return app_of(_read(await self._ask("app", name=app.strip().lower())))
        except ToolUnknown as error:
            raise ToolUnknown(
                f"Composio has no app {app!r}.",
                cause=error.cause,
                next_step=f"Look for it: rondo list-tools --search {app}",
            ) from error

    async def list_actions(self, app: str) -> tuple[Action, ...]:
        details = await self.get_app(app)
        return tuple(action_of(model) for model in _read(await self._ask("actions", app=details.name)))

    async def get_action(self, app: str, action: str, version: str = "") -> Action:
        wanted = action.strip().upper()
        names = [wanted] if wanted.startswith(f"{app.upper()}_") else []
        names.append(f"{app.upper()}_{wanted}")
        cause = ""
        for name in names:
            try:
                return action_of(_read(await self._ask("action", name=name, version=version)))
            except ToolUnknown as error:
                cause = error.cause
        raise ToolUnknown(f"{app} has no action {action!r}.", cause=cause, next_step=f"See: rondo tool-details {app}")

    # Accounts -----------------------------------------------------------------------------------------------------

    async def list_connections(self, app: str = "") -> tuple[Connection, ...]:
        models = _read(await self._ask("accounts", entity=self._user_id))
        found = [self._connection(model) for model in models]
        ours = [one for one in found if not app or one.app == app.lower()]
        return tuple(sorted(ours, key=lambda one: one.created_at or 0.0, reverse=True))

    async def get_connection(self, connection_id: str) -> Connection:
        try:
            return self._connection(_read(await self._ask("account", number=connection_id)))
        except (ToolUnknown, NotConnected) as error:
            raise NotConnected(
                "This connected account is gone.",
                cause=error.cause,
                next_step="Connect it anew: rondo authenticate-tool NAME",
            ) from error

    def _connection(self, model: Mapping[str, Any]) -> Connection:
        return connection_of(model, self._bridge.accounts.get(str(model.get("id"))))

    async def connect(self, app: str, scheme: str = "", values: Mapping[str, str] | None = None) -> ConnectRequest:
        return await connect_account(await self.get_app(app), scheme, values or {}, self)

    async def disconnect(self, connection_id: str) -> None:
        await self._ask("disconnect", number=connection_id)

    async def link(self, app: App, scheme: ConnectScheme, credentials: Mapping[str, str]) -> ConnectRequest:
        """Begin to connect over a link, with an OAuth application of one's own where there are credentials."""
        return await self._connect(app, scheme, scheme.managed and not credentials, credentials, {})

    async def account(
        self, app: App, scheme: ConnectScheme, credentials: Mapping[str, str], values: Mapping[str, str]
    ) -> ConnectRequest:
        """Connect an account by what was filled in."""
        return await self._connect(app, scheme, False, credentials, values)

    async def _connect(
        self,
        app: App,
        scheme: ConnectScheme,
        managed: bool,
        credentials: Mapping[str, str],
        values: Mapping[str, str],
    ) -> ConnectRequest:
        try:
            model = _read(
                await self._ask(
                    "connect",
                    Errand(effects="write"),
                    entity=self._user_id,
                    app=app.name,
                    scheme=scheme.name,
                    managed=managed,
                    credentials=dict(credentials),
                    values=dict(values),
                )
            )
        except ToolProblem as problem:
            # What the package says may repeat what it was given.
            hide = Redactor([*credentials.values(), *values.values()])
            problem.message, problem.cause = hide.text(problem.message), hide.text(problem.cause)
            problem.args = (problem.message,)
            raise
        number = str(model["connectedAccountId"])
        begun = self._bridge.links.get(number) or ConnectRequest(app.name, number)
        link = str(model.get("redirectUrl") or "")
        return replace(begun, app=app.name, connection_id=number, link=link, scheme=scheme.name)

    # Actions ------------------------------------------------------------------------------------------------------

    async def execute(
        self,
        action: Action,
        arguments: Mapping[str, Any],
        *,
        connection_id: str = "",
        key: str = "",
        seconds: float = 60.0,
    ) -> ToolResult:
        reply = await self._ask(
            "execute",
            Errand(effects=action.effects, key=key, seconds=seconds),
            name=action.id,
            version=action.version,
            arguments=dict(arguments),
            entity=self._user_id,
            account=connection_id,
        )
        return result_of(action, _read(reply))


def _read(value: Any) -> Any:
    """What the package handed out, where it is a document or a list of such."""
    whole = all(isinstance(one, dict) for one in value) if isinstance(value, list) else isinstance(value, dict)
    if not whole:
        raise ToolReplyProblem(
            "composio-core handed out something that can't be read.",
            cause=f"It is no document, but {type(value).__name__}.",
            next_step="Use the provider composio instead.",
        )
    return value
