"""Singing as a loss: what the few jumps of a sampling draw, judged as a distribution by what was recorded.

The energy score of two draws x, x' of one condition and the recording y, (|x - y| + |x' - y|) / 2 - |x - x'| / 2, is
least on average where the draws come from the recording's own distribution (Gneiting and Raftery 2007, "Strictly
proper scoring rules, prediction, and estimation", eq. 22). Regression teaches a mean, and few jumps of a mean are too
smooth; a score that is proper asks for the spread as well (De Bortoli et al. 2025, "Distributional diffusion models
with scoring rules", score single denoising steps; here whole samplings are scored, since they are what is heard).
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

STATISTIC_FRAMES: Final = 32
_LEAST: Final = 1e-6


def energy_score(first: Tensor, second: Tensor, real: Tensor, weight: Tensor) -> Tensor:
    """Mean over [...] of the score of vectors [..., n]; squares of components count by `weight` [n], of mean 1."""
    near = 0.5 * (frame_distance(first, real, weight) + frame_distance(second, real, weight))
    return (near - 0.5 * frame_distance(first, second, weight)).mean()


def frame_distance(a: Tensor, b: Tensor, weight: Tensor) -> Tensor:
    """Weighted root mean square of the difference of vectors [..., n] -> [...]."""
    return ((a - b).square() * weight).mean(-1).clamp(min=_LEAST).sqrt()


def singing_score(first: Tensor, second: Tensor, real: Tensor, weight: Tensor) -> Tensor:
    """Of latents [B, T, C]: frames by themselves, and what becomes of them in time.

    In time: mean and standard deviation of every channel over a third of a second. Frames alone would let a voice be
    right at every moment and yet hold still, or tremble.
    """
    frames = energy_score(first, second, real, weight)
    statistics = [_statistics(side) for side in (first, second, real)]
    return 0.5 * (frames + energy_score(statistics[0], statistics[1], statistics[2], weight.repeat(2)))


def _statistics(latents: Tensor) -> Tensor:
    """[B, T, C] -> [B, T // STATISTIC_FRAMES, 2 C]; of fewer frames, of all of them."""
    long = min(STATISTIC_FRAMES, latents.shape[1])
    n = latents.shape[1] // long
    parts = latents[:, : n * long].unflatten(1, (n, long))
    spread = parts.var(2, unbiased=False).clamp(min=_LEAST).sqrt()
    return torch.cat([parts.mean(2), spread], dim=-1)
