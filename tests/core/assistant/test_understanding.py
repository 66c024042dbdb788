"""What the assistant understands is a number that facts lower, and that decides whether it may propose."""

from __future__ import annotations

import itertools

import pytest

from core.assistant.understanding import DIMENSIONS, LEVELS, Fact, Level, Understanding, Weights, understand


def _of(*levels: Level, facts: tuple[Fact, ...] = (), threshold: float = 0.70) -> Understanding:
    given = dict(zip(DIMENSIONS, levels * 4 if len(levels) == 1 else levels, strict=True))
    return understand(given, facts, weights=Weights(), threshold=threshold)


def test_the_score_is_the_weighted_mean() -> None:
    found = _of("high", "medium", "low", "high")
    assert found.score == pytest.approx(0.30 * 0.95 + 0.30 * 0.65 + 0.25 * 0.3 + 0.15 * 0.95, abs=0.001)


def test_all_medium_is_below_the_threshold_and_all_high_above() -> None:
    assert not _of("medium").enough
    assert _of("high").enough


def test_facts_only_ever_lower() -> None:
    levels: tuple[Level, ...] = tuple(LEVELS)
    for chosen in itertools.product(levels, repeat=4):
        plain = _of(*chosen)
        for dimension in DIMENSIONS:
            lowered = _of(*chosen, facts=(Fact(dimension, 0.4, "why"),))
            assert 0 <= lowered.score <= plain.score
            assert lowered.facts == ("why",)


def test_facts_never_make_a_dimension_negative() -> None:
    found = _of("low", facts=(Fact("clarity", 5, "x"), Fact("clarity", 5, "y")))
    assert found.clarity == 0
    assert found.completeness == 0.3


def test_weights_need_not_add_up_to_one() -> None:
    found = understand(dict.fromkeys(DIMENSIONS, "high"), (), weights=Weights(3, 3, 3, 3), threshold=0.7)
    assert found.score == pytest.approx(0.95)
    assert understand(dict.fromkeys(DIMENSIONS, "high"), (), weights=Weights(0, 0, 0, 0), threshold=0.7).score == 0


def test_it_survives_being_kept() -> None:
    found = _of("medium", facts=(Fact("clarity", 0.1, "why"),))
    assert Understanding.from_json(found.to_json()) == found
