"""Solvers against Gaussian data, whose answer is known in closed form: no network is needed."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from synth.diffusion.solvers import cosine_sigmas, dpm_solver_2m, euler, heun
from synth.errors import Cancelled

DATA_STD = 0.7


def gaussian_denoiser(x: Tensor, sigma: float, _target: float) -> Tensor:
    """E[clean | x] for clean ~ N(0, DATA_STD^2)."""
    return x * DATA_STD**2 / (DATA_STD**2 + sigma**2)


def exact(x: Tensor, sigma_from: float, sigma_to: float) -> Tensor:
    """The probability-flow ODE's solution: every point keeps its quantile."""
    return x * math.sqrt((DATA_STD**2 + sigma_to**2) / (DATA_STD**2 + sigma_from**2))


def error(solver, n_steps: int) -> float:
    sigmas = cosine_sigmas(n_steps)
    x = torch.linspace(-2, 2, 9).reshape(1, 9, 1) * sigmas[0]
    # Stop one level before 0, where every solver is exact for this data.
    return float((solver(gaussian_denoiser, x, sigmas[:-1]) - exact(x, sigmas[0], sigmas[-2])).abs().max())


def test_schedule_descends_to_zero() -> None:
    sigmas = cosine_sigmas(8)
    assert len(sigmas) == 9
    assert sigmas[-1] == 0.0
    assert all(a > b for a, b in itertools.pairwise(sigmas))
    with pytest.raises(ValueError, match="at least one step"):
        cosine_sigmas(0)


def test_euler_is_first_order() -> None:
    assert error(euler, 64) / error(euler, 128) == pytest.approx(2.0, rel=0.35)


@pytest.mark.parametrize("solver", [heun, dpm_solver_2m])
def test_second_order_solvers(solver) -> None:
    assert error(solver, 64) / error(solver, 128) > 3.0
    assert error(solver, 64) < error(euler, 64) / 3


@pytest.mark.parametrize("solver", [euler, heun, dpm_solver_2m])
def test_cancel_between_steps(solver) -> None:
    calls = []

    def stop() -> bool:
        calls.append(1)
        return len(calls) > 2

    with pytest.raises(Cancelled):
        solver(gaussian_denoiser, torch.ones(1, 1, 1), cosine_sigmas(10), stop)
    assert len(calls) == 3
