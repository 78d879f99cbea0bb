"""What an adaptation learns: right targets for every kind of row, a small state, copies that share what is frozen."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor

from synth.adapt.rehearsal import Rehearsal
from synth.adapt.sparse import inject_sparse
from synth.adapt.task import AdaptTask, Outside, _Levels, _velocity
from synth.adapters.mixing import sharing_copy
from synth.diffusion.solvers import cosine_sigmas
from synth.diffusion.unet import Denoiser
from synth.spec.lanes import Pathway
from synth.train.descent import Batch
from synth.train.distill import Teacher, clean_estimate, ddim_step, dropped
from tests.synth.adapters.tiny_adapters import stirred_denoiser
from tests.tiny_weights import TINY_DENOISER

N, T = 6, 16


def batch(rehearsed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(2)
    flags = torch.zeros(N)
    flags[N - rehearsed :] = 1.0
    return {
        "latents": torch.randn((N, T, TINY_DENOISER.latent_dim), generator=generator),
        "noise": torch.randn((N, T, TINY_DENOISER.latent_dim), generator=generator),
        "condition": torch.randn((N, T, TINY_DENOISER.condition_dim), generator=generator),
        "sigma": (torch.rand(N, generator=generator) + 0.3)[:, None].expand(-1, T).clone(),
        "learnt": torch.ones(N, T), "rehearsed": flags,
    }  # fmt: skip


def task_of(base: Denoiser, outside: Outside | None = None) -> AdaptTask:
    student = sharing_copy(base)
    assert isinstance(student, Denoiser)
    inject_sparse(student, {"enter": torch.arange(0, 200, 3), "leave": torch.arange(0, 90, 2)})
    weight = np.ones(TINY_DENOISER.latent_dim, np.float32)
    return AdaptTask(student, outside or Outside(base, {}, ()), weight, use_bf16=False)


def noisy(given: Batch, sigma: Tensor) -> Tensor:
    return given["latents"] + sigma[..., None] * given["noise"]


def slopes(given: Batch) -> _Levels:
    return _Levels(given["sigma"], given["sigma"], given["sigma"], torch.zeros(N))


def test_slopes_are_the_recordings_own_v() -> None:
    given, base = batch(), stirred_denoiser()
    wanted = task_of(base)._wanted(given, slopes(given), noisy(given, given["sigma"]))
    s = given["sigma"][..., None]
    torch.testing.assert_close(wanted, (given["noise"] - s * given["latents"]) / (1 + s.square()).sqrt())


def test_guidance_that_was_distilled_is_in_the_target() -> None:
    """A base that says full + (w - 1)(full - without): the difference w (full - without) gives the guidance back."""
    given, base = batch(), stirred_denoiser()
    weight = 1.5
    task = task_of(base, Outside(base, {Pathway.NOISE: weight}, ()))
    x, sigma = noisy(given, given["sigma"]), given["sigma"]
    plain = task_of(base)._wanted(given, slopes(given), x)
    guided = task._wanted(given, slopes(given), x)
    full = _velocity(base, x, sigma, sigma, given["condition"])
    without = _velocity(base, x, sigma, sigma, dropped(given["condition"], Pathway.NOISE))
    torch.testing.assert_close(guided - plain, (weight - 1) / weight * (full - without), atol=1e-5, rtol=1e-4)


def test_rehearsed_rows_want_what_the_base_says() -> None:
    given, base = batch(rehearsed=2), stirred_denoiser()
    task = task_of(base)
    x, sigma = noisy(given, given["sigma"]), given["sigma"]
    wanted = task._wanted(given, slopes(given), x)
    said = _velocity(base, x, sigma, sigma, given["condition"])
    torch.testing.assert_close(wanted[-2:], said[-2:], atol=1e-5, rtol=1e-4)
    assert (wanted[:-2] - said[:-2]).abs().max() > 0.1
    # Nothing has been learnt yet, so nothing has been forgotten.
    _, figures = task(given)
    assert float(figures["drift"]) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("n_steps", [8, 2])
def test_a_jump_lands_where_two_half_jumps_do(n_steps: int) -> None:
    given, base = batch(), stirred_denoiser()
    task = task_of(base, Outside(base, {}, (8, 4, 2)))
    grid = cosine_sigmas(2 * n_steps)
    sigma, middle, target = (torch.full((N, T), level) for level in grid[2:5])
    x = noisy(given, sigma)
    levels = _Levels(sigma, middle, target, torch.full((N,), float(n_steps)))
    v = task._two_half_jumps(levels, x, given["condition"])
    s = sigma[..., None]
    shrink = (1 + s.square()).rsqrt()
    landed = ddim_step(x, x * shrink.square() - s * shrink * v, sigma, target)
    # On the finest grid the halves are slopes.
    teacher = Teacher(base, {}, jumps=n_steps != 8)
    expected = ddim_step(x, teacher.two_steps(x, (sigma, middle, target), given["condition"]), sigma, target)
    torch.testing.assert_close(landed, expected, atol=1e-3, rtol=1e-3)
    encoded = base.encode_condition(given["condition"])
    at_once = ddim_step(x, clean_estimate(base, x, sigma, target, encoded), sigma, target)
    assert (landed - at_once).abs().max() > 1e-2


def test_jumps_lie_on_the_grids_and_leave_heard_frames_alone() -> None:
    given, base = batch(), stirred_denoiser()
    given["learnt"][:, :4] = 0.0
    task = task_of(base, Outside(base, {}, (4, 2)))
    torch.manual_seed(0)
    for _ in range(8):
        levels = task._levels(given)
        jumps = levels.n_steps > 0
        torch.testing.assert_close(levels.sigma[:, :4], given["sigma"][:, :4])
        torch.testing.assert_close(levels.target[:, :4], given["sigma"][:, :4])
        for row in torch.nonzero(jumps).flatten().tolist():
            grid = cosine_sigmas(2 * int(levels.n_steps[row]))
            at = int(np.abs(np.array(grid) - float(levels.sigma[row, -1])).argmin())
            assert at % 2 == 0
            assert float(levels.target[row, -1]) == pytest.approx(grid[at + 2], rel=1e-5)
        loss, _ = task(given)
        assert torch.isfinite(loss)


def test_its_state_is_what_is_trained() -> None:
    task = task_of(stirred_denoiser())
    state = task.state_dict()
    assert set(state) == {"student.enter.values", "student.leave.values"}
    assert sum(value.numel() for value in state.values()) == task.n_trained
    other = task_of(stirred_denoiser())
    other.load_state_dict({name: value + 1.0 for name, value in state.items()})
    assert all(float(value.detach().mean()) == 1.0 for value in other.state_dict().values())
    with pytest.raises(RuntimeError, match="other parameters"):
        other.load_state_dict({"student.enter.values": state["student.enter.values"]})


def test_a_copy_shares_what_is_frozen_and_has_its_own_of_what_is_trained() -> None:
    task = task_of(stirred_denoiser())
    average = copy.deepcopy(task)
    assert average.outside is task.outside
    mine, theirs = dict(task.named_parameters()), dict(average.named_parameters())
    shared = {name for name in mine if mine[name] is theirs[name]}
    assert set(mine) - shared == set(task.learnt)
    assert len(shared) > 20


def test_rehearsal_cuts_windows_as_wanted() -> None:
    numbers = torch.arange(5.0)[:, None, None]
    kept = Rehearsal(numbers.expand(5, 20, 3), numbers.expand(5, 20, 2))
    latents, condition = kept.rows(7, 12, torch.Generator().manual_seed(0))
    assert latents.shape == (7, 12, 3)
    torch.testing.assert_close(latents[..., 0], condition[..., 0])  # a window keeps its own condition
    assert len(set(latents[:, 0, 0].tolist())) > 2


def test_what_is_sung_is_scored_and_the_others_shall_stay() -> None:
    given, base = batch(rehearsed=2), stirred_denoiser()
    task = task_of(base, Outside(base, {}, (4, 2, 1), sung=3, kept=2))
    loss, figures = task(given)
    # Nothing was learnt yet: the others sound as the base's, and the recordings are not the base's.
    assert float(figures["changed"]) < 0.01
    assert float(figures["sung"]) > 0.1
    loss.backward()
    assert all(parameter.grad is not None for parameter in task.parameters() if parameter.requires_grad)
    with torch.no_grad():
        for parameter in task.parameters():
            parameter.add_(0.3 if parameter.requires_grad else 0.0)
    _, moved = task(given)
    assert float(moved["changed"]) > 0.02
    held_out = batch()
    task.outside.held_out = held_out
    torch.manual_seed(0)
    score = task._score(held_out, torch.arange(N), 4).detach()
    torch.manual_seed(0)
    assert task.validate() == {"validation": pytest.approx(float(score))}
