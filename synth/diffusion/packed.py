"""The denoiser as a processor plays it: the same function of the same weights, packed (see synth.codec.packed).

What the steps of a sampling share is computed once: the condition's part of the FiLMs, of the first layer and of the
attention. What depends on the noise level alone is kept between samplings, since a plan has few levels. On processors
that multiply bfloat16 (AVX-512 BF16, AMX) the wide products are done in it, with sums, residuals, norms and FiLMs in
float32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from synth.codec.blocks import ConvNeXtBlock
from synth.codec.packed import PackedBlock, PackedFilmBlock, PackedLinear, after_norm, normalised, packed
from synth.diffusion.conditioning import pathway_slices
from synth.diffusion.sampler import Network, SamplingPlan
from synth.diffusion.unet import Attention, Denoiser, DenoiserConfig, FilmBlock, PathwayEncoder, positions
from synth.spec.audio import WINDOW_FRAMES

Float32Array = NDArray[np.float32]

_MOST_LEVELS_KEPT = 64
# More windows in one call gain little: their weights are then in the way no longer.
_MOST_WINDOWS = 4
# What a denoiser consists of as it was built.
_OURS = (Denoiser.__module__, ConvNeXtBlock.__module__)
_LAYERS = (nn.Linear, nn.LayerNorm, nn.SiLU, nn.Sequential, nn.ModuleList)
_free_batches: dict[tuple[DenoiserConfig, torch.dtype], int] = {}


def played_precision() -> torch.dtype:
    """What the wide products are done in on this processor."""
    has_bfloat16 = torch.backends.mkldnn.is_available() and torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if has_bfloat16 else torch.float32


def packed_denoiser(denoiser: Denoiser) -> PackedDenoiser | None:
    """`denoiser` packed for this processor; None for another network, or one whose layers something was put into."""
    if type(denoiser) is not Denoiser:
        return None
    is_plain = all(
        (type(module).__module__ in _OURS or type(module) in _LAYERS)
        and not (module._forward_hooks or module._forward_pre_hooks)
        for module in denoiser.modules()
    )
    return PackedDenoiser(denoiser, played_precision()) if is_plain else None


@dataclass(frozen=True, slots=True)
class PackedCondition:
    """What the steps of one sampling share.

    enter        [B, tokens, C], the condition's part of the first layer; None when it does not enter there
    films        per resolution [B, tokens, blocks * 2C], without the noise level's part; None without FiLM
    key, value   [B, heads, tokens, C / heads] of the condition, for the attention; None without
    """

    enter: Tensor | None
    films: tuple[Tensor | None, ...]
    key: Tensor | None
    value: Tensor | None


class PackedDenoiser:
    """Called like a Denoiser, from several threads at once. When the denoiser's weights change, it is to be made anew.

    precision   of the wide products; float32 gives the denoiser's results but for rounding
    """

    device = torch.device("cpu")

    def __init__(self, denoiser: Denoiser, precision: torch.dtype = torch.float32) -> None:
        config = self.config = denoiser.config
        rows = [WINDOW_FRAMES // (config.patch * 2**level) for level in range(len(config.widths))]
        self._level_of = denoiser.embedded_levels
        self._kept: dict[tuple[float, ...], list[Tensor]] = {}
        self._precision = precision
        self._condition = _Condition(denoiser, rows)
        n_latents = config.patch * config.latent_dim
        enter = denoiser.enter
        self._enter = PackedLinear(enter.weight[:, :n_latents], enter.bias, rows[0])
        stacks = [*zip(denoiser.down, denoiser.up, strict=True), (denoiser.before, denoiser.middle)]
        self._resolutions = [
            _Resolution(_film_blocks(first), _film_blocks(second), n_rows, precision)
            for (first, second), n_rows in zip(stacks, rows, strict=True)
        ]
        self._shrink = [packed(_linear(layer), n) for layer, n in zip(denoiser.shrink, rows[1:], strict=True)]
        self._attention = _PackedAttention(denoiser.attention, rows[-1], precision)
        self._grow = [
            _Grow(_linear(grow), _linear(join), n_rows)
            for grow, join, n_rows in zip(denoiser.grow, denoiser.join, rows, strict=False)
        ]
        self._epsilon = denoiser.norm.eps
        self._leave = PackedLinear(*after_norm(denoiser.leave.weight, denoiser.leave.bias, denoiser.norm), rows[0])

    @torch.inference_mode()
    def encode_condition(self, condition: Tensor) -> PackedCondition:
        """[B, T, CONDITION_DIM] -> what every step of a sampling shares."""
        tokens = self._condition.tokens(condition)
        films = tuple(here.films_of(level) for here, level in zip(self._resolutions, tokens, strict=True))
        return PackedCondition(self._condition.entering(tokens[0]), films, *self._attention.heard(tokens[-1]))

    @torch.inference_mode()
    def __call__(self, x: Tensor, sigma: Tensor, encoded: PackedCondition, target: Tensor | None = None) -> Tensor:
        """As Denoiser.forward: x [B, T, latent_dim] scaled to unit variance -> v, like x."""
        levels = self._levels(sigma, sigma if target is None else target)
        modulations = [part if film is None else film + part for film, part in zip(encoded.films, levels, strict=True)]
        h = x.unflatten(1, (-1, self.config.patch)).flatten(2)
        h = self._enter(h) if encoded.enter is None else self._enter.plus(h, encoded.enter)
        skips = []
        for here, modulation, shrink in zip(self._resolutions, modulations, self._shrink, strict=False):
            h = here.downward(h, modulation)
            skips.append(h)
            h = shrink(h.unflatten(1, (-1, 2)).flatten(2))
        h = self._resolutions[-1].downward(h, modulations[-1])
        h = self._resolutions[-1].upward(self._attention(h, encoded.key, encoded.value), modulations[-1])
        for index in reversed(range(len(skips))):
            h = self._resolutions[index].upward(self._grow[index](h, skips[index]), modulations[index])
        return self._leave(normalised(h, self._epsilon)).unflatten(-1, (self.config.patch, -1)).flatten(1, 2)

    @property
    def free_batch(self) -> int:
        """How many windows can be drawn in one call so that each is, to the bit, what it would be alone.

        Found out by trying, once a process: whether a product's rows depend on each other's number is up to oneDNN.
        """
        name = (self.config, self._precision)
        if name not in _free_batches:
            _free_batches[name] = self._tried_batch()
        return _free_batches[name]

    def _tried_batch(self) -> int:
        generator = torch.Generator().manual_seed(0)
        shape = (_MOST_WINDOWS, WINDOW_FRAMES)
        x = torch.randn(*shape, self.config.latent_dim, generator=generator)
        condition = torch.randn(*shape, self.config.condition_dim, generator=generator)
        level = torch.ones(_MOST_WINDOWS)

        def predicted(here: slice) -> Tensor:
            return self(x[here], level[here], self.encode_condition(condition[here]))

        alone = torch.cat([predicted(slice(index, index + 1)) for index in range(_MOST_WINDOWS)])
        free = 1
        while free < _MOST_WINDOWS and torch.equal(predicted(slice(free + 1)), alone[: free + 1]):
            free += 1
        return free

    def _levels(self, sigma: Tensor, target: Tensor) -> list[Tensor]:
        """The noise levels' part of the FiLMs at every resolution, [B, tokens or 1, blocks * 2C]."""
        if sigma.ndim == 2:
            return self._level_films(sigma, target)
        name = (*sigma.tolist(), *target.tolist())
        if len(set(name[: len(sigma)])) == len(set(name[len(sigma) :])) == 1:
            # One level for all: what it is must not depend on how many they are.
            sigma, target = sigma[:1], target[:1]
            name = (name[0], name[-1])
        kept = self._kept.get(name)
        if kept is None:
            if len(self._kept) >= _MOST_LEVELS_KEPT:
                self._kept.clear()
            kept = self._kept[name] = self._level_films(sigma, target)
        return kept

    def _level_films(self, sigma: Tensor, target: Tensor) -> list[Tensor]:
        embedded = self._level_of(sigma, target)
        return [here.level_films(level) for here, level in zip(self._resolutions, embedded, strict=True)]


