"""Augmentation that keeps labels true: a recording played a little faster or slower, a little brighter or darker.

A variant is a new sound, and the ears measure it like any other: its pitch, vowels, tract and tension are what is
heard in it, not what was heard before. Speed moves pitch and formants together, as a smaller or larger singer would.
Nothing is added that a voice does not have: no room, no noise, no compression.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from synth.corpus.manifest import unit_hash
from synth.spec import SAMPLE_RATE_HZ, Float32Array

MAX_SPEED_SEMITONES: Final = 2.5
MIN_SPEED_SEMITONES: Final = 0.75
MAX_TILT_DB_PER_OCTAVE: Final = 1.0
_TILT_PIVOT_HZ: Final = 1_000.0
_TILT_LIMIT_DB: Final = 5.0


@dataclass(frozen=True, slots=True)
class Variant:
    """How a clip differs from what was recorded. `number` is 0 for the recording itself."""

    number: int = 0
    speed: float = 1.0
    tilt_db_per_octave: float = 0.0

    def __str__(self) -> str:
        """As the manifest records it; empty for the recording itself."""
        if self.number == 0:
            return ""
        return f"speed {self.speed:.4f}, tilt {self.tilt_db_per_octave:+.3f} dB/octave"


AS_RECORDED: Final = Variant()


def variant_of(clip_id: str, number: int) -> Variant:
    """The `number`th variant of a clip, 1 and up: a function of its arguments alone."""
    place = 2.0 * unit_hash(f"speed {clip_id} {number}") - 1.0
    semitones = np.copysign(MIN_SPEED_SEMITONES + abs(place) * (MAX_SPEED_SEMITONES - MIN_SPEED_SEMITONES), place)
    slope = MAX_TILT_DB_PER_OCTAVE * (2.0 * unit_hash(f"tilt {clip_id} {number}") - 1.0)
    return Variant(number, float(2.0 ** (semitones / 12.0)), slope)


def tilt(audio: Float32Array, db_per_octave: float) -> Float32Array:
    """Tilt the spectrum of [n_samples] about 1 kHz, by 5 dB at most, without shifting anything in time."""
    n_fft = 1 << int(np.ceil(np.log2(len(audio) + SAMPLE_RATE_HZ // 50)))  # room for the filter's tail
    frequency_hz = np.fft.rfftfreq(n_fft, 1.0 / SAMPLE_RATE_HZ)
    octaves = np.log2(np.maximum(frequency_hz, 20.0) / _TILT_PIVOT_HZ)
    gain_db = np.clip(db_per_octave * octaves, -_TILT_LIMIT_DB, _TILT_LIMIT_DB)
    spectrum = np.fft.rfft(audio, n_fft) * 10.0 ** (gain_db / 20.0)
    return np.fft.irfft(spectrum, n_fft)[: len(audio)].astype(np.float32)
