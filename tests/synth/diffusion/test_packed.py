"""The packed denoiser is the denoiser: same function, whoever calls it, at every way a condition enters."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from torch import nn

from synth.codec.noise import Stream, normal_frames
from synth.diffusion.conditioning import CONDITION_DIM
from synth.diffusion.packed import PackedDenoiser, draw_together, packed_denoiser, played_precision
from synth.diffusion.sampler import Network, SamplingPlan, sample_window
from synth.diffusion.unet import Denoiser, DenoiserConfig, Injection
from synth.spec.audio import WINDOW_FRAMES
from synth.spec.controls import ControlFrames
from synth.spec.lanes import LANES, Pathway
from tests.tiny_weights import tiny_engine

LATENT_DIM = 20
CONFIG = DenoiserConfig(
    LATENT_DIM, widths=(24, 40), blocks_per_level=1, middle_blocks=3, pathway_dim=8, film_dim=16, level_dim=8, heads=4
)


def denoiser(config: DenoiserConfig = CONFIG, seed: int = 0) -> Denoiser:
    """Random weights, with nothing left at zero or one."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = Denoiser(config)
        with torch.no_grad():
            for parameter in made.parameters():
                parameter.add_(0.15 * torch.randn_like(parameter))
    return made.eval().requires_grad_(False)


def noise(seed: int, n_channels: int, n_frames: int = WINDOW_FRAMES) -> np.ndarray:
    return normal_frames(seed, Stream.LATENT, 0, n_frames, n_channels).T.copy()


def drawn(network: Network, seed: int = 1, plan: SamplingPlan | None = None) -> np.ndarray:
    chosen = plan or SamplingPlan(4)
    return sample_window(network, noise(100 + seed, CONDITION_DIM), noise(seed, LATENT_DIM), chosen)


def distance_db(one: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(np.mean((one - other) ** 2) / np.mean(other**2)))


@pytest.mark.parametrize("injection", get_args(Injection))
def test_packing_changes_rounding_only(injection: Injection) -> None:
    config = DenoiserConfig.from_dict(CONFIG.as_dict() | {"injection": injection})
    plain = denoiser(config)
    assert distance_db(drawn(PackedDenoiser(plain)), drawn(plain)) < -110.0


def test_three_resolutions_and_guidance_come_out_alike() -> None:
    config = DenoiserConfig.from_dict(CONFIG.as_dict() | {"widths": (16, 24, 40)})
    plain, plan = denoiser(config), SamplingPlan(3, solver="dpm2m", guidance={Pathway.IRREGULARITY: 2.0})
    assert distance_db(drawn(PackedDenoiser(plain), plan=plan), drawn(plain, plan=plan)) < -105.0


def test_a_level_for_every_frame() -> None:
    plain = denoiser()
    packed = PackedDenoiser(plain)
    n_frames = 48
    x, condition = (torch.from_numpy(noise(3, width, n_frames))[None] for width in (LATENT_DIM, CONDITION_DIM))
    sigma = torch.full((1, n_frames), 2.0)
    sigma[:, :16] = 0.05
    with torch.inference_mode():
        expected = plain(x, sigma, plain.encode_condition(condition), 0.5 * sigma)
        found = packed(x, sigma, packed.encode_condition(condition), 0.5 * sigma)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_bfloat16_stays_far_below_what_is_sung() -> None:
    plain = denoiser()
    assert distance_db(drawn(PackedDenoiser(plain, torch.bfloat16)), drawn(plain)) < -40.0


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_what_is_drawn_does_not_depend_on_who_is_drawn_beside_it(precision: torch.dtype) -> None:
    packed = PackedDenoiser(denoiser(), precision)
    alone = [drawn(packed, seed) for seed in range(6)]
    with ThreadPoolExecutor(3, initializer=torch.set_num_threads, initargs=(1,)) as threads:
        together = list(threads.map(lambda seed: drawn(packed, seed), range(6)))
    assert all(map(np.array_equal, alone, together))
    assert not np.array_equal(alone[0], alone[1])


def test_levels_are_kept_within_bounds_and_stay_right() -> None:
    plain = denoiser()
    packed = PackedDenoiser(plain)
    first = drawn(packed)
    for n_steps in range(1, 16):  # 120 pairs of levels
        drawn(packed, plan=SamplingPlan(n_steps))
    assert len(packed._kept) <= 64
    assert np.array_equal(drawn(packed), first)


