"""Figures with known answers."""

from __future__ import annotations

import numpy as np
import pytest

from synth.evaluate.statistics import (
    derangement,
    distribution_distance,
    line_through,
    mean_interval,
    median_interval,
    rank_correlation,
    spearman_interval,
)


def test_mean_interval_is_the_normal_one() -> None:
    """Of 400 standard normal numbers: mean +- 1.96 / 20."""
    found = mean_interval(np.random.default_rng(1).standard_normal(400) + 5.0)
    assert found.n == 400
    assert found.value == pytest.approx(5.0, abs=0.15)
    assert found.high - found.low == pytest.approx(2 * 1.96 / 20.0, rel=0.15)
    assert found.low < found.value < found.high


def test_intervals_repeat_to_the_bit_and_leave_out_nan() -> None:
    values = np.array([1.0, 2.0, np.nan, 4.0])
    assert mean_interval(values) == mean_interval(values[[0, 1, 3]])
    assert median_interval(values).value == 2.0


def test_nothing_observed_is_nan_not_zero() -> None:
    found = mean_interval([np.nan])
    assert found.n == 0
    assert np.isnan([found.value, found.low, found.high]).all()


def test_rank_correlation_knows_order_ties_and_flatness() -> None:
    asked = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    assert rank_correlation(asked, asked**3) == pytest.approx(1.0)
    assert rank_correlation(asked, -asked) == pytest.approx(-1.0)
    # Ranks 1, 2.5, 2.5, 4, 5 against 1..5, by hand: 9.5 / sqrt(10 * 9.5).
    assert rank_correlation(asked, np.array([0.0, 1.0, 1.0, 2.0, 3.0])) == pytest.approx(9.5 / np.sqrt(95.0))
    assert np.isnan(rank_correlation(asked, np.zeros(5)))


def test_the_interval_of_a_correlation_covers_the_truth() -> None:
    """Correlated normals: Spearman's rho is 6 / pi * asin(r / 2) (Pearson 1907)."""
    rng = np.random.default_rng(3)
    a = rng.standard_normal(300)
    b = 0.8 * a + 0.6 * rng.standard_normal(300)
    found = spearman_interval(a, b)
    assert found.low < 6.0 / np.pi * np.arcsin(0.4) < found.high
    assert 0.05 < found.high - found.low < 0.2


def test_an_unrelated_pair_has_an_interval_around_zero() -> None:
    rng = np.random.default_rng(4)
    found = spearman_interval(rng.standard_normal(200), rng.standard_normal(200))
    assert found.low < 0.0 < found.high


def test_line_through_points_on_a_line() -> None:
    slope, intercept = line_through([0.0, 1.0, 2.0, np.nan], [1.0, 3.0, 5.0, 9.0])
    assert (slope, intercept) == (pytest.approx(2.0), pytest.approx(1.0))
    assert np.isnan(line_through([1.0, 1.0], [0.0, 2.0])).all()


def test_distance_of_distributions_is_how_far_one_was_moved() -> None:
    values = np.random.default_rng(5).standard_normal(500)
    assert distribution_distance(values, values + 3.0) == pytest.approx(3.0)
    assert distribution_distance(values, np.random.default_rng(6).permutation(values)) == pytest.approx(0.0, abs=1e-12)
    assert np.isnan(distribution_distance(values, []))


def test_nobody_keeps_their_own_and_groups_are_crossed() -> None:
    groups = ["a", "a", "b", "c"]
    chosen = derangement(4, groups)
    assert all(groups[item] != groups[other] for item, other in enumerate(chosen))
    assert derangement(2, ["a", "a"]) == [1, 0]
    with pytest.raises(ValueError, match="nothing to exchange"):
        derangement(1, ["a"])
