"""How much of each latent channel is heard: what a denoiser's loss should count.

The codec's channels are scaled to unit variance, whatever they do: the first ones move whole filters by several
decibels, the last ones by a third of one. Counted alike, two thirds of a denoiser's loss would lie on what hardly
anybody hears.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from synth.codec.layout import EXPLICIT
from synth.codec.model import Codec, scaled_log_f0

EXPLICIT_WEIGHT = 2.0  # of pitch, modulation and irregularity, beside a mean of 1 for the others
_NUDGE = 0.3  # of a channel's standard deviation: small beside it, large beside rounding
_DB_PER_NEPER = 20.0 / np.log(10.0)
# Compressive, as hearing is: bins and frames count by a power of their share of the loudest.
_BIN_EXPONENT, _FRAME_EXPONENT = 0.25, 0.1
_LEAST_SHARE = 1e-6


@torch.no_grad()
def channel_deviation_db(codec: Codec, latents: Tensor, f0_hz: Tensor, std: NDArray[np.float32]) -> NDArray[np.float64]:
    """RMS change of the decoder's filters when one learned channel moves by a standard deviation -> dB [learned_dim].

    latents [B, T, latent_dim] raw and f0_hz [B, T], both on the codec's device; std [latent_dim]
    """
    decoder, pitch = codec.decoder, scaled_log_f0(f0_hz)
    still = decoder.filters(latents, pitch)
    power = (2.0 * still).exp()
    share = power / power.sum(1, keepdim=True)  # whichever of pulses and noise is louder there is what is heard
    total = power.sum(1)
    weight = (total / total.amax(-1, keepdim=True)).clamp(min=_LEAST_SHARE) ** _BIN_EXPONENT
    level = total.sum(-1, keepdim=True)
    weight = weight * (level / level.amax()).clamp(min=_LEAST_SHARE) ** _FRAME_EXPONENT
    generator = torch.Generator().manual_seed(0)
    deviation = []
    for channel in range(codec.config.learned_dim):
        moved = latents.clone()
        nudge = torch.randn(latents.shape[:2], generator=generator).to(latents.device)
        moved[..., channel] += _NUDGE * float(std[channel]) * nudge
        squared = ((decoder.filters(moved, pitch) - still).square() * share).sum(1)
        deviation.append(float(((squared * weight).sum() / weight.sum()).sqrt()) / _NUDGE * _DB_PER_NEPER)
    return np.array(deviation)


def channel_weights(
    codec: Codec, latents: Tensor, f0_hz: Tensor, std: NDArray[np.float32], n_excerpts: int = 24
) -> NDArray[np.float32]:
    """Weights of the squared errors of unit-variance channels -> [latent_dim], of mean 1.

    In proportion to the deviation in dB, not to its square: half-way between counting channels alike and counting
    decibels alike, since small channels carry the texture of consonants and breath.
    """
    deviation = channel_deviation_db(codec, latents[:n_excerpts], f0_hz[:n_excerpts], std)
    learned = deviation / max(float(deviation.mean()), 1e-9) if deviation.any() else np.ones_like(deviation)
    weights = np.concatenate([learned, np.full(len(EXPLICIT), EXPLICIT_WEIGHT)])
    return (weights / weights.mean()).astype(np.float32)
