"""What crosses the link about the conditions of edges; see `core.link.types`."""

from __future__ import annotations

import msgspec


class _Struct(msgspec.Struct, kw_only=True, forbid_unknown_fields=False):
    pass


class SeenValue(_Struct):
    """A place of the state that a condition names, as it is written there, and a short preview of what it held.

    `value` is None where there was nothing.
    """

    place: str
    value: str | None


class SeenCondition(_Struct):
    """A condition of an edge with the values of the places that it names."""

    to_id: str
    condition: str
    values: list[SeenValue]


class ConditionsView(_Struct):
    """What the conditions of a node's edges had before them when step `step` was routed."""

    run_id: str
    line: int
    step: int
    node: str
    conditions: list[SeenCondition]
