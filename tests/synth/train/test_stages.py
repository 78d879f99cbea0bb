"""The regime variable, what it steers, and the grouping of blocks, on series and networks whose answers are known."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from synth.codec.model import Codec
from synth.ssl.encoder import LogMelEncoder
from synth.train.latent_sound import LatentSound
from synth.train.stages import (
    RegimeEstimator,
    StageConfig,
    StageController,
    level_density,
    tilted_levels,
    weighted_slope,
)
from synth.train.structure import (
    GroupingMonitor,
    alike_blocks,
    coupling,
    groups_of,
    membership_of,
    signatures,
    similarity,
)
from tests.tiny_weights import TINY_CODEC


def regimes(power: float, elbow: int, steps: int, *, noise: float = 0.2) -> list[float]:
    """The regime at every step of a discrepancy that falls as step^-power until `elbow` and is level from there."""
    rng = np.random.default_rng(3)
    estimator, found = RegimeEstimator(0.8, 0.2), []
    for step in range(1, steps + 1):
        level = min(step, elbow) ** -power
        estimator.observe(step, level * math.exp(noise * rng.standard_normal()))
        found.append(estimator.value)
    return found


def test_the_regime_turns_after_the_discrepancy_stops_falling() -> None:
    found = regimes(0.5, 500, 3_000)
    assert found[480] < 0.25
    assert found[-1] > 0.95
    turned = next(step for step, value in enumerate(found) if value > 0.5)
    assert 500 < turned < 1_100
    assert all(b >= a for a, b in itertools.pairwise(found))


def test_a_discrepancy_that_goes_on_falling_stays_in_the_first_regime() -> None:
    assert regimes(0.5, 10**9, 3_000)[-1] < 0.35


def test_noise_around_a_level_is_no_regime() -> None:
    assert regimes(0.0, 1, 3_000)[-1] < 0.05


def test_values_that_are_not_finite_are_left_out() -> None:
    plain, disturbed = RegimeEstimator(0.8, 0.2), RegimeEstimator(0.8, 0.2)
    for step in range(1, 400):
        for estimator in (plain, disturbed):
            estimator.observe(step, step**-0.5)
        disturbed.observe(step, math.nan)
        disturbed.observe(step, 0.0)
    assert plain.state() == disturbed.state()


def test_slope_and_its_error_are_those_of_a_weighted_fit() -> None:
    rng = np.random.default_rng(0)
    x = np.linspace(0.0, 1.0, 400)
    slope, error = weighted_slope(x.tolist(), (2.0 * x + 0.1 * rng.standard_normal(400)).tolist(), [1.0] * 400)
    assert error == pytest.approx(0.1 / math.sqrt(400 / 12), rel=0.1)
    assert abs(slope - 2.0) < 3 * error


def test_a_resumed_controller_goes_on_as_if_never_stopped() -> None:
    def feed(controller: StageController, steps: range) -> None:
        for step in steps:
            controller.observe(step, step**-0.4 + 0.05, step / 1_000)
            if controller.structure_due(step):
                controller.observe_structure(step, torch.eye(3))

    whole, first, second = (StageController(StageConfig()) for _ in range(3))
    feed(whole, range(1, 1_000))
    feed(first, range(1, 400))
    second.load_state(json.loads(json.dumps(first.state())))
    feed(second, range(400, 1_000))
    assert second.state() == whole.state()
    assert whole.regime > 0.0


@pytest.mark.parametrize("tilt", [-0.8, 0.0, 0.8])
def test_tilted_levels_have_their_density(tilt: float) -> None:
    even = (torch.arange(200_000) + 0.5) / 200_000
    u = tilted_levels(even, tilt)
    assert float(u.min()) > 0.0
    assert float(u.max()) < 1.0
    counts = torch.histc(u, 20, 0.0, 1.0) / len(u) * 20
    centres = (torch.arange(20) + 0.5) / 20
    torch.testing.assert_close(counts, level_density(centres, tilt), atol=0.01, rtol=0.0)


def test_levels_move_from_high_to_low_noise_with_the_regime() -> None:
    controller = StageController(StageConfig(thresholds="static"))
    means = []
    for done in (0.0, 0.5, 1.0):
        controller.observe(1, 1.0, done)
        means.append(float(controller.sample_levels(torch.Generator().manual_seed(0), 4_000).mean()))
    assert means[0] > means[1] + 0.1 > means[2] + 0.2
    assert means[1] == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("thresholds", ["random", "static"])
def test_ramps_that_do_not_look_at_the_training_end_refined(thresholds: str) -> None:
    controller = StageController(StageConfig(thresholds=thresholds, seed=4))  # pyright: ignore[reportArgumentType]
    values = []
    for done in np.linspace(0.0, 1.0, 50):
        controller.observe(100, 1.0, float(done))
        values.append(controller.regime)
    assert values[0] == 0.0
    assert values[-1] == 1.0
    assert controller.guidance_weight == 0.0


def test_random_thresholds_differ_between_seeds() -> None:
    turns = set()
    for seed in range(4):
        controller = StageController(StageConfig(thresholds="random", seed=seed))
        controller.observe(1, 1.0, 0.3)
        turns.add((controller.regime, controller.structure_due(1)))
    assert len(turns) > 1


def test_every_mechanism_has_its_switch() -> None:
    off = StageController(StageConfig(ssl_guidance=False, adaptive_levels=False, structure=False))
    assert (off.guidance_weight, off.level_tilt, off.structure_weight) == (0.0, 0.0, 0.0)
    on = StageController(StageConfig())
    on.grouping.fix(torch.ones(3, 3))
    assert min(on.guidance_weight, on.level_tilt, on.structure_weight) > 0.0


@pytest.mark.parametrize("wrong", [{"thresholds": "often"}, {"begin": 0.1, "end": 0.5}, {"level_tilt": 1.0}])
def test_settings_that_mean_nothing_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError):
        StageConfig(**wrong)  # pyright: ignore[reportArgumentType]


class Net(nn.Module):
    """Four blocks of one kind, of two widths, and something else."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Linear(4, 8)
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(n, n), nn.Linear(n, n)) for n in (8, 8, 16, 16))


