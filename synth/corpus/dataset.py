"""A whole split in memory, and random excerpts of it for training. Torch-free.

Memory is about 11 MB a minute: audio stays int16, frame features float16 (pitch and F0 float32).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from synth.corpus.clip_file import INT16_SCALE, audio_sha256, read_arrays
from synth.corpus.manifest import ClipRecord, Corpus, Split
from synth.corpus.weighting import draw_chances
from synth.errors import UserError
from synth.features.analysis import analyse
from synth.spec import HOP_SAMPLES, TECHNIQUES, Float32Array, lane, n_frames_for

# A gain of g dB adds this much to c0: each of the mel bands' natural-log powers rises by g * ln(10) / 10, and the
# orthonormal DCT's first basis vector is 1 / sqrt(bands) everywhere.
N_MEL_BANDS: Final = 64
C0_PER_DB: Final = math.sqrt(N_MEL_BANDS) * math.log(10.0) / 10.0
AUGMENT_RANGE_DB: Final = 6.0
PEAK_LIMIT: Final = 0.99
# Levels in dB re full scale, which move with the gain; everything else is a ratio or a frequency.
LEVEL_KEYS: Final = ("lane.loudness", "true.loudness", "phys.loudness_db", "phys.aperiodic_db")
FLOOR_DB: Final = -85.0
_SILENCE_SAMPLES: Final = 60 * HOP_SAMPLES


class ClipStore:
    """One split of a corpus, loaded whole."""

    def __init__(self, corpus: Corpus, split: Split) -> None:
        self.records: tuple[ClipRecord, ...] = tuple(corpus.split(split))
        if not self.records:
            raise UserError(f"The corpus {corpus.folder} has no clips for {split}.", remedy="Build a larger corpus.")
        stored = [_checked_arrays(corpus, record) for record in self.records]
        self._n_frames = np.array([n_frames_for(len(arrays["audio"])) for arrays in stored])
        self._first_frame = np.concatenate([[0], np.cumsum(self._n_frames)[:-1]])
        self._audio = np.zeros((int(self._n_frames.sum()), HOP_SAMPLES), dtype=np.int16)
        for arrays, first, n_frames in zip(stored, self._first_frame, self._n_frames, strict=True):
            audio = arrays.pop("audio")
            self._audio[first : first + n_frames].reshape(-1)[: len(audio)] = audio
        names = sorted({name for arrays in stored for name in arrays})
        self._features = {name: _joined(name, stored, self._n_frames) for name in names}
        self._silence = _silence_features()
        self._technique = np.array(
            [[record.technique.get(name, 0.0) for name in TECHNIQUES] for record in self.records], dtype=np.float32
        )
        self._is_real = np.array([record.kind == "real" for record in self.records], dtype=np.bool_)
        self._chances: dict[tuple[float, float], NDArray[np.float64]] = {}

    @property
    def duration_s(self) -> float:
        """Of all clips together."""
        return float(sum(record.duration_s for record in self.records))

    def fingerprint(self) -> bytes:
        """Changes with the sound of any clip and with anything measured in it."""
        digest = hashlib.sha256()
        for record in self.records:
            digest.update(f"{record.id} {record.sha256}\n".encode())
        for name, values in self._features.items():
            digest.update(f"{name} {values.dtype} {values.shape}\n".encode())
            digest.update(np.ascontiguousarray(values).tobytes())
        return digest.digest()

    @property
    def names(self) -> tuple[str, ...]:
        """Frame features an excerpt holds: "lane.<id>", "phys.<name>", "true.<id>", "exc.<name>", "f0_hz", ..."""
        return tuple(self._features)

    def random_excerpts(
        self,
        rng: np.random.Generator,
        n: int,
        n_frames: int,
        *,
        real_fraction: float = 0.5,
        balance: float = 0.5,
        augment_db: float = AUGMENT_RANGE_DB,
        with_audio: bool = True,
    ) -> dict[str, NDArray[Any]]:
        """`n` excerpts of `n_frames` frames, a function of `rng`'s state and the arguments alone.

        real_fraction  chance of a recorded clip (where only one kind is there, it is taken)
        balance        0: clips are drawn by duration; 1: all techniques alike; between: see synth.corpus.weighting
        augment_db     largest gain, either way; held back where the peak would pass full scale
        with_audio     False leaves "audio" empty, which is much faster; nothing holds the gain back then

        Excerpts may begin before a clip or end after it, by an eighth or as much as a short clip needs: there is
        silence there, presence is 0, and the lanes of timbre, technique and pitch are held.

        -> "audio" float32 [n, n_frames * 480]; every name of `names` float32 [n, n_frames] ("voiced" bool, "mfcc"
        [n, n_frames, 17]; NaN where not measured, and in "true." and "exc." of recorded clips); "technique" [n, 8];
        "is_real" bool [n]; "inside" bool [n, n_frames], false beyond the clip; "clip" int [n], an index into
        `records`; "start_frame" int [n]; "gain_db" [n].
        """
        clips = rng.choice(len(self.records), size=n, p=self.chances(real_fraction, balance))
        slack = max(n_frames // 8, 1)
        longest_start = np.maximum(self._n_frames[clips] - n_frames, 0) + slack
        earliest_start = np.minimum(self._n_frames[clips] - n_frames, 0) - slack
        starts = rng.integers(earliest_start, longest_start + 1)
        gains_db = rng.uniform(-augment_db, augment_db, n)
        return self.excerpts(clips, starts, n_frames, gains_db, with_audio=with_audio)

    def excerpts(
        self,
        clips: NDArray[np.int64],
        starts: NDArray[np.int64],
        n_frames: int,
        gains_db: NDArray[np.float64],
        *,
        with_audio: bool = True,
    ) -> dict[str, NDArray[Any]]:
        """The excerpts asked for, as `random_excerpts` describes them; clips, starts and gains are [n]."""
        index = starts[:, None] + np.arange(n_frames)
        length = self._n_frames[clips][:, None]
        inside = (index >= 0) & (index < length)
        rows = self._first_frame[clips][:, None] + np.clip(index, 0, length - 1)
        audio = self._audio[rows if with_audio else rows[:, :0]].astype(np.float32) / np.float32(INT16_SCALE)
        audio[~inside if with_audio else ~inside[:, :0]] = 0.0
        audio = audio.reshape(len(clips), -1)
        result: dict[str, NDArray[Any]] = {name: values[rows] for name, values in self._features.items()}
        for name, values in result.items():
            result[name] = values if values.dtype == np.bool_ else values.astype(np.float32)
        self._silence_outside(result, inside)
        peak = np.maximum(np.abs(audio).max(axis=1, initial=0.0), 1e-6)
        headroom_db = np.maximum(20.0 * np.log10(PEAK_LIMIT / peak), 0.0)
        applied_db = np.minimum(gains_db, headroom_db).astype(np.float32)
        _apply_gain(result, applied_db)
        return result | {
            "audio": audio * (10.0 ** (applied_db / 20.0)).astype(np.float32)[:, None],
            "technique": self._technique[clips],
            "is_real": self._is_real[clips],
            "inside": inside,
            "clip": clips,
            "start_frame": np.asarray(starts, dtype=np.int64),
            "gain_db": applied_db,
        }

    def n_frames(self, clip: int) -> int:
        """Length of a clip, an index into `records`."""
        return int(self._n_frames[clip])

    def chances(self, real_fraction: float, balance: float) -> NDArray[np.float64]:
        """Probability that `random_excerpts` draws each clip -> [number of clips], sum 1; not to be written to."""
        key = (real_fraction, balance)
        if key not in self._chances:
            self._chances[key] = draw_chances(self.records, real_fraction, balance)
        return self._chances[key]

    def frames(self, name: str, clips: NDArray[np.int64], within: NDArray[np.int64]) -> NDArray[Any]:
        """One feature at frames `within` of `clips`, both [n]; beyond a clip's ends as `random_excerpts` says."""
        length = self._n_frames[clips]
        values = self._features[name][self._first_frame[clips] + np.clip(within, 0, length - 1)]
        values = values if values.dtype == np.bool_ else values.astype(np.float32)
        if name in self._silence:
            values[(within < 0) | (within >= length)] = self._silence[name]
        return values

    def _silence_outside(self, result: dict[str, NDArray[Any]], inside: NDArray[np.bool_]) -> None:
        outside = ~inside
        for name, values in self._silence.items():
            if name in result:
                result[name][outside] = values
        for name in ("true.presence", "true.loudness"):
            if name in result:
                silent = np.where(np.isnan(result[name]), np.nan, lane(name.removeprefix("true.")).minimum)
                result[name] = np.where(outside, silent, result[name]).astype(np.float32)


