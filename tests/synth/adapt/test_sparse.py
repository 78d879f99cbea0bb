"""SaRA: exact gradients for the chosen entries, the same steps as a mask, low rank, and less of everything else."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from synth.adapt.dense import mask_gradients, unfreeze
from synth.adapt.sparse import (
    NuclearPenalty,
    SparseLinear,
    collect_sparse,
    inject_sparse,
    joined_sparse,
    nuclear_slope,
    quantile_threshold,
    select_below,
    sparse_layers,
    still_below,
)
from synth.adapters.layout import linear_layers, n_parameters
from synth.adapters.mixing import sharing_copy
from synth.diffusion.unet import Denoiser
from synth.errors import UserError
from tests.synth.adapters.test_mixing import inputs, sing
from tests.synth.adapters.tiny_adapters import stirred_denoiser


def copied(base: Denoiser) -> Denoiser:
    student = sharing_copy(base)
    assert isinstance(student, Denoiser)
    return student


def test_the_budget_is_filled_by_the_smallest_weights() -> None:
    base = stirred_denoiser()
    layers = linear_layers(base)
    budget = n_parameters(base) // 50
    threshold = quantile_threshold(base, layers, budget)
    places = select_below(base, layers, threshold)
    assert sum(map(len, places.values())) == budget
    for layer in layers:
        weight = base.get_parameter(f"{layer.name}.weight").flatten().abs()
        chosen = torch.zeros(len(weight), dtype=torch.bool)
        if layer.name in places:
            chosen[places[layer.name]] = True
        assert (weight[chosen] <= threshold).all()
        assert (weight[~chosen] > threshold).all()


def test_a_threshold_below_everything_is_told() -> None:
    base = stirred_denoiser()
    with pytest.raises(UserError, match="No weight is as small"):
        select_below(base, linear_layers(base), 0.0)


def test_gradients_are_those_of_the_dense_layer_at_the_chosen_entries() -> None:
    torch.manual_seed(0)
    plain = nn.Linear(7, 5)
    places = torch.tensor([0, 3, 11, 34])
    sparse = SparseLinear(plain, places)
    x = torch.randn(2, 6, 7, requires_grad=True)
    same = x.detach().clone().requires_grad_(True)
    (sparse(x).square().sum()).backward()
    (plain(same).square().sum()).backward()
    assert plain.weight.grad is not None
    assert sparse.values.grad is not None
    torch.testing.assert_close(sparse.values.grad, plain.weight.grad.flatten()[places])
    torch.testing.assert_close(x.grad, same.grad)


def test_every_copy_sings_with_its_own_values_in_the_one_matrix() -> None:
    torch.manual_seed(0)
    sparse = SparseLinear(nn.Linear(6, 4), torch.tensor([1, 5, 20]))
    average = copy.deepcopy(sparse)
    with torch.no_grad():
        sparse.values.add_(1.0)
    x = torch.randn(1, 3, 6)
    first, other = sparse(x), average(x)
    assert sparse._own is average._own
    assert not torch.allclose(first, other)
    torch.testing.assert_close(sparse(x), first)
    expected = nn.functional.linear(x, average._own.weight, average.bias)
    torch.testing.assert_close(first, expected)  # whoever ran last stands in the matrix


def _trained(student: Denoiser, steps: int) -> None:
    parameters = [parameter for parameter in student.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-2, weight_decay=0.0)
    x, sigma, condition = inputs()
    goal = torch.randn(x.shape, generator=torch.Generator().manual_seed(9))
    for _ in range(steps):
        optimizer.zero_grad(set_to_none=True)
        (sing(student, x, sigma, condition) - goal).square().mean().backward()
        optimizer.step()


def test_it_learns_what_full_training_with_the_same_mask_learns() -> None:
    base = stirred_denoiser()
    layers = linear_layers(base)
    places = select_below(base, layers, quantile_threshold(base, layers, n_parameters(base) // 20))
    sparse, masked = copied(base), copied(base)
    inject_sparse(sparse, places)
    named = [layer for layer in layers if layer.name in places]
    unfreeze(masked, named)
    for layer in named:
        masked.get_parameter(f"{layer.name}.bias").requires_grad_(False)
    mask_gradients(masked, places)
    _trained(sparse, 5)
    _trained(masked, 5)
    for name, layer in sparse_layers(sparse):
        learnt = masked.get_parameter(f"{name}.weight").detach() - base.get_parameter(f"{name}.weight")
        torch.testing.assert_close(layer.delta(), learnt, atol=2e-5, rtol=1e-3)
        assert layer.values.abs().max() > 1e-3
    # And the base, whose weights both began from, is what it was.
    assert all(torch.equal(a, b) for a, b in zip(base.parameters(), stirred_denoiser().parameters(), strict=True))


def test_gradients_and_optimiser_state_are_as_large_as_the_mask() -> None:
    base = stirred_denoiser()
    layers = linear_layers(base)
    places = select_below(base, layers, quantile_threshold(base, layers, n_parameters(base) // 20))
    student = copied(base)
    inject_sparse(student, places)
    parameters = [parameter for parameter in student.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-2)
    x, sigma, condition = inputs()
    sing(student, x, sigma, condition).square().mean().backward()
    optimizer.step()
    entries = sum(map(len, places.values()))
    held = [parameter.grad for parameter in student.parameters() if parameter.grad is not None]
    assert sum(gradient.numel() for gradient in held) == entries
    moments = [state[key] for state in optimizer.state.values() for key in ("exp_avg", "exp_avg_sq")]
    assert sum(moment.numel() for moment in moments) == 2 * entries


def test_the_nuclear_norm_s_slope_is_the_polar_factor() -> None:
    torch.manual_seed(0)
    for shape in ((6, 4), (4, 6)):
        matrix = torch.randn(shape)
        u, _, v = torch.linalg.svd(matrix, full_matrices=False)
        torch.testing.assert_close(nuclear_slope(matrix), u @ v, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close((nuclear_slope(matrix) * matrix).sum(), torch.linalg.svdvals(matrix).sum())
    assert (nuclear_slope(torch.zeros(3, 3)) == 0).all()


def test_the_penalty_lowers_the_rank() -> None:
    """Gradient steps on the penalty alone lead to fewer and smaller singular values."""
    torch.manual_seed(0)
    model = nn.ModuleDict({"layer": SparseLinear(nn.Linear(12, 10), torch.arange(0, 120, 2))})
    layer = model["layer"]
    assert isinstance(layer, SparseLinear)
    with torch.no_grad():
        layer.values.normal_()
    penalty = NuclearPenalty(1.0, every=4)
    optimizer = torch.optim.SGD([layer.values], lr=0.02)

    def norm() -> float:
        return float(torch.linalg.svdvals(layer.delta()).sum())

    before = norm()
    value = penalty(model)
    assert value is not None
    assert float(value.detach()) == pytest.approx(before, rel=1e-4)
    for _ in range(60):
        optimizer.zero_grad()
        value = penalty(model)
        assert value is not None
        value.backward()
        optimizer.step()
    assert norm() < 0.6 * before
    assert NuclearPenalty(0.0, 4)(model) is None


def test_reselection_leaves_out_what_has_grown() -> None:
    base = stirred_denoiser()
    layers = linear_layers(base)
    threshold = quantile_threshold(base, layers, n_parameters(base) // 20)
    places = select_below(base, layers, threshold)
    name = max(places, key=lambda layer: len(places[layer]))
    learnt = {name: {"indices": places[name][:3].to(torch.int32), "values": torch.tensor([1.0, 0.0, 0.0])}}
    left = still_below(base, places, learnt, threshold)
    assert len(left[name]) == len(places[name]) - 1
    assert int(places[name][0]) not in left[name].tolist()


def test_deltas_of_two_stages_add_up() -> None:
    first = {"a": {"indices": torch.tensor([1, 4], dtype=torch.int32), "values": torch.tensor([1.0, 2.0])}}
    second = {
        "a": {"indices": torch.tensor([2, 4], dtype=torch.int32), "values": torch.tensor([5.0, 0.5])},
        "b": {"indices": torch.tensor([0], dtype=torch.int32), "values": torch.tensor([3.0])},
    }
    joined = joined_sparse(first, second)
    assert joined["a"]["indices"].tolist() == [1, 2, 4]
    assert joined["a"]["values"].tolist() == [1.0, 5.0, 2.5]
    assert joined["b"]["values"].tolist() == [3.0]


def test_what_learnt_nothing_is_not_kept() -> None:
    base = stirred_denoiser()
    student = copied(base)
    inject_sparse(student, {"enter": torch.tensor([0, 1, 2]), "leave": torch.tensor([5])})
    with torch.no_grad():
        dict(sparse_layers(student))["enter"].values[1] = 0.25
    assert {name: parts["indices"].tolist() for name, parts in collect_sparse(student).items()} == {"enter": [1]}
