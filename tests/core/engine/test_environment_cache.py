"""What is in use stays, whoever cleans up at the same time."""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path

import pytest

from core.engine.environments.cache import EnvironmentCache, Held
from core.runner.builder import CARD, USE_LOCK, take_lock


def put(cache: EnvironmentCache, key: str, name: str) -> Path:
    """An environment as a builder leaves it, old enough to go."""
    place = cache.place(key)
    lock = take_lock(place, wait=True)
    folder = place / name
    (folder / "bin").mkdir(parents=True, exist_ok=True)
    (folder / USE_LOCK).touch()
    if not (folder / "bin" / "python").exists():
        (folder / "bin" / "python").symlink_to(sys.executable)
    card = {"folder": name, "lines": ["x"], "packages": [], "python_version": "3", "size": 1, "created_at": 1}
    fresh = place / f"{CARD}.{name}"
    fresh.write_text(json.dumps(card))
    os.utime(fresh, (0, 0))
    os.replace(fresh, place / CARD)
    os.close(lock)
    return folder


def test_what_is_held_is_never_taken_away(tmp_path: Path) -> None:
    cache = EnvironmentCache()
    over = threading.Event()
    lost: list[str] = []
    held_times = [0]

    def use() -> None:
        while not over.is_set():
            held = cache.hold("k")
            if held is None:
                continue
            held_times[0] += 1
            for _ in range(20):
                if not held.environment.python.exists():
                    lost.append("it went away while it was held")
            held.release()

    def clean() -> None:
        while not over.is_set():
            cache.prune(0)

    threads = [threading.Thread(target=work) for work in (use, use, clean)]
    for thread in threads:
        thread.start()
    try:
        for number in range(80):
            put(cache, "k", f"e{number}")
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert lost == []
    assert held_times[0] > 0
    cache.prune(0)
    assert list(cache.folder.iterdir()) == []


def test_what_is_being_removed_is_not_taken_into_use(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = EnvironmentCache()
    put(cache, "k", "e")
    real = Path.unlink
    taken: list[Held | None] = []
    takers: list[threading.Thread] = []

    def unlink(path: Path, **options: bool) -> None:
        if path.name == CARD:
            # Someone comes at the worst moment, and has time enough.
            takers.append(threading.Thread(target=lambda: taken.append(cache.hold("k"))))
            takers[0].start()
            takers[0].join(0.3)
        real(path, **options)

    monkeypatch.setattr(Path, "unlink", unlink)
    assert [environment.key for environment in cache.prune(0)] == ["k"]
    takers[0].join()
    assert taken == [None]


def test_a_damaged_card_counts_as_none(tmp_path: Path) -> None:
    cache = EnvironmentCache()
    for text in ("", "{", "[]", '{"folder": 1}', '{"folder": "e", "packages": [1]}', '{"folder": "e", "packages": []}'):
        put(cache, "k", "e")
        (cache.place("k") / CARD).write_text(text)
        assert cache.find("k") is None, text
        assert cache.hold("k") is None
        assert cache.all() == []
