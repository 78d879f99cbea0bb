"""Interpolation through drawn points, held flat beyond the ends.

All functions: x [n_points] strictly increasing, y [n_points], at [n] -> [n] float64. Only sums, products and
quotients of the points beside a place, so the same place gives the same bits whatever else is asked for, and
whichever neighbouring points come along.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]


def hold_step(x: Float64Array, y: Float64Array, at: Float64Array) -> Float64Array:
    """Each point's value until the next point."""
    return y[np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(x) - 1)]


def hold_linear(x: Float64Array, y: Float64Array, at: Float64Array) -> Float64Array:
    """Straight lines between the points."""
    if len(x) == 1:
        return np.full(len(at), y[0])
    left, position = _segments(x, at)
    low, high = y[left], y[left + 1]
    line = low * (1.0 - position) + high * position
    # Rounding may leave the segment's box by an ulp; a lane must never leave its range, and level is level.
    return np.clip(line, np.minimum(low, high), np.maximum(low, high))


def hold_smooth(x: Float64Array, y: Float64Array, at: Float64Array) -> Float64Array:
    """Monotone cubic Hermite curve with Fritsch & Butland's (1984, eq. 5, alpha weighted) slopes, 0 at both ends."""
    if len(x) == 1:
        return np.full(len(at), y[0])
    left, u = _segments(x, at)
    slopes = _monotone_slopes(x, y)
    width = (x[1:] - x[:-1])[left]
    low, high = y[left], y[left + 1]
    rise = high - low
    start, end = slopes[left] * width, slopes[left + 1] * width
    curve = low + u * (start + u * ((3.0 * rise - 2.0 * start - end) + u * (start + end - 2.0 * rise)))
    # A point is met exactly, and what is held after the last one is its value, not the cubic's rounding of it.
    curve = np.where(u >= 1.0, high, curve)
    return np.clip(curve, np.minimum(low, high), np.maximum(low, high))


def _segments(x: Float64Array, at: Float64Array) -> tuple[NDArray[np.intp], Float64Array]:
    """Index of the point left of each place, and the place within its segment, 0..1 (clamped: held flat)."""
    left = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(x) - 2)
    return left, np.clip((at - x[left]) / (x[left + 1] - x[left]), 0.0, 1.0)


def _monotone_slopes(x: Float64Array, y: Float64Array) -> Float64Array:
    """Weighted harmonic mean of the two chords where they agree in sign, else 0."""
    slopes = np.zeros(len(x))
    width = x[1:] - x[:-1]
    chord = (y[1:] - y[:-1]) / width
    before, after = chord[:-1], chord[1:]
    # Opposite or zero chords meet in an extremum, which must stay one.
    same = (np.sign(before) * np.sign(after)) > 0
    weight_before = 2.0 * width[1:] + width[:-1]
    weight_after = width[1:] + 2.0 * width[:-1]
    total = weight_before + weight_after
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        mean = total / (weight_before / before + weight_after / after)
    slopes[1:-1] = np.where(same, mean, 0.0)
    return slopes
