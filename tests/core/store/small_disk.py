"""Run in a mount namespace of its own: a store on a disk of 2 MB. Prints what was seen as JSON."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from store_rows import new_run, step

from core.errors import RondoError
from core.store.store import Store

DISK = 2 * 1024 * 1024


def mount(folder: Path, *options: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join([f"size={DISK}", *options]), "none", folder], check=True)


def fill_up(folder: Path) -> Path:
    """Take all the room that is left."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return ballast


def shown(error: RondoError) -> dict[str, Any]:
    return {"error": error.type_name, "message": error.message, "cause": error.cause}


async def opened(path: Path) -> Store:
    store = await asyncio.to_thread(Store.open, path)
    await store.start_reads()
    return store


async def fill(path: Path) -> dict[str, Any]:
    """Commit until the disk is full, free some room, go on with the same store, open it again."""
    ballast = path.with_name("ballast")
    ballast.write_bytes(b"x" * (DISK // 3))
    store = await opened(path)
    ((_, line),) = await store.commit([new_run()])
    await store.commit([step(line, 0)])
    seen: dict[str, Any] = {}
    seq = 0
    while not seen:
        try:
            await store.commit([step(line, seq + 1, ["setb", ["text"], 0], values=(f"{seq + 1:08d}" * 4000,))])
            seq += 1
        except RondoError as error:
            seen = shown(error)
    seen["acknowledged_before"] = seq
    seen["read_while_full"] = await store.step_total(line)
    ballast.unlink()
    for _ in range(5):
        await store.commit([step(line, seq + 1, ["setb", ["text"], 0], values=(f"{seq + 1:08d}" * 4000,))])
        seq += 1
    seen["acknowledged_after"] = seq
    await store.close()
    store = await asyncio.to_thread(lambda: Store.open(path, check=True))
    seen["check"] = "ok"
    await store.start_reads()
    seen["found_after_reopening"], _ = await store.state_at(line)
    await store.close()
    return seen


async def open_while_full(path: Path) -> dict[str, Any]:
    store = await opened(path)
    await store.commit([new_run()])
    await store.close()
    fill_up(path.parent)
    return await refusal(path)


async def create_while_full(path: Path) -> dict[str, Any]:
    fill_up(path.parent)
    return await refusal(path)


async def refusal(path: Path) -> dict[str, Any]:
    try:
        await asyncio.to_thread(Store.open, path)
    except RondoError as error:
        return shown(error)
    return {"error": None}


async def backup_while_full(path: Path, disk: Path) -> dict[str, Any]:
    fill_up(disk)
    store = await opened(path)
    try:
        await store.backup(disk / "backup.db")
    except RondoError as error:
        return {**shown(error), "files": os.listdir(disk)}
    finally:
        await store.close()
    return {"error": None}


async def read_only(path: Path) -> dict[str, Any]:
    store = await opened(path)
    await store.commit([new_run()])
    await store.close()
    mount(path.parent, "remount", "ro")
    return await refusal(path)


def main(folder: Path, what: str) -> None:
    disk = folder / "disk"
    disk.mkdir(exist_ok=True)
    mount(disk)
    path = disk / "rondo.db"
    if what == "backup while full":
        seen = asyncio.run(backup_while_full(folder / "rondo.db", disk))
    else:
        acts = {
            "fill": fill,
            "open while full": open_while_full,
            "create while full": create_while_full,
            "read-only": read_only,
        }
        seen = asyncio.run(acts[what](path))
    print(json.dumps(seen))


main(Path(sys.argv[1]), sys.argv[2])
