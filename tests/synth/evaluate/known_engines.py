"""Engines whose sound is known exactly, so that every evaluation has a right answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from app.render.voice import never
from synth.spec import CELL_FRAMES, HOP_SAMPLES, SAMPLE_RATE_HZ, ControlFrames, Float32Array
from synth.spec.audio import DECODER_PAST_FRAMES, WINDOW_FRAMES

_PRESENCE, _LOUDNESS = 0, 1


class KnownEngine:
    """Sings harmonics at exactly the asked loudness and pitch; latents carry presence, loudness and a seed's noise.

    offset_cents  sharp by so much
    floor_db      level of noise where presence is 0, re the voice
    fault         added to the audio of every call after the first: not a function of what it was asked
    """

    latent_dim = 3
    weights_hash = "known"
    device_name = "cpu"
    threads: ThreadPoolExecutor | None = None

    def __init__(self, *, offset_cents: float = 0.0, floor_db: float = -60.0, fault: float = 0.0) -> None:
        self.on_trouble: Callable[[str, str], None] = lambda _message, _remedy: None
        self.offset_cents = offset_cents
        self.floor = 10.0 ** (floor_db / 20.0)
        self.fault = fault
        self._calls = 0

    cells_at_once = 1

    def sample_cells(
        self, windows: Sequence[ControlFrames], *, cell_indices: Sequence[int], **named: Any
    ) -> list[Float32Array]:
        return [
            self.sample_cell(window, cell_index=cell, **named)
            for window, cell in zip(windows, cell_indices, strict=True)
        ]

    def sample_cell(
        self,
        window: ControlFrames,
        *,
        seed: int,
        cell_index: int,
        quality: str,
        should_stop: Callable[[], bool] = never,
    ) -> Float32Array:
        noise = np.random.default_rng((seed, cell_index)).standard_normal(WINDOW_FRAMES)
        return np.stack([window.values["presence"], window.values["loudness"], noise]).astype(np.float32)

    def decode_cell(
        self, latents: Float32Array, pitch_note: Float32Array, *, seed: int, cell_index: int, pitch_drift: float
    ) -> Float32Array:
        inner = latents[:, DECODER_PAST_FRAMES : DECODER_PAST_FRAMES + CELL_FRAMES]
        n_samples = CELL_FRAMES * HOP_SAMPLES
        at = (np.arange(n_samples) + 0.5) / HOP_SAMPLES - 0.5 + CELL_FRAMES
        note = np.interp(at, np.arange(len(pitch_note)), pitch_note) + self.offset_cents / 100.0
        f0_hz = 440.0 * 2.0 ** ((note - 69.0) / 12.0)
        phase = 2.0 * np.pi * np.cumsum(f0_hz) / SAMPLE_RATE_HZ
        wave = sum(np.sin(k * phase) / k for k in range(1, 9))
        wave = wave / np.sqrt(np.mean(np.square(wave)))
        hiss = np.random.default_rng((seed, cell_index)).standard_normal(n_samples)
        level = np.repeat(10.0 ** (inner[_LOUDNESS] / 20.0), HOP_SAMPLES)
        presence = np.repeat(inner[_PRESENCE], HOP_SAMPLES)
        self._calls += 1
        drift = self.fault * (self._calls - 1)
        return (level * (presence * wave + (1.0 - presence) * self.floor * hiss) + drift).astype(np.float32)