def draw_together(
    named: Sequence[tuple[Network, Float32Array]],
    noises: Sequence[Float32Array],
    plan: SamplingPlan,
    draw: Callable[[Network, Float32Array, Float32Array], Float32Array],
) -> list[Float32Array]:
    """The latents of several windows, in as few calls of `draw` as leave each what it would be alone.

    named    network and condition [T, CONDITION_DIM] of every window; noises [T, latent_dim]
    draw     network, conditions [B, T, CONDITION_DIM] and noises [B, T, latent_dim] -> latents like the noises
    """
    drawn: list[Float32Array] = []
    while len(drawn) < len(named):
        start = end = len(drawn)
        network = named[start][0]
        most = network.free_batch if isinstance(network, PackedDenoiser) and not plan.guidance else 1
        while end < min(len(named), start + most) and named[end][0] is network:
            end += 1
        conditions = np.stack([condition for _, condition in named[start:end]])
        drawn += list(draw(network, conditions, np.stack(noises[start:end])))
    return drawn


class _Condition:
    """Pathways to tokens at every resolution, and their part of the first layer."""

    def __init__(self, denoiser: Denoiser, rows: Sequence[int]) -> None:
        self._slices = tuple(pathway_slices().values())
        self._patch = denoiser.config.patch
        encoders = [cast(PathwayEncoder, encoder) for encoder in denoiser.pathways]
        self._pathways = [
            (packed(encoder.enter, WINDOW_FRAMES), PackedBlock(encoder.block, WINDOW_FRAMES)) for encoder in encoders
        ]
        self._gather = packed(denoiser.gather, rows[0])
        self._n_resolutions = len(rows)
        columns = denoiser.enter.weight[:, denoiser.config.patch * denoiser.config.latent_dim :]
        self._enter = PackedLinear(columns, None, rows[0]) if columns.shape[1] else None

    def tokens(self, condition: Tensor) -> list[Tensor]:
        parts = [
            block(enter(condition[..., part]))
            for (enter, block), part in zip(self._pathways, self._slices, strict=True)
        ]
        patches = torch.cat(parts, dim=-1).unflatten(1, (-1, self._patch)).flatten(2)
        tokens = [nn.functional.silu(self._gather(patches))]
        for _ in range(self._n_resolutions - 1):
            tokens.append(tokens[-1].unflatten(1, (-1, 2)).mean(2))
        return tokens

    def entering(self, tokens: Tensor) -> Tensor | None:
        return None if self._enter is None else self._enter(tokens)


