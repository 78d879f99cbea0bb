"""From a recording to the lanes and notes that would sing it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from synth.dsp.smoothing import fill_holes, hann_mean, moving_median
from synth.features.analysis import Analysis, TechniqueClassifier, analyse
from synth.features.f0 import F0Track
from synth.spec.audio import HOP_S

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
Points = tuple[tuple[float, float], ...]

# How far a drawn lane may lie from the measured one, in the lane's unit.
_TOLERANCE = MappingProxyType({"pitch": 0.08, "loudness": 0.75})
_UNIT_TOLERANCE = 0.03
# Frames averaged before drawing: expression stays, the estimator's flutter goes.
_SMOOTHING_FRAMES = MappingProxyType({"pitch": 1, "loudness": 5, "presence": 1})
_UNIT_SMOOTHING_FRAMES = 9
_SHORTEST_NOTE_S = 0.06
_LONGEST_GAP_S = 0.05
_NOTE_CHANGE_SEMITONES = 0.7


@dataclass(frozen=True, slots=True)
class HeardNote:
    """A stretch of steady pitch: start and duration in seconds, MIDI note (fractional), mean loudness in dB."""

    start_s: float
    duration_s: float
    note: float
    loudness_db: float


def controls_from_audio(
    audio_mono: Float32Array, technique_classifier: TechniqueClassifier | None = None
) -> dict[str, Float32Array]:
    """Every measured lane of mono audio [n] at 48 kHz, ready to be sung: finite, smoothed. -> lane id -> [n_frames]"""
    return controls_from_analysis(analyse(audio_mono, technique_classifier=technique_classifier))


def controls_from_analysis(analysis: Analysis) -> dict[str, Float32Array]:
    """The lanes of an analysis without holes: pitch is interpolated through unvoiced frames, quiet frames hold the
    timbre of their neighbours. -> lane id -> [n_frames]"""
    present = analysis.lanes["presence"] > 0.5
    controls = {}
    for lane_id, values in analysis.lanes.items():
        known = np.isfinite(values)
        if lane_id not in ("presence", "loudness", "pitch"):
            known = known & present
        otherwise = 57.0 if lane_id == "pitch" else 0.0
        filled = fill_holes(np.nan_to_num(values), known, otherwise)
        width = _SMOOTHING_FRAMES.get(lane_id, _UNIT_SMOOTHING_FRAMES)
        controls[lane_id] = (hann_mean(filled, width) if width > 1 else filled).astype(np.float32)
    return controls


def breakpoints(lane_id: str, values: NDArray[np.floating], tolerance: float | None = None) -> Points:
    """The fewest (t_s, value) that draw [n_frames] values within `tolerance` lane units (default: the lane's own).

    t_s are frame centres; a lane holds its ends beyond them.
    """
    allowed = _TOLERANCE.get(lane_id, _UNIT_TOLERANCE) if tolerance is None else tolerance
    kept = simplify(values, allowed)
    return tuple((round((int(i) + 0.5) * HOP_S, 4), round(float(values[i]), 4)) for i in kept)


def simplify(values: NDArray[np.floating], tolerance: float) -> NDArray[np.int64]:
    """Indices whose straight connection stays within `tolerance` (vertically) of every value, ends included.

    Ramer 1972, Douglas and Peucker 1973, level by level: all open spans are split at once where they err most.
    """
    values = np.asarray(values, dtype=np.float64)
    n = len(values)
    if n <= 2:
        return np.arange(n)
    kept = np.zeros(n, dtype=np.bool_)
    kept[[0, -1]] = True
    index = np.arange(n)
    while True:
        knots = np.flatnonzero(kept)
        error = np.abs(values - np.interp(index, knots, values[knots]))
        worst = np.maximum.reduceat(error, knots[:-1])
        span = np.repeat(np.arange(len(knots) - 1), np.diff(knots))
        is_worst = (error[:-1] == worst[span]) & (worst[span] > tolerance)
        if not is_worst.any():
            return knots
        # One split a span: the first of equal errors.
        candidates = np.flatnonzero(is_worst)
        _, first = np.unique(span[candidates], return_index=True)
        kept[candidates[first]] = True


def notes_from_f0(track: F0Track, loudness_db: NDArray[np.floating]) -> tuple[HeardNote, ...]:
    """Notes: voiced stretches, split where the pitch settles elsewhere. loudness_db [n_frames].

    Vibrato does not split (the pitch is first averaged over 250 ms); gaps under 50 ms do not either.
    """
    n_frames = len(track.f0_hz)
    if n_frames == 0:
        return ()
    voiced = _bridged(track.voiced, round(_LONGEST_GAP_S / HOP_S))
    note = 69.0 + 12.0 * np.log2(track.f0_hz.astype(np.float64) / 440.0)
    steady = hann_mean(moving_median(note, 9), 25)
    edges = np.flatnonzero(np.diff(np.concatenate(([False], voiced, [False])).astype(np.int8)))
    found = []
    for start, stop in edges.reshape(-1, 2):
        for first, last in _split(steady, int(start), int(stop)):
            if (last - first) * HOP_S < _SHORTEST_NOTE_S:
                continue
            heard = track.voiced[first:last]
            centre = np.median(note[first:last][heard]) if heard.any() else np.median(note[first:last])
            level = 10.0 * np.log10(np.mean(10.0 ** (np.asarray(loudness_db[first:last], dtype=np.float64) / 10.0)))
            start_s, duration_s = round(first * HOP_S, 4), round((last - first) * HOP_S, 4)
            found.append(HeardNote(start_s, duration_s, round(float(centre), 3), float(level)))
    return tuple(found)


def _bridged(voiced: BoolArray, longest_gap: int) -> BoolArray:
    """`voiced` with inner gaps of up to `longest_gap` frames closed. -> [n_frames]"""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], voiced, [False])).astype(np.int8))).reshape(-1, 2)
    closed = voiced.copy()
    for gap_start, gap_stop in zip(edges[:-1, 1], edges[1:, 0], strict=True):
        if gap_stop - gap_start <= longest_gap:
            closed[gap_start:gap_stop] = True
    return closed


def _split(steady: Float64Array, start: int, stop: int) -> list[tuple[int, int]]:
    """Cut [start, stop) where a step in `steady` passes its middle. -> spans"""
    plateaus = simplify(steady[start:stop], _NOTE_CHANGE_SEMITONES / 2.0) + start
    spans = []
    first = start
    for left, right in pairwise(plateaus):
        if abs(steady[right] - steady[left]) < _NOTE_CHANGE_SEMITONES:
            continue
        middle = 0.5 * (steady[left] + steady[right])
        beyond = (steady[left : right + 1] - middle) * np.sign(steady[right] - steady[left]) >= 0.0
        cut = int(left + np.argmax(beyond))
        if (cut - first) * HOP_S >= _SHORTEST_NOTE_S and (stop - cut) * HOP_S >= _SHORTEST_NOTE_S:
            spans.append((first, cut))
            first = cut
    return [*spans, (first, stop)]


def drawn_lanes(controls: Mapping[str, NDArray[np.floating]]) -> dict[str, Points]:
    """Breakpoints of every lane of `controls`."""
    return {lane_id: breakpoints(lane_id, values) for lane_id, values in controls.items()}
