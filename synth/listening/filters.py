"""Filters that run block by block in plain numpy: scipy's take seconds to import."""

from __future__ import annotations

import math

import numpy as np

from synth.spec.controls import Float32Array


class HighPass:
    """Second-order Butterworth by the bilinear transform, for blocks of one size. One thread.

    In state-space form a block is one product with its impulse responses: y = H x + O s, s' = A^n s + K x.
    """

    def __init__(self, cut_off_hz: float, rate_hz: float, block_samples: int) -> None:
        warped = math.tan(math.pi * cut_off_hz / rate_hz)
        scale = 1.0 / (1.0 + math.sqrt(2.0) * warped + warped**2)
        b0, b1 = scale, -2.0 * scale
        a1, a2 = 2.0 * (warped**2 - 1.0) * scale, (1.0 - math.sqrt(2.0) * warped + warped**2) * scale
        step = np.array([[-a1, 1.0], [-a2, 0.0]])
        kick = np.array([b1 - a1 * b0, b0 - a2 * b0])  # b2 = b0
        powers = [np.eye(2)]
        for _ in range(block_samples):
            powers.append(step @ powers[-1])
        impulse = np.array([b0, *(float((power @ kick)[0]) for power in powers[: block_samples - 1])])
        behind = np.arange(block_samples)[:, None] - np.arange(block_samples)[None, :]
        self._through = np.where(behind >= 0, impulse[np.maximum(behind, 0)], 0.0)
        self._from_state = np.stack([power[0] for power in powers[:block_samples]])
        self._to_state = np.stack([power @ kick for power in reversed(powers[:block_samples])], axis=1)
        self._over = powers[block_samples]
        self._state = np.zeros(2)

    def process(self, block: Float32Array) -> Float32Array:
        """The next block [block_samples] -> [block_samples]."""
        out = self._through @ block + self._from_state @ self._state
        self._state = self._over @ self._state + self._to_state @ block
        return out.astype(np.float32)


def band_pass(low_hz: float, high_hz: float, rate_hz: float, n_taps: int) -> Float32Array:
    """Windowed-sinc band pass (Hamming), gain 1 in the middle of the band -> [n_taps], n_taps odd."""
    places = np.arange(n_taps) - (n_taps - 1) / 2
    low, high = 2.0 * low_hz / rate_hz, 2.0 * high_hz / rate_hz
    taps = (high * np.sinc(high * places) - low * np.sinc(low * places)) * np.hamming(n_taps)
    middle = math.pi * (low + high) / 2.0
    return (taps / float(np.sum(taps * np.cos(middle * places)))).astype(np.float32)
