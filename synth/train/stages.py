"""Stage-adaptive training: a regime variable, measured while training, that steers three mechanisms.

The discrepancy D is how far the denoiser's estimate of the clean latents sounds from the latents themselves to a frozen
self-supervised encoder, as if noise levels were drawn evenly. While a network learns what its material is, log D falls
against the logarithm of the steps; when it only refines, log D is nearly level. With s = -d log D / d log step, fitted
by least squares over the last e-fold of steps, e its standard error, and s* the steepest s - 2 e so far,

    regime = clip((begin s* - (s + 2 e)) / ((begin - end) s*), 0, 1),

smoothed, and never falling back: 0 while structure is acquired, 1 when detail is refined. Noise alone moves it neither
way: a slope counts as steep, or as level, only beyond its own uncertainty. It steers

  guidance    an alignment loss (1 - regime) * guidance_weight * scale * D to the encoder (after REPA, Yu et al. 2024);
              the scale makes every encoder pull alike (synth.train.latent_sound.guidance_scale)
  levels      the density of noise levels u, 1 + tilt (2u - 1), its tilt going from +level_tilt to -level_tilt
  structure   once the blocks' parameters have grouped (synth.train.structure), a coupling inside the groups

To use it in a trainer: draw levels with `sample_levels`, add `extra_loss` to the loss, and keep `state()` with the
checkpoint, as synth.train.staged does; `settle` after the last step takes in what is still unread.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from synth.ssl.encoder import AudioEncoder
from synth.train.latent_sound import LatentSound, guidance_scale
from synth.train.structure import (
    GroupingMonitor,
    alike_blocks,
    coupling,
    membership_of,
    signatures,
    similarity,
)

Thresholds = Literal["adaptive", "random", "static"]

_BIN = 1.02  # steps are averaged until their number has grown by this much
_WINDOW = 1.0  # in the logarithm of the steps
_MOST_CORRELATED = 0.9
_LEAST_BINS = 16
_LEAST_SLOPE = 0.05
_CAUTION = 2.0  # standard errors by which a slope must be steep, or level, before it counts
_SMOOTHING = 0.2
_FIRST_STEP = 20  # before it the optimiser warms up
_STATIC_RAMP = (0.2, 0.8)
_EXAMPLES = 8
COUPLE_EVERY = 8  # steps; the weight makes up for it (lazy regularisation, Karras et al. 2020)
_IDLE_EVERY = 10  # how often D is still measured when nothing is weighted by it


@dataclass(frozen=True, slots=True)
class StageConfig:
    """Which mechanisms are on, and what turns them.

    guidance_weight  of the discrepancy's gradient against that of the mean squared error, at a middling error
    thresholds   "adaptive": the regime variable; "random": ramps at times drawn from `seed`, blind to the training;
                 "static": a ramp over the middle of the training
    begin, end   shares of the steepest slope at which the regime leaves 0 and reaches 1
    """

    ssl_guidance: bool = True
    adaptive_levels: bool = True
    structure: bool = True
    thresholds: Thresholds = "adaptive"
    guidance_weight: float = 0.5
    level_tilt: float = 0.8
    structure_weight: float = 1.0
    begin: float = 0.8
    end: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        if self.thresholds not in ("adaptive", "random", "static"):
            raise ValueError(f"thresholds are adaptive, random or static, not {self.thresholds!r}")
        if not 0.0 <= self.end < self.begin <= 1.0 or not 0.0 <= self.level_tilt < 1.0:
            raise ValueError("stages need 0 <= end < begin <= 1 and 0 <= level_tilt < 1")


MECHANISMS = ("guidance", "levels", "structure")


def stage_config(which: str, seed: int = 0) -> StageConfig | None:
    """One mechanism by its name, "all" of them, or None for "none"."""
    if which not in (*MECHANISMS, "all", "none"):
        raise ValueError(f"stages are {', '.join(MECHANISMS)}, all or none, not {which!r}")
    on = [which in (name, "all") for name in MECHANISMS]
    return StageConfig(ssl_guidance=on[0], adaptive_levels=on[1], structure=on[2], seed=seed) if any(on) else None


class RegimeEstimator:
    """The regime variable from a series of discrepancies. Plain numbers only."""

    def __init__(self, begin: float, end: float) -> None:
        self._begin, self._end = begin, end
        self._sum, self._count, self._bin_start = 0.0, 0, float(_FIRST_STEP)
        self._log_step: list[float] = []
        self._log_d: list[float] = []
        self._weight: list[float] = []
        self.uncertainty = 0.0
        self.slope, self.steepest, self.value, self.latest = 0.0, 0.0, 0.0, 0.0
        self._smoothed = 0.0

    def observe(self, step: int, discrepancy: float) -> None:
        """One more measurement; those that are not finite or not positive are left out."""
        if step < _FIRST_STEP or not math.isfinite(discrepancy) or discrepancy <= 0.0:
            return
        self._sum += math.log(discrepancy)
        self._count += 1
        if step >= self._bin_start * _BIN:
            self._close_bin(step)

    def _close_bin(self, step: int) -> None:
        self.latest = self._sum / self._count
        self._log_step.append(0.5 * (math.log(self._bin_start) + math.log(step)))
        self._log_d.append(self.latest)
        self._weight.append(float(self._count))
        self._sum, self._count, self._bin_start = 0.0, 0, float(step)
        oldest = self._log_step[-1] - _WINDOW
        is_whole = self._log_step[0] < oldest
        while self._log_step[0] < oldest:
            del self._log_step[0], self._log_d[0], self._weight[0]
        if not is_whole or len(self._log_step) < _LEAST_BINS:
            return
        fall, self.uncertainty = weighted_slope(self._log_step, self._log_d, self._weight)
        self.slope = -fall
        self.steepest = max(self.steepest, self.slope - _CAUTION * self.uncertainty)
        if self.steepest > _LEAST_SLOPE:
            spread = (self._begin - self._end) * self.steepest
            certain = self.slope + _CAUTION * self.uncertainty
            now = min(max((self._begin * self.steepest - certain) / spread, 0.0), 1.0)
            self._smoothed += _SMOOTHING * (now - self._smoothed)
            self.value = max(self.value, self._smoothed)

    def state(self) -> dict[str, Any]:
        """Plain numbers and lists, for a checkpoint's JSON."""
        return {name.lstrip("_"): value for name, value in vars(self).items() if name not in ("_begin", "_end")}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state`."""
        for name in [name for name in vars(self) if name not in ("_begin", "_end")]:
            value = state[name.lstrip("_")]
            setattr(self, name, list(value) if isinstance(value, list) else value)


def weighted_slope(x: Sequence[float], y: Sequence[float], weight: Sequence[float]) -> tuple[float, float]:
    """Weighted least squares y = slope x + intercept -> (slope, its standard error from the residuals).

    Neighbours in a training share most of their weights: residuals that follow one another count as fewer, by their
    correlation r from one to the next, (1 - r) / (1 + r) of their number (Bayley and Hammersley 1946).
    """
    at, value, w = np.asarray(x), np.asarray(y), np.asarray(weight)
    centred = at - np.average(at, weights=w)
    deviation = value - np.average(value, weights=w)
    spread = float(np.sum(w * centred**2))
    slope = float(np.sum(w * centred * deviation)) / spread
    residual = (deviation - slope * centred) * np.sqrt(w)
    power = float(np.sum(residual**2))
    follows = float(np.sum(residual[1:] * residual[:-1])) / power if power > 0.0 else 0.0
    follows = min(max(follows, 0.0), _MOST_CORRELATED)
    return slope, math.sqrt(power / (len(at) - 2) / spread * (1.0 + follows) / (1.0 - follows))


def tilted_levels(even: Tensor, tilt: Tensor | float) -> Tensor:
    """Levels of density 1 + tilt (2u - 1) from evenly distributed ones in 0..1: solves u + tilt (u^2 - u) = even."""
    tilt = torch.as_tensor(tilt, dtype=even.dtype, device=even.device)
    b = 1.0 - tilt
    return 2.0 * even / (b + (b.square() + 4.0 * tilt * even).clamp(min=0.0).sqrt())


def level_density(u: Tensor, tilt: Tensor | float) -> Tensor:
    """Density of `tilted_levels` at u."""
    return 1.0 + tilt * (2.0 * u - 1.0)


class StageController:
    """One training's stage: what has been observed, and what follows from it.

    Without `sound` and `encoder` it only turns observations into weights, and `extra_loss` must not be called.
    """

    def __init__(
        self, config: StageConfig, sound: LatentSound | None = None, encoder: AudioEncoder | None = None
    ) -> None:
        self.config = config
        self.measured = RegimeEstimator(config.begin, config.end)
        self.grouping = GroupingMonitor()
        self.pending: Tensor | None = None
        self._sound, self._encoder = sound, encoder
        self._blocks: list[list[str]] = []
        self._membership: Tensor | None = None
        self._done = 0.0
        self._scale = 0.0
        draws = np.random.default_rng((config.seed, 9)).uniform(math.log(0.02), 0.0, 3)
        low, high = sorted(np.exp(draws[:2]))
        self._ramp = (float(low), float(high)) if config.thresholds == "random" else _STATIC_RAMP
        self._structure_at = float(np.exp(draws[2])) if config.thresholds == "random" else 0.5

    @property
    def regime(self) -> float:
        """0 acquiring structure .. 1 refining detail: measured, or what stands in for it."""
        if self.config.thresholds == "adaptive":
            return self.measured.value
        low, high = self._ramp
        return min(max((self._done - low) / max(high - low, 1e-6), 0.0), 1.0)

    @property
    def guidance_weight(self) -> float:
        """What the discrepancy, in the encoder's own scale, is multiplied by in the loss."""
        return self.config.guidance_weight * (1.0 - self.regime) if self.config.ssl_guidance else 0.0

    @property
    def level_tilt(self) -> float:
        """Of the density of noise levels; positive prefers high noise."""
        return self.config.level_tilt * (1.0 - 2.0 * self.regime) if self.config.adaptive_levels else 0.0

    @property
    def structure_weight(self) -> float:
        """What the coupling is multiplied by in the loss."""
        return self.config.structure_weight if self.config.structure and self.grouping.converged else 0.0

    def sample_levels(self, generator: torch.Generator | None, n: int) -> Tensor:
        """Noise levels u in (0, 1), shares of the schedule's quarter turn, stratified, in random order -> [n].

        On the generator's device.
        """
        device = generator.device if generator is not None else torch.device("cpu")
        even = (torch.arange(n, device=device) + torch.rand(n, generator=generator, device=device)) / n
        order = torch.randperm(n, generator=generator, device=device)
        return tilted_levels(even, self.level_tilt)[order]

    def extra_loss(
        self,
        step: int,
        predicted_clean: Tensor,
        target_clean: Tensor,
        f0_hz: Tensor,
        model: nn.Module,
        levels: Tensor | None = None,
    ) -> Tensor:
        """What the mechanisms add to the loss of this step.

        predicted_clean, target_clean   scaled latents [B, T, latent_dim], f0_hz [B, T]; the first few are listened to
        levels   the u they were drawn at [B], so that the measurement does not move with their distribution
        """
        self.settle(step - 1, self._done)
        loss = predicted_clean.new_zeros(())
        if self.guidance_weight > 0.0 or step % _IDLE_EVERY == 0:
            if self._sound is None or self._encoder is None:
                raise ValueError("extra_loss needs a sound and an encoder")
            few = slice(0, _EXAMPLES)
            if self._scale == 0.0 and self.guidance_weight > 0.0:
                heard = target_clean[few].detach().float(), f0_hz[few]
                self._scale = guidance_scale(self._sound, self._encoder, *heard)
            with torch.set_grad_enabled(self.guidance_weight > 0.0):
                each = self._sound.discrepancy(
                    self._encoder, predicted_clean[few].float(), target_clean[few].float(), f0_hz[few]
                )
            weight = torch.ones_like(each) if levels is None else 1.0 / level_density(levels[few], self.level_tilt)
            self.pending = (each.detach() * weight).sum() / weight.sum()
            if self.guidance_weight > 0.0:
                loss = loss + self.guidance_weight * self._scale * each.mean()
        return loss + self._coupling(step, model) if self.config.structure else loss

    def _coupling(self, step: int, model: nn.Module) -> Tensor | float:
        if step % COUPLE_EVERY:
            return 0.0
        if not self._blocks:
            self._blocks = alike_blocks(model)
        if not self._blocks:
            return 0.0
        parameters = dict(model.named_parameters())
        if self.structure_due(step):
            with torch.no_grad():
                self.observe_structure(step, similarity(signatures(parameters, self._blocks)))
        if self.structure_weight == 0.0:
            return 0.0
        made = signatures(parameters, self._blocks)
        if self._membership is None:
            self._membership = membership_of(self.grouping.group).to(made.device)
        return COUPLE_EVERY * self.structure_weight * coupling(made, self._membership)

    def structure_due(self, step: int) -> bool:
        """Whether `observe_structure` wants to see the blocks' similarity now."""
        if self.config.thresholds == "adaptive":
            return self.grouping.due(step)
        return not self.grouping.converged and self._done >= self._structure_at

    def observe_structure(self, step: int, similar: Tensor) -> None:
        """The blocks' similarity at `step`."""
        if self.config.thresholds == "adaptive":
            self.grouping.observe(step, similar)
        else:
            self.grouping.fix(similar)

    def observe(self, step: int, discrepancy: float, done: float = 0.0) -> None:
        """The discrepancy of this step; `done`: share of the training that is over, for what is not adaptive."""
        self._done = done
        self.measured.observe(step, discrepancy)

    def settle(self, step: int, done: float = 0.0) -> None:
        """Observe what `extra_loss` measured, if it did (it does so itself, a step late, when the device is done)."""
        self._done = done
        if self.pending is not None:
            self.observe(step, float(self.pending), done)
            self.pending = None

    def state(self) -> dict[str, Any]:
        """Plain numbers and lists, for a checkpoint's JSON."""
        return {
            "measured": self.measured.state(),
            "grouping": self.grouping.state(),
            "done": self._done,
            "scale": self._scale,
            "pending": None if self.pending is None else float(self.pending),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state`."""
        self.measured.load_state(state["measured"])
        self.grouping.load_state(state["grouping"])
        self._done, self._scale, self._membership = float(state["done"]), float(state["scale"]), None
        self.pending = None if state["pending"] is None else torch.tensor(state["pending"])
