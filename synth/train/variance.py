"""Learned reverse variance (Nichol and Dhariwal 2021), a switch of the denoiser's training.

Drawing backwards from noise level t to s, the posterior of a Gaussian process has a variance between two bounds: the
one when the clean latents are known, and the one when nothing is known of them. A head on the denoiser's last features
learns where between them, in the logarithm, each latent lies (there, equation 15), by the variational bound alone: the
mean is held (there, section 3.1). Deterministic samplers, which the product uses, have no need of it; drawing with
fresh noise at every step has.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn

from synth.diffusion.solvers import MAX_ANGLE, cosine_sigmas
from synth.diffusion.unet import Denoiser

N_STEPS = 16  # of the grid that the variance is learnt for
BOUND_WEIGHT = 1e-3  # beside the v-objective, as in the source: the bound is noisy, and the trunk has other work
SPREAD_FILE = "spread.safetensors"
Spread = Literal["learned", "lower", "upper"]


class SpreadHead(nn.Module):
    """Last features of a denoiser to shares between the two bounds; in the middle when untrained."""

    def __init__(self, denoiser: Denoiser) -> None:
        super().__init__()
        self.patch = denoiser.config.patch
        self.leave = nn.Linear(denoiser.config.widths[0], self.patch * denoiser.config.latent_dim)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, features: Tensor) -> Tensor:
        """[B, tokens, width] -> [B, T, latent_dim], about 0..1, not held to it."""
        return 0.5 + 0.5 * self.leave(features).unflatten(-1, (self.patch, -1)).flatten(1, 2).float()


@contextmanager
def last_features(denoiser: Denoiser) -> Iterator[list[Tensor]]:
    """While this is open, every pass of `denoiser` appends its last features [B, tokens, width]."""
    seen: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
        seen.append(output)

    handle = denoiser.norm.register_forward_hook(keep)
    try:
        yield seen
    finally:
        handle.remove()


def next_level(sigma: Tensor) -> Tensor:
    """One step of the grid further down in angle; 0 where none is left."""
    angle = torch.atan(sigma) / (0.5 * math.pi) - MAX_ANGLE / N_STEPS
    return torch.where(angle > 0, torch.tan(0.5 * math.pi * angle.clamp(min=0.0)), 0.0)


def log_bounds(sigma: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Log variances of x_target given x_sigma: with the clean latents known, and with nothing known; target > 0."""
    fresh = sigma.square() - target.square()
    lower = fresh.log() + 2.0 * (target / sigma).log()
    return lower, fresh.log()


def bound(share: Tensor, predicted: Tensor, clean: Tensor, sigma: Tensor, target: Tensor) -> Tensor:
    """Kullback-Leibler divergence of the drawn step from the true one, nats for each latent, like `clean` [B, T, C].

    share    0 the lower bound, 1 the upper;  predicted  clean latents as the denoiser sees them, not learnt here
    sigma, target  [B, T] or [B, 1], target > 0
    """
    sigma, target = sigma[..., None], target[..., None]
    lower, upper = log_bounds(sigma, target)
    log_variance = share * upper + (1.0 - share) * lower
    offset = (1.0 - (target / sigma).square()) * (predicted.detach() - clean)
    return 0.5 * (log_variance - lower + (lower.exp() + offset.square()) * (-log_variance).exp() - 1.0)


def mean_bound(share: Tensor | float, predicted: Tensor, clean: Tensor, sigma: Tensor, learnt: Tensor) -> Tensor:
    """Mean of `bound` over frames to be learnt [B, T] whose next level is not 0 yet; 0 when there are none."""
    target = next_level(sigma)
    weight = (learnt * (target > 0)).expand(clean.shape[:2])
    safe = torch.where(target > 0, target, 0.5 * sigma)
    shares = share if isinstance(share, Tensor) else torch.full_like(clean, share)
    nats = bound(shares, predicted, clean, sigma, safe).mean(-1)
    return (nats * weight).sum() / weight.sum().clamp(min=1.0)


@torch.no_grad()
def draw_with_fresh_noise(
    denoiser: Denoiser,
    head: SpreadHead | None,
    condition: Tensor,
    generator: torch.Generator,
    *,
    spread: Spread = "learned",
    n_steps: int = N_STEPS,
) -> Tensor:
    """Ancestral sampling: scaled latents [B, T, C] for conditions [B, T, CONDITION_DIM].

    spread   "learned" needs the head; "lower" and "upper" are the bounds themselves
    """
    if spread == "learned" and head is None:
        raise ValueError("a learned spread needs its head")
    encoded = denoiser.encode_condition(condition)
    sigmas = torch.tensor(cosine_sigmas(n_steps), device=condition.device)
    shape = (*condition.shape[:2], denoiser.config.latent_dim)
    x = torch.randn(shape, generator=generator, device=condition.device) * sigmas[0]
    for sigma, target in itertools.pairwise(sigmas):
        shrink = (1 + sigma.square()).rsqrt()
        with last_features(denoiser) as features:
            v = denoiser(x * shrink, sigma.expand(len(x)), encoded).float()
        clean = x * shrink.square() - sigma * shrink * v
        if float(target) == 0.0:
            return clean
        lower, upper = log_bounds(sigma, target)
        share = head(features[-1]) if spread == "learned" and head is not None else float(spread == "upper")
        deviation = (0.5 * (share * upper + (1.0 - share) * lower)).exp()
        x = clean + (target / sigma).square() * (x - clean)
        x = x + deviation * torch.randn(shape, generator=generator, device=condition.device)
    return x
