"""The peer: audio-diffusion-pytorch's model of its README, timed on this machine beside ours.

Raw-waveform diffusion with a U-Net of about 217 M parameters, v-diffusion, 50 steps on 2**18 stereo samples. A few
steps are timed and multiplied: every step does the same work. Weights are random; they do not change the time.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from synth.baseline.model import WaveformConfig, WaveformDiffusion
from synth.baseline.package import audio_diffusion
from synth.baseline.voice import WaveformVoice
from synth.diffusion.conditioning import CONDITION_DIM
from synth.spec.audio import HOP_SAMPLES, SAMPLE_RATE_HZ

_log = logging.getLogger(__name__)

PEER_SAMPLES = 2**18
PEER_STEPS = 50
PEER_S = PEER_SAMPLES / SAMPLE_RATE_HZ
_CHANNELS = 2
_README_MODEL = {
    "in_channels": _CHANNELS,
    "channels": [8, 32, 64, 128, 256, 512, 512, 1024, 1024],
    "factors": [1, 4, 4, 4, 2, 2, 2, 2, 2],
    "items": [1, 2, 2, 2, 2, 2, 2, 4, 4],
    "attentions": [0, 0, 0, 0, 0, 1, 1, 1, 1],
    "attention_heads": 8,
    "attention_features": 64,
}


@dataclass(frozen=True, slots=True)
class PeerFigures:
    """sample_s: what PEER_STEPS steps on audio_s seconds take, from `timed_steps` measured ones; processor_s: in
    processor time, over all threads."""

    name: str
    n_parameters: int
    threads: int
    timed_steps: int
    step_s: float
    sample_s: float
    processor_s: float
    audio_s: float
    realtime_factor: float


def time_peer(timed_steps: int = 3) -> PeerFigures:
    """Build the model and time its sampler on the CPU, after one step to warm up. Raises UserError without it."""
    model = _build()
    noise = torch.randn(1, _CHANNELS, PEER_SAMPLES, generator=torch.Generator().manual_seed(0))
    model.sample(noise, num_steps=1)
    step_s, processor_step_s = _timed(lambda: model.sample(noise, num_steps=timed_steps), timed_steps)
    n_parameters = sum(parameter.numel() for parameter in model.parameters())
    return _figures("audio-diffusion-pytorch", n_parameters, (step_s, processor_step_s), timed_steps)


def time_waveform_baseline(timed_steps: int = 3, run_dir: Path | None = None) -> PeerFigures:
    """The same for the waveform model of our size, mono, with the lanes as conditions; of a training run's weights, or
    random ones. Raises UserError without the library."""
    network = _baseline_network(run_dir)
    condition = torch.zeros(1, PEER_SAMPLES // HOP_SAMPLES, CONDITION_DIM)
    network.sample(condition, torch.Generator().manual_seed(0), 1)
    generator = torch.Generator().manual_seed(0)
    step_s, processor_step_s = _timed(lambda: network.sample(condition, generator, timed_steps), timed_steps)
    return _figures("waveform baseline", network.n_parameters, (step_s, processor_step_s), timed_steps)


def _baseline_network(run_dir: Path | None) -> WaveformDiffusion:
    if run_dir is not None:
        return WaveformVoice.load(run_dir).network
    torch.manual_seed(0)
    return WaveformDiffusion(WaveformConfig()).eval().requires_grad_(False)


def _timed(work: Callable[[], object], n_steps: int) -> tuple[float, float]:
    """Seconds and processor seconds of one of the steps that `work` makes."""
    began_s, started_s = time.process_time(), time.perf_counter()
    work()
    return (time.perf_counter() - started_s) / n_steps, (time.process_time() - began_s) / n_steps


def _figures(name: str, n_parameters: int, step: tuple[float, float], timed_steps: int) -> PeerFigures:
    step_s, processor_step_s = step
    return PeerFigures(
        name=name,
        n_parameters=n_parameters,
        threads=torch.get_num_threads(),
        timed_steps=timed_steps,
        step_s=step_s,
        sample_s=step_s * PEER_STEPS,
        processor_s=processor_step_s * PEER_STEPS,
        audio_s=PEER_S,
        realtime_factor=PEER_S / (step_s * PEER_STEPS),
    )


def _build() -> Any:
    library = audio_diffusion()
    torch.manual_seed(0)
    model = library.DiffusionModel(
        net_t=library.UNetV0, diffusion_t=library.VDiffusion, sampler_t=library.VSampler, **_README_MODEL
    )
    return model.eval()
