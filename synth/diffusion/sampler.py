"""Conditioned sampling: the denoiser bound to its conditions, with guidance a pathway."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from synth.diffusion.conditioning import without
from synth.diffusion.solvers import Denoise, ShouldStop, cosine_sigmas, dpm_solver_2m, euler, heun, never
from synth.spec.lanes import Pathway

Float32Array = NDArray[np.float32]


class Network(Protocol):
    """What is sampled with: a Denoiser, or a PackedDenoiser on a processor."""

    @property
    def device(self) -> torch.device: ...

    def encode_condition(self, condition: Tensor) -> Any: ...

    def __call__(self, x: Tensor, sigma: Tensor, encoded: Any, target: Tensor | None = None) -> Tensor: ...


SOLVERS = MappingProxyType({"euler": euler, "heun": heun, "dpm2m": dpm_solver_2m})


@dataclass(frozen=True, slots=True)
class SamplingPlan:
    """How to sample: steps, solver, and how far each pathway is pushed (1 as learnt, 0 ignored, > 1 exaggerated)."""

    n_steps: int
    solver: str = "euler"
    bend: float = 1.0
    guidance: Mapping[Pathway, float] = field(default_factory=dict)


def denoise_function(model: Network, condition: Float32Array, guidance: Mapping[Pathway, float]) -> Denoise:
    """Bind `condition` [B, T, CONDITION_DIM] to `model`: (x [B, T, C], sigma, level to jump to) -> clean estimate.

    Compositional guidance (after Liu et al. 2022): clean = full + sum_p (w_p - 1) (full - without_p). All branches go
    through the network as one batch.
    """
    pushed = [(pathway, weight) for pathway, weight in guidance.items() if weight != 1.0]
    branches = np.concatenate([condition] + [without(condition, pathway) for pathway, _ in pushed])
    device = model.device
    encoded = model.encode_condition(torch.from_numpy(branches).to(device))
    weights = [weight - 1.0 for _, weight in pushed]

    def denoise(x: Tensor, sigma: float, target: float) -> Tensor:
        shrink = 1.0 / (1.0 + sigma * sigma) ** 0.5
        repeated = (x * shrink).repeat(1 + len(pushed), 1, 1)
        levels = torch.full((len(branches),), sigma, device=device)
        v = model(repeated, levels, encoded, torch.full_like(levels, target))
        full, *others = (x * shrink * shrink - sigma * shrink * part for part in v.split(len(x)))
        guided = full
        for weight, other in zip(weights, others, strict=True):
            guided = guided + weight * (full - other)
        return guided

    return denoise


@torch.inference_mode()
def sample_window(
    model: Network, condition: Float32Array, noise: Float32Array, plan: SamplingPlan, should_stop: ShouldStop = never
) -> Float32Array:
    """Draw latents for one window, or for several of equal length.

    condition   [T, CONDITION_DIM] or [B, T, CONDITION_DIM]
    noise       [T, latent_dim] or [B, T, latent_dim], standard normal, a pure function of (seed, absolute frame)
    Returns normalised latents like `noise`. Raises Cancelled between steps.
    """
    sigmas = cosine_sigmas(plan.n_steps, bend=plan.bend)
    windows = condition.reshape(-1, *condition.shape[-2:])
    denoise = denoise_function(model, windows, plan.guidance)
    x = torch.from_numpy(noise.reshape(-1, *noise.shape[-2:])).to(model.device) * sigmas[0]
    return SOLVERS[plan.solver](denoise, x, sigmas, should_stop).cpu().numpy().reshape(noise.shape)
