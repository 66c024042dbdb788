"""A server that speaks MCP over stdio with the standard library alone, and misbehaves when it is told to."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

DESCRIPTION = os.environ.get("DESCRIPTION", "Adds.")
NUMBERS = {"a": {"type": "integer"}, "b": {"type": "integer"}}
ANY: dict[str, Any] = {"type": "object", "properties": {}}
OTHERS = ("who", "crash", "hang", "flood", "fail", "line")
TOOLS = [
    {
        "name": "add",
        "description": DESCRIPTION,
        "inputSchema": {"type": "object", "properties": NUMBERS, "required": ["a", "b"]},
        "annotations": {"readOnlyHint": True},
    },
    *(
        {"name": name, "description": f"{name}.", "inputSchema": ANY}
        for name in ("who", "crash", "hang", "flood", "fail", "line")
    ),
]


def say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def called(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    if name == "add":
        return {"content": [{"type": "text", "text": str(arguments["a"] + arguments["b"])}]}
    if name == "who":
        about = {
            "pid": os.getpid(),
            "parent": os.getppid(),
            "token": os.environ.get("TOKEN"),
            "has": sorted(os.environ),
        }
        return {"content": [], "structuredContent": about}
    if name == "fail":
        return {"content": [{"type": "text", "text": "it is broken"}], "isError": True}
    if name == "crash":
        print("something went badly wrong", file=sys.stderr, flush=True)
        os._exit(3)
    if name == "line":
        while True:
            sys.stdout.write("x" * 65536)
    if name == "flood":
        note = json.dumps(
            {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "x" * 60000}}
        )
        while True:
            sys.stdout.write(note + "\n")
    while True:
        time.sleep(3600)


print("this line is no message", flush=True)
for text in sys.stdin:
    asked = json.loads(text)
    method, number = asked.get("method"), asked.get("id")
    if number is None:
        continue
    if method == "initialize":
        version = asked["params"]["protocolVersion"]
        about = {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": {"name": "t", "version": "1"}}
        say({"jsonrpc": "2.0", "id": number, "result": about})
    elif method == "tools/list":
        say({"jsonrpc": "2.0", "id": number, "result": {"tools": TOOLS}})
    elif method == "tools/call":
        result = called(asked["params"]["name"], asked["params"].get("arguments") or {})
        say({"jsonrpc": "2.0", "id": number, "result": result})
    else:
        say({"jsonrpc": "2.0", "id": number, "error": {"code": -32601, "message": f"no {method}"}})
