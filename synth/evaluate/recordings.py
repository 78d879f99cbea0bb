"""Held-out recordings, and their way into the model: encoded by the codec, or extracted to lanes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from synth.corpus.manifest import ClipRecord, Corpus, unit_hash
from synth.errors import UserError
from synth.evaluate.singing import Gesture
from synth.features.analysis import Analysis
from synth.features.extract import breakpoints, controls_from_analysis
from synth.spec.audio import FRAME_RATE_HZ, HOP_S, HOP_SAMPLES, n_frames_for
from synth.spec.controls import ControlFrames, Float32Array
from synth.spec.lanes import LANES, TECHNIQUES, lane

if TYPE_CHECKING:
    from synth.engine import Engine

LONGEST_S = 4.8
_SHORTEST_S = 0.4
_TIMBRE_SMOOTHING_FRAMES = 7  # as the model learnt a recording's timbre


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording the model has not seen. audio [n_samples] at 48 kHz, whole frames."""

    id: str
    label: str
    audio: Float32Array


def held_out(corpus_dir: Path, n: int | None, labels: Sequence[str] = ()) -> list[Recording]:
    """At most n recordings of the test split, the labels in turn, each cut to LONGEST_S. Raises UserError for none."""
    corpus = Corpus.open(corpus_dir)
    by_label: dict[str, list[ClipRecord]] = {}
    for record in sorted(corpus.split("test"), key=lambda record: unit_hash(record.id)):
        if record.kind == "real" and record.duration_s >= _SHORTEST_S and (not labels or record.label in labels):
            by_label.setdefault(record.label, []).append(record)
    chosen: list[ClipRecord] = []
    depth = 0
    while any(len(records) > depth for records in by_label.values()):
        chosen += [records[depth] for _, records in sorted(by_label.items()) if len(records) > depth]
        depth += 1
    if not chosen:
        raise UserError(f"The corpus {corpus_dir} has no held-out recordings.", remedy="Build it with --voices.")
    return [load_recording(corpus, record) for record in chosen[:n]]


def load_recording(corpus: Corpus, record: ClipRecord) -> Recording:
    """One clip, cut to whole frames and to LONGEST_S."""
    audio = corpus.load(record).audio
    n_frames = min(len(audio) // HOP_SAMPLES, round(LONGEST_S * FRAME_RATE_HZ))
    return Recording(record.id, record.label, audio[: n_frames * HOP_SAMPLES].copy())


def encode(engine: Engine, audio: Float32Array) -> tuple[Float32Array, ControlFrames]:
    """A recording's own latents, laid out as Singer.latents does, and controls that hold its measured F0."""
    from synth.evaluate.encoding import encode_recording

    encoded = encode_recording(engine.codec, audio)
    n_frames = n_frames_for(len(audio))
    values = {spec.id: np.full(n_frames, spec.default, dtype=np.float32) for spec in LANES}
    values["pitch"] = encoded.note[:n_frames]
    return encoded.latents, ControlFrames(values, None, pitch_drift=0.0)


def extracted(analysis: Analysis, *, varying_timbre: bool = False) -> Gesture:
    """What `stridor extract` would draw of a recording: breakpoints of every measured lane, with its timbre.

    The technique is left to the model; the measured pitch holds the singer's drift, so none is added.
    """
    drawn = {}
    for lane_id, values in controls_from_analysis(analysis).items():
        points = np.array(breakpoints(lane_id, values))
        centres_s = (np.arange(analysis.n_frames) + 0.5) * HOP_S
        spec = lane(lane_id)
        line = np.interp(centres_s, points[:, 0], points[:, 1])
        drawn[lane_id] = np.clip(line, spec.minimum, spec.maximum).astype(np.float32)
    unasked = np.full(analysis.n_frames, np.nan, dtype=np.float32)
    drawn |= {f"technique.{name}": unasked for name in TECHNIQUES}
    drawn["bend"] = np.zeros(analysis.n_frames, dtype=np.float32)
    return Gesture(ControlFrames(drawn, None, pitch_drift=0.0), measured_timbre(analysis, varying=varying_timbre))


def measured_timbre(analysis: Analysis, *, varying: bool) -> Float32Array | None:
    """Cepstra c1..c16 where somebody sings: their mean [16], or smoothed over time [n_frames, 16]; None in silence."""
    from synth.diffusion.conditioning import TIMBRE_DIM
    from synth.train.diffusion import smooth_where, timbre_of

    if not (analysis.lanes["presence"] > 0.5).any():
        return None
    if not varying:
        return timbre_of(analysis.mfcc, analysis.lanes["presence"])
    sung = (analysis.lanes["presence"] > 0.5).astype(np.float32)
    cepstra = analysis.mfcc[:, 1 : TIMBRE_DIM + 1].astype(np.float32)
    columns = [smooth_where(cepstra[:, c], sung, _TIMBRE_SMOOTHING_FRAMES) for c in range(TIMBRE_DIM)]
    return np.stack(columns, axis=-1)
