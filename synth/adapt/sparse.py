"""SaRA: the weights that matter least are put to use (Hu et al. 2024, "SaRA: High-Efficient Diffusion Model Fine-tuning
with Progressive Sparse Low-Rank Adaptation", arXiv:2409.06633).

Weights of small absolute value contribute least to a trained network: those below a threshold are the trainable set.
A penalty on the nuclear norm of what is learnt keeps it of low rank (there, section 4.2); half-way, those that still
lie below the threshold are chosen anew and training goes on with them alone (section 4.3); and gradients are kept for
the chosen entries only (section 4.4): the dense gradient of one layer lives for a moment within its backward pass.

Where ours differs: the threshold is the quantile that fills a budget of parameters, unless it is given; and the
gradient of the nuclear norm, U V^T, is found anew every few steps, from the eigenvectors of the smaller Gram matrix.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn

from synth.adapters.deltas import sparse_matrix
from synth.adapters.layout import Layer
from synth.diffusion.unet import Denoiser
from synth.errors import UserError

_SMALLEST_SHARE: Final = 1e-5  # of the largest singular value: below it is rounding


Places = dict[str, Tensor]  # layer's name -> rising flat places in its matrix, int64


def quantile_threshold(denoiser: Denoiser, layers: Sequence[Layer], n_entries: int) -> float:
    """The absolute value below which the `n_entries` smallest weights of some layers lie."""
    sizes = torch.cat([denoiser.get_parameter(f"{layer.name}.weight").detach().abs().flatten() for layer in layers])
    n_entries = min(max(n_entries, 1), len(sizes))
    return float(torch.kthvalue(sizes.float(), n_entries).values)


def select_below(denoiser: Denoiser, layers: Sequence[Layer], threshold: float) -> Places:
    """Places of weights of absolute value up to `threshold`. UserError where there is none."""
    chosen: Places = {}
    for layer in layers:
        weight = denoiser.get_parameter(f"{layer.name}.weight").detach().abs().flatten()
        places = torch.nonzero(weight <= threshold).flatten()
        if len(places):
            chosen[layer.name] = places
    if not chosen:
        raise UserError(f"No weight is as small as {threshold:g}.", remedy="Raise --threshold, or leave it out.")
    return chosen


class _SparseProduct(torch.autograd.Function):
    """A linear layer that hands gradients to its input and to the chosen entries of its matrix, to nothing else."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, values: Tensor, weight: Tensor, bias: Tensor | None, places: Tensor) -> Tensor:
        # The matrix is kept as it is: a copy of lower precision would live until the backward pass.
        ctx.save_for_backward(x, weight, places)
        ctx.values_type = values.dtype
        return nn.functional.linear(x, weight.to(x.dtype), None if bias is None else bias.to(x.dtype))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, places = ctx.saved_tensors
        out = gradients[0]
        to_x = out @ weight.to(out.dtype) if ctx.needs_input_grad[0] else None
        to_values = None
        if ctx.needs_input_grad[1]:
            dense = out.flatten(0, -2).t() @ x.flatten(0, -2).to(out.dtype)
            to_values = dense.flatten()[places].to(ctx.values_type)
        return None if to_x is None else to_x.to(x.dtype), to_values, None, None, None


class _Own:
    """A matrix that student and moving average take turns in, and whose values stand in it."""

    def __init__(self, weight: Tensor) -> None:
        self.weight = weight
        self.written: tuple[int, int] | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> _Own:
        return self


class SparseLinear(nn.Module):
    """A linear layer of which some entries are trained.

    places   int64 [n], rising; values [n]: what is added to the base there
    The matrix is one for the layer and every copy of it (such as a moving average), with the values of whoever ran
    last written in: no copy costs a second matrix.
    """

    def __init__(self, base: nn.Linear, places: Tensor) -> None:
        super().__init__()
        self._own = _Own(base.weight.detach().clone())
        self.bias = base.bias
        self.places: Tensor
        self.before: Tensor
        self.register_buffer("places", places, persistent=False)
        self.register_buffer("before", self._own.weight.flatten()[places].clone(), persistent=False)
        self.values = nn.Parameter(torch.zeros(len(places), device=places.device))

    def forward(self, x: Tensor) -> Tensor:
        """[B, tokens, n_in] -> [B, tokens, n_out]."""
        if torch.is_autocast_enabled(x.device.type):
            # A custom function is not under autocast's rules: the product's type is chosen here.
            x = x.to(torch.get_autocast_dtype(x.device.type))
        return _SparseProduct.apply(x, self.values, self._matrix(), self.bias, self.places)

    @torch.no_grad()
    def _matrix(self) -> Tensor:
        """The matrix with this layer's values in it."""
        own, state = self._own, (id(self.values), self.values._version)
        if own.weight.device != self.values.device:
            own.weight, own.written = own.weight.to(self.values.device), None
        if own.written != state:
            own.weight.view(-1)[self.places] = self.before + self.values
            own.written = state
        return own.weight

    def delta(self) -> Tensor:
        """What was learnt, as a matrix."""
        n_out, n_in = self._own.weight.shape
        return sparse_matrix(self.places, self.values.detach(), n_out, n_in)


