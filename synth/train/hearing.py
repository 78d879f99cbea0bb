"""What our ears say of latents that a network drew: rendered on the training device, measured by many processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from synth.codec.blocks import ConvNeXtBlock
from synth.codec.excitation import ExcitationFrames, excitation, free_phase
from synth.codec.layout import EXPLICIT, EXPLICIT_NAMES, expand_explicit
from synth.codec.model import Codec, scaled_log_f0
from synth.features.analysis import analyse

Float32Array = NDArray[np.float32]

HEARD_LANES = (
    "breathiness", "roughness", "fry", "loudness", "tension", "vowel_open", "vowel_front", "tract",
)  # fmt: skip
# One unit of each lane as the reader and the losses see it: 0..1 lanes are themselves, loudness is in fifths of 100 dB.
LANE_SCALE: dict[str, float] = {name: 20.0 if name == "loudness" else 1.0 for name in HEARD_LANES}
# The ears and the decoder's filters need this much sound around a frame.
EDGE_FRAMES = 12
_DECODE_BATCH = 128
_HELD_WINDOWS = 512  # whose sound is in memory at once, 1.4 MB each


def source_of(latents: Float32Array, f0_hz: Float32Array, seed: int) -> Float32Array:
    """Raw latents [T, C] and F0 [T] -> the decoder's excitation [channels, T * HOP_SAMPLES]."""
    explicit = expand_explicit(latents[:, -len(EXPLICIT) :].T)
    frames = ExcitationFrames(f0_hz, **{name: explicit[name] for name in EXPLICIT_NAMES})
    return excitation(free_phase(f0_hz), 0, frames, 0, seed=seed)


def lanes_of(audio: Float32Array) -> Float32Array:
    """Audio [n] -> measured HEARD_LANES [n_frames, lanes], scaled, NaN where not measurable."""
    lanes = analyse(audio).lanes
    return np.stack([lanes[name] / LANE_SCALE[name] for name in HEARD_LANES], axis=-1).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Heard:
    """Windows that were listened to: scaled latents [n, T, C], f0_hz [n, T], scaled lanes [n, T, HEARD_LANES]."""

    latents: Tensor
    f0_hz: Tensor
    lanes: Tensor

    def split(self, n: int) -> tuple[Heard, Heard]:
        """The first `n`, and the others."""
        parts = (self.latents, self.f0_hz, self.lanes)
        return Heard(*(part[:n] for part in parts)), Heard(*(part[n:] for part in parts))

    def rows(self, index: Tensor) -> Heard:
        """Some of them."""
        return Heard(self.latents[index], self.f0_hz[index], self.lanes[index])

    @classmethod
    def joined(cls, several: Sequence[Heard]) -> Heard:
        """One after the other."""
        return cls(*(torch.cat(parts) for parts in zip(*((h.latents, h.f0_hz, h.lanes) for h in several), strict=True)))


@dataclass
class Hearing:
    """A frozen codec on its device, and processes that make excitations and measure sound."""

    codec: Codec
    pool: Executor

    @classmethod
    def start(cls, codec: Codec, n_workers: int) -> Hearing:
        """Processes are kept once they are needed; a forked child of a process with a GPU is not safe to use."""
        return cls(codec, ProcessPoolExecutor(n_workers, mp_context=multiprocessing.get_context("spawn")))

    def lanes(self, latents: Tensor, f0_hz: Tensor) -> Tensor:
        """Raw latents [N, T, C] and F0 [N, T] -> measured lanes [N, T, lanes], scaled; NaN near the edges."""
        heard: list[Float32Array] = []
        for first in range(0, len(latents), _HELD_WINDOWS):
            rows = slice(first, first + _HELD_WINDOWS)
            raw, pitch = latents[rows].float().cpu().numpy(), f0_hz[rows].float().cpu().numpy()
            sources = self.pool.map(source_of, raw, pitch, range(first, first + len(raw)), chunksize=8)
            heard += self.pool.map(lanes_of, self._audio(latents[rows], f0_hz[rows], sources), chunksize=8)
        measured = torch.from_numpy(np.stack(heard))
        measured[:, :EDGE_FRAMES] = torch.nan
        measured[:, -EDGE_FRAMES:] = torch.nan
        return measured.to(latents.device)

    @torch.no_grad()
    def _audio(self, latents: Tensor, f0_hz: Tensor, sources: Iterator[Float32Array]) -> Iterator[Float32Array]:
        for first in range(0, len(latents), _DECODE_BATCH):
            rows = slice(first, first + _DECODE_BATCH)
            n_rows = len(latents[rows])
            source = torch.from_numpy(np.stack([next(sources) for _ in range(n_rows)])).to(latents.device)
            audio = self.codec.decoder(latents[rows].float(), scaled_log_f0(f0_hz[rows]), source)
            yield from audio.float().cpu().numpy()

    def close(self) -> None:
        """End the processes."""
        self.pool.shutdown(cancel_futures=True)


class LaneReader(nn.Module):
    """Latents and pitch to the lanes that the ears will measure; never part of the shipped weights."""

    def __init__(self, latent_dim: int, width: int = 192, n_blocks: int = 6) -> None:
        super().__init__()
        self.enter = nn.Linear(latent_dim + 1, width)
        self.blocks = nn.ModuleList(ConvNeXtBlock(width, 3, 4, 4) for _ in range(n_blocks))
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, len(HEARD_LANES))

    def forward(self, latents: Tensor, f0_hz: Tensor) -> Tensor:
        """Scaled latents [B, T, C], f0_hz [B, T] -> scaled lanes [B, T, lanes]."""
        x = self.enter(torch.cat([latents, scaled_log_f0(f0_hz)[..., None]], dim=-1))
        for block in self.blocks:
            x = block(x)
        return self.leave(self.norm(x))
