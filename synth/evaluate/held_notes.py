"""Held notes: stretches of real singing in which pitch, vowel and level stay, and the same notes asked of the model.

The real ones are the yardstick of everything said about sustained sound. They are short (a breath is), so whatever is
compared is cut to excerpts of one length first; which split they come from does not matter, as nothing is fitted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from synth.corpus.manifest import ClipRecord, Corpus, unit_hash
from synth.dsp.smoothing import hann_mean
from synth.errors import UserError
from synth.evaluate.recordings import measured_timbre
from synth.evaluate.singing import UNASKED, Gesture, neutral_controls
from synth.features.analysis import analyse
from synth.spec.audio import FRAME_RATE_HZ, HOP_SAMPLES
from synth.spec.controls import ControlFrames, Float32Array
from synth.spec.lanes import lane

HELD_LANES = ("pitch", "loudness", "breathiness", "roughness", "fry", "tension", "vowel_open", "vowel_front", "tract")
_STAYS_SEMITONES = 1.6  # peak to peak: a vibrato of 80 cents either way still is one note
# Who goes to another vowel or swells on one pitch draws more than straight lanes: peak to peak of 100 ms means.
_STAYS = MappingProxyType({"vowel_open": 0.35, "vowel_front": 0.35, "loudness": 9.0})
_AVERAGED_FRAMES = 21
_TRIM_FRAMES = 10  # onset and release are no part of what is held
_PRESENT = 0.5


@dataclass(frozen=True, slots=True)
class HeldNote:
    """A stretch of one recording in which pitch, vowel and level stay. audio [n_samples] at 48 kHz, whole frames."""

    id: str
    label: str
    technique: str
    audio: Float32Array

    @property
    def duration_s(self) -> float:
        """Of the stretch, onset and release left out."""
        return len(self.audio) / HOP_SAMPLES / FRAME_RATE_HZ


def steady_stretch(
    note: NDArray[np.floating], sung: NDArray[np.bool_], lanes: Mapping[str, NDArray[np.floating]] | None = None
) -> tuple[int, int]:
    """The longest run of `sung` frames in which pitch [n_frames] stays within _STAYS_SEMITONES, and those of `lanes`
    that are to stay within theirs -> [first, after last)."""
    staying = [(np.asarray(note, dtype=np.float64), _STAYS_SEMITONES)]
    for lane_id, reach in _STAYS.items() if lanes else ():
        known = np.nan_to_num(np.asarray((lanes or {})[lane_id], dtype=np.float64))
        staying.append((hann_mean(known, _AVERAGED_FRAMES), reach))
    best = (0, 0)
    edges = np.flatnonzero(np.diff(np.concatenate(([False], sung, [False])).astype(np.int8)))
    for begin, end in edges.reshape(-1, 2):
        start = int(begin)
        for stop in range(start + 1, int(end) + 1):
            while any(np.ptp(values[start:stop]) > reach for values, reach in staying):
                start += 1
            if stop - start > best[1] - best[0]:
                best = (start, stop)
    return best


def held_notes(corpus_dir: Path, shortest_s: float) -> list[HeldNote]:
    """Every real recording's longest held note of at least `shortest_s`, labels in turn. UserError for none."""
    corpus = Corpus.open(corpus_dir)
    by_label: dict[str, list[HeldNote]] = {}
    for record in sorted(corpus.records, key=lambda record: unit_hash(record.id)):
        if record.kind == "real" and not record.variant and record.duration_s >= shortest_s:
            found = _held_note(corpus, record)
            if found is not None and found.duration_s >= shortest_s:
                by_label.setdefault(record.label, []).append(found)
    if not by_label:
        raise UserError(
            f"The corpus {corpus_dir} holds no real note of {shortest_s:g} s.", remedy="Build it with --voices."
        )
    deepest = max(len(notes) for notes in by_label.values())
    return [notes[depth] for depth in range(deepest) for _, notes in sorted(by_label.items()) if depth < len(notes)]


def _held_note(corpus: Corpus, record: ClipRecord) -> HeldNote | None:
    clip = corpus.load(record)
    note = 69.0 + 12.0 * np.log2(clip.f0.f0_hz.astype(np.float64) / 440.0)
    start, stop = steady_stretch(note, clip.f0.voiced & (clip.lanes["presence"] > _PRESENT), clip.lanes)
    start, stop = start + _TRIM_FRAMES, stop - _TRIM_FRAMES
    if stop <= start:
        return None
    technique = max(record.technique, key=lambda name: record.technique[name]) if record.technique else UNASKED
    audio = clip.audio[start * HOP_SAMPLES : stop * HOP_SAMPLES].astype(np.float32)
    return HeldNote(record.id, record.label, technique, audio[: len(audio) // HOP_SAMPLES * HOP_SAMPLES].copy())


def straight_lanes(audio: Float32Array) -> dict[str, float]:
    """Median of every acoustic lane over a held note: what a composer would draw straight. -> lane id -> value"""
    measured = analyse(audio).lanes
    values = {}
    for lane_id in HELD_LANES:
        known = measured[lane_id][np.isfinite(measured[lane_id])]
        values[lane_id] = float(np.median(known)) if len(known) else lane(lane_id).default
    return values


def held_gesture(note: HeldNote, duration_s: float, pitch_drift: float) -> Gesture:
    """The note held for `duration_s` with straight lanes, its singer's mean timbre and its technique."""
    n_frames = round(duration_s * FRAME_RATE_HZ)
    controls = neutral_controls(n_frames, straight_lanes(note.audio), technique=note.technique, pitch_drift=pitch_drift)
    return Gesture(controls, measured_timbre(analyse(note.audio), varying=False))


def with_drift(controls: ControlFrames, pitch_drift: float) -> ControlFrames:
    """The same lanes with another amount of the sampled residual F0."""
    return ControlFrames(controls.values, controls.timbre, pitch_drift)


def excerpts(audio: Float32Array, length_s: float, most: int | None = None) -> list[Float32Array]:
    """Stretches of equal length, evenly spread and without overlap -> [round(length_s * 48000)] each; none if short.

    most  how many at most
    """
    length = round(length_s * FRAME_RATE_HZ) * HOP_SAMPLES
    n_fit = len(audio) // length
    n = n_fit if most is None else min(most, n_fit)
    if n == 0:
        return []
    starts = np.linspace(0, len(audio) - length, n + 2)[1:-1] if n < n_fit else np.arange(n) * length
    return [np.ascontiguousarray(audio[int(start) : int(start) + length]) for start in starts]
