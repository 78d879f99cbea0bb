"""MIDI learn binds the control that was meant."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from app.live.performance.commands import SetLane
from app.live.performance.learn import TIMEOUT_S, LearnState, MidiLearn, binding_for
from app.midi.stream import MidiStream
from app.state.controller_profile import Binding, default_profile
from app.store.controller_profiles import load_profile, save_profile
from synth.errors import UserError
from synth.spec.lanes import LANE_IDS
from tests.app.live.performance.stage import Stage, told


def learn(hexadecimal: str, lane: str = "fry", zone_channels: frozenset[int] = frozenset()) -> Binding | None:
    learning = MidiLearn()
    learning.arm(lane, 0.0, zone_channels=zone_channels)
    found = [learning.take(message) for message in MidiStream().feed(bytes.fromhex(hexadecimal), 1.0)]
    assert learning.binding in (None, *found)
    return learning.binding


@pytest.mark.parametrize(
    ("hexadecimal", "source"),
    [
        ("b01400 b01420 b01440", "cc20"),
        ("b01500 b01501 b01500 b01440 b01400", "cc20"),  # 21 only trembles
        ("b0147f", "cc20"),  # a button
        ("b02800 b02840", "cc40"),  # a knob of its own
        ("b00800 b02800 b00810 b02840 b00840", "cc8"),  # a fine half
        ("b04000 b0407f b01400 b01440", "cc20"),  # a foot on the pedal
        ("903c64 d000 d010 d040", "channel_pressure"),
        ("a03c00 a03c40", "poly_pressure"),
        ("e00040 e00070", "pitch_bend"),
        ("b06301 b06205 b00600 b00640", "nrpn133"),
        ("b00700 f8 f8 b00740", "cc7"),
    ],
)
def test_the_control_that_moves_is_learnt(hexadecimal: str, source: str) -> None:
    binding = learn(hexadecimal)
    assert binding is not None
    assert (binding.source, binding.lane) == (source, "fry")


def test_in_a_zone_the_dimensions_are_the_notes() -> None:
    zone = frozenset(range(5))
    assert learn("d100 d140", zone_channels=zone) == binding_for("mpe_pressure", "fry")
    assert learn("b14a10 b14a40", zone_channels=zone) == binding_for("mpe_slide", "fry")
    assert learn("b94a10 b94a40", zone_channels=zone) == binding_for("cc74", "fry")


@pytest.mark.parametrize("hexadecimal", ["", "903c64", "b01440 b01441 b01442", "b00000 b0007f", "b07b00 b0787f"])
def test_nothing_is_learnt_from_little(hexadecimal: str) -> None:
    assert learn(hexadecimal) is None


def test_states() -> None:
    learning = MidiLearn()
    stream = MidiStream()
    (message,) = stream.feed(bytes.fromhex("b0147f"), 1.0)
    assert learning.take(message) is None
    learning.arm("roughness", 0.0)
    assert learning.state is LearnState.LISTENING
    assert learning.take(message) is not None
    assert learning.state is LearnState.LEARNT
    assert learning.take(message) is None
    learning.arm("fry", 5.0)
    assert learning.binding is None
    assert learning.advance(5.0 + TIMEOUT_S + 1.0) is LearnState.TIMED_OUT
    learning.cancel()
    assert learning.state is LearnState.IDLE
    with pytest.raises(UserError, match="cannot be played"):
        learning.arm("nothing", 0.0)


@pytest.mark.parametrize("source", ["cc20", "nrpn3", "channel_pressure", "mpe_slide", "mpe_pressure", "pitch_bend"])
def test_suggested_bindings_are_valid_for_every_lane(source: str) -> None:
    for lane in (*LANE_IDS, "adapter.ab.early"):
        if (source, lane) != ("pitch_bend", "bend"):
            assert binding_for(source, lane).lane == lane


def test_an_adapters_strength_is_learnt_like_any_lane_and_kept_with_the_profile(tmp_path: Path) -> None:
    lane_id = "adapter.d8ea683e82b8ceca.middle"
    binding = learn("b01500 b01520 b01540", lane_id)
    assert binding is not None
    assert (binding.source, binding.lane, binding.low, binding.high) == ("cc21", lane_id, 0.0, 1.5)
    profile = default_profile("box").with_binding(replace(binding, takeover="jump"))
    save_profile(profile, tmp_path)
    assert load_profile("box", tmp_path).profile == profile
    moved = told(Stage(profile).play("b01500 b0157f"), SetLane)
    assert [(command.lane, command.value) for command in moved] == [(lane_id, 0.0), (lane_id, 1.5)]