class _Resolution:
    """The FiLM blocks of one resolution, those on the way down and those on the way up."""

    def __init__(
        self, downward: Sequence[FilmBlock], upward: Sequence[FilmBlock], n_rows: int, precision: torch.dtype
    ) -> None:
        blocks = [*downward, *upward]
        self._precision = precision
        self._blocks = [PackedFilmBlock(film.block, n_rows, precision) for film in blocks]
        self._n_down = len(downward)
        level = [_with_norm(film.level, film.block.norm, 1.0) for film in blocks]
        self._level = PackedLinear(*(torch.cat(part) for part in zip(*level, strict=True)), n_rows=1)
        condition = [_with_norm(film.condition, film.block.norm, 0.0) for film in blocks if film.condition is not None]
        self._condition = None
        if condition:
            parts = (torch.cat(part) for part in zip(*condition, strict=True))
            self._condition = PackedLinear(*parts, n_rows=n_rows, precision=precision)

    def films_of(self, tokens: Tensor) -> Tensor | None:
        """The condition's part of the FiLMs, [B, tokens, blocks * 2C]."""
        return None if self._condition is None else self._condition(tokens.to(self._precision)).float()

    def level_films(self, level: Tensor) -> Tensor:
        """The noise level's part of the FiLMs."""
        return self._level(level)

    def downward(self, h: Tensor, modulation: Tensor) -> Tensor:
        return self._run(h, modulation, 0, self._n_down)

    def upward(self, h: Tensor, modulation: Tensor) -> Tensor:
        return self._run(h, modulation, self._n_down, len(self._blocks))

    def _run(self, h: Tensor, modulation: Tensor, start: int, end: int) -> Tensor:
        n_channels = h.shape[-1]
        parts = modulation.split(n_channels, dim=-1)
        for index in range(start, end):
            h = self._blocks[index](h, parts[2 * index], parts[2 * index + 1])
        return h


def _with_norm(layer: nn.Linear, norm: nn.LayerNorm, one: float) -> tuple[Tensor, Tensor]:
    """Weight and bias of a FiLM that also scales and shifts as the norm before it would.

    (n * scale + shift) * (1 + gain) + offset = n * [scale * (1 + gain)] + [shift * (1 + gain) + offset]; of several
    layers that add up, one brings the `one`.
    """
    scale, shift = norm.weight.detach().double(), norm.bias.detach().double()
    weight, bias = layer.weight.detach().double(), layer.bias.detach().double()
    (gain_weight, offset_weight), (gain_bias, offset_bias) = weight.chunk(2), bias.chunk(2)
    gain_bias = gain_bias + one
    weights = torch.cat([scale[:, None] * gain_weight, shift[:, None] * gain_weight + offset_weight])
    return weights.float(), torch.cat([scale * gain_bias, shift * gain_bias + offset_bias]).float()


