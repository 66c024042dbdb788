"""Run as a program that a test kills: several runs commit steps without end; each acknowledgement is printed."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from store_rows import log_lines, new_run, step

from core.store.operations import InsertSnapshot, UpdateRun
from core.store.store import Store

RUNS = 5


async def commit_without_end(store: Store, run: int, line: int, seq: int) -> None:
    """One group a step: the step with a large value, its log line, now and then a snapshot, the run's node."""
    while True:
        seq += 1
        value = f"{seq:06d}" * 1000
        group = [
            step(line, seq, ["setb", ["text"], 0], ["set", ["n"], seq], values=(value,)),
            log_lines(run, line, seq, [f"step {seq}"]),
            UpdateRun(run, node=f"node{seq}"),
        ]
        if seq % 7 == 0:
            group.append(InsertSnapshot(line, seq, f'{{"text":"{value}","n":{seq}}}'.encode()))
        await store.commit(group)
        os.write(1, f"{run} {seq}\n".encode())


async def main(path: Path) -> None:
    store = await asyncio.to_thread(Store.open, path)
    await store.start_reads()
    if not await store.runs():
        made = await store.commit([new_run(f"run-{number}") for number in range(RUNS)])
        await store.commit([step(line, 0) for _, line in made])
    async with asyncio.TaskGroup() as tasks:
        for record in await store.runs():
            assert record.line is not None
            last = await store.last_step(record.line)
            assert last is not None
            tasks.create_task(commit_without_end(store, record.number, record.line, last.seq))


asyncio.run(main(Path(sys.argv[1])))
