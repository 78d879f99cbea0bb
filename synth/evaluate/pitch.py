"""Is the drawn pitch sung: glides, steps and vibrato, judged by two trackers that are not ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synth.corpus.simulator import simulate_random
from synth.evaluate.singing import Gesture, Singer, neutral_controls
from synth.evaluate.statistics import Interval, median_interval, quantile_interval
from synth.evaluate.timebox import Progress, TimeBox
from synth.evaluate.trackers import TRACKERS
from synth.spec.audio import FRAME_RATE_HZ, HOP_S
from synth.spec.controls import Float32Array

Float64Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

GROSS_CENTS = 100.0
PRESET_DRIFT = 0.3  # of the preset Airy modal, which takes notes
_LOW, _HIGH = 45.0, 69.0
_STEADY = (45.0, 48.0, 52.0, 55.0, 59.0, 62.0, 65.0, 69.0)
_STEADY_S, _GLIDE_S, _VIBRATO_S = 1.0, 4.0, 4.0
_VIBRATO_HZ, _VIBRATO_SEMITONES = 5.5, 0.5
_EDGE_FRAMES = 12  # left out around steps and ends: a window across a step hears neither note
# Name -> (technique, lanes): tense is a modal voice, pressed.
_VOICES: Mapping[str, tuple[str, Mapping[str, float]]] = {
    "modal": ("modal", {}),
    "breathy": ("breathy", {"breathiness": 0.55, "tension": 0.3}),
    "tense": ("modal", {"tension": 0.9, "breathiness": 0.1}),
}
_LEAST_VOICING = 0.9


@dataclass(frozen=True, slots=True)
class PitchFigures:
    """One tracker on one kind of passage.

    median_cents   median of |heard - asked| over voiced frames without gross errors
    bias_cents     median of heard - asked
    p95_cents      95 % of the heard frames lie within so much of the asked pitch, gross errors included
    gross_percent  frames more than a semitone off, of those heard as voiced
    missed_percent frames where pitch was asked and the tracker heard no voice
    """

    tracker: str
    source: str
    passage: str
    pitch_drift: float
    n_frames: int
    median_cents: Interval
    p95_cents: Interval
    bias_cents: float
    gross_percent: float
    missed_percent: float


@dataclass(frozen=True, slots=True)
class PitchReport:
    """`figures` of the model, and of simulated voices whose pitch is known: what a tracker itself gets wrong."""

    weights_hash: str
    quality: str
    figures: tuple[PitchFigures, ...]
    trackers_alone: tuple[PitchFigures, ...]


def passages() -> dict[str, tuple[Float32Array, BoolArray]]:
    """Name -> (pitch [n_frames] in MIDI notes, whether a frame counts [n_frames])."""
    glide_frames = round(_GLIDE_S * FRAME_RATE_HZ)
    up = np.linspace(_LOW, _HIGH, glide_frames)
    glide = np.concatenate([up, up[::-1]])
    steady = np.repeat(_STEADY, round(_STEADY_S * FRAME_RATE_HZ))
    t_s = (np.arange(round(_VIBRATO_S * FRAME_RATE_HZ)) + 0.5) * HOP_S
    vibrato = 57.0 + _VIBRATO_SEMITONES * np.sin(2.0 * np.pi * _VIBRATO_HZ * t_s)
    named = {"glides over two octaves": glide, "steady tones": steady, "vibrato": vibrato}
    return {name: (note.astype(np.float32), _inner(note)) for name, note in named.items()}


def evaluate_pitch(
    singer: Singer,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    drifts: Sequence[float] = (0.0, PRESET_DRIFT),
    n_simulated: int = 8,
    box: TimeBox | None = None,
    on_progress: Progress | None = None,
) -> PitchReport:
    """Sing every passage with every seed, voice and amount of drift, and listen with every tracker."""
    errors: dict[tuple[str, str, str, float], list[Float64Array]] = {}
    jobs = [(voice, drift, seed) for seed in seeds for drift in drifts for voice in _VOICES]
    box = box or TimeBox()
    for voice, drift, seed in box.take(jobs, on_progress, least=len(_VOICES), share=0.9):
        technique, voice_lanes = _VOICES[voice]
        for passage, (note, counts) in passages().items():
            lanes = {"pitch": note, **voice_lanes}
            controls = neutral_controls(len(note), lanes, technique=technique, pitch_drift=drift)
            audio = singer.sing(Gesture(controls), seed)
            for tracker in TRACKERS:
                key = (tracker, voice, passage, drift)
                errors.setdefault(key, []).append(pitch_errors_cents(tracker, audio, note, counts))
    figures = tuple(pitch_figures(*key, np.concatenate(found)) for key, found in errors.items())
    return PitchReport(singer.engine.weights_hash, singer.quality, figures, _on_simulated_voices(n_simulated))


def pitch_figures(tracker: str, source: str, passage: str, drift: float, errors_cents: Float64Array) -> PitchFigures:
    """Figures of errors in cents [n_frames], NaN where no voice was heard."""
    heard = errors_cents[np.isfinite(errors_cents)]
    fine = heard[np.abs(heard) <= GROSS_CENTS]
    return PitchFigures(
        tracker=tracker,
        source=source,
        passage=passage,
        pitch_drift=drift,
        n_frames=len(errors_cents),
        median_cents=median_interval(np.abs(fine)),
        p95_cents=quantile_interval(np.abs(heard), 0.95),
        bias_cents=float(np.median(fine)) if len(fine) else float("nan"),
        gross_percent=100.0 * float(np.mean(np.abs(heard) > GROSS_CENTS)) if len(heard) else float("nan"),
        missed_percent=100.0 * float(np.mean(~np.isfinite(errors_cents))) if len(errors_cents) else float("nan"),
    )


def pitch_errors_cents(tracker: str, audio: Float32Array, note: Float32Array, counts: BoolArray) -> Float64Array:
    """Heard - asked at the tracker's own times, where the frame they fall into counts."""
    heard = TRACKERS[tracker](audio)
    centres_s = (np.arange(len(note)) + 0.5) * HOP_S
    frame = np.clip((heard.t_s / HOP_S).astype(np.int64), 0, len(note) - 1)
    asked = np.interp(heard.t_s, centres_s, note)
    inside = counts[frame] & (heard.t_s < len(note) * HOP_S)
    return 100.0 * (heard.note - asked)[inside]


