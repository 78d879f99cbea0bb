"""Recorded voices -> clips of 1-8 s at 48 kHz with a technique each.

Levels are kept as recorded, for they carry vocal effort; one gain a file only brings what is far too quiet or too hot
into the loudness lane's range. Long files are cut where they are quietest, short ones joined with neighbours of the
same label, collection and split.
"""

from __future__ import annotations

import csv
import hashlib
import logging
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from synth.corpus.clip_file import to_int16
from synth.corpus.manifest import Split, family_of, split_families
from synth.errors import UserError
from synth.spec import HOP_SAMPLES, SAMPLE_RATE_HZ, TECHNIQUES, Float32Array

logger = logging.getLogger(__name__)

CATALOGUE_NAME: Final = "catalog.csv"
AUDIO_SUFFIXES: Final = frozenset({".wav", ".flac", ".aif", ".aiff", ".ogg", ".mp3"})
MAX_CLIP_S: Final = 8.0
MIN_CLIP_S: Final = 1.0
JOINED_CLIP_S: Final = 2.0
GAP_S: Final = 0.12
FADE_S: Final = 0.005
PEAK_LIMIT: Final = 0.98
ACTIVE_LEVEL_RANGE_DB: Final = (-40.0, -16.0)
_SILENT_PEAK: Final = 10.0 ** (-66.0 / 20.0)
_ACTIVE_BELOW_PEAK_DB: Final = 40.0
_PUBLISHED: Final = "published by its makers under the licence named"


@dataclass(frozen=True, slots=True)
class LabelMeaning:
    """What a catalogue label says about our lanes. `ingress` is 0 (exhaled) or 1 (inhaled)."""

    technique: Mapping[str, float]
    ingress: float = 0.0


def _is(technique: str, ingress: float = 0.0) -> LabelMeaning:
    return LabelMeaning(MappingProxyType({technique: 1.0}), ingress)


# The labels come from file names, so they name a manner for the whole file and no degree of it.
LABEL_MEANINGS: Final[Mapping[str, LabelMeaning]] = MappingProxyType(
    {
        "breath_inhale": _is("breathy", ingress=1.0),  # unvoiced air through an open glottis, inwards
        "growl_consonant": _is("growl"),  # spoken with the growler's false-fold setting
        "growl_diphthong": _is("growl"),
        "growl_exclamation": _is("growl"),
        "growl_phrase": _is("growl"),
        "growl_vowel": _is("growl"),
        "shout_interjection": _is("shout"),
        "singing_phrase": _is("modal"),
        "singing_phrase_soul": _is("modal"),  # belted in places: loudness and tension say so, frame by frame
        "singing_scat": _is("modal"),
        "singing_vocalise_adlib": _is("modal"),
        "speech": _is("modal"),
        "sung_note_sustained": _is("modal"),
        "sung_vowel_sustained": _is("modal"),
        "sung_vowel_sustained_rawtake": _is("modal"),
        "whisper": _is("whisper"),
    }
    | {name: _is(name) for name in TECHNIQUES if name != "whisper"}  # a plain folder is labelled by technique itself
)
ATTRIBUTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "merry-orks": "Merry Orks by Karoryfer Samples",
        "producer-space": "vocal packs by Producer Space",
        "vocobox": "Copyright (c) 2014 vocobox (human-voice-dataset, Martin), MIT licence",
    }
)


@dataclass(frozen=True, slots=True)
class Source:
    """One recording. `name` is its path inside `folder`, with forward slashes."""

    folder: Path
    name: str
    collection: str
    label: str
    licence: str
    consent: str
    attribution: str

    @property
    def family(self) -> str:
        """Recordings of one family never part between splits.

        The single vowels of vocobox were cut from takes that the folder holds as well: they are one family.
        """
        family = family_of(self.name)
        return "vocobox/martin_voyels" if family.startswith("vocobox/martin_voyels") else family


@dataclass(frozen=True, slots=True)
class RealClip:
    """A clip ready to be measured. `audio` is int16 [n_samples] at 48 kHz."""

    id: str
    audio: NDArray[np.int16]
    sources: tuple[str, ...]
    source: Source  # the first one: collection, label, licence
    split: Split
    gains_db: tuple[float, ...]  # one a source


@dataclass(frozen=True, slots=True)
class _Short:
    """A piece too short to be a clip of its own."""

    source: Source
    audio: Float32Array
    gain_db: float


