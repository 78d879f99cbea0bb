"""The baseline judged by the measures our own voice is judged by, and the clips that others measure."""

from __future__ import annotations

import argparse
import io
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from zipfile import BadZipFile

import numpy as np

from synth.atomic import write_atomically
from synth.baseline.model import DEFAULT_STEPS
from synth.corpus.clip_file import INT16_SCALE
from synth.errors import UserError
from synth.evaluate.distances import MEASURES, Sound, voice_distances
from synth.evaluate.recordings import Recording, extracted, held_out
from synth.evaluate.report_form import plain
from synth.evaluate.singing import Gesture, Singer
from synth.evaluate.statistics import Interval, mean_interval
from synth.features.analysis import analyse
from synth.spec.audio import SAMPLE_RATE_HZ
from synth.spec.controls import Float32Array

if TYPE_CHECKING:
    from synth.baseline.voice import WaveformVoice
    from synth.engine import Engine

log = logging.getLogger(__name__)

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


def save_clips(path: Path, clips: Sequence[GeneratedClip]) -> None:
    """Write clips as 16-bit samples, for a machine that measures what another one sang."""
    arrays: dict[str, Any] = {
        "recording_id": np.array([clip.recording_id for clip in clips]),
        "label": np.array([clip.label for clip in clips]),
        "seed": np.array([clip.seed for clip in clips]),
    }
    for number, clip in enumerate(clips):
        arrays[f"audio_{number}"] = np.round(np.clip(clip.audio, -1.0, 1.0) * INT16_SCALE).astype(np.int16)
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    write_atomically(path, content.getvalue())


def load_clips(path: Path) -> list[GeneratedClip]:
    """What save_clips wrote. UserError for another or a damaged file."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
            rows = zip(stored["recording_id"], stored["label"], stored["seed"], strict=True)
            return [
                GeneratedClip(
                    str(name), str(label), int(seed), stored[f"audio_{n}"].astype(np.float32) / np.float32(INT16_SCALE)
                )
                for n, (name, label, seed) in enumerate(rows)
            ]
    except (OSError, ValueError, KeyError, BadZipFile) as fault:
        raise UserError(f"The clips in {path.name} cannot be read: {fault}.", remedy="Generate them again.") from fault


def main() -> None:
    """`python -m synth.evaluate.baseline --corpus DIR --weights DIR --out DIR --clips N --device cuda`."""
    from synth.baseline.voice import WaveformVoice

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True, help="the run folder of the baseline")
    parser.add_argument("--out", type=Path, required=True, help="folder for clips.npz and baseline.json")
    parser.add_argument("--clips", type=int, default=60)
    parser.add_argument("--recordings", type=int, default=24, help="to measure distances from")
    parser.add_argument("--steps", type=int, default=DEFAULT_STEPS)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    singer = WaveformSinger(WaveformVoice.load(arguments.weights, arguments.device), arguments.steps)
    arguments.out.mkdir(parents=True, exist_ok=True)
    report = evaluate_baseline(singer, held_out(arguments.corpus, arguments.recordings))
    write_atomically(arguments.out / "baseline.json", json.dumps(plain(asdict(report)), indent=1).encode())
    log.info("%s", report)
    save_clips(arguments.out / "clips.npz", generate_clips(singer, arguments.corpus, arguments.clips))


if __name__ == "__main__":
    main()
