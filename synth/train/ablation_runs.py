"""Paired tiny trainings: every arm of the study with every seed, many of them stacked into one.

Runs of one seed start from the same weights and see the same windows, noise, dropped conditions and evenly spread
noise levels in the same order; an arm differs from another in its mechanisms alone.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from synth.codec.layout import EXPLICIT
from synth.diffusion.unet import DenoiserConfig, Injection
from synth.spec.audio import WINDOW_FRAMES
from synth.ssl.encoder import AudioEncoder
from synth.train.ablation_data import Material, Windows
from synth.train.ablation_measures import Judge
from synth.train.conditions import thin_out
from synth.train.latent_sound import LatentSound, embedding_distance, guidance_scale
from synth.train.stacked import StackedDenoisers
from synth.train.stages import (
    COUPLE_EVERY,
    RegimeEstimator,
    StageConfig,
    StageController,
    tilted_levels,
)
from synth.train.structure import alike_blocks, coupling, membership_of, signatures, similarity

log = logging.getLogger(__name__)

OFF = StageConfig(ssl_guidance=False, adaptive_levels=False, structure=False)
_EXPLICIT_WEIGHT = 2.0
_WARMUP_STEPS = 50
_EMA_DECAY = 0.995
_PROBE_GROWTH = 1.05  # in steps, between measurements of D
_PROBE_LEVELS = (0.3, 0.5, 0.7, 0.9)
_RECORD_GROWTH = 1.04


@dataclass(frozen=True, slots=True)
class Arm:
    """One recipe of the study. encoder: which of the study's encoders D is measured with."""

    name: str
    stages: StageConfig = OFF
    encoder: str = "ours"
    injection: Injection = "both"


MECHANISMS = {
    "guidance": replace(OFF, ssl_guidance=True),
    "levels": replace(OFF, adaptive_levels=True),
    "structure": replace(OFF, structure=True),
    "all three": StageConfig(),
}
RANDOM = ", random thresholds"


def study_arms() -> list[Arm]:
    """Everything that is compared; the first is what all others are compared with."""
    arms = [Arm("static recipe")]
    arms += [Arm(name, stages) for name, stages in MECHANISMS.items()]
    arms += [Arm(name + RANDOM, replace(stages, thresholds="random")) for name, stages in MECHANISMS.items()]
    arms += [Arm(f"all, {name}", StageConfig(), encoder=name) for name in ("log-mel", "second seed", "untrained")]
    return [*arms, Arm("film", injection="film"), Arm("attention", injection="attention")]


@dataclass(frozen=True, slots=True)
class RunPlan:
    """Size and length of every run.

    listened      windows of a batch that the encoder hears, the first heard_frames of each
    judged        held-out windows that are sung again
    guide_every   steps between those that are guided; the weight makes up for it (lazily, Karras et al. 2020)
    """

    steps: int
    batch: int = 16
    listened: int = 8
    heard_frames: int = WINDOW_FRAMES
    guide_every: int = 1
    evaluations: int = 10
    judged: int = 64
    learning_rate: float = 2e-3
    widths: tuple[int, ...] = (64, 96)

    def shape(self, latent_dim: int, injection: Injection) -> DenoiserConfig:
        """The tiny denoiser."""
        return DenoiserConfig(
            latent_dim, widths=self.widths, blocks_per_level=1, middle_blocks=4, expansion=2, pathway_dim=16,
            film_dim=48, level_dim=32, heads=4, injection=injection,
        )  # fmt: skip

    def evaluated_steps(self) -> set[int]:
        """Log-spaced, the last step included."""
        first = min(40, self.steps)
        ratio = self.steps / first
        return {round(first * ratio ** (k / max(self.evaluations - 1, 1))) for k in range(self.evaluations)}


@dataclass(slots=True)
class Member:
    """One run of the stack."""

    arm: Arm
    seed: int
    control: StageController
    observers: dict[str, RegimeEstimator] = field(default_factory=dict)
    track: list[list[float]] = field(default_factory=list)
    curve: list[dict[str, Any]] = field(default_factory=list)


