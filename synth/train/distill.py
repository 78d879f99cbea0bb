"""Progressive distillation: one network learns to take two of its own steps in one, again and again.

Stage by stage (Salimans and Ho 2022, algorithm 2) a frozen copy of the network, the teacher, walks two DDIM steps and
the student learns to land at the same place in one: 16 steps become 8, 4, 2 and 1. Unlike there, the network is told
which level it shall jump to, so one set of weights keeps every number of steps it has learnt; a share of each batch
rehearses them. The first teacher is the denoiser with guidance a pathway (the first stage of Meng et al. 2023), so the
student is obedient at one evaluation a step.
"""

from __future__ import annotations

import argparse
import copy
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from synth.atomic import write_atomically
from synth.codec.weights import save_weights
from synth.corpus.dataset import ClipStore
from synth.corpus.manifest import Corpus
from synth.diffusion.conditioning import PRESENCE_COLUMNS, pathway_slices
from synth.diffusion.solvers import cosine_sigmas
from synth.diffusion.unet import Denoiser
from synth.engine import CODEC_FILE, DENOISER_FILE, load_codec, load_denoiser
from synth.spec.lanes import Pathway
from synth.train.descent import Batch, move_batch, resolve_device
from synth.train.diffusion import BATCH_SIZE, Statistics, even_weights, held_out_batch, make_batch
from synth.train.latents import KEPT_LATENTS, LatentStore
from synth.train.loop import LoopConfig, LoopReport, describe, train

log = logging.getLogger(__name__)

GUIDANCE: Mapping[Pathway, float] = MappingProxyType(
    {Pathway.IRREGULARITY: 1.5, Pathway.NOISE: 1.5, Pathway.TIMBRE: 1.5}
)
STAGES = (8, 4, 2, 1)
# Of every batch: the stage's own jumps; jumps of the stages before; slopes, which finer sampling needs.
_SHARES = (0.6, 0.25, 0.15)


@dataclass(frozen=True, slots=True)
class DistillConfig:
    """What is taught, and for how long.

    minutes          for each of STAGES, and before them for guidance alone
    balance          exponent of (1 + sigma^2) / sigma^2 in the loss: 1 weighs v, 0 the clean latents; between them the
                     long first jumps and the short last ones change places (an open question of the source)
    """

    minutes: Mapping[int, float]
    guidance_minutes: float
    balance: float = 1.0
    guidance: Mapping[Pathway, float] = field(default_factory=lambda: GUIDANCE)
    learning_rate: float = 4e-4
    batch_size: int = BATCH_SIZE
    seed: int = 0
    clock: Literal["wall", "processor"] = "wall"  # what counts the minutes, as LoopConfig's


def dropped(condition: Tensor, pathway: Pathway) -> Tensor:
    """A copy of conditions [B, T, CONDITION_DIM] without one pathway; presence stays."""
    thinned = condition.clone()
    thinned[..., pathway_slices()[pathway]] = 0.0
    thinned[..., PRESENCE_COLUMNS] = condition[..., PRESENCE_COLUMNS]
    return thinned


def clean_estimate(model: Denoiser, x: Tensor, sigma: Tensor, target: Tensor, encoded: Any) -> Tensor:
    """x [B, T, C] = clean + sigma * noise, sigma and target [B, T] -> the clean latents of one step."""
    s = sigma[..., None]
    shrink = (1 + s.square()).rsqrt()
    v = model(x * shrink, sigma, encoded, target).float()
    return x * shrink.square() - s * shrink * v


def ddim_step(x: Tensor, clean: Tensor, sigma: Tensor, target: Tensor) -> Tensor:
    """From sigma to target [B, T] along the line through `clean` (Song et al. 2021)."""
    return clean + (target / sigma)[..., None] * (x - clean)


class Teacher:
    """A frozen network, how far it is guided, and whether it has learnt jumps or knows slopes only."""

    def __init__(self, model: Denoiser, guidance: Mapping[Pathway, float], *, jumps: bool) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.guidance, self.jumps = dict(guidance), jumps

    @torch.no_grad()
    def clean(self, x: Tensor, sigma: Tensor, target: Tensor, condition: Tensor) -> Tensor:
        """Clean estimate for the jump sigma -> target, guided where guidance was given."""
        self.model.to(x.device)  # the student may have left a full GPU
        branches = [condition, *(dropped(condition, pathway) for pathway in self.guidance)]
        n = len(branches)
        encoded = self.model.encode_condition(torch.cat(branches))
        estimates = clean_estimate(
            self.model, x.repeat(n, 1, 1), sigma.repeat(n, 1), target.repeat(n, 1), encoded
        ).chunk(n)
        guided = estimates[0]
        for weight, without in zip(self.guidance.values(), estimates[1:], strict=True):
            guided = guided + (weight - 1.0) * (estimates[0] - without)
        return guided

    def two_steps(self, x: Tensor, sigmas: tuple[Tensor, Tensor, Tensor], condition: Tensor) -> Tensor:
        """The clean estimate whose one step lands where two steps over sigmas [B, T] do (Salimans and Ho, eq. 43)."""
        sigma, middle, target = sigmas
        first = self.clean(x, sigma, middle if self.jumps else sigma, condition)
        x_middle = ddim_step(x, first, sigma, middle)
        second = self.clean(x_middle, middle, target if self.jumps else middle, condition)
        x_target = ddim_step(x_middle, second, middle, target)
        ratio = (target / sigma)[..., None]
        return (x_target - ratio * x) / (1 - ratio).clamp(min=1e-4)


