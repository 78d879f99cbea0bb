"""The denoiser: a conditioned one-dimensional U-Net over latents at 100 Hz, seen as tokens of `patch` frames.

Conditions enter by FiLM in every block, by cross-attention, or by both (`DenoiserConfig.injection`). Every frame has a
noise level of its own, so that frames already heard can stand clean beside those being drawn (diffusion forcing, Chen
et al. 2024), and the network is told the level it shall jump to, so that the same weights serve sixteen steps and one
(progressive distillation, Salimans and Ho 2022). Regions for adapters: `early` = entering and downward blocks,
`middle` = bottleneck, `late` = upward blocks.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from synth.codec.blocks import ConvNeXtBlock
from synth.diffusion.conditioning import CONDITION_DIM, PATHWAYS, pathway_slices

Injection = Literal["film", "attention", "both"]


@dataclass(frozen=True, slots=True)
class DenoiserConfig:
    """Everything needed to build the denoiser; stored with its weights.

    latent_dim     channels of the codec's latents
    patch          frames a token
    widths         channels of each resolution, every next one at half the token rate
    middle_blocks  blocks of the bottleneck, half before the attention and half after it
    injection      how the condition enters; "both" is FiLM in every block and attention at the bottleneck
    """

    latent_dim: int
    condition_dim: int = CONDITION_DIM
    patch: int = 2
    widths: tuple[int, ...] = (192, 320)
    blocks_per_level: int = 2
    middle_blocks: int = 6
    expansion: int = 3
    pathway_dim: int = 48
    film_dim: int = 160
    level_dim: int = 96
    heads: int = 4
    injection: Injection = "both"

    def __post_init__(self) -> None:
        if self.injection not in ("film", "attention", "both"):
            raise ValueError(f"a condition enters by film, attention or both, not by {self.injection!r}")

    def as_dict(self) -> dict[str, Any]:
        """Plain values for metadata."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> DenoiserConfig:
        """The inverse of `as_dict`."""
        fields: dict[str, Any] = {**values, "widths": tuple(values["widths"])}
        return cls(**fields)

    @property
    def frame_multiple(self) -> int:
        """Windows, and stretches of equal noise level in them, must be a multiple of this many frames."""
        return self.patch * 2 ** (len(self.widths) - 1)


@dataclass(frozen=True, slots=True)
class EncodedCondition:
    """What one sampling needs of its condition, at every resolution: computed once, used at every step.

    tokens   per resolution [B, tokens, film_dim]
    films    per FiLM block, in the order of the forward pass, [B, tokens, 2 * channels]; empty without FiLM
    """

    tokens: tuple[Tensor, ...]
    films: tuple[Tensor, ...]


class PathwayEncoder(nn.Module):
    """One pathway's columns to features [B, T, pathway_dim]; a dropped pathway (all zero) gives a learnt constant."""

    def __init__(self, n_inputs: int, n_outputs: int) -> None:
        super().__init__()
        self.enter = nn.Linear(n_inputs, n_outputs)
        self.block = ConvNeXtBlock(n_outputs, 2, 4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.block(self.enter(x))


class LevelEmbedding(nn.Module):
    """Fourier features of log(sigma) / 4 of the present level and of the level to jump to."""

    def __init__(self, n_outputs: int, n_waves: int = 32) -> None:
        super().__init__()
        self.waves: Tensor
        self.register_buffer("waves", torch.logspace(-1, 1.5, n_waves, base=10.0))
        self.layers = nn.Sequential(nn.Linear(4 * n_waves, n_outputs), nn.SiLU(), nn.Linear(n_outputs, n_outputs))

    def _fourier(self, sigma: Tensor) -> Tensor:
        # A jump to zero noise is one to a level where nothing is left to remove.
        angle = sigma.clamp(min=1e-3).log()[..., None] / 4 * self.waves * math.pi
        return torch.cat([angle.sin(), angle.cos()], dim=-1)

    def forward(self, sigma: Tensor, target: Tensor) -> Tensor:
        """sigma, target [B, tokens] -> [B, tokens, n_outputs]."""
        both = torch.cat([self._fourier(sigma), self._fourier(target)], dim=-1)
        return nn.functional.silu(self.layers(both))


class FilmBlock(nn.Module):
    """A ConvNeXt block whose normalised features are scaled and shifted by noise level and condition."""

    def __init__(self, n_channels: int, config: DenoiserConfig) -> None:
        super().__init__()
        self.level = nn.Linear(config.level_dim, 2 * n_channels)
        self.condition = nn.Linear(config.film_dim, 2 * n_channels) if config.injection != "attention" else None
        self.block = ConvNeXtBlock(n_channels, config.expansion, 3, 3)
        for layer in (self.level, self.condition):
            if layer is not None:
                nn.init.zeros_(layer.weight)
                nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, level: Tensor, film: Tensor | None) -> Tensor:
        """x [B, tokens, C], level [B, tokens or 1, level_dim], film [B, tokens, 2C] of the condition."""
        shift = self.level(level)
        return self.block(x, shift if film is None else shift + film)


