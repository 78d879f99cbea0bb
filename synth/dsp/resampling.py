"""Sample-rate conversion with exact lengths."""

from __future__ import annotations

import numpy as np
import soxr
from numpy.typing import NDArray

Float32Array = NDArray[np.float32]


def resample(signal: Float32Array, from_hz: int, to_hz: int) -> Float32Array:
    """`signal` at `to_hz`, time-aligned with the original. [n] -> [ceil(n * to_hz / from_hz)]"""
    n_out = -(-len(signal) * to_hz // from_hz)
    if from_hz == to_hz or len(signal) == 0:
        return np.asarray(signal, dtype=np.float32)
    resampled = np.asarray(soxr.resample(signal, from_hz, to_hz), dtype=np.float32)[:n_out]
    return np.pad(resampled, (0, n_out - len(resampled)))
