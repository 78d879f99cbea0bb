"""Keeping a decoder's two sub-frames from alternating, which would be heard as a buzz at the frame rate."""

from __future__ import annotations

import torch
from torch import Tensor

from synth.codec.bands import FILTER_BINS, band_points
from synth.codec.model import LOG_GAIN_SCALE, SUBFRAMES, Decoder
from synth.spec.audio import SAMPLE_RATE_HZ

# What lies lower cannot change within 5 ms: all that sub-frames could do there is to make lines at the frame rate,
# where recordings have a rumble that training would have filled with them.
TOGETHER_BELOW_HZ = 400.0
_DB_PER_NEPER = 8.685889638


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


@torch.no_grad()
def centre_subframes(decoder: Decoder, latents: Tensor, log_f0: Tensor) -> float:
    """Take out of the biases what the sub-frames differ by on average -> the largest difference there was, in dB.

    latents [B, T, latent_dim], log_f0 [B, T]: a hundred seconds of all voices. What differs with the voice stays.
    """
    inputs = torch.cat([latents, log_f0.unsqueeze(-1)], dim=-1)
    hidden = decoder.enter(inputs)
    for block in decoder.blocks:
        hidden = block(hidden)
    out = decoder.leave(decoder.norm(hidden))
    if decoder.skip is not None:
        out[..., : decoder.n_outputs] += decoder.skip(inputs)
    mean = out.flatten(0, 1).mean(0)
    filters = mean[: decoder.n_outputs].unflatten(0, (SUBFRAMES, -1))
    away = filters - filters.mean(0, keepdim=True)
    decoder.leave.bias[: decoder.n_outputs] -= away.flatten()
    return float(2.0 * away.abs().max() * LOG_GAIN_SCALE * _DB_PER_NEPER)


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
