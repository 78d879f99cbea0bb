"""Between two presets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.state.morph import morph
from app.state.passage import Note, Passage, Voice
from app.state.preset import Preset
from app.state.preset_parts import AdapterReference
from app.state.resolve import resolve
from app.store.presets import FACTORY_FOLDER, list_presets
from synth.spec.lanes import LANES

FACTORY = list_presets([FACTORY_FOLDER])
BY_ID = {preset.id: preset for preset in FACTORY}
VOICE = Voice(notes=(Note(0.2, 1.0, 57, 80),))


def heard(preset: Preset) -> dict[str, np.ndarray]:
    return dict(resolve(Passage(2.0, voices=(VOICE,)), VOICE, preset, 0, 200).values)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(FACTORY), st.sampled_from(FACTORY))
def test_the_ends_sound_as_the_presets_themselves(one: Preset, other: Preset) -> None:
    for amount, end in ((0.0, one), (1.0, other)):
        found, wanted = heard(morph(one, other, amount)), heard(end)
        assert found.keys() == wanted.keys()
        for lane_id, values in wanted.items():
            assert found[lane_id] == pytest.approx(values, abs=1e-5), lane_id


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(FACTORY), st.sampled_from(FACTORY), st.floats(0.0, 0.95))
def test_the_way_has_no_steps_and_stays_between_its_ends(one: Preset, other: Preset, amount: float) -> None:
    here, there = heard(morph(one, other, amount)), heard(morph(one, other, amount + 0.02))
    ends = heard(one), heard(other)
    for spec in LANES:
        if spec.id == "presence":
            continue
        span = np.abs(ends[0][spec.id] - ends[1][spec.id])
        assert np.all(np.abs(here[spec.id] - there[spec.id]) <= 0.1 * span + 0.04 * (spec.maximum - spec.minimum))
        low, high = np.minimum(ends[0][spec.id], ends[1][spec.id]), np.maximum(ends[0][spec.id], ends[1][spec.id])
        if not spec.id.startswith("technique.") and spec.id in (*one.lane_defaults, *other.lane_defaults):
            assert np.all((here[spec.id] >= low - 1e-4) & (here[spec.id] <= high + 1e-4)), spec.id


def test_the_middle_is_the_mean_of_lanes_shares_and_timbres() -> None:
    one = replace(BY_ID["growl"], timbre=(0.0,) * 16, attack_s=0.01, level_db=-6.0)
    other = replace(BY_ID["whisper_sigh"], timbre=(1.0,) * 16, attack_s=0.16, level_db=0.0)
    middle = morph(one, other, 0.5)
    assert middle.lane_defaults["loudness"] == pytest.approx(
        (one.lane_defaults["loudness"] + other.lane_defaults["loudness"]) / 2
    )
    assert middle.technique["growl"] == pytest.approx(one.technique["growl"] / 2)
    assert sum(middle.technique.values()) <= 1.0 + 1e-9
    assert middle.timbre == (0.5,) * 16
    assert middle.attack_s == pytest.approx(0.04), "times move in ratios"
    assert middle.level_db == -3.0
    assert "Growl" in middle.name
    assert one.consent in middle.consent


def test_a_lane_that_one_preset_leaves_to_its_techniques_moves_from_what_they_make_of_it() -> None:
    one = Preset("one", "One", technique={"scream": 1.0})
    other = Preset("other", "Other", technique={"scream": 1.0}, lane_defaults={"roughness": 0.05})
    assert morph(one, other, 0.5).lane_defaults["roughness"] == pytest.approx((0.65 + 0.05) / 2)


def test_adapters_fade_in_and_out() -> None:
    orc, elf = "ab" * 32, "cd" * 32
    one = Preset("one", "One", adapters=(AdapterReference("orc", orc, {"late": 1.0}),))
    other = Preset(
        "other",
        "Other",
        adapters=(AdapterReference("orc", orc, {"late": 0.5}), AdapterReference("elf", elf, {"early": 0.8})),
    )
    quarter = morph(one, other, 0.25).adapter_strengths()
    assert quarter == pytest.approx({"adapter.orc.late": 0.875, "adapter.elf.early": 0.2})
    assert morph(one, other, 0.0).adapter_strengths()["adapter.elf.early"] == 0.0


def test_ranges_and_gestures_move_and_what_has_no_middle_changes_half_way() -> None:
    one = Preset("one", "One", lane_ranges={"fry": (0.2, 0.6)}, gestures={"fry": ((0.0, 0.4),)}, playing="mono")
    other = Preset("other", "Other", gestures={"fry": ((0.5, 0.0), (1.0, 0.8))}, playing="legato")
    middle = morph(one, other, 0.5)
    assert middle.lane_ranges["fry"] == pytest.approx((0.1, 0.8))
    assert middle.gestures["fry"] == ((0.0, pytest.approx(0.2)), (0.5, pytest.approx(0.2)), (1.0, pytest.approx(0.6)))
    assert morph(one, other, 0.49).playing == "mono"
    assert middle.playing == "legato"
