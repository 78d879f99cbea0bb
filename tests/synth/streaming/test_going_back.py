"""Frames that are made anew: the sounder goes on with what there was until each is replaced."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from synth.engine import Engine
from synth.streaming.frames import StreamingFrames
from synth.streaming.rings import RING_FRAMES
from tests.tiny_weights import tiny_engine


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return tiny_engine(Path(tmp_path_factory.mktemp("weights")))


def made(engine: Engine, latents: np.ndarray, n_frames: int) -> StreamingFrames:
    frames = StreamingFrames(engine.codec, 1, are_pulses_causal=True)
    frames.begin(0, 7, 0.5)
    frames.push(0, latents, None)
    frames.prepare(np.zeros(1, dtype=np.int64), np.array([n_frames]), 1)
    return frames


def test_frames_stay_until_they_are_replaced_and_then_are_what_the_new_latents_give(engine: Engine) -> None:
    rng = np.random.default_rng(0)
    old = rng.standard_normal((14, engine.latent_dim)).astype(np.float32)
    new = old.copy()
    new[7:] += 1.0  # what moved
    first = np.zeros(1, dtype=np.int64)

    frames = made(engine, old, 6)
    kept = frames.continuation(0)
    frames.prepare(first, np.array([10]), 1)
    before = frames.noise_filters[0].copy()
    frames.rewind(0, kept)
    assert frames.ready[0] == 10
    assert (frames.made[0], frames.taken[0]) == (6, 6 + frames.look_ahead)
    np.testing.assert_array_equal(frames.noise_filters[0], before)
    frames.push(0, new[6 + frames.look_ahead :], None)
    frames.prepare(first, np.array([8]), 2)
    assert (frames.ready[0], frames.made[0]) == (10, 8)
    np.testing.assert_array_equal(frames.noise_filters[0, 8:10], before[8:10])  # not yet
    frames.prepare(first, np.array([11]), 2)
    assert frames.ready[0] == frames.made[0] >= 11

    expected = made(engine, new, 11)
    places = np.arange(11) % RING_FRAMES
    for ring, theirs in zip(frames.rings, expected.rings, strict=True):
        np.testing.assert_allclose(ring[0, places], theirs[0, places], rtol=1e-4, atol=1e-4)
    assert np.abs(frames.noise_filters[0, 8:10] - before[8:10]).max() > 1e-4
