"""Where everything of a drawn graph is, in character cells; x grows to the right, y downwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

Zoom = Literal["box", "chip"]
"""How large nodes are drawn: boxes of three rows, or chips of one."""
Direction = Literal["down", "right"]
"""Which way the graph grows from its start node."""


class Cell(NamedTuple):
    """One character cell."""

    x: int
    y: int


class Region(NamedTuple):
    """A rectangle of cells; `right` and `bottom` are the first column and row outside."""

    x: int
    y: int
    width: int
    height: int

    @property
    def right(self) -> int:
        return self.x + self.width

    @property
    def bottom(self) -> int:
        return self.y + self.height

    @property
    def middle(self) -> Cell:
        return Cell(self.x + self.width // 2, self.y + self.height // 2)

    def holds(self, x: int, y: int) -> bool:
        """True where the cell lies inside."""
        return self.x <= x < self.right and self.y <= y < self.bottom


class Label(NamedTuple):
    """A condition beside its edge, on one row; `text` may be shortened (the whole one is the edge's)."""

    x: int
    y: int
    text: str


@dataclass(frozen=True, slots=True)
class EdgePath:
    """How one edge runs: `points` are its corner cells, from beside the source to the arrow head beside the target.

    `index` is the edge's place in the graph's list of edges. `toward` is the side of the target that the head points
    at, as a step: (0, 1) for a head that points down.
    """

    index: int
    source: str
    target: str
    points: tuple[Cell, ...]
    leaves: tuple[int, int]
    """The step from the source's border to the first cell."""
    toward: tuple[int, int]
    label: Label | None = None

    def cells(self) -> list[Cell]:
        """Every cell of the path in order, each once."""
        walked = [self.points[0]]
        for corner in self.points[1:]:
            x, y = walked[-1]
            step_x = (corner.x > x) - (corner.x < x)
            step_y = (corner.y > y) - (corner.y < y)
            while (x, y) != corner:
                x, y = x + step_x, y + step_y
                walked.append(Cell(x, y))
        return walked


@dataclass(frozen=True, slots=True)
class Geometry:
    """A graph laid out: immutable, the same for equal graphs, free of colours and statuses.

    `order` names the nodes from the start onwards (row by row). `counted` says that boxes keep room for a status sign
    and a count of visits.
    """

    width: int
    height: int
    nodes: Mapping[str, Region]
    names: Mapping[str, str]
    edges: tuple[EdgePath, ...]
    order: tuple[str, ...]
    start: str
    zoom: Zoom
    direction: Direction
    counted: bool
