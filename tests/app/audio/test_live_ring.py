"""The live stream reaches the mixer to the sample; what is late is silence, counted, without a click."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from app.audio import shared
from app.audio.live_ring import EDGE_FRAMES, RingReader, RingWriter
from app.audio.mixer import Mixer
from app.audio.shared import RING_FRAMES, SharedState
from synth.spec import Float32Array

BLOCK = 128


@pytest.fixture
def state() -> Iterator[SharedState]:
    made = SharedState.create()
    yield made
    made.close()


def read(reader: RingReader, n_frames: int = BLOCK) -> Float32Array:
    out = np.zeros((n_frames, 2), dtype=np.float32)
    reader.mix(out)
    assert np.array_equal(out[:, 0], out[:, 1])
    return out[:, 0].copy()


def test_every_frame_comes_out_once_and_in_order(state: SharedState) -> None:
    reader, writer = RingReader(state, 4096), RingWriter(state)
    audio = np.random.default_rng(0).uniform(-0.5, 0.5, 3 * RING_FRAMES // 2).astype(np.float32)
    writer.start(0)
    heard = []
    for start in range(0, len(audio), BLOCK):
        writer.write(audio[start : start + BLOCK])
        heard.append(read(reader))
    heard = np.concatenate(heard)
    assert np.array_equal(heard[EDGE_FRAMES:], audio[EDGE_FRAMES:])
    assert int(state.ints[shared.LIVE_UNDER_RUNS]) == 0


def test_the_mixer_plays_the_stream(state: SharedState) -> None:
    mixer, writer = Mixer(state), RingWriter(state)
    writer.start(0)
    writer.write(np.full(256, 0.25, dtype=np.float32))
    out = np.zeros((256, 2), dtype=np.float32)
    mixer.mix(out)
    assert np.allclose(out[EDGE_FRAMES:], 0.25)


def test_what_is_late_is_silence_and_counted_and_no_click(state: SharedState) -> None:
    reader, writer = RingReader(state, 4096), RingWriter(state)
    writer.start(0)
    writer.write(np.full(200, 0.5, dtype=np.float32))
    heard = np.concatenate([read(reader), read(reader), read(reader)])
    assert int(state.ints[shared.LIVE_UNDER_RUNS]) == 2
    assert int(state.ints[shared.LIVE_ZERO_FRAMES]) == 3 * BLOCK - 200
    assert not heard[200 + EDGE_FRAMES :].any()
    assert np.abs(np.diff(heard)).max() <= 0.5 / (EDGE_FRAMES - 1) + 1e-6
    writer.start(3 * BLOCK)
    writer.write(np.full(BLOCK, 0.5, dtype=np.float32))
    assert np.abs(np.diff(read(reader), prepend=0.0)).max() <= 0.5 / (EDGE_FRAMES - 1) + 1e-6


def test_nobody_who_plays_is_no_loss(state: SharedState) -> None:
    reader, writer = RingReader(state, 4096), RingWriter(state)
    assert not read(reader).any()
    writer.start(BLOCK)
    writer.stop()
    read(reader)
    assert int(state.ints[shared.LIVE_UNDER_RUNS]) == 0


def test_the_clock_tells_what_was_asked_for(state: SharedState) -> None:
    reader, writer = RingReader(state, 4096), RingWriter(state)
    read(reader, 64)
    read(reader, 256)
    frames, block, at_s = writer.clock()
    assert (frames, block) == (320, 256)
    assert at_s > 0


def test_what_the_performer_leaves_out_is_silence_not_what_was_heard_a_ring_before(state: SharedState) -> None:
    reader, writer = RingReader(state, 4096), RingWriter(state)
    writer.start(0)
    for _ in range(RING_FRAMES // BLOCK):  # from here on the ring is full of what has been heard
        writer.write(np.full(BLOCK, 0.5, dtype=np.float32))
        read(reader)
    late = read(reader)
    assert not late[EDGE_FRAMES:].any()
    begin = RING_FRAMES + 2 * BLOCK
    writer.start(begin)
    writer.write(np.full(BLOCK, 0.5, dtype=np.float32))
    left_out, again = read(reader), read(reader)
    assert not left_out.any()
    assert np.abs(np.diff(again, prepend=0.0)).max() <= 0.5 / (EDGE_FRAMES - 1) + 1e-6
    assert not state.ring[np.arange(begin - 2 * BLOCK, begin) % RING_FRAMES].any()  # a recording hears the same
    assert int(state.ints[shared.LIVE_UNDER_RUNS]) == 2
    assert int(state.ints[shared.LIVE_ZERO_FRAMES]) == 2 * BLOCK


def test_a_performer_that_begins_within_a_block_is_heard_from_there(state: SharedState) -> None:
    reader, writer = RingReader(state, 4096), RingWriter(state)
    state.ring[:] = 0.9
    writer.start(40)
    writer.write(np.full(2 * BLOCK, 0.5, dtype=np.float32))
    heard = read(reader)
    assert not heard[:40].any()
    assert np.allclose(heard[40 + EDGE_FRAMES :], 0.5)
    assert int(state.ints[shared.LIVE_UNDER_RUNS]) == 0
