"""Runs the package composio-core for Rondo: `python -I worker.py`, under the interpreter that has the package.

Frames are lines of JSON. From Rondo come errands, {"errand": 1, "do": "execute", "args": {...}}, and answers to the
package's requests, {"answer": 7, "status": 200, "body": ...}. To Rondo go {"hello": {...}} once, the package's
requests, {"request": 7, "errand": 1, "method": ..., "path": ..., "query": ..., "body": ...}, and what errands came to:
{"errand": 1, "items": [...]} any number of times, then {"errand": 1, "value": ...} or {"errand": 1, "error": {...}}.

Nothing of the package reaches the network or these pipes: its requests are handed to Rondo, which has the key; what it
prints and logs is thrown away. The process ends when its standard input does. Standard library and the package alone.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import itertools
import json
import logging
import os
import shutil
import sys
import threading
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import parse_qsl, urlsplit

ADDRESS = "http://rondo.invalid/api"
"""Where the package believes Composio to be: nowhere, since nothing of it is to get out."""
KEY = "rondo"
"""The package asks for some key."""
AT_ONCE = 50
"""Items of a list in one frame."""
NETWORK = frozenset({"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"})


class Pipes:
    """The two pipes to Rondo, and what waits for an answer from there."""

    def __init__(self) -> None:
        self._incoming = os.fdopen(os.dup(0), "rb")
        self._outgoing = os.fdopen(os.dup(1), "wb")
        self._writing = threading.Lock()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, Callable[[dict[str, Any]], None]] = {}

    def send(self, frame: dict[str, Any]) -> None:
        """Send a frame, as short as it can be: there is a limit. A lone surrogate in it goes as an escape."""
        try:
            line = json.dumps(frame, ensure_ascii=False, separators=(",", ":")).encode()
        except UnicodeEncodeError:
            line = json.dumps(frame, separators=(",", ":")).encode()
        with self._writing:
            self._outgoing.write(line + b"\n")
            self._outgoing.flush()

    def ask(self, frame: dict[str, Any]) -> dict[str, Any]:
        """Send a request and wait for its answer."""
        number, answers, come = next(self._numbers), [], threading.Event()

        def take(answer: dict[str, Any]) -> None:
            answers.append(answer)
            come.set()

        self._waiting[number] = take
        self.send({"request": number, **frame})
        come.wait()
        return answers[0]

    def listen(self, begin: Callable[[dict[str, Any]], None]) -> None:
        """Take frames until Rondo closes its end."""
        while line := self._incoming.readline():
            frame = json.loads(line)
            if "answer" in frame:
                self._waiting.pop(frame["answer"])(frame)
            else:
                begin(frame)


class Package:
    """The package, silenced, with its requests led to the pipes."""

    def __init__(self, pipes: Pipes) -> None:
        self._errand = threading.local()
        self._pipes = pipes
        self._lead_requests()
        client = importlib.import_module("composio.client")
        enums = importlib.import_module("composio.client.enums")
        self._action = enums.Action
        self._composio = client.Composio(api_key=KEY, base_url=ADDRESS)
        self.version = str(importlib.import_module("composio.__version__").__version__)

    def begin(self, frame: dict[str, Any]) -> None:
        """Do an errand in a thread of its own: the package blocks while it waits."""
        threading.Thread(target=self._do, args=(frame,), daemon=True).start()

    def _do(self, frame: dict[str, Any]) -> None:
        number = frame["errand"]
        self._errand.number = number
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                value = getattr(self, f"do_{frame['do']}")(**frame["args"])
            while isinstance(value, list) and value:
                self._pipes.send({"errand": number, "items": value[:AT_ONCE]})
                value = value[AT_ONCE:]
            reply = {"errand": number, "value": value}
            json.dumps(reply)
        except BaseException as error:
            told = {"type": type(error).__name__, "message": str(error), "notes": getattr(error, "__notes__", [])}
            reply = {"errand": number, "error": told}
        self._pipes.send(reply)

    # Errands ------------------------------------------------------------------------------------------------------

    def do_apps(self) -> list[Any]:
        return [app.model_dump(mode="json") for app in self._composio.apps.get()]

    def do_app(self, name: str) -> Any:
        return self._composio.apps.get(name=name).model_dump(mode="json")

    def do_actions(self, app: str) -> list[Any]:
        found = self._composio.actions.get(apps=[app], allow_all=True)
        return [action.model_dump(mode="json") for action in found]

    def do_action(self, name: str, version: str) -> Any:
        return self._composio.actions.get(action=self._named(name, version)).model_dump(mode="json")

    def do_accounts(self, entity: str) -> list[Any]:
        found = self._composio.connected_accounts.get(entity_ids=[entity])
        return [account.model_dump(mode="json") for account in found]

    def do_account(self, number: str) -> Any:
        return self._composio.connected_accounts.get(connection_id=number).model_dump(mode="json")

    def do_connect(
        self, entity: str, app: str, scheme: str, managed: bool, credentials: dict[str, str], values: dict[str, str]
    ) -> Any:
        request = self._composio.get_entity(entity).initiate_connection(
            app,
            auth_mode=scheme,
            auth_config=credentials or None,
            use_composio_auth=managed,
            connected_account_params=values,
        )
        return request.model_dump(mode="json")

    def do_disconnect(self, number: str) -> None:
        # The package has no word for this.
        response = self._composio.http.delete(url=f"/v1/connectedAccounts/{number}")
        if response.status_code != 200:
            raise RuntimeError(response.text)

    def do_execute(self, name: str, version: str, arguments: dict[str, Any], entity: str, account: str) -> Any:
        action = self._named(name, version)
        return self._composio.actions.execute(
            action, params=arguments, entity_id=entity, connected_account=account or None
        )

    def _named(self, name: str, version: str) -> Any:
        action = self._action(name)
        return action.with_version(version) if version else action

    # Requests -----------------------------------------------------------------------------------------------------

    def _lead_requests(self) -> None:
        """Have every session of the HTTP library hand its requests to Rondo."""
        requests = importlib.import_module("requests")
        adapters = importlib.import_module("requests.adapters")
        package = self

        class Leading(adapters.BaseAdapter):  # type: ignore[misc, name-defined]
            def send(self, request: Any, *_: Any, **__: Any) -> Any:
                number = getattr(package._errand, "number", None)
                if number is None or not request.url.startswith(ADDRESS + "/"):
                    raise requests.ConnectionError(f"Rondo lets nothing out to {urlsplit(request.url).netloc}")
                answer = package._ask(number, request)
                response = requests.Response()
                response.status_code = answer["status"]
                response.headers["content-type"] = "application/json"
                response.encoding = "utf-8"
                response.url, response.request = request.url, request
                response.raw = io.BytesIO(json.dumps(answer["body"]).encode())
                return response

            def close(self) -> None:
                return

        leading = Leading()
        requests.Session.get_adapter = lambda session, url: leading

    def _ask(self, number: int, request: Any) -> dict[str, Any]:
        parts = urlsplit(request.url.removeprefix(ADDRESS))
        return self._pipes.ask(
            {
                "errand": number,
                "method": request.method,
                "path": parts.path,
                "query": dict(parse_qsl(parts.query)),
                "body": json.loads(request.body) if request.body else None,
            }
        )


def silence() -> None:
    """Keep the pipes from the package, throw away what it says, and let nothing of it out to the network."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    sys.stdin = os.fdopen(nowhere, closefd=False)
    sys.stdout = sys.stderr = os.fdopen(nowhere, "w", closefd=False)
    logging.disable(logging.CRITICAL)

    def refuse(event: str, _: Any) -> None:
        if event in NETWORK:
            raise ConnectionRefusedError("Rondo lets nothing of composio-core out")

    sys.addaudithook(refuse)


