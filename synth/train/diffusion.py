"""Training the denoiser: latents of recorded and simulated voice, conditioned on what the ears measured in them.

Read from the top: an excerpt's latents come from the frozen codec; its measured lanes become the condition, thinned
out at random so that every lane and pathway can be absent; the network learns v at a random noise level. In some
excerpts the first frames stand clean and only the rest is noisy, as when a voice goes on from what has been heard.
"""

from __future__ import annotations

import argparse
import logging
import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from synth.codec.layout import EXPLICIT
from synth.codec.model import Codec
from synth.codec.weights import save_weights
from synth.corpus.dataset import ClipStore
from synth.corpus.manifest import Corpus
from synth.diffusion.conditioning import TIMBRE_DIM, TimbreScale
from synth.diffusion.solvers import MAX_ANGLE
from synth.diffusion.unet import Denoiser, DenoiserConfig
from synth.spec.audio import WINDOW_FRAMES
from synth.spec.lanes import TECHNIQUES
from synth.ssl.encoder import AudioEncoder
from synth.train.conditions import draw_conditions
from synth.train.descent import Batch, move_batch, resolve_device
from synth.train.importance import EXPLICIT_WEIGHT, channel_weights
from synth.train.latents import KEPT_LATENTS, LatentStore
from synth.train.loop import LoopConfig, LoopReport, describe, generator_of, train
from synth.train.staged import StagedLoss, staged_loss
from synth.train.stages import StageConfig
from synth.train.variance import BOUND_WEIGHT, SPREAD_FILE, SpreadHead, last_features, mean_bound

log = logging.getLogger(__name__)

BATCH_SIZE = 256
REAL_FRACTION = 0.5
MIN_ANGLE = 0.004
_CONTEXT_CHANCE = 0.35
_CONTEXT_ANGLE = 0.05  # clean frames are never quite clean: what the sampler made before is not perfect either
_SHORT_CHANCE = 0.25
_SHORT_FRAMES = (32, 48, 64)
_VALIDATION_SIZE = 256


class Stages(Protocol):
    """What draws noise levels by the training's stage (synth.train.staged)."""

    def sample_levels(self, generator: torch.Generator, n: int) -> Tensor:
        """Shares 0..1 of the schedule's angle, [n]."""
        ...


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


def timbre_of(mfcc: NDArray[np.float32], presence: NDArray[np.float32]) -> NDArray[np.float32]:
    """Time-mean of the cepstra c1..c16 over frames where somebody sings: [n_frames, 17] -> [TIMBRE_DIM], or NaN."""
    sung = np.nan_to_num(presence) > 0.5
    if not sung.any():
        return np.full(TIMBRE_DIM, np.nan, dtype=np.float32)
    return mfcc[sung, 1 : TIMBRE_DIM + 1].mean(axis=0).astype(np.float32)


def typical_timbres(store: ClipStore, scale: TimbreScale, n_excerpts: int = 600) -> dict[str, NDArray[np.float32]]:
    """For each technique the time-mean cepstra of its most typical excerpt (the medoid), recorded ones where they are.

    A passage that names no timbre gets these, so that a voice stays one voice from cell to cell.
    """
    rng = np.random.default_rng(1)
    arrays = store.random_excerpts(
        rng, n_excerpts, WINDOW_FRAMES, real_fraction=0.6, balance=1.0, augment_db=0.0, with_audio=False
    )
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


def even_weights(latent_dim: int) -> NDArray[np.float32]:
    """All learned channels alike, explicit ones more, of mean 1 -> [latent_dim]."""
    weight = np.ones(latent_dim, dtype=np.float32)
    weight[-len(EXPLICIT) :] = EXPLICIT_WEIGHT
    return weight / weight.mean()


