"""A list that is worked through several items at a time."""

from typing import Any

from core.sdk import Node


class Collect(Node):
    """Cleans the list: no empty items, none twice."""

    def cleanup(self, shared: dict[str, Any], prepared: Any, result: Any) -> None:
        items = [str(item).strip() for item in shared["items"]]
        shared["items"] = list(dict.fromkeys(item for item in items if item))


class Work(Node):
    """Works on each item: at most four at once, each tried three times. Put your own work into `handle`."""

    def prepare(self, shared: dict[str, Any], request_input: Any) -> Any:
        return shared["items"]

    async def execute(self, prepared: Any) -> Any:
        return await self.map(self.handle, prepared, concurrency=4, attempts=3, wait=1)

    def handle(self, item: str) -> dict[str, Any]:
        """What becomes of one item."""
        return {"item": item, "length": len(item)}

    def cleanup(self, shared: dict[str, Any], prepared: Any, result: Any) -> None:
        shared["results"] = result


class SumUp(Node):
    """Says in a sentence what was done."""

    def cleanup(self, shared: dict[str, Any], prepared: Any, result: Any) -> None:
        total = sum(entry["length"] for entry in shared["results"])
        shared["summary"] = f"{len(shared['results'])} items with {total} characters"
        print(shared["summary"])
