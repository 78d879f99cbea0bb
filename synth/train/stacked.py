"""Many small denoisers trained as one: the same network with its parameters stacked, a row a run.

Small runs leave a GPU idle between kernels; stacked (torch.func.vmap) their kernels become one. Every row has its own
loss, optimiser moments and moving average, so each behaves as if trained alone.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from synth.diffusion.solvers import MAX_ANGLE, cosine_sigmas
from synth.diffusion.unet import Denoiser, DenoiserConfig

MIN_ANGLE = 0.004


def sigma_of(u: Tensor) -> Tensor:
    """Shares 0..1 of the schedule's angle -> noise levels."""
    return torch.tan(0.5 * math.pi * (u * (MAX_ANGLE - MIN_ANGLE) + MIN_ANGLE))


class _WithCondition(nn.Module):
    """The denoiser and its encoding of the condition as one call, which vmap needs."""

    def __init__(self, denoiser: Denoiser) -> None:
        super().__init__()
        self.denoiser = denoiser

    def forward(self, x: Tensor, sigma: Tensor, condition: Tensor) -> Tensor:
        return self.denoiser(x, sigma, self.denoiser.encode_condition(condition))


class StackedDenoisers:
    """`len(seeds)` denoisers of one shape, each initialised from its own seed.

    Tensors with a leading M have a row for every model.
    """

    def __init__(self, config: DenoiserConfig, seeds: Sequence[int], device: torch.device | str) -> None:
        models = []
        for seed in seeds:
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                models.append(_WithCondition(Denoiser(config)))
        self.config = config
        self.base = models[0].to(device)
        stacked, buffers = stack_module_state([model.to(device) for model in models])  # pyright: ignore[reportArgumentType]
        self.parameters = {name: value.detach().requires_grad_(True) for name, value in stacked.items()}
        self.averaged = {name: value.detach().clone() for name, value in stacked.items()}
        self._buffers = {name: value.detach() for name, value in buffers.items()}
        self.n_models = len(seeds)

    @property
    def parameters_each(self) -> int:
        """Of one model."""
        return sum(value[0].numel() for value in self.parameters.values())

    def v(self, parameters: dict[str, Tensor], x: Tensor, sigma: Tensor, condition: Tensor) -> Tensor:
        """x [M, B, T, C], sigma [M, B], condition [M, B, T, D] -> v [M, B, T, C]; M may be fewer than all models."""
        n_rows = len(x)

        def one(weights: dict[str, Tensor], buffers: dict[str, Tensor], *inputs: Tensor) -> Tensor:
            return functional_call(self.base, (weights, buffers), inputs)

        with sdpa_kernel(SDPBackend.MATH):
            buffers = {name: value[:n_rows] for name, value in self._buffers.items()}  # constants, alike in all rows
            return vmap(one)(parameters, buffers, x, sigma, condition)

    def predict(
        self, parameters: dict[str, Tensor], clean: Tensor, noise: Tensor, u: Tensor, condition: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Noise clean latents at levels u [M, B] -> (squared error of v, predicted clean), each [M, B, T, C]."""
        sigma = sigma_of(u)
        alpha = (1 + sigma.square()).rsqrt()[..., None, None]
        s = sigma[..., None, None] * alpha
        x = alpha * clean + s * noise
        v = self.v(parameters, x, sigma, condition)
        return (v - (alpha * noise - s * clean)).square(), alpha * x - s * v

    @torch.no_grad()
    def average(self, decay: float) -> None:
        """averaged <- decay * averaged + (1 - decay) * parameters."""
        for name, current in self.parameters.items():
            self.averaged[name].lerp_(current, 1.0 - decay)

    @torch.no_grad()
    def sample(self, noise: Tensor, condition: Tensor, n_steps: int) -> Tensor:
        """DDIM from the averaged weights: noise [B, T, C] and condition [B, T, D], the same for all -> [M, B, T, C]."""
        sigmas = cosine_sigmas(n_steps)
        condition = condition.expand(self.n_models, *condition.shape)
        x = (noise * sigmas[0]).expand(self.n_models, *noise.shape)
        for sigma, sigma_next in itertools.pairwise(sigmas):
            shrink = 1.0 / math.sqrt(1.0 + sigma * sigma)
            levels = torch.full(x.shape[:2], sigma, device=x.device)
            v = self.v(self.averaged, x * shrink, levels, condition)
            clean = x * shrink * shrink - sigma * shrink * v
            x = clean + (sigma_next / sigma) * (x - clean)
        return x
