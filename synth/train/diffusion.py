"""Training the denoiser: latents of recorded and simulated voice, conditioned on what the ears measured in them.

Read from the top: an excerpt is encoded by the frozen codec; its measured lanes become the condition, thinned out at
random so that every lane and pathway can be absent; the network learns v at a random noise level.
"""

from __future__ import annotations

import argparse
import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from synth.codec.layout import N_EXPLICIT
from synth.codec.model import Codec
from synth.codec.weights import save_weights
from synth.corpus.dataset import ClipStore
from synth.corpus.manifest import Corpus
from synth.diffusion.conditioning import (
    TIMBRE_DIM,
    TimbreScale,
    condition_array,
    lane_columns,
    pathway_slices,
)
from synth.diffusion.solvers import MAX_ANGLE
from synth.diffusion.unet import Denoiser, DenoiserConfig
from synth.spec.audio import WINDOW_FRAMES
from synth.spec.lanes import TECHNIQUES
from synth.train.latents import LatentStore, encode
from synth.train.loop import LoopConfig, LoopReport, describe, train

log = logging.getLogger(__name__)

Arrays = dict[str, NDArray[Any]]
BATCH_SIZE = 32
REAL_FRACTION = 0.5
_EXPLICIT_WEIGHT = 2.0
_PATHWAY_DROP = 0.1
_LANE_DROP = 0.15
_ALL_DROP = 0.05
_SMOOTHING_FRAMES = (1, 1, 9, 31, 2 * WINDOW_FRAMES)
_CONDITION_LANES = (
    "presence", "loudness", "breathiness", "roughness", "fry", "tension", "ingress",
    "vowel_open", "vowel_front", "tract",
)  # fmt: skip


def smooth_where(values: NDArray[np.float32], weight: NDArray[np.float32], width_frames: int) -> NDArray[np.float32]:
    """Moving average of `values` [n_frames] over frames of weight > 0 and finite value; NaN where there are none."""
    if width_frames <= 1:
        return values
    good = np.isfinite(values) * weight
    kernel = np.ones(min(width_frames, 2 * len(values) - 1))
    half = len(kernel) // 2
    total = np.convolve(np.nan_to_num(values) * good, kernel)[half : half + len(values)]
    count = np.convolve(good, kernel)[half : half + len(values)]
    with np.errstate(invalid="ignore", divide="ignore"):
        averaged = np.where(count > 1e-6, total / np.maximum(count, 1e-6), np.nan)
    return np.where(np.isfinite(values), averaged, np.nan).astype(np.float32)


def gesture_like(arrays: Arrays, index: int, rng: np.random.Generator) -> dict[str, NDArray[np.float32]]:
    """Lanes of one excerpt as somebody might draw them: measured, but smoothed by a random amount."""
    present = (np.nan_to_num(arrays["lane.presence"][index]) > 0.5).astype(np.float32)
    lanes = {}
    width = int(rng.choice(_SMOOTHING_FRAMES))
    for lane_id in _CONDITION_LANES:
        values = arrays[f"lane.{lane_id}"][index].astype(np.float32)
        lanes[lane_id] = values if lane_id == "presence" else smooth_where(values, present, width)
    note = 69.0 + 12.0 * np.log2(arrays["f0_hz"][index] / 440.0)
    # A drawn pitch says nothing about voicing: breathiness and technique do. So often tell it everywhere.
    everywhere = rng.random() < 0.6
    lanes["pitch"] = np.where(arrays["voiced"][index] | everywhere, note, np.nan).astype(np.float32)
    for column, name in enumerate(TECHNIQUES):
        lanes[f"technique.{name}"] = np.full(len(present), arrays["technique"][index, column], dtype=np.float32)
    return lanes


def timbre_of(mfcc: NDArray[np.float32], presence: NDArray[np.float32]) -> NDArray[np.float32]:
    """Time-mean of the cepstra c1..c16 over frames where somebody sings: [n_frames, 17] -> [TIMBRE_DIM], or NaN."""
    sung = np.nan_to_num(presence) > 0.5
    if not sung.any():
        return np.full(TIMBRE_DIM, np.nan, dtype=np.float32)
    return mfcc[sung, 1 : TIMBRE_DIM + 1].mean(axis=0).astype(np.float32)


def timbre_reference(arrays: Arrays, index: int, rng: np.random.Generator) -> NDArray[np.float32] | None:
    """None, a speaker's time-mean cepstra, or (a recording as reference) cepstra over time."""
    choice = rng.random()
    if choice < 0.35:
        return None
    cepstra = arrays["mfcc"][index, :, 1 : TIMBRE_DIM + 1].astype(np.float32)
    if choice < 0.75:
        return timbre_of(arrays["mfcc"][index].astype(np.float32), arrays["lane.presence"][index])
    present = (np.nan_to_num(arrays["lane.presence"][index]) > 0.5).astype(np.float32)
    return np.stack([smooth_where(cepstra[:, c], present, 7) for c in range(TIMBRE_DIM)], axis=-1)


