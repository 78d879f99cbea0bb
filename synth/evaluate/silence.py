"""How quiet is nobody: the level where presence is 0 against the voiced level, straight from the decoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synth.evaluate.singing import Gesture, Singer, neutral_controls
from synth.evaluate.statistics import Interval, mean_interval
from synth.spec.audio import HOP_SAMPLES
from synth.spec.controls import Float32Array
from synth.spec.lanes import TECHNIQUES

Float64Array = NDArray[np.float64]
Progress = Callable[[int, int], None]

_SUNG_FRAMES, _SILENT_FRAMES = 150, 170
_RAMP_FRAMES = 4
_SETTLE_FRAMES = 15  # left out on either side of a change
_N_ROUNDS = 2
_FLOOR = 1e-12


@dataclass(frozen=True, slots=True)
class SilenceFigures:
    """One passage; levels are RMS dB re full scale. difference_db: voiced - silent, mean power of all frames.
    worst_db: voiced - the loudest single silent frame."""

    technique: str
    seed: int
    voiced_db: float
    silent_db: float
    difference_db: float
    worst_db: float


@dataclass(frozen=True, slots=True)
class SilenceReport:
    """lowest_db: the smallest difference of all passages."""

    weights_hash: str
    quality: str
    difference_db: Interval
    lowest_db: float
    worst_frame_db: float
    passages: tuple[SilenceFigures, ...]


def alternating_presence() -> Float32Array:
    """Sung and silent stretches with short ramps, beginning and ending in silence -> [n_frames] 0..1."""
    gate = np.concatenate([np.zeros(_SILENT_FRAMES), *[_round() for _ in range(_N_ROUNDS)]])
    ramp = np.ones(_RAMP_FRAMES) / _RAMP_FRAMES
    # The average reaches backwards only, so a frame asked to be silent keeps its 0 until the singer starts.
    return np.convolve(gate, ramp)[: len(gate)].astype(np.float32)


def _round() -> Float64Array:
    return np.concatenate([np.ones(_SUNG_FRAMES), np.zeros(_SILENT_FRAMES)])


def silence_of(audio: Float32Array, presence: Float32Array, technique: str, seed: int) -> SilenceFigures:
    """Compare the levels of audio [n_frames * HOP_SAMPLES] where presence [n_frames] has settled at 1 and at 0."""
    power = np.mean(audio.astype(np.float64).reshape(len(presence), HOP_SAMPLES) ** 2, axis=1)
    voiced, silent = _settled(presence >= 1.0), _settled(presence <= 0.0)
    voiced_db, silent_db = _db(float(power[voiced].mean())), _db(float(power[silent].mean()))
    worst_db = voiced_db - _db(float(power[silent].max()))
    return SilenceFigures(technique, seed, voiced_db, silent_db, voiced_db - silent_db, worst_db)


def evaluate_silence(
    singer: Singer,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    techniques: Sequence[str] = TECHNIQUES,
    on_progress: Progress | None = None,
) -> SilenceReport:
    """Let every technique fall silent twice, for every seed."""
    presence = alternating_presence()
    found = []
    jobs = [(technique, seed) for technique in techniques for seed in seeds]
    for technique, seed in jobs:
        controls = neutral_controls(len(presence), {"presence": presence}, technique=technique)
        found.append(silence_of(singer.sing(Gesture(controls), seed), presence, technique, seed))
        if on_progress is not None:
            on_progress(len(found), len(jobs))
    differences = [figures.difference_db for figures in found]
    return SilenceReport(
        singer.engine.weights_hash,
        singer.quality,
        mean_interval(differences),
        min(differences),
        min(figures.worst_db for figures in found),
        tuple(found),
    )


def _settled(wanted: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Frames at least _SETTLE_FRAMES inside a stretch of `wanted`."""
    kernel = np.ones(2 * _SETTLE_FRAMES + 1)
    padded = np.pad(wanted.astype(np.float64), _SETTLE_FRAMES, mode="edge")
    return np.convolve(padded, kernel, mode="valid") > len(kernel) - 0.5


def _db(power: float) -> float:
    return 10.0 * float(np.log10(max(power, _FLOOR)))
