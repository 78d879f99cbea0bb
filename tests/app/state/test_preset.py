"""What a note does by itself, and how adapters' strengths and level reach the controls."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from app.state.passage import Lane, Note, Passage, Voice
from app.state.preset import Preset
from app.state.preset_parts import AdapterReference
from app.state.resolve import resolve
from synth.spec.lanes import TECHNIQUES

SWELLING = Preset(
    id="swelling",
    name="Swelling",
    technique={"whisper": 0.8},
    lane_defaults={"roughness": 0.1},
    gestures={"roughness": ((0.0, 0.0), (1.0, 0.6)), "technique.scream": ((0.5, 0.0), (1.0, 0.9))},
)


def controls(voice: Voice, preset: Preset = SWELLING) -> dict[str, np.ndarray]:
    passage = Passage(6.0, voices=(voice,))
    return dict(resolve(passage, voice, preset, 0, 600).values)


def test_a_gesture_begins_anew_with_every_note_and_holds_its_last_value() -> None:
    values = controls(Voice(notes=(Note(0.0, 2.0, 57), Note(3.0, 2.0, 57))))["roughness"]
    assert values[[50, 350]] == pytest.approx([0.403, 0.403], abs=1e-3)
    assert values[[150, 250, 450]] == pytest.approx(0.7)


def test_a_gesture_moves_techniques_and_their_sum_stays_one() -> None:
    values = controls(Voice(notes=(Note(0.0, 4.0, 57),)))
    assert values["technique.scream"][40] == 0.0
    assert values["technique.scream"][200] == pytest.approx(0.9 / 1.7)
    assert values["technique.whisper"][200] == pytest.approx(0.8 / 1.7)
    assert np.sum([values[f"technique.{name}"] for name in TECHNIQUES], axis=0).max() <= 1.0 + 1e-6


def test_what_is_drawn_wins_over_a_gesture_and_a_voice_without_notes_has_none() -> None:
    drawn = controls(Voice(notes=(Note(0.0, 4.0, 57),), lanes={"roughness": Lane(((0.0, 0.25),))}))
    assert drawn["roughness"][300] == pytest.approx(0.25)
    without = controls(Voice(lanes={"pitch": Lane(((0.0, 57.0), (6.0, 60.0)))}))
    assert without["roughness"][300] == pytest.approx(0.1)


def test_adapters_sing_at_their_strengths_until_a_lane_says_otherwise() -> None:
    preset = Preset(
        id="p",
        name="P",
        adapters=(AdapterReference("orc", "ab" * 32, {"early": 0.5, "late": 1.0}),),
        lane_defaults={"adapter.orc.late": 0.25},
    )
    values = controls(Voice(notes=(Note(0.0, 1.0, 57),), lanes={"adapter.orc.early": Lane(((0.0, 0.75),))}), preset)
    assert values["adapter.orc.early"][10] == pytest.approx(0.75)
    assert values["adapter.orc.late"][10] == pytest.approx(0.25)


def test_a_preset_travels_between_processes_whole() -> None:
    preset = replace(SWELLING, adapters=(AdapterReference("orc", "ab" * 32, {"late": 1.0}),))
    make, values = preset.__reduce__()
    assert make(*values) == preset
    make, values = preset.adapters[0].__reduce__()
    assert make(*values) == preset.adapters[0]
