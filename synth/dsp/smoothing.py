"""Smoothing and hole-filling of frame-rate curves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import oaconvolve

Float64Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

_LONGEST_DIRECT = 64  # beyond this the Fourier transform is the faster convolution


def hann_mean(values: NDArray[np.floating], width: int) -> Float64Array:
    """Hann-weighted moving mean over `width` (odd) values; at the ends over what there is. [n] -> [n]"""
    return weighted_hann_mean(values, np.ones(len(values)), width)


def weighted_hann_mean(values: NDArray[np.floating], weights: NDArray[np.floating], width: int) -> Float64Array:
    """Moving mean of `values` weighted by `weights` >= 0 and a Hann window of `width` (odd) values. [n] -> [n]"""
    kernel = np.hanning(width + 2)[1:-1]
    tiny = 1e-30
    return _same(values * weights, kernel) / np.maximum(_same(weights, kernel), tiny)


def _same(values: NDArray[np.floating], kernel: Float64Array) -> Float64Array:
    """Convolution, centred, of the length of `values` even where the kernel is longer."""
    half = len(kernel) // 2
    if len(kernel) <= _LONGEST_DIRECT or len(values) == 0:
        full = np.convolve(np.asarray(values, dtype=np.float64), kernel) if len(values) else np.zeros(0)
    else:
        full = oaconvolve(np.asarray(values, dtype=np.float64), kernel)
    return full[half : half + len(values)]


def moving_median(values: NDArray[np.floating], width: int) -> Float64Array:
    """Median over `width` (odd) neighbours; the ends are held. [n] -> [n]"""
    half = width // 2
    padded = np.pad(np.asarray(values, dtype=np.float64), half, mode="edge")
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, width), axis=-1)


def fill_holes(values: NDArray[np.floating], known: BoolArray, otherwise: float) -> Float64Array:
    """Linear interpolation through frames that are not `known`, held at the ends; `otherwise` if none is. [n] -> [n]"""
    if not known.any():
        return np.full(len(values), otherwise)
    index = np.arange(len(values))
    return np.interp(index, index[known], np.asarray(values, dtype=np.float64)[known])
