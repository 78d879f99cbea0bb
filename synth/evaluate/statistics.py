"""Figures with their uncertainty: percentile-bootstrap intervals, rank correlation, slopes, distances of distributions.

Everything is deterministic: resampling draws from a generator of its own with a fixed seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata, wasserstein_distance

Float64Array = NDArray[np.float64]

N_RESAMPLES = 2_000
CONFIDENCE = 0.95
_SEED = 20_240_501


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with the bounds of its 95 % bootstrap interval; NaN where it is not defined. n: observations."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]"


def _indices(n: int) -> NDArray[np.int64]:
    """Rows of observations drawn with replacement -> [N_RESAMPLES, n]."""
    return np.random.default_rng(_SEED).integers(0, n, size=(N_RESAMPLES, n))


def _interval(value: float, resampled: Float64Array, n: int) -> Interval:
    defined = resampled[np.isfinite(resampled)]
    if not np.isfinite(value) or len(defined) == 0:
        return Interval(float("nan"), float("nan"), float("nan"), n)
    low, high = np.quantile(defined, [(1.0 - CONFIDENCE) / 2.0, (1.0 + CONFIDENCE) / 2.0])
    return Interval(float(value), float(low), float(high), n)


def bootstrap(values: ArrayLike, statistic: Callable[[Float64Array], Float64Array]) -> Interval:
    """Interval of `statistic` over observations [n] that are finite; `statistic` reduces the last axis of [..., n]."""
    finite = np.asarray(values, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    if len(finite) == 0:
        return Interval(float("nan"), float("nan"), float("nan"), 0)
    return _interval(float(statistic(finite)), statistic(finite[_indices(len(finite))]), len(finite))


def mean_interval(values: ArrayLike) -> Interval:
    """Mean of [n]."""
    return bootstrap(values, lambda rows: np.mean(rows, axis=-1))


def median_interval(values: ArrayLike) -> Interval:
    """Median of [n]."""
    return bootstrap(values, lambda rows: np.median(rows, axis=-1))


def quantile_interval(values: ArrayLike, quantile: float) -> Interval:
    """A quantile (0..1) of [n]."""
    return bootstrap(values, lambda rows: np.quantile(rows, quantile, axis=-1))


def change_interval(after: ArrayLike, before: ArrayLike) -> Interval:
    """By how many percent the mean of [n] is larger than that of [n], the same things paired and resampled together."""
    a, b = _finite_pairs(after, before)
    if len(a) == 0:
        return Interval(float("nan"), float("nan"), float("nan"), 0)
    index = _indices(len(a))
    with np.errstate(invalid="ignore", divide="ignore"):
        resampled = 100.0 * (a[index].mean(axis=1) / b[index].mean(axis=1) - 1.0)
        value = 100.0 * (a.mean() / b.mean() - 1.0)
    return _interval(float(value), resampled, len(a))


def share_interval(hits: ArrayLike) -> Interval:
    """Share of hits [n], each 0 or 1, in percent."""
    return mean_interval(100.0 * np.asarray(hits, dtype=np.float64))


@dataclass(frozen=True, slots=True)
class Effects:
    """Partial effects [n_causes, n_measures] with the bounds of their 95 % bootstrap intervals; n: observations."""

    value: Float64Array
    low: Float64Array
    high: Float64Array
    n: int


def partial_effects(causes: ArrayLike, measures: ArrayLike) -> Effects:
    """Least squares measures = constant + causes @ effects: what a cause does while the others are held.

    causes [n, k], measures [n, m], rows with NaN are left out; observations are resampled as rows. An effect is NaN
    with fewer than two observations to a cause.
    """
    x, y = np.asarray(causes, dtype=np.float64), np.asarray(measures, dtype=np.float64)
    known = np.isfinite(x).all(axis=1) & np.isfinite(y).all(axis=1)
    x, y = x[known], y[known]
    n, k = x.shape
    if n < 2 * (k + 1):
        unknown = np.full((k, y.shape[1]), np.nan)
        return Effects(unknown, unknown, unknown, n)
    design = np.column_stack([np.ones(n), x])
    counts = np.stack([np.bincount(row, minlength=n) for row in _indices(n)]).astype(np.float64)
    products = (design[:, :, None] * design[:, None, :]).reshape(n, -1)
    targets = (design[:, :, None] * y[:, None, :]).reshape(n, -1)
    grams = (counts @ products).reshape(-1, k + 1, k + 1) + 1e-9 * np.eye(k + 1)
    resampled = np.linalg.solve(grams, (counts @ targets).reshape(-1, k + 1, y.shape[1]))[:, 1:]
    value = np.asarray(np.linalg.lstsq(design, y, rcond=None)[0][1:], dtype=np.float64)
    low, high = np.quantile(resampled, [(1.0 - CONFIDENCE) / 2.0, (1.0 + CONFIDENCE) / 2.0], axis=0)
    return Effects(value, low, high, n)


def rank_correlation(a: ArrayLike, b: ArrayLike) -> Float64Array:
    """Spearman's rho over the last axis, ties averaged: [..., n], [..., n] -> [...]; NaN where a side is flat."""
    ranks_a = np.asarray(rankdata(np.asarray(a, dtype=np.float64), axis=-1))
    ranks_b = np.asarray(rankdata(np.asarray(b, dtype=np.float64), axis=-1))
    ranks_a = ranks_a - ranks_a.mean(axis=-1, keepdims=True)
    ranks_b = ranks_b - ranks_b.mean(axis=-1, keepdims=True)
    scale = np.sqrt(np.sum(ranks_a**2, axis=-1) * np.sum(ranks_b**2, axis=-1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(scale > 0.0, np.sum(ranks_a * ranks_b, axis=-1) / scale, np.nan)


def spearman_interval(a: ArrayLike, b: ArrayLike) -> Interval:
    """Spearman's rho of paired observations [n], [n]; pairs with NaN are left out, pairs are resampled together."""
    x, y = _finite_pairs(a, b)
    if len(x) < 3:
        return Interval(float("nan"), float("nan"), float("nan"), len(x))
    index = _indices(len(x))
    return _interval(float(rank_correlation(x, y)), rank_correlation(x[index], y[index]), len(x))


def line_through(asked: ArrayLike, measured: ArrayLike) -> tuple[float, float]:
    """Least squares measured = slope * asked + intercept over finite pairs; NaN where asked does not vary."""
    x, y = _finite_pairs(asked, measured)
    if len(x) < 2 or np.ptp(x) == 0.0:
        return float("nan"), float("nan")
    slope, intercept = np.polyfit(x, y, 1)
    return float(slope), float(intercept)


def distribution_distance(a: ArrayLike, b: ArrayLike) -> float:
    """Wasserstein-1 distance of two samples, in their unit; non-finite values are left out, NaN for an empty side."""
    x, y = (np.asarray(side, dtype=np.float64).ravel() for side in (a, b))
    x, y = x[np.isfinite(x)], y[np.isfinite(y)]
    if len(x) == 0 or len(y) == 0:
        return float("nan")
    return float(wasserstein_distance(x, y))


def derangement(n: int, groups: Sequence[str], seed: int = 0) -> list[int]:
    """For each of n items another one, of another group where there is one; a function of its arguments alone."""
    if n < 2 or len(groups) != n:
        raise ValueError(f"nothing to exchange among {n} items of {len(groups)} groups")
    rng = np.random.default_rng(seed)
    chosen = []
    for item in range(n):
        others = [other for other in range(n) if groups[other] != groups[item]]
        others = others or [other for other in range(n) if other != item]
        chosen.append(int(rng.choice(others)))
    return chosen


def _finite_pairs(a: ArrayLike, b: ArrayLike) -> tuple[Float64Array, Float64Array]:
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    known = np.isfinite(x) & np.isfinite(y)
    return x[known], y[known]
