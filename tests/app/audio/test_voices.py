"""Live notes join their blocks, fade in and out, and give every block back."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from app.audio import shared
from app.audio.voices import ATTACK_FRAMES, FADE_FRAMES, QUEUE_BLOCKS
from synth.spec import Float32Array
from tests.app.audio.sink import Sink, largest_step, sine, sink

RELEASE_FRAMES = 3_840


@pytest.fixture(params=[128, 1000])
def any_sink(request: pytest.FixtureRequest) -> Iterator[Sink]:
    with sink(block=request.param) as made:
        yield made


def push(to: Sink, note_id: int, audio: Float32Array) -> None:
    slot = int(np.flatnonzero(to.state.slot_busy == 0)[0])
    to.state.slots[slot, : len(audio)] = audio
    to.state.slot_busy[slot] = 1
    to.mixer.live.push(note_id, slot, len(audio))


def n_busy(of: Sink) -> int:
    of.mixer.sweep()
    return int(np.sum(of.state.slot_busy))


def test_blocks_of_a_note_join_exactly(any_sink: Sink) -> None:
    tone = sine(330.0, 1.0)[:, 0]
    for start in (0, 5_000, 10_000):
        push(any_sink, 7, tone[start : start + 5_000])
    heard = any_sink.pull(14_000)
    assert np.array_equal(heard[ATTACK_FRAMES:14_000, 0], tone[ATTACK_FRAMES:14_000])
    assert np.array_equal(heard[:, 0], heard[:, 1])
    assert largest_step(heard[:ATTACK_FRAMES]) < 0.05


def test_a_note_that_runs_dry_fades_and_returns(any_sink: Sink) -> None:
    tone = sine(330.0, 1.0)[:, 0]
    push(any_sink, 7, tone[:5_000])
    first = any_sink.pull(9_000)
    assert not np.any(first[5_000:])
    push(any_sink, 7, tone[5_000:15_000])
    second = any_sink.pull(8_000)
    assert np.max(np.abs(second)) > 0.4
    limit = largest_step(sine(330.0, 1.0)) + 0.5 / ATTACK_FRAMES
    assert largest_step(np.concatenate([first, second])) <= limit
    assert any_sink.state.voice_frames[0] == 5_000 + len(second)


def test_release_takes_80_ms_and_gives_all_blocks_back(any_sink: Sink) -> None:
    tone = sine(330.0, 1.0)[:, 0]
    for _ in range(3):
        push(any_sink, 7, tone[:30_000])
    any_sink.pull(2_000)
    any_sink.mixer.live.release(7, RELEASE_FRAMES)
    heard = any_sink.pull(RELEASE_FRAMES + 2 * any_sink.block)
    assert np.max(np.abs(heard[RELEASE_FRAMES - 400 : RELEASE_FRAMES - 200])) > 0.01
    assert not np.any(heard[RELEASE_FRAMES + any_sink.block :])
    assert n_busy(any_sink) == 0
    assert not np.any(any_sink.state.voice_notes)


def test_a_block_that_comes_after_the_release_does_not_start_the_note_again(any_sink: Sink) -> None:
    tone = sine(330.0, 1.0)[:, 0]
    any_sink.mixer.live.release(9, RELEASE_FRAMES)
    push(any_sink, 9, tone[:10_000])
    assert not np.any(any_sink.pull(5_000))
    assert n_busy(any_sink) == 0
    assert any_sink.mixer.live.dropped_blocks == 1


def test_an_ended_note_plays_out_and_leaves(any_sink: Sink) -> None:
    tone = sine(330.0, 1.0)[:, 0]
    push(any_sink, 7, tone[:5_000])
    any_sink.mixer.live.end(7)
    heard = any_sink.pull(8_000)
    assert np.array_equal(heard[1_000 : 5_000 - FADE_FRAMES, 0], tone[1_000 : 5_000 - FADE_FRAMES])
    assert largest_step(heard) < 0.05
    assert not np.any(heard[5_000:])
    assert n_busy(any_sink) == 0


def test_panic_silences_every_note_within_5_ms(any_sink: Sink) -> None:
    tone = 0.1 * np.ones(20_000, dtype=np.float32)
    for note_id in range(1, 6):
        push(any_sink, note_id, tone)
    any_sink.pull(2_000)
    any_sink.mixer.live.panic()
    heard = any_sink.pull(2_000)
    assert largest_step(heard) < 0.01
    assert not np.any(heard[FADE_FRAMES + any_sink.block :])
    assert n_busy(any_sink) == 0


def test_more_notes_than_voices_are_dropped_and_counted(any_sink: Sink) -> None:
    for note_id in range(1, shared.N_VOICES + 3):
        push(any_sink, note_id, np.zeros(100, dtype=np.float32))
    assert any_sink.mixer.live.dropped_blocks == 2
    assert int(np.sum(any_sink.state.slot_busy)) == shared.N_VOICES


def test_more_blocks_than_a_note_can_queue_are_dropped(any_sink: Sink) -> None:
    for _ in range(QUEUE_BLOCKS + 1):
        push(any_sink, 1, np.zeros(100, dtype=np.float32))
    assert any_sink.mixer.live.dropped_blocks == 1