def read_catalogue(voices_dir: Path) -> list[Source]:
    """Every recording named in `voices_dir`/catalog.csv. Raises UserError for missing files and unknown labels."""
    path = voices_dir / CATALOGUE_NAME
    if not path.is_file():
        raise UserError(f"There is no {CATALOGUE_NAME} in {voices_dir}.", remedy="Import it as plain recordings.")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    sources = []
    for line, row in enumerate(rows, start=2):
        name, label, licence = row.get("file"), row.get("technique"), row.get("licence")
        if not name or not label:
            raise UserError(f"{path}, line {line}: file or technique is missing.", remedy="Mend the catalogue.")
        if label not in LABEL_MEANINGS:
            raise UserError(
                f"{path}, line {line}: unknown technique {label!r}.", remedy=f"Use one of {', '.join(LABEL_MEANINGS)}."
            )
        if not (voices_dir / name).is_file():
            raise UserError(f"{path}, line {line}: there is no file {name}.", remedy="Mend the catalogue.")
        collection = name.split("/")[0]
        consent = row.get("consent") or (_PUBLISHED if licence else "")
        attribution = row.get("attribution") or ATTRIBUTIONS.get(collection, "")
        sources.append(Source(voices_dir, name, collection, label, licence or "", consent, attribution))
    return sources


def read_folder(
    folder: Path, *, label: str, licence: str, consent: str, collection: str = "", attribution: str = ""
) -> list[Source]:
    """Every sound file below `folder`, all with one `label`. Raises UserError when there is none.

    consent  how the singer agreed, in words; a person's voice is not taken in without it
    """
    if label not in LABEL_MEANINGS:
        raise UserError(f"Unknown technique {label!r}.", remedy=f"Use one of {', '.join(LABEL_MEANINGS)}.")
    if not licence.strip() or not consent.strip():
        raise UserError(
            f"The recordings in {folder} need a licence and the singer's consent.", remedy="State both in words."
        )
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder.", remedy="Name the folder that holds the recordings.")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file())
    if not paths:
        raise UserError(f"There are no sound files in {folder}.", remedy="WAV, FLAC, AIFF, OGG and MP3 are read.")
    named = collection or folder.name
    return [
        Source(folder, path.relative_to(folder).as_posix(), named, label, licence, consent, attribution)
        for path in paths
    ]


def load_recording(path: Path) -> Float32Array:
    """A sound file -> mono float32 [n_samples] at 48 kHz, level untouched. Raises UserError when it cannot be read."""
    try:
        audio, sample_rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError) as fault:
        raise UserError(f"{path} cannot be read: {fault}.", remedy="Convert it to WAV or FLAC.") from fault
    mono = audio.mean(axis=1, dtype=np.float32)
    if len(mono) == 0:
        raise UserError(f"{path} holds no sound.", remedy="Leave it out of the folder.")
    if not np.isfinite(mono).all():
        raise UserError(f"{path} holds samples that are no numbers.", remedy="Export it again.")
    if sample_rate_hz != SAMPLE_RATE_HZ:
        mono = soxr.resample(mono, sample_rate_hz, SAMPLE_RATE_HZ, quality="VHQ")
    return mono.astype(np.float32)


def frame_level_db(audio: Float32Array) -> Float32Array:
    """RMS of each 10 ms frame in dB re full scale, the last frame padded with silence. -> [n_frames]"""
    padded = np.pad(audio, (0, -len(audio) % HOP_SAMPLES))
    power = np.mean(padded.reshape(-1, HOP_SAMPLES).astype(np.float64) ** 2, axis=1)
    return (10.0 * np.log10(power + 1e-12)).astype(np.float32)


def level_gain_db(audio: Float32Array) -> float:
    """The gain that brings the level of the sounding part into ACTIVE_LEVEL_RANGE_DB and the peak below PEAK_LIMIT.

    0 dB for nearly every recording. The sounding part is what lies within 40 dB of the loudest frame.
    """
    level_db = frame_level_db(audio)
    active = level_db[level_db > level_db.max() - _ACTIVE_BELOW_PEAK_DB]
    active_db = 10.0 * float(np.log10(np.mean(10.0 ** (active / 10.0))))
    low_db, high_db = ACTIVE_LEVEL_RANGE_DB
    gain_db = min(max(active_db, low_db), high_db) - active_db
    peak = float(np.abs(audio).max())
    headroom_db = 20.0 * float(np.log10(PEAK_LIMIT / peak)) if peak > 0.0 else 0.0
    return min(gain_db, headroom_db)


