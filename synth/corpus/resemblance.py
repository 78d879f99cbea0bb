"""Recordings that are there twice though their bytes differ: encoded again, louder, trimmed at the ends.

A clip's fingerprint is the course of its cepstra, ten times a second, without c0 (the level) and without its own mean
(the room, the equaliser). Two takes of the same words differ by tempo and articulation; two copies do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from scipy.spatial import KDTree

from synth.spec import Float32Array

FINGERPRINT_FRAMES: Final = 10  # of 10 ms that one point of a fingerprint averages
MIN_CORRELATION: Final = 0.985
_COEFFICIENTS: Final = slice(1, 13)
_NEIGHBOURS: Final = 6
_MIN_OVERLAP: Final = 0.7  # of the shorter one
_MIN_POINTS: Final = 6
_MIN_MOVEMENT: Final = 0.5  # standard deviation of the cepstra; what hardly moves has no course to compare


def fingerprint(mfcc: Float32Array) -> Float32Array:
    """Cepstra [n_frames, 17] -> their course [n_points, 12]."""
    n_points = len(mfcc) // FINGERPRINT_FRAMES
    blocks = mfcc[: n_points * FINGERPRINT_FRAMES, _COEFFICIENTS].astype(np.float32)
    return blocks.reshape(n_points, FINGERPRINT_FRAMES, -1).mean(axis=1)


def near_duplicates(fingerprints: Sequence[Float32Array]) -> list[tuple[int, int, float]]:
    """Pairs of indices (lower first) that are copies of one another, with their correlation; sorted."""
    usable = [i for i, course in enumerate(fingerprints) if len(course) >= _MIN_POINTS and _moves(course)]
    if len(usable) < 2:
        return []
    summaries = np.array([_summary(fingerprints[i]) for i in usable])
    spread = summaries.std(axis=0) + 1e-6
    _, indices = KDTree(summaries / spread).query(summaries / spread, k=min(_NEIGHBOURS, len(usable)))
    nearest = np.asarray(indices).tolist()
    pairs = {(usable[min(i, j)], usable[max(i, j)]) for i, row in enumerate(nearest) for j in row if i != j}
    found = [(a, b, correlation(fingerprints[a], fingerprints[b])) for a, b in sorted(pairs)]
    return [pair for pair in found if pair[2] >= MIN_CORRELATION]


def correlation(one: Float32Array, other: Float32Array) -> float:
    """The largest correlation of two courses over all shifts that leave most of the shorter one overlapping."""
    short, long = (one, other) if len(one) <= len(other) else (other, one)
    least = max(int(np.ceil(_MIN_OVERLAP * len(short))), _MIN_POINTS)
    best = -1.0
    for shift in range(least - len(short), len(long) - least + 1):
        a = short[max(-shift, 0) : len(long) - shift]
        b = long[max(shift, 0) : max(shift, 0) + len(a)]
        a, b = a - a.mean(axis=0), b - b.mean(axis=0)
        size = float(np.sqrt((a * a).sum() * (b * b).sum()))
        if size > 0.0:
            best = max(best, float((a * b).sum()) / size)
    return best


def _moves(course: Float32Array) -> bool:
    return float(course.std(axis=0).mean()) > _MIN_MOVEMENT


def _summary(course: Float32Array) -> Float32Array:
    return course.std(axis=0)
