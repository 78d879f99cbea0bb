"""Surveyed recordings -> clips of 1-8 s at 48 kHz with a technique each.

Levels are kept as recorded, for they carry vocal effort; one gain a file only brings what is far too quiet or too hot
into the loudness lane's range. Long files are cut where they are quietest, short ones joined with neighbours of the
same label, collection and split. Planning touches no samples; whoever renders a clip reads its few seconds.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import soundfile
import soxr

from synth.corpus.manifest import Split, agreed_splits, split_families
from synth.corpus.real import Source
from synth.corpus.survey import FRAMES_PER_S, Survey
from synth.corpus.variants import AS_RECORDED, Variant, tilt
from synth.errors import UserError
from synth.spec import SAMPLE_RATE_HZ, Float32Array

logger = logging.getLogger(__name__)

MAX_CLIP_S: Final = 8.0
MIN_CLIP_S: Final = 1.0
JOINED_CLIP_S: Final = 2.0
GAP_S: Final = 0.12
FADE_S: Final = 0.005
PEAK_LIMIT: Final = 0.98
ACTIVE_LEVEL_RANGE_DB: Final = (-40.0, -16.0)
_SILENT_DB: Final = -70.0
_ACTIVE_BELOW_PEAK_DB: Final = 40.0
_MARGIN_FRAMES: Final = 5  # read beyond a cut, so that resampling has no edge there
_MIN_FRAMES: Final = int(MIN_CLIP_S * FRAMES_PER_S)
_MAX_FRAMES: Final = int(MAX_CLIP_S * FRAMES_PER_S)


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of a recording, in samples at its own rate, and what is read around it so that resampling has no edge.

    fade_in, fade_out  whether an end is a cut; those of the recording itself are not faded
    """

    source: Source
    sample_rate_hz: int
    first_sample: int
    end_sample: int
    read_from: int
    read_to: int
    fade_in: bool
    fade_out: bool
    gain_db: float

    @property
    def duration_s(self) -> float:
        """As recorded."""
        return (self.end_sample - self.first_sample) / self.sample_rate_hz