def settle(folder: Path) -> None:
    """Give the package a folder of its own, in which it finds that it has nothing to report to anybody."""
    os.environ.update(
        COMPOSIO_CACHE_DIR=str(folder),
        COMPOSIO_DISABLE_SENTRY="true",
        COMPOSIO_DISABLE_VERSION_CHECK="true",
        COMPOSIO_NO_CACHE_REFRESH="true",
        COMPOSIO_LOGGING_LEVEL="critical",
        COMPOSIO_BASE_URL=ADDRESS,
    )
    (folder / "user_data.json").write_text(json.dumps({"sentry": {"dsn": "off"}}), encoding="utf-8")


def main() -> NoReturn:
    """Import the package, say hello, then do errands until standard input ends. HOME is the folder to work in."""
    folder = Path(os.environ["HOME"])
    pipes = Pipes()
    silence()
    code = 0
    try:
        settle(folder)
        try:
            package = Package(pipes)
        except BaseException as error:
            pipes.send({"hello": {"error": f"{type(error).__name__}: {error}"}})
            raise
        pipes.send({"hello": {"version": package.version, "python": sys.version.split()[0]}})
        pipes.listen(package.begin)
    except BaseException:
        os.write(2, traceback.format_exc().encode("utf-8", "replace"))
        code = 1
    with contextlib.suppress(OSError):
        shutil.rmtree(folder, ignore_errors=True)
    # At its end the package would report once more.
    os._exit(code)


if __name__ == "__main__":
    main()
