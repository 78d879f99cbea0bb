"""Distances between sets of sounds in an embedding: unbiased kernel distance at equal n, and Frechet's where n allows.

Real to real is the unit: halves of the recordings against each other, and halves of the model's renderings of one half
against the other half of the recordings, so that neither side ever compares a recording with itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synth.evaluate.embeddings import Embedding, standardised
from synth.evaluate.halves import Distance, HalfDistances, Index, half_distances, jackknife_interval
from synth.evaluate.resung import Resung, by_group
from synth.evaluate.statistics import Interval
from synth.evaluate.timebox import Progress, TimeBox

Float64Array = NDArray[np.float64]

_FEWEST = 8  # excerpts; with fewer a distance is chance


def polynomial_kernel(a: Float64Array, b: Float64Array) -> Float64Array:
    """(x . y / dim + 1)^3 (Binkowski et al. 2018, KID): [n, dim], [m, dim] -> [n, m]."""
    return (a @ b.T / a.shape[1] + 1.0) ** 3


def gaussian_kernel(a: Float64Array, b: Float64Array, bandwidth: float) -> Float64Array:
    """exp(-|x - y|^2 / (2 bandwidth^2)): [n, dim], [m, dim] -> [n, m]."""
    squares = np.sum(a**2, axis=1)[:, None] + np.sum(b**2, axis=1)[None] - 2.0 * a @ b.T
    return np.exp(-np.maximum(squares, 0.0) / (2.0 * bandwidth**2))


def median_distance(values: Float64Array) -> float:
    """Median distance of different points, the usual bandwidth (Gretton et al. 2012, section 8). [n, dim] -> > 0"""
    squares = np.sum(values**2, axis=1)
    between = squares[:, None] + squares[None] - 2.0 * values @ values.T
    upper = between[np.triu_indices(len(values), 1)]
    return float(np.sqrt(max(np.median(upper), 1e-12))) if len(upper) else 1.0


def mmd_squared(within_a: Float64Array, within_b: Float64Array, between: Float64Array) -> float:
    """Unbiased squared maximum mean discrepancy (Gretton et al. 2012, eq. 3) from kernel matrices [n, n], [m, m],
    [n, m]; n, m >= 2. Below 0 as often as above where both samples are of one distribution."""
    n, m = between.shape
    a = (within_a.sum() - np.trace(within_a)) / (n * (n - 1))
    b = (within_b.sum() - np.trace(within_b)) / (m * (m - 1))
    return float(a + b - 2.0 * between.mean())


def frechet(a: Float64Array, b: Float64Array) -> float:
    """|mean_a - mean_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)) (Dowson and Landau 1982; Heusel et al. 2017).

    [n, dim], [m, dim] -> >= 0; NaN unless n and m exceed dim, where the covariances would be singular.
    """
    if min(len(a), len(b)) <= a.shape[1]:
        return float("nan")
    covariances = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    eigenvalues = np.linalg.eigvals(covariances[0] @ covariances[1])
    trace = np.trace(covariances[0]) + np.trace(covariances[1]) - 2.0 * np.sum(np.sqrt(np.maximum(eigenvalues.real, 0)))
    return float(np.sum((a.mean(axis=0) - b.mean(axis=0)) ** 2) + max(trace, 0.0))


@dataclass(frozen=True, slots=True)
class KernelRow:
    """One group in one embedding by one kernel (or "frechet").

    whole   all the model's excerpts against all real ones of the same recordings, with the interval of a
            jackknife over recordings; halves: against real to real
    """

    embedding: str
    dim: int
    group: str
    distance: str
    n_excerpts: int
    whole: Interval
    halves: HalfDistances


@dataclass(frozen=True, slots=True)
class KernelReport:
    """Rows by embedding, group and kernel. left_out: groups with too few excerpts, with how many."""

    rows: tuple[KernelRow, ...]
    left_out: tuple[tuple[str, int], ...]


def evaluate_kernel(
    resung: Sequence[Resung],
    embeddings: Sequence[Embedding],
    *,
    box: TimeBox | None = None,
    on_progress: Progress | None = None,
) -> KernelReport:
    """Every embedding on every group that has at least eight excerpts."""
    groups = by_group(resung)
    jobs = [(embedding, group) for embedding in embeddings for group in groups]
    rows: list[KernelRow] = []
    left_out: dict[str, int] = {}
    for embedding, group in (box or TimeBox()).take(jobs, on_progress):
        cut = [item.excerpts() for item in groups[group]]
        owners = np.concatenate([np.full(len(found), index) for index, found in enumerate(cut)]).astype(np.int64)
        if len(owners) < _FEWEST or len(np.unique(owners)) < 2:
            left_out[group] = len(owners)
            continue
        _, owners = np.unique(owners, return_inverse=True)
        real = np.concatenate([embedding(item.real, found) for item, found in zip(groups[group], cut) if found])
        made = np.concatenate([embedding(item.made, found) for item, found in zip(groups[group], cut) if found])
        rows += _rows(embedding.name, group, standardised(made, real), standardised(real, real), owners)
    return KernelReport(tuple(rows), tuple(sorted(left_out.items())))


def _rows(name: str, group: str, made: Float64Array, real: Float64Array, owners: Index) -> list[KernelRow]:
    bandwidth = median_distance(real)
    kernels: dict[str, Callable[[Float64Array, Float64Array], Float64Array]] = {
        "polynomial": polynomial_kernel,
        "gaussian": lambda a, b: gaussian_kernel(a, b, bandwidth),
    }
    distances = {kind: _kernel_distance(kernel, made, real) for kind, kernel in kernels.items()}
    if len(owners) > made.shape[1]:
        distances["frechet"] = lambda first, second, is_made: frechet((made if is_made else real)[first], real[second])
    rows = []
    for kind, distance in distances.items():
        whole = jackknife_interval(owners, lambda index, distance=distance: distance(index, index, True))
        rows.append(KernelRow(name, made.shape[1], group, kind, len(owners), whole, half_distances(owners, distance)))
    return rows


def _kernel_distance(
    kernel: Callable[[Float64Array, Float64Array], Float64Array], made: Float64Array, real: Float64Array
) -> Distance:
    """Unbiased distance of chosen excerpts, from kernel matrices computed once."""
    of_made, of_real, between = kernel(made, made), kernel(real, real), kernel(made, real)

    def distance(first: Index, second: Index, is_made: bool) -> float:
        own, crossed = (of_made, between) if is_made else (of_real, of_real)
        return mmd_squared(own[np.ix_(first, first)], of_real[np.ix_(second, second)], crossed[np.ix_(first, second)])

    return distance
