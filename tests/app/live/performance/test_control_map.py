"""Controls, curves, soft takeover, presets and programs: what the lanes are told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.live.performance.commands import ALL_VOICES, Command, LoadPreset, OffsetLane, Retune, SetLane, Silence
from app.live.performance.control_map import MAX_LANES
from app.live.performance.gestures import (
    KEYBOARD,
    NETWORK,
    KeyBent,
    KeyLane,
    KeyLifted,
    KeyPressed,
    LaneMoved,
    PanicAsked,
    ReleaseAsked,
)
from app.midi.clock import TransportChanged
from app.state.controller_profile import Binding, ControllerProfile, default_profile
from app.state.preset import NEUTRAL_PRESET
from synth.spec.lanes import LANES
from tests.app.live.performance.stage import Stage, told

ROUGH = replace(NEUTRAL_PRESET, id="rough", lane_defaults={"roughness": 0.5})


def on_stage(*bindings: Binding, **changes: Any) -> Stage:
    profile = ControllerProfile("test", bindings, **changes)
    return Stage(profile, ROUGH)


def values(commands: list[Command]) -> list[float | None]:
    return [round(c.value, 3) if c.value is not None else None for c in told(commands, SetLane)]


def turn(stage: Stage, *places: int, number: int = 20) -> list[float | None]:
    return [value for place in places for value in values(stage.play(f"b0{number:02x}{place:02x}"))]


# ---- the default map


def test_the_default_map_is_the_lane_tables() -> None:
    stage = Stage()
    assert stage.play("b0017f") == [SetLane(10.0, ALL_VOICES, "roughness", 1.0, 0.01)]
    assert stage.play("b0027f") == [SetLane(10.0, ALL_VOICES, "breathiness", 1.0, 0.01)]
    assert stage.play("b04a7f") == [SetLane(10.0, ALL_VOICES, "technique.growl", 1.0, 0.01)]
    (offset,) = told(stage.play("b00b40"), OffsetLane)
    assert offset.lane == "loudness"
    assert offset.offset == pytest.approx(-11.9, abs=0.01)  # 40 log10(64 / 127)
    (both,) = told(stage.play("b00740"), OffsetLane)
    assert both.offset == pytest.approx(-23.8, abs=0.02)
    assert told(stage.play("b00b00"), OffsetLane)[0].offset == pytest.approx(-71.9, abs=0.02)


def test_every_lane_of_the_table_and_adapters_can_be_moved() -> None:
    lanes = [spec.id for spec in LANES if spec.id != "bend"] + ["adapter.0f3a.middle"]
    bindings = [
        Binding(f"nrpn{n}", lane, *(0.0, 1.5) if lane.startswith("adapter") else (spec.minimum, spec.maximum))
        for n, lane in enumerate(lanes)
        for spec in [LANES[0] if lane.startswith("adapter") else next(s for s in LANES if s.id == lane)]
    ]
    stage = on_stage(*bindings)
    for number, lane in enumerate(lanes):
        commands = stage.play(f"b063{number >> 7:02x} b062{number & 127:02x} b0067f")
        assert [(c.lane, c.value) for c in told(commands, SetLane)] == [(lane, bindings[number].high)]


def test_bend_by_a_control_bends_everything() -> None:
    stage = on_stage(Binding("cc20", "bend", -12.0, 12.0, mode="offset", polarity="bipolar"))
    stage.play("903c64 e07f7f")
    (retune,) = told(stage.play("b0147f"), Retune)
    assert retune.cents == pytest.approx(1400.0)
    (retune,) = told(stage.play("b01440"), Retune)
    assert retune.cents == pytest.approx(200.0)


def test_notes_carry_velocity_and_key() -> None:
    stage = on_stage(
        Binding("velocity", "tension", 0.2, 0.8),
        Binding("key", "tract", 1.0, 0.0),
        Binding("release_velocity", "breathiness", 0.0, 1.0),
        Binding("poly_pressure", "roughness", 0.0, 0.5, mode="offset"),
    )
    commands = stage.play("907f7f")
    assert stage.books.playing[1].lanes == {"tension": 0.8, "tract": 0.0}
    assert stage.play("a07f7f") == [OffsetLane(10.0, 1, "roughness", 0.5, 0.01)]
    commands = stage.play("807f7f", after_s=0.5)
    assert commands[0] == SetLane(10.5, 1, "breathiness", 1.0, 0.01)


# ---- soft takeover; the preset's roughness is 0.5


def test_jump_moves_at_once_and_stays_through_a_preset_change() -> None:
    stage = on_stage(Binding("cc20", "roughness", 0.0, 1.0))
    assert turn(stage, 0) == [0.0]
    assert stage.performance.set_preset(NEUTRAL_PRESET, 11.0) == []


def test_pickup_waits_until_the_lane_is_passed() -> None:
    stage = on_stage(Binding("cc20", "roughness", 0.0, 1.0, takeover="pickup"))
    assert turn(stage, 10, 40, 60) == []
    assert turn(stage, 70, 80, 20) == [0.551, 0.63, 0.157]
    assert values(stage.performance.set_preset(ROUGH, 11.0)) == [None]  # the preset's again
    assert turn(stage, 25, 30) == []
    assert turn(stage, 64) == [0.504]
    stage.do(LaneMoved(12.0, "roughness", 0.9))  # somebody else moves it
    assert turn(stage, 66, 70) == []
    assert turn(stage, 120) == [0.945]


def test_pickup_takes_hold_where_it_stands() -> None:
    stage = on_stage(Binding("cc20", "roughness", 0.0, 1.0, takeover="pickup"))
    assert turn(stage, 64) == [0.504]


def test_scale_moves_in_proportion_until_they_meet() -> None:
    stage = on_stage(Binding("cc20", "roughness", 0.0, 1.0, takeover="scale"))
    assert turn(stage, 0) == []
    first, second, last = turn(stage, 32, 64, 127)
    assert first is not None
    assert first == pytest.approx(0.5 + 0.5 * 32 / 127, abs=1e-3)
    assert second is not None
    assert first < second < 1.0
    assert last == 1.0
    assert turn(stage, 100, 0) == [0.787, 0.0]  # in hand from here on


def test_scale_goes_down_as_well() -> None:
    stage = on_stage(Binding("cc20", "roughness", 0.0, 1.0, takeover="scale"))
    first, last = turn(stage, 127, 64, 0)
    assert first == pytest.approx(0.5 * 64 / 127, abs=1e-3)
    assert last == 0.0


def test_fourteen_bits_and_knobs_numbered_as_fine_halves() -> None:
    stage = on_stage(Binding("cc20", "roughness", 0.0, 1.0), Binding("cc40", "fry", 0.0, 1.0))
    assert turn(stage, 64) == [0.504]
    assert turn(stage, 127, number=52) == [0.508]
    assert turn(stage, 127, number=40) == [1.0]


# ---- modes, panic, programs, gestures


def test_panic_by_its_control() -> None:
    stage = on_stage(Binding("cc1", "roughness", 0.0, 1.0), panic_cc=27)
    stage.play("903c64 b0407f b0017f e07f7f")
    assert stage.play("b01b00") == []
    commands = stage.play("b01b7f")
    assert told(commands, Silence) == [Silence(10.0)]
    assert values(commands) == [None]
    assert stage.performance.n_voices == 0
    stage.play("903c64")
    assert stage.books.playing[2].cents == 0.0  # wheels rest too
    assert stage.play("803c00", after_s=0.5)  # and pedals


def test_reset_controllers() -> None:
    stage = Stage()
    stage.play("903c64 b0017f d07f e07f7f b0407f")
    stage.play("803c00", after_s=0.5)
    commands = stage.play("b07900")
    assert told(commands, Retune)[0].cents == 0.0
    assert {(c.voice, c.lane, c.value) for c in told(commands, SetLane)} == {
        (1, "tension", None), (ALL_VOICES, "roughness", None)
    }  # fmt: skip
    assert stage.sounding == []


def test_an_unplugged_controller_leaves_the_other_keys() -> None:
    stage = Stage()
    stage.play("903c64 b0407f")
    stage.do(KeyPressed(10.0, KEYBOARD, 1, 60.5, 90.0))
    stage.wait(0.5)
    stage.heard(stage.performance.controller_vanished(stage.now_s))
    assert stage.sounding == [60.5]


def test_what_was_set_by_name_outlives_a_controller_but_not_a_panic() -> None:
    stage = Stage()
    stage.do(LaneMoved(10.0, "fry", 0.5))
    stage.play("b0017f")
    assert [c.lane for c in told(stage.performance.controller_vanished(11.0), SetLane)] == ["roughness"]
    assert [c.lane for c in told(stage.performance.restate(11.0), SetLane)] == ["fry"]
    assert [c.lane for c in told(stage.performance.panic(12.0), SetLane)] == ["fry"]


def test_programs_choose_from_banks() -> None:
    stage = Stage(preset_ids=[f"p{n}" for n in range(130)])
    assert stage.play("c303") == [LoadPreset(10.0, 0, 3, "p3")]
    assert stage.play("b30000 b32001 c301") == [LoadPreset(10.0, 1, 1, "p129")]
    assert stage.play("c305") == [LoadPreset(10.0, 1, 5, None)]
    assert stage.play("c005") == [LoadPreset(10.0, 0, 5, "p5")]  # another channel, another bank


def test_the_clock_is_passed_on() -> None:
    assert Stage().play("fa") == [TransportChanged(10.0, True, 0.0)]


def test_gestures() -> None:
    stage = Stage()
    stage.do(KeyPressed(10.0, NETWORK, 7, 61.25, 300.0))
    assert (stage.books.playing[1].note, stage.books.playing[1].velocity) == (61.25, 127.0)
    stage.do(KeyBent(10.0, NETWORK, 7, 35.0))
    assert stage.do(KeyBent(10.0, NETWORK, 7, 35.0)) == []
    assert stage.do(KeyLane(10.0, NETWORK, 7, "fry", 4.0)) == [SetLane(10.0, 1, "fry", 1.0, 0.01)]
    assert stage.do(KeyLane(10.0, NETWORK, 8, "fry", 0.5)) == []
    assert stage.do(LaneMoved(10.0, "adapter.ab.late", 9.0)) == [SetLane(10.0, -1, "adapter.ab.late", 1.5, 0.01)]
    assert stage.do(LaneMoved(10.0, "adapter.ab.late", None)) == [SetLane(10.0, -1, "adapter.ab.late", None, 0.01)]
    for lane in ("nothing", "bend", ""):
        assert stage.do(LaneMoved(10.0, lane, 0.5)) == []
    assert stage.do(LaneMoved(10.0, "fry", float("nan"))) == []
    assert stage.do(KeyPressed(10.0, NETWORK, 9, float("inf"), 3.0)) == []
    stage.wait(0.5)
    stage.do(KeyLifted(10.5, NETWORK, 7))
    assert stage.sounding == []
    stage.do(KeyPressed(10.5, NETWORK, 7, 50.0, 60.0))
    stage.wait(0.5)
    stage.do(ReleaseAsked(11.0))
    assert stage.sounding == []
    assert told(stage.do(PanicAsked(11.0)), Silence)


def test_an_engine_that_starts_anew_is_told() -> None:
    stage = Stage()
    stage.play("903c64 b0017f b00b00")
    told_again = stage.heard(stage.performance.restate(11.0))
    assert [c.lane for c in told(told_again, SetLane)] == ["roughness"]
    assert [c.lane for c in told(told_again, OffsetLane)] == ["loudness"]
    assert stage.performance.n_voices == 0


def test_lanes_nobody_has_cannot_be_named_without_end() -> None:
    stage = Stage()
    for number in range(MAX_LANES + 50):
        stage.do(LaneMoved(10.0, f"adapter.{number}.late", 1.0))
    assert len(told(stage.performance.restate(11.0), SetLane)) == MAX_LANES


def test_default_profiles_are_whole() -> None:
    bound = {(b.source, b.lane) for b in default_profile("x").bindings}
    for spec in LANES:
        if spec.midi_default not in (None, "pitch_bend"):
            assert (spec.midi_default, spec.id) in bound


# ---- the preset's ranges


def test_controls_and_faders_move_a_lane_within_the_presets_range() -> None:
    ranged = replace(ROUGH, lane_ranges={"roughness": (0.2, 0.6)})
    stage = Stage(ControllerProfile("test", (Binding("cc20", "roughness", 0.0, 1.0),)), ranged)
    assert turn(stage, 0, 127) == [0.2, 0.6]
    assert values(stage.do(LaneMoved(10.0, "roughness", 0.4))) == [0.4]
    assert values(stage.do(LaneMoved(10.0, "roughness", 0.9))) == [0.6]
    assert values(stage.do(LaneMoved(10.0, "roughness", 0.0))) == [0.2]
    turned = Stage(ControllerProfile("test", (Binding("cc20", "roughness", 1.0, 0.0),)), ranged)
    assert turn(turned, 0, 127) == [0.6, 0.2]
    soft = Stage(ControllerProfile("test", (Binding("cc20", "roughness", 0.0, 1.0, takeover="pickup"),)), ranged)
    assert turn(soft, 0, 110) == [pytest.approx(0.546, abs=1e-3)], "0.5 lies at three quarters of the travel"