class _PackedAttention:
    """The attention, with the condition's keys and values made beforehand."""

    def __init__(self, attention: Attention, n_rows: int, precision: torch.dtype) -> None:
        self._heads, self._precision = attention.heads, precision
        self._epsilon = attention.norm.eps
        self._project_weight = torch.cat([attention.query.weight, attention.key_value.weight]).detach()
        bias = torch.cat([attention.query.bias, attention.key_value.bias])
        self._project = PackedLinear(*after_norm(self._project_weight, bias, attention.norm), n_rows, precision)
        self._heard: PackedLinear | None = None
        if attention.context is not None:
            outer, inner = attention.key_value, attention.context
            weight = outer.weight.detach().double() @ inner.weight.detach().double()
            bias = outer.weight.detach().double() @ inner.bias.detach().double() + outer.bias.detach().double()
            self._heard = PackedLinear(weight.float(), bias.float(), n_rows)
        self._leave = PackedLinear(attention.leave.weight, attention.leave.bias, n_rows, precision)
        self._positions = self._projected_positions(n_rows)

    def _projected_positions(self, n_tokens: int) -> Tensor:
        """What the positions add to queries, keys and values -> [n_tokens, 3C]."""
        weight = self._project_weight
        return positions(n_tokens, weight.shape[1], weight) @ weight.T

    def _positions_of(self, n_tokens: int) -> Tensor:
        if n_tokens <= len(self._positions):
            return self._positions[:n_tokens]
        return self._projected_positions(n_tokens)

    def heard(self, tokens: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Keys and values [B, heads, tokens, C / heads] of the condition; (None, None) if it is not attended to."""
        if self._heard is None:
            return None, None
        n_channels = self._project_weight.shape[1]
        keys = self._heard(tokens) + self._positions_of(tokens.shape[1])[:, n_channels:]
        key, value = keys.unflatten(-1, (2 * self._heads, -1)).transpose(1, 2).chunk(2, dim=1)
        return key, value

    def __call__(self, x: Tensor, heard_key: Tensor | None, heard_value: Tensor | None) -> Tensor:
        """x [B, tokens, C] -> [B, tokens, C]."""
        hidden = normalised(x, self._epsilon).to(self._precision)
        projected = self._project(hidden) + self._positions_of(x.shape[1])
        query, key, value = projected.unflatten(-1, (3 * self._heads, -1)).transpose(1, 2).chunk(3, dim=1)
        if heard_key is not None and heard_value is not None:
            key, value = torch.cat([key, heard_key], dim=2), torch.cat([value, heard_value], dim=2)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value)
        return self._leave.plus(mixed.transpose(1, 2).flatten(2).to(self._precision), x)


class _Grow:
    """Twice as many tokens, joined with those kept on the way down: both layers are linear, so they are one."""

    def __init__(self, grow: nn.Linear, join: nn.Linear, n_rows: int) -> None:
        n_channels = join.out_features
        below, beside = join.weight.detach().double().split(n_channels, dim=1)
        weight = grow.weight.detach().double().unflatten(0, (2, n_channels))
        bias = grow.bias.detach().double().unflatten(0, (2, n_channels))
        self._below = PackedLinear(
            (below @ weight).flatten(0, 1).float(), (bias @ below.T).flatten().float(), n_rows // 2
        )
        self._beside = PackedLinear(beside.float(), join.bias, n_rows)

    def __call__(self, h: Tensor, skip: Tensor) -> Tensor:
        """h [B, tokens, C below], skip [B, 2 * tokens, C] -> [B, 2 * tokens, C]."""
        return self._beside.plus(skip, self._below(h).unflatten(-1, (2, -1)).flatten(1, 2))


def _film_blocks(stack: nn.Module) -> list[FilmBlock]:
    return [cast(FilmBlock, block) for block in cast(nn.ModuleList, stack)]


def _linear(layer: nn.Module) -> nn.Linear:
    return cast(nn.Linear, layer)
