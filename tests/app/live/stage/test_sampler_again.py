"""Samplers that come, and go again before they have sung: every held note has one voice, and no slot is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from app.live.stage import meter as fields
from app.live.stage.memory import N_SLOTS
from app.midi.messages import NoteOff, NoteOn
from app.state.controller_profile import default_profile
from synth.engine import Engine
from tests.app.live.stage.rig import StageRig
from tests.tiny_weights import tiny_engine

KEY = 57


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return tiny_engine(Path(tmp_path_factory.mktemp("weights")))


@pytest.fixture
def rig(engine: Engine) -> Iterator[StageRig]:
    made = StageRig(engine)
    made.make_onsets()
    yield made
    made.close()


def come_and_go(rig: StageRig) -> None:
    """A sampler is ready, and has died before it made a frame."""
    rig.meter.ints[fields.SAMPLER_EPOCH] += 1
    rig.memory.served[:] = 0
    rig.play(0.05)


def test_a_note_struck_as_the_sampler_comes_back_is_not_begun_twice(rig: StageRig) -> None:
    rig.play(0.01)
    rig.replace_sampler()
    rig.make_onsets()
    rig.feed(NoteOn(0.0, 0, KEY, 96))  # the performer has not looked for the new sampler since
    (before,) = rig.instrument.sounding
    rig.play(0.1)
    assert rig.instrument.sounding == [before]


def test_a_note_held_while_samplers_come_and_go_has_one_voice_and_is_heard_once(rig: StageRig) -> None:
    rig.feed(NoteOn(0.0, 0, KEY, 96))
    rig.play(0.3)
    rig.sampler = None
    rig.memory.onset_version[:] = 0  # they went with it: a note must wait
    rig.play(1.0)
    assert rig.instrument.sounding == []
    for _ in range(3):
        come_and_go(rig)
        assert np.count_nonzero(rig.memory.serial) == 1
    rig.replace_sampler()
    assert np.abs(rig.play(0.5)[-2400:]).max() > 1e-4
    assert int(rig.meter.ints[fields.N_LATENCIES_TOLD]) == 1  # later ones are of no key that was struck
    rig.feed(NoteOff(0.0, 0, KEY))
    rig.play(0.6)
    assert rig.memory.serial.tolist() == [0] * N_SLOTS


def test_what_fades_as_another_controller_is_taken_up_lends_its_number_to_nobody(rig: StageRig) -> None:
    rig.feed(NoteOn(0.0, 0, KEY, 96))
    rig.play(0.3)
    rig.sampler = None
    while rig.instrument.sounding:  # until it has starved, and fades
        rig.play(0.01)
    (fading,) = rig.instrument._voices._fading
    rig.instrument.use_profile(default_profile("other"), rig.now_s)
    rig.feed(NoteOn(0.0, 0, KEY + 12, 96))
    (fresh,) = rig.instrument.sounding
    assert fading.number != fresh.number
    held_hz = float(rig.memory.frames.latest_hz[fading.slot])
    rig.play(0.1)
    assert float(rig.memory.frames.latest_hz[fading.slot]) == pytest.approx(held_hz)
