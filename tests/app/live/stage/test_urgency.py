"""What the live sampler does first, and how quality yields before sound on a machine that is too slow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from app.live.performance.gestures import LaneMoved
from app.live.stage import meter as fields
from app.live.stage import sampling
from app.live.stage.pressure import Pressure
from app.midi.messages import NoteOn
from synth.engine import Engine
from synth.spec import HOP_SAMPLES, SAMPLE_RATE_HZ, Float32Array
from synth.streaming.frames import StreamingFrames
from synth.streaming.sampler import StreamingSampler
from tests.app.live.stage.rig import BLOCK, StageRig
from tests.tiny_weights import tiny_engine

KEY = 57
_IDLE_S = 0.0005


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return tiny_engine(Path(tmp_path_factory.mktemp("weights")))


@pytest.fixture
def rig(engine: Engine) -> Iterator[StageRig]:
    made = StageRig(engine)
    yield made
    made.close()


class SlowMachine:
    """A clock that goes on only by what the sampler does: so long for a jump, so long for a pass of the network."""

    def __init__(self, patch: pytest.MonkeyPatch, *, jump_s: float, frames_s: float) -> None:
        self.now_s = 0.0
        jumps, prepare = StreamingSampler._jumps, StreamingFrames._prepare

        def slow_jumps(sampler: StreamingSampler, *parts: object) -> Iterator[object]:
            for drawn in jumps(sampler, *parts):  # pyright: ignore[reportArgumentType]
                self.now_s += jump_s
                yield drawn

        def slow_prepare(frames: StreamingFrames, *parts: object) -> None:
            self.now_s += frames_s
            prepare(frames, *parts)  # pyright: ignore[reportArgumentType]

        patch.setattr(StreamingSampler, "_jumps", slow_jumps)
        patch.setattr(StreamingFrames, "_prepare", slow_prepare)
        patch.setattr(sampling, "time", SimpleNamespace(monotonic=lambda: self.now_s))

    def play(self, rig: StageRig, seconds: float) -> Float32Array:
        """The stream, block after block as time passes; the sampler works in between, and never for nothing."""
        blocks: list[Float32Array] = []
        start_s, sounded_s = self.now_s, 0.0
        while sounded_s < seconds:
            if rig.sampler is not None and not rig.sampler.step():
                self.now_s += _IDLE_S
            while sounded_s <= self.now_s - start_s:
                blocks.append(rig.play(BLOCK / SAMPLE_RATE_HZ, steps=0))
                sounded_s += BLOCK / SAMPLE_RATE_HZ
        return np.concatenate(blocks)


def figure(rig: StageRig, name: int) -> int:
    return int(rig.meter.ints[name])


def held_note(rig: StageRig) -> None:
    rig.make_onsets()
    rig.feed(NoteOn(0.0, 0, KEY, 96))
    rig.play(BLOCK / SAMPLE_RATE_HZ)


@pytest.mark.parametrize(("jump_s", "n_steps"), [(0.01, 4), (0.034, 2), (0.06, 1)])
def test_jumps_are_given_up_before_sound_is(
    rig: StageRig, monkeypatch: pytest.MonkeyPatch, jump_s: float, n_steps: int
) -> None:
    held_note(rig)
    assert rig.sampler is not None
    rig.sampler._pressure = Pressure(4)
    machine = SlowMachine(monkeypatch, jump_s=jump_s, frames_s=0.001)
    audio = machine.play(rig, 2.0)
    assert figure(rig, fields.N_STEPS) == n_steps
    rig.play(0.01, steps=0)
    assert int(rig.memory.frames.ready.max()) * HOP_SAMPLES >= 2.0 * SAMPLE_RATE_HZ
    assert figure(rig, fields.STARVED) == figure(rig, fields.LATE_FRAMES) == 0
    assert np.abs(audio[-4800:]).max() > 1e-4


def test_hands_that_never_rest_take_no_voices_away(rig: StageRig, monkeypatch: pytest.MonkeyPatch) -> None:
    held_note(rig)
    machine = SlowMachine(monkeypatch, jump_s=0.012, frames_s=0.002)
    for index in range(100):
        rig.feed(LaneMoved(0.0, "roughness", 0.2 + 0.6 * (index % 2)))
        machine.play(rig, 0.02)
    assert figure(rig, fields.REDRAWN) > 30
    assert figure(rig, fields.MAX_VOICES) > 16
    assert figure(rig, fields.STARVED) == figure(rig, fields.STOLEN) == 0


def test_a_moved_lane_is_obeyed_from_the_frame_that_sounds_next(rig: StageRig, monkeypatch: pytest.MonkeyPatch) -> None:
    held_note(rig)
    machine = SlowMachine(monkeypatch, jump_s=0.007, frames_s=0.003)
    machine.play(rig, 0.5)
    assert rig.sampler is not None
    slot = int(np.flatnonzero(rig.memory.serial)[0])
    before = rig.memory.frames.noise_filters[slot].copy()
    rig.feed(LaneMoved(0.0, "breathiness", 1.0))
    rig.play(BLOCK / SAMPLE_RATE_HZ, steps=0)
    moved_at = int(rig.memory.position[slot])
    redrawn = figure(rig, fields.REDRAWN)
    for _ in range(100):
        if figure(rig, fields.REDRAWN) > redrawn:
            break
        rig.sampler.step()
    assert figure(rig, fields.REDRAWN) > redrawn
    changed = np.flatnonzero((rig.memory.frames.noise_filters[slot] != before).any(axis=(1, 2)))
    sounding = moved_at // HOP_SAMPLES
    nearest = min((int(place) - sounding) % rig.memory.frames.ring_frames for place in changed)
    assert nearest <= 1  # its own frame, or the one after it: 10 ms


def test_a_note_that_waits_is_served_before_onsets_are_made(rig: StageRig) -> None:
    assert rig.sampler is not None
    for _ in range(3):
        rig.sampler.step()  # an onset has been begun
    n_made = figure(rig, fields.CACHE_MADE)
    rig.feed(NoteOn(0.0, 0, 90, 96))
    rig.sampler.step()
    slot = int(np.flatnonzero(rig.memory.serial)[0])
    assert rig.memory.frames.ready[slot] >= 2
    assert figure(rig, fields.CACHE_MADE) == n_made
