"""Proof that the sampled latents make the sound, and that two seeds are two takes.

Latents are replaced by one frame of their own held still, by their own frames in another order, by their mean over
time, or by those another recording's lanes gave; everything else (drawn pitch, decoder, excitation) stays. If the model
only decorated what decoder and pitch do anyway, nothing would get worse.

Everything is sung twice, with two seeds, and a recording's distance is the mean over both takes: what one draw of the
sampler happens to be says little. Roughness is scored over both together (lane_score says why).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from synth.corpus.manifest import ClipRecord, Corpus
from synth.evaluate.distances import INFORMATIVE, MEASURES, PAIRED, Sound, lane_score, take_distances, voice_distances
from synth.evaluate.recordings import Recording, extracted, load_recording
from synth.evaluate.singing import Gesture, Singer
from synth.evaluate.statistics import Interval, derangement, mean_interval
from synth.evaluate.timebox import Progress, TimeBox
from synth.spec.audio import CONTEXT_FRAMES
from synth.spec.controls import Float32Array

ABLATIONS = ("time mean", "swapped")
# In another order frames have the same distributions: only what hears order can miss it.
PROOFS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {**dict.fromkeys((*ABLATIONS, "one frame"), MEASURES), "shuffled": (*PAIRED, "roughness", "modulation_db")}
)
ONE_TAKE = "roughness_one_take"  # mean error of roughness without the credit of the score: flatters what is frozen
REPORTED = (*MEASURES, ONE_TAKE, *INFORMATIVE)
_SEEDS = (0, 1)
_ORDER_SEED = 5
_SHORTEST_TAKE_S = 0.3
_FEWEST_RECORDINGS = 2  # to exchange their latents
_SAMPLING_SHARE = 0.3  # of the time; decoding and measuring every variant takes the rest


@dataclass(frozen=True, slots=True)
class Ablation:
    """One of REPORTED under one ablation.

    worsening: ablated - as sampled, paired by recording; is_worse: its whole interval lies above 0; is_proof: the
    measure must hear this, the others are information
    """

    ablation: str
    measure: str
    as_sampled: Interval
    ablated: Interval
    worsening: Interval
    is_worse: bool
    is_proof: bool


@dataclass(frozen=True, slots=True)
class TakeDistance:
    """Mean distance of pairs by one measure: two seeds of the same lanes, two real takes of the same words, and the
    lanes of those two takes sung with two seeds."""

    measure: str
    seeds: Interval
    real_takes: Interval
    sung_takes: Interval


@dataclass(frozen=True, slots=True)
class ProofReport:
    """n_recordings in the ablations; pairs: take pairs by the split they come from."""

    weights_hash: str
    quality: str
    n_recordings: int
    ablations: tuple[Ablation, ...]
    pairs: Mapping[str, int]
    takes: tuple[TakeDistance, ...]

    @property
    def all_worse(self) -> bool:
        """Whether each ablation worsens each measure that must hear it beyond its interval."""
        return all(ablation.is_worse for ablation in self.ablations if ablation.is_proof)


def evaluate_ablations(
    singer: Singer,
    recordings: Sequence[Recording],
    on_progress: Progress | None = None,
    *,
    box: TimeBox | None = None,
) -> tuple[Ablation, ...]:
    """Sing the recordings' lanes as sampled and ablated, and compare each with the recording it came from."""
    reals, gestures, latents = [], [], []
    for recording in (box or TimeBox()).take(recordings, least=_FEWEST_RECORDINGS, share=_SAMPLING_SHARE):
        reals.append(Sound.of(recording.audio))
        gestures.append(extracted(reals[-1].analysis))
        latents.append([singer.latents(gestures[-1], seed) for seed in _SEEDS])
    recordings = recordings[: len(reals)]
    others = derangement(len(recordings), [recording.label for recording in recordings])
    distances: dict[str, list[dict[str, float]]] = {"as sampled": [], **{name: [] for name in PROOFS}}
    for index, (real, gesture) in enumerate(zip(reals, gestures)):
        presence = gesture.controls.values["presence"]
        own = latents[index]
        variants = {
            "as sampled": own,
            "one frame": [one_frame(take, presence) for take in own],
            "shuffled": [shuffled(take, presence) for take in own],
            "time mean": [time_mean(take, presence) for take in own],
            "swapped": [fitted(take, own[0].shape[1]) for take in latents[others[index]]],
        }
        for name, variant in variants.items():
            takes = [
                Sound.of(singer.decode(take, gesture.controls, seed))
                for seed, take in zip(_SEEDS, variant, strict=True)
            ]
            distances[name].append(distances_of_takes(takes, real))
        if on_progress is not None:
            on_progress(index + 1, len(recordings))
    return tuple(
        _ablation(name, measure, distances["as sampled"], distances[name]) for name in PROOFS for measure in REPORTED
    )


def distances_of_takes(takes: Sequence[Sound], real: Sound) -> dict[str, float]:
    """REPORTED of several takes of one thing against the recording of it."""
    each = [voice_distances(take, real) for take in takes]
    mean = {name: float(np.mean([found[name] for found in each])) for name in each[0]}
    return mean | {ONE_TAKE: mean["roughness"], "roughness": lane_score(takes, real, "roughness")}


