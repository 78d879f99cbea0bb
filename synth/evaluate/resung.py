"""Held-out recordings sung again by the model, with the technique they are named after; cut into excerpts.

Shared by everything that compares distributions: fidelity, kernel distance, recognition, spectral deviation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synth.corpus.manifest import Corpus
from synth.evaluate.distances import Sound
from synth.evaluate.recordings import Recording, extracted, held_out
from synth.evaluate.singing import Gesture, Singer
from synth.evaluate.timebox import Progress, TimeBox
from synth.spec.audio import FRAME_RATE_HZ, HOP_SAMPLES
from synth.spec.controls import ControlFrames, Float32Array
from synth.spec.lanes import TECHNIQUES

Float64Array = NDArray[np.float64]

EXCERPT_S = 0.5
_EXCERPT_FRAMES = round(EXCERPT_S * FRAME_RATE_HZ)
_SUNG_SHARE = 0.8
_SEED = 0
_SONG_LABELS = ("sung", "singing", "song")


@dataclass(frozen=True, slots=True)
class Resung:
    """A recording and the model's rendering of its extracted lanes, technique asked, frames aligned.

    group  what it is compared among: its technique, but modal recordings are "song" or "speech"
    """

    recording: Recording
    technique: str
    group: str
    real: Sound
    made: Sound

    @property
    def n_frames(self) -> int:
        """Frames that both have."""
        return min(self.real.analysis.n_frames, self.made.analysis.n_frames)

    def excerpts(self) -> list[slice]:
        """Frames of half a second each, one after the other, in which the recording mostly sings."""
        sung = self.real.analysis.lanes["presence"] > 0.5
        starts = range(0, self.n_frames - _EXCERPT_FRAMES + 1, _EXCERPT_FRAMES)
        found = [slice(start, start + _EXCERPT_FRAMES) for start in starts]
        return [frames for frames in found if np.mean(sung[frames]) >= _SUNG_SHARE]


def excerpt_audio(sound: Sound, frames: slice) -> Float32Array:
    """The samples of some frames."""
    return sound.audio[frames.start * HOP_SAMPLES : frames.stop * HOP_SAMPLES]


def labelled_recordings(corpus_dir: Path, n: int | None) -> list[tuple[Recording, str]]:
    """At most n held-out recordings, the labels in turn, each with its main technique."""
    recordings = held_out(corpus_dir, n)
    techniques = {record.id: record.technique for record in Corpus.open(corpus_dir).split("test")}
    return [(recording, main_technique(techniques[recording.id])) for recording in recordings]


def main_technique(weights: Mapping[str, float]) -> str:
    """The technique of the largest weight; modal where none is named."""
    return max(weights, key=lambda name: weights[name]) if weights else "modal"


def group_of(label: str, technique: str) -> str:
    """What a recording is compared among."""
    if technique != "modal":
        return technique
    return "song" if label.startswith(_SONG_LABELS) else "speech"


def with_technique(gesture: Gesture, technique: str) -> Gesture:
    """The same gesture, one technique asked for alone."""
    n_frames = gesture.controls.n_frames
    asked = {f"technique.{name}": np.full(n_frames, float(name == technique), np.float32) for name in TECHNIQUES}
    controls = gesture.controls
    return Gesture(ControlFrames({**controls.values, **asked}, controls.timbre, controls.pitch_drift), gesture.timbre)


def sing_again(
    singer: Singer,
    recordings: Sequence[tuple[Recording, str]],
    *,
    box: TimeBox | None = None,
    on_progress: Progress | None = None,
) -> list[Resung]:
    """Each recording's lanes and mean timbre, extracted, sung with its technique."""
    found = []
    for recording, technique in (box or TimeBox()).take(recordings, on_progress, least=4):
        real = Sound.of(recording.audio)
        gesture = with_technique(extracted(real.analysis), technique)
        made = Sound.of(singer.sing(gesture, _SEED))
        found.append(Resung(recording, technique, group_of(recording.label, technique), real, made))
    return found


def by_group(resung: Sequence[Resung], least: int = 2) -> dict[str, list[Resung]]:
    """Group -> its recordings; groups of fewer than `least` are left out."""
    groups: dict[str, list[Resung]] = {}
    for item in resung:
        groups.setdefault(item.group, []).append(item)
    return {name: items for name, items in sorted(groups.items()) if len(items) >= least}