class Attention(nn.Module):
    """Multi-head attention of latents to themselves and to the condition, with sinusoidal positions."""

    def __init__(self, n_channels: int, config: DenoiserConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.norm = nn.LayerNorm(n_channels)
        self.query = nn.Linear(n_channels, n_channels)
        self.context = nn.Linear(config.film_dim, n_channels) if config.injection != "film" else None
        self.key_value = nn.Linear(n_channels, 2 * n_channels)
        self.leave = nn.Linear(n_channels, n_channels)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """x [B, tokens, C], condition [B, tokens, film_dim] -> [B, tokens, C]."""
        _, n_tokens, n_channels = x.shape
        position = positions(n_tokens, n_channels, x)
        hidden = self.norm(x) + position
        keys = hidden
        if self.context is not None:
            keys = torch.cat([hidden, self.context(condition) + position], dim=1)
        query = self.query(hidden).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        key, value = self.key_value(keys).unflatten(-1, (2 * self.heads, -1)).transpose(1, 2).chunk(2, dim=1)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value)
        return x + self.leave(mixed.transpose(1, 2).flatten(2))


def positions(n_tokens: int, n_channels: int, like: Tensor) -> Tensor:
    """Sinusoidal positions of the attention -> [n_tokens, n_channels], in the type and on the device of `like`."""
    rates = torch.exp(torch.arange(0, n_channels, 2, device=like.device) * (-math.log(200.0) / n_channels))
    angle = torch.arange(n_tokens, device=like.device)[:, None] * rates
    return torch.cat([angle.sin(), angle.cos()], dim=-1).to(like.dtype)


