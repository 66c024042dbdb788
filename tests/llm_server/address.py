"""An address on loopback that counts who calls it. For tests only."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Address:
    """A server that answers every request with its number, and with what it was sent."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []
        self.headers: list[dict[str, str]] = []
        address = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length).decode()
                address.seen.append((self.command, self.path))
                address.headers.append(dict(self.headers.items()))
                if self.path.startswith("/large"):
                    self._send(200, b"x" * (11 * 1024 * 1024))
                elif self.path.startswith("/moved"):
                    self._send(302, b"", Location="/here", **{"Set-Cookie": "id=1"})
                elif self.path.startswith("/slow"):
                    address.released.wait(30)
                    self._send(200, b"late")
                else:
                    said = {"number": len(address.seen), "body": body, "cookie": self.headers.get("Cookie")}
                    self._send(200, json.dumps(said).encode(), **{"Set-Cookie": "id=1"})

            do_GET = do_POST = do_PUT = answer

            def _send(self, status: int, content: bytes, **headers: str) -> None:
                self.send_response(status)
                for name, value in {"Content-Length": str(len(content)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *words: Any) -> None:
                pass

        self.released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """From now on nobody answers."""
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