def test_blocks_of_one_kind_are_found_whatever_their_width() -> None:
    found = alike_blocks(Net())
    assert len(found) == 4
    assert found[2] == [f"blocks.2.{layer}.{name}" for layer in (0, 1) for name in ("weight", "bias")]


def seen(net: nn.Module) -> Tensor:
    with torch.no_grad():
        return signatures(dict(net.named_parameters()), alike_blocks(net))


def test_signatures_do_not_see_the_order_of_units() -> None:
    net = Net()
    weight = net.get_parameter("blocks.0.0.weight")
    before = seen(net)
    with torch.no_grad():
        weight.copy_(weight[torch.randperm(8)])
    after = seen(net)
    torch.testing.assert_close(before, after)
    with torch.no_grad():
        weight.mul_(3.0)
    assert float(similarity(seen(net))[0, 1]) < float(similarity(after)[0, 1]) - 0.05


def test_groups_are_connected_components() -> None:
    similar = torch.tensor([[1.0, 0.9, 0.1, 0.0], [0.9, 1.0, 0.1, 0.0], [0.1, 0.1, 1.0, 0.2], [0.0, 0.0, 0.2, 1.0]])
    assert groups_of(similar, 0.5) == [0, 0, 2, 3]


def test_coupling_draws_a_group_together_and_leaves_single_blocks_alone() -> None:
    signature = torch.randn(4, 6, generator=torch.Generator().manual_seed(0), requires_grad=True)
    loss = coupling(signature, membership_of([0, 0, 2, 3]))
    (gradient,) = torch.autograd.grad(loss, signature)
    assert torch.count_nonzero(gradient[2:]) == 0
    before = signature.detach()
    moved = before - gradient * 2.0
    assert float((moved[0] - moved[1]).norm()) < float((before[0] - before[1]).norm())


