"""Voices whose liveliness is known, and a corpus of them in the place of recordings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from synth.corpus.clip_file import Clip, audio_sha256, to_float32, to_int16, write_clip
from synth.corpus.manifest import ClipRecord, Corpus, clip_path
from synth.features.analysis import analyse
from synth.spec import SAMPLE_RATE_HZ, Float32Array


def voice(duration_s: float, seed: int, *, wander: float = 1.0) -> Float32Array:
    """Harmonics whose pitch, level and colour wander at random, as a throat's do; `wander` 0: a machine."""
    rng = np.random.default_rng(seed)
    n = round(duration_s * SAMPLE_RATE_HZ)

    def drift(rate_hz: float) -> np.ndarray:
        knots = rng.standard_normal(max(int(duration_s * rate_hz), 2) + 2)
        return wander * np.interp(np.arange(n) / SAMPLE_RATE_HZ * rate_hz, np.arange(len(knots)), knots)

    phase = 2.0 * np.pi * np.cumsum(150.0 * 2.0 ** (12.0 * drift(8.0) / 1200.0)) / SAMPLE_RATE_HZ
    wave = sum(np.sin(k * phase) * 10.0 ** (1.5 * drift(6.0) / 20.0) / k for k in range(1, 13))
    hiss = 0.01 * rng.standard_normal(n)
    return (0.1 * (wave * 10.0 ** (1.0 * drift(6.0) / 20.0)) + wander * hiss).astype(np.float32)


def stored_recordings(folder: Path, sounds: Sequence[Float32Array]) -> Path:
    """Write a corpus whose real, modal, held-out recordings are `sounds` -> `folder`."""
    records = []
    for index, sound in enumerate(sounds):
        audio = to_int16(sound)
        heard = analyse(to_float32(audio))
        record = ClipRecord(
            id=f"voice-{index}",
            kind="real",
            collection="set",
            technique={"modal": 1.0},
            label="sung_note",
            split="test",
            family=f"set/{index}",
            licence="CC0-1.0",
            consent="given",
            attribution="",
            duration_s=len(sound) / SAMPLE_RATE_HZ,
            seed=None,
            sources=(f"set/{index}.flac",),
            gains_db=(0.0,),
            sha256=audio_sha256(audio),
        )
        clip = Clip(to_float32(audio), heard.lanes, heard.physical, heard.f0, heard.mfcc)
        write_clip(clip_path(folder, record.id), record.to_json(), audio, clip)
        records.append(record)
    Corpus(folder, records).save()
    return folder
