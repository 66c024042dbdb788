"""What every operation of the store is, and how one uses a number that an earlier one of its group made."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, ClassVar, Final, Self, cast

from core.store.transaction import Transaction


class Unset(Enum):
    """The type of UNSET."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET
"""Stands for "leave the column as it is", because None is a value."""


@dataclass(frozen=True, slots=True)
class Ref:
    """A number made by the operation at `index` of the same group; `field` picks one where it made several."""

    index: int
    field: int | None = None

    def of(self, results: Sequence[Any]) -> int:
        """The number, once the earlier operation has been applied."""
        result = results[self.index]
        number: int = result if self.field is None else result[self.field]
        return number


Number = int | Ref
"""A row's number, known or made earlier in the group."""


class Operation(ABC):
    """One change of the store; a group of operations is committed whole or not at all.

    `references` names the fields that may be a `Ref`.
    """

    __slots__ = ()
    references: ClassVar[tuple[str, ...]] = ()
    on_durable: Callable[[], None] | None = None
    on_delivered: Callable[[], None] | None = None

    @property
    def row_count(self) -> int:
        """How many rows it adds, about: the writer bounds its transactions by it."""
        return 1

    @abstractmethod
    def apply(self, transaction: Transaction) -> Any:
        """Make the change and return the result; runs on the writer's thread."""

    def resolved(self, results: Sequence[Any]) -> Self:
        """The operation with its references replaced by the numbers that earlier operations made."""
        known = {name: value.of(results) for name in self.references if isinstance(value := getattr(self, name), Ref)}
        return cast(Self, replace(cast(Any, self), **known)) if known else self

    def changes(self, names: Sequence[str]) -> dict[str, Any]:
        """The columns among `names` that are to be set."""
        return {name: value for name in names if (value := getattr(self, name)) is not UNSET}