def time_mean(latents: Float32Array, presence: Float32Array) -> Float32Array:
    """Every frame replaced by the mean over frames where somebody sings. [C, T], presence [n_frames] -> [C, T]"""
    mean = latents[:, _sung_frames(latents, presence)].mean(axis=1, dtype=np.float64, keepdims=True)
    return np.broadcast_to(mean.astype(np.float32), latents.shape).copy()


def one_frame(latents: Float32Array, presence: Float32Array) -> Float32Array:
    """Every frame replaced by the middle one of those where somebody sings. [C, T], presence [n_frames] -> [C, T]"""
    sung = _sung_frames(latents, presence)
    middle = int(sung[len(sung) // 2])
    return np.repeat(latents[:, middle : middle + 1], latents.shape[1], axis=1)


def shuffled(latents: Float32Array, presence: Float32Array) -> Float32Array:
    """The frames where somebody sings in another order, the others as they are. [C, T], presence -> [C, T]"""
    sung = _sung_frames(latents, presence)
    result = latents.copy()
    result[:, sung] = latents[:, np.random.default_rng(_ORDER_SEED).permutation(sung)]
    return result


def _sung_frames(latents: Float32Array, presence: Float32Array) -> NDArray[np.int64]:
    """Columns of the latents where somebody sings; all of them where nobody does."""
    sung = np.flatnonzero(presence > 0.5) + CONTEXT_FRAMES
    return sung if len(sung) else np.arange(latents.shape[1])


def fitted(latents: Float32Array, n_frames: int) -> Float32Array:
    """Latents cut or repeated from their beginning to n_frames: [C, T] -> [C, n_frames]."""
    return np.ascontiguousarray(latents[:, np.arange(n_frames) % latents.shape[1]])


def _ablation(
    name: str, measure: str, full: Sequence[Mapping[str, float]], ablated: Sequence[Mapping[str, float]]
) -> Ablation:
    before = np.array([distances[measure] for distances in full])
    after = np.array([distances[measure] for distances in ablated])
    worsening = mean_interval(after - before)
    is_worse, is_proof = worsening.low > 0.0, measure in PROOFS[name]
    return Ablation(name, measure, mean_interval(before), mean_interval(after), worsening, is_worse, is_proof)


def take_pairs(corpus_dir: Path, n_pairs: int) -> list[tuple[str, Recording, Recording]]:
    """Neighbouring round-robin takes of the growler's vowels, diphthongs and exclamations -> (split, take, next take).

    Held-out takes first; where these are too few, takes the model was trained on follow, and the split says so.
    """
    corpus = Corpus.open(corpus_dir)
    families: dict[tuple[str, str], list[ClipRecord]] = {}
    for record in corpus.records:
        if record.collection == "merry-orks" and len(record.sources) == 1 and record.duration_s >= _SHORTEST_TAKE_S:
            families.setdefault((record.split, record.family), []).append(record)
    order = ("test", "validation", "train")
    pairs = []
    for (split, _), takes in sorted(families.items(), key=lambda item: (order.index(item[0][0]), item[0][1])):
        takes.sort(key=lambda record: record.sources)
        pairs += [(split, first, second) for first, second in pairwise(takes)]
    return [(s, load_recording(corpus, a), load_recording(corpus, b)) for s, a, b in pairs[:n_pairs]]


def evaluate_takes(
    singer: Singer, pairs: Sequence[tuple[str, Recording, Recording]], on_progress: Progress | None = None
) -> tuple[TakeDistance, ...]:
    """Seeds against takes."""
    seeds, real, sung = [], [], []
    for done, (_, first, second) in enumerate(pairs):
        takes = [Sound.of(first.audio), Sound.of(second.audio)]
        gestures: list[Gesture] = [extracted(take.analysis) for take in takes]
        made = [Sound.of(singer.sing(gestures[0], seed)) for seed in _SEEDS]
        other = Sound.of(singer.sing(gestures[1], _SEEDS[1]))
        seeds.append(take_distances(*made))
        real.append(take_distances(*takes))
        sung.append(take_distances(made[0], other))
        if on_progress is not None:
            on_progress(done + 1, len(pairs))
    names = list(real[0]) if real else []
    return tuple(
        TakeDistance(name, *(mean_interval([found[name] for found in side]) for side in (seeds, real, sung)))
        for name in names
    )


def evaluate_proof(
    singer: Singer,
    recordings: Sequence[Recording],
    pairs: Sequence[tuple[str, Recording, Recording]],
    on_progress: Progress | None = None,
) -> ProofReport:
    """Ablations and takes together."""
    total = len(recordings) + len(pairs)

    def later(done: float, _: float) -> None:
        if on_progress is not None:
            on_progress(len(recordings) + done, total)

    def sooner(done: float, _: float) -> None:
        if on_progress is not None:
            on_progress(done, total)

    ablations = evaluate_ablations(singer, recordings, sooner)
    counts = {split: sum(s == split for s, _, _ in pairs) for split in ("test", "validation", "train")}
    takes = evaluate_takes(singer, pairs, later)
    return ProofReport(singer.engine.weights_hash, singer.quality, len(recordings), ablations, counts, takes)
