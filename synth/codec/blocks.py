"""Building blocks shared by the codec and the denoiser: convolution blocks that keep [B, T, C] in memory.

Channels-last keeps the pointwise layers plain matrix products, which is what two CPU cores (and bfloat16) do best.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class DepthwiseConv(nn.Module):
    """Depthwise convolution over time on [B, T, C], with explicit look-back and look-ahead in frames."""

    def __init__(self, n_channels: int, past: int, future: int) -> None:
        super().__init__()
        self.past, self.future = past, future
        self.weight = nn.Parameter(torch.randn(past + future + 1, n_channels) * (past + future + 1) ** -0.5)
        self.bias = nn.Parameter(torch.zeros(n_channels))

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, C] -> [B, T, C], zero padding at the ends."""
        n_frames = x.shape[1]
        padded = nn.functional.pad(x, (0, 0, self.past, self.future))
        out = self.bias + padded[:, :n_frames] * self.weight[0]
        for tap in range(1, self.past + self.future + 1):
            out = torch.addcmul(out, padded[:, tap : tap + n_frames], self.weight[tap])
        return out


class ConvNeXtBlock(nn.Module):
    """Depthwise convolution, norm, two pointwise layers, residual (after Liu et al. 2022), on [B, T, C]."""

    def __init__(self, n_channels: int, expansion: int, past: int, future: int) -> None:
        super().__init__()
        self.mix = DepthwiseConv(n_channels, past, future)
        self.norm = nn.LayerNorm(n_channels)
        self.widen = nn.Linear(n_channels, expansion * n_channels)
        self.narrow = nn.Linear(expansion * n_channels, n_channels)
        self.scale = nn.Parameter(torch.full((n_channels,), 0.1))

    def forward(self, x: Tensor, film: Tensor | None = None) -> Tensor:
        """[B, T, C] -> [B, T, C]; `film` [B, T, 2C] scales and shifts the normalised features."""
        hidden = self.norm(self.mix(x))
        if film is not None:
            gain, shift = film.chunk(2, dim=-1)
            hidden = hidden * (1 + gain) + shift
        return x + self.scale * self.narrow(nn.functional.gelu(self.widen(hidden)))
