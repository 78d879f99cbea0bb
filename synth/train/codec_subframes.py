"""Keeping a decoder's two sub-frames from alternating, which would be heard as a buzz at the frame rate."""

from __future__ import annotations

import torch
from torch import Tensor

from synth.codec.bands import FILTER_BINS, band_points
from synth.codec.model import SUBFRAMES, Decoder
from synth.spec.audio import SAMPLE_RATE_HZ

# What lies lower cannot change within 5 ms: all that sub-frames could do there is to make lines at the frame rate,
# where recordings have a rumble that training would have filled with them.
TOGETHER_BELOW_HZ = 400.0


@torch.no_grad()
def make_subframes_alike(decoder: Decoder) -> None:
    """Let both sub-frames of every frame have the mean of their filters and gates: nothing alternates any more."""
    for values in _last_layers(decoder):
        values.copy_(_joined(decoder, values, torch.ones_like(_low_points(decoder))))


def hold_low_filters_together(decoder: Decoder) -> None:
    """Join the sub-frames' filters under TOGETHER_BELOW_HZ, and let gradients move them together from now on."""
    low = _low_points(decoder)
    for values in _last_layers(decoder):
        with torch.no_grad():
            values.copy_(_joined(decoder, values, low))
        values.register_hook(lambda gradient: _joined(decoder, gradient, low))


def _low_points(decoder: Decoder) -> Tensor:
    """Which control points of a filter lie low -> bool [n_bands]."""
    return band_points(decoder.config.n_bands) * (0.5 * SAMPLE_RATE_HZ / (FILTER_BINS - 1)) < TOGETHER_BELOW_HZ


def _last_layers(decoder: Decoder) -> list[Tensor]:
    """All that says what filters and gates are, rows first."""
    layers = [decoder.leave] if decoder.skip is None else [decoder.leave, decoder.skip]
    return [values for layer in layers for values in layer.parameters()]


def _joined(decoder: Decoder, values: Tensor, chosen: Tensor) -> Tensor:
    """`values` [n_outputs (+ gates), ...] with the rows of the `chosen` points [n_bands] averaged over sub-frames.

    Gates follow when all points are chosen.
    """
    n_bands = decoder.config.n_bands
    filters = values[: decoder.n_outputs].unflatten(0, (SUBFRAMES, 2, n_bands))
    where = chosen.to(values.device).view(1, 1, n_bands, *[1] * (values.dim() - 1))
    parts = [torch.where(where, filters.mean(0, keepdim=True), filters).flatten(0, 2)]
    gates = values[decoder.n_outputs :]
    if len(gates):
        parts.append(gates.mean(0, keepdim=True).expand_as(gates) if bool(chosen.all()) else gates)
    return torch.cat(parts)