def thin_out(condition: NDArray[np.float32], rng: np.random.Generator) -> None:
    """Drop lanes and pathways of one condition [n_frames, CONDITION_DIM] in place; presence always stays."""
    slices, columns = pathway_slices(), lane_columns()
    everything = rng.random() < _ALL_DROP
    kept = condition[:, columns["presence"]].copy()
    for part in slices.values():
        if everything or rng.random() < _PATHWAY_DROP:
            condition[:, part] = 0.0
    for part in columns.values():
        if rng.random() < _LANE_DROP:
            condition[:, part] = 0.0
    condition[:, columns["presence"]] = kept


def make_batch(
    store: LatentStore, statistics: Statistics, rng: np.random.Generator, batch_size: int = BATCH_SIZE
) -> dict[str, Tensor]:
    """Draw excerpts -> clean latents [B, T, C] scaled to unit variance, condition, noise level and noise."""
    latents, arrays = store.random_excerpts(rng, batch_size, WINDOW_FRAMES, real_fraction=REAL_FRACTION)
    latents = (latents - statistics.mean) / statistics.std
    conditions = []
    for index in range(batch_size):
        lanes = gesture_like(arrays, index, rng)
        condition = condition_array(lanes, timbre_reference(arrays, index, rng), statistics.timbre)
        thin_out(condition, rng)
        conditions.append(condition)
    # Stratified over the angle of the cosine schedule: every batch sees all noise levels.
    angle = (np.arange(batch_size) + rng.random(batch_size)) / batch_size * (MAX_ANGLE - 0.004) + 0.004
    return {
        "latents": torch.from_numpy(latents.astype(np.float32)),
        "condition": torch.from_numpy(np.stack(conditions)),
        "sigma": torch.from_numpy(np.tan(0.5 * math.pi * rng.permutation(angle)).astype(np.float32)),
        "noise": torch.from_numpy(rng.standard_normal(latents.shape, dtype=np.float32)),
    }


def typical_timbres(store: ClipStore, scale: TimbreScale, n_excerpts: int = 600) -> dict[str, NDArray[np.float32]]:
    """For each technique the time-mean cepstra of its most typical excerpt (the medoid), recorded ones where they are.

    A passage that names no timbre gets these, so that a voice stays one voice from cell to cell.
    """
    rng = np.random.default_rng(1)
    arrays = store.random_excerpts(rng, n_excerpts, WINDOW_FRAMES, real_fraction=0.6, balance=1.0, augment_db=0.0)
    means = np.stack([timbre_of(arrays["mfcc"][i], arrays["lane.presence"][i]) for i in range(n_excerpts)])
    strongest, known = arrays["technique"].argmax(1), np.isfinite(means).all(1) & (arrays["technique"].max(1) > 0.8)
    typical = {}
    for column, name in enumerate(TECHNIQUES):
        of_technique = known & (strongest == column)
        recorded = of_technique & arrays["is_real"] & (arrays["lane.ingress"].mean(1) < 0.5)
        chosen = means[recorded if recorded.sum() >= 8 else of_technique]
        if len(chosen):
            distance = np.square(scale.normalise(chosen) - np.median(scale.normalise(chosen), axis=0)).sum(1)
            typical[name] = chosen[distance.argmin()]
    return typical


