"""Actions by name; what belongs to one is asked for at its first use and kept."""

from __future__ import annotations

from typing import Any, ClassVar


class Action:
    known: ClassVar[dict[str, dict[str, Any]]] = {}
    client: ClassVar[Any] = None

    def __init__(self, slug: str, version: str = "") -> None:
        self.slug, self._version = slug.upper(), version

    def load(self) -> dict[str, Any]:
        if self.slug not in self.known:
            response = self.client.http.get(url=f"/v2/actions/{self.slug}")
            if response.status_code == 404:
                raise LookupError(f"No metadata found for enum {self.slug}")
            document = response.json()
            if "appName" not in document:
                raise LookupError(f"{self.slug} is none of {list(self.known)}")
            app = self.client.http.get(url=f"/v1/apps/{document['appName']}").json()
            self.known[self.slug] = {"app": document["appName"], "no_auth": app.get("no_auth", False)}
        return self.known[self.slug]

    @property
    def version(self) -> str:
        self.load()
        return self._version or "latest:base"

    def with_version(self, version: str) -> Action:
        if version.count("_") != 1:
            raise ValueError(f"Invalid version {version!r}")
        self.load()
        return Action(self.slug, version)
