"""A program that may fail: it is tried again, and then a person decides."""

import asyncio
from typing import Any

from core.sdk import Node

KEPT = 4_000
"""Characters of the output that are kept in the state."""


class RunProgram(Node):
    """Runs the program without a shell; another exit status than 0 is a failure, which is tried again."""

    def prepare(self, shared: dict[str, Any], request_input: Any) -> Any:
        return shared["command"]

    async def execute(self, prepared: Any) -> Any:
        process = await asyncio.create_subprocess_exec(
            *prepared, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        output, _ = await process.communicate()
        text = output.decode(errors="replace")
        print(text, end="")
        if process.returncode:
            raise RuntimeError(f"{prepared[0]} ended with exit status {process.returncode}: {text[-200:]}")
        return text

    def cleanup(self, shared: dict[str, Any], prepared: Any, result: Any) -> None:
        shared["output"] = result[-KEPT:]


class Report(Node):
    """Says how it ended, also where a person chose to skip the program."""

    def cleanup(self, shared: dict[str, Any], prepared: Any, result: Any) -> None:
        shared["done"] = "output" in shared
        print("it ran" if shared["done"] else "it was skipped")
