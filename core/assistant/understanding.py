"""How well a request is understood: what the model says of it, lowered by facts that can be counted.

A model's own numbers are poorly calibrated, so it says low, medium or high for each of four dimensions; the score is
their weighted mean after the facts have taken their part. Below the threshold nothing may be proposed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

Level = Literal["low", "medium", "high"]
Dimension = Literal["clarity", "completeness", "feasibility", "specificity"]

DIMENSIONS: tuple[Dimension, ...] = ("clarity", "completeness", "feasibility", "specificity")
LEVELS: dict[Level, float] = {"low": 0.3, "medium": 0.65, "high": 0.95}


@dataclass(frozen=True, slots=True)
class Weights:
    """What each dimension counts for; they need not add up to 1."""

    clarity: float = 0.30
    completeness: float = 0.30
    feasibility: float = 0.25
    specificity: float = 0.15


@dataclass(frozen=True, slots=True)
class Fact:
    """Something countable that lowers one dimension by `cost` (0 to 1), and how a person reads it."""

    dimension: Dimension
    cost: float
    text: str


@dataclass(frozen=True, slots=True)
class Understanding:
    """Each dimension from 0 to 1 with the facts counted in; `score` is their weighted mean."""

    clarity: float
    completeness: float
    feasibility: float
    specificity: float
    score: float
    threshold: float
    facts: tuple[str, ...] = ()

    @property
    def enough(self) -> bool:
        """True where a proposal may be made."""
        return self.score >= self.threshold

    def to_json(self) -> dict[str, Any]:
        """The plain form."""
        return {
            **{name: getattr(self, name) for name in DIMENSIONS},
            "score": self.score,
            "threshold": self.threshold,
            "facts": list(self.facts),
        }

    @classmethod
    def from_json(cls, form: dict[str, Any]) -> Understanding:
        """From the plain form."""
        return cls(**{**form, "facts": tuple(form["facts"])})


def understand(
    levels: dict[Dimension, Level], facts: Iterable[Fact], *, weights: Weights, threshold: float
) -> Understanding:
    """Join what the model says with what can be counted."""
    facts = tuple(facts)
    values = {name: LEVELS[levels[name]] for name in DIMENSIONS}
    for fact in facts:
        values[fact.dimension] = max(0.0, values[fact.dimension] - fact.cost)
    total = sum(getattr(weights, name) for name in DIMENSIONS) or 1.0
    score = sum(values[name] * getattr(weights, name) for name in DIMENSIONS) / total
    rounded = {name: round(value, 3) for name, value in values.items()}
    return Understanding(**rounded, score=round(score, 3), threshold=threshold, facts=tuple(f.text for f in facts))


def at_threshold(understanding: Understanding, threshold: float) -> Understanding:
    """The same under another threshold."""
    return replace(understanding, threshold=threshold)
