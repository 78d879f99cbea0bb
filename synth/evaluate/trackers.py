"""Independent judges of pitch: Praat's autocorrelation tracker and SwiftF0 as its makers ship it.

Neither is the instrument's own tracker. Praat comes with the evaluation extra only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from swift_f0 import SwiftF0

from synth.dsp.resampling import resample
from synth.evaluate.praat import sound_of
from synth.spec.audio import SAMPLE_RATE_HZ
from synth.spec.controls import Float32Array

Float64Array = NDArray[np.float64]

_FLOOR_HZ, _CEILING_HZ = 60.0, 800.0
_STEP_S = 0.01
_SWIFT_RATE_HZ = 16_000
_SWIFT_HOP_S = 256 / _SWIFT_RATE_HZ
_SWIFT_VOICED = 0.5


@dataclass(frozen=True, slots=True)
class Heard:
    """One tracker's pitch: times [n] in seconds, MIDI notes [n], NaN where it heard no voice."""

    t_s: Float64Array
    note: Float64Array


def praat(audio: Float32Array) -> Heard:
    """Praat's `To Pitch (ac)` over 60-800 Hz (Boersma 1993). Raises UserError without the evaluation extra."""
    track = sound_of(audio).to_pitch_ac(time_step=_STEP_S, pitch_floor=_FLOOR_HZ, pitch_ceiling=_CEILING_HZ)
    f0_hz = np.asarray(track.selected_array["frequency"], dtype=np.float64)
    return Heard(np.asarray(track.xs(), dtype=np.float64), _note(f0_hz, f0_hz > 0.0))


def swift(audio: Float32Array) -> Heard:
    """SwiftF0 (Nieradzik 2025), untouched by the corrections the ears add."""
    result = _detector().detect(resample(audio, SAMPLE_RATE_HZ, _SWIFT_RATE_HZ), _SWIFT_RATE_HZ)
    f0_hz = np.asarray(result.pitch_hz, dtype=np.float64)
    voiced = (np.asarray(result.confidence) >= _SWIFT_VOICED) & (f0_hz > 0.0)
    return Heard(np.arange(len(f0_hz), dtype=np.float64) * _SWIFT_HOP_S, _note(f0_hz, voiced))


TRACKERS: Mapping[str, Callable[[Float32Array], Heard]] = MappingProxyType({"praat": praat, "swift_f0": swift})


def _note(f0_hz: Float64Array, voiced: NDArray[np.bool_]) -> Float64Array:
    return np.where(voiced, 69.0 + 12.0 * np.log2(np.maximum(f0_hz, 1.0) / 440.0), np.nan)


@cache
def _detector() -> SwiftF0:
    return SwiftF0(threads=1, spin=False)
