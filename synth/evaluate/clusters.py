"""Observations that hang together, several of one note or of one listener: intervals that resample whole clusters."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synth.evaluate.statistics import CONFIDENCE, N_RESAMPLES, Interval

Float64Array = NDArray[np.float64]

_SEED = 20_260_417
_TAILS = ((1.0 - CONFIDENCE) / 2.0, (1.0 + CONFIDENCE) / 2.0)


def clustered(values: Sequence[Sequence[float]]) -> tuple[Float64Array, NDArray[np.int64]]:
    """Several values of each cluster -> (those that are finite [n], which cluster each belongs to [n])."""
    flat = [(value, index) for index, of_cluster in enumerate(values) for value in of_cluster if np.isfinite(value)]
    return np.array([v for v, _ in flat], dtype=np.float64), np.array([i for _, i in flat], dtype=np.int64)


def clustered_interval(values: ArrayLike, cluster: ArrayLike, statistic: Callable[[Float64Array], float]) -> Interval:
    """Interval of `statistic` ([n] -> a number) over observations [n], clusters [n] resampled; n counts those."""
    flat, labels = np.asarray(values, dtype=np.float64), np.asarray(cluster)
    groups = [flat[labels == label] for label in np.unique(labels)]
    if not groups:
        return Interval(float("nan"), float("nan"), float("nan"), 0)
    rows = np.random.default_rng(_SEED).integers(0, len(groups), size=(N_RESAMPLES, len(groups)))
    resampled = [statistic(np.concatenate([groups[i] for i in row])) for row in rows]
    low, high = np.quantile(resampled, _TAILS)
    return Interval(statistic(flat), float(low), float(high), len(groups))


def crossed_mean_interval(table: ArrayLike) -> Interval:
    """Mean of a table [n_listeners, n_trials] with NaN where nothing was answered: the mean of the rows' means, both
    rows and columns resampled (the pigeonhole bootstrap, Owen 2007); n counts rows."""
    values = np.asarray(table, dtype=np.float64)
    values = values[np.isfinite(values).any(axis=1)] if values.size else np.zeros((0, 0))
    n_rows, n_columns = values.shape
    if n_rows == 0:
        return Interval(float("nan"), float("nan"), float("nan"), 0)
    rng = np.random.default_rng(_SEED)
    known, filled = np.isfinite(values).astype(np.float64), np.nan_to_num(values)
    columns = rng.integers(0, n_columns, size=(N_RESAMPLES, n_columns))
    weights = np.stack([np.bincount(row, minlength=n_columns) for row in columns]).astype(np.float64)
    counts = weights @ known.T
    rows = np.where(counts > 0.0, weights @ filled.T / np.maximum(counts, 1.0), np.nan)  # [N_RESAMPLES, n_rows]
    drawn = np.take_along_axis(rows, rng.integers(0, n_rows, size=rows.shape), axis=1)
    answered = np.isfinite(drawn)
    means = np.nan_to_num(drawn).sum(axis=1)[answered.any(axis=1)] / answered.sum(axis=1)[answered.any(axis=1)]
    low, high = np.quantile(means, _TAILS)
    per_row = filled.sum(axis=1) / known.sum(axis=1)
    return Interval(float(per_row.mean()), float(low), float(high), n_rows)