def test_an_engine_plays_changed_weights_once_they_are_packed_again(tmp_path: Path) -> None:
    engine = tiny_engine(tmp_path)
    window = ControlFrames({lane.id: np.full(WINDOW_FRAMES, lane.default, dtype=np.float32) for lane in LANES})

    def sung() -> np.ndarray:
        return engine.sample_cell(window, seed=1, cell_index=0, quality="draft")

    before = sung()
    engine.denoiser.leave.weight.mul_(0.0)
    engine.repack()
    assert distance_db(sung(), before) > -20.0


def test_a_denoiser_that_something_was_put_into_is_played_as_it_is() -> None:
    plain = denoiser()
    assert isinstance(packed_denoiser(plain), PackedDenoiser)
    handle = plain.enter.register_forward_hook(lambda *_: None)
    assert packed_denoiser(plain) is None
    handle.remove()

    class Adapted(nn.Linear):
        pass

    plain.enter = Adapted(plain.enter.in_features, plain.enter.out_features)
    assert packed_denoiser(plain) is None


def test_the_precision_is_one_the_processor_has() -> None:
    assert played_precision() in (torch.float32, torch.bfloat16)
    if not torch.cpu._is_avx512_bf16_supported():
        assert played_precision() == torch.float32


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_windows_drawn_together_are_what_each_would_be_alone(precision: torch.dtype) -> None:
    network, other = PackedDenoiser(denoiser(), precision), PackedDenoiser(denoiser(seed=1), precision)
    plan = SamplingPlan(3)
    asked = [*[network] * 6, other, *[network] * 2]
    named = [(network, noise(100 + seed, CONDITION_DIM)) for seed, network in enumerate(asked)]
    noises = [noise(seed, LATENT_DIM) for seed in range(len(asked))]
    sizes = []

    def draw(network: Network, conditions: np.ndarray, noises: np.ndarray) -> np.ndarray:
        sizes.append(len(conditions))
        return sample_window(network, conditions, noises, plan)

    drawn = draw_together(named, noises, plan, draw)
    for seed, (network, condition) in enumerate(named):
        assert np.array_equal(drawn[seed], sample_window(network, condition, noises[seed], plan))
    assert max(sizes) <= network.free_batch
    assert sum(sizes) == len(asked)
    if network.free_batch == 4:
        assert sizes == [4, 2, 1, 2]


def test_plain_and_guided_networks_draw_one_window_at_a_time() -> None:
    plain = denoiser()
    sizes = []

    def draw(_network: Network, conditions: np.ndarray, noises: np.ndarray) -> np.ndarray:
        sizes.append(len(conditions))
        return noises

    window = noise(1, CONDITION_DIM), noise(2, LATENT_DIM)
    guided = SamplingPlan(2, guidance={Pathway.IRREGULARITY: 2.0})
    for network, plan in ((plain, SamplingPlan(2)), (PackedDenoiser(plain), guided)):
        draw_together([(network, window[0])] * 3, [window[1]] * 3, plan, draw)
    assert sizes == [1] * 6


def test_a_batch_of_guided_windows_is_the_windows_one_by_one_but_for_rounding() -> None:
    plain, plan = denoiser(), SamplingPlan(3, guidance={Pathway.IRREGULARITY: 2.0, Pathway.TIMBRE: 0.5})
    conditions = np.stack([noise(100 + seed, CONDITION_DIM) for seed in range(3)])
    noises = np.stack([noise(seed, LATENT_DIM) for seed in range(3)])
    batch = sample_window(plain, conditions, noises, plan)
    for drawn, condition, start in zip(batch, conditions, noises, strict=True):
        assert distance_db(drawn, sample_window(plain, condition, start, plan)) < -90.0


def test_an_engine_gives_cells_together_as_it_gives_them_alone(tmp_path: Path) -> None:
    engine = tiny_engine(tmp_path)
    lanes = {lane.id: np.full(WINDOW_FRAMES, lane.default, dtype=np.float32) for lane in LANES}
    windows = [ControlFrames(lanes | {"loudness": np.full(WINDOW_FRAMES, level, np.float32)}) for level in range(6)]
    together = engine.sample_cells(windows, seed=1, cell_indices=range(6), quality="draft")
    for cell, window in enumerate(windows):
        alone = engine.sample_cell(window, seed=1, cell_index=cell, quality="draft")
        assert np.array_equal(together[cell], alone)