class DistillTask(nn.Module):
    """A student and what its teachers ask of it.

    n_steps   the stage: jumps of the n_steps grid are learnt from two steps of the teacher; 0: slopes only, guided
    weight    of each channel's squared error, as in the denoiser's own training
    """

    def __init__(
        self,
        student: Denoiser,
        teacher: Teacher,
        n_steps: int,
        known: tuple[int, ...],
        balance: float,
        *,
        use_bf16: bool = True,
        held_out: Batch | None = None,
        weight: NDArray[np.float32] | None = None,
    ) -> None:
        super().__init__()
        self.student = copy.deepcopy(student).train().requires_grad_(True)
        self._outside = (teacher, held_out)  # in a tuple: no part of the student's state
        self.n_steps, self.known, self.balance, self.use_bf16 = n_steps, known, balance, use_bf16
        self.weight: Tensor
        counted = even_weights(student.config.latent_dim) if weight is None else weight
        self.register_buffer("weight", torch.from_numpy(counted), persistent=False)

    def _n_own(self, n: int) -> int:
        """How many of `n` excerpts, the first ones, learn the stage's own jumps."""
        return round(_SHARES[0] * n) if self.n_steps else 0

    def _jumps(self, n: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """(sigma, middle, target), each [n]; all 0 where a slope is rehearsed."""
        sigma, middle, target = (torch.zeros(n, device=device) for _ in range(3))
        own = self._n_own(n)
        rehearsed = round(_SHARES[1 if own else 0] * n) if self.known else 0
        grids = [(self.n_steps, slice(0, own))] if own else []
        for index, n_steps in enumerate(self.known):
            first, last = (own + rehearsed * k // len(self.known) for k in (index, index + 1))
            grids.append((n_steps, slice(first, last)))
        for n_steps, rows in grids:
            fine = torch.tensor(cosine_sigmas(2 * n_steps), device=device)
            step = torch.randint(n_steps, (rows.stop - rows.start,), device=device)
            sigma[rows], middle[rows], target[rows] = fine[2 * step], fine[2 * step + 1], fine[2 * step + 2]
        return sigma, middle, target

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """-> (weighted distance from what the teacher says, figures)."""
        teacher, condition, learnt = self._outside[0], batch["condition"], batch["learnt"]
        n, n_frames = learnt.shape
        own, jumps = self._n_own(n), self._jumps(n, learnt.device)
        heard = learnt == 0.0
        # Frames already heard keep their small noise; slopes are learnt at the batch's own levels.
        at_own_level = heard | (jumps[0] == 0.0)[:, None]
        sigma, middle, target = (
            torch.where(at_own_level, batch["sigma"], levels[:, None].expand(-1, n_frames)) for levels in jumps
        )
        x = batch["latents"] + sigma[..., None] * batch["noise"]
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.use_bf16):
            wanted = []
            if own:
                levels = (sigma[:own], middle[:own], target[:own])
                wanted.append(teacher.two_steps(x[:own], levels, condition[:own]))
            if own < n:
                wanted.append(teacher.clean(x[own:], sigma[own:], target[own:], condition[own:]))
            made = clean_estimate(self.student, x, sigma, target, self.student.encode_condition(condition))
        # In clean latents the error of a slope at little noise is tiny: v's weight puts all levels on one scale.
        weight = ((1 + sigma.square()) / sigma.square()).pow(self.balance) * learnt
        squared = torch.where(heard[..., None], 0.0, made - torch.cat(wanted)).square() * self.weight
        share = learnt.mean().clamp(min=1e-3)
        return (squared * weight[..., None]).mean() / share, {"distance": squared.mean().detach() / share}

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Distance between what the stage's number of steps draws and the held-out latents themselves, from noise."""
        held_out = self._outside[1]
        if held_out is None or self.n_steps == 0:
            return {}
        held_out = move_batch(held_out, self.weight.device)
        made = draw(self.student, held_out["condition"], held_out["noise"], self.n_steps)
        return {"drawn": float((made - held_out["latents"]).square().mean())}


def draw(model: Denoiser, condition: Tensor, noise: Tensor, n_steps: int, *, jumps: bool = True) -> Tensor:
    """Whole windows from noise [B, T, C] by DDIM; differentiable. `jumps`: tell the level to jump to."""
    encoded = model.encode_condition(condition)
    sigmas = torch.tensor(cosine_sigmas(n_steps), device=noise.device)
    x = noise * sigmas[0]
    shape = noise.shape[:2]
    for index in range(n_steps):
        sigma, target = sigmas[index].expand(shape), sigmas[index + 1].expand(shape)
        clean = clean_estimate(model, x, sigma, target if jumps else sigma, encoded)
        x = ddim_step(x, clean, sigma, target)
    return x


def stage_loop(config: DistillConfig, minutes: float, device: str) -> LoopConfig:
    """Gentle, because every stage starts where the last one ended."""
    return LoopConfig(
        minutes=minutes, learning_rate=config.learning_rate, warmup_steps=50, ema_decay=0.998,
        weight_decay=1e-3, seed=config.seed, device=device, batch_threads=0, clock=config.clock,
    )  # fmt: skip


def distill(
    corpus_dir: Path, weights_dir: Path, run_dir: Path, config: DistillConfig, device: str = "auto"
) -> tuple[Denoiser, dict[str, LoopReport]]:
    """Distil the denoiser in `weights_dir` (beside its codec); leaves denoiser.safetensors in `run_dir`.

    Each stage has a folder of its own there, is resumed, and skipped when it is done. A stage that was stopped is the
    last one: no other may learn from it before it has ended. The folders are models: "steps-0" is the guided teacher,
    which every number of steps can be judged beside.
    """
    place = resolve_device(device)
    model, stored = load_denoiser(weights_dir / DENOISER_FILE)
    model = model.to(place)
    codec = load_codec(weights_dir / CODEC_FILE).to(place)
    corpus, statistics = Corpus.open(corpus_dir), Statistics.from_config(stored)
    latents = LatentStore(ClipStore(corpus, "train"), codec, kept_in=corpus_dir / KEPT_LATENTS)
    held_out = held_out_batch(corpus, codec, statistics)
    torch.manual_seed(config.seed)
    multiple = model.config.frame_multiple

    def batch(rng: np.random.Generator) -> Batch:
        return make_batch(latents, statistics, rng, batch_size=config.batch_size, frame_multiple=multiple)

    reports: dict[str, LoopReport] = {}
    plan = [(0, config.guidance_minutes), *((n, config.minutes[n]) for n in STAGES if config.minutes.get(n, 0) > 0)]
    teacher = Teacher(model, config.guidance, jumps=False)
    known: tuple[int, ...] = ()
    for n_steps, minutes in plan:
        task = DistillTask(
            model, teacher, n_steps, known, config.balance, held_out=held_out, weight=statistics.weight
        ).to(place)
        averaged, report = train(task, batch, stage_loop(config, minutes, str(place)), run_dir / f"steps-{n_steps}")
        assert isinstance(averaged.student, Denoiser)
        model, name = averaged.student, f"{n_steps} steps" if n_steps else "guidance"
        reports[name] = report
        log.info("%s: %s", name, report)
        stage_dir = run_dir / f"steps-{n_steps}"
        save_weights(stage_dir / DENOISER_FILE, model, "denoiser", stored)
        write_atomically(stage_dir / CODEC_FILE, (weights_dir / CODEC_FILE).read_bytes())
        if report.stopped:
            break
        known += (n_steps,) if n_steps else ()
        # The guided teacher goes on teaching the first halving: only its slopes are sure.
        if n_steps:
            teacher = Teacher(model, {}, jumps=True)
    recipe = {name: {"steps": report.steps, "minutes": report.seconds / 60} for name, report in reports.items()}
    stored |= {
        "guidance": {pathway.value: weight for pathway, weight in config.guidance.items()},
        "distilled": {"numbers_of_steps": list(known), "balance": config.balance, "stages": recipe}
        | {"loop": describe(stage_loop(config, 0.0, "cpu"))},
    }
    save_weights(run_dir / DENOISER_FILE, model, "denoiser", stored)
    return model, reports


def main() -> None:
    """`python -m synth.train.distill --corpus DIR --weights DIR --run DIR --minutes N`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True, help="folder of codec and teacher")
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=20.0, help="for all stages together")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--batch", type=int, default=BATCH_SIZE)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    config = distill_config(arguments.minutes, batch_size=arguments.batch)
    distill(arguments.corpus, arguments.weights, arguments.run, config, arguments.device)


def distill_config(minutes: float, *, batch_size: int = BATCH_SIZE, seed: int = 0) -> DistillConfig:
    """A time box split over guidance and the halvings; the last ones, the hardest, get most."""
    shares = {0: 0.2, 8: 0.15, 4: 0.2, 2: 0.22, 1: 0.23}
    if not math.isclose(sum(shares.values()), 1.0):
        raise ValueError("the stages' shares must add up to the whole time box")
    stages = {n: minutes * share for n, share in shares.items() if n}
    return DistillConfig(stages, minutes * shares[0], batch_size=batch_size, seed=seed)


if __name__ == "__main__":
    main()
