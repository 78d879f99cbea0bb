"""Random adapters of every method for the tiny denoiser, made without training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from synth.adapters.file import Adapter, AdapterInfo
from synth.adapters.layout import REGIONS, Layer, linear_layers
from synth.diffusion.unet import Denoiser
from tests.tiny_weights import TINY_DENOISER

BASE_HASH = "0" * 32
RANK, ALPHA = 2, 4.0


def stirred_denoiser(seed: int = 1) -> Denoiser:
    """Untrained, but with something in the layers that start at zero."""
    torch.manual_seed(seed)
    model = Denoiser(TINY_DENOISER).eval().requires_grad_(False)
    for parameter in model.parameters():
        parameter.add_(0.05 * torch.randn_like(parameter))
    return model


def info(method: str, **changes: Any) -> AdapterInfo:
    """What a file of `method` says."""
    is_peft = method not in ("sara", "full")
    given: dict[str, Any] = {
        "name": f"tiny {method}", "method": method, "base_hash": BASE_HASH, "regions": REGIONS, "technique": "growl",
        "licence": "CC0-1.0", "consent": "random numbers", "rank": RANK if is_peft else 0,
        "alpha": ALPHA if is_peft else 0.0, **changes,
    }  # fmt: skip
    return AdapterInfo(**given)


def _lora(layer: Layer) -> dict[str, Tensor]:
    return {
        "lora_A.weight": 0.3 * torch.randn(RANK, layer.n_in),
        "lora_B.weight": 0.3 * torch.randn(layer.n_out, RANK),
    }


def _dora(layer: Layer) -> dict[str, Tensor]:
    return _lora(layer) | {"lora_magnitude_vector": 1.0 + torch.rand(layer.n_out)}


def _loha(layer: Layer) -> dict[str, Tensor]:
    return {
        f"hada_w{number}_{side}": 0.5 * torch.randn(*shape)
        for number in (1, 2)
        for side, shape in (("a", (layer.n_out, RANK)), ("b", (RANK, layer.n_in)))
    }


def _sara(layer: Layer) -> dict[str, Tensor]:
    places = torch.randperm(layer.n_weights)[: max(1, layer.n_weights // 20)].sort().values.to(torch.int32)
    return {"indices": places, "values": 0.3 * torch.randn(len(places))}


def _full(layer: Layer) -> dict[str, Tensor]:
    return {"weight": 0.1 * torch.randn(layer.n_out, layer.n_in), "bias": 0.1 * torch.randn(layer.n_out)}


MAKERS: dict[str, Callable[[Layer], dict[str, Tensor]]] = {
    "lora": _lora, "rslora": _lora, "dora": _dora, "loha": _loha, "sara": _sara, "full": _full,
}  # fmt: skip


def random_layers(method: str, regions: tuple[str, ...] = REGIONS, seed: int = 0) -> dict[str, dict[str, Tensor]]:
    """Tensors for every layer of some regions of the tiny denoiser."""
    torch.manual_seed(seed)
    places = linear_layers(Denoiser(TINY_DENOISER))
    return {place.name: MAKERS[method](place) for place in places if place.region in regions}


def random_adapter(method: str, regions: tuple[str, ...] = REGIONS, seed: int = 0) -> Adapter:
    """One that is in no file."""
    return Adapter.of(info(method, regions=regions, name=f"tiny {method} {seed}"), random_layers(method, regions, seed))
