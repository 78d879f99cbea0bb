"""Latents drawn block by block: a voice goes on from what has been heard, by what its controllers say now.

The denoiser takes a noise level for every frame. Frames that were drawn before stand nearly clean at the front of the
window, with the lanes they were drawn by; the new block starts as noise and comes down in 1, 2 or 4 jumps. Noise is a
function of (seed, absolute frame), so a voice that is held never repeats itself and can be drawn again.

No threads, one caller at a time. What a voice sings does not depend on who is drawn in the same call.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from synth.adapters.mixing import N_REGIONS, AdaptedDenoiser
from synth.codec.noise import Stream, normal_frames
from synth.diffusion.conditioning import CONDITION_DIM
from synth.diffusion.packed import packed_denoiser
from synth.diffusion.sampler import Network
from synth.diffusion.solvers import cosine_sigmas
from synth.diffusion.unet import Denoiser
from synth.streaming.graphs import GraphedDraws

Float32Array = NDArray[np.float32]

CONTEXT_FRAMES = 32
# Frames already drawn are never quite clean in training either (synth.train.diffusion.draw_context): this share of
# the schedule's angle lies in the middle of what was learnt.
_CONTEXT_SIGMA = math.tan(0.5 * math.pi * 0.02)


@dataclass(frozen=True, slots=True)
class BlockRequest:
    """What one voice shall sing next.

    voice         which
    condition     [n_frames, CONDITION_DIM], or with the strengths of adapters behind (see StreamingSampler.adapt);
                  n_frames a multiple of the sampler's `frame_multiple`
    temperature   [n_frames] scale of the initial noise, or None: 1 (see synth.engine.noise_temperature)
    """

    voice: int
    condition: Float32Array
    temperature: Float32Array | None = None


def held(condition: Float32Array, n_frames: int) -> Float32Array:
    """The latest controls [CONDITION_DIM], held for a block -> [n_frames, CONDITION_DIM]."""
    return np.ascontiguousarray(np.broadcast_to(condition, (n_frames, condition.shape[-1])))


class _Voice:
    """What has been drawn of one voice: the last frames, normalised, with their conditions, and how many in all."""

    __slots__ = ("condition", "latents", "n_changed", "n_drawn", "seed")

    def __init__(self, seed: int, latent_dim: int, width: int) -> None:
        self.seed = seed
        self.n_drawn = self.n_changed = 0
        self.latents = np.zeros((0, latent_dim), dtype=np.float32)
        self.condition = np.zeros((0, width), dtype=np.float32)

    def append(self, latents: Float32Array, condition: Float32Array, keep: int) -> None:
        self.latents = np.concatenate([self.latents, latents])[-keep:]
        self.condition = np.concatenate([self.condition, condition])[-keep:]
        self.n_drawn += len(latents)


@dataclass(frozen=True, slots=True)
class _Batch:
    """Requests of equal shape: which they are, their voices as they were, and what the network is given."""

    chosen: Sequence[int]
    was: Sequence[tuple[_Voice, int, int]]
    network: Network
    before: Tensor
    condition: Tensor
    start: Tensor


class StreamingSampler:
    """Draws the next block of any of n_voices, all that ask at once in one batch.

    denoiser          with a noise level and a jump for every frame; the first, window-wide one cannot do this
    mean, std         [latent_dim] of the latents, from the denoiser's configuration
    context_frames    how much of what was drawn the next block sees: a multiple of the denoiser's `frame_multiple`
    rewind_frames     how far back `rewind` can go without shortening that
    pad_batch_to      batches are filled up to a multiple of this, so that a GPU sees few shapes and a voice's
                      latents are the same to the bit in whatever company; 1: no filling
    packed            on a processor, draw with the denoiser packed for it (synth.diffusion.packed): the same function
                      in less time, in the precision the processor is quick in
    most_at_once      voices in one batch; 0: any number. A processor gains little by more than a few, and has few
                      shapes to know
    graphed           where there is CUDA, every shape's draw is captured once and replayed (synth.streaming.graphs)
    """

    def __init__(
        self,
        denoiser: Denoiser,
        mean: Float32Array,
        std: Float32Array,
        n_voices: int,
        *,
        context_frames: int = CONTEXT_FRAMES,
        rewind_frames: int = 64,
        pad_batch_to: int = 1,
        packed: bool = False,
        most_at_once: int = 0,
        graphed: bool = False,
    ) -> None:
        self.frame_multiple = denoiser.config.frame_multiple
        if context_frames % self.frame_multiple or context_frames < self.frame_multiple:
            raise ValueError(f"context must be a multiple of {self.frame_multiple} frames, not {context_frames}")
        self.latent_dim, self.context_frames = denoiser.config.latent_dim, context_frames
        self._pad, self._most = pad_batch_to, most_at_once
        self._keep = context_frames + rewind_frames
        self._mean, self._std = np.asarray(mean, dtype=np.float32), np.asarray(std, dtype=np.float32)
        self._device = next(denoiser.parameters()).device
        on_processor = packed and self._device.type == "cpu"
        self._network: Network = (packed_denoiser(denoiser) if on_processor else None) or denoiser
        self._adapted: AdaptedDenoiser | None = None
        self.network_at: Callable[[tuple[float, ...]], Network | None] = _none_at
        self._graphs = GraphedDraws(self._base_draw) if graphed and self._device.type == "cuda" else None
        self._voices = [_Voice(0, self.latent_dim, self.condition_dim) for _ in range(n_voices)]

    @property
    def condition_dim(self) -> int:
        """Columns of a condition with all strengths: CONDITION_DIM and three an adapter (early, middle, late)."""
        return CONDITION_DIM + (self._adapted.n_strengths if self._adapted is not None else 0)

    def adapt(self, adapted: AdaptedDenoiser | None) -> None:
        """Sing with other adapters from the next block on (synth.adapters.rack.AdapterRack.adapted); None: with none.

        What has been heard keeps the strengths of adapters that stay. Conditions without strengths, or with strengths
        of 0 alone, are drawn by the base as before. `network_at` may know a network into which strengths that stand
        still in a window have been worked: it then draws that window.
        """
        before, self._adapted = self._adapted, adapted
        ids = [adapter.id for adapter in before.adapters] if before is not None else []
        for voice in self._voices:
            kept = np.zeros((len(voice.condition), self.condition_dim), dtype=np.float32)
            kept[:, :CONDITION_DIM] = voice.condition[:, :CONDITION_DIM]
            for index, adapter in enumerate(adapted.adapters if adapted is not None else ()):
                if adapter.id in ids:
                    old, new = (CONDITION_DIM + N_REGIONS * at for at in (ids.index(adapter.id), index))
                    kept[:, new : new + N_REGIONS] = voice.condition[:, old : old + N_REGIONS]
            voice.condition = kept
            voice.n_changed += 1  # what is being drawn has another shape

    def begin(self, voice: int, seed: int) -> None:
        """Forget what `voice` was: frame 0 is next, and its first block has no context."""
        self._voices[voice] = _Voice(seed, self.latent_dim, self.condition_dim)

    def adopt(self, voice: int, seed: int, latents: Float32Array, condition: Float32Array) -> None:
        """Let `voice` have sung `latents` [n_frames, latent_dim] (codec's units) by `condition`, as from a cache."""
        if len(latents) != len(condition):
            raise ValueError(f"{len(latents)} frames of latents, {len(condition)} of conditions")
        self.begin(voice, seed)
        self._voices[voice].append((latents - self._mean) / self._std, self._told(condition), self._keep)

    def drawn(self, voice: int) -> int:
        """How many frames of `voice` have been drawn, in all; the next block starts there."""
        return self._voices[voice].n_drawn

    def rewind(self, voice: int, n_drawn: int) -> None:
        """Forget frames from `n_drawn` on, to draw them again by newer controls."""
        chosen = self._voices[voice]
        back = chosen.n_drawn - n_drawn
        if not 0 <= back <= len(chosen.latents):
            raise ValueError(f"frame {n_drawn} cannot be gone back to from {chosen.n_drawn}")
        kept = len(chosen.latents) - back
        chosen.latents, chosen.condition, chosen.n_drawn = chosen.latents[:kept], chosen.condition[:kept], n_drawn
        chosen.n_changed += 1

    def sung(self, voice: int, start: int, end: int) -> Float32Array:
        """Frames [start, end) of `voice` as they were drawn, in the codec's units -> [end - start, latent_dim].

        Raises ValueError for frames it has not drawn, and for such as it no longer keeps.
        """
        chosen = self._voices[voice]
        oldest = chosen.n_drawn - len(chosen.latents)
        if not oldest <= start <= end <= chosen.n_drawn:
            raise ValueError(f"frames {start} to {end} are not those kept, {oldest} to {chosen.n_drawn}")
        return chosen.latents[start - oldest : end - oldest] * self._std + self._mean

    def draw(self, requests: Sequence[BlockRequest], n_steps: int) -> list[Float32Array]:
        """The next blocks in the codec's units, [n_frames, latent_dim] for every request, in their order.

        n_steps   jumps from noise to latents; fewer are cheaper and rougher
        """
        drawing = self.drawing(requests, n_steps)
        try:
            while True:
                next(drawing)
        except StopIteration as done:
            return [block for block in done.value if block is not None]

    def drawing(
        self, requests: Sequence[BlockRequest], n_steps: int
    ) -> Generator[None, None, list[Float32Array | None]]:
        """`draw` in pieces of one jump, between which other voices may be drawn.

        A voice that is begun, adopted or rewound meanwhile keeps what that made of it: its block is None.
        """
        if len({request.voice for request in requests}) < len(requests):
            raise ValueError("a voice can be asked for one block at a time")
        groups: dict[tuple[int, int, Network], list[int]] = defaultdict(list)
        for index, request in enumerate(requests):
            n_context, n_frames = self._context_of(request.voice), self._checked(request)
            groups[n_context, n_frames, self._network_of(request, n_context)].append(index)
        blocks: list[Float32Array | None] = [None] * len(requests)
        # Voices between their onset and a full context see less of themselves; the others share one shape. All that is
        # drawn by is read now: between pieces a voice may have become another one.
        prepared = [
            self._prepared(requests, chunk, n_context, network)
            for (n_context, _, network), members in groups.items()
            for chunk in _chunks(members, self._most)
        ]
        for index, batch in enumerate(prepared):
            if index:
                yield
            yield from self._draw_alike(requests, batch, n_steps, blocks)
        return blocks

    def warm(self, n_voices: int, n_frames: int, n_steps: int = 1) -> None:
        """Draw a window of `n_frames`, context included, for so many voices and forget it.

        What a shape costs only the first time (code for a processor, a graph on CUDA) is paid here.
        """
        n_context = max(n_frames - self.context_frames, 0) // self.frame_multiple * self.frame_multiple
        zeros = np.zeros((n_voices, n_frames, max(self.latent_dim, CONDITION_DIM)), dtype=np.float32)
        parts = zeros[:, :n_context, : self.latent_dim], zeros[..., :CONDITION_DIM], zeros[:, n_context:]
        before, condition, start = (torch.from_numpy(np.ascontiguousarray(part)).to(self._device) for part in parts)
        for _ in self._jumps(self._network, before, condition, start[..., : self.latent_dim], n_steps):
            pass

    def _context_of(self, voice: int) -> int:
        had = min(len(self._voices[voice].latents), self.context_frames)
        return had // self.frame_multiple * self.frame_multiple

    def _checked(self, request: BlockRequest) -> int:
        n_frames, width = request.condition.shape
        if width not in (CONDITION_DIM, self.condition_dim) or n_frames == 0 or n_frames % self.frame_multiple:
            raise ValueError(f"a block {request.condition.shape} is no multiple of {self.frame_multiple} frames")
        return n_frames

    def _prepared(
        self, requests: Sequence[BlockRequest], chosen: Sequence[int], n_context: int, network: Network
    ) -> _Batch:
        """Requests of equal shape, as `network` will draw them."""
        asked = [requests[index] for index in chosen]
        windows = [self._window(request, n_context) for request in asked]
        voices = [self._voices[request.voice] for request in asked]
        was = [(voice, voice.n_drawn, voice.n_changed) for voice in voices]
        windows += [windows[0]] * (-len(windows) % self._pad)
        before, condition, start = (torch.from_numpy(np.stack(part)).to(self._device) for part in zip(*windows))
        told = condition if network is self._adapted else condition[..., :CONDITION_DIM]
        return _Batch(chosen, was, network, before, told, start)

    def _draw_alike(
        self, requests: Sequence[BlockRequest], batch: _Batch, n_steps: int, blocks: list[Float32Array | None]
    ) -> Iterator[None]:
        """Draw those requests, of equal shape, into their places in `blocks`."""
        drawn = None
        for drawn in self._jumps(batch.network, batch.before, batch.condition, batch.start, n_steps):
            if drawn is None:
                yield
        if drawn is None:
            raise ValueError(f"{n_steps} jumps give no latents")
        for index, was, latents in zip(batch.chosen, batch.was, drawn.cpu().numpy()):
            request = requests[index]
            voice = self._voices[request.voice]
            if was == (voice, voice.n_drawn, voice.n_changed):
                voice.append(latents, self._told(request.condition), self._keep)
                blocks[index] = latents * self._std + self._mean

    def _jumps(
        self, network: Network, before: Tensor, condition: Tensor, start: Tensor, n_steps: int
    ) -> Iterator[Tensor | None]:
        """None after every jump but the last, then the latents."""
        if self._graphs is not None and network is self._network:
            yield self._graphs.draw(before, condition, start, n_steps)
        else:
            yield from jumps(network, before, condition, start, n_steps)

    def _base_draw(self, before: Tensor, condition: Tensor, start: Tensor, n_steps: int) -> Tensor:
        *_, drawn = jumps(self._network, before, condition, start, n_steps)
        if drawn is None:
            raise ValueError(f"{n_steps} jumps give no latents")
        return drawn

    def _network_of(self, request: BlockRequest, n_context: int) -> Network:
        """Who draws a window: the base without strengths; a network of theirs where they stand still; the adapted."""
        if self._adapted is None:
            return self._network
        voice = self._voices[request.voice]
        heard = voice.condition[len(voice.condition) - n_context :, CONDITION_DIM:]
        strengths = np.concatenate([heard, self._told(request.condition)[:, CONDITION_DIM:]])
        if not strengths.any():
            return self._network
        stands_still = bool((strengths == strengths[0]).all())
        return (self.network_at(tuple(map(float, strengths[0]))) if stands_still else None) or self._adapted

    def _told(self, condition: Float32Array) -> Float32Array:
        """A condition with strengths: 0 where none were given."""
        missing = self.condition_dim - condition.shape[1]
        return np.pad(condition, ((0, 0), (0, missing))) if missing else condition

    def _window(self, request: BlockRequest, n_context: int) -> tuple[Float32Array, Float32Array, Float32Array]:
        """Context at its noise level, the condition of the whole window, and the unit noise of the new frames."""
        voice, n_frames = self._voices[request.voice], len(request.condition)
        first = voice.n_drawn - n_context
        noise = normal_frames(voice.seed, Stream.LATENT, first, n_context + n_frames, self.latent_dim).T
        heard = len(voice.latents) - n_context
        before = voice.latents[heard:] + np.float32(_CONTEXT_SIGMA) * noise[:n_context]
        start = noise[n_context:]
        if request.temperature is not None:
            start = start * request.temperature[:, None]
        condition = np.concatenate([voice.condition[heard:], self._told(request.condition)])
        return before.astype(np.float32), condition.astype(np.float32), start.astype(np.float32)


def _none_at(strengths: tuple[float, ...]) -> Network | None:
    """Where nobody works strengths into networks."""
    del strengths
    return None


def _chunks(members: Sequence[int], most: int) -> Iterator[Sequence[int]]:
    """`members` by `most`; all at once where that is 0."""
    size = most or len(members)
    for first in range(0, len(members), size):
        yield members[first : first + size]


def jumps(model: Network, before: Tensor, condition: Tensor, start: Tensor, n_steps: int) -> Iterator[Tensor | None]:
    """Euler's method over the new frames, each step told where it lands (as it was distilled).

    before      [B, n_context, C] at _CONTEXT_SIGMA, which it keeps
    condition   [B, n_context + n_frames, CONDITION_DIM]
    start       [B, n_frames, C] unit noise

    Yields None after every jump but the last, then the latents [B, n_frames, C].
    """
    sigmas = cosine_sigmas(n_steps)
    n_context = before.shape[1]
    with torch.inference_mode():
        encoded = model.encode_condition(condition)
        x = start * sigmas[0]
        level = condition.new_full(condition.shape[:2], _CONTEXT_SIGMA)
        target = level.clone()
    for index, (sigma, sigma_next) in enumerate(itertools.pairwise(sigmas)):
        if index:
            yield None
        with torch.inference_mode():
            level[:, n_context:], target[:, n_context:] = sigma, sigma_next
            shrink = (1 + level.square()).rsqrt()[..., None]
            v = model(torch.cat([before, x], dim=1) * shrink, level, encoded, target)[:, n_context:]
            scale = (1.0 + sigma * sigma) ** -0.5
            clean = x * scale * scale - sigma * scale * v
            x = clean + (sigma_next / sigma) * (x - clean)
    yield x