class Statistics:
    """What scales latents and cepstra to unit variance; part of the weights."""

    def __init__(
        self,
        mean: NDArray[np.float32],
        std: NDArray[np.float32],
        timbre: TimbreScale,
        technique_timbre: dict[str, NDArray[np.float32]],
    ) -> None:
        self.mean, self.std, self.timbre = mean, std, timbre
        self.technique_timbre = technique_timbre

    @classmethod
    def measure(cls, store: ClipStore, codec: Codec, n_batches: int = 24) -> Statistics:
        """From random excerpts where somebody sings (silence would shrink every spread)."""
        rng = np.random.default_rng(0)
        latents, cepstra = [], []
        for _ in range(n_batches):
            arrays = store.random_excerpts(rng, BATCH_SIZE, WINDOW_FRAMES, real_fraction=REAL_FRACTION)
            sung = np.nan_to_num(arrays["lane.presence"]) > 0.5
            latents.append(encode(codec, arrays)[sung])
            cepstra.append(arrays["mfcc"][..., 1 : TIMBRE_DIM + 1][sung])
        z, c = np.concatenate(latents), np.concatenate(cepstra)
        timbre = TimbreScale(tuple(map(float, c.mean(0))), tuple(map(float, c.std(0) + 1e-3)))
        typical = typical_timbres(store, timbre)
        return cls(z.mean(0).astype(np.float32), (z.std(0) + 1e-3).astype(np.float32), timbre, typical)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Statistics:
        """What `as_dict` put into a denoiser's configuration."""
        timbre = TimbreScale(tuple(config["timbre_mean"]), tuple(config["timbre_std"]))
        typical = {name: np.asarray(v, dtype=np.float32) for name, v in config["technique_timbre"].items()}
        mean, std = (np.asarray(config[name], dtype=np.float32) for name in ("latent_mean", "latent_std"))
        return cls(mean, std, timbre, typical)

    def as_dict(self) -> dict[str, Any]:
        """Plain lists for metadata."""
        return {
            "latent_mean": [round(float(v), 6) for v in self.mean],
            "latent_std": [round(float(v), 6) for v in self.std],
            "timbre_mean": [round(v, 5) for v in self.timbre.mean],
            "timbre_std": [round(v, 5) for v in self.timbre.std],
            "technique_timbre": {
                name: [round(float(v), 3) for v in values] for name, values in self.technique_timbre.items()
            },
        }


class DenoiserTask(nn.Module):
    """The denoiser and its v-objective."""

    def __init__(self, denoiser: Denoiser, *, use_bf16: bool = True) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.use_bf16 = use_bf16
        weight = torch.ones(denoiser.config.latent_dim)
        weight[-N_EXPLICIT:] = _EXPLICIT_WEIGHT
        self.weight: Tensor
        self.register_buffer("weight", weight / weight.mean(), persistent=False)

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """-> (mean squared error of v, figures)."""
        clean, noise, sigma = batch["latents"], batch["noise"], batch["sigma"]
        alpha = (1 + sigma.square()).rsqrt()[:, None, None]
        s = sigma[:, None, None] * alpha
        with torch.autocast(clean.device.type, torch.bfloat16, enabled=self.use_bf16):
            v = self.denoiser(alpha * clean + s * noise, sigma, self.denoiser.encode_condition(batch["condition"]))
        squared = (v.float() - (alpha * noise - s * clean)).square()
        loss = (squared * self.weight).mean()
        figures = {
            "learned": float(squared[..., :-N_EXPLICIT].mean().detach()),
            "explicit": float(squared[..., -N_EXPLICIT:].mean().detach()),
        }
        return loss, figures


def train_diffusion(
    corpus_dir: Path, codec: Codec, run_dir: Path, loop: LoopConfig, *, use_bf16: bool = True
) -> tuple[Denoiser, LoopReport]:
    """Train (or go on training) a denoiser on a corpus; leaves denoiser.safetensors in `run_dir`."""
    store = ClipStore(Corpus.open(corpus_dir), "train")
    codec = codec.eval().requires_grad_(False)
    statistics = Statistics.measure(store, codec)
    torch.manual_seed(loop.seed)
    task = DenoiserTask(Denoiser(DenoiserConfig(latent_dim=codec.config.latent_dim)), use_bf16=use_bf16)
    latents = LatentStore(store, codec)
    averaged, report = train(task, lambda rng: make_batch(latents, statistics, rng), loop, run_dir)
    denoiser = averaged.denoiser
    assert isinstance(denoiser, Denoiser)
    config = {"denoiser": denoiser.config.as_dict(), "recipe": describe(loop), "steps": report.steps}
    config |= {"loss": report.loss, "regions": REGIONS} | statistics.as_dict()
    save_weights(run_dir / "denoiser.safetensors", denoiser, "denoiser", config)
    return denoiser, report


# Which parameters an adapter of each region may touch; the hypothesis (early = noise and breath, middle =
# irregularity, late = fine pitch detail) is the user's, to be tested.
REGIONS = {
    "early": ["enter", "down", "shrink"],
    "middle": ["before", "attention", "middle"],
    "late": ["grow", "join", "up", "leave"],
}


def main() -> None:
    """`python -m synth.train.diffusion --corpus DIR --codec FILE --run DIR --minutes N`."""
    from synth.engine import load_codec

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--codec", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=40.0)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(arguments.threads)
    loop = LoopConfig(minutes=arguments.minutes, learning_rate=1.2e-3, ema_decay=0.999)
    _, report = train_diffusion(arguments.corpus, load_codec(arguments.codec), arguments.run, loop)
    log.info("finished: %s", report)


if __name__ == "__main__":
    main()
