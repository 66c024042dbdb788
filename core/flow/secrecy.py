"""What a state must not hold: the values of secrets. A state is never redacted, so it is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from core.errors import SecretInState
from core.flow.json_text import loads
from core.redaction import JsonFinder

Path = list[str | int]
Guard = Callable[[bytes, Sequence[bytes], str], None]


def refuse_changes(finder: JsonFinder, operations: bytes, blobs: Sequence[bytes], node: str) -> None:
    """Raise SecretInState, naming the place, where a delta holds a value of a secret."""
    name = finder.find(operations)
    if name is None:
        name = next((found for blob in blobs if (found := finder.find(blob)) is not None), None)
    if name is not None:
        raise secret_in_state(name, f"what {node} left in the state", _place(finder, operations, blobs))


def secret_in_state(name: str, what: str, place: Path | None = None) -> SecretInState:
    """The refusal to keep something; `what` says whose it is, `place` where in the state the value is."""
    shown = "shared" + "".join(f"[{part!r}]" for part in place) if place else ""
    return SecretInState(
        f"The value of the secret {name} is in {what}{f', at {shown}' if shown else ''}.",
        cause="What is kept of a run must not hold a secret, and a state is kept as it is. Nothing of this was kept.",
        next_step=f"Leave the value out: a node that needs it reads os.environ[{name!r}].",
        details={"secret": name, "path": place},
    )


def _place(finder: JsonFinder, operations: bytes, blobs: Sequence[bytes]) -> Path | None:
    """The path in the state; where the value is in a key, that of what has the key."""
    try:
        for operation in loads(operations):
            kind, path, *rest = operation
            for depth, part in enumerate(path):
                if finder.place(part) is not None:
                    return list(path[:depth])
            if kind in ("setb", "appendb"):
                below = finder.place(loads(blobs[rest[0]])) if blobs[rest[0]] else None
            else:
                below = finder.place(rest[0]) if rest else None
            if below is not None:
                return [*path, *below]
    except (ValueError, TypeError, IndexError, RecursionError):
        pass  # It is refused all the same; only the place is not known.
    return None


def state_guard(values: Mapping[str, str]) -> Guard:
    """What refuses deltas that hold one of these values, for `StateTracker.guard`."""
    finder = JsonFinder(values)

    def guard(operations: bytes, blobs: Sequence[bytes], node: str) -> None:
        refuse_changes(finder, operations, blobs, node)

    return guard
