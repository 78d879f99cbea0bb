"""The same latents at other pitches: does the pitch follow, and do vowel, tilt, breath and level stay?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synth.evaluate.encoding import Encoded
from synth.evaluate.statistics import Interval, mean_interval
from synth.features.analysis import Analysis, analyse
from synth.spec.controls import Float32Array

Float64Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
Decode = Callable[[Float32Array, Float32Array], Float32Array]

BENDS_SEMITONES = (-12, -7, -3, 3, 7, 12)
_GROSS_CENTS = 50.0
_SUNG = 0.5
_FEWEST_FRAMES = 30
# What may not move with the pitch: measured name -> unit of the drift.
_LEVELS = {"alpha_ratio_db": "tilt_db", "hnr_db": "hnr_db", "loudness_db": "loudness_db"}
_FORMANTS = {"f1_hz": "f1_percent", "f2_hz": "f2_percent"}
MEASURES = ("pitch_cents", "gross_percent", *_FORMANTS.values(), *_LEVELS.values())


@dataclass(frozen=True, slots=True)
class BendFigures:
    """Means over recordings. pitch_cents: median |heard - asked| of a recording's frames; gross_percent: beyond 50
    cents; all others: median over frames of bent minus unbent."""

    semitones: int
    n_recordings: int
    measures: Mapping[str, Interval]


def measure_bends(encoded: Encoded, decode: Decode) -> dict[int, dict[str, float]]:
    """Semitones -> MEASURES for one recording, over frames where it sings with a pitch; empty when those are few.

    decode   (latents, notes) -> audio, with the same seed every time
    """
    counts = (encoded.presence > _SUNG) & (encoded.voiced > _SUNG)
    if counts.sum() < _FEWEST_FRAMES:
        return {}
    unbent = analyse(decode(encoded.latents, encoded.note))
    found = {}
    for semitones in BENDS_SEMITONES:
        note = (encoded.note + semitones).astype(np.float32)
        found[semitones] = bend_drift(analyse(decode(encoded.latents, note)), unbent, note, counts)
    return found


def bend_drift(bent: Analysis, unbent: Analysis, note: Float32Array, counts: BoolArray) -> dict[str, float]:
    """MEASURES of a bent passage against the unbent one, over the frames that count [n_frames]."""
    heard = 69.0 + 12.0 * np.log2(bent.f0.f0_hz[: len(note)] / 440.0)
    cents = np.where(bent.f0.voiced[: len(note)], 100.0 * np.abs(heard - note), np.nan)[counts]
    figures = {
        "pitch_cents": _median(cents[cents <= _GROSS_CENTS]),
        "gross_percent": 100.0 * float(np.mean(cents[np.isfinite(cents)] > _GROSS_CENTS)),
    }
    for name, drift in _FORMANTS.items():
        a, b = (side.physical[name][: len(note)][counts].astype(np.float64) for side in (bent, unbent))
        figures[drift] = _median(100.0 * (a / b - 1.0))
    for name, drift in _LEVELS.items():
        a, b = (side.physical[name][: len(note)][counts].astype(np.float64) for side in (bent, unbent))
        figures[drift] = _median(a - b)
    return figures


def bend_figures(found: Sequence[Mapping[int, Mapping[str, float]]]) -> tuple[BendFigures, ...]:
    """Recordings' `measure_bends` together, a row for each bend; none where nothing was measured."""
    measured = [one for one in found if one]
    if not measured:
        return ()
    return tuple(
        BendFigures(
            semitones,
            len(measured),
            {name: mean_interval([one[semitones][name] for one in measured]) for name in MEASURES},
        )
        for semitones in BENDS_SEMITONES
    )


def _median(values: Float64Array) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else float("nan")
