"""Deltas: what a step changed in the state, found, written down and applied."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import is_
from typing import Any, ClassVar, NamedTuple

from core.errors import StateValueError
from core.flow.diff import Change, difference, identical, reordered
from core.flow.journal import Delta
from core.flow.json_text import CONVERTS_SILENTLY, DUMPS_ERRORS, dumps, loads
from core.flow.values import IMMUTABLE, check_value, encode_value, is_plain

BLOB_LIMIT = 4096
"""Bytes of JSON above which a value is kept apart from the operations."""
WHOLE_MARGIN = 100
"""Bytes by which a whole value must be smaller than the changes in it: those say more to a reader."""
SNAPSHOT_BYTES = 256 * 1024
SNAPSHOT_STEPS = 2_000

State = dict[str, Any]
Guard = Callable[[bytes, Sequence[bytes], str], None]
"""Takes the operations and blobs of a delta, and whose they are."""


class _Container:
    """The top-level dict or list of a key: its JSON text when it was committed, and the object the nodes see.

    `items` are the very items of a list that has none but immutable ones, else None: such a list is compared item by
    item for identity, which costs far less than to write it down again.
    """

    __slots__ = ("items", "live", "text")

    def __init__(self, text: bytes, live: Any) -> None:
        self.text = text
        self.see(live)

    def see(self, live: Any) -> None:
        """The nodes see another object from now on, with the same content."""
        self.live = live
        flat = type(live) is list and live and type(live[-1]) in IMMUTABLE and IMMUTABLE.issuperset(map(type, live))
        self.items: list[Any] | None = list(live) if flat else None

    def grown_by(self, value: Any) -> list[Any] | None:
        """The immutable items that the list got at its end, maybe none; None where that can't be told at once."""
        items = self.items
        if items is None or value is not self.live or len(value) < len(items) or not all(map(is_, items, value)):
            return None
        more: list[Any] = value[len(items) :]
        return more if IMMUTABLE.issuperset(map(type, more)) else None

    def grow(self, text: bytes, more: list[Any]) -> None:
        """The list got items at its end; `text` is theirs, `more` are those that the nodes see."""
        self.text = b"%b,%b" % (self.text[:-1], text[1:])
        if self.items is not None:
            self.items += more


class _Written(NamedTuple):
    """A change with the JSON text of its value, and that value loaded for the live state."""

    change: Change
    text: bytes
    loaded: Any


