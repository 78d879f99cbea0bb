"""The denoiser: a conditioned one-dimensional U-Net over latents at 100 Hz.

Conditions enter by FiLM in every block (frame by frame, at that block's resolution) and by cross-attention at the
bottleneck. Regions for adapters: `early` = entering and downward blocks, `middle` = bottleneck, `late` = upward blocks.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import asdict, dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from synth.codec.blocks import ConvNeXtBlock
from synth.codec.model import CodecConfig
from synth.diffusion.conditioning import CONDITION_DIM, PATHWAYS, pathway_slices
from synth.diffusion.unet import Denoiser


@dataclass(frozen=True, slots=True)
class FirstDenoiserConfig:
    """Everything needed to build the denoiser; stored with its weights."""

    latent_dim: int = CodecConfig().latent_dim
    condition_dim: int = CONDITION_DIM
    widths: tuple[int, ...] = (192, 256, 320)
    blocks_per_level: int = 2
    middle_blocks: int = 2
    expansion: int = 3
    pathway_dim: int = 48
    film_dim: int = 192
    heads: int = 4

    def as_dict(self) -> dict[str, object]:
        """Plain values for metadata."""
        return asdict(self)

    @property
    def frame_multiple(self) -> int:
        """Windows must be a multiple of this many frames."""
        return 2 ** (len(self.widths) - 1)


class PathwayEncoder(nn.Module):
    """One pathway's columns to features [B, T, pathway_dim]; a dropped pathway (all zero) gives a learnt constant."""

    def __init__(self, n_inputs: int, n_outputs: int) -> None:
        super().__init__()
        self.enter = nn.Linear(n_inputs, n_outputs)
        self.block = ConvNeXtBlock(n_outputs, 2, 4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.block(self.enter(x))


class NoiseLevelEmbedding(nn.Module):
    """Fourier features of log(sigma) / 4 to FiLM features."""

    def __init__(self, n_outputs: int, n_waves: int = 32) -> None:
        super().__init__()
        self.waves: Tensor
        self.register_buffer("waves", torch.logspace(-1, 1.5, n_waves, base=10.0))
        self.layers = nn.Sequential(nn.Linear(2 * n_waves, n_outputs), nn.SiLU(), nn.Linear(n_outputs, n_outputs))

    def forward(self, sigma: Tensor) -> Tensor:
        """sigma [B] -> [B, 1, n_outputs]."""
        angle = sigma.log()[:, None] / 4 * self.waves * math.pi
        return self.layers(torch.cat([angle.sin(), angle.cos()], dim=-1))[:, None]


class FilmBlock(nn.Module):
    """A ConvNeXt block whose normalised features are scaled and shifted by the condition."""

    def __init__(self, n_channels: int, config: FirstDenoiserConfig) -> None:
        super().__init__()
        self.film = nn.Linear(config.film_dim, 2 * n_channels)
        self.block = ConvNeXtBlock(n_channels, config.expansion, 3, 3)
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        return self.block(x, self.film(condition))


class FilmStack(nn.Module):
    """Blocks of one level, one after the other, under the same condition."""

    def __init__(self, n_blocks: int, n_channels: int, config: FirstDenoiserConfig) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(FilmBlock(n_channels, config) for _ in range(n_blocks))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x, condition)
        return x


class Attention(nn.Module):
    """Multi-head attention of latents to themselves and to the condition, with sinusoidal positions."""

    def __init__(self, n_channels: int, config: FirstDenoiserConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.norm = nn.LayerNorm(n_channels)
        self.query = nn.Linear(n_channels, n_channels)
        self.context = nn.Linear(config.film_dim, n_channels)
        self.key_value = nn.Linear(n_channels, 2 * n_channels)
        self.leave = nn.Linear(n_channels, n_channels)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """x [B, T, C], condition [B, T, film_dim] -> [B, T, C]; keys are T latent and T condition tokens."""
        _, n_frames, n_channels = x.shape
        position = _positions(n_frames, n_channels, x)
        hidden = self.norm(x) + position
        tokens = torch.cat([hidden, self.context(condition) + position], dim=1)
        query = self.query(hidden).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        key, value = self.key_value(tokens).unflatten(-1, (2 * self.heads, -1)).transpose(1, 2).chunk(2, dim=1)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value)
        return x + self.leave(mixed.transpose(1, 2).flatten(2))


