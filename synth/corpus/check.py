"""Looks a corpus over: levels, clipping, offset, noise floor, bandwidth, duplicates, licences and consent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from synth.corpus.clip_file import Clip
from synth.corpus.manifest import ClipRecord, Corpus
from synth.corpus.survey import band_power, bandwidth_hz, frame_level_db
from synth.errors import UserError
from synth.spec import SAMPLE_RATE_HZ, lane

MAX_CLIPPED_SHARE: Final = 1e-4
CLIPPED_LEVEL: Final = 0.999
MAX_OFFSET: Final = 0.01
MIN_PEAK_DB: Final = -50.0
MAX_FLOOR_BELOW_PEAK_DB: Final = -20.0
MIN_BANDWIDTH_HZ: Final = 7_000.0
MIN_VARIED_DB: Final = 12.0


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a clip. `severity` is "error" (do not train on it) or "warning"."""

    clip_id: str
    severity: str
    message: str

    def __str__(self) -> str:
        return f"{self.severity}: {self.clip_id}: {self.message}"


def check_corpus(corpus: Corpus) -> list[Problem]:
    """Everything that is wrong with `corpus`, in manifest order. Reads every clip; an empty list is good news."""
    problems = []
    by_hash: dict[str, list[str]] = defaultdict(list)
    split_of_family: dict[str, str] = {}
    for record in corpus.records:
        by_hash[record.sha256].append(record.id)
        if split_of_family.setdefault(record.family, record.split) != record.split:
            problems.append(Problem(record.id, "error", f"its family {record.family} lies in two splits"))
        problems += _check_words(record)
        try:
            clip = corpus.load(record)
        except UserError as trouble:
            problems.append(Problem(record.id, "error", str(trouble)))
            continue
        problems += _check_sound(record, clip)
        problems += _check_features(record, clip)
    for ids in by_hash.values():
        problems += [Problem(clip_id, "error", f"the same sound as {ids[0]}") for clip_id in ids[1:]]
    return problems


def _check_words(record: ClipRecord) -> Iterator[Problem]:
    if not record.licence.strip():
        yield Problem(record.id, "error", "no licence is named")
    if not record.consent.strip():
        yield Problem(record.id, "error", "nothing says that the singer agreed")
    if record.licence.upper().startswith(("MIT", "CC-BY", "CC BY")) and not record.attribution.strip():
        yield Problem(record.id, "error", f"{record.licence} asks for an attribution")
    if not any(weight > 0.0 for weight in record.technique.values()):
        yield Problem(record.id, "error", "no technique is named")


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
    floor_db = float(np.percentile(level_db, 5.0)) - float(level_db.max())
    # A sustained tone has no pauses to hear the floor in: only clips that vary say something about it.
    has_pauses = float(np.percentile(level_db, 95.0) - np.percentile(level_db, 10.0)) > MIN_VARIED_DB
    if has_pauses and floor_db > MAX_FLOOR_BELOW_PEAK_DB:
        yield Problem(record.id, "warning", f"noisy, floor {floor_db:.0f} dB below the loudest frame")
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
