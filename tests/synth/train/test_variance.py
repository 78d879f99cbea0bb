"""The variance of a backward step is learnt where fixed ones are wrong, and nothing else moves."""

from __future__ import annotations

import pytest
import torch

from synth.diffusion.solvers import MAX_ANGLE, cosine_sigmas
from synth.diffusion.unet import Denoiser
from synth.train.diffusion import DenoiserTask
from synth.train.variance import (
    N_STEPS,
    SpreadHead,
    bound,
    draw_with_fresh_noise,
    last_features,
    mean_bound,
    next_level,
)
from tests.tiny_weights import TINY_DENOISER


def _stirred() -> Denoiser:
    torch.manual_seed(0)
    denoiser = Denoiser(TINY_DENOISER)
    with torch.no_grad():
        for parameter in denoiser.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return denoiser


def test_the_grid_is_the_sampler_s() -> None:
    sigmas = torch.tensor(cosine_sigmas(N_STEPS))
    assert float(sigmas[0]) == pytest.approx(float(torch.tan(torch.tensor(MAX_ANGLE) * torch.pi / 2)), rel=1e-4)
    torch.testing.assert_close(next_level(sigmas[:-2]), sigmas[1:-1], rtol=1e-3, atol=1e-6)
    assert float(next_level(sigmas[-2])) < 1e-3


def test_no_divergence_where_the_clean_latents_are_known() -> None:
    clean = torch.randn((2, 8, 3))
    sigma, target = torch.full((2, 1), 2.0), torch.full((2, 1), 1.0)
    nothing = bound(torch.zeros_like(clean), clean, clean, sigma, target)
    torch.testing.assert_close(nothing, torch.zeros_like(nothing), atol=1e-5, rtol=0.0)
    assert (bound(torch.ones_like(clean), clean, clean, sigma, target) > 0.1).all()


def test_the_least_divergence_is_at_the_variance_there_is() -> None:
    """With an error of known size, the best share is where the variance is the lower one plus its square."""
    clean, predicted = torch.zeros((1, 1, 1)), torch.full((1, 1, 1), 0.8)
    sigma, target = torch.full((1, 1), 1.5), torch.full((1, 1), 1.0)
    shares = torch.linspace(-1, 2, 3_001)
    nats = torch.stack([bound(share.view(1, 1, 1), predicted, clean, sigma, target).squeeze() for share in shares])
    fresh = 1.5**2 - 1.0
    lower = fresh / 1.5**2
    wanted = lower + ((1 - 1 / 1.5**2) * 0.8) ** 2
    best = (torch.tensor(wanted / lower).log() / torch.tensor(fresh / lower).log()).item()
    assert float(shares[nats.argmin()]) == pytest.approx(best, abs=0.01)


def test_a_head_learns_a_smaller_bound_than_either_fixed_variance() -> None:
    denoiser = _stirred().requires_grad_(False)
    head = SpreadHead(denoiser)
    generator = torch.Generator().manual_seed(1)
    condition = torch.zeros((32, 16, TINY_DENOISER.condition_dim))
    clean = torch.randn((32, 16, TINY_DENOISER.latent_dim), generator=generator)
    clean[..., ::2] *= 0.05  # half of the channels are nearly known
    sigma = torch.full((32, 1), 1.0)
    x = (clean + torch.randn(clean.shape, generator=generator)) * 0.5**0.5
    with last_features(denoiser) as features:
        denoiser(x, sigma[:, 0], denoiser.encode_condition(condition))
    assert len(features) == 1
    predicted, learnt = torch.zeros_like(clean), torch.ones((32, 16))
    optimizer = torch.optim.Adam(head.parameters(), lr=0.02)
    loss = torch.zeros(())
    for _ in range(80):
        loss = mean_bound(head(features[0]), predicted, clean, sigma, learnt)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    learned = loss.item()
    fixed = [float(mean_bound(share, predicted, clean, sigma, learnt)) for share in (0.0, 1.0)]
    assert learned < 0.9 * min(fixed), (learned, fixed)
    share = head(features[0]).detach()
    assert float(share[..., 1::2].mean() - share[..., ::2].mean()) > 0.1


def test_drawing_repeats_with_its_generator_and_differs_by_spread() -> None:
    denoiser = _stirred().eval()
    condition = torch.zeros((2, 16, TINY_DENOISER.condition_dim))

    def drawn(spread: str, seed: int = 0) -> torch.Tensor:
        head = SpreadHead(denoiser) if spread == "learned" else None
        generator = torch.Generator().manual_seed(seed)
        return draw_with_fresh_noise(denoiser, head, condition, generator, spread=spread, n_steps=4)  # pyright: ignore[reportArgumentType]

    assert torch.equal(drawn("lower"), drawn("lower"))
    assert not torch.equal(drawn("lower"), drawn("lower", seed=1))
    assert not torch.equal(drawn("lower"), drawn("upper"))
    assert torch.isfinite(drawn("learned")).all()
    with pytest.raises(ValueError, match="head"):
        draw_with_fresh_noise(denoiser, None, condition, torch.Generator())


def test_the_task_reports_the_bound_beside_fixed_ones_and_trains_the_head() -> None:
    denoiser = _stirred()
    batch = {
        "latents": torch.randn((4, 16, TINY_DENOISER.latent_dim)),
        "noise": torch.randn((4, 16, TINY_DENOISER.latent_dim)),
        "condition": torch.zeros((4, 16, TINY_DENOISER.condition_dim)),
        "sigma": torch.rand((4, 16)) * 3 + 0.2,
        "learnt": torch.ones((4, 16)),
        "f0_hz": torch.full((4, 16), 200.0),
    }
    batch["sigma"] = batch["sigma"][:, :1].expand(-1, 16).contiguous()
    task = DenoiserTask(denoiser, use_bf16=False, held_out=batch, learn_variance=True)
    loss, figures = task(batch)
    loss.backward()
    assert task.spread is not None
    assert task.spread.leave.weight.grad is not None
    assert float(task.spread.leave.weight.grad.abs().max()) > 0.0
    assert float(figures["bound"]) > 0.0
    held_out = task.validate()
    assert {"validation", "bound_learned", "bound_lower", "bound_upper"} == set(held_out)
    assert "bound_learned" not in DenoiserTask(denoiser, use_bf16=False, held_out=batch).validate()
