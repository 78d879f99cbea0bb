"""What a preset lays over the controller's profile while it is the current one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.live.performance.commands import OffsetLane, SetLane
from app.live.performance.manner import profile_in_force
from app.state.controller_profile import MAX_BINDINGS, Binding, ControllerProfile
from app.state.preset import NEUTRAL_PRESET, Preset
from tests.app.live.performance.stage import Stage, told

OWN = ControllerProfile(
    "Keystep",
    (Binding("cc1", "roughness", 0.0, 1.0), Binding("cc7", "loudness", -60.0, 0.0, mode="offset")),
    panic_cc=85,
    mpe_lower_members=0,
)
MAPPED = ControllerProfile(
    "growl map",
    (
        Binding("cc1", "technique.growl", 0.0, 1.0),
        Binding("cc20", "tract", 0.0, 1.0),
        Binding("cc85", "fry", 0.0, 1.0),
    ),
    playing="mono",
    glide="time",
    glide_s=0.3,
    fixed_velocity=100,
    mpe_lower_members=15,
)
PRESET = Preset("growl", "Growl", midi_map="growl map")


def test_a_preset_without_a_map_plays_as_the_controller_is_set() -> None:
    assert profile_in_force(OWN, NEUTRAL_PRESET) is OWN
    assert profile_in_force(OWN, replace(NEUTRAL_PRESET, midi_map="nobody's"), None) is OWN
    assert profile_in_force(OWN, replace(NEUTRAL_PRESET, playing="legato")) == replace(OWN, playing="legato")


def test_the_map_is_laid_over_control_by_control() -> None:
    chosen = profile_in_force(OWN, PRESET, MAPPED)
    assert [(b.source, b.lane) for b in chosen.bindings] == [
        ("cc1", "technique.growl"),
        ("cc20", "tract"),
        ("cc7", "loudness"),
    ]
    assert (chosen.name, chosen.panic_cc, chosen.mpe_lower_members) == ("Keystep", 85, 0)
    assert (chosen.playing, chosen.glide, chosen.glide_s, chosen.fixed_velocity) == ("mono", "time", 0.3, 100)
    assert profile_in_force(OWN, replace(PRESET, playing="poly"), MAPPED).playing == "poly"
    assert profile_in_force(MAPPED, PRESET, replace(MAPPED, playing="legato")) is MAPPED


def test_no_map_makes_a_profile_too_large() -> None:
    lanes = ("roughness", "fry", "tract", "tension", "breathiness")
    full = tuple(Binding(f"nrpn{i}", lane, 0.0, 1.0) for i in range(100) for lane in lanes)
    chosen = profile_in_force(
        replace(OWN, bindings=full), PRESET, replace(MAPPED, bindings=full[:10] + MAPPED.bindings)
    )
    assert len(chosen.bindings) <= MAX_BINDINGS


def test_controls_move_other_lanes_with_the_preset_and_give_back_what_they_moved() -> None:
    stage = Stage(OWN)
    assert [(c.lane, c.value) for c in told(stage.play("b0017f"), SetLane)] == [("roughness", 1.0)]
    assert [c.offset for c in told(stage.play("b00700"), OffsetLane)] == [-60.0]
    chosen = profile_in_force(OWN, PRESET, replace(MAPPED, bindings=(*MAPPED.bindings, Binding("cc7", "fry", 0, 1))))
    changed = stage.heard(stage.performance.set_preset(PRESET, stage.now_s, chosen))
    assert [(c.lane, c.value) for c in told(changed, SetLane)] == [("roughness", None)]
    assert [(c.lane, c.offset) for c in told(changed, OffsetLane)] == [("loudness", 0.0)]
    assert [(c.lane, c.value) for c in told(stage.play("b0017f"), SetLane)] == [("technique.growl", 1.0)]
    changed = stage.heard(stage.performance.set_preset(NEUTRAL_PRESET, stage.now_s, OWN))
    assert [(c.lane, c.value) for c in told(changed, SetLane)] == [("technique.growl", None)]
    assert [(c.lane, c.value) for c in told(stage.play("b00140"), SetLane)] == [("roughness", pytest.approx(64 / 127))]


def test_a_sounding_note_loses_what_a_binding_that_is_gone_had_added() -> None:
    pressed = ControllerProfile("p", (Binding("channel_pressure", "tension", 0.0, 0.5, mode="offset"),))
    stage = Stage(pressed)
    stage.play("903c64")
    assert [c.offset for c in told(stage.play("d07f"), OffsetLane)] == [0.5]
    out = stage.heard(stage.performance.set_preset(NEUTRAL_PRESET, stage.now_s, replace(pressed, bindings=())))
    assert [(c.lane, c.offset) for c in told(out, OffsetLane)] == [("tension", 0.0)]
