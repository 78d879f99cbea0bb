"""Is the technique that was asked the one that is heard: the classifier on generated audio, beside held-out recordings.

The classifier is ours, trained on real and simulated recordings; what it is worth on held-out real ones is measured in
the same run. Techniques of which there is no recording are reported apart: nobody knows whether it is right about them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from synth.corpus.gestures import plan_gesture
from synth.corpus.simulator import simulate_random
from synth.evaluate.resung import Resung, with_technique
from synth.evaluate.singing import Gesture, Singer, neutral_controls
from synth.evaluate.statistics import Interval, share_interval
from synth.evaluate.timebox import Progress, TimeBox
from synth.features.analysis import Analysis, analyse, technique_features
from synth.features.technique import TechniqueModel, load_technique_classifier
from synth.spec.audio import FRAME_RATE_HZ
from synth.spec.lanes import TECHNIQUES, lane

_GESTURE_S = 2.4
_UNHEARD = "silence"
_LANES = (
    "pitch", "loudness", "breathiness", "roughness", "fry", "tension", "vowel_open", "vowel_front", "tract", "presence",
)  # fmt: skip
SOURCES = ("recordings", "recordings sung", "simulated gestures", "simulated gestures sung")


@dataclass(frozen=True, slots=True)
class Recognised:
    """One technique in one kind of audio. right_percent: clips named so; heard: what all its clips were named."""

    source: str
    technique: str
    is_validated: bool
    right_percent: Interval
    heard: dict[str, int]


@dataclass(frozen=True, slots=True)
class RecognitionReport:
    """rows: source by technique. real_percent, sung_percent: recordings and their renderings, validated techniques
    alike (the mean over techniques); only_simulated: techniques known to the classifier from the simulator alone."""

    rows: tuple[Recognised, ...]
    real_percent: float
    sung_percent: float
    gestures_sung_percent: float
    only_simulated: tuple[str, ...]


def evaluate_recognition(
    singer: Singer,
    resung: Sequence[Resung],
    *,
    n_gestures: int = 12,
    seed: int = 0,
    box: TimeBox | None = None,
    on_progress: Progress | None = None,
) -> RecognitionReport:
    """Name recordings and their renderings, and n_gestures simulated gestures of each technique and theirs."""
    model = load_technique_classifier()
    named: dict[tuple[str, str], list[str]] = {}
    for item in resung:
        for source, sound in (("recordings", item.real), ("recordings sung", item.made)):
            named.setdefault((source, item.technique), []).append(name_of(model, sound.analysis))
    jobs = [(technique, index) for index in range(n_gestures) for technique in TECHNIQUES]
    for technique, index in (box or TimeBox()).take(jobs, on_progress, least=len(TECHNIQUES)):
        clip_seed = 97_000 + seed + index
        simulated = analyse(simulate_random(clip_seed, _GESTURE_S, technique).audio)
        sung = analyse(singer.sing(_gesture(clip_seed, technique), clip_seed))
        named.setdefault(("simulated gestures", technique), []).append(name_of(model, simulated))
        named.setdefault(("simulated gestures sung", technique), []).append(name_of(model, sung))
    validated = {technique for source, technique in named if source == "recordings"}
    rows = tuple(_row(source, technique, names, technique in validated) for (source, technique), names in named.items())
    return RecognitionReport(
        rows=tuple(sorted(rows, key=lambda row: (SOURCES.index(row.source), TECHNIQUES.index(row.technique)))),
        real_percent=_alike(rows, "recordings"),
        sung_percent=_alike(rows, "recordings sung"),
        gestures_sung_percent=_alike(rows, "simulated gestures sung"),
        only_simulated=tuple(name for name in TECHNIQUES if name not in validated),
    )


def name_of(model: TechniqueModel, analysis: Analysis) -> str:
    """The technique of a clip: the largest mean probability over the frames in which somebody sings."""
    sung = analysis.lanes["presence"] > 0.5
    if not sung.any():
        return _UNHEARD
    return TECHNIQUES[int(model(technique_features(analysis))[sung].mean(axis=0).argmax())]


def _gesture(seed: int, technique: str) -> Gesture:
    """The gesture that the simulator would plan for the same seed, for the model."""
    n_frames = round(_GESTURE_S * FRAME_RATE_HZ)
    planned = plan_gesture(np.random.default_rng(np.random.SeedSequence([seed, 0x51D])), n_frames, technique)
    lanes = {}
    for name in _LANES:
        spec = lane(name)
        lanes[name] = np.clip(planned.lanes[name], spec.minimum, spec.maximum).astype(np.float32)
    return with_technique(Gesture(neutral_controls(n_frames, lanes)), technique)


def _row(source: str, technique: str, names: Sequence[str], is_validated: bool) -> Recognised:
    heard = {name: names.count(name) for name in (*TECHNIQUES, _UNHEARD) if name in names}
    return Recognised(source, technique, is_validated, share_interval([name == technique for name in names]), heard)


def _alike(rows: Sequence[Recognised], source: str) -> float:
    shares = [row.right_percent.value for row in rows if row.source == source and row.is_validated]
    return float(np.mean(shares)) if shares else float("nan")
