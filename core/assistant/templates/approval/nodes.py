"""A draft that a person reviews, as often as they want, before it is published into a file."""

from typing import Any

from core.sdk import Node


class Draft(Node):
    """Makes the first draft of the inputs. Put your own source of drafts here."""

    def cleanup(self, shared: dict[str, Any], prepared: Any, result: Any) -> None:
        shared["draft"] = f"{shared['title']}\n\n{shared['body']}\n"
        shared["rounds"] = 0


class Review(Node):
    """Shows the draft to a person and asks what is to become of it; the run may wait for days."""

    async def prepare(self, shared: dict[str, Any], request_input: Any) -> Any:
        return await request_input(
            f"{shared['draft']}\nWhat is to become of it?",
            options=["publish", "change", "drop"],
            input_type="select",
            request_id="decision",
        )

    def execute(self, prepared: Any) -> Any:
        return prepared

    def cleanup(self, shared: dict[str, Any], prepared: Any, result: Any) -> None:
        shared["decision"] = result
        shared["rounds"] += 1


class Revise(Node):
    """Asks for the new text and goes back to the review."""

    async def prepare(self, shared: dict[str, Any], request_input: Any) -> Any:
        return await request_input("The new text:", request_id="text")

    def execute(self, prepared: Any) -> Any:
        return str(prepared).strip()

    def cleanup(self, shared: dict[str, Any], prepared: Any, result: Any) -> None:
        shared["body"] = result
        shared["draft"] = f"{shared['title']}\n\n{result}\n"


class Publish(Node):
    """Writes the draft into the run's output folder. Send it somewhere from here."""

    def prepare(self, shared: dict[str, Any], request_input: Any) -> Any:
        return shared["draft"]

    def execute(self, prepared: Any) -> Any:
        path = self.output_dir / "published.txt"
        path.write_text(prepared, encoding="utf-8")
        return str(path)

    def cleanup(self, shared: dict[str, Any], prepared: Any, result: Any) -> None:
        shared["published"] = result
        print(f"published {result}")


class Drop(Node):
    """Notes that nothing was published."""

    def cleanup(self, shared: dict[str, Any], prepared: Any, result: Any) -> None:
        shared["published"] = None
