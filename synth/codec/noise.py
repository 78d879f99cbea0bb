"""Noise as a pure function of (seed, stream, absolute position).

Every random number of a render comes from here, so that any piece can be made again, alone, with equal samples
(counter-based generation after Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").
"""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Float32Array = NDArray[np.float32]

_BLOCK = 4096
# Playing in small blocks reads every one of these many times; eight megabytes hold what some thirty voices read.
_KEPT_BLOCKS = 512


class Stream(IntEnum):
    """Independent noises of one seed."""

    LATENT = 1
    ASPIRATION = 2
    JITTER = 3
    DRIFT = 4
    ROUGHNESS = 5
    SOLVER = 6


@lru_cache(maxsize=_KEPT_BLOCKS)
def _block(seed: int, stream: int, lane: int, index: int) -> Float32Array:
    # Philox keys are 128 bit: (seed, stream and lane); blocks before time zero get their own half of the index space.
    position = index if index >= 0 else (1 << 62) + index
    bits = np.random.Philox(key=[seed & (2**64 - 1), (stream << 32) | lane], counter=[0, position, 0, 0])
    values = np.random.Generator(bits).standard_normal(_BLOCK, dtype=np.float32)
    values.flags.writeable = False
    return values


def normal(seed: int, stream: Stream, start: int, count: int, *, lane: int = 0) -> Float32Array:
    """Standard normal values at absolute positions [start, start + count) -> [count]. `start` may be negative."""
    first, last = start // _BLOCK, (start + count - 1) // _BLOCK
    blocks = np.concatenate([_block(seed, int(stream), lane, index) for index in range(first, last + 1)])
    offset = start - first * _BLOCK
    return blocks[offset : offset + count]


def normal_frames(seed: int, stream: Stream, start_frame: int, n_frames: int, n_channels: int) -> Float32Array:
    """Standard normal values for absolute frames -> [n_channels, n_frames]."""
    flat = normal(seed, stream, start_frame * n_channels, n_frames * n_channels)
    return np.ascontiguousarray(flat.reshape(n_frames, n_channels).T)


def smooth(
    seed: int, stream: Stream, positions_s: NDArray[np.float64], rate_hz: float, *, lane: int = 0
) -> Float32Array:
    """Unit-variance smooth noise with about `rate_hz` independent values a second, read at any times -> same shape.

    Quadratic B-spline interpolation of hashed knots: local (three knots), continuous with its slope.
    """
    if positions_s.size == 0:
        return np.zeros(positions_s.shape, dtype=np.float32)
    x = positions_s * rate_hz
    knot = np.floor(x).astype(np.int64)
    first = int(knot.min()) - 1
    values = normal(seed, stream, first, int(knot.max()) - first + 3, lane=lane)
    u = (x - knot).astype(np.float32)
    index = knot - first
    weights = (0.5 * (1 - u) ** 2, 0.5 + u * (1 - u), 0.5 * u**2)
    mixed = weights[0] * values[index - 1] + weights[1] * values[index] + weights[2] * values[index + 1]
    # The spline averages its knots: restore unit variance (mean over u of the sum of squared weights is 0.55).
    return (mixed / np.sqrt(np.float32(0.55))).astype(np.float32)
