"""Distances in units of real to real: halves of the recordings against each other, and the model's against them.

Excerpts of one recording are not independent: everything is halved, and left out, by recording.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synth.evaluate.statistics import Interval

Index = NDArray[np.int64]
# (excerpts of one side, as many of the other, is the first side the model's) -> distance
Distance = Callable[[Index, Index, bool], float]

N_HALVINGS = 40
_Z95 = 1.959964


@dataclass(frozen=True, slots=True)
class HalfDistances:
    """A distance between halves of the recordings, mean over random halvings.

    made   half of the model's excerpts against the other half of the real ones: never the same recordings
    real   half of the real excerpts against the other half
    ratio  made / real: 1 where the model is as near to the recordings as they are to each other; low, high from a
           jackknife over recordings of its logarithm, NaN where real is not above 0
    n      excerpts of each side, n_recordings: recordings in all
    """

    made: float
    real: float
    ratio: float
    ratio_low: float
    ratio_high: float
    n: int
    n_recordings: int


def half_distances(owners: Index, distance: Distance, seed: int = 0) -> HalfDistances:
    """Compare halves.

    owners    [n] which recording each excerpt is from, 0..n_recordings-1
    distance  (excerpts of one side, excerpts of the other [equal n], is the first side the model's) -> distance
    """
    n_recordings = int(owners.max()) + 1 if len(owners) else 0
    made, real, n = _mean_over_halvings(owners, np.arange(n_recordings), distance, seed)
    ratio = made / real if real > 0.0 else float("nan")
    logs = []
    for left_out in range(n_recordings):
        kept = np.delete(np.arange(n_recordings), left_out)
        made_without, real_without, _ = _mean_over_halvings(owners, kept, distance, seed)
        is_defined = made_without > 0.0 and real_without > 0.0
        logs.append(np.log(made_without / real_without) if is_defined else np.nan)
    factor = float(np.exp(_Z95 * _jackknife_error(logs)))
    return HalfDistances(made, real, ratio, ratio / factor, ratio * factor, n, n_recordings)


def jackknife_interval(owners: Index, statistic: Callable[[Index], float]) -> Interval:
    """A statistic of excerpts with the 95 % interval of a jackknife over recordings (Efron and Stein 1981).

    owners     [n] as in half_distances
    statistic  excerpts -> value
    """
    everything = np.arange(len(owners))
    value = statistic(everything)
    spread = _Z95 * _jackknife_error([statistic(everything[owners != left_out]) for left_out in np.unique(owners)])
    return Interval(value, value - spread, value + spread, len(owners))


def _jackknife_error(without: list[float]) -> float:
    """Standard error from the values without one recording each; NaN for fewer than three, or where one is not."""
    n = len(without)
    if n < 3 or not np.isfinite(without).all():
        return float("nan")
    return float(np.sqrt((n - 1) / n * np.sum((np.array(without) - np.mean(without)) ** 2)))


def _mean_over_halvings(owners: Index, kept: Index, distance: Distance, seed: int) -> tuple[float, float, int]:
    made, real, sizes = [], [], []
    for first, second in _halvings(owners, kept, seed):
        made.append(distance(first, second, True))
        real.append(distance(first, second, False))
        sizes.append(len(first))
    if not sizes:
        return float("nan"), float("nan"), 0
    return _finite_mean(made), _finite_mean(real), round(float(np.mean(sizes)))


def _finite_mean(values: list[float]) -> float:
    finite = [value for value in values if np.isfinite(value)]
    return float(np.mean(finite)) if finite else float("nan")


def _halvings(owners: Index, kept: Index, seed: int) -> Iterator[tuple[Index, Index]]:
    """Excerpts of two random halves of the recordings, as many of each."""
    rng = np.random.default_rng(seed)
    for _ in range(N_HALVINGS):
        shuffled = rng.permutation(kept)
        sides = [np.flatnonzero(np.isin(owners, half)) for half in np.array_split(shuffled, 2)]
        n = min(len(side) for side in sides)
        if n >= 2:
            first, second = (rng.permutation(side)[:n] for side in sides)
            yield first, second
