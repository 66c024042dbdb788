"""The smallest workflow: one node asks a person, the next one uses the answer."""

from typing import Any

from grapheteria import Node


class AskName(Node):
    """Asks for a name; the run waits until somebody answers."""

    async def prepare(self, shared: dict[str, Any], request_input: Any) -> str:
        return await request_input("What is your name?", input_type="text", request_id="name")

    def execute(self, answer: str) -> str:
        return answer.strip() or "stranger"

    def cleanup(self, shared: dict[str, Any], answer: str, name: str) -> None:
        shared["name"] = name


class Greet(Node):
    """Puts together a greeting; the word for it stands in the node's config."""

    def prepare(self, shared: dict[str, Any], request_input: Any) -> str:
        return shared["name"]

    def execute(self, name: str) -> str:
        return f"{self.config['greeting']}, {name}!"

    def cleanup(self, shared: dict[str, Any], name: str, greeting: str) -> None:
        print(greeting)
        shared["greeting"] = greeting
