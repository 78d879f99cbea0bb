"""Pitch where trackers give up: at breathy, hard and creaky onsets, in fry and in growl, scored by a harmonic comb."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synth.corpus.simulator import simulate_random
from synth.evaluate.comb import DIVISORS, agreement, comb_f0_hz
from synth.evaluate.singing import Gesture, Singer, neutral_controls
from synth.evaluate.statistics import Interval, mean_interval
from synth.evaluate.timebox import Progress, TimeBox
from synth.spec.controls import ControlFrames, Float32Array

Float64Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

_SILENT_FRAMES, _NOTE_FRAMES = 30, 90
_RAMP_FRAMES = 20  # how long an onset's own lanes last
_ONSET_FRAMES = 25  # after the voice has begun: these are scored
_BEGUN_FRAMES = 2
_HELD_FRAMES, _EDGE_FRAMES = 160, 20
# Onset -> lane -> (value at the beginning, value it goes to): after the three onsets of singing methods.
_ONSETS: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "breathy onset": {"breathiness": (0.9, 0.25)},
    "hard onset": {"tension": (0.95, 0.5), "loudness": (-14.0, -22.0)},
    "creaky onset": {"fry": (0.8, 0.0), "tension": (0.7, 0.5)},
}
# Held voices -> technique, range of notes, lane -> range of values.
_HELD: Mapping[str, tuple[str, tuple[float, float], Mapping[str, tuple[float, float]]]] = {
    "fry": ("fry", (26.0, 46.0), {"fry": (0.5, 1.0), "breathiness": (0.1, 0.4)}),
    "growl": ("growl", (36.0, 62.0), {"roughness": (0.4, 1.0), "breathiness": (0.3, 0.6), "tension": (0.5, 0.8)}),
}
KINDS = (*_ONSETS, *_HELD)
_TRUTH: Mapping[str, str] = {"onset": "modal", "fry": "fry", "growl": "growl"}
_SURE = 0.9


@dataclass(frozen=True, slots=True)
class CombFigures:
    """One kind of gesture. right_percent: frames whose best comb is the asked F0, its half or its third, mean over
    clips; shares_percent: the same by divisor."""

    source: str
    kind: str
    n_clips: int
    n_frames: int
    right_percent: Interval
    shares_percent: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class OnsetsReport:
    """`figures` of the model; `comb_alone`: of simulated voices whose pitch is known."""

    weights_hash: str
    quality: str
    figures: tuple[CombFigures, ...]
    comb_alone: tuple[CombFigures, ...]


def evaluate_onsets(
    singer: Singer,
    *,
    n_clips: int = 40,
    n_simulated: int = 24,
    seed: int = 0,
    box: TimeBox | None = None,
    on_progress: Progress | None = None,
) -> OnsetsReport:
    """Sing n_clips of each of KINDS with random notes and lanes, and lay the comb over them."""
    box = box or TimeBox()
    rng = np.random.default_rng(seed)
    found: dict[str, list[Float64Array]] = {kind: [] for kind in KINDS}
    jobs = [(kind, index) for index in range(n_clips) for kind in KINDS]
    for kind, index in box.take(jobs, on_progress, least=len(KINDS), share=0.8):
        controls, counts = _onset(kind, rng) if kind in _ONSETS else _held(kind, rng)
        audio = singer.sing(Gesture(controls), seed + index)
        found[kind].append(_divisors(audio, controls.values["pitch"], counts))
    return OnsetsReport(
        singer.engine.weights_hash,
        singer.quality,
        tuple(_figures("model", kind, clips) for kind, clips in found.items()),
        _alone(n_simulated, box),
    )


def _onset(kind: str, rng: np.random.Generator) -> tuple[ControlFrames, BoolArray]:
    """Silence, then a note that begins so. -> controls, frames that are scored [n_frames]"""
    n_frames = _SILENT_FRAMES + _NOTE_FRAMES
    presence = np.zeros(n_frames, dtype=np.float32)
    presence[_SILENT_FRAMES:] = 1.0
    gone = np.clip((np.arange(n_frames) - _SILENT_FRAMES) / _RAMP_FRAMES, 0.0, 1.0)
    lanes = {name: (first + (last - first) * gone).astype(np.float32) for name, (first, last) in _ONSETS[kind].items()}
    note = float(rng.uniform(45.0, 67.0))
    counts = np.zeros(n_frames, dtype=np.bool_)
    first = _SILENT_FRAMES + _BEGUN_FRAMES
    counts[first : first + _ONSET_FRAMES] = True
    return neutral_controls(n_frames, {"pitch": note, "presence": presence, **lanes}), counts


def _held(kind: str, rng: np.random.Generator) -> tuple[ControlFrames, BoolArray]:
    technique, notes, ranges = _HELD[kind]
    lanes = {name: float(rng.uniform(*reach)) for name, reach in ranges.items()}
    counts = np.zeros(_HELD_FRAMES, dtype=np.bool_)
    counts[_EDGE_FRAMES:-_EDGE_FRAMES] = True
    return neutral_controls(_HELD_FRAMES, {"pitch": float(rng.uniform(*notes)), **lanes}, technique=technique), counts


def _divisors(audio: Float32Array, note: Float32Array, counts: BoolArray) -> Float64Array:
    """The divisor heard in every frame that counts, 0 for none of them."""
    asked_hz = 440.0 * 2.0 ** ((note.astype(np.float64) - 69.0) / 12.0)
    return agreement(comb_f0_hz(audio, asked_hz), asked_hz)[counts]


def _figures(source: str, kind: str, clips: Sequence[Float64Array]) -> CombFigures:
    scored = [clip for clip in clips if len(clip)]
    joined = np.concatenate(scored) if scored else np.zeros(0)
    return CombFigures(
        source=source,
        kind=kind,
        n_clips=len(scored),
        n_frames=len(joined),
        right_percent=mean_interval([100.0 * float(np.mean(clip > 0)) for clip in scored]),
        shares_percent={
            f"F0/{divisor}": 100.0 * float(np.mean(joined == divisor)) if len(joined) else float("nan")
            for divisor in DIVISORS
        },
    )


def _alone(n_clips: int, box: TimeBox) -> tuple[CombFigures, ...]:
    """Simulated gestures: their fry and growl, and the first quarter of a second after each silence."""
    figures = []
    for kind, technique in _TRUTH.items():
        clips = []
        for index in box.take(range(n_clips), least=2):
            clip = simulate_random(95_000 + index, 3.0, technique)
            sounding = (clip.voicing > _SURE) & (clip.controls["presence"] > _SURE)
            counts = sounding & _after_silence(clip.controls["presence"]) if kind == "onset" else sounding
            found = agreement(comb_f0_hz(clip.audio, clip.f0_hz), clip.f0_hz)
            clips.append(found[counts])
        figures.append(_figures("simulated", kind, clips))
    return tuple(figures)


def _after_silence(presence: Float32Array) -> BoolArray:
    """Frames that are scored as an onset: the first _ONSET_FRAMES after presence was 0. -> [n_frames]"""
    counts = np.zeros(len(presence), dtype=np.bool_)
    begun = np.flatnonzero((presence[1:] > _SURE) & (presence[:-1] <= _SURE)) + 1
    for frame in begun:
        counts[frame + _BEGUN_FRAMES : frame + _BEGUN_FRAMES + _ONSET_FRAMES] = True
    return counts