def _inner(note: Float64Array) -> BoolArray:
    """Frames away from the ends and from steps of more than half a semitone. -> [n_frames]"""
    edges = np.concatenate(([0], np.flatnonzero(np.abs(np.diff(note)) > 0.5) + 1, [len(note)]))
    counts = np.ones(len(note), dtype=np.bool_)
    for edge in edges:
        counts[max(edge - _EDGE_FRAMES, 0) : edge + _EDGE_FRAMES] = False
    return counts


def _on_simulated_voices(n_clips: int) -> tuple[PitchFigures, ...]:
    figures = []
    for technique in ("modal", "breathy"):
        clips = [simulate_random(90_000 + index, 4.0, technique) for index in range(n_clips)]
        for tracker in TRACKERS:
            errors = []
            for clip in clips:
                note = (69.0 + 12.0 * np.log2(clip.f0_hz / 440.0)).astype(np.float32)
                sung = (clip.voicing > _LEAST_VOICING) & (clip.controls["presence"] > _LEAST_VOICING)
                within = (note > _LOW) & (note < _HIGH)
                errors.append(
                    pitch_errors_cents(tracker, clip.audio, note, sung & within & _inner(note.astype(np.float64)))
                )
            joined = np.concatenate(errors) if errors else np.zeros(0)
            figures.append(pitch_figures(tracker, f"simulated {technique}", "random gestures", 0.0, joined))
    return tuple(figures)