class StateTracker:
    """Knows the last committed state and says what has changed since; `since_snapshot` is (bytes, steps) of deltas.

    The state given at first is committed too: values that are not JSON raise StateValueError, and tuples become lists.
    With `fine` a value is never set as a whole for being smaller so than the changes in it: they are to be compared
    with those of others.
    """

    guard: ClassVar[Guard | None] = None
    """Refuses changes before they are committed, by what it raises; of a whole process, which has one run."""

    def __init__(self, state: State, since_snapshot: tuple[int, int] = (0, 0), *, fine: bool = False) -> None:
        self._fine = fine
        self._committed: State = {}
        self._containers: dict[str, _Container] = {}
        self._sizes: dict[str, int] = {}
        self._size = 0
        self._delta_bytes = self._delta_steps = 0
        self.commit_delta(state)
        self._delta_bytes, self._delta_steps = since_snapshot

    def commit_delta(self, shared: State, node: str = "") -> Delta:
        """Take the state as it is now as committed and return what changed; changed values become the loaded ones.

        Raises StateValueError, naming `node`, where a value is not JSON, and what the guard raises; then nothing is
        committed.
        """
        draft = _Draft(node, self._fine)
        committed = self._committed
        fresh: set[str] = set()
        if list(shared) != list(committed):
            check_value(dict.fromkeys(shared), (), node)  # the keys
            gone, added = reordered(committed, shared)
            fresh = set(added)
            for key in gone:
                draft.delete(key)
        for key, value in shared.items():
            # The committed state shares nothing with the live one but immutable values: those need no comparison.
            if key in fresh:
                draft.set_whole(key, value)
            elif value is not committed[key]:
                self._compare(key, value, draft)
        delta = draft.delta()
        # What a run began with is not what a node did.
        if node and StateTracker.guard is not None:
            StateTracker.guard(delta.operations, delta.blobs, node)
        if draft.touched:
            self._adopt(shared, draft)
        self._delta_bytes += len(delta.operations) + sum(map(len, delta.blobs))
        self._delta_steps += 1
        return delta

    def rollback(self, shared: State) -> None:
        """Put the state back to what was last committed, in place."""
        committed = self.committed_state()
        shared.clear()
        shared.update(committed)
        for key, container in self._containers.items():
            container.see(shared[key])

    def committed_state(self) -> State:
        """A copy of the last committed state."""
        containers = self._containers
        return {
            key: loads(containers[key].text) if key in containers else value for key, value in self._committed.items()
        }

    def take_snapshot(self) -> bytes | None:
        """The whole state's JSON text where the rules ask for a snapshot after the last delta, else None.

        The rule: none before 256 KiB or 2,000 steps of deltas; then when the deltas are larger than the state.
        """
        if self._delta_bytes < SNAPSHOT_BYTES and self._delta_steps < SNAPSHOT_STEPS:
            return None
        if self._delta_bytes <= self._size:
            return None
        self._delta_bytes = self._delta_steps = 0
        return encode_state(self._committed)

    def _compare(self, key: str, value: Any, draft: _Draft) -> None:
        """Draft what changed in the value of a key that was there before."""
        old = self._committed[key]
        container = self._containers.get(key)
        if container is None or type(value) is not type(old):
            if identical(old, value):
                draft.unchanged[key] = value
            else:
                draft.set_whole(key, value)
            return
        more = container.grown_by(value)
        if more is not None:
            if more:
                draft.append(key, more, len(old))
            return
        try:
            text = dumps(value)
        except DUMPS_ERRORS:
            encode_value(value, (key,), draft.node)
            raise
        if CONVERTS_SILENTLY or not is_plain(value):
            check_value(value, (key,), draft.node)
        if text == container.text:
            # Equal texts don't tell (1, 2) from [1, 2], nor whether the object stands in another key too.
            if value is not container.live or value != old:
                draft.renewed[key] = encode_value(value, (key,), draft.node)[1]
            return
        if type(value) is list and _has_grown(container.text, text) and value[: len(old)] == old:
            changes = [Change("append", (key,), value[len(old) :], len(old))]
        else:
            changes = difference((key,), old, value)
        draft.set_parts(key, text, changes, value)

    def _adopt(self, shared: State, draft: _Draft) -> None:
        """Bring both the committed and the live state to what the draft says."""
        self._committed.update(draft.unchanged)
        for key, loaded in draft.renewed.items():
            shared[key] = loaded
            self._containers[key].see(loaded)
        for written in draft.written:
            change = written.change
            path = change.path
            own = written.loaded if type(written.loaded) in IMMUTABLE else loads(written.text)
            apply_change(self._committed, change.kind, path, own)
            if change.kind == "set":
                _parent(shared, path)[path[-1]] = written.loaded
            elif change.kind == "append":
                _at(shared, path)[-len(written.loaded) :] = written.loaded
            if len(path) == 1:
                self._note_size(change.kind, str(path[0]), len(written.text))
        for key, text in draft.texts.items():
            known = self._containers.get(key)
            if known is not None and key in draft.in_parts and shared[key] is not known.live:
                # Another object stands there, perhaps one that stands elsewhere too: after a load it would not.
                shared[key] = loads(text)
            self._containers[key] = _Container(text, shared[key])
            self._note_size("set", key, len(text))
        for written in draft.grown:
            key = str(written.change.path[0])
            self._containers[key].grow(written.text, written.loaded)
            self._note_size("set", key, len(self._containers[key].text))
        for key in draft.without_container:
            self._containers.pop(key, None)

    def _note_size(self, kind: str, key: str, size: int) -> None:
        self._size -= self._sizes.pop(key, 0)
        if kind != "del":
            self._sizes[key] = size
            self._size += size


