"""A mixer without a device: the tests are its callback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from app.audio.mixer import Mixer
from app.audio.shared import SharedState
from synth.spec import SAMPLE_RATE_HZ, Float32Array

BLOCK = 128


class Sink:
    """Asks the mixer for blocks, as a device would."""

    def __init__(self, state: SharedState, *, block: int = BLOCK) -> None:
        self.state = state
        self.mixer = Mixer(state)
        self.block = block

    def pull(self, n_frames: int) -> Float32Array:
        """The next n_frames (rounded up to blocks) -> [n, 2]"""
        n_blocks = -(-n_frames // self.block)
        out = np.full((n_blocks * self.block, 2), np.nan, dtype=np.float32)
        for index in range(n_blocks):
            self.mixer.mix(out[index * self.block : (index + 1) * self.block])
        return out


@contextmanager
def sink(*, block: int = BLOCK) -> Iterator[Sink]:
    state = SharedState.create()
    made = Sink(state, block=block)
    try:
        yield made
    finally:
        del made.mixer
        state.close()


def sine(frequency_hz: float, seconds: float, amplitude: float = 0.5) -> Float32Array:
    """Stereo, the right channel half as loud -> [n, 2]"""
    t_s = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    left = amplitude * np.sin(2 * np.pi * frequency_hz * t_s)
    return np.stack([left, left / 2], axis=1).astype(np.float32)


def largest_step(audio: Float32Array) -> float:
    """The largest jump from one sample to the next: a click shows here."""
    return float(np.max(np.abs(np.diff(audio, axis=0))))
