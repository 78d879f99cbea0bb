"""What a performer that takes another's place is told, and what one that plays is told of new programs."""

from __future__ import annotations

from dataclasses import replace
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import cast

import pytest

from app.live.stage import meter as fields
from app.live.stage.host import LiveEngine, StageOptions, _Child, _Pulse
from app.live.stage.messages import (
    KnowPreset,
    LockVariation,
    Tell,
    UseBank,
    UseMap,
    UsePreset,
    UseProfile,
    UsePrograms,
)
from app.live.stage.meter import Meter
from app.live.stage.standing import Standing
from app.state.controller_profile import ControllerProfile
from app.state.preset import Preset

A, B, C = (Preset(name, name.upper()) for name in "abc")


def test_the_next_performer_sings_what_the_last_one_sang() -> None:
    standing = Standing(1)
    for message in (UseBank((A, B)), UseMap(ControllerProfile("m")), UseProfile(ControllerProfile("p")), Tell(True)):
        standing.take(message)
    standing.chosen_id = "b"  # by a program change
    assert standing.greetings() == [
        UseMap(ControllerProfile("m")), UseBank((A, B), 1), UseProfile(ControllerProfile("p")), Tell(True),
        LockVariation(1),
    ]  # fmt: skip


def test_presets_from_beside_the_bank_are_sung_again_and_one_of_it_as_it_was_changed() -> None:
    standing = Standing(None)
    louder = replace(A, level_db=3.0)
    for message in (UseBank((A, B)), UsePreset(louder), UsePreset(C)):
        standing.take(message)
    assert standing.greetings()[0] == UseBank((louder, B, C), 2)


def test_a_number_that_changed_is_told_by_name_alone() -> None:
    standing = Standing(None)
    standing.take(UseBank((A, B)))
    assert standing.use_programs((B, A)) == [UsePrograms(("b", "a"))]
    assert standing.greetings()[0] == UseBank((B, A), 1)  # what was sung next still is
    quiet = replace(B, level_db=-6.0)
    assert standing.use_programs((C, quiet, A)) == [KnowPreset(C), KnowPreset(quiet), UsePrograms(("c", "b", "a"))]


def test_a_preset_that_was_taken_out_of_the_bank_is_sung_on() -> None:
    standing = Standing(None)
    standing.take(UseBank((A, B), 1))
    standing.use_programs((A, C))
    assert standing.greetings()[0] == UseBank((A, C, B), 2)


@pytest.fixture
def engine():
    made = LiveEngine("nowhere", StageOptions())
    yield made
    made.close()


class _Process:
    pid = 1


def test_the_sampler_is_there_from_the_moment_it_can_be_heard(engine: LiveEngine) -> None:
    """What it says through its pipe comes when the watching thread has its turn; sound may come before."""
    engine.meter.ints[fields.SAMPLER_EPOCH] = 3
    assert not engine.is_sampling
    engine._sampler = _Child(cast(SpawnProcess, _Process()), cast(Connection, None), 1, 0.0, 3)
    assert not engine.is_sampling
    engine.meter.ints[fields.SAMPLER_EPOCH] = 4
    assert engine.is_sampling
    engine._sampler = None
    assert not engine.is_sampling


def test_who_stands_still_is_noticed_once_it_is_ready() -> None:
    meter = Meter.create()
    pulse = _Pulse(fields.PERFORMER_BEAT, 10.0, 0.0)
    for now_s in range(100):
        assert not pulse.is_still(meter, now_s, is_ready=False)  # it loads, however long that takes
    for now_s in range(100, 109):
        assert not pulse.is_still(meter, now_s, is_ready=True)
    meter.ints[fields.PERFORMER_BEAT] += 1
    for now_s in range(109, 120):
        assert not pulse.is_still(meter, now_s, is_ready=True)
    assert pulse.is_still(meter, 120.0, is_ready=True)
    meter.close()


def test_who_was_stopped_together_with_whoever_looks_is_not_blamed() -> None:
    meter = Meter.create()
    pulse = _Pulse(fields.PERFORMER_BEAT, 10.0, 0.0)
    assert not pulse.is_still(meter, 1.0, is_ready=True)
    assert not pulse.is_still(meter, 3600.0, is_ready=True)
    meter.ints[fields.PERFORMER_BEAT] += 1
    assert not pulse.is_still(meter, 3600.1, is_ready=True)
    meter.close()


def test_what_waits_to_be_told_comes_behind_the_greeting_and_not_twice(engine: LiveEngine) -> None:
    engine.use_bank((A, B))
    engine.play(UsePreset(B))
    engine.play(LockVariation(0))
    engine._greet()
    told = []
    while not engine._said.empty():
        told.append(engine._said.get())
    assert told == [UseBank((A, B), 1), Tell(False), LockVariation(0)]
    assert engine.is_performing


def test_an_engine_whose_voice_cannot_be_loaded_has_ended_and_still_closes_what_it_opened(engine: LiveEngine) -> None:
    assert not engine.has_ended
    engine._is_over.set()
    assert engine.has_ended
    engine.close()
    assert engine.midi._memory is None
    assert engine.voice_in.ring._memory is None