class _Draft:
    """The operations of a delta that is being made."""

    def __init__(self, node: str, fine: bool) -> None:
        self.node = node
        self._fine = fine
        self.written: list[_Written] = []
        self.texts: dict[str, bytes] = {}
        """The new JSON text of every changed key that holds a dict or list."""
        self.in_parts: set[str] = set()
        """Those of them that are not set as a whole."""
        self.grown: list[_Written] = []
        """The appends to top-level lists of immutable items; their text is made of the one before."""
        self.without_container: set[str] = set()
        """Changed keys that hold no dict or list any more."""
        self.unchanged: State = {}
        """Equal numbers and texts that are other objects now."""
        self.renewed: State = {}
        """Values whose JSON is as before, loaded again because the live object is not what a load gives."""

    @property
    def touched(self) -> bool:
        return bool(self.written or self.unchanged or self.renewed)

    def delete(self, key: str) -> None:
        """Delete a key."""
        self.written.append(self._write(Change("del", (key,))))
        self.without_container.add(key)

    def set_whole(self, key: str, value: Any) -> None:
        """Set a key to a value as a whole."""
        written = self._write(Change("set", (key,), value))
        self.written.append(written)
        if type(written.loaded) in IMMUTABLE:
            self.without_container.add(key)
        else:
            self.without_container.discard(key)
            self.texts[key] = written.text

    def append(self, key: str, items: list[Any], start: int) -> None:
        """Add immutable items to the list of a key that has `start` items of that kind."""
        written = self._write(Change("append", (key,), items, start))
        self.written.append(written)
        self.grown.append(written)

    def set_parts(self, key: str, text: bytes, changes: list[Change], value: Any) -> None:
        """Make the changes below a key, or set it as a whole where that is smaller; `text` is its new JSON text."""
        parts = (
            []
            if len(changes[0].path) == 1 and changes[0].kind == "set"
            else [self._write(change) for change in changes]
        )
        if not parts or (not self._fine and _length(parts) > len(text) + WHOLE_MARGIN):
            self.set_whole(key, value)
        else:
            self.written.extend(parts)
            self.texts[key] = text
            self.in_parts.add(key)

    def _write(self, change: Change) -> _Written:
        if change.kind == "del":
            return _Written(change, b"", None)
        try:
            text, loaded = encode_value(change.value, change.path, self.node)
        except StateValueError:
            if change.kind == "append":  # Name the place in the whole list.
                for index, item in enumerate(change.value, change.start):
                    check_value(item, (*change.path, index), self.node)
            raise
        return _Written(change, text, loaded)

    def delta(self) -> Delta:
        """The drafted changes as they are stored."""
        if not self.written:
            return Delta(b"[]")
        operations: list[bytes] = []
        blobs: list[bytes] = []
        for change, text, _ in self.written:
            path = dumps(change.path)
            if change.kind == "del":
                operations.append(b'["del",%b]' % path)
            elif len(text) > BLOB_LIMIT:
                operations.append(b'["%bb",%b,%d]' % (change.kind.encode(), path, len(blobs)))
                blobs.append(text)
            else:
                operations.append(b'["%b",%b,%b]' % (change.kind.encode(), path, text))
        return Delta(b"[%b]" % b",".join(operations), tuple(blobs), len(operations))


def _has_grown(old: bytes, new: bytes) -> bool:
    """True where the text of a list is that of another, not empty, and more items."""
    return len(old) > 2 and new.startswith(old[:-1]) and new[len(old) - 1 : len(old)] == b","


def _length(parts: Iterable[_Written]) -> int:
    """About how many bytes the operations take, their paths included."""
    return sum(len(text) + 12 + 8 * len(change.path) for change, text, _ in parts)


def encode_state(state: State) -> bytes:
    """The JSON text of a state; raises StateValueError where it is not JSON."""
    # What nodes see is a dict of a kind of its own.
    return encode_value(dict(state) if isinstance(state, dict) else state, ())[0]


def decode_state(text: bytes) -> State:
    """The state of a JSON text."""
    state: State = loads(text)
    return state


def apply_delta(state: State, operations: bytes, blobs: Sequence[bytes] = ()) -> None:
    """Make a delta's changes in a state, in place."""
    apply_operations(state, loads(operations), blobs)


def apply_operations(state: State, operations: Sequence[Any], blobs: Sequence[bytes] = ()) -> None:
    """The same with the operations as they are loaded; their values become part of the state."""
    for operation in operations:
        kind, path = operation[0], operation[1]
        value: Any = operation[2] if len(operation) == 3 else None
        if kind in ("setb", "appendb"):
            kind, value = kind[:-1], loads(blobs[value])
        if kind == "set" and len(path) == 1:
            state[path[0]] = value
        else:
            apply_change(state, kind, path, value)


def apply_change(state: State, kind: str, path: Sequence[str | int], value: Any) -> None:
    """Make one change (set, del or append) in a state, in place."""
    if kind == "append":
        _at(state, path).extend(value)
    elif kind == "set":
        _parent(state, path)[path[-1]] = value
    elif kind == "del":
        del _parent(state, path)[path[-1]]
    else:
        raise ValueError(f"no such operation in a delta: {kind!r}")


def changes(delta: Delta) -> list[tuple[str, list[str | int]]]:
    """What a delta does, for people: (set, del or append; path), in order."""
    return [(kind.removesuffix("b"), path) for kind, path, *_ in loads(delta.operations)]


def _at(state: Any, path: Sequence[str | int]) -> Any:
    for part in path:
        state = state[part]
    return state


def _parent(state: State, path: Sequence[str | int]) -> Any:
    return _at(state, path[:-1])
