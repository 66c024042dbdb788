from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.engine.heartbeat import Heartbeat
from core.engine.lock import EngineLock
from core.errors import DatabaseReplaced, RondoError, WorkspaceLocked
from core.link.event_types import Event
from core.link.server import LinkServer


class WatchedDouble:
    """An engine's part in the heartbeat: its database is fine until a test says otherwise."""

    def __init__(self) -> None:
        self.database: RondoError | None = None
        self.troubles: list[RondoError] = []
        self.rescued = self.back = 0

    def check_files(self) -> None:
        if self.database is not None:
            raise self.database

    def set_trouble(self, error: RondoError) -> None:
        self.troubles.append(error)

    async def rescue(self) -> None:
        self.rescued += 1

    async def files_are_back(self) -> None:
        self.back += 1

    async def events(self) -> AsyncIterator[list[Event]]:
        await asyncio.Event().wait()
        yield []


class Watched:
    def __init__(self, folder: Path) -> None:
        self.engine = WatchedDouble()
        self.lock = EngineLock(folder / "engine.lock")
        self.lock.acquire("engine")
        self.server = LinkServer(self.engine, folder / "engine.sock")  # type: ignore[arg-type]
        self.heartbeat = Heartbeat(self.engine, self.server, self.lock, interval=0.01)


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    watched = Watched(tmp_path)
    await watched.server.start()
    yield watched
    await watched.server.close()
    watched.lock.release()


async def test_where_all_is_well_nothing_is_touched(watched: Watched) -> None:
    before = watched.server.socket_path.lstat()
    await watched.heartbeat.check()
    assert watched.server.socket_path.lstat().st_ino == before.st_ino
    assert watched.engine.troubles == []


async def test_a_removed_socket_is_bound_again_without_anyone_asking(watched: Watched) -> None:
    beating = asyncio.create_task(watched.heartbeat.run())
    watched.server.socket_path.unlink()
    async with asyncio.timeout(60):
        while not watched.server.is_bound():  # noqa: ASYNC110 - the file system tells, no event does
            await asyncio.sleep(0.01)
    _, writer = await asyncio.open_unix_connection(watched.server.socket_path)
    writer.close()
    beating.cancel()
    assert watched.engine.troubles == []


async def test_a_socket_that_cannot_be_bound_now_is_tried_again(watched: Watched) -> None:
    path = watched.server.socket_path
    path.unlink()
    path.mkdir()
    await watched.heartbeat.check()
    assert not watched.server.is_bound()
    path.rmdir()
    await watched.heartbeat.check()
    assert watched.server.is_bound()


async def test_a_replaced_lock_stops_the_work_once_and_the_new_owners_socket_is_left_alone(watched: Watched) -> None:
    path = watched.server.socket_path.with_name("engine.lock")
    path.unlink()
    path.touch()
    watched.server.socket_path.unlink()
    await watched.heartbeat.check()
    await watched.heartbeat.check()
    assert [type(error) for error in watched.engine.troubles] == [WorkspaceLocked]
    assert "ends by itself" in watched.engine.troubles[0].next_step
    assert not watched.server.socket_path.exists()


async def test_a_replaced_database_stops_the_work_once_and_clients_still_get_in(watched: Watched) -> None:
    watched.engine.database = DatabaseReplaced("gone", next_step="n")
    await watched.heartbeat.check()
    watched.server.socket_path.unlink()
    await watched.heartbeat.check()
    assert watched.engine.troubles == [watched.engine.database]
    assert watched.engine.rescued == 1
    assert watched.server.is_bound()


async def test_a_database_that_is_back_lets_the_engine_go_on(watched: Watched) -> None:
    watched.engine.database = DatabaseReplaced("gone", next_step="n")
    await watched.heartbeat.check()
    assert watched.engine.back == 0
    watched.engine.database = None
    await watched.heartbeat.check()
    assert watched.engine.back == 1


async def test_an_engine_that_lost_its_workspace_ends_once_nobody_is_left_to_be_told(watched: Watched) -> None:
    watched.server.socket_path.with_name("engine.lock").unlink()
    await asyncio.wait_for(watched.heartbeat.run(), 60)
    assert [type(error) for error in watched.engine.troubles] == [WorkspaceLocked]
