"""Conditions drawn on the device say what the renderer's conditions say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from synth.diffusion.conditioning import CONDITION_DIM, TIMBRE_DIM, TimbreScale, condition_array, lane_columns
from synth.spec.lanes import TECHNIQUES
from synth.train.conditions import (
    LANES,
    condition_tensor,
    draw_conditions,
    drawn_lanes,
    drawn_timbre,
    moving_average,
    thin_out,
)

N, FRAMES = 6, 48


@pytest.fixture
def features() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    found = {f"lane.{name}": torch.rand((N, FRAMES), generator=generator) for name in LANES}
    found["lane.fry"][:, 10:20] = torch.nan
    found["lane.presence"] = (found["lane.presence"] > 0.3).float()
    found["f0_hz"] = 100 + 300 * torch.rand((N, FRAMES), generator=generator)
    found["voiced"] = torch.rand((N, FRAMES), generator=generator) > 0.5
    found["mfcc"] = torch.randn((N, FRAMES, 17), generator=generator)
    found["technique"] = torch.rand((N, len(TECHNIQUES)), generator=generator)
    return found


SCALE = TimbreScale(tuple(np.linspace(-1, 1, TIMBRE_DIM)), tuple(np.linspace(0.5, 2, TIMBRE_DIM)))


def test_the_torch_condition_equals_the_rendering_one(features) -> None:
    generator = torch.Generator().manual_seed(0)
    lanes, timbre = drawn_lanes(features, generator), drawn_timbre(features, generator)
    technique = features["technique"][:, None].expand(-1, FRAMES, -1)
    made = condition_tensor(lanes, timbre, technique, SCALE)
    by_name = {name: lanes[..., index].numpy() for index, name in enumerate(LANES)}
    by_name |= {f"technique.{name}": technique[..., index].numpy() for index, name in enumerate(TECHNIQUES)}
    np.testing.assert_allclose(made.numpy(), condition_array(by_name, timbre.numpy(), SCALE), atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=3, max_size=30), st.sampled_from([1, 3, 9, 61]), st.integers(0, 2**30))
def test_the_moving_average_is_the_mean_of_the_good_neighbours(values, width, seed) -> None:
    rng = np.random.default_rng(seed)
    numbers = np.array(values, dtype=np.float32)
    numbers[rng.random(len(numbers)) < 0.2] = np.nan
    weight = (rng.random(len(numbers)) < 0.7).astype(np.float32)
    made = moving_average(
        torch.from_numpy(numbers)[None, :, None], torch.from_numpy(weight)[None], torch.tensor([width])
    )[0, :, 0].numpy()
    for frame in range(len(numbers)):
        near = slice(max(frame - width // 2, 0), frame + width // 2 + 1)
        good = np.isfinite(numbers[near]) & (weight[near] > 0)
        if width == 1 or not np.isfinite(numbers[frame]):
            wanted = numbers[frame]
        else:
            wanted = numbers[near][good].mean() if good.any() else np.nan
        np.testing.assert_allclose(made[frame], wanted, atol=1e-4)


def test_presence_is_never_dropped_and_everything_else_sometimes(features) -> None:
    condition = torch.ones((400, 4, CONDITION_DIM))
    thinned = thin_out(condition, torch.Generator().manual_seed(1))
    kept = thinned.mean(dim=(0, 1))
    for name, columns in lane_columns().items():
        if name == "presence":
            assert (kept[columns] == 1.0).all()
        else:
            assert (kept[columns] > 0.55).all()
            assert (kept[columns] < 0.9).all()


def test_the_same_generator_state_draws_the_same_conditions(features) -> None:
    first, second = (draw_conditions(features, SCALE, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.isfinite(first).all()


def test_a_mean_timbre_is_that_of_the_whole_clip_and_not_too_exact(features) -> None:
    n = len(features["mfcc"])
    of_clip = torch.linspace(-1.0, 1.0, 17).expand(n, -1)
    told = drawn_timbre(features | {"clip_mfcc": of_clip}, torch.Generator().manual_seed(2))
    plain = drawn_timbre(features, torch.Generator().manual_seed(2))
    still = torch.isfinite(plain).all(-1).all(-1) & (plain.std(1).amax(-1) < 1e-6)
    assert still.any()
    torch.testing.assert_close(told[still], of_clip[still, None, 1:].expand(-1, told.shape[1], -1))
    moving = torch.isfinite(plain).all(-1).all(-1) & ~still
    assert torch.equal(told[moving], plain[moving])
    blurred = drawn_timbre(features | {"clip_mfcc": of_clip}, torch.Generator().manual_seed(2), SCALE)
    off = (blurred - told)[still] / torch.tensor(SCALE.std)
    assert 0.2 < float(off.std()) < 0.5
    assert float(off.std(1).max()) < 1e-5  # one voice for the whole excerpt
