"""Noise schedules and ODE solvers. The contract is `denoise(x, sigma, target) -> clean estimate`, conditioning bound.

`target` is the level that the step jumps to, for denoisers distilled to take long steps; solvers that combine slopes of
their own ask for target = sigma, the slope itself.

Schedules are plain data: descending noise levels, the last one 0. Solvers keep their state in float32 or better.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

from torch import Tensor

from synth.errors import Cancelled

Denoise = Callable[[Tensor, float, float], Tensor]
ShouldStop = Callable[[], bool]

MAX_ANGLE = 0.985  # of a quarter turn: sigma about 42, where nothing of the signal is left


def never() -> bool:
    """For callers who do not cancel."""
    return False


def cosine_sigmas(n_steps: int, *, bend: float = 1.0) -> tuple[float, ...]:
    """n_steps + 1 noise levels, equally spaced in the angle of the cosine schedule -> descending, last 0.

    Nichol and Dhariwal 2021 in the angle form of Salimans and Ho 2022: sigma = tan(pi/2 * u). `bend` > 1 puts more
    steps at low noise.
    """
    if n_steps < 1:
        raise ValueError(f"a sampling needs at least one step, not {n_steps}")
    angles = [MAX_ANGLE * (1 - i / n_steps) ** bend for i in range(n_steps + 1)]
    return (*tuple(math.tan(0.5 * math.pi * angle) for angle in angles[:-1]), 0.0)


def euler(denoise: Denoise, x: Tensor, sigmas: Sequence[float], should_stop: ShouldStop = never) -> Tensor:
    """Follow the probability-flow ODE with Euler's method (DDIM, Song et al. 2021, in sigma form).

    x   [B, T, C], noise already scaled by sigmas[0]. Raises Cancelled between steps.
    """
    for sigma, sigma_next in itertools.pairwise(sigmas):
        if should_stop():
            raise Cancelled
        clean = denoise(x, sigma, sigma_next)
        x = clean + (sigma_next / sigma) * (x - clean)
    return x


def heun(denoise: Denoise, x: Tensor, sigmas: Sequence[float], should_stop: ShouldStop = never) -> Tensor:
    """Second-order: Heun's method (Karras et al. 2022, Alg. 1). Two evaluations a step, one in the last."""
    for sigma, sigma_next in itertools.pairwise(sigmas):
        if should_stop():
            raise Cancelled
        slope = (x - denoise(x, sigma, sigma)) / sigma
        x_euler = x + (sigma_next - sigma) * slope
        if sigma_next == 0:  # the last step has no second slope
            return x_euler
        slope_next = (x_euler - denoise(x_euler, sigma_next, sigma_next)) / sigma_next
        x = x + (sigma_next - sigma) * 0.5 * (slope + slope_next)
    return x


def dpm_solver_2m(denoise: Denoise, x: Tensor, sigmas: Sequence[float], should_stop: ShouldStop = never) -> Tensor:
    """Second-order multistep at one evaluation a step: DPM-Solver++(2M) (Lu et al. 2022, Alg. 2), data prediction."""
    previous: Tensor | None = None
    previous_step = 0.0
    for sigma, sigma_next in itertools.pairwise(sigmas):
        if should_stop():
            raise Cancelled
        clean = denoise(x, sigma, sigma)
        if sigma_next == 0:
            return clean
        step = math.log(sigma / sigma_next)
        target = clean
        if previous is not None:
            ratio = previous_step / step
            target = (1 + 1 / (2 * ratio)) * clean - 1 / (2 * ratio) * previous
        x = (sigma_next / sigma) * x - math.expm1(-step) * target
        previous, previous_step = clean, step
    return x