class Statistics:
    """What scales latents and cepstra to unit variance, and how much each channel counts; part of the weights."""

    def __init__(
        self,
        mean: NDArray[np.float32],
        std: NDArray[np.float32],
        timbre: TimbreScale,
        technique_timbre: dict[str, NDArray[np.float32]],
        weight: NDArray[np.float32] | None = None,
        silence: NDArray[np.float32] | None = None,
    ) -> None:
        self.mean, self.std, self.timbre = mean, std, timbre
        self.technique_timbre = technique_timbre
        self.silence = silence
        self.weight = weight if weight is not None else even_weights(len(mean))

    @classmethod
    def measure(cls, store: LatentStore, codec: Codec, n_excerpts: int = 1_000) -> Statistics:
        """From random excerpts where somebody sings (silence would shrink every spread)."""
        generator = torch.Generator(device=store.device).manual_seed(0)
        latents, features = store.random_excerpts(generator, n_excerpts, WINDOW_FRAMES, real_fraction=REAL_FRACTION)
        sung = torch.nan_to_num(features["lane.presence"]) > 0.5
        z, c = latents[sung].cpu().numpy(), features["mfcc"][..., 1 : TIMBRE_DIM + 1][sung].cpu().numpy()
        timbre = TimbreScale(tuple(map(float, c.mean(0))), tuple(map(float, c.std(0) + 1e-3)))
        typical = typical_timbres(store.store, timbre)
        std = (z.std(0) + 1e-3).astype(np.float32)
        weight = channel_weights(codec, latents, features["f0_hz"], std)
        return cls(z.mean(0).astype(np.float32), std, timbre, typical, weight, store.silence)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Statistics:
        """What `as_dict` put into a denoiser's configuration."""
        timbre = TimbreScale(tuple(config["timbre_mean"]), tuple(config["timbre_std"]))
        typical = {name: np.asarray(v, dtype=np.float32) for name, v in config["technique_timbre"].items()}
        mean, std = (np.asarray(config[name], dtype=np.float32) for name in ("latent_mean", "latent_std"))
        weight = config.get("channel_weight")  # not in the first denoisers
        silence = config.get("silence")
        weight, silence = (None if v is None else np.asarray(v, dtype=np.float32) for v in (weight, silence))
        return cls(mean, std, timbre, typical, weight, silence)

    def as_dict(self) -> dict[str, Any]:
        """Plain lists for metadata."""
        return {
            "latent_mean": [round(float(v), 6) for v in self.mean],
            "latent_std": [round(float(v), 6) for v in self.std],
            "channel_weight": [round(float(v), 4) for v in self.weight],
            "silence": None if self.silence is None else [round(float(v), 5) for v in self.silence],
            "timbre_mean": [round(v, 5) for v in self.timbre.mean],
            "timbre_std": [round(v, 5) for v in self.timbre.std],
            "technique_timbre": {
                name: [round(float(v), 3) for v in values] for name, values in self.technique_timbre.items()
            },
        }


def noise_levels(generator: torch.Generator, n: int, stages: Stages | None) -> Tensor:
    """Sigmas [n] of the cosine schedule, stratified over its angle: every batch sees all noise levels."""
    if stages is not None:
        share = stages.sample_levels(generator, n)
    else:
        device = generator.device
        order = torch.randperm(n, generator=generator, device=device)
        share = (order + torch.rand(n, generator=generator, device=device)) / n
    return torch.tan(0.5 * math.pi * (share * (MAX_ANGLE - MIN_ANGLE) + MIN_ANGLE))


def draw_context(generator: torch.Generator, sigma: Tensor, n_frames: int, multiple: int) -> tuple[Tensor, Tensor]:
    """Let some excerpts begin with frames already heard: sigma [B] -> (sigma [B, T], frames to be learnt [B, T])."""
    n, device = len(sigma), sigma.device
    most = n_frames // multiple - 1
    length = torch.randint(1, most + 1, (n, 1), generator=generator, device=device) * multiple
    chosen = torch.rand((n, 1), generator=generator, device=device) < _CONTEXT_CHANCE
    context = chosen & (torch.arange(n_frames, device=device)[None] < length)
    angle = torch.rand((n, 1), generator=generator, device=device) * _CONTEXT_ANGLE + MIN_ANGLE
    heard = torch.tan(0.5 * math.pi * angle).expand(-1, n_frames)
    return torch.where(context, heard, sigma[:, None]), (~context).float()


