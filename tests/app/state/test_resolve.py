"""Precedence, envelopes, and the independence of every frame from the window it is asked in."""

from __future__ import annotations

import itertools
import time

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from app.state.passage import Lane, Note, Passage, Voice
from app.state.preset import NEUTRAL_PRESET, TECHNIQUE_LANE_DEFAULTS, Preset, technique_lane_default
from app.state.resolve import resolve
from synth.spec.controls import ControlFrames
from synth.spec.lanes import LANES, TECHNIQUES
from tests.app.state.strategies import passages, presets

SHARP = Preset(id="sharp", name="Sharp", attack_s=0.0, release_s=0.0)


def controls(voice: Voice, preset: Preset = SHARP, duration_s: float = 4.0) -> ControlFrames:
    passage = Passage(duration_s, voices=(voice,))
    return resolve(passage, passage.voices[0], preset, 0, passage.n_frames)


@settings(max_examples=60, deadline=None)
@given(passages(n_voices=1), presets(), st.lists(st.integers(-40, 700), max_size=5))
def test_any_split_into_windows_gives_the_same_bits(passage: Passage, preset: Preset, cuts: list[int]) -> None:
    voice = passage.voices[0]
    whole = resolve(passage, voice, preset, -40, 740)
    edges = sorted({-40, 700, *cuts})
    parts = [resolve(passage, voice, preset, a, b - a) for a, b in itertools.pairwise(edges)]
    for lane_id, values in whole.values.items():
        joined = np.concatenate([part.values[lane_id] for part in parts])
        assert joined.tobytes() == values.tobytes(), lane_id


@settings(max_examples=60, deadline=None)
@given(passages(n_voices=1), presets())
def test_every_value_is_finite_and_in_range_and_weights_sum_to_at_most_one(passage: Passage, preset: Preset) -> None:
    frames = resolve(passage, passage.voices[0], preset, 0, passage.n_frames)
    for spec in LANES:
        values = frames.values[spec.id]
        assert values.dtype == np.float32
        assert np.isfinite(values).all()
        assert values.min() >= spec.minimum
        assert values.max() <= spec.maximum
    assert np.sum([frames.values[f"technique.{name}"] for name in TECHNIQUES], axis=0).max() <= 1 + 1e-5


def test_drawn_stands_before_note_before_preset_before_technique() -> None:
    preset = Preset(id="p", name="P", technique={"scream": 1.0}, lane_defaults={"roughness": 0.3})
    lane = Lane(((0.0, 0.6),))
    note = Note(0.0, 4.0, 60, 96, "whisper")
    assert controls(Voice(notes=(note,)), preset).values["roughness"][0] == np.float32(0.3)
    assert controls(Voice(notes=(note,), lanes={"roughness": lane}), preset).values["roughness"][0] == np.float32(0.6)
    assert controls(Voice(notes=(note,)), preset).values["technique.whisper"][0] == 1
    assert controls(Voice(notes=(Note(0.0, 4.0, 60),)), preset).values["technique.scream"][0] == 1
    habit = TECHNIQUE_LANE_DEFAULTS["whisper"]["breathiness"]
    # Nobody speaks of breathiness: the note's technique has a habit; of tract, nobody at all: the lane table.
    assert controls(Voice(notes=(note,)), preset).values["breathiness"][0] == np.float32(habit)
    assert controls(Voice(notes=(note,)), preset).values["tract"][0] == np.float32(0.5)


def test_mixed_techniques_mix_their_habits() -> None:
    preset = Preset(id="p", name="P", technique={"modal": 0.5, "whisper": 0.5})
    breathiness = controls(Voice(lanes={"pitch": Lane(((0.0, 60.0),))}), preset).values["breathiness"][0]
    modal, whisper = (technique_lane_default("breathiness", name) for name in ("modal", "whisper"))
    assert modal != whisper
    assert abs(breathiness - (modal + whisper) / 2) < 1e-6


def test_drawn_pitch_replaces_notes_only_where_it_is_drawn_and_bend_adds() -> None:
    voice = Voice(
        notes=(Note(0.0, 4.0, 60),),
        lanes={"pitch": Lane(((1.0, 70.0), (2.0, 72.0))), "bend": Lane(((0.0, 0.5),))},
    )
    pitch = controls(voice).values["pitch"]
    assert (pitch[:100] == 60.5).all()
    assert (pitch[200:] == 60.5).all()
    np.testing.assert_allclose(pitch[100:200], np.linspace(70.01, 71.99, 100) + 0.5, atol=1e-4)


