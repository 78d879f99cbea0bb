"""Mel filterbank and the cosine transform that makes cepstra of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float32Array = NDArray[np.float32]

# Slaney's scale: steps of 200/3 Hz up to 1 kHz, above it 27 steps for a factor of 6.4.
_SLANEY_LINEAR_HZ = 200.0 / 3.0
_SLANEY_KNEE_HZ = 1000.0
_SLANEY_KNEE = _SLANEY_KNEE_HZ / _SLANEY_LINEAR_HZ
_SLANEY_LOG_RANGE = float(np.log(6.4))


def hz_to_mel(hz: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """O'Shaughnessy's mel scale."""
    return 2595.0 * np.log10(1.0 + np.asarray(hz, dtype=np.float64) / 700.0)


def mel_to_hz(mel: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Inverse of hz_to_mel."""
    return 700.0 * (10.0 ** (np.asarray(mel, dtype=np.float64) / 2595.0) - 1.0)


def mel_filterbank(n_bands: int, n_fft: int, sample_rate_hz: int, low_hz: float, high_hz: float) -> Float32Array:
    """Triangles of unit sum, evenly spaced in mel: each band is a mean power. -> [n_fft // 2 + 1, n_bands]"""
    edges = mel_to_hz(np.linspace(float(hz_to_mel(low_hz)), float(hz_to_mel(high_hz)), n_bands + 2))
    # Bands narrower than a bin would be empty: each side reaches at least one bin.
    bin_hz = sample_rate_hz / n_fft
    centres = edges[1:-1]
    low = np.minimum(edges[:-2], centres - bin_hz)
    high = np.maximum(edges[2:], centres + bin_hz)
    bins = (np.arange(n_fft // 2 + 1) * bin_hz)[:, None]
    rising = (bins - low) / (centres - low)
    falling = (high - bins) / (high - centres)
    bank = np.maximum(0.0, np.minimum(rising, falling))
    return (bank / bank.sum(axis=0)).astype(np.float32)


def dct_matrix(n_bands: int, n_coefficients: int) -> Float32Array:
    """Orthonormal DCT-II: log bands [n, n_bands] @ matrix -> cepstra. -> [n_bands, n_coefficients]"""
    band = np.arange(n_bands)[:, None] + 0.5
    matrix = np.cos(np.pi / n_bands * band * np.arange(n_coefficients)) * np.sqrt(2.0 / n_bands)
    matrix[:, 0] *= np.sqrt(0.5)
    return matrix.astype(np.float32)


def slaney_filterbank(n_bands: int, n_fft: int, sample_rate_hz: int, low_hz: float, high_hz: float) -> Float32Array:
    """Triangles of unit sum on Slaney's scale (Auditory Toolbox 1998): linear to 1 kHz, logarithmic above.

    The bank the codec's encoder was trained with. -> [n_fft // 2 + 1, n_bands]
    """
    edges = _slaney_to_hz(np.linspace(_hz_to_slaney(low_hz), _hz_to_slaney(high_hz), n_bands + 2))
    bins = np.fft.rfftfreq(n_fft, 1.0 / sample_rate_hz)[:, None]
    rising = (bins - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - bins) / np.diff(edges)[1:]
    bank = np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)
    return (bank / bank.sum(axis=0, dtype=np.float64)).astype(np.float32)


def _hz_to_slaney(hz: float) -> float:
    above = 27.0 * float(np.log(hz / _SLANEY_KNEE_HZ)) / _SLANEY_LOG_RANGE if hz > 0.0 else 0.0
    return _SLANEY_KNEE + above if hz >= _SLANEY_KNEE_HZ else hz / _SLANEY_LINEAR_HZ


def _slaney_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    above = _SLANEY_KNEE_HZ * np.exp((mel - _SLANEY_KNEE) * _SLANEY_LOG_RANGE / 27.0)
    return np.where(mel >= _SLANEY_KNEE, above, mel * _SLANEY_LINEAR_HZ)
