"""One server in use: started with the first call, ended when it misbehaves, and with the engine."""

from __future__ import annotations

import asyncio
import importlib
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from core.errors import RondoError, ToolProblem, ToolProviderMissing, ToolRefused, ToolReplyProblem, ToolUnreachable
from core.tools import guard
from core.tools.http import BODY_LIMIT, lost
from core.tools.mcp.config import ServerConfig, resolved
from core.tools.provider import Effects, SecretValues

START_SECONDS = 30.0
MOST_TOOLS = 2000
WORDS_OF_SERVER = 600
"""Characters of what a server wrote last that an error shows."""


class Server:
    """A connection to one server. All of the library's work is in one task; other tasks send requests through it."""

    def __init__(self, config: ServerConfig, secrets: SecretValues, start_seconds: float = START_SECONDS) -> None:
        self.config = config
        self._secrets = secrets
        self._start_seconds = start_seconds
        self._task: asyncio.Task[None] | None = None
        self._client: Any = None
        self._stop = asyncio.Event()
        self._starting = asyncio.Lock()
        self._under_way = 0
        self._words: Any = None
        self._said = ""

    @property
    def running(self) -> bool:
        """True while it is connected."""
        return self._task is not None and not self._task.done() and self._client is not None

    async def tools(self) -> list[Any]:
        """What it says of its tools, as the library has it."""
        found: list[Any] = []
        cursor: str | None = None
        while True:
            page = await self._ask(partial(_list_tools, cursor), self._start_seconds, "read")
            found += page.tools
            if not page.next_cursor or page.next_cursor == cursor or len(found) > MOST_TOOLS:
                return found[:MOST_TOOLS]
            cursor = page.next_cursor

    async def call(self, tool: str, arguments: Mapping[str, Any], effects: Effects, seconds: float, key: str) -> Any:
        """Call a tool once; returns the library's result."""
        meta = {"rondo/idempotency-key": key} if key else None
        return await self._ask(
            lambda client: client.call_tool(tool, dict(arguments), read_timeout_seconds=seconds, meta=meta),
            seconds,
            effects,
        )

    async def close(self) -> None:
        """End it."""
        self._stop.set()
        task = self._task
        if task is not None:
            await asyncio.wait([task], timeout=10)
            if not task.done():
                task.cancel()
                await asyncio.wait([task])
        self._task, self._client = None, None

    async def _ask(self, send: Any, seconds: float, effects: Effects) -> Any:
        client = await self._ready()
        task = self._task
        self._under_way += 1
        # The end of the server ends what waits for its answer.
        asking = asyncio.ensure_future(send(client))
        try:
            assert task is not None
            done, _ = await asyncio.wait({asking, task}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if asking in done:
                return asking.result()
            if task in done:
                raise lost(self._title, f"ended before it answered{self._last_words()}", effects)
            raise lost(self._title, f"did not answer within {seconds:g} s", effects)
        except RondoError:
            self._give_up()
            raise
        except Exception as error:
            if task is not None and (task.done() or type(error).__module__.startswith("anyio")):
                self._give_up()
                raise lost(self._title, f"broke the connection{self._last_words()}", effects) from error
            raise self._refused(error, effects) from error
        finally:
            self._under_way -= 1
            if not asking.done():
                asking.cancel()
                await asyncio.wait([asking])

    def _give_up(self) -> None:
        """End a server that does not answer, unless it has something else to do; the next call starts another."""
        if self._under_way <= 1:
            self._stop.set()

    def _refused(self, error: Exception, effects: Effects) -> ToolProblem:
        code = getattr(error, "code", None)
        if code in (-32001, 408) or isinstance(error, TimeoutError):
            self._give_up()
            return lost(self._title, "did not answer in time", effects)
        if code == -32000:
            self._give_up()
            return lost(self._title, f"broke the connection{self._last_words()}", effects)
        # By these codes it says that it has not understood, and so has not acted.
        kind = ToolRefused if code in (-32700, -32600, -32601, -32602) else ToolReplyProblem
        return kind(
            f"{self._title} answered with an error: {str(error)[:500]}",
            cause=f"{type(error).__name__}{f' {code}' if code is not None else ''}.",
            next_step="Look at the arguments and at the server.",
        )

    # Its life -----------------------------------------------------------------------------------------------------

    async def _ready(self) -> Any:
        async with self._starting:
            if self.running and not self._stop.is_set():
                return self._client
            await self.close()
            self._said = ""
            library = await _library()
            self._stop = asyncio.Event()
            up: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            self._task = asyncio.create_task(self._live(library, up, self._stop), name=f"MCP server {self.config.name}")
            try:
                async with asyncio.timeout(self._start_seconds):
                    await asyncio.wait([up, self._task], return_when=asyncio.FIRST_COMPLETED)
            except TimeoutError:
                await self._abandon()
                raise self._not_started(f"It did not say hello within {self._start_seconds:g} s.") from None
            except asyncio.CancelledError:
                await self._abandon()
                raise
            if not up.done() or up.exception() is not None:
                error = up.exception() if up.done() else None
                await self._abandon()
                if isinstance(error, RondoError):
                    raise error
                raise self._not_started(_cause(error)) from error
            self._client = up.result()
            return self._client

    async def _abandon(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._task, self._client = None, None

    async def _live(self, library: Any, up: asyncio.Future[Any], stop: asyncio.Event) -> None:
        """Hold the connection until it is to end; what goes wrong in it stays in it."""
        try:
            async with self._transport() as transport, library.Client(transport) as client:
                up.set_result(client)
                await stop.wait()
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            if not up.done():
                up.set_exception(error)
                up.exception()  # It is looked at, or the start was given up: never a warning.

    @asynccontextmanager
    async def _transport(self) -> AsyncIterator[Any]:
        """What the library connects over."""
        config = self.config
        if config.url:
            headers = await asyncio.to_thread(resolved, config, config.headers, self._secrets)
            http = importlib.import_module("mcp.client.streamable_http")
            async with http.create_mcp_http_client(headers=headers) as client:
                client.follow_redirects = False  # It could lead a key to somebody else.
                yield http.streamable_http_client(config.url, http_client=client)
            return
        env = await asyncio.to_thread(resolved, config, config.env, self._secrets)
        stdio = importlib.import_module("mcp.client.stdio")
        parameters = stdio.StdioServerParameters(
            command=sys.executable,
            args=["-I", str(Path(guard.__file__)), config.command, *config.args],
            env=env,
            cwd=config.cwd or None,
        )
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as words:
            self._words = words
            try:
                yield stdio.stdio_client(parameters, errlog=words)
            finally:
                self._said = self._read_words()

    @property
    def _title(self) -> str:
        return f"The MCP server {self.config.name}"

    def _last_words(self) -> str:
        text = self._read_words() or self._said
        return f"; it wrote: {text}" if text else ""

    def _read_words(self) -> str:
        """What the server has written to its standard error last; "" where nothing can be read."""
        if self._words is None or self._words.closed:
            return ""
        try:
            self._words.seek(0)
            text: str = self._words.read()[-WORDS_OF_SERVER:].strip()
        except (OSError, ValueError):
            return ""
        return text

    def _not_started(self, cause: str) -> ToolUnreachable:
        return ToolUnreachable(
            f"{self._title} could not be used: {self.config.words}",
            cause=f"{cause}{self._last_words()}",
            next_step=f"Try that by hand, and look at {self.config.file}.",
        )


async def _list_tools(cursor: str | None, client: Any) -> Any:
    return await client.list_tools(cursor=cursor)


async def _library() -> Any:
    try:
        return await asyncio.to_thread(importlib.import_module, "mcp")
    except ImportError as error:
        raise ToolProviderMissing(
            "What speaks to MCP servers is not installed.",
            cause=f"There is no package {error.name or 'mcp'}.",
            next_step="Install it beside Rondo: pip install 'mcp>=2.3,<2.4'",
        ) from error


def _cause(error: BaseException | None) -> str:
    """The first plain error below groups of errors."""
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}" if error is not None else "It ended at once."


def check_size(name: str, text: str) -> None:
    """Raise ToolReplyProblem for a result that is too large to be kept."""
    if len(text) > BODY_LIMIT:
        raise ToolReplyProblem(
            f"The MCP server {name} answered with more than {BODY_LIMIT} bytes.",
            cause="An answer is kept whole, so its size is limited. The call itself was carried out.",
            next_step="Ask for less at once.",
        )
