"""Clips of a corpus as listening hears them, beside what the ears heard in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from synth.corpus.clip_file import Clip
from synth.corpus.manifest import ClipRecord, Corpus, Split
from synth.errors import UserError
from synth.features.analysis import Analysis, technique_features
from synth.features.technique import load_technique_classifier
from synth.listening.heard import HOP_S, Heard
from synth.listening.listener import Listener
from synth.listening.phonation import N_NUMBERS
from synth.listening.reading import OUTPUTS, Reading
from synth.spec.audio import FRAME_RATE_HZ, SAMPLE_RATE_HZ
from synth.spec.controls import Float32Array
from synth.spec.lanes import TECHNIQUES

BLOCK_SAMPLES: Final = 256  # as a sound card gives it
LONGEST_S: Final = 4.0


@dataclass(frozen=True, slots=True)
class ClipHeard:
    """A clip of at most LONGEST_S, listened to.

    heard     one for every hop
    numbers   [n_frames, N_NUMBERS] at the end of every second hop
    clip      what the ears measured
    """

    record: ClipRecord
    clip: Clip
    audio: Float32Array
    heard: tuple[Heard, ...]
    numbers: Float32Array

    @property
    def name(self) -> str:
        """The technique it was labelled with most."""
        return max(self.record.technique, key=lambda name: self.record.technique[name])


def blank_reading() -> Reading:
    """A network that says nothing: for numbers that nobody has read yet."""
    outputs = len(OUTPUTS)
    zeros = np.zeros((N_NUMBERS, 1), dtype=np.float32)
    return Reading(
        mean=zeros[:, 0],
        scale=np.ones(N_NUMBERS, dtype=np.float32),
        weight1=zeros,
        bias1=np.zeros(1, dtype=np.float32),
        weight2=np.zeros((1, outputs), dtype=np.float32),
        bias2=np.zeros(outputs, dtype=np.float32),
    )


def listen(audio: Float32Array, rate_hz: float, reading: Reading | None = None) -> tuple[list[Heard], Float32Array]:
    """All of `audio` [n] in blocks -> what was heard, and the numbers of every second hop [n_frames, N_NUMBERS]."""
    listener = Listener(rate_hz, reading=reading)
    heard: list[Heard] = []
    numbers: list[Float32Array] = []
    for at in range(0, len(audio), BLOCK_SAMPLES):
        for hop in listener.push(audio[at : at + BLOCK_SAMPLES]):
            heard.append(hop)
            if len(heard) % 2 == 0:
                numbers.append(listener.numbers)
    return heard, np.asarray(numbers, dtype=np.float32).reshape(-1, N_NUMBERS)


def chosen_records(corpus: Corpus, split: Split, n_clips: int, seed: int) -> list[ClipRecord]:
    """At most `n_clips`, the techniques as evenly as the split has them, real recordings first."""
    rng = np.random.default_rng(seed)
    records = list(corpus.split(split))
    if not records:
        raise UserError(f"The corpus {corpus.folder} has no clips for {split}.", remedy="Build a larger corpus.")
    order = [records[index] for index in rng.permutation(len(records))]
    groups: dict[tuple[str, str], list[ClipRecord]] = {}
    for record in order:
        groups.setdefault((record.kind, max(record.technique, key=lambda name: record.technique[name])), []).append(
            record
        )
    chosen: list[ClipRecord] = []
    while len(chosen) < n_clips and any(groups.values()):
        for key in sorted(groups):
            if groups[key] and len(chosen) < n_clips:
                chosen.append(groups[key].pop())
    return chosen


def hear_clips(
    corpus: Corpus, records: Iterable[ClipRecord], reading: Reading | None, *, colour_seed: int | None = None
) -> Iterable[ClipHeard]:
    """Listen to each; with `colour_seed` through another microphone in another room every time."""
    rng = None if colour_seed is None else np.random.default_rng(colour_seed)
    for record in records:
        clip = corpus.load(record)
        audio = clip.audio[: round(LONGEST_S * SAMPLE_RATE_HZ)]
        if rng is not None:
            audio = _coloured(audio, rng)
        heard, numbers = listen(audio, SAMPLE_RATE_HZ, reading)
        yield ClipHeard(record, clip, audio, tuple(heard), numbers)


def technique_weights(clip: Clip) -> Float32Array:
    """What the ears' classifier says -> [n_frames, n techniques]."""
    analysis = Analysis(clip.n_frames, clip.f0, clip.lanes, clip.physical, clip.mfcc)
    return load_technique_classifier()(technique_features(analysis))


def labelled(record: ClipRecord) -> Float32Array:
    """What the clip was sung as -> [n techniques]."""
    return np.array([record.technique.get(name, 0.0) for name in TECHNIQUES], dtype=np.float32)


def at_frames(values: Float32Array, ends_s: Sequence[float] | Float32Array, behind_s: float) -> Float32Array:
    """Frame curves of the ears, read `behind_s` before `ends_s` [n] -> [n, ...]; held at the clip's ends."""
    index = np.floor((np.asarray(ends_s, dtype=np.float64) - behind_s) * FRAME_RATE_HZ)
    return values[np.clip(index, 0, len(values) - 1).astype(np.int64)]


def frame_ends_s(n_frames: int) -> Float32Array:
    """When the frames of phonation end -> [n_frames]."""
    return (2.0 * HOP_S * (np.arange(n_frames) + 1)).astype(np.float32)


def _coloured(audio: Float32Array, rng: np.random.Generator) -> Float32Array:
    """Tilted by up to 1.5 dB an octave around 1 kHz one way or the other, with room noise 35-60 dB below it."""
    spectrum = np.fft.rfft(audio)
    frequencies = np.fft.rfftfreq(len(audio), 1.0 / SAMPLE_RATE_HZ)
    octaves = np.clip(np.log2(np.maximum(frequencies, 60.0) / 1_000.0), -4.0, 3.5)
    tilted = np.fft.irfft(spectrum * 10.0 ** (rng.uniform(-1.5, 1.5) * octaves / 20.0), len(audio))
    rms = float(np.sqrt(np.mean(audio.astype(np.float64) ** 2)))
    noise = rms * 10.0 ** (-rng.uniform(35.0, 60.0) / 20.0) * rng.standard_normal(len(audio))
    return np.clip(tilted + noise, -1.0, 1.0).astype(np.float32)
