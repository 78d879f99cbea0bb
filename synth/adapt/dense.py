"""Full fine-tuning of some regions' linear layers: the reference that LoRA and SaRA are compared with.

Every entry of every matrix and bias of the regions is trained (more than 99 % of their parameters; norms, depthwise
taps and residual scales stay). With a mask it trains the same entries as SaRA, the plain way: dense gradients, of
which those outside the mask are set to 0, and dense optimiser state. That is what SaRA's memory is held against.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from synth.adapters.layout import Layer
from synth.diffusion.unet import Denoiser


def unfreeze(denoiser: Denoiser, layers: Sequence[Layer]) -> None:
    """Give `denoiser` matrices of its own for these layers, in place; only they are trained from here on."""
    denoiser.requires_grad_(False)
    for place in layers:
        layer = denoiser.get_submodule(place.name)
        assert isinstance(layer, nn.Linear)
        layer.weight = nn.Parameter(layer.weight.detach().clone())
        layer.bias = nn.Parameter(layer.bias.detach().clone())


def collect_dense(denoiser: nn.Module, base: Denoiser, layers: Sequence[Layer]) -> dict[str, dict[str, Tensor]]:
    """What was learnt, layer -> "weight" and "bias", by the names of the file, in half precision."""
    found = {}
    for place in layers:
        parts = {part: f"{place.name}.{part}" for part in ("weight", "bias")}
        found[place.name] = {
            part: (denoiser.get_parameter(name) - base.get_parameter(name)).detach().half().cpu()
            for part, name in parts.items()
        }
    return found


def mask_gradients(denoiser: nn.Module, places: Mapping[str, Tensor]) -> None:
    """Let only some entries of the matrices move: the others' gradients are 0. Adam leaves what has none alone."""
    for name, chosen in places.items():
        parameter = denoiser.get_parameter(f"{name}.weight")
        mask = torch.zeros_like(parameter).flatten()
        mask[chosen] = 1.0
        parameter.register_hook(mask.view_as(parameter).mul)
