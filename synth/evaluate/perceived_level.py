"""Loudness as listeners rank it: ITU-R BS.1770-4's weighting and gates for one channel, and sounds brought level."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from synth.spec.audio import SAMPLE_RATE_HZ
from synth.spec.controls import Float32Array

Float64Array = NDArray[np.float64]

TARGET_LUFS = -23.0
HIGHEST_PEAK = 0.98
# BS.1770-4, tables 1 and 2, at 48 kHz: the head's shelf and the low cut.
_SHELF = ((1.53512485958697, -2.69169618940638, 1.19839281085285), (1.0, -1.69065929318241, 0.73248077421585))
_LOW_CUT = ((1.0, -2.0, 1.0), (1.0, -1.99004745483398, 0.99007225036621))
_OFFSET_DB = -0.691
_BLOCK_SAMPLES, _STEP_SAMPLES = SAMPLE_RATE_HZ * 4 // 10, SAMPLE_RATE_HZ // 10
_ABSOLUTE_GATE_LUFS, _RELATIVE_GATE_DB = -70.0, -10.0


def loudness_lufs(audio: Float32Array) -> float:
    """Integrated, gated loudness of mono audio [n] at 48 kHz; -inf for silence. Less than a block counts as one."""
    weighted = lfilter(*_LOW_CUT, lfilter(*_SHELF, audio.astype(np.float64)))
    if len(weighted) < _BLOCK_SAMPLES:
        weighted = np.pad(weighted, (0, _BLOCK_SAMPLES - len(weighted)))
    blocks = np.lib.stride_tricks.sliding_window_view(weighted, _BLOCK_SAMPLES)[::_STEP_SAMPLES]
    power = np.mean(blocks**2, axis=1)
    audible = power[_lufs(power) > _ABSOLUTE_GATE_LUFS]
    if len(audible) == 0:
        return float("-inf")
    gate = float(_lufs(np.array([audible.mean()]))[0]) + _RELATIVE_GATE_DB
    return float(_lufs(np.array([audible[_lufs(audible) > gate].mean()]))[0])


def level_matched(sounds: Mapping[str, Float32Array], target_lufs: float = TARGET_LUFS) -> dict[str, Float32Array]:
    """Every sound at the same loudness: the target, or as far below as keeps all their peaks under HIGHEST_PEAK.

    A silent sound stays silent.
    """
    gains_db = {name: target_lufs - loudness_lufs(audio) for name, audio in sounds.items()}
    gains = {name: 10.0 ** (gain / 20.0) if np.isfinite(gain) else 0.0 for name, gain in gains_db.items()}
    highest = max((gains[name] * float(np.abs(audio).max(initial=0.0)) for name, audio in sounds.items()), default=0.0)
    common = min(1.0, HIGHEST_PEAK / highest) if highest > 0.0 else 1.0
    return {name: (audio * (common * gains[name])).astype(np.float32) for name, audio in sounds.items()}


def _lufs(power: Float64Array) -> Float64Array:
    return _OFFSET_DB + 10.0 * np.log10(np.maximum(power, 1e-20))
