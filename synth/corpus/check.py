"""Looks a corpus over: levels, clipping, offset, noise floor, bandwidth, duplicates, labels, splits, licences, consent.

The recordings of a folder of voices are looked over before anything is built from them (check_voices), the clips of a
corpus after (check_corpus).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from synth.corpus.clip_file import Clip
from synth.corpus.manifest import ClipRecord, Corpus
from synth.corpus.real import Source
from synth.corpus.recording_check import (
    MAX_CLIPPED_SHARE,
    MAX_FLOOR_BELOW_PEAK_DB,
    MAX_OFFSET,
    MIN_BANDWIDTH_HZ,
    MIN_PEAK_DB,
    floor_below_peak_db,
    has_pauses,
    recording_findings,
)
from synth.corpus.resemblance import fingerprint, near_duplicates
from synth.corpus.survey import Survey, band_power, bandwidth_hz, frame_level_db
from synth.errors import UserError
from synth.features.analysis import Analysis, technique_features
from synth.features.technique import TechniqueModel, load_technique_classifier
from synth.spec import SAMPLE_RATE_HZ, TECHNIQUES, Float32Array, lane

CLIPPED_LEVEL: Final = 0.999
DOUBTED_BELOW: Final = 0.1  # mean probability of the label's techniques
HEARD_ABOVE: Final = 0.7  # mean probability of another one
_MIN_HEARD_FRAMES: Final = 50


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a clip or a recording. `severity` is "error" (do not train on it) or "warning"."""

    clip_id: str  # or the name of a recording
    severity: str
    message: str

    def __str__(self) -> str:
        return f"{self.severity}: {self.clip_id}: {self.message}"


def check_corpus(corpus: Corpus) -> list[Problem]:
    """Everything that is wrong with `corpus`, in manifest order. Reads every clip; an empty list is good news."""
    problems = [*_check_splits(corpus.records)]
    by_hash: dict[str, list[str]] = defaultdict(list)
    courses: dict[str, Float32Array] = {}
    classifier = load_technique_classifier()
    for record in corpus.records:
        by_hash[record.sha256].append(record.id)
        problems += _check_words(record)
        try:
            clip = corpus.load(record)
        except UserError as trouble:
            problems.append(Problem(record.id, "error", str(trouble)))
            continue
        problems += _check_sound(record, clip)
        problems += _check_features(record, clip)
        if record.kind == "real" and not record.variant:
            problems += _check_label(record, clip, classifier)
            courses[record.id] = fingerprint(clip.mfcc)
    for ids in by_hash.values():
        problems += [Problem(clip_id, "error", f"the same sound as {ids[0]}") for clip_id in ids[1:]]
    problems += _check_copies(corpus.records, courses)
    place = {record.id: index for index, record in enumerate(corpus.records)}
    return sorted(problems, key=lambda problem: place[problem.clip_id])


def check_voices(surveyed: Sequence[tuple[Source, Survey]]) -> list[Problem]:
    """Everything that is wrong with recordings before a corpus is built from them."""
    problems = []
    for source, survey in surveyed:
        problems += [Problem(source.name, found.severity, found.message) for found in recording_findings(survey)]
        terms = _check_terms(source.name, source.licence, source.consent, source.attribution)
        problems += list(terms)
    return problems


def sounds_like(clip: Clip, classifier: TechniqueModel) -> dict[str, float]:
    """Mean probability of each technique over the frames where somebody sings; empty where hardly anybody does."""
    singing = np.nan_to_num(clip.lanes["presence"]) > 0.5
    if np.count_nonzero(singing) < _MIN_HEARD_FRAMES:
        return {}
    analysis = Analysis(clip.n_frames, clip.f0, clip.lanes, clip.physical, clip.mfcc)
    weights = classifier(technique_features(analysis))[singing].mean(axis=0)
    return {name: float(weight) for name, weight in zip(TECHNIQUES, weights, strict=True)}


def _check_splits(records: Sequence[ClipRecord]) -> Iterator[Problem]:
    """A family, and a recording, lies in one split only."""
    split_of: dict[tuple[str, ...], str] = {}
    for record in records:
        if split_of.setdefault((record.family,), record.split) != record.split:
            yield Problem(record.id, "error", f"its family {record.family} lies in two splits")
        for name in record.sources:
            if split_of.setdefault((record.collection, name), record.split) != record.split:
                yield Problem(record.id, "error", f"the recording {name} lies in two splits")