class StackRun:
    """All `members` of one denoiser shape, trained together."""

    def __init__(
        self,
        arms: Sequence[Arm],
        seeds: Sequence[int],
        material: Material,
        sound: LatentSound,
        encoders: dict[str, AudioEncoder],
        judge: Judge,
        plan: RunPlan,
    ) -> None:
        self.members = [
            Member(arm, seed, StageController(replace(arm.stages, seed=seed))) for arm in arms for seed in seeds
        ]
        for member in self.members:
            if member.arm.stages == OFF and member.arm.injection == "both":
                member.observers = {name: RegimeEstimator(OFF.begin, OFF.end) for name in encoders}
        self.plan, self.material, self.sound, self.encoders, self.judge = plan, material, sound, encoders, judge
        self.device = material.mean.device
        shape = plan.shape(len(material.mean), arms[0].injection)
        self.stack = StackedDenoisers(shape, [member.seed for member in self.members], self.device)
        self._seeds = list(seeds)
        self._of_seed = torch.tensor([self._seeds.index(m.seed) for m in self.members], device=self.device)
        self._generators = [torch.Generator(device=self.device).manual_seed(1_000 + seed) for seed in seeds]
        self._optimizer = torch.optim.AdamW(
            list(self.stack.parameters.values()), lr=plan.learning_rate, betas=(0.9, 0.98), weight_decay=1e-3
        )
        self._blocks = alike_blocks(self.stack.base)
        weight = torch.ones(len(material.mean), device=self.device)
        weight[-len(EXPLICIT) :] = _EXPLICIT_WEIGHT
        self._weight = weight / weight.mean()
        stride = max(plan.batch // plan.listened, 1)
        first = list(range(0, plan.batch, stride))[: plan.listened]
        # Those that are listened to stand first and are spread over all noise levels.
        self._strata = torch.tensor(first + [i for i in range(plan.batch) if i not in first], device=self.device)
        self._next_record = self._next_probe = 20.0
        self._probe_windows = self._chosen_probe()
        clean, _, _, _, f0_hz = self._probe_windows
        frames = slice(plan.heard_frames)
        self._scales = {
            name: guidance_scale(sound, encoders[name], clean[:, frames], f0_hz[:, frames])
            for name in {m.arm.encoder for m in self.members if m.arm.stages.ssl_guidance}
        }

    def _chosen_probe(self) -> tuple[Tensor, ...]:
        """Latents, noise, levels, condition and F0 of the windows that D is measured on; they are trained on, too."""
        windows = self.material.train.at(slice(len(_PROBE_LEVELS)))
        generator = torch.Generator(device=self.device).manual_seed(7)
        noise = torch.randn(windows.latents.shape, generator=generator, device=self.device)
        u = torch.tensor(_PROBE_LEVELS[: len(windows)], device=self.device)
        return windows.latents, noise, u, windows.condition, windows.f0_hz

    def train(self, steps: int | None = None) -> float:
        """Run the plan (or only its first `steps`) -> seconds of training, evaluation not counted."""
        evaluated = self.plan.evaluated_steps() if steps is None else set()
        now_s = time.monotonic if self.device.type == "cuda" else time.process_time  # other work may share the cores
        spent_s, started_s = 0.0, now_s()
        for step in range(1, (steps or self.plan.steps) + 1):
            self._step(step)
            if step in evaluated:
                self._wait()
                spent_s += now_s() - started_s
                self._evaluate(step, last=step == self.plan.steps)
                started_s = now_s()
        self._wait()
        return spent_s + now_s() - started_s

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def _batch(self) -> tuple[Windows, Tensor, Tensor]:
        """-> (windows, noise, evenly spread levels), a row a seed: [S, B, ...]."""
        drawn = []
        for generator in self._generators:
            rows = torch.randint(len(self.material.train), (self.plan.batch,), generator=generator, device=self.device)
            windows = self.material.train.at(rows)
            noise = torch.randn(windows.latents.shape, generator=generator, device=self.device)
            jitter = torch.rand(self.plan.batch, generator=generator, device=self.device)
            condition = thin_out(windows.condition, generator)
            drawn.append((windows.latents, condition, windows.f0_hz, windows.sung, noise, jitter))
        latents, condition, f0_hz, sung, noise, jitter = (torch.stack(column) for column in zip(*drawn, strict=True))
        return Windows(latents, condition, f0_hz, sung), noise, (self._strata + jitter) / self.plan.batch

    def _step(self, step: int) -> None:
        windows, noise, even = self._batch()
        tilt = torch.tensor([member.control.level_tilt for member in self.members], device=self.device)[:, None]
        u = tilted_levels(even[self._of_seed], tilt)
        squared, predicted = self.stack.predict(
            self.stack.parameters, windows.latents[self._of_seed], noise[self._of_seed], u,
            windows.condition[self._of_seed],
        )  # fmt: skip
        loss = (squared * self._weight).mean((1, 2, 3)).sum()
        loss = loss + self._guide(step, predicted, windows) + self._couple(step)
        self._optimizer.param_groups[0]["lr"] = self._rate(step)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._optimizer.step()
        self.stack.average(min(_EMA_DECAY, step / (step + 10)))
        self._probe(step)
        self._record(step)

    def _rate(self, step: int) -> float:
        done = step / self.plan.steps
        return self.plan.learning_rate * min(1.0, step / _WARMUP_STEPS) * (0.51 + 0.49 * math.cos(math.pi * done))

    def _guide(self, step: int, predicted: Tensor, windows: Windows) -> Tensor:
        """The sum of what guides in this step."""
        total = predicted.new_zeros(())
        if step % self.plan.guide_every:
            return total
        part = (slice(None), slice(self.plan.listened), slice(self.plan.heard_frames))
        f0_hz = windows.f0_hz[part]
        for name, encoder in self.encoders.items():
            rows = [i for i, m in enumerate(self.members) if m.arm.encoder == name and m.control.guidance_weight > 0.0]
            if not rows:
                continue
            seeds = self._of_seed[rows]
            with torch.no_grad():
                wanted = self._embed(encoder, windows.latents[part], f0_hz)
            each = embedding_distance(self._embed(encoder, predicted[rows][part], f0_hz[seeds]), wanted[seeds])
            weights = torch.tensor([self.members[i].control.guidance_weight for i in rows], device=self.device)
            total = total + self.plan.guide_every * self._scales[name] * (weights * each.mean(1)).sum()
        return total

    def _embed(self, encoder: AudioEncoder, latents: Tensor, f0_hz: Tensor) -> Tensor:
        """[M, B, T, C] -> [M, B, T', D]."""
        return self.sound.embed(encoder, latents.flatten(0, 1), f0_hz.flatten(0, 1)).unflatten(0, latents.shape[:2])

    @torch.no_grad()
    def _probe(self, step: int) -> None:
        """D of every run that wants it, on the same few windows, noises and levels, at steps that grow by a share: a
        series without the noise of drawing, which is what lets short runs be judged."""
        for member in self.members:
            if member.control.config.thresholds != "adaptive":
                member.control.observe(step, math.nan, step / self.plan.steps)
        asked = [i for i, member in enumerate(self.members) if self._listeners(member)]
        if step < self._next_probe or not asked:
            return
        self._next_probe = step * _PROBE_GROWTH
        clean, noise, u, condition, f0_hz = self._probe_windows
        weights = {name: value[asked] for name, value in self.stack.parameters.items()}
        n, frames = len(asked), slice(self.plan.heard_frames)
        _, predicted = self.stack.predict(weights, *(x.expand(n, *x.shape) for x in (clean, noise, u, condition)))
        pitch = f0_hz[:, frames]
        mel = self.sound.mel(predicted[:, :, frames].flatten(0, 1), pitch.repeat(n, 1)).unflatten(0, (n, -1))
        wanted = self.sound.mel(clean[:, frames], pitch)
        for name, encoder in self.encoders.items():
            rows = [row for row, i in enumerate(asked) if name in self._listeners(self.members[i])]
            if not rows:
                continue
            made = encoder.embed_mel(mel[rows].flatten(0, 1)).unflatten(0, (len(rows), -1))
            values = embedding_distance(made, encoder.embed_mel(wanted)[None]).mean(1).tolist()
            for row, value in zip(rows, values, strict=True):
                self._observe(self.members[asked[row]], name, step, value)

    def _listeners(self, member: Member) -> set[str]:
        """Names of the encoders by which a run's D is measured."""
        steered = member.arm.stages != OFF and member.control.config.thresholds == "adaptive"
        return set(member.observers) | ({member.arm.encoder} if steered else set())

    def _observe(self, member: Member, encoder: str, step: int, value: float) -> None:
        if encoder in member.observers:
            member.observers[encoder].observe(step, value)
        if encoder == member.arm.encoder:
            member.control.observe(step, value, step / self.plan.steps)

    def _couple(self, step: int) -> Tensor | float:
        rows = [i for i, member in enumerate(self.members) if member.control.config.structure]
        if step % COUPLE_EVERY or not rows or not self._blocks:
            return 0.0
        used = {name: self.stack.parameters[name] for block in self._blocks for name in block}
        due = [i for i in rows if self.members[i].control.structure_due(step)]
        if due:
            with torch.no_grad():
                alike = torch.vmap(lambda p: similarity(signatures(p, self._blocks)))(_rows(used, due)).cpu()
            for i, matrix in zip(due, alike, strict=True):
                self.members[i].control.observe_structure(step, matrix)
        on = [i for i in rows if self.members[i].control.structure_weight > 0.0]
        if not on:
            return 0.0
        membership = torch.stack([membership_of(self.members[i].control.grouping.group) for i in on]).to(self.device)
        each = torch.vmap(lambda p, m: coupling(signatures(p, self._blocks), m))(_rows(used, on), membership)
        weights = torch.tensor([self.members[i].control.structure_weight for i in on], device=self.device)
        return COUPLE_EVERY * (weights * each).sum()

    def _record(self, step: int) -> None:
        if step < self._next_record and step != self.plan.steps:
            return
        self._next_record = step * _RECORD_GROWTH
        for member in self.members:
            control, measured = member.control, member.control.measured
            row = [step, measured.latest, measured.slope, measured.value, control.regime, control.level_tilt]
            row.append(float(control.structure_weight > 0.0))
            row += [value for o in member.observers.values() for value in (o.value, o.latest, o.slope)]
            member.track.append([round(float(value), 5) for value in row])

    def _evaluate(self, step: int, *, last: bool) -> None:
        measured = self.judge.measure(self.stack, last=last)
        log.info("step %d of %d, %d runs", step, self.plan.steps, len(self.members))
        for member, figures in zip(self.members, measured, strict=True):
            regimes = {name: round(observer.value, 5) for name, observer in member.observers.items()}
            own = {"step": step, "regime": round(member.control.measured.value, 5), "regimes": regimes}
            member.curve.append(own | figures)

    def results(self, seconds: float) -> list[dict[str, Any]]:
        """Plain values, one entry a run."""
        columns = ["step", "log_d", "slope", "regime", "regime_used", "tilt", "structure"]
        return [
            {
                "arm": member.arm.name,
                "seed": member.seed,
                "encoder": member.arm.encoder,
                "injection": member.arm.injection,
                "thresholds": member.arm.stages.thresholds,
                "track_columns": columns
                + [f"{what} by {name}" for name in member.observers for what in ("regime", "log_d", "slope")],
                "track": member.track,
                "curve": member.curve,
                "groups": member.control.grouping.group,
                "stack_seconds": round(seconds, 2),
                "stacked": len(self.members),
                "parameters": self.stack.parameters_each,
            }
            for member in self.members
        ]


def _rows(parameters: dict[str, Tensor], rows: list[int]) -> dict[str, Tensor]:
    return {name: value[rows] for name, value in parameters.items()}
