"""A small deterministic engine: its latents depend on window, seed and cell, its audio on latents, pitch and drift.

For who moves cells about, and must notice one that is wrong; it remembers what it was asked. Evaluations need a sound
that is known exactly instead: tests/synth/evaluate/known_engines.py.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from app.render.files import read_audio
from app.render.voice import never
from app.state.passage import Note, Passage, Voice
from app.state.preset import Preset
from synth.errors import Cancelled, UserError
from synth.spec import CELL_FRAMES, HOP_SAMPLES, SAMPLE_RATE_HZ, ControlFrames, Float32Array
from synth.spec.audio import WINDOW_FRAMES

LATENT_DIM = 4
N_STEPS = 4


class FakeEngine:
    def __init__(
        self, *, step_s: float = 0.0, threads: ThreadPoolExecutor | None = None, cells_at_once: int = 1
    ) -> None:
        self.threads, self.cells_at_once = threads, cells_at_once
        self.batches: list[int] = []
        self.on_trouble: Callable[[str, str], None] = lambda _message, _remedy: None
        self.weights_hash = "fake-weights"
        self.device_name = "cpu"
        self.latent_dim = LATENT_DIM
        self.step_s = step_s
        self.sampled: list[int] = []
        self.decoded: list[int] = []
        self.windows: list[ControlFrames] = []

    def sample_cells(
        self, windows: Sequence[ControlFrames], *, cell_indices: Sequence[int], **named: Any
    ) -> list[Float32Array]:
        self.batches.append(len(windows))
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
        assert window.n_frames == WINDOW_FRAMES
        for _ in range(N_STEPS):
            if should_stop():
                raise Cancelled
            time.sleep(self.step_s)
        digest = hashlib.blake2b(digest_size=8)
        digest.update(repr((seed, cell_index, quality)).encode())
        for lane_id in sorted(window.values):
            digest.update(window.values[lane_id].tobytes())
        noise = np.random.default_rng(int.from_bytes(digest.digest(), "little"))
        self.sampled.append(cell_index)
        self.windows.append(window)
        presence = window.values["presence"]
        return (presence * (1.0 + 0.1 * noise.standard_normal((LATENT_DIM, WINDOW_FRAMES)))).astype(np.float32)

    def decode_cell(
        self, latents: Float32Array, pitch_note: Float32Array, *, seed: int, cell_index: int, pitch_drift: float
    ) -> Float32Array:
        assert latents.shape == (LATENT_DIM, 96)
        assert pitch_note.shape == (3 * CELL_FRAMES,)
        self.decoded.append(cell_index)
        level = np.repeat(latents[:, 14 : 14 + CELL_FRAMES].mean(axis=0), HOP_SAMPLES)
        pitch_hz = 440.0 * 2.0 ** ((np.repeat(pitch_note[CELL_FRAMES : 2 * CELL_FRAMES], HOP_SAMPLES) - 69.0) / 12.0)
        phase = 2.0 * np.pi * np.cumsum(pitch_hz) / SAMPLE_RATE_HZ + pitch_drift
        return (0.1 * level * np.sin(phase)).astype(np.float32)


def load_fake_engine(device: str, n_threads: int | None) -> FakeEngine:
    """What the sampler process of a test loads; the environment says how slow it is."""
    return FakeEngine(step_s=float(os.environ.get("FAKE_ENGINE_STEP_S", "0")))


def load_missing_engine(device: str, n_threads: int | None) -> FakeEngine:
    """An installation without weights."""
    raise UserError("The voice model is missing.", remedy="Install it again.")


def load_fake_preset(preset_id: str) -> Preset:
    """Knows "hoarse" and nothing else."""
    if preset_id != "hoarse":
        raise UserError(f"There is no preset {preset_id!r}.", remedy="Choose another.")
    return Preset("hoarse", "Hoarse", lane_defaults={"roughness": 0.5})


def extract_loudest(path: Path) -> Passage:
    """A stand-in for the ears: one note as long as the file, or a broken file."""
    audio = read_audio(path)
    return Passage(len(audio) / SAMPLE_RATE_HZ, voices=(Voice(notes=(Note(0.0, len(audio) / SAMPLE_RATE_HZ, 60.0),)),))