def _check_copies(records: Sequence[ClipRecord], courses: dict[str, Float32Array]) -> Iterator[Problem]:
    by_id = {record.id: record for record in records}
    ids = list(courses)
    for first, second, _ in near_duplicates([courses[clip_id] for clip_id in ids]):
        one, other = by_id[ids[first]], by_id[ids[second]]
        if one.sha256 == other.sha256:
            continue
        if one.split != other.split:
            yield Problem(other.id, "error", f"a copy of {one.id}, which lies in {one.split}")
        else:
            yield Problem(other.id, "warning", f"a copy of {one.id}")


def _check_label(record: ClipRecord, clip: Clip, classifier: TechniqueModel) -> Iterator[Problem]:
    heard = sounds_like(clip, classifier)
    if not heard:
        return
    named = sum(heard[name] for name, weight in record.technique.items() if weight > 0.0)
    loudest = max(heard, key=lambda name: heard[name])
    if named < DOUBTED_BELOW and heard[loudest] > HEARD_ABOVE:
        yield Problem(
            record.id, "warning", f"labelled {record.label}, but {100.0 * heard[loudest]:.0f} % of it sounds {loudest}"
        )


def _check_words(record: ClipRecord) -> Iterator[Problem]:
    yield from _check_terms(record.id, record.licence, record.consent, record.attribution)
    if not any(weight > 0.0 for weight in record.technique.values()):
        yield Problem(record.id, "error", "no technique is named")


def _check_terms(name: str, licence: str, consent: str, attribution: str) -> Iterator[Problem]:
    if not licence.strip():
        yield Problem(name, "error", "no licence is named")
    if not consent.strip():
        yield Problem(name, "error", "nothing says that the singer agreed")
    if licence.upper().startswith(("MIT", "CC-BY", "CC BY")) and not attribution.strip():
        yield Problem(name, "error", f"{licence} asks for an attribution")


def _check_sound(record: ClipRecord, clip: Clip) -> Iterator[Problem]:
    audio = clip.audio
    peak = float(np.abs(audio).max(initial=0.0))
    peak_db = 20.0 * float(np.log10(peak + 1e-9))
    if peak_db < MIN_PEAK_DB:
        # A gesture may rest throughout: silence labelled as such is worth a lesson.
        if record.kind == "real" or (clip.true_lanes["presence"] > 0.0).any():
            yield Problem(record.id, "error", f"nearly silent, peak {peak_db:.0f} dB")
        return
    clipped = float(np.mean(np.abs(audio) >= CLIPPED_LEVEL * max(peak, 0.5)))
    if clipped > MAX_CLIPPED_SHARE:
        yield Problem(record.id, "warning", f"clipped, {100.0 * clipped:.2f} % of samples at the peak")
    offset = abs(float(audio.mean()))
    if offset > MAX_OFFSET:
        yield Problem(record.id, "warning", f"constant offset of {offset:.3f}")
    if record.kind == "simulated":
        return
    level_db = frame_level_db(audio, SAMPLE_RATE_HZ)
    # A sustained tone has no pauses to hear the floor in: only clips that vary say something about it.
    if has_pauses(level_db) and (floor_db := floor_below_peak_db(level_db)) > MAX_FLOOR_BELOW_PEAK_DB:
        yield Problem(record.id, "warning", f"noisy, floor {-floor_db:.0f} dB below the loudest frame")
    width_hz = bandwidth_hz(band_power(audio), SAMPLE_RATE_HZ)
    if width_hz < MIN_BANDWIDTH_HZ:
        yield Problem(record.id, "warning", f"bandwidth of only {width_hz:.0f} Hz")


def _check_features(record: ClipRecord, clip: Clip) -> Iterator[Problem]:
    if abs(len(clip.audio) / SAMPLE_RATE_HZ - record.duration_s) > 0.01:
        yield Problem(record.id, "error", "its duration is not what the manifest says")
    if not np.isfinite(clip.mfcc).all() or not np.isfinite(clip.f0.f0_hz).all() or (clip.f0.f0_hz <= 0.0).any():
        yield Problem(record.id, "error", "timbre or F0 is not finite")
    for lane_id, values in clip.lanes.items():
        known = values[np.isfinite(values)]
        spec = lane(lane_id)
        leaves = len(known) and (known.min() < spec.minimum - 0.01 or known.max() > spec.maximum + 0.01)
        if lane_id != "pitch" and leaves:
            yield Problem(record.id, "error", f"lane {lane_id} leaves its range")
    if record.kind == "real" and not (clip.lanes["presence"] > 0.0).any():
        yield Problem(record.id, "warning", "nobody is singing in it")
