"""Fry: sub-harmonics, irregular pulses, pulses that stand apart, put into one index."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synth.dsp.framing import centred_windows
from synth.dsp.smoothing import hann_mean

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]

_SPEECH_RATE_HZ = 16_000
_ENVELOPE_RATE_HZ = 1_000
_DIP_WINDOW = 60  # 60 ms: more than a period of 20 Hz
_APART_FULL_HZ, _APART_NONE_HZ = 40.0, 75.0
_JITTER_WEIGHT = 3.0
_APART_WEIGHT = 0.6
_JITTER_OF_MODAL = 0.012  # rms cycle-to-cycle difference of a healthy voice, with the tracker's own


def pulses_apart(emphasised: Float32Array, f0_hz: NDArray[np.floating], voiced: NDArray[np.bool_]) -> Float64Array:
    """How far the voice dies away between slow pulses. -> [n_frames] 0..1; 0 above 75 Hz and where unvoiced"""
    n_frames = len(f0_hz)
    slow = np.clip((_APART_NONE_HZ - np.asarray(f0_hz)) / (_APART_NONE_HZ - _APART_FULL_HZ), 0.0, 1.0) * voiced
    if not slow.any():
        return np.zeros(n_frames)
    block = _SPEECH_RATE_HZ // _ENVELOPE_RATE_HZ
    n_blocks = n_frames * (_ENVELOPE_RATE_HZ // 100)
    squares = np.zeros(n_blocks * block)
    squares[: len(emphasised)] = emphasised[: len(squares)].astype(np.float64) ** 2
    power = hann_mean(squares.reshape(-1, block).mean(axis=1), 5)
    windows = centred_windows(power.astype(np.float32), n_frames, _ENVELOPE_RATE_HZ, _DIP_WINDOW)
    quiet, loud = np.percentile(windows, (20.0, 98.0), axis=1)
    return slow * (1.0 - np.sqrt(np.clip(quiet / np.maximum(loud, 1e-14), 0.0, 1.0)))


def fry_index(
    subharmonic_depth: Float64Array, jitter_ratio: Float64Array, apart: Float64Array, r: Float64Array
) -> Float64Array:
    """Root of the summed squares of the parts, where there are cycles to speak of. -> [n_frames] 0..~1.2

    r  debiased cycle correlation: noise has neither cycles nor sub-harmonics.
    """
    cycles = np.clip((r - 0.1) / 0.25, 0.0, 1.0)
    irregular = _JITTER_WEIGHT * np.maximum(jitter_ratio - _JITTER_OF_MODAL, 0.0)
    return cycles * np.sqrt(subharmonic_depth**2 + irregular**2 + (_APART_WEIGHT * apart) ** 2)
