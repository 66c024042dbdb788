"""Starts a run process, the zygote, or the builder of an environment, under whatever interpreter runs this file.

    python entry.py --frames FD --logs FD --raw FD
    python entry.py --zygote FD
    python entry.py --build

Called by its path it brings `core` along and nothing else of the folder that `core` lies in, so an interpreter with
packages of its own sees none of ours.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import socket
import sys
from typing import Any

OLDEST = (3, 11)


def bring_core() -> None:
    """Make `core` importable from where this file lies, and from there alone."""
    if "core" in sys.modules:
        return
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or ".") != here]
    folder = os.path.dirname(here)
    spec = importlib.util.spec_from_file_location(
        "core", os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["core"] = module
    spec.loader.exec_module(module)


def refuse(frames: int) -> None:
    """Tell the engine that this interpreter is too old to run a workflow."""
    from core.runner.wire import FrameReader, encode_frame

    found = ".".join(map(str, sys.version_info[:3]))
    needed = ".".join(map(str, OLDEST))
    failure = {
        "type": "NodeImportError",
        "message": f"The Python of this workflow is {found}; {needed} or newer is needed.",
        "traceback": "",
        "cause": f"The workflow runs under {sys.executable}.",
        "next_step": f"Make the workflow's environment again with Python {needed} or newer.",
    }
    sock = socket.socket(fileno=frames)
    reader = FrameReader()
    received: list[tuple[dict[str, Any], bytes]] = []
    while not received:
        data = sock.recv(65536)
        if not data:
            return
        received = reader.feed(data)
    sock.sendall(encode_frame({"t": "broken", "e": received[0][0].get("e", 0), "failure": failure}))


def main(arguments: list[str]) -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser()
    for name in ("zygote", "frames", "logs", "raw"):
        parser.add_argument(f"--{name}", type=int)
    parser.add_argument("--build", action="store_true")
    options = parser.parse_args(arguments)
    if options.zygote is not None:
        from core.runner import zygote

        zygote.serve(options.zygote)
    elif options.build:
        from core.runner import builder

        builder.build()
    elif sys.version_info < OLDEST:
        refuse(options.frames)
    else:
        from core.runner import host

        host.run_process(options.frames, options.logs, options.raw)


bring_core()

if __name__ == "__main__":
    main(sys.argv[1:])
