"""A codec that is a channel vocoder before it has learnt anything.

Envelope features can be had by linear algebra: the encoder's linear path is set to the principal components of log
spectra, the decoder's to the least-squares map from those to the filters that would colour white pulses and noise so.
Training then begins where a vocoder ends instead of spending its first thousand steps on getting there.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from synth.codec.bands import FILTER_BINS, band_points
from synth.codec.model import FILTER_FFT, SUB_HOP, SUBFRAMES, Codec
from synth.spec.audio import SAMPLE_RATE_HZ

_HNR_COLUMN = 2  # of the encoder's features, in tens of dB
_FEATURE_WEIGHT = 3.0  # a handful of features would drown among hundreds of bands
_SOFT_FROM_HZ, _SOFT_DB_PER_OCTAVE = 3_000.0, 10.0  # harmonics fade into noise above
_RIDGE = 1e-3
_QUIET_START = 0.1
_LOWEST_SHARE = 1e-4


@torch.no_grad()
def start_from_spectra(codec: Codec, audio: Tensor, features: Tensor) -> float:
    """Set both linear paths of `codec` from examples -> share of the filters' variance that they explain.

    audio [B, n_frames * HOP_SAMPLES], features [B, n_frames, ENCODER_FEATURES]; some thousands of frames are enough.
    ValueError for a codec without linear paths, or without a view at the filters' own rate.
    """
    encoder, decoder = codec.encoder, codec.decoder
    views = [(index, view) for index, view in enumerate(encoder.views) if view[:2] == (FILTER_FFT, SUB_HOP)]
    if encoder.skip is None or decoder.skip is None or not views:
        raise ValueError("this codec has no linear paths, or no view at the rate of its filters")
    inputs = encoder.inputs(audio, features).flatten(0, 1).double()
    weight = _column_weights(codec, inputs)
    mean = inputs.mean(0)
    _, _, axes = torch.linalg.svd((inputs - mean) * weight, full_matrices=False)
    axes = axes[: codec.config.learned_dim] * weight
    spread = ((inputs - mean) @ axes.T).std(0).clamp(min=1e-3)
    axes = axes / spread[:, None]
    encoder.skip.weight.copy_(axes)
    encoder.skip.bias.copy_(-axes @ mean)
    encoder.leave.weight.mul_(_QUIET_START)
    encoder.leave.bias.zero_()

    latents = (inputs - mean) @ axes.T
    wanted = _filters_wanted(codec, views[0][0], audio, features).flatten(0, 1).double()
    centre = wanted.mean(0)
    gram = latents.T @ latents + _RIDGE * len(latents) * torch.eye(latents.shape[1], device=latents.device)
    solution = torch.linalg.solve(gram, latents.T @ (wanted - centre))
    decoder.skip.weight.zero_()
    decoder.skip.weight[:, : latents.shape[1]] = solution.T
    decoder.leave.weight.mul_(_QUIET_START)
    decoder.leave.bias[: decoder.n_outputs] = centre
    residual = wanted - centre - latents @ solution
    return float(1.0 - residual.var(0).sum() / wanted.var(0).sum())


def _column_weights(codec: Codec, inputs: Tensor) -> Tensor:
    """Every view weighs the same, however many bands it has."""
    weights = []
    for _, hop, n_bands in codec.encoder.views:
        n_columns = n_bands * (SUB_HOP * SUBFRAMES // hop)
        weights.append(torch.full((n_columns,), n_columns**-0.5))
    n_features = inputs.shape[1] - sum(len(part) for part in weights)
    weights.append(torch.full((n_features,), _FEATURE_WEIGHT / math.sqrt(sum(map(len, weights)))))
    return torch.cat(weights).to(inputs)


def _filters_wanted(codec: Codec, view: int, audio: Tensor, features: Tensor) -> Tensor:
    """What the decoder's last layer would have to say -> [B, n_frames, SUBFRAMES * 2 * n_bands]."""
    bank = codec.encoder.get_buffer(f"mel_{view}")
    bins = torch.arange(len(bank), device=bank.device, dtype=bank.dtype)
    centres = (bank * bins[:, None]).sum(0) / bank.sum(0)
    points = band_points(codec.config.n_bands).to(centres)
    upper = torch.searchsorted(centres, points).clamp(1, len(centres) - 1)
    share = ((points - centres[upper - 1]) / (centres[upper] - centres[upper - 1])).clamp(0, 1)
    levels = (2.0 * codec.encoder.log_mel(audio, view) - 7.0).unflatten(-1, (SUBFRAMES, -1))
    envelope = levels[..., upper - 1] * (1 - share) + levels[..., upper] * share
    octaves = torch.log2(points * (SAMPLE_RATE_HZ / 2 / (FILTER_BINS - 1)) / _SOFT_FROM_HZ + 1e-6).clamp(min=0)
    hnr_db = 10.0 * features[..., _HNR_COLUMN, None, None] - _SOFT_DB_PER_OCTAVE * octaves
    ratio = 10.0 ** (hnr_db / 10.0)
    harmonic = (ratio / (1 + ratio)).clamp(_LOWEST_SHARE, 1 - _LOWEST_SHARE)
    gains = torch.stack([envelope + 0.5 * harmonic.log(), envelope + 0.5 * (1 - harmonic).log()], dim=-2)
    return gains.flatten(2) / 4.0
