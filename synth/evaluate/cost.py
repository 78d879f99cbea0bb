"""Cost beside quality: what the model weighs, how fast it sings, how much memory a render takes.

Times are wall-clock; the processor time beside them says whether the machine was free.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from synth.engine import CODEC_FILE, DEFAULT_WEIGHTS_DIR, DENOISER_FILE, PLANS, Engine, Quality
from synth.evaluate.distances import log_mel, log_mel_distance
from synth.evaluate.singing import Gesture, Singer, neutral_controls
from synth.evaluate.workbench import Render, Rendering
from synth.spec.audio import FRAME_RATE_HZ
from synth.spec.controls import Float32Array

_WARM_UP_S = 1.6
_REPEATS = 3
_MODELS_DIR = DEFAULT_WEIGHTS_DIR.parent
# getrusage counts kilobytes, but on macOS bytes.
_PEAK_UNIT = 1 if sys.platform == "darwin" else 1024
_BYTES_PER_MB = 2**20
_TINY = 1e-20


@dataclass(frozen=True, slots=True)
class CostReport:
    """The median of three times on one long passage; latents and audio from scratch, nothing cached.

    parameters      part -> count
    weights_mb      the voice's two files; shipped_mb: everything that is installed as a model
    times_realtime  seconds of sound per second of work
    processor_s     processor time of that work, over all threads: far under sample_s + decode_s times the threads
                    where the machine was busy with something else
    peak_memory_mb  of this process so far, interpreter and libraries included
    renderings      the product's own renderer in fresh processes, one a length
    packing         what playing the networks packed, in part in bfloat16, costs; None where they are not packed
    """

    weights_hash: str
    quality: str
    device: str
    threads: int
    n_steps: int
    parameters: Mapping[str, int]
    weights_mb: float
    shipped_mb: float
    passage_s: float
    sample_s: float
    decode_s: float
    processor_s: float
    times_realtime: float
    peak_memory_mb: float
    renderings: tuple[Rendering, ...]
    packing: PackingError | None


@dataclass(frozen=True, slots=True)
class PackingError:
    """The same passage sung packed and plain, same seed.

    latents_db    power of the difference of the latents under the latents' own
    spectrum_db   distance of log-mel spectra, latents and decoder both packed against both plain
    """

    latents_db: float
    spectrum_db: float


def evaluate_cost(
    singer: Singer,
    weights_dir: Path | None = None,
    passage_s: float = 24.0,
    *,
    render: Render | None = None,
    render_s: Sequence[float] = (),
) -> CostReport:
    """Sing a passage that moves, once to warm up and then three times; render passages of `render_s` seconds."""
    engine = singer.engine
    folder = weights_dir or DEFAULT_WEIGHTS_DIR
    sample_s, decode_s, processor_s = singing_times(singer, passage_s)
    peak_mb = peak_memory_mb()
    return CostReport(
        weights_hash=engine.weights_hash,
        quality=singer.quality,
        device=engine.device_name,
        threads=n_threads(engine),
        n_steps=PLANS[Quality(singer.quality)].n_steps,
        parameters={
            "codec": sum(parameter.numel() for parameter in engine.codec.parameters()),
            "denoiser": sum(parameter.numel() for parameter in engine.denoiser.parameters()),
        },
        weights_mb=sum((folder / name).stat().st_size for name in (CODEC_FILE, DENOISER_FILE)) / _BYTES_PER_MB,
        shipped_mb=sum(path.stat().st_size for path in _MODELS_DIR.rglob("*.safetensors")) / _BYTES_PER_MB,
        passage_s=passage_s,
        sample_s=sample_s,
        decode_s=decode_s,
        times_realtime=passage_s / (sample_s + decode_s),
        processor_s=processor_s,
        peak_memory_mb=peak_mb,
        renderings=() if render is None else tuple(render(seconds, singer.quality) for seconds in render_s),
        packing=packing_error(singer),
    )


def packing_error(singer: Singer, passage_s: float = 8.0) -> PackingError | None:
    """Sing a passage as it is played and as it was trained; None where that is the same."""
    engine = singer.engine
    if not engine.is_packed:
        return None
    gesture = _passage(passage_s)

    def sung() -> tuple[Float32Array, Float32Array]:
        latents = singer.latents(gesture, 0)
        return latents, singer.decode(latents, gesture.controls, 0)

    packed, packed_audio = sung()
    engine.repack(is_plain=True)
    try:
        plain, plain_audio = sung()
    finally:
        engine.repack()
    difference = np.mean(np.square(packed - plain, dtype=np.float64)) / np.mean(np.square(plain, dtype=np.float64))
    a, b = log_mel(packed_audio), log_mel(plain_audio)
    return PackingError(
        latents_db=10.0 * float(np.log10(difference + _TINY)),
        spectrum_db=log_mel_distance(a, b, np.ones(len(a), dtype=np.bool_)),
    )


def singing_times(singer: Singer, passage_s: float) -> tuple[float, float, float]:
    """Seconds to sample and to decode a passage that moves, and processor seconds of both: the median of three times
    after one to warm up; nothing is cached."""
    singer.sing(_passage(_WARM_UP_S), 0)
    gesture = _passage(passage_s)
    times = []
    for seed in range(_REPEATS):
        began_s, started_s = time.process_time(), time.perf_counter()
        latents = singer.latents(gesture, seed)
        sampled_s = time.perf_counter()
        singer.decode(latents, gesture.controls, seed)
        times.append((sampled_s - started_s, time.perf_counter() - sampled_s, time.process_time() - began_s))
    return sorted(times, key=lambda found: found[0] + found[1])[_REPEATS // 2]


def n_threads(engine: Engine) -> int:
    """Threads that sample beside each other."""
    return getattr(engine.threads, "_max_workers", 1)


def peak_memory_mb() -> float:
    """Largest resident set of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _PEAK_UNIT / _BYTES_PER_MB


def _passage(duration_s: float) -> Gesture:
    """Pitch and breathiness that never stand still."""
    at_s = np.arange(round(duration_s * FRAME_RATE_HZ)) / FRAME_RATE_HZ
    lanes: dict[str, float | Float32Array] = {
        "pitch": (57.0 + 5.0 * np.sin(2.0 * np.pi * at_s / 3.0)).astype(np.float32),
        "breathiness": (0.4 + 0.3 * np.sin(2.0 * np.pi * at_s / 5.0)).astype(np.float32),
    }
    return Gesture(neutral_controls(len(at_s), lanes))
