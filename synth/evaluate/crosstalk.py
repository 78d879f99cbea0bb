"""What other lanes do to the pitch: the cents that full breathiness or roughness 0.5 adds to the error of a note."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from synth.evaluate.pitch import pitch_errors_cents
from synth.evaluate.singing import Gesture, Singer, neutral_controls
from synth.evaluate.statistics import Interval, mean_interval
from synth.evaluate.timebox import Progress, TimeBox
from synth.evaluate.trackers import TRACKERS
from synth.spec.controls import Float32Array

Float64Array = NDArray[np.float64]

ADDED: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {"breathiness 1": {"breathiness": 1.0}, "roughness 0.5": {"roughness": 0.5}}
)
_NOTE_FRAMES = 160
_EDGE_FRAMES = 30
_LOWEST_NOTE, _HIGHEST_NOTE = 45.0, 69.0


@dataclass(frozen=True, slots=True)
class AddedError:
    """One lane by one tracker, over notes of random pitch, each sung with the same seed with and without the lane.

    plain_cents, with_cents   median |heard - asked| of a note, mean over notes
    added_cents               their difference, paired by note
    unheard_percent           frames of the notes with the lane in which the tracker hears no voice
    octave_percent            notes with the lane that are heard more than a semitone off; left out of the cents
    """

    change: str
    tracker: str
    n_notes: int
    plain_cents: Interval
    with_cents: Interval
    added_cents: Interval
    unheard_percent: float
    octave_percent: float


@dataclass(frozen=True, slots=True)
class CrosstalkReport:
    """All changes by all trackers."""

    weights_hash: str
    quality: str
    figures: tuple[AddedError, ...]


def evaluate_crosstalk(
    singer: Singer,
    *,
    n_notes: int = 40,
    seed: int = 0,
    box: TimeBox | None = None,
    on_progress: Progress | None = None,
) -> CrosstalkReport:
    """Sing n_notes plain and with every change, exactly on the drawn pitch (no drift), and listen."""
    box = box or TimeBox()
    rng = np.random.default_rng(seed)
    notes = rng.uniform(_LOWEST_NOTE, _HIGHEST_NOTE, n_notes)
    errors: dict[tuple[str, str], list[Float64Array]] = {}
    for index in box.take(range(n_notes), on_progress, least=3):
        for change, lanes in {"plain": {}, **ADDED}.items():
            note = np.full(_NOTE_FRAMES, notes[index], dtype=np.float32)
            controls = neutral_controls(_NOTE_FRAMES, {"pitch": note, **lanes}, pitch_drift=0.0)
            audio = singer.sing(Gesture(controls), seed + index)
            for tracker in TRACKERS:
                errors.setdefault((change, tracker), []).append(_inner_errors(tracker, audio, note))
    figures = tuple(
        _figures(change, tracker, errors["plain", tracker], errors[change, tracker])
        for change in ADDED
        for tracker in TRACKERS
    )
    return CrosstalkReport(singer.engine.weights_hash, singer.quality, figures)


def _inner_errors(tracker: str, audio: Float32Array, note: Float32Array) -> Float64Array:
    counts = np.zeros(len(note), dtype=np.bool_)
    counts[_EDGE_FRAMES : len(note) - _EDGE_FRAMES] = True
    return pitch_errors_cents(tracker, audio, note, counts)


def _figures(change: str, tracker: str, plain: list[Float64Array], changed: list[Float64Array]) -> AddedError:
    before, after = (np.array([_median(note) for note in notes]) for notes in (plain, changed))
    fine = (before <= 100.0) & (after <= 100.0)
    joined = np.concatenate(changed)
    return AddedError(
        change=change,
        tracker=tracker,
        n_notes=len(before),
        plain_cents=mean_interval(before[fine]),
        with_cents=mean_interval(after[fine]),
        added_cents=mean_interval((after - before)[fine]),
        unheard_percent=100.0 * float(np.mean(~np.isfinite(joined))),
        octave_percent=100.0 * float(np.mean(after[np.isfinite(after)] > 100.0)) if np.isfinite(after).any() else 0.0,
    )


def _median(errors_cents: Float64Array) -> float:
    """Median |error| over the frames that were heard; NaN for none."""
    heard = np.abs(errors_cents[np.isfinite(errors_cents)])
    return float(np.median(heard)) if len(heard) else float("nan")
