"""The baseline judged by the measures our own voice is judged by, and the clips that others measure."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from synth.baseline.model import DEFAULT_STEPS
from synth.evaluate.distances import MEASURES, Sound, voice_distances
from synth.evaluate.recordings import Recording, extracted, held_out
from synth.evaluate.singing import Gesture, Singer
from synth.evaluate.statistics import Interval, mean_interval
from synth.features.analysis import analyse
from synth.spec.audio import SAMPLE_RATE_HZ
from synth.spec.controls import Float32Array

if TYPE_CHECKING:
    from synth.baseline.voice import WaveformVoice
    from synth.engine import Engine

Progress = Callable[[int, int], None]


class WaveformSinger(Singer):
    """The baseline wherever an evaluation wants somebody who sings. It has no latents: their evaluations do not fit."""

    def __init__(self, voice: WaveformVoice, n_steps: int = DEFAULT_STEPS) -> None:
        super().__init__(cast("Engine", voice), f"{n_steps} steps")  # evaluations ask an engine for its hash alone
        self.voice = voice
        self.n_steps = n_steps

    def sing(self, gesture: Gesture, seed: int) -> Float32Array:
        """Mono audio [n_frames * HOP_SAMPLES], drawn in one piece."""
        return self.voice.sing(gesture.controls, seed=seed, timbre=gesture.timbre, n_steps=self.n_steps)

    def latents(self, gesture: Gesture, seed: int) -> Float32Array:
        """Not to be had. Raises TypeError."""
        raise TypeError("the waveform baseline has no latents")

    def decode(self, latents: Float32Array, controls: Any, seed: int) -> Float32Array:
        """Not to be had. Raises TypeError."""
        raise TypeError("the waveform baseline has no latents")


@dataclass(frozen=True, slots=True)
class GeneratedClip:
    """What the baseline made of one held-out recording's lanes; audio [n_samples] mono, 48 kHz."""

    recording_id: str
    label: str
    seed: int
    audio: Float32Array


@dataclass(frozen=True, slots=True)
class BaselineReport:
    """Distances of the baseline's renders from the recordings their lanes were extracted from; smaller is closer.

    realtime_factor   seconds of audio a second of sampling, on `device`
    """

    weights_hash: str
    n_parameters: int
    n_steps: int
    device: str
    n_recordings: int
    realtime_factor: float
    training: Mapping[str, Any]
    measures: Mapping[str, Interval]


def generate_clips(
    singer: Singer,
    corpus_dir: Path,
    n: int,
    labels: Sequence[str] = (),
    *,
    first_seed: int = 0,
    on_progress: Progress | None = None,
) -> list[GeneratedClip]:
    """`n` clips sung from the lanes of held-out recordings, in turn; a recording's second clip has another seed."""
    recordings = held_out(corpus_dir, n, labels)
    gestures = [extracted(analyse(recording.audio)) for recording in recordings]
    clips = []
    for number in range(n):
        turn, index = divmod(number, len(recordings))
        seed = first_seed + turn
        audio = singer.sing(gestures[index], seed)
        clips.append(GeneratedClip(recordings[index].id, recordings[index].label, seed, audio))
        if on_progress is not None:
            on_progress(number + 1, n)
    return clips


def evaluate_baseline(
    singer: WaveformSinger, recordings: Sequence[Recording], on_progress: Progress | None = None
) -> BaselineReport:
    """Sing every recording's extracted lanes and measure how far that is from it, as for our own model."""
    distances, sampling_s, audio_s = [], 0.0, 0.0
    for done, recording in enumerate(recordings):
        real = Sound.of(recording.audio)
        gesture = extracted(real.analysis)
        started_s = time.perf_counter()
        made = singer.sing(gesture, 0)
        sampling_s += time.perf_counter() - started_s
        audio_s += len(made) / SAMPLE_RATE_HZ
        distances.append(voice_distances(Sound.of(made), real))
        if on_progress is not None:
            on_progress(done + 1, len(recordings))
    voice = singer.voice
    return BaselineReport(
        voice.weights_hash,
        voice.network.n_parameters,
        singer.n_steps,
        str(voice.device),
        len(recordings),
        audio_s / max(sampling_s, 1e-9),
        {name: voice.config.get(name) for name in ("steps", "seconds", "recipe")},
        {name: mean_interval([found[name] for found in distances]) for name in MEASURES},
    )