@dataclass(frozen=True, slots=True)
class ClipPlan:
    """A clip to be: one piece of 1-8 s, or several short ones with silence around each."""

    id: str
    pieces: tuple[Piece, ...]
    split: Split
    variant: Variant = AS_RECORDED

    @property
    def source(self) -> Source:
        """The first one: collection, label, licence."""
        return self.pieces[0].source

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the recordings, one a piece."""
        return tuple(piece.source.name for piece in self.pieces)


def plan_clips(
    surveyed: Sequence[tuple[Source, Survey]], known: Mapping[tuple[str, str], Split] | None = None
) -> list[ClipPlan]:
    """Clips of all recordings, in a fixed order. Takes of one family share a split, and joined clips stay within it.

    known  (collection, name) -> the split a recording had in an earlier build; what the catalogue records goes before
    """
    recorded = agreed_splits(
        (source.family, source.name, source.given_split) for source, _ in surveyed if source.given_split is not None
    )
    kept = agreed_splits(
        (source.family, source.name, (known or {})[source.collection, source.name])
        for source, _ in surveyed
        if (source.collection, source.name) in (known or {}) and source.family not in recorded
    )
    split_of = split_families(
        [(source.family, source.group, survey.duration_s) for source, survey in surveyed], kept | recorded
    )
    plans: list[ClipPlan] = []
    waiting: dict[tuple[str, str, Split], list[Piece]] = defaultdict(list)
    for source, survey in surveyed:
        split = split_of[source.family]
        pieces = list(_pieces(source, survey))
        if not pieces:
            logger.warning("%s is silent and left out", source.name)
        for index, piece in enumerate(pieces):
            if piece.duration_s >= MIN_CLIP_S:
                plans.append(ClipPlan(_clip_id(source, index, (source.name,)), (piece,), split))
                continue
            group = waiting[source.collection, source.label, split]
            group.append(piece)
            if sum(short.duration_s for short in group) >= JOINED_CLIP_S:
                plans.append(_joined(group, split))
                group.clear()
    plans += [_joined(group, split) for (_, _, split), group in waiting.items() if group]
    return plans


def render_clip(plan: ClipPlan) -> tuple[Float32Array, tuple[float, ...]]:
    """-> (mono audio [n_samples] at 48 kHz, gain in dB that was applied to each piece). Raises UserError."""
    speed = plan.variant.speed
    rendered = [_render_piece(piece, speed) for piece in plan.pieces]
    gains_db = tuple(gain_db for _, gain_db in rendered)
    if len(rendered) == 1:
        audio = rendered[0][0]
    else:
        gap = np.zeros(int(GAP_S * SAMPLE_RATE_HZ), dtype=np.float32)
        audio = np.concatenate([gap, *(part for piece, _ in rendered for part in (piece, gap))])
    audio = np.pad(audio, (0, max(0, int(MIN_CLIP_S * SAMPLE_RATE_HZ) - len(audio))))
    if plan.variant.tilt_db_per_octave:
        audio = tilt(audio, plan.variant.tilt_db_per_octave)
        over = max(1.0, float(np.abs(audio).max()) / PEAK_LIMIT)
        audio = audio / np.float32(over)
        gains_db = tuple(gain_db - 20.0 * float(np.log10(over)) for gain_db in gains_db)
    return audio, gains_db


def level_gain_db(level_db: Float32Array, peak: float) -> float:
    """The gain that brings the level of the sounding part into ACTIVE_LEVEL_RANGE_DB and the peak below PEAK_LIMIT.

    0 dB for nearly every recording. The sounding part is what lies within 40 dB of the loudest frame.
    """
    active = level_db[level_db > level_db.max() - _ACTIVE_BELOW_PEAK_DB]
    active_db = 10.0 * float(np.log10(np.mean(10.0 ** (active.astype(np.float64) / 10.0))))
    low_db, high_db = ACTIVE_LEVEL_RANGE_DB
    gain_db = min(max(active_db, low_db), high_db) - active_db
    headroom_db = 20.0 * float(np.log10(PEAK_LIMIT / peak)) if peak > 0.0 else 0.0
    return min(gain_db, headroom_db)


def cut_points(level_db: Float32Array) -> list[int]:
    """Where to cut a recording into pieces of 1-8 s: at the quietest 100 ms within reach. -> [0, ..., n_frames]

    level_db  one value a 10 ms frame. Ties, as in digital silence, go to the latest place, so that pieces grow long.
    """
    n_frames = len(level_db)
    smooth_db = np.convolve(np.pad(level_db, 5, mode="edge"), np.full(11, 1.0 / 11.0), mode="valid")
    points = [0]
    while n_frames - points[-1] > _MAX_FRAMES:
        first = points[-1] + 3 * _MIN_FRAMES
        last = min(points[-1] + _MAX_FRAMES, n_frames - _MIN_FRAMES - 1)
        within_reach = smooth_db[first : last + 1]
        quietest = len(within_reach) - 1 - int(np.argmin(within_reach[::-1]))
        points.append(first + quietest)
    return [*points, n_frames]


def _pieces(source: Source, survey: Survey) -> Iterator[Piece]:
    gain_db = level_gain_db(survey.level_db, survey.peak)
    for first, end in pairwise(cut_points(survey.level_db)):
        if float(survey.level_db[first:end].max()) + gain_db > _SILENT_DB:
            first_sample, end_sample = survey.sample_at(first), survey.sample_at(end)
            yield Piece(
                source, survey.sample_rate_hz, first_sample, end_sample,
                survey.sample_at(max(first - _MARGIN_FRAMES, 0)), survey.sample_at(end + _MARGIN_FRAMES),
                first_sample > 0, end_sample < survey.n_samples, gain_db,
            )  # fmt: skip


def _render_piece(piece: Piece, speed: float) -> tuple[Float32Array, float]:
    """-> (audio at 48 kHz, gain applied in dB); played `speed` times as fast."""
    mono = _read(piece.source.path, piece.read_from, piece.read_to)
    played_hz = piece.sample_rate_hz * speed
    if played_hz != SAMPLE_RATE_HZ:
        mono = np.asarray(soxr.resample(mono, played_hz, SAMPLE_RATE_HZ, quality="VHQ"), dtype=np.float32)
    start = round((piece.first_sample - piece.read_from) * SAMPLE_RATE_HZ / played_hz)
    n_samples = round((piece.end_sample - piece.first_sample) * SAMPLE_RATE_HZ / played_hz)
    audio = mono[start : start + n_samples].copy()
    n_fade = min(int(FADE_S * SAMPLE_RATE_HZ), len(audio))
    ramp = np.linspace(0.0, 1.0, n_fade, dtype=np.float32)
    if piece.fade_in:
        audio[:n_fade] *= ramp
    if piece.fade_out:
        audio[len(audio) - n_fade :] *= ramp[::-1]
    gain_db = piece.gain_db
    peak = float(np.abs(audio).max(initial=0.0))
    if peak * 10.0 ** (gain_db / 20.0) > PEAK_LIMIT:  # resampling may overshoot what was measured
        gain_db = 20.0 * float(np.log10(PEAK_LIMIT / peak))
    return audio * np.float32(10.0 ** (gain_db / 20.0)), gain_db


def _read(path: Path, first: int, end: int) -> Float32Array:
    try:
        with soundfile.SoundFile(path) as file:
            file.seek(first)
            audio = file.read(end - first, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError) as fault:
        raise UserError(f"{path} cannot be read: {fault}.", remedy="Convert it to WAV or FLAC.") from fault
    mono = audio.mean(axis=1, dtype=np.float32)
    if len(mono) < end - first or not np.isfinite(mono).all():
        raise UserError(f"{path} changed while it was read.", remedy="Build the corpus again.")
    return mono


def _joined(group: Sequence[Piece], split: Split) -> ClipPlan:
    names = tuple(piece.source.name for piece in group)
    return ClipPlan(_clip_id(group[0].source, 0, names), tuple(group), split)


def _clip_id(source: Source, index: int, names: tuple[str, ...]) -> str:
    readable = f"{source.collection}-{Path(source.name).stem}"
    stem = re.sub(r"[^A-Za-z0-9]+", "-", readable).strip("-")[:80] or "clip"
    digest = hashlib.sha256("\n".join((source.collection, *names)).encode()).hexdigest()[:8]
    return f"{stem}-{digest}-{index:02d}"
