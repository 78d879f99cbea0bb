"""What playing costs here: processor time of the decoder and of the sampler, for doctor, bench and the documents."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from synth.codec.layout import EXPLICIT_NAMES, N_EXPLICIT, compress_explicit
from synth.codec.model import Codec
from synth.diffusion.conditioning import CONDITION_DIM
from synth.diffusion.unet import Denoiser
from synth.spec.audio import FRAME_RATE_HZ, HOP_SAMPLES, SAMPLE_RATE_HZ
from synth.streaming.decoder import StreamingDecoder
from synth.streaming.sampler import CONTEXT_FRAMES, BlockRequest, StreamingSampler

# A note with everything that costs: false folds, sub-harmonics, jitter, drift.
_EXPLICIT = {
    "roughness_depth": 0.4, "roughness_rate_hz": 80.0, "subharmonic_depth": 0.2, "jitter_ratio": 0.02,
    "drift_cents": 12.0,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class BlockCost:
    """Processor time of blocks of one size, by time.process_time of this process.

    load        share of one core that playing in real time takes
    median_ms   wall time of a block, for the decoder without `prepare`, which is called between blocks;
                `worst_ms` the slowest of them, the rest of the machine included
    """

    n_voices: int
    n_samples: int
    load: float
    median_ms: float
    worst_ms: float


def decoder_cost(
    codec: Codec, n_voices: int, n_samples: int, *, seconds: float = 1.0, frames_at_once: int = 2
) -> BlockCost:
    """Play n_voices rough notes in blocks of `n_samples` for `seconds` of sound."""
    rng = np.random.default_rng(0)
    n_frames = int(seconds * FRAME_RATE_HZ)
    explicit = {name: np.full(1, _EXPLICIT[name], dtype=np.float32) for name in EXPLICIT_NAMES}
    decoder = StreamingDecoder(codec, n_voices, frames_at_once=frames_at_once, makes_frames=False)
    for voice in range(n_voices):
        latents = rng.standard_normal((n_frames + HOP_SAMPLES // 8, codec.config.latent_dim)).astype(np.float32)
        latents[:, -N_EXPLICIT:] = compress_explicit(explicit).T
        decoder.begin(voice, voice, f0_hz=220.0, pitch_drift=0.5, delay_samples=37 * voice)
        decoder.push(voice, latents)
    hz = np.repeat(np.linspace(120.0, 480.0, n_voices)[:, None], n_samples, axis=1)
    out = np.empty((n_voices, n_samples), dtype=np.float32)
    n_blocks = int(seconds * SAMPLE_RATE_HZ / n_samples)
    load, walls = _timed(lambda: decoder.process(hz, out), n_blocks, n_samples / SAMPLE_RATE_HZ, decoder.prepare)
    return BlockCost(n_voices, n_samples, load, *walls)


def sampler_cost(
    denoiser: Denoiser,
    n_voices: int,
    n_frames: int,
    n_steps: int,
    *,
    context_frames: int = CONTEXT_FRAMES,
    packed: bool = False,
) -> BlockCost:
    """Draw blocks of `n_frames` for n_voices in one call each, once their context is full."""
    scale = np.ones(denoiser.config.latent_dim, dtype=np.float32)
    sampler = StreamingSampler(denoiser, 0 * scale, scale, n_voices, context_frames=context_frames, packed=packed)
    condition = np.zeros((n_frames, CONDITION_DIM), dtype=np.float32)
    for voice in range(n_voices):
        sampler.begin(voice, voice)
    requests = [BlockRequest(voice, condition) for voice in range(n_voices)]
    for _ in range(-(-context_frames // n_frames)):
        sampler.draw(requests, n_steps)
    load, walls = _timed(lambda: sampler.draw(requests, n_steps), 12, n_frames / FRAME_RATE_HZ)
    return BlockCost(n_voices, n_frames * HOP_SAMPLES, load, *walls)


def _nothing() -> None:
    """For work that needs nothing between."""


def _timed(
    work: Callable[[], object], n_times: int, block_s: float, between: Callable[[], None] = _nothing
) -> tuple[float, tuple[float, float]]:
    """-> (processor seconds of both for each second of sound, (median, worst) wall milliseconds of one `work`)."""
    between()
    work()  # what the first call builds is not the cost of the others
    walls_ms = np.empty(n_times)
    before = time.process_time()
    for index in range(n_times):
        between()
        start = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        walls_ms[index] = 1e3 * (time.perf_counter() - start)
    load = (time.process_time() - before) / (n_times * block_s)
    return load, (float(np.median(walls_ms)), float(walls_ms.max()))
