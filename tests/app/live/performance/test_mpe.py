"""MPE: notes with a channel of their own, and everything around them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.live.performance.commands import Kill, LoadPreset, OffsetLane, Release, Retune, SetLane, StartVoice
from app.state.controller_profile import default_profile
from tests.app.live.performance.stage import Stage, told

LOWER_15 = "b06500 b06406 b0060f"


@pytest.fixture
def mpe() -> Stage:
    stage = Stage()
    stage.play(LOWER_15)
    return stage


def bends(stage: Stage, hexadecimal: str) -> dict[int, float]:
    return {retune.voice: round(retune.cents, 1) for retune in told(stage.play(hexadecimal), Retune)}


def test_a_bend_bends_one_note_and_the_masters_bends_all(mpe: Stage) -> None:
    mpe.play("913c64 924064")
    assert bends(mpe, "e17f7f") == {1: 4800.0}
    assert bends(mpe, "e07f7f") == {1: 5000.0, 2: 200.0}
    assert bends(mpe, "e20000") == {2: -4600.0}
    (start,) = told(mpe.play("934064"), StartVoice)
    assert start.cents == pytest.approx(200.0)


def test_what_was_sent_before_the_note_belongs_to_it(mpe: Stage) -> None:
    (start,) = told(mpe.play("e10050 d140 b14a7f 913c64"), StartVoice)
    assert start.cents == pytest.approx(4800.0 * 2048 / 8191)
    assert start.offsets["roughness"] == pytest.approx(0.8 * 64 / 127)
    assert start.offsets["technique.growl"] == pytest.approx(1.0)


def test_bend_ranges_by_rpn_0(mpe: Stage) -> None:
    mpe.play("913c64 924064 e17f7f")
    assert bends(mpe, "b26500 b26400 b2060c") == {1: 1200.0}  # said on one member, meant for all
    assert bends(mpe, "b2260a") == {1: 1210.0}  # cents
    assert bends(mpe, "b06500 b06400 b00605 e07f7f") == {1: 1710.0, 2: 500.0}


def test_pressure_and_slide_belong_to_the_note(mpe: Stage) -> None:
    mpe.play("913c64 924064")
    (pressure,) = mpe.play("d17f")
    assert pressure == OffsetLane(10.0, 1, "roughness", 0.8, 0.01)
    (slide,) = mpe.play("b24a00")
    assert slide == OffsetLane(10.0, 2, "technique.growl", -1.0, 0.01)
    assert mpe.play("b24a40") == [OffsetLane(10.0, 2, "technique.growl", 0.0, 0.01)]  # 64 is the middle
    both = told(mpe.play("d040"), OffsetLane)  # the master's pressure, where it is stronger
    assert [(told_.voice, round(told_.offset, 3)) for told_ in both] == [(2, round(0.8 * 64 / 127, 3))]


def test_a_note_that_rings_on_keeps_its_bend_when_its_channel_is_used_again(mpe: Stage) -> None:
    mpe.play("913c64 e10050")
    mpe.play("813c00", after_s=0.5)
    commands = mpe.play("e10040 914064 e17f7f")
    assert [r.voice for r in told(commands, Retune)] == [1, 2]  # the first bend was before the new note
    mpe.play("814000", after_s=0.5)
    told_before = bends(mpe, "e07f7f")
    assert told_before == {1: 200.0, 2: 5000.0}


def test_the_pedal_of_the_master_holds_its_zone_only() -> None:
    stage = Stage()
    stage.play("b06500 b06406 b00607 bf6500 bf6406 bf0607 b0407f")
    stage.play("913c64 9e4064")
    assert [r.voice for r in told(stage.play("813c00 8e4000", after_s=0.5), Release)] == [2]
    assert [r.voice for r in told(stage.play("b04000"), Release)] == [1]


def test_mode_messages_of_a_master_speak_of_its_zone() -> None:
    stage = Stage()
    stage.play("b06500 b06406 b00607")
    stage.play("913c64 924064 994364")
    assert [k.voice for k in told(stage.play("b07800", after_s=0.5), Kill)] == [1, 2]
    assert [r.voice for r in told(stage.play("b97b00", after_s=0.5), Release)] == [3]


def test_a_new_zone_ends_what_sounds_there() -> None:
    stage = Stage()
    stage.play("913c64 994064 e17f7f")
    commands = stage.play("b06500 b06406 b00603", after_s=0.5)
    assert [r.voice for r in told(commands, Release)] == [1]
    assert [r.cents for r in told(commands, Retune)] == [0.0]
    assert stage.performance.zone_channels() == (frozenset({0, 1, 2, 3}),)


def test_only_the_master_chooses_programs() -> None:
    stage = Stage(preset_ids=["growl", "scream"])
    stage.play(LOWER_15)
    assert stage.play("c301") == []
    assert stage.play("c001") == [LoadPreset(10.0, 0, 1, "scream")]


def test_zones_from_the_profile() -> None:
    stage = Stage(replace(default_profile("x"), mpe_lower_members=5, mpe_upper_members=9))
    assert stage.performance.zone_channels() == (frozenset(range(6)), frozenset(range(6, 16)))
    stage.play("913c64")
    assert bends(stage, "e17f7f") == {1: 4800.0}


def test_outside_zones_every_channel_is_its_own() -> None:
    stage = Stage()
    for channel in range(16):
        stage.play(f"9{channel:x}3c64 e{channel:x}7f7f")
    assert len(stage.sounding) == 16
    assert bends(stage, "e50000") == {6: -200.0}
    (tension,) = stage.play("d57f")
    assert tension == SetLane(10.0, 6, "tension", 1.0, 0.01)
    assert bends(stage, "b56500 b56400 b5060c") == {6: -1200.0}