def inject_sparse(denoiser: Denoiser, places: Places) -> None:
    """Put SparseLinear layers into `denoiser`, in place; only their values are trained from here on."""
    denoiser.requires_grad_(False)
    for name, chosen in places.items():
        layer = denoiser.get_submodule(name)
        assert isinstance(layer, nn.Linear)
        holder, _, last = name.rpartition(".")
        setattr(denoiser.get_submodule(holder), last, SparseLinear(layer, chosen.to(layer.weight.device)))


def sparse_layers(module: nn.Module) -> Iterator[tuple[str, SparseLinear]]:
    """(name, layer) of what inject_sparse put in."""
    for name, layer in module.named_modules():
        if isinstance(layer, SparseLinear):
            yield name, layer


def collect_sparse(denoiser: nn.Module) -> dict[str, dict[str, Tensor]]:
    """What was learnt, layer -> "indices" and "values" as in the file; without layers that learnt nothing."""
    layers: dict[str, dict[str, Tensor]] = {}
    for name, layer in sparse_layers(denoiser):
        values = layer.values.detach().cpu()
        moved = values != 0
        if bool(moved.any()):
            layers[name] = {"indices": layer.places.cpu()[moved].to(torch.int32), "values": values[moved]}
    return layers


def joined_sparse(
    first: dict[str, dict[str, Tensor]], second: dict[str, dict[str, Tensor]]
) -> dict[str, dict[str, Tensor]]:
    """The sum of two sparse deltas."""
    layers: dict[str, dict[str, Tensor]] = {}
    for name in sorted({*first, *second}):
        parts = [side[name] for side in (first, second) if name in side]
        places = torch.cat([part["indices"].long() for part in parts])
        unique, where = torch.unique(places, return_inverse=True)
        values = torch.zeros(len(unique)).index_add_(0, where, torch.cat([part["values"].float() for part in parts]))
        layers[name] = {"indices": unique.to(torch.int32), "values": values}
    return layers


def still_below(denoiser: Denoiser, places: Places, learnt: dict[str, dict[str, Tensor]], threshold: float) -> Places:
    """Of the chosen entries, those that with what was learnt still lie below the threshold."""
    left: Places = {}
    for name, chosen in places.items():
        weight = denoiser.get_parameter(f"{name}.weight").detach().flatten().clone()
        if name in learnt:
            weight[learnt[name]["indices"].long()] += learnt[name]["values"].to(weight.device)
        kept = chosen[weight[chosen].abs() <= threshold]
        if len(kept):
            left[name] = kept
    return left


class NuclearPenalty:
    """weight * sum of nuclear norms of what the layers learnt, with a subgradient that is renewed every few steps."""

    def __init__(self, weight: float, every: int) -> None:
        self.weight, self.every = weight, every
        self._calls = 0
        self._slopes: dict[str, Tensor] = {}

    def __call__(self, module: nn.Module) -> Tensor | None:
        """What to add to the loss; None for nothing. The norm itself is <U V^T, delta>, exact when just renewed."""
        if self.weight <= 0.0:
            return None
        layers = list(sparse_layers(module))
        if self._calls % self.every == 0:
            self._slopes = {name: nuclear_slope(layer.delta()).flatten()[layer.places] for name, layer in layers}
        self._calls += 1
        terms = [(self._slopes[name].to(layer.values.device) * layer.values).sum() for name, layer in layers]
        return self.weight * torch.stack(terms).sum() if terms else None


@torch.no_grad()
def nuclear_slope(matrix: Tensor) -> Tensor:
    """U V^T of `matrix` = U S V^T, its own shape: the gradient of its nuclear norm; 0 where there is nothing."""
    tall = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.t()
    tall = tall.double()
    squares, vectors = torch.linalg.eigh(tall.t() @ tall)
    sizes = squares.clamp(min=0.0).sqrt()
    kept = sizes > _SMALLEST_SHARE * sizes.max()
    inverse = torch.where(kept, 1.0 / sizes.clamp(min=1e-30), 0.0)
    slope = (tall @ (vectors * inverse) @ vectors.t()).to(matrix.dtype)
    return slope if matrix.shape[0] >= matrix.shape[1] else slope.t()