class Denoiser(nn.Module):
    """Predicts v = alpha * noise - s * clean (Salimans and Ho 2022) from scaled noisy latents, levels and condition.

    With a level to jump to, `clean` is not the clean latent but the one whose DDIM step lands where two shorter steps
    would (there, equation 7 and appendix G).
    """

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.config = config
        slices = pathway_slices()
        self.pathways = nn.ModuleList(
            PathwayEncoder(slices[p].stop - slices[p].start, config.pathway_dim) for p in PATHWAYS
        )
        self.gather = nn.Linear(config.patch * config.pathway_dim * len(PATHWAYS), config.film_dim)
        self.noise_level = LevelEmbedding(config.level_dim)
        widths = config.widths
        entering = config.patch * config.latent_dim + (config.film_dim if config.injection != "attention" else 0)
        self.enter = nn.Linear(entering, widths[0])
        self.down = nn.ModuleList(self._stack(config.blocks_per_level, w) for w in widths[:-1])
        self.shrink = nn.ModuleList(nn.Linear(2 * a, b) for a, b in itertools.pairwise(widths))
        self.before = self._stack(config.middle_blocks // 2, widths[-1])
        self.attention = Attention(widths[-1], config)
        self.middle = self._stack(config.middle_blocks - config.middle_blocks // 2, widths[-1])
        self.grow = nn.ModuleList(nn.Linear(b, 2 * a) for a, b in itertools.pairwise(widths))
        self.join = nn.ModuleList(nn.Linear(2 * w, w) for w in widths[:-1])
        self.up = nn.ModuleList(self._stack(config.blocks_per_level, w) for w in widths[:-1])
        self.norm = nn.LayerNorm(widths[0])
        self.leave = nn.Linear(widths[0], config.patch * config.latent_dim)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.leave.weight.device

    def _stack(self, n_blocks: int, width: int) -> nn.ModuleList:
        return nn.ModuleList(FilmBlock(width, self.config) for _ in range(n_blocks))

    def _blocks(self) -> list[tuple[int, FilmBlock]]:
        """(resolution, block) in the order of the forward pass."""
        last = len(self.config.widths) - 1
        stacks = [*enumerate(self.down), (last, self.before), (last, self.middle)]
        stacks += [(level, self.up[level]) for level in reversed(range(last))]
        return [(level, block) for level, stack in stacks for block in stack]  # pyright: ignore[reportReturnType]

    def encode_condition(self, condition: Tensor) -> EncodedCondition:
        """[B, T, CONDITION_DIM] -> what every step of a sampling shares; independent of the noise levels."""
        parts = [
            encoder(condition[..., part])
            for encoder, part in zip(self.pathways, pathway_slices().values(), strict=True)
        ]
        patches = torch.cat(parts, dim=-1).unflatten(1, (-1, self.config.patch)).flatten(2)
        tokens = [nn.functional.silu(self.gather(patches))]
        for _ in self.shrink:
            tokens.append(tokens[-1].unflatten(1, (-1, 2)).mean(2))
        films = [block.condition(tokens[level]) for level, block in self._blocks() if block.condition is not None]
        return EncodedCondition(tuple(tokens), tuple(films))

    def forward(self, x: Tensor, sigma: Tensor, encoded: EncodedCondition, target: Tensor | None = None) -> Tensor:
        """x [B, T, latent_dim] scaled to unit variance -> v, like x.

        sigma    [B], or [B, T] constant over every `frame_multiple` frames
        target   level to jump to, like sigma; None: no jump, the slope at sigma itself
        """
        levels = self.embedded_levels(sigma, sigma if target is None else target)
        films = iter(encoded.films) if encoded.films else itertools.repeat(None)
        h = x.unflatten(1, (-1, self.config.patch)).flatten(2)
        if self.config.injection != "attention":
            h = torch.cat([h, encoded.tokens[0]], dim=-1)
        h = self.enter(h)
        skips = []
        for index, stack in enumerate(self.down):
            h = _run(stack, h, levels[index], films)
            skips.append(h)
            h = self.shrink[index](h.unflatten(1, (-1, 2)).flatten(2))
        h = self.attention(_run(self.before, h, levels[-1], films), encoded.tokens[-1])
        h = _run(self.middle, h, levels[-1], films)
        for index in reversed(range(len(self.up))):
            h = self.grow[index](h).unflatten(-1, (2, -1)).flatten(1, 2)
            h = self.join[index](torch.cat([h, skips[index]], dim=-1))
            h = _run(self.up[index], h, levels[index], films)
        return self.leave(self.norm(h)).unflatten(-1, (self.config.patch, -1)).flatten(1, 2)

    def embedded_levels(self, sigma: Tensor, target: Tensor) -> list[Tensor]:
        """Embedded levels at every resolution; one token where all frames share a level ([B], not [B, T])."""
        if sigma.ndim == 1:
            return [self.noise_level(sigma[:, None], target[:, None])] * len(self.config.widths)
        target = target if target.ndim == 2 else target[:, None].expand_as(sigma)
        step = self.config.patch
        embedded = self.noise_level(sigma[:, ::step], target[:, ::step])
        return [embedded[:, :: 2**level] for level in range(len(self.config.widths))]


def _run(stack: nn.Module, h: Tensor, level: Tensor, films: Any) -> Tensor:
    assert isinstance(stack, nn.ModuleList)
    for block in stack:
        h = block(h, level, next(films))
    return h
