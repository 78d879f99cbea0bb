"""The score of singing: least for the recordings' own distribution, in its spread as well as in its mean."""

from __future__ import annotations

import torch
from torch import Tensor

from synth.adapt.scores import STATISTIC_FRAMES, energy_score, singing_score

EVEN = torch.ones(4)


def frames(mean: float, spread: float, seed: int, n: int = 2_000) -> Tensor:
    return mean + spread * torch.randn((n, 4), generator=torch.Generator().manual_seed(seed))


def score_of(mean: float, spread: float) -> float:
    return float(energy_score(frames(mean, spread, 1), frames(mean, spread, 2), frames(0.0, 1.0, 3), EVEN))


def test_the_right_distribution_scores_least() -> None:
    right = score_of(0.0, 1.0)
    for mean, spread in ((0.5, 1.0), (0.0, 0.3), (0.0, 2.0)):
        assert right < score_of(mean, spread) - 0.01


def test_channels_count_by_their_weight() -> None:
    first, second, real = (frames(0.0, 1.0, seed) for seed in (1, 2, 3))
    off, away = (side + torch.tensor([3.0, 0.0, 0.0, 0.0]) for side in (first, second))
    deaf = torch.tensor([0.0, 4 / 3, 4 / 3, 4 / 3])
    assert energy_score(off, away, real, deaf) == energy_score(first, second, real, deaf)
    assert energy_score(off, away, real, EVEN) > energy_score(first, second, real, EVEN) + 0.1


def test_what_becomes_of_frames_in_time_counts() -> None:
    def held(seed: int) -> Tensor:
        """Right at every frame, but standing still."""
        return frames(0.0, 1.0, seed, 500)[:, None].expand(-1, STATISTIC_FRAMES, -1)

    def moving(seed: int) -> Tensor:
        return frames(0.0, 1.0, seed, 500 * STATISTIC_FRAMES).unflatten(0, (500, STATISTIC_FRAMES))

    real = moving(3)
    assert singing_score(moving(1), moving(2), real, EVEN) < singing_score(held(1), held(2), real, EVEN) - 0.05


def test_two_draws_that_are_alike_have_a_gradient() -> None:
    drawn = torch.zeros((1, STATISTIC_FRAMES, 4), requires_grad=True)
    singing_score(drawn, drawn, torch.zeros((1, STATISTIC_FRAMES, 4)), EVEN).backward()
    assert drawn.grad is not None
    assert bool(torch.isfinite(drawn.grad).all())