def _checked_arrays(corpus: Corpus, record: ClipRecord) -> dict[str, NDArray[Any]]:
    _, arrays = read_arrays(corpus.path(record))
    if audio_sha256(arrays["audio"]) != record.sha256:
        raise UserError(f"The clip {record.id} is not what the manifest says.", remedy="Build the corpus again.")
    return arrays


def _joined(name: str, stored: list[dict[str, NDArray[Any]]], n_frames: NDArray[np.int64]) -> NDArray[Any]:
    """One feature of all clips, end to end; NaN where a clip lacks it."""
    example = next(arrays[name] for arrays in stored if name in arrays)
    parts = []
    for arrays, frames in zip(stored, n_frames, strict=True):
        missing = np.full((frames, *example.shape[1:]), np.nan, dtype=np.float16)
        parts.append(arrays.pop(name, missing).astype(example.dtype))
    return np.concatenate(parts)


def _silence_features() -> dict[str, Any]:
    """What the ears say of digital silence: the features that stand beyond a clip's ends."""
    analysis = analyse(np.zeros(_SILENCE_SAMPLES, dtype=np.float32))
    middle = analysis.n_frames // 2
    held = {"lane.ingress", "lane.pitch"}
    silence: dict[str, Any] = {"voiced": False, "confidence": 0.0, "mfcc": analysis.mfcc[middle].astype(np.float32)}
    silence |= {
        f"lane.{name}": values[middle]
        for name, values in analysis.lanes.items()
        if f"lane.{name}" not in held and not name.startswith("technique.")
    }
    return silence | {f"phys.{name}": values[middle] for name, values in analysis.physical.items()}


def _apply_gain(result: Mapping[str, NDArray[Any]], gains_db: Float32Array) -> None:
    """Move levels as the audio's gain will; frames at the floor of the ears stay there. In place."""
    sounding = result["phys.loudness_db"] > FLOOR_DB
    step_db = np.where(sounding, gains_db[:, None], np.float32(0.0))
    loudness = lane("loudness")
    for name in LEVEL_KEYS:
        if name in result:
            result[name][...] += step_db
            if not name.startswith("phys."):
                np.clip(result[name], loudness.minimum, loudness.maximum, out=result[name])
    result["mfcc"][..., 0] += step_db * np.float32(C0_PER_DB)
