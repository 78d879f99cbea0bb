"""Keys and pedals: no note is lost, none sticks, and the right one yields."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.live.performance.commands import Glide, Kill, Release, StartVoice
from app.live.performance.gestures import NETWORK, KeyPressed
from app.live.performance.keys import LATE_S, MAX_KEYS_DOWN, MIN_SOUND_S, TAIL_MARGIN_S
from app.state.controller_profile import ControllerProfile, default_profile
from app.state.preset import NEUTRAL_PRESET
from app.state.response import ResponseCurve
from tests.app.live.performance.stage import Stage, told

PROFILE = default_profile("test")


def stage(**changes: Any) -> Stage:
    return Stage(replace(PROFILE, **changes))


def test_a_note_starts_and_is_released() -> None:
    playing = Stage()
    (start,) = told(playing.play("903c64"), StartVoice)
    assert (start.t_s, start.note, start.velocity, start.cents) == (10.0, 60.0, 100.0, 0.0)
    (release,) = told(playing.play("803c28", after_s=0.5), Release)
    assert (release.t_s, release.voice, release.velocity) == (10.5, start.voice, 40)
    assert playing.performance.n_voices == 1  # its tail
    playing.performance.finished(start.voice, playing.now_s)
    assert playing.performance.n_voices == 0


def test_a_short_note_is_released_only_once_it_has_been_heard() -> None:
    playing = Stage(sounds_late=True)
    playing.play("903c64")
    assert playing.play("803c00", after_s=0.001) == []
    assert playing.wait(0.05) == []
    playing.performance.sounded(1, playing.now_s)
    assert playing.wait(MIN_SOUND_S / 2) == []
    (release,) = told(playing.wait(MIN_SOUND_S), Release)
    assert release.t_s == pytest.approx(10.051 + MIN_SOUND_S)
    assert playing.performance.n_lost == 0


def test_a_note_the_engine_never_sounds_does_not_stick() -> None:
    playing = Stage(sounds_late=True)
    playing.play("903c64 803c00")
    assert playing.wait(LATE_S) == []
    assert told(playing.wait(0.01), Kill)
    assert playing.performance.n_lost == 1
    assert playing.performance.n_voices == 0


def test_a_tail_that_never_ends_is_killed() -> None:
    playing = Stage()
    playing.play("903c64")
    playing.play("803c00", after_s=1.0)
    assert playing.wait(NEUTRAL_PRESET.release_s + TAIL_MARGIN_S - 0.001) == []
    assert told(playing.wait(0.01), Kill)


def test_a_note_that_fails_is_over() -> None:
    playing = Stage(sounds_late=True)
    playing.play("903c64")
    assert told(playing.heard(playing.performance.finished(1, 10.1)), Kill)
    assert playing.performance.n_lost == 1
    assert playing.play("803c00") == []


def test_lost_notes_that_made_room_for_others_are_told_apart() -> None:
    playing = Stage(replace(PROFILE, polyphony=2), sounds_late=True)
    playing.play("903c64 903e64 904064")  # the third takes the first one's place
    assert (playing.performance.n_lost, playing.performance.n_stolen_unheard) == (1, 1)
    playing.performance.sounded(2, playing.now_s)
    playing.play("904164")  # the second has been heard
    playing.heard(playing.performance.finished(3, playing.now_s))  # nobody's doing
    assert (playing.performance.n_lost, playing.performance.n_stolen_unheard) == (2, 1)


def test_offs_without_notes_and_notes_without_offs() -> None:
    playing = Stage()
    assert playing.play("803c00 903c00 8f3c40") == []
    playing.play("903c64")
    commands = playing.play("903c64", after_s=0.2)  # the key again, without an off
    assert [type(command) for command in commands] == [Kill, StartVoice]
    playing.play("803c00", after_s=0.2)
    assert playing.sounding == []


def test_a_key_struck_twice_before_anything_was_heard_is_heard_twice() -> None:
    playing = Stage(sounds_late=True)
    assert len(told(playing.play("903c64 803c00 903c64 903c64 803c00"), StartVoice)) == 3
    for voice in (1, 2, 3):
        playing.performance.sounded(voice, playing.now_s)
    assert len(told(playing.wait(0.5), Release)) == 3
    assert playing.performance.n_lost == 0


# ---- stealing


@pytest.mark.parametrize(
    ("stealing", "setting", "victim"),
    [
        ("oldest", "903c64 904050 904370", 60),
        ("quietest", "903c64 904050 904370", 64),
        ("oldest", "903c64 904050 904370 WAIT 804000", 64),  # a tail yields first
        ("oldest", "903c64 b0407f 904050 904370 WAIT 804300", 67),  # then a note only the pedal holds
    ],
)
def test_the_right_note_yields(stealing: str, setting: str, victim: int) -> None:
    playing = stage(polyphony=3, stealing=stealing)
    notes: dict[int, float] = {}
    for part in setting.split("WAIT"):
        notes |= {start.voice: start.note for start in told(playing.play(part, after_s=0.3), StartVoice)}
    (kill,) = told(playing.play("904864", after_s=0.3), Kill)
    assert notes[kill.voice] == victim
    assert playing.performance.n_voices == 3


def test_a_note_nobody_has_heard_yields_last() -> None:
    playing = Stage(replace(PROFILE, polyphony=2), sounds_late=True)
    playing.play("903c64 904064")
    playing.performance.sounded(2, 10.0)
    (kill,) = told(playing.play("904864", after_s=0.3), Kill)
    assert kill.voice == 2
    assert playing.performance.n_lost == 0


# ---- pedals


def test_sustain_holds_what_is_let_go() -> None:
    playing = Stage()
    playing.play("903c64 b0407f")
    assert playing.play("803c00", after_s=0.5) == []
    assert playing.play("904064 804000", after_s=0.5)[1:] == []
    released = told(playing.play("b04000", after_s=0.5), Release)
    assert [release.voice for release in released] == [1, 2]


def test_half_of_a_pedal_is_enough() -> None:
    playing = Stage()
    playing.play("903c64 b04040")
    assert playing.play("803c00", after_s=0.5) == []
    assert told(playing.play("b0403f"), Release)


def test_sostenuto_holds_only_what_was_down() -> None:
    playing = Stage()
    playing.play("903c64 b0427f 904064")
    assert [r.voice for r in told(playing.play("803c00 804000", after_s=0.5), Release)] == [2]
    assert [r.voice for r in told(playing.play("b04200"), Release)] == [1]


def test_both_pedals() -> None:
    playing = Stage()
    playing.play("903c64 b0427f b0407f")
    assert playing.play("803c00", after_s=0.5) == []
    assert playing.play("b04000") == []  # sostenuto still has it
    playing.play("b0407f")
    assert playing.play("b04200") == []  # sustain has it now
    assert told(playing.play("b04000"), Release)


def test_a_pedalled_key_struck_again_lets_its_old_note_ring_out() -> None:
    playing = Stage()
    playing.play("903c64 b0407f")
    playing.play("803c00", after_s=0.5)
    assert [type(c) for c in playing.play("903c64", after_s=0.1)] == [Release, StartVoice]


def test_pedals_hold_other_channels_but_not_on_screen_keys() -> None:
    playing = Stage()
    playing.play("913c64 b0407f")
    assert playing.play("813c00", after_s=0.5) == []
    assert told(playing.play("b04000"), Release)


# ---- mono and legato


def test_mono_plays_the_last_key_and_comes_back() -> None:
    playing = stage(playing="mono")
    playing.play("903c64")
    assert [type(c) for c in playing.play("904064", after_s=0.2)] == [Kill, StartVoice]
    back = playing.play("804000", after_s=0.2)
    assert [type(c) for c in back] == [Kill, StartVoice]
    assert playing.sounding == [60.0]
    playing.play("803c00", after_s=0.2)
    assert playing.sounding == []


def test_legato_glides_without_a_new_onset() -> None:
    playing = stage(playing="legato", glide="time", glide_s=0.1)
    playing.play("903c64")
    (glide,) = playing.play("904364", after_s=0.2)
    assert glide == Glide(10.2, 1, 67.0, 0.1, True)
    assert playing.play("803c00", after_s=0.2) == []  # not the sounding key
    playing.play("903c64", after_s=0.1)
    (back,) = playing.play("803c00", after_s=0.1)
    assert isinstance(back, Glide)
    assert back.note == 67.0
    assert told(playing.play("804300", after_s=0.2), Release)
    assert told(playing.play("904364", after_s=0.2), StartVoice)
    assert told(playing.play("904364", after_s=0.2), StartVoice)  # the same key, struck anew


@pytest.mark.parametrize(("priority", "expected"), [("last", 62.0), ("highest", 67.0), ("lowest", 60.0)])
def test_priorities(priority: str, expected: float) -> None:
    playing = stage(playing="mono", priority=priority)
    playing.play("903c64 904364 903e64", after_s=0.2)
    assert playing.sounding == [expected]
    playing.play("803c00 804300 803e00", after_s=0.2)
    playing.wait(0.2)  # the key below was heard for a moment
    assert playing.sounding == []


def test_all_notes_off_forgets_the_keys_below() -> None:
    playing = stage(playing="mono")
    playing.play("903c64 904064", after_s=0.2)
    playing.play("b07b00", after_s=0.2)
    assert playing.sounding == []
    assert playing.play("804000") == []


def test_keys_that_never_come_up_are_forgotten() -> None:
    playing = stage(playing="legato", priority="lowest")
    for key in range(3 * MAX_KEYS_DOWN):
        playing.do(KeyPressed(10.0, NETWORK, key, 30.0 + key / 10, 90.0))
    assert len(playing.sounding) == 1
    playing.panic()
    assert playing.performance.n_voices == 0


@pytest.mark.parametrize(
    ("glide", "time_s", "is_linear"), [("time", 0.08, True), ("rate", 7 / 60, True), ("approach", 0.08, False)]
)
def test_glides_from_the_note_before(glide: str, time_s: float, is_linear: bool) -> None:
    playing = stage(glide=glide)
    (first,) = told(playing.play("903c64"), StartVoice)
    assert first.glide_from is None
    (start,) = told(playing.play("904364", after_s=0.2), StartVoice)
    assert (start.note, start.glide_from, start.glide_is_linear) == (67.0, 60.0, is_linear)
    assert start.glide_time_s == pytest.approx(time_s)


def test_portamento_switch_and_time() -> None:
    playing = Stage()
    playing.play("903c64 b0417f b00540")
    (start,) = told(playing.play("904364", after_s=0.2), StartVoice)
    assert (start.glide_from, start.glide_time_s) == (60.0, pytest.approx(2.0 * (64 / 127) ** 2))
    playing.play("b04100")
    (start,) = told(playing.play("904564", after_s=0.2), StartVoice)
    assert start.glide_from is None


# ---- velocity


@pytest.mark.parametrize(
    ("profile", "velocity", "expected"),
    [
        (PROFILE, 1, 1.0),
        (PROFILE, 127, 127.0),
        (replace(PROFILE, fixed_velocity=90), 3, 90.0),
        (replace(PROFILE, velocity_curve=ResponseCurve("points", points=((0, 0.5), (1, 1)))), 1, 64.0),
    ],
)
def test_velocity(profile: ControllerProfile, velocity: int, expected: float) -> None:
    (start,) = told(Stage(profile).play(f"903c{velocity:02x}"), StartVoice)
    assert start.velocity == pytest.approx(expected)


# ---- another preset, another manner of playing


def test_a_preset_brings_its_manner_and_what_sounds_keeps_its_own() -> None:
    playing = stage(playing="poly")
    playing.play("903c64 904064")
    legato = replace(PROFILE, playing="legato", glide="time", glide_s=0.2)
    assert playing.heard(playing.performance.set_preset(NEUTRAL_PRESET, playing.now_s, legato)) == []
    assert [type(c) for c in playing.play("904364", after_s=0.2)] == [StartVoice]
    assert sorted(playing.sounding) == [60.0, 64.0, 67.0]
    (glide,) = playing.play("904564", after_s=0.2)
    assert (type(glide), glide.t_s) == (Glide, pytest.approx(playing.now_s))
    playing.play("803c00 804000", after_s=0.2)
    assert playing.sounding == [67.0], "the legato voice, by the note it began with"
    playing.heard(playing.performance.set_preset(NEUTRAL_PRESET, playing.now_s, PROFILE))
    playing.play("803c00 804300 804500", after_s=0.2)
    assert playing.sounding == []
    playing.play("903c64 904064", after_s=0.2)
    assert sorted(playing.sounding) == [60.0, 64.0]


def test_a_legato_note_does_not_slide_into_another_preset() -> None:
    playing = stage(playing="legato")
    playing.play("903c64")
    playing.heard(playing.performance.set_preset(NEUTRAL_PRESET, playing.now_s, replace(PROFILE, playing="legato")))
    assert [type(c) for c in playing.play("904064", after_s=0.2)] == [Kill, StartVoice]
    assert [type(c) for c in playing.play("904364", after_s=0.2)] == [Glide]


def test_fewer_voices_are_kept_from_the_next_note_on() -> None:
    playing = stage(polyphony=4)
    playing.play("903c64 904064 904364")
    playing.heard(playing.performance.set_preset(NEUTRAL_PRESET, playing.now_s, replace(PROFILE, polyphony=2)))
    assert len(playing.sounding) == 3
    playing.play("904864", after_s=0.2)
    assert len(playing.sounding) == 2
