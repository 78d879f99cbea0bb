"""A denoiser with any number of adapters in it, each as strong as the moment asks, region by region, frame by frame.

Strengths are further columns of the condition, three an adapter (early, middle, late): so they travel with it through
batching, guidance and the context of what has been heard; a moving strength is a tensor like any other, and costs no
rebuild, no reload and no new graph. A condition without them is sung by the base alone, to the bit. The base's weights
are shared, never changed: loading another adapter makes another AdaptedDenoiser beside the one that is sounding.

A layer costs two thin products for all LoRA adapters together, with their ranks side by side, and one product for each
whole matrix (SaRA, full, DoRA); where no strength moves within a window, on a processor, the whole matrices are added
to the layer's own once and cost nothing after.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

from synth.adapters.deltas import LowRank, Misfit, Whole, delta_of
from synth.adapters.file import Adapter
from synth.adapters.layout import DEFAULT_MAP, REGIONS, Layer, linear_layers
from synth.diffusion.unet import Denoiser, EncodedCondition
from synth.errors import UserError

N_REGIONS: Final = len(REGIONS)


@dataclass(frozen=True, slots=True)
class Sounding:
    """Strengths of what is being sung.

    levels     per resolution [B, tokens, 3 * adapters]
    constant   the same numbers where nothing moves and the device is the processor, else None
    """

    levels: tuple[Tensor, ...]
    constant: tuple[float, ...] | None


@dataclass(frozen=True, slots=True)
class AdaptedCondition(EncodedCondition):
    """An encoded condition that knows its strengths; None: the base alone."""

    sounding: Sounding | None = None


_SOUNDING: ContextVar[Sounding | None] = ContextVar("sounding", default=None)


@contextmanager
def _sung_by(sounding: Sounding | None) -> Iterator[None]:
    token = _SOUNDING.set(sounding)
    try:
        yield
    finally:
        _SOUNDING.reset(token)


class AdaptedLinear(nn.Module):
    """A linear layer and what adapters add to it; on its own it is the base's layer.

    down [ranks, n_in], up [n_out, ranks]   all LoRA adapters' side by side
    column [ranks]                          whose strength each rank has
    whole                                   (strength's column, whole matrix) of the others
    """

    def __init__(self, base: nn.Linear, level: int, deltas: Sequence[tuple[int, LowRank | Whole]]) -> None:
        super().__init__()
        self.weight, self.bias, self.level = base.weight, base.bias, level
        thin = [(column, delta) for column, delta in deltas if isinstance(delta, LowRank)]
        self.whole = [(column, delta) for column, delta in deltas if isinstance(delta, Whole)]
        self._mixed: tuple[tuple[float, ...], Tensor, Tensor | None] | None = None
        self.down = torch.cat([delta.down for _, delta in thin]) if thin else None
        self.up = torch.cat([delta.up for _, delta in thin], dim=1) if thin else None
        columns = [column for column, delta in thin for _ in range(len(delta.down))]
        self.column = torch.tensor(columns, dtype=torch.long, device=base.weight.device)

    def forward(self, x: Tensor) -> Tensor:
        """[B, tokens, n_in] -> [B, tokens, n_out]."""
        sounding = _SOUNDING.get()
        if sounding is None:
            return nn.functional.linear(x, self.weight, self.bias)
        gains = sounding.levels[self.level]
        if x.shape[1] > gains.shape[1]:  # attention: latents and condition one after the other
            gains = gains.repeat(1, x.shape[1] // gains.shape[1], 1)
        if not self.whole:
            out = nn.functional.linear(x, self.weight, self.bias)
        elif sounding.constant is not None:
            out = nn.functional.linear(x, *self._mixed_at(sounding.constant))
        else:
            out = nn.functional.linear(x, self.weight, self.bias)
            for column, delta in self.whole:
                out = out + gains[..., column : column + 1] * nn.functional.linear(x, delta.weight, delta.bias)
        if self.down is not None and self.up is not None:
            thin = nn.functional.linear(x, self.down) * gains[..., self.column]
            out = out + nn.functional.linear(thin, self.up)
        return out

    def _mixed_at(self, strengths: tuple[float, ...]) -> tuple[Tensor, Tensor | None]:
        """The layer's own matrix with the whole ones added; kept until a strength moves. Safe from several threads."""
        mixed = self._mixed
        if mixed is None or mixed[0] != strengths:
            weight, bias = self.weight.clone(), None if self.bias is None else self.bias.clone()
            for column, delta in self.whole:
                weight.add_(delta.weight, alpha=strengths[column])
                if bias is not None and delta.bias is not None:
                    bias.add_(delta.bias, alpha=strengths[column])
            mixed = self._mixed = (strengths, weight, bias)
        return mixed[1], mixed[2]


def sharing_copy(module: nn.Module) -> nn.Module:
    """Another module of the same structure over the same parameters and buffers."""
    memo: dict[int, Any] = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    return copy.deepcopy(module, memo)


class AdaptedDenoiser(Denoiser):
    """A Denoiser whose conditions may have 3 * n_adapters columns more: the strengths."""

    def __init__(
        self, base: Denoiser, adapters: Sequence[Adapter], mapped: Mapping[str, Sequence[str]] = DEFAULT_MAP
    ) -> None:
        """The base with `adapters` in it. UserError names the adapter and the layer that do not fit."""
        with torch.device("meta"):  # built empty: every part is replaced by the base's own
            super().__init__(base.config)
        for name, child in sharing_copy(base).named_children():
            setattr(self, name, child)
        self.adapters = tuple(adapters)
        deltas = _deltas(base, self.adapters, mapped)
        for place, found in deltas.items():
            layer = self.get_submodule(place.name)
            assert isinstance(layer, nn.Linear)
            holder, _, last = place.name.rpartition(".")
            setattr(self.get_submodule(holder), last, AdaptedLinear(layer, place.level, found))
        self._has_whole = any(isinstance(delta, Whole) for found in deltas.values() for _, delta in found)
        self.eval().requires_grad_(False)

    @property
    def n_strengths(self) -> int:
        """Columns that strengths take."""
        return N_REGIONS * len(self.adapters)

    def encode_condition(self, condition: Tensor) -> EncodedCondition:
        """[B, T, CONDITION_DIM] or with the strengths' columns behind -> what every step of a sampling shares."""
        width = self.config.condition_dim
        strengths = condition[..., width:]
        if strengths.shape[-1] not in (0, self.n_strengths):
            raise ValueError(f"{strengths.shape[-1]} columns of strengths for {len(self.adapters)} adapters")
        sounding = self._sounding(strengths) if strengths.shape[-1] else None
        with _sung_by(sounding):
            encoded = super().encode_condition(condition[..., :width])
        return AdaptedCondition(encoded.tokens, encoded.films, sounding)

    def forward(self, x: Tensor, sigma: Tensor, encoded: EncodedCondition, target: Tensor | None = None) -> Tensor:
        """As Denoiser.forward, with the strengths that `encoded` brings."""
        with _sung_by(encoded.sounding if isinstance(encoded, AdaptedCondition) else None):
            return super().forward(x, sigma, encoded, target)

    def _sounding(self, strengths: Tensor) -> Sounding:
        level = strengths.unflatten(1, (-1, self.config.patch)).mean(2)
        levels = [level]
        for _ in self.config.widths[1:]:
            levels.append(levels[-1].unflatten(1, (-1, 2)).mean(2))
        constant = None
        if self._has_whole and strengths.device.type == "cpu":  # asking a GPU would wait for it
            first = strengths[:1, :1]
            constant = tuple(first.flatten().tolist()) if bool((strengths == first).all()) else None
        return Sounding(tuple(levels), constant)


def merged_denoiser(
    base: Denoiser,
    adapters: Sequence[Adapter],
    strengths: Sequence[float],
    mapped: Mapping[str, Sequence[str]] = DEFAULT_MAP,
) -> Denoiser:
    """A plain denoiser with adapters at fixed strengths [3 * n_adapters] worked into its matrices.

    Sings as AdaptedDenoiser does, but for rounding, and can be packed. Layers that nothing is added to are shared.
    """
    model = sharing_copy(base)
    assert isinstance(model, Denoiser)
    for place, found in _deltas(base, adapters, mapped).items():
        at = [(strengths[column], delta) for column, delta in found if strengths[column] != 0.0]
        if not at:
            continue
        layer = model.get_submodule(place.name)
        assert isinstance(layer, nn.Linear)
        weight, bias = layer.weight.detach().clone(), layer.bias.detach().clone()
        for strength, delta in at:
            if isinstance(delta, LowRank):
                weight.addmm_(delta.up, delta.down, alpha=strength)
            else:
                weight.add_(delta.weight, alpha=strength)
                if delta.bias is not None:
                    bias.add_(delta.bias, alpha=strength)
        layer.weight, layer.bias = nn.Parameter(weight, requires_grad=False), nn.Parameter(bias, requires_grad=False)
    return model


def _deltas(
    base: Denoiser, adapters: Sequence[Adapter], mapped: Mapping[str, Sequence[str]]
) -> dict[Layer, list[tuple[int, LowRank | Whole]]]:
    """Layer -> (strength's column, delta) of every adapter that works there."""
    places = {place.name: place for place in linear_layers(base, mapped)}
    found: dict[Layer, list[tuple[int, LowRank | Whole]]] = {}
    for index, adapter in enumerate(adapters):
        for name, parts in adapter.layers.items():
            place = places.get(name)
            if place is None:
                raise _does_not_fit(adapter, f"this voice has no layer {name}")
            weight = base.get_parameter(f"{name}.weight")
            settings = {"rank": adapter.info.rank, "alpha": adapter.info.alpha}
            try:
                delta = delta_of(adapter.info.method, parts, weight, settings)
            except Misfit as fault:
                raise _does_not_fit(adapter, f"{name}: {fault}") from fault
            found.setdefault(place, []).append((N_REGIONS * index + REGIONS.index(place.region), delta))
    return found


def _does_not_fit(adapter: Adapter, why: str) -> UserError:
    return UserError(
        f"The adapter '{adapter.info.name}' does not fit this voice: {why}.",
        remedy="Use it with the voice it was made for, or adapt this one.",
    )