def test_grouping_converges_when_the_likeness_stops_changing() -> None:
    monitor, rng = GroupingMonitor(), np.random.default_rng(0)
    for step in range(1, 600):
        if monitor.due(step):
            shake = torch.from_numpy(rng.random((3, 3)).astype(np.float32)) * (0.5 if step < 300 else 0.001)
            monitor.observe(step, torch.tensor([[1.0, 0.9, 0.1], [0.9, 1.0, 0.1], [0.1, 0.1, 1.0]]) + shake)
            assert not monitor.converged or step > 300
    assert monitor.group == [0, 0, 2]


# ---- with a codec


def controlled(config: StageConfig) -> StageController:
    torch.manual_seed(0)
    dim = TINY_CODEC.latent_dim
    sound = LatentSound(Codec(TINY_CODEC), torch.zeros(dim), torch.ones(dim))
    return StageController(config, sound, LogMelEncoder())


def passages() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    shape = (3, 24, TINY_CODEC.latent_dim)
    predicted, target = (torch.randn(shape, generator=generator) for _ in range(2))
    return predicted.requires_grad_(True), target, torch.full((3, 24), 180.0)


def test_guidance_pulls_the_prediction_towards_the_target() -> None:
    controller, (predicted, target, f0_hz) = controlled(StageConfig(structure=False)), passages()
    loss = controller.extra_loss(1, predicted, target, f0_hz, nn.Linear(1, 1))
    (gradient,) = torch.autograd.grad(loss, predicted)
    nearer = (predicted - 30.0 * gradient).detach()
    assert float(controller.extra_loss(2, nearer, target, f0_hz, nn.Linear(1, 1)).detach()) < float(loss.detach())
    assert float(controller.extra_loss(3, target, target, f0_hz, nn.Linear(1, 1)).detach()) == pytest.approx(
        0.0, abs=1e-5
    )


def test_what_was_heard_is_observed_a_step_later() -> None:
    controller, (predicted, target, f0_hz) = controlled(StageConfig(structure=False)), passages()
    for step in range(20, 24):
        controller.extra_loss(step, predicted, target, f0_hz, nn.Linear(1, 1))
    before = json.dumps(controller.state())
    controller.settle(23)
    assert json.dumps(controller.state()) != before
    assert controller.pending is None


def test_levels_do_not_bias_the_measurement() -> None:
    """An example drawn twice as often counts half."""
    controller, (predicted, target, f0_hz) = controlled(StageConfig(structure=False)), passages()
    levels = torch.tensor([0.1, 0.5, 0.9])
    controller.extra_loss(1, predicted, target, f0_hz, nn.Linear(1, 1), levels)
    assert controller.pending is not None
    with torch.no_grad():
        each = controller._sound.discrepancy(LogMelEncoder(), predicted, target, f0_hz)  # pyright: ignore
    weight = 1.0 / level_density(levels, controller.level_tilt)
    assert float(controller.pending) == pytest.approx(float((each * weight).sum() / weight.sum()), rel=1e-5)


def test_structure_reaches_the_networks_gradient_once_grouped() -> None:
    controller = controlled(StageConfig(ssl_guidance=False, adaptive_levels=False))
    _, target, f0_hz = passages()
    net = Net()
    assert not controller.extra_loss(8, target, target, f0_hz, net).requires_grad
    controller.grouping.fix(torch.ones(4, 4))
    loss = controller.extra_loss(16, target, target, f0_hz, net)
    loss.backward()
    gradient = net.get_parameter("blocks.0.0.weight").grad
    assert gradient is not None
    assert float(gradient.abs().max()) > 0.0
    assert net.enter.weight.grad is None


def test_an_extra_loss_without_ears_is_a_mistake() -> None:
    _, target, f0_hz = passages()
    with pytest.raises(ValueError):
        StageController(StageConfig()).extra_loss(1, target, target, f0_hz, nn.Linear(1, 1))
