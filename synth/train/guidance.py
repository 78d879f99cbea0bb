"""Guidance distilled into the denoiser, so that obedient sampling costs one evaluation a step instead of three.

The student starts as the teacher and learns to give by itself what the teacher gives with guidance a pathway (stage one
of Meng et al. 2023, "On distillation of guided diffusion models", at fixed weights). In v, guidance is the same linear
combination as in the clean estimate, because both share the noisy input.
"""

from __future__ import annotations

import argparse
import copy
import logging
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import torch
from torch import Tensor, nn

from synth.codec.weights import save_weights
from synth.corpus.dataset import ClipStore
from synth.corpus.manifest import Corpus
from synth.diffusion.conditioning import PRESENCE_COLUMNS, pathway_slices
from synth.diffusion.unet import Denoiser
from synth.engine import CODEC_FILE, DENOISER_FILE, load_codec, load_denoiser
from synth.spec.lanes import Pathway
from synth.train.diffusion import Statistics, make_batch
from synth.train.latents import LatentStore
from synth.train.loop import LoopConfig, LoopReport, describe, train

log = logging.getLogger(__name__)

# Chosen on 40 segments a lane at 4 steps: slopes of asked against measured come near 1 (0.3 to 0.8 without guidance).
WEIGHTS: Mapping[Pathway, float] = MappingProxyType({Pathway.IRREGULARITY: 2.0, Pathway.NOISE: 1.5})
_BATCH_SIZE = 20


def dropped(condition: Tensor, pathway: Pathway) -> Tensor:
    """A copy of conditions [B, T, CONDITION_DIM] without one pathway; presence stays."""
    thinned = condition.clone()
    thinned[..., pathway_slices()[pathway]] = 0.0
    thinned[..., PRESENCE_COLUMNS] = condition[..., PRESENCE_COLUMNS]
    return thinned


class GuidanceTask(nn.Module):
    """The student and its distance from the guided teacher."""

    def __init__(self, teacher: Denoiser, weights: Mapping[Pathway, float], *, use_bf16: bool = True) -> None:
        super().__init__()
        self.student = copy.deepcopy(teacher).requires_grad_(True).train()
        self._teacher = (teacher.eval().requires_grad_(False),)  # in a tuple: no part of the student's state
        self._weights = dict(weights)
        self.use_bf16 = use_bf16

    def _guided(self, x: Tensor, sigma: Tensor, condition: Tensor) -> Tensor:
        teacher = self._teacher[0]
        branches = [condition] + [dropped(condition, pathway) for pathway in self._weights]
        n = len(branches)
        encoded = teacher.encode_condition(torch.cat(branches))
        v = teacher(x.repeat(n, 1, 1), sigma.repeat(n), encoded).float().chunk(n)
        guided = v[0]
        for weight, without in zip(self._weights.values(), v[1:], strict=True):
            guided = guided + (weight - 1.0) * (v[0] - without)
        return guided

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """-> (mean squared distance in v, figures)."""
        sigma = batch["sigma"]
        alpha = (1 + sigma.square()).rsqrt()[:, None, None]
        x = alpha * batch["latents"] + sigma[:, None, None] * alpha * batch["noise"]
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.use_bf16):
            with torch.no_grad():
                wanted = self._guided(x, sigma, batch["condition"])
            made = self.student(x, sigma, self.student.encode_condition(batch["condition"])).float()
        loss = (made - wanted).square().mean()
        return loss, {"distance": float(loss.detach())}


def distill_guidance(
    corpus_dir: Path, weights_dir: Path, run_dir: Path, loop: LoopConfig
) -> tuple[Denoiser, LoopReport]:
    """Train a student of the denoiser in `weights_dir` (beside its codec); leaves denoiser.safetensors in `run_dir`."""
    teacher, config = load_denoiser(weights_dir / DENOISER_FILE)
    codec = load_codec(weights_dir / CODEC_FILE)
    store = ClipStore(Corpus.open(corpus_dir), "train")
    statistics = Statistics.from_config(config)
    latents = LatentStore(store, codec)
    torch.manual_seed(loop.seed)
    task = GuidanceTask(teacher, WEIGHTS)
    averaged, report = train(
        task, lambda rng: make_batch(latents, statistics, rng, batch_size=_BATCH_SIZE), loop, run_dir
    )
    student = averaged.student
    assert isinstance(student, Denoiser)
    config |= {
        "guidance": {pathway.value: weight for pathway, weight in WEIGHTS.items()},
        "guidance_recipe": describe(loop) | {"steps": report.steps, "loss": report.loss},
    }
    save_weights(run_dir / DENOISER_FILE, student, "denoiser", config)
    return student, report


def guidance_loop(minutes: float, seed: int = 0) -> LoopConfig:
    """The recipe: gentle, because the student starts where the teacher ended."""
    return LoopConfig(minutes=minutes, learning_rate=4e-4, warmup_steps=20, ema_decay=0.99, seed=seed)


def main() -> None:
    """`python -m synth.train.guidance --corpus DIR --weights DIR --run DIR --minutes N`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True, help="folder of the teacher's weights")
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=12.0)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(arguments.threads)
    _, report = distill_guidance(arguments.corpus, arguments.weights, arguments.run, guidance_loop(arguments.minutes))
    log.info("finished: %s", report)


if __name__ == "__main__":
    main()