def cut_points(audio: Float32Array) -> list[int]:
    """Where to cut a recording into pieces of 1-8 s: at the quietest 100 ms within reach. -> [0, ..., n_samples]

    Ties, as in digital silence, go to the latest place, so that pieces grow long.
    """
    smooth_db = np.convolve(np.pad(frame_level_db(audio), 5, mode="edge"), np.full(11, 1.0 / 11.0), mode="valid")
    min_frames, max_frames = int(MIN_CLIP_S * 100), int(MAX_CLIP_S * 100)
    points = [0]
    while len(audio) - points[-1] > MAX_CLIP_S * SAMPLE_RATE_HZ:
        first = points[-1] // HOP_SAMPLES + 3 * min_frames
        last = min(points[-1] // HOP_SAMPLES + max_frames, len(audio) // HOP_SAMPLES - min_frames)
        within_reach = smooth_db[first : last + 1]
        quietest = len(within_reach) - 1 - int(np.argmin(within_reach[::-1]))
        points.append((first + quietest) * HOP_SAMPLES)
    return [*points, len(audio)]


def pieces_of(audio: Float32Array) -> Iterator[Float32Array]:
    """The pieces of one recording, cut ends faded over 5 ms, silent pieces left out."""
    points = cut_points(audio)
    n_fade = int(FADE_S * SAMPLE_RATE_HZ)
    ramp = np.linspace(0.0, 1.0, n_fade, dtype=np.float32)
    for start, end in pairwise(points):
        piece = audio[start:end].copy()
        if start > 0:
            piece[:n_fade] *= ramp
        if end < len(audio):
            piece[-n_fade:] *= ramp[::-1]
        if np.abs(piece).max() > _SILENT_PEAK:
            yield piece


def real_clips(sources: Iterable[Source]) -> Iterator[RealClip]:
    """Clips of all `sources`, in a fixed order. Takes of one family share a split, and joined clips stay within it."""
    listed = list(sources)
    split_of = split_families([(source.family, source.label, _duration_s(source)) for source in listed])
    waiting: dict[tuple[str, str, Split], list[_Short]] = defaultdict(list)
    for source in listed:
        audio = load_recording(source.folder / source.name)
        gain_db = level_gain_db(audio)
        audio = audio * np.float32(10.0 ** (gain_db / 20.0))
        split = split_of[source.family]
        pieces = list(pieces_of(audio))
        if not pieces:
            logger.warning("%s is silent and left out", source.name)
        for index, piece in enumerate(pieces):
            if len(piece) >= MIN_CLIP_S * SAMPLE_RATE_HZ:
                clip_id = _clip_id(source, index, (source.name,))
                yield RealClip(clip_id, to_int16(piece), (source.name,), source, split, (gain_db,))
                continue
            group = waiting[source.collection, source.label, split]
            group.append(_Short(source, piece, gain_db))
            if sum(len(short.audio) for short in group) >= JOINED_CLIP_S * SAMPLE_RATE_HZ:
                yield _joined(group, split)
                group.clear()
    for (_, _, split), group in waiting.items():
        if group:
            yield _joined(group, split)


def _joined(group: list[_Short], split: Split) -> RealClip:
    """Short pieces one after the other, silence of GAP_S around each, at least MIN_CLIP_S in all."""
    gap = np.zeros(int(GAP_S * SAMPLE_RATE_HZ), dtype=np.float32)
    parts = [gap]
    for short in group:
        parts += [short.audio, gap]
    audio = np.concatenate(parts)
    audio = np.pad(audio, (0, max(0, int(MIN_CLIP_S * SAMPLE_RATE_HZ) - len(audio))))
    names = tuple(short.source.name for short in group)
    first = group[0].source
    gains_db = tuple(short.gain_db for short in group)
    return RealClip(_clip_id(first, 0, names), to_int16(audio), names, first, split, gains_db)


def _clip_id(source: Source, index: int, names: tuple[str, ...]) -> str:
    readable = f"{source.collection}-{Path(source.name).stem}"
    stem = re.sub(r"[^A-Za-z0-9]+", "-", readable).strip("-")[:80] or "clip"
    digest = hashlib.sha256("\n".join((source.collection, *names)).encode()).hexdigest()[:8]
    return f"{stem}-{digest}-{index:02d}"


def _duration_s(source: Source) -> float:
    path = source.folder / source.name
    try:
        return float(soundfile.info(path).duration)
    except (soundfile.LibsndfileError, OSError) as fault:
        raise UserError(f"{path} cannot be read: {fault}.", remedy="Convert it to WAV or FLAC.") from fault
