"""Voices whose pitch is known to the sample."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synth.spec.controls import Float32Array


def sung(f0_hz: NDArray[np.float64], rate_hz: int = 48_000, *, level: float = 0.1, seed: int = 0) -> Float32Array:
    """An open vowel of 30 partials with a little breath -> like f0_hz."""
    phase = 2.0 * np.pi * np.cumsum(f0_hz) / rate_hz
    voice = np.zeros_like(f0_hz)
    for k in range(1, 31):
        partial_hz = k * f0_hz
        gain = np.exp(-(((partial_hz - 600.0) / 500.0) ** 2)) + 0.3 * np.exp(-(((partial_hz - 1_300.0) / 500.0) ** 2))
        voice += np.where(partial_hz < rate_hz / 2.2, gain + 0.1 / k, 0.0) * np.cos(k * phase + 0.3 * k * k)
    breath = np.random.default_rng(seed).standard_normal(len(f0_hz))
    return (level * (voice + 0.005 * breath)).astype(np.float32)


def whispered(n_samples: int, *, level: float = 0.03, seed: int = 0) -> Float32Array:
    """Noise without a period, brighter than a voice -> [n_samples]."""
    noise = np.random.default_rng(seed).standard_normal(n_samples + 1)
    return (level * np.diff(noise)).astype(np.float32)
