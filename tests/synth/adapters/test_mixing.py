"""Adapters in a denoiser: exact at any strength, region by region, frame by frame, voice by voice; off is the base."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from torch import Tensor

from synth.adapters.deltas import LowRank, delta_of
from synth.adapters.file import Adapter
from synth.adapters.layout import REGIONS, linear_layers
from synth.adapters.mixing import AdaptedDenoiser, merged_denoiser, sharing_copy
from synth.diffusion.sampler import SamplingPlan, sample_window
from synth.diffusion.unet import Denoiser
from synth.errors import UserError
from synth.spec.lanes import Pathway
from tests.synth.adapters.tiny_adapters import MAKERS, info, random_adapter, random_layers, stirred_denoiser
from tests.tiny_weights import TINY_DENOISER

T = 16


def inputs(n: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """(x, sigma, condition) of n voices."""
    generator = torch.Generator().manual_seed(3)
    x = torch.randn((n, T, TINY_DENOISER.latent_dim), generator=generator)
    condition = torch.randn((n, T, TINY_DENOISER.condition_dim), generator=generator)
    return x, torch.rand(n, generator=generator) + 0.5, condition


def sing(model: Denoiser, x: Tensor, sigma: Tensor, condition: Tensor) -> Tensor:
    return model(x, sigma, model.encode_condition(condition))


def with_strengths(condition: Tensor, strengths: Tensor) -> Tensor:
    """Constant strengths [K] behind every frame."""
    return torch.cat([condition, strengths.expand(*condition.shape[:2], -1)], dim=-1)


def merged(base: Denoiser, adapters: list[tuple[Adapter, list[float]]]) -> Denoiser:
    """The base with strength * delta added into copies of its weights: the definition, the slow way."""
    model = Denoiser(TINY_DENOISER).eval().requires_grad_(False)
    model.load_state_dict(base.state_dict())
    regions = {place.name: place.region for place in linear_layers(base)}
    for adapter, strengths in adapters:
        for name, parts in adapter.layers.items():
            settings = {"rank": adapter.info.rank, "alpha": adapter.info.alpha}
            delta = delta_of(adapter.info.method, parts, base.get_parameter(f"{name}.weight"), settings)
            strength = strengths[REGIONS.index(regions[name])]
            whole = delta.up @ delta.down if isinstance(delta, LowRank) else delta.weight
            model.get_parameter(f"{name}.weight").add_(whole, alpha=strength)
            if not isinstance(delta, LowRank) and delta.bias is not None:
                model.get_parameter(f"{name}.bias").add_(delta.bias, alpha=strength)
    return model


@pytest.mark.parametrize("method", MAKERS)
def test_strengths_scale_what_an_adapter_adds_to_each_region(method: str) -> None:
    base, adapter = stirred_denoiser(), random_adapter(method)
    model = AdaptedDenoiser(base, [adapter])
    x, sigma, condition = inputs()
    plain = sing(base, x, sigma, condition)
    for strengths in ([1.0, 1.0, 1.0], [0.4, 0.0, 1.3], [0.0, 0.7, 0.0]):
        sung = sing(model, x, sigma, with_strengths(condition, torch.tensor(strengths)))
        expected = sing(merged(base, [(adapter, strengths)]), x, sigma, condition)
        torch.testing.assert_close(sung, expected, atol=2e-5, rtol=1e-4)
        assert (sung - plain).abs().max() > 1e-2
        at_once = sing(merged_denoiser(base, [adapter], strengths), x, sigma, condition)
        torch.testing.assert_close(at_once, expected, atol=2e-5, rtol=1e-4)


def test_any_number_of_adapters_add_up() -> None:
    base = stirred_denoiser()
    adapters = [random_adapter("lora", seed=5), random_adapter("sara", ("late",)), random_adapter("lora", ("early",))]
    strengths = [[0.5, 1.0, 0.2], [0.0, 0.0, 0.9], [1.1, 0.0, 0.0]]
    model = AdaptedDenoiser(base, adapters)
    x, sigma, condition = inputs()
    sung = sing(model, x, sigma, with_strengths(condition, torch.tensor(strengths).flatten()))
    expected = sing(merged(base, list(zip(adapters, strengths))), x, sigma, condition)
    torch.testing.assert_close(sung, expected, atol=2e-5, rtol=1e-4)


def test_without_strengths_it_is_the_base_to_the_bit() -> None:
    base = stirred_denoiser()
    model = AdaptedDenoiser(base, [random_adapter("lora"), random_adapter("full")])
    x, sigma, condition = inputs()
    assert torch.equal(sing(model, x, sigma, condition), sing(base, x, sigma, condition))
    # Nor did building it change the base, whose weights it shares.
    assert model.get_parameter("down.0.0.block.widen.weight") is base.get_parameter("down.0.0.block.widen.weight")
    assert torch.equal(sing(base, x, sigma, condition), sing(stirred_denoiser(), x, sigma, condition))


@pytest.mark.parametrize("method", ["lora", "sara"])
def test_voices_of_one_batch_have_their_own_strengths(method: str) -> None:
    model = AdaptedDenoiser(stirred_denoiser(), [random_adapter(method)])
    x, sigma, condition = inputs()
    strengths = torch.tensor([[0.2, 0.9, 0.0], [1.0, 0.0, 0.5]])[:, None].expand(-1, T, -1)
    together = sing(model, x, sigma, torch.cat([condition, strengths], dim=-1))
    for voice in range(2):
        one = slice(voice, voice + 1)
        alone = sing(model, x[one], sigma[one], torch.cat([condition, strengths], dim=-1)[one])
        torch.testing.assert_close(together[one], alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("method", ["lora", "sara"])
def test_a_strength_may_move_within_a_window(method: str) -> None:
    """Far from where it moves, the first half is as with the first strength, the second as with the second."""
    model = AdaptedDenoiser(stirred_denoiser(), [random_adapter(method, ("early", "late"))])
    generator = torch.Generator().manual_seed(8)
    n = 128
    x = torch.randn((1, n, TINY_DENOISER.latent_dim), generator=generator)
    condition = torch.randn((1, n, TINY_DENOISER.condition_dim), generator=generator)
    moving = torch.zeros(1, n, 3)
    moving[:, n // 2 :] = 1.0
    sigma = torch.tensor([1.0])
    sung = sing(model, x, sigma, torch.cat([condition, moving], dim=-1))
    ends = [sing(model, x, sigma, with_strengths(condition, torch.full((3,), value))) for value in (0.0, 1.0)]
    # Attention reaches everywhere, weakly: nearer to the right end's than to the other.
    for half, right, wrong in ((slice(0, n // 4), 0, 1), (slice(-n // 4, None), 1, 0)):
        to_right, to_wrong = ((sung - ends[end])[:, half].abs().mean() for end in (right, wrong))
        assert to_right < 0.2 * to_wrong


def test_sampling_with_guidance_takes_the_strengths_along() -> None:
    base, adapter = stirred_denoiser(), random_adapter("lora")
    model = AdaptedDenoiser(base, [adapter])
    rng = np.random.default_rng(0)
    condition = rng.standard_normal((T, TINY_DENOISER.condition_dim)).astype(np.float32)
    noise = rng.standard_normal((T, TINY_DENOISER.latent_dim)).astype(np.float32)
    plan = SamplingPlan(2, guidance={Pathway.NOISE: 1.5})
    strengths = np.tile(np.array([1.0, 0.5, 0.2], np.float32), (T, 1))
    drawn = sample_window(model, np.concatenate([condition, strengths], axis=1), noise, plan)
    expected = sample_window(merged(base, [(adapter, [1.0, 0.5, 0.2])]), condition, noise, plan)
    np.testing.assert_allclose(drawn, expected, atol=1e-3)


def test_threads_with_other_strengths_do_not_disturb_each_other() -> None:
    model = AdaptedDenoiser(stirred_denoiser(), [random_adapter("sara"), random_adapter("lora")])
    x, sigma, condition = inputs()
    asked = [torch.rand(6, generator=torch.Generator().manual_seed(seed)) for seed in range(4)]
    expected = [sing(model, x, sigma, with_strengths(condition, strengths)) for strengths in asked]
    wrong: list[int] = []

    def work(index: int) -> None:
        for _ in range(5):
            sung = sing(model, x, sigma, with_strengths(condition, asked[index]))
            if not torch.equal(sung, expected[index]):
                wrong.append(index)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize(
    ("method", "suffix", "shape"),
    [
        ("lora", "lora_A.weight", (2, 3)),
        ("lora", "lora_B.weight", (3, 2)),
        ("full", "weight", (4, 4)),
        ("loha", "hada_w1_a", (5, 2)),
        ("dora", "lora_magnitude_vector", (7,)),
    ],
)
def test_a_wrong_shape_is_refused_by_name(method: str, suffix: str, shape: tuple[int, ...]) -> None:
    layers = random_layers(method)
    layers["middle.0.block.widen"][suffix] = torch.zeros(shape)
    with pytest.raises(UserError, match=r"does not fit this voice: middle\.0\.block\.widen"):
        AdaptedDenoiser(stirred_denoiser(), [Adapter.of(info(method), layers)])


def test_a_missing_part_and_an_unknown_layer_are_refused() -> None:
    layers = random_layers("lora")
    del layers["enter"]["lora_A.weight"]
    with pytest.raises(UserError, match=r"lora_A\.weight is missing"):
        AdaptedDenoiser(stirred_denoiser(), [Adapter.of(info("lora"), layers)])
    stranger = {"noise_level.layers.0": random_layers("lora")["enter"]}
    with pytest.raises(UserError, match=r"has no layer noise_level\.layers\.0"):
        AdaptedDenoiser(stirred_denoiser(), [Adapter.of(info("lora"), stranger)])


@pytest.mark.parametrize("indices", [[-1, 4], [4, 4], [9, 3], [0, 10**6]])
def test_sparse_places_outside_or_twice_are_refused(indices: list[int]) -> None:
    layers = random_layers("sara")
    layers["enter"] = {"indices": torch.tensor(indices, dtype=torch.int32), "values": torch.ones(2)}
    with pytest.raises(UserError, match="do not rise, or lie outside"):
        AdaptedDenoiser(stirred_denoiser(), [Adapter.of(info("sara"), layers)])


def test_a_sharing_copy_shares_weights_and_nothing_else() -> None:
    base = stirred_denoiser()
    copied = sharing_copy(base)
    assert all(mine is theirs for mine, theirs in zip(copied.parameters(), base.parameters(), strict=True))
    assert all(mine is not theirs for mine, theirs in zip(copied.modules(), base.modules(), strict=True))


def test_every_linear_layer_of_a_region_has_its_place() -> None:
    places = linear_layers(Denoiser(TINY_DENOISER))
    regions = [place.region for place in places]
    assert sorted(set(regions), key=REGIONS.index) == list(REGIONS)
    assert regions.count("late") > 2
    levels = {place.name: place.level for place in places}
    assert (levels["enter"], levels["shrink.0"], levels["attention.query"], levels["grow.0"], levels["join.0"]) == (
        0, 1, 1, 1, 0,
    )  # fmt: skip