def _positions(n_frames: int, n_channels: int, like: Tensor) -> Tensor:
    rates = torch.exp(torch.arange(0, n_channels, 2, device=like.device) * (-math.log(200.0) / n_channels))
    angle = torch.arange(n_frames, device=like.device)[:, None] * rates
    return torch.cat([angle.sin(), angle.cos()], dim=-1).to(like.dtype)


class FirstDenoiser(nn.Module):
    """Predicts v = alpha * noise - s * clean (Salimans and Ho 2022) from scaled noisy latents, sigma and condition."""

    def __init__(self, config: FirstDenoiserConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or FirstDenoiserConfig()
        slices = pathway_slices()
        self.pathways = nn.ModuleList(
            PathwayEncoder(slices[p].stop - slices[p].start, config.pathway_dim) for p in PATHWAYS
        )
        self.gather = nn.Linear(config.pathway_dim * len(PATHWAYS), config.film_dim)
        self.noise_level = NoiseLevelEmbedding(config.film_dim)
        widths, n_blocks = config.widths, config.blocks_per_level
        self.enter = nn.Linear(config.latent_dim + config.film_dim, widths[0])
        self.down = nn.ModuleList(FilmStack(n_blocks, w, config) for w in widths[:-1])
        self.shrink = nn.ModuleList(nn.Linear(2 * a, b) for a, b in itertools.pairwise(widths))
        self.before = FilmStack(1, widths[-1], config)
        self.middle = FilmStack(config.middle_blocks, widths[-1], config)
        self.attention = Attention(widths[-1], config)
        self.grow = nn.ModuleList(nn.Linear(b, 2 * a) for a, b in itertools.pairwise(widths))
        self.join = nn.ModuleList(nn.Linear(2 * w, w) for w in widths[:-1])
        self.up = nn.ModuleList(FilmStack(n_blocks, w, config) for w in widths[:-1])
        self.norm = nn.LayerNorm(widths[0])
        self.leave = nn.Linear(widths[0], config.latent_dim)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.leave.weight.device

    def encode_condition(self, condition: Tensor) -> Tensor:
        """[B, T, CONDITION_DIM] -> [B, T, film_dim]; independent of sigma, so one call serves a whole sampling."""
        parts = [
            encoder(condition[..., part])
            for encoder, part in zip(self.pathways, pathway_slices().values(), strict=True)
        ]
        return self.gather(torch.cat(parts, dim=-1))

    def forward(self, x: Tensor, sigma: Tensor, encoded: Tensor, target: Tensor | None = None) -> Tensor:
        """x [B, T, latent_dim] scaled to unit variance, sigma [B], encoded [B, T, film_dim] -> v, like x."""
        level = self.noise_level(sigma)
        films = [nn.functional.silu(encoded + level)]
        for _ in self.shrink:
            films.append(films[-1].unflatten(1, (-1, 2)).mean(2))
        h = self.enter(torch.cat([x, encoded], dim=-1))
        skips = []
        for stack, shrink, film in zip(self.down, self.shrink, films[:-1], strict=True):
            h = stack(h, film)
            skips.append(h)
            h = shrink(h.unflatten(1, (-1, 2)).flatten(2))
        h = self.attention(self.before(h, films[-1]), films[-1])
        h = self.middle(h, films[-1])
        for index in reversed(range(len(self.up))):
            h = self.grow[index](h).unflatten(-1, (2, -1)).flatten(1, 2)
            h = self.join[index](torch.cat([h, skips[index]], dim=-1))
            h = self.up[index](h, films[index])
        return self.leave(self.norm(h))


def first_denoiser(values: dict[str, Any]) -> Denoiser:
    """The network of the first weights, from their configuration; it ignores the level to jump to."""
    fields: dict[str, Any] = {**values, "widths": tuple(values["widths"])}
    return cast(Denoiser, FirstDenoiser(FirstDenoiserConfig(**fields)))
