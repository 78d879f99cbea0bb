"""What an adapter adds to a layer, from the tensors in its file: a product of two thin matrices, or a whole matrix.

LoRA is played as the two thin matrices it is. DoRA, LoHa and LoKr are worked out to a whole matrix once, when they
are loaded; SaRA's sparse entries and full fine-tuning's deltas are whole matrices already.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

PEFT_PREFIX: Final = "base_model.model."  # of every tensor's name in a file that peft writes
# Methods of peft that are known here -> suffixes of their tensors.
PEFT_SUFFIXES: Final[Mapping[str, tuple[str, ...]]] = {
    "lora": ("lora_A.weight", "lora_B.weight"),
    "rslora": ("lora_A.weight", "lora_B.weight"),
    "dora": ("lora_A.weight", "lora_B.weight", "lora_magnitude_vector"),
    "loha": ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"),
    "lokr": ("lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b"),  # each whole, or in two
}
OWN_SUFFIXES: Final[Mapping[str, tuple[str, ...]]] = {
    "sara": ("indices", "values"),
    "full": ("weight", "bias"),
}
SUFFIXES: Final[Mapping[str, tuple[str, ...]]] = {**PEFT_SUFFIXES, **OWN_SUFFIXES}
METHODS: Final = tuple(SUFFIXES)


@dataclass(frozen=True, slots=True)
class LowRank:
    """y += strength * up(down(x)): down [rank, n_in], up [n_out, rank], with the scaling in `up`."""

    down: Tensor
    up: Tensor


@dataclass(frozen=True, slots=True)
class Whole:
    """y += strength * (weight x + bias): weight [n_out, n_in], bias [n_out] or None."""

    weight: Tensor
    bias: Tensor | None = None


Delta = LowRank | Whole


class Misfit(Exception):
    """Tensors that do not make a delta for a layer; the message says why."""


def scaling(method: str, rank: int, alpha: float) -> float:
    """What peft multiplies the product with: alpha / rank, of rank-stabilised LoRA alpha / sqrt(rank)."""
    return alpha / math.sqrt(rank) if method == "rslora" else alpha / rank


def delta_of(method: str, parts: Mapping[str, Tensor], base: Tensor, settings: Mapping[str, Any]) -> Delta:
    """One layer's delta at strength 1, in float32.

    parts      suffix -> tensor
    base       the layer's own weight [n_out, n_in]; DoRA needs it
    settings   "rank" and "alpha" of peft's methods
    Raises Misfit where parts are missing or shapes do not fit.
    """
    parts = {name: value.to(base.device) for name, value in parts.items()}
    try:
        return _worked_out(method, parts, base, settings)
    except KeyError as missing:
        raise Misfit(f"{missing.args[0]} is missing") from missing


def _worked_out(method: str, parts: Mapping[str, Tensor], base: Tensor, settings: Mapping[str, Any]) -> Delta:
    n_out, n_in = base.shape
    if method == "sara":
        return Whole(sparse_matrix(parts["indices"], parts["values"], n_out, n_in))
    if method == "full":
        _expect(parts["weight"], (n_out, n_in), "weight")
        bias = parts.get("bias")
        if bias is not None:
            _expect(bias, (n_out,), "bias")
        return Whole(parts["weight"].float(), None if bias is None else bias.float())
    scale = scaling(method, int(settings["rank"]), float(settings["alpha"]))
    if method == "loha":
        return Whole(scale * _hadamard(parts, n_out, n_in))
    if method == "lokr":
        return Whole(scale * _kronecker(parts, n_out, n_in))
    down, up = parts["lora_A.weight"].float(), parts["lora_B.weight"].float()
    rank = down.shape[0]
    _expect(down, (rank, n_in), "lora_A")
    _expect(up, (n_out, rank), "lora_B")
    if method == "dora":
        _expect(parts["lora_magnitude_vector"], (n_out,), "lora_magnitude_vector")
        return Whole(_dora(base.float(), scale * up @ down, parts["lora_magnitude_vector"].float()))
    return LowRank(down, scale * up)


def sparse_matrix(indices: Tensor, values: Tensor, n_out: int, n_in: int) -> Tensor:
    """Entries at flat places -> [n_out, n_in]. Raises Misfit for places that lie outside or come twice."""
    if indices.ndim != 1 or indices.shape != values.shape:
        raise Misfit(f"indices {tuple(indices.shape)} for values {tuple(values.shape)}")
    places = indices.long()
    if len(places) and (int(places[0]) < 0 or int(places[-1]) >= n_out * n_in or bool((places.diff() <= 0).any())):
        raise Misfit("indices that do not rise, or lie outside the matrix")
    flat = torch.zeros(n_out * n_in, device=values.device)
    flat[places] = values.float()
    return flat.view(n_out, n_in)


def _dora(base: Tensor, product: Tensor, magnitude: Tensor) -> Tensor:
    """Magnitude times direction, less the base (Liu et al. 2024, "DoRA", equation 5)."""
    moved = base + product
    return magnitude[:, None] * moved / moved.norm(dim=1, keepdim=True).clamp(min=1e-9) - base


def _hadamard(parts: Mapping[str, Tensor], n_out: int, n_in: int) -> Tensor:
    """Element-wise product of two low-rank products (Hyeon-Woo et al. 2022, "FedPara", equation 4)."""
    factors = []
    for number in ("1", "2"):
        a, b = parts[f"hada_w{number}_a"].float(), parts[f"hada_w{number}_b"].float()
        rank = a.shape[-1]
        _expect(a, (n_out, rank), f"hada_w{number}_a")
        _expect(b, (rank, n_in), f"hada_w{number}_b")
        factors.append(a @ b)
    return factors[0] * factors[1]


def _kronecker(parts: Mapping[str, Tensor], n_out: int, n_in: int) -> Tensor:
    """Kronecker product of two matrices, each whole or in two thin parts (Yeh et al. 2024, "LyCORIS")."""
    a, b = (_kronecker_factor(parts, name) for name in ("lokr_w1", "lokr_w2"))
    if (a.shape[0] * b.shape[0], a.shape[1] * b.shape[1]) != (n_out, n_in):
        raise Misfit(f"Kronecker factors of {tuple(a.shape)} and {tuple(b.shape)}")
    return torch.kron(a, b.contiguous())


def _kronecker_factor(parts: Mapping[str, Tensor], name: str) -> Tensor:
    if name in parts:
        factor = parts[name].float()
    else:
        a, b = parts[f"{name}_a"].float(), parts[f"{name}_b"].float()
        if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0]:
            raise Misfit(f"{name} in parts of {tuple(a.shape)} and {tuple(b.shape)}")
        factor = a @ b
    if factor.ndim != 2:
        raise Misfit(f"{name} of shape {tuple(factor.shape)} where a matrix belongs")
    return factor


def _expect(tensor: Tensor, shape: tuple[int, ...], what: str) -> None:
    if tuple(tensor.shape) != shape:
        raise Misfit(f"{what} has shape {tuple(tensor.shape)} instead of {shape}")
