"""Is the frame rate heard: a hum at 100 Hz, and sidebands 100 Hz beside the harmonics of a steady voice.

Whatever a decoder does alike in every frame of 10 ms comes back a hundred times a second. On a still note that is a set
of lines where a voice has none: the ear hears a buzz, and a tracker of pitch may take a line for a sub-harmonic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from synth.evaluate.singing import Gesture, Singer, neutral_controls
from synth.spec.audio import FRAME_RATE_HZ, HOP_SAMPLES, SAMPLE_RATE_HZ
from synth.spec.controls import Float32Array

Float64Array = NDArray[np.float64]
Progress = Callable[[int, int], None]

# Their lines at 100 Hz lie beside no harmonic: 174, 225, 286 and 363 Hz.
NOTES = (53.0, 57.4, 61.6, 65.7)
VOICES: Mapping[str, tuple[str, Mapping[str, float]]] = MappingProxyType(
    {
        "modal": ("modal", {"breathiness": 0.1}),
        "breathy": ("breathy", {"breathiness": 0.55, "tension": 0.3}),
        "tense": ("modal", {"tension": 0.9, "breathiness": 0.1}),
        "sigh": ("sigh", {"breathiness": 0.75}),
        "whisper": ("whisper", {"breathiness": 0.95}),
    }
)
_HELD_FRAMES, _EDGE_FRAMES = 1_100, 50
_N_HARMONICS = 4
_LINE_HZ, _AROUND_HZ = 0.5, (3.0, 15.0)  # half width of a line, and where what surrounds it is heard
_CARRIER = 10.0**-2.5  # of the whole sound: less is no harmonic of a voice, as in a whisper
_LOWEST_DB = -120.0


@dataclass(frozen=True, slots=True)
class FrameLines:
    """One voice, at the worst of NOTES and seeds.

    hum_db       the line at 100 Hz re the whole sound, dB
    sideband_db  the strongest of the lines 100 Hz beside the first four harmonics re that harmonic, dB
    """

    voice: str
    hum_db: float
    sideband_db: float


@dataclass(frozen=True, slots=True)
class FrameLinesReport:
    """worst_*: the highest of any voice."""

    weights_hash: str
    quality: str
    voices: tuple[FrameLines, ...]
    worst_hum_db: float
    worst_sideband_db: float


def evaluate_frame_lines(
    singer: Singer, *, seeds: Sequence[int] = (0,), on_progress: Progress | None = None
) -> FrameLinesReport:
    """Hold every voice on every note, the pitch without drift, and look for lines."""
    jobs = [(voice, note, seed) for voice in VOICES for note in NOTES for seed in seeds]
    found: dict[str, list[tuple[float, float]]] = {voice: [] for voice in VOICES}
    for done, (voice, note, seed) in enumerate(jobs):
        technique, lanes = VOICES[voice]
        pitch = np.full(_HELD_FRAMES, note, dtype=np.float32)
        controls = neutral_controls(_HELD_FRAMES, {"pitch": pitch, **lanes}, technique=technique, pitch_drift=0.0)
        audio = singer.sing(Gesture(controls), seed)[_EDGE_FRAMES * HOP_SAMPLES : -_EDGE_FRAMES * HOP_SAMPLES]
        found[voice].append(frame_lines_db(audio, 440.0 * 2.0 ** ((note - 69.0) / 12.0)))
        if on_progress is not None:
            on_progress(done + 1, len(jobs))
    voices = tuple(FrameLines(voice, *(max(values) for values in zip(*pairs))) for voice, pairs in found.items())
    return FrameLinesReport(
        singer.engine.weights_hash,
        singer.quality,
        voices,
        max(voice.hum_db for voice in voices),
        max(voice.sideband_db for voice in voices),
    )


def frame_lines_db(audio: Float32Array, f0_hz: float) -> tuple[float, float]:
    """Hum and strongest sideband of a steady tone, as FrameLines tells them; audio [n], some seconds at 48 kHz.

    A line is what lies above its surroundings, so noise gives none. No less than -120 dB is told, which also stands for
    the sidebands of a sound without harmonics.
    """
    window = np.hanning(len(audio))
    power = np.abs(np.fft.rfft(audio * window)) ** 2 / (0.5 * np.sum(window**2) * len(audio))
    spacing_hz = SAMPLE_RATE_HZ / len(audio)
    whole = power.sum()
    hum_db = _db(_line(power, spacing_hz, FRAME_RATE_HZ) / whole)
    sidebands = []
    for harmonic_hz in f0_hz * np.arange(1, _N_HARMONICS + 1):
        carrier = _line(power, spacing_hz, harmonic_hz)
        if carrier > _CARRIER * whole:
            beside = max(_line(power, spacing_hz, harmonic_hz + offset) for offset in (-FRAME_RATE_HZ, FRAME_RATE_HZ))
            sidebands.append(_db(beside / carrier))
    return hum_db, max(sidebands, default=_LOWEST_DB)


def _line(power: Float64Array, spacing_hz: float, at_hz: float) -> float:
    """Power at `at_hz` above what surrounds it; 0 where nothing stands out."""
    away_hz = np.abs(np.arange(len(power)) * spacing_hz - at_hz)
    line = power[away_hz <= _LINE_HZ]
    around = power[(away_hz >= _AROUND_HZ[0]) & (away_hz <= _AROUND_HZ[1])]
    # Bins of noise scatter as an exponential: a line is told only where it stands clear of their mean.
    excess = float(line.sum() - len(line) * around.mean())
    clear = 6.0 * float(around.mean()) * len(line) ** 0.5
    return excess if excess > clear else 0.0


def _db(ratio: float) -> float:
    return max(_LOWEST_DB, 10.0 * float(np.log10(max(ratio, 1e-30))))