def make_batch(
    store: LatentStore,
    statistics: Statistics,
    rng: np.random.Generator,
    *,
    batch_size: int = BATCH_SIZE,
    frame_multiple: int = 4,
    stages: Stages | None = None,
    short: bool = True,
) -> Batch:
    """Draw excerpts -> "latents" scaled, "noise", "condition", "sigma" and "learnt" [B, T], "f0_hz" [B, T]."""
    generator = generator_of(rng, store.device)
    n_frames = int(rng.choice(_SHORT_FRAMES)) if short and rng.random() < _SHORT_CHANCE else WINDOW_FRAMES
    latents, features = store.random_excerpts(generator, batch_size, n_frames, real_fraction=REAL_FRACTION)
    latents = (latents - latents.new_tensor(statistics.mean)) / latents.new_tensor(statistics.std)
    sigma, learnt = draw_context(generator, noise_levels(generator, batch_size, stages), n_frames, frame_multiple)
    return {
        "latents": latents,
        "condition": draw_conditions(features, statistics.timbre, generator),
        "sigma": sigma,
        "learnt": learnt,
        "noise": torch.randn(latents.shape, generator=generator, device=latents.device),
        "f0_hz": features["f0_hz"],
    }


class DenoiserTask(nn.Module):
    """The denoiser and its v-objective.

    weight   of each channel's squared error, [latent_dim]; None: only explicit channels count more
    """

    def __init__(
        self,
        denoiser: Denoiser,
        *,
        use_bf16: bool = True,
        stages: StagedLoss | None = None,
        held_out: Batch | None = None,
        learn_variance: bool = False,
        weight: NDArray[np.float32] | None = None,
    ) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.spread = SpreadHead(denoiser) if learn_variance else None
        self.use_bf16 = use_bf16
        self.stages = stages
        self._held_out = held_out
        self.weight: Tensor
        counted = even_weights(denoiser.config.latent_dim) if weight is None else weight
        self.register_buffer("weight", torch.from_numpy(counted), persistent=False)

    def _v_error(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """-> (squared error of v [B, T, C], predicted clean, the network's last features)."""
        clean, noise, sigma = batch["latents"], batch["noise"], batch["sigma"][..., None]
        alpha = (1 + sigma.square()).rsqrt()
        s = sigma * alpha
        x = alpha * clean + s * noise
        with (
            last_features(self.denoiser) as features,
            torch.autocast(clean.device.type, torch.bfloat16, enabled=self.use_bf16),
        ):
            encoded = self.denoiser.encode_condition(batch["condition"])
            v = self.denoiser(x, batch["sigma"], encoded)
        return (v.float() - (alpha * noise - s * clean)).square(), alpha * x - s * v.float(), features[-1]

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """-> (weighted mean squared error of v over the frames to be learnt, figures)."""
        squared, predicted, features = self._v_error(batch)
        learnt = batch["learnt"][..., None]
        share = learnt.mean().clamp(min=1e-3)
        loss = (squared * self.weight * learnt).mean() / share
        n_learned = squared.shape[-1] - len(EXPLICIT)
        figures = {
            "learned": (squared[..., :n_learned] * learnt).mean().detach() / share,
            "explicit": (squared[..., n_learned:] * learnt).mean().detach() / share,
        }
        if self.spread is not None:
            nats = mean_bound(self.spread(features), predicted, batch["latents"], batch["sigma"], batch["learnt"])
            loss = loss + BOUND_WEIGHT * nats
            figures["bound"] = nats.detach()
        if self.stages is not None:
            extra = self.stages(predicted, batch, self.denoiser)
            loss = loss + extra
            figures |= {"stages": extra.detach(), "regime": torch.tensor(self.stages.controller.regime)}
        return loss, figures

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """The same error on excerpts that training never sees, always the same ones."""
        if self._held_out is None:
            return {}
        held_out = move_batch(self._held_out, self.weight.device)  # a full GPU may have been left
        squared, predicted, features = self._v_error(held_out)
        figures = {"validation": float((squared * self.weight * held_out["learnt"][..., None]).mean())}
        if self.spread is not None:
            given = (predicted, held_out["latents"], held_out["sigma"], held_out["learnt"])
            figures["bound_learned"] = float(mean_bound(self.spread(features), *given))
            figures |= {f"bound_{name}": float(mean_bound(at, *given)) for name, at in (("lower", 0.0), ("upper", 1.0))}
        return figures


def held_out_batch(corpus: Corpus, codec: Codec, statistics: Statistics) -> Batch:
    """A fixed batch of the validation split."""
    store = LatentStore(ClipStore(corpus, "validation"), codec, n_variants=1)
    return make_batch(store, statistics, np.random.default_rng(7), batch_size=_VALIDATION_SIZE, short=False)


def train_diffusion(
    corpus_dir: Path,
    codec: Codec,
    run_dir: Path,
    loop: LoopConfig,
    *,
    shape: DenoiserConfig | None = None,
    batch_size: int = BATCH_SIZE,
    use_bf16: bool = True,
    stages: StageConfig | None = None,
    ear: AudioEncoder | None = None,
    learn_variance: bool = False,
) -> tuple[Denoiser, LoopReport]:
    """Train (or go on training) a denoiser on a corpus; leaves denoiser.safetensors in `run_dir`.

    codec            on the device that training shall use
    stages, ear      stage-adaptive training, and what it listens with (synth.train.stages)
    learn_variance   of backward steps as well (synth.train.variance); its head is left in spread.safetensors
    """
    corpus = Corpus.open(corpus_dir)
    codec = codec.eval().requires_grad_(False)
    latents = LatentStore(ClipStore(corpus, "train"), codec, kept_in=corpus_dir / KEPT_LATENTS)
    log.info("latents of the training split are on %s", latents.device)
    statistics = Statistics.measure(latents, codec)
    torch.manual_seed(loop.seed)
    shape = shape or DenoiserConfig(codec.config.latent_dim)
    held_out = held_out_batch(corpus, codec, statistics)
    staged = None
    if stages is not None:
        scale = torch.from_numpy(statistics.mean), torch.from_numpy(statistics.std)
        staged = staged_loss(stages, ear, codec, scale, batch_size, (MIN_ANGLE, MAX_ANGLE))
        loop = replace(loop, batch_threads=0)  # a batch's noise levels depend on the step before it
    task = DenoiserTask(
        Denoiser(shape), use_bf16=use_bf16, stages=staged, held_out=held_out, learn_variance=learn_variance,
        weight=statistics.weight,
    ).to(latents.device)  # fmt: skip

    def batch(rng: np.random.Generator) -> Batch:
        return make_batch(
            latents, statistics, rng, batch_size=batch_size, frame_multiple=shape.frame_multiple, stages=staged
        )

    averaged, report = train(task, batch, loop, run_dir)
    denoiser = averaged.denoiser
    assert isinstance(denoiser, Denoiser)
    config = {"denoiser": denoiser.config.as_dict(), "recipe": describe(loop), "steps": report.steps}
    config |= {"loss": report.loss, "regions": REGIONS} | statistics.as_dict()
    config |= {"stages": asdict(stages)} if stages is not None else {}
    save_weights(run_dir / "denoiser.safetensors", denoiser, "denoiser", config)
    if averaged.spread is not None:
        save_weights(run_dir / SPREAD_FILE, averaged.spread, "reverse variance", {"denoiser": config["denoiser"]})
    return denoiser, report


# Which parameters an adapter of each region may touch; the hypothesis (early = noise and breath, middle =
# irregularity, late = fine pitch detail) is the user's, to be tested.
REGIONS = {
    "early": ["enter", "down", "shrink"],
    "middle": ["before", "attention", "middle"],
    "late": ["grow", "join", "up", "leave"],
}


def diffusion_loop(minutes: float, seed: int = 0, device: str = "cpu") -> LoopConfig:
    """The recipe."""
    return LoopConfig(
        minutes=minutes, learning_rate=1e-3, ema_decay=0.9995, weight_decay=1e-2, seed=seed, device=device,
        batch_threads=0, validate_every_reports=6,
    )  # fmt: skip


def main() -> None:
    """`python -m synth.train.diffusion --corpus DIR --codec FILE --run DIR --minutes N`."""
    from synth.engine import load_codec

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--codec", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=40.0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--batch", type=int, default=BATCH_SIZE)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--learn-variance", action="store_true", help="of backward steps, too")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(arguments.threads)
    device = resolve_device(arguments.device)
    codec = load_codec(arguments.codec).to(device)
    loop = diffusion_loop(arguments.minutes, device=str(device))
    _, report = train_diffusion(
        arguments.corpus, codec, arguments.run, loop,
        batch_size=arguments.batch, learn_variance=arguments.learn_variance,
    )  # fmt: skip
    log.info("finished: %s", report)


if __name__ == "__main__":
    main()