def test_a_voice_that_is_only_drawn_in_the_pitch_lane_sounds_over_that_stretch() -> None:
    voice = Voice(lanes={"pitch": Lane(((1.0, 60.0), (2.0, 72.0))), "loudness": Lane(((0.0, -30.0), (4.0, -20.0)))})
    presence = controls(voice).values["presence"]
    assert (presence[100:200] == 1).all()
    assert (presence[:100] == 0).all()
    assert (presence[200:] == 0).all()


def test_a_lane_of_one_point_is_a_constant_and_sounds_throughout() -> None:
    assert (controls(Voice(lanes={"pitch": Lane(((0.0, 60.0),))})).values["presence"] == 1).all()


def test_nothing_written_is_silence() -> None:
    assert (controls(Voice()).values["presence"] == 0).all()


def test_attack_release_and_legato() -> None:
    preset = Preset(id="p", name="P", attack_s=0.1, release_s=0.2)
    notes = (Note(1.0, 0.5, 60), Note(1.5, 0.5, 62), Note(2.004, 0.496, 64))
    presence = controls(Voice(notes=notes), preset).values["presence"]
    np.testing.assert_allclose(presence[99:111], [0, *(np.arange(10) + 0.5) / 10, 1], atol=1e-6)
    assert (presence[110:250] == 1).all()  # no breath between legato notes, nor in a gap under a frame
    np.testing.assert_allclose(presence[250:270], 1 - (np.arange(20) + 0.5) / 20, atol=1e-6)
    assert (presence[270:] == 0).all()


def test_of_overlapping_notes_the_later_wins_from_its_start() -> None:
    values = controls(Voice(notes=(Note(0.0, 3.0, 60), Note(1.0, 0.5, 67)))).values
    assert (values["pitch"][:100] == 60).all()
    assert (values["pitch"][100:] == 67).all()
    assert (values["presence"][:150] == 1).all()
    assert (values["presence"][150:] == 0).all()


def test_velocity_becomes_loudness() -> None:
    notes = (Note(0.0, 1.0, 60, 96), Note(1.0, 1.0, 60, 127), Note(2.0, 1.0, 60, 1))
    loudness = controls(Voice(notes=notes)).values["loudness"]
    slope = SHARP.velocity_to_loudness_db / 127
    np.testing.assert_allclose(loudness[[50, 150, 250]], [-24, -24 + 31 * slope, -24 - 95 * slope], atol=1e-5)


def test_drawn_technique_weights_keep_their_value_and_others_make_room() -> None:
    preset = Preset(id="p", name="P", technique={"modal": 0.6, "breathy": 0.4})
    values = controls(Voice(lanes={"technique.growl": Lane(((0.0, 0.0), (4.0, 1.0)))}), preset).values
    middle = 200
    np.testing.assert_allclose(values["technique.growl"][middle], 0.50125, atol=1e-5)
    np.testing.assert_allclose(values["technique.modal"][middle], 0.6 * 0.49875, atol=1e-5)
    both = {f"technique.{name}": Lane(((0.0, 1.0),)) for name in ("growl", "scream")}
    values = controls(Voice(lanes=both), preset).values
    assert values["technique.growl"][0] == 0.5
    assert values["technique.modal"][0] == 0


def test_silence_outside_the_passage_even_when_presence_is_drawn() -> None:
    passage = Passage(1.0, voices=(Voice(lanes={"presence": Lane(((0.0, 1.0),))}),))
    presence = resolve(passage, passage.voices[0], SHARP, -16, 132).values["presence"]
    assert (presence[:16] == 0).all()
    assert (presence[16:116] == 1).all()
    assert (presence[116:] == 0).all()


def test_adapter_strengths_pass_through() -> None:
    values = controls(Voice(lanes={"adapter.ab12.late": Lane(((0.0, 1.25),))})).values
    assert (values["adapter.ab12.late"] == 1.25).all()


def test_a_window_of_a_two_hour_passage_is_fast() -> None:
    """20,000 notes and 30,000 points: a window costs what is near it."""
    notes = tuple(Note(index * 0.36, 0.3, 40 + index % 30) for index in range(19_990))
    lane = Lane(tuple((index * 0.2, 0.5) for index in range(30_000)), "smooth")
    passage = Passage(7200.0, voices=(Voice(notes=notes, lanes={"fry": lane, "tension": lane}),))
    costs_s = []
    for start in range(0, 700_000, 14_000):
        begun_s = time.perf_counter()
        resolve(passage, passage.voices[0], NEUTRAL_PRESET, start, 112)
        costs_s.append(time.perf_counter() - begun_s)
    assert np.median(costs_s) < 0.002
