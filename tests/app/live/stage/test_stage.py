"""From events to samples: onsets at their sample, ends, presets, hands, and a sampler that dies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from app.live.performance.gestures import KEYBOARD, KeyLifted, KeyPressed, LaneMoved, PanicAsked
from app.live.stage import meter as fields
from app.live.stage.memory import N_SLOTS
from app.live.stage.messages import PresetChosen, StageNotice
from app.live.stage.voices import SoundingVoice
from app.midi.messages import ControlChange, NoteOff, NoteOn, PitchBend, Pressure, ProgramChange
from app.state.controller_profile import Binding, default_profile
from app.state.preset import Preset
from synth.engine import Engine
from synth.spec.lanes import LANE_IDS
from tests.app.live.stage.rig import BLOCK, StageRig
from tests.tiny_weights import tiny_engine

KEY = 57  # the middle of the region that onsets are made for first


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return tiny_engine(Path(tmp_path_factory.mktemp("weights")))


@pytest.fixture
def rig(engine: Engine) -> Iterator[StageRig]:
    made = StageRig(engine)
    yield made
    made.close()


def press(rig: StageRig, key: int = KEY, *, velocity: int = 96, place: int = 0) -> None:
    rig.feed(NoteOn(0.0, 0, key, velocity), place)


def lift(rig: StageRig, key: int = KEY) -> None:
    rig.feed(NoteOff(0.0, 0, key))


def figure(rig: StageRig, name: int) -> int:
    return int(rig.meter.ints[name])


def assert_all_slots_free(rig: StageRig) -> None:
    assert rig.memory.serial.tolist() == [0] * N_SLOTS
    assert rig.memory.served.tolist() == [0] * N_SLOTS


@pytest.mark.parametrize("place", [0, 1, 77, BLOCK - 1])
def test_an_onset_made_ahead_sounds_in_its_block_at_its_sample(rig: StageRig, place: int) -> None:
    rig.make_onsets()
    press(rig, place=place)
    block = rig.play(BLOCK / 48_000)
    assert figure(rig, fields.HITS) == 1
    assert not block[:place].any()
    later = rig.play(0.005)
    heard = np.concatenate([block, later])
    assert np.flatnonzero(heard)[0] - place <= 6


def test_the_same_note_sounds_the_same_wherever_it_falls_in_a_block(engine: Engine) -> None:
    heard = []
    for place in (0, 50):
        rig = StageRig(engine)
        rig.make_onsets()
        press(rig, place=place)
        heard.append(rig.play(0.3)[place:])
        rig.close()
    length = min(map(len, heard))
    loudest = np.abs(heard[0]).max()
    assert loudest > 0
    # Phases are summed in blocks: equal but for rounding, until the first filters that see the pitch of their block.
    assert np.abs(heard[0][:2400] - heard[1][:2400]).max() < 1e-3 * loudest
    assert length > 12_000


def test_a_note_nobody_made_an_onset_for_waits_and_sounds(rig: StageRig) -> None:
    press(rig)
    assert figure(rig, fields.MISSES) == 1
    assert np.abs(rig.play(0.1)).max() > 0
    assert figure(rig, fields.N_LATENCIES_TOLD) == 1


def test_a_held_note_goes_on_beyond_its_onset_and_never_lacks_frames(rig: StageRig) -> None:
    rig.make_onsets()
    press(rig)
    audio = rig.play(2.0)
    assert np.abs(audio[-4800:]).max() > 1e-4
    lift(rig)
    rig.play(0.5)
    assert figure(rig, fields.LATE_FRAMES) == 0
    assert figure(rig, fields.STARVED) == 0


def test_a_note_ends_and_gives_its_slot_back(rig: StageRig) -> None:
    rig.make_onsets()
    press(rig)
    rig.play(0.2)
    lift(rig)
    rig.play(0.4)
    assert not rig.play(0.05).any()
    assert_all_slots_free(rig)
    assert figure(rig, fields.N_LOST) == 0


def test_a_touched_key_is_heard(rig: StageRig) -> None:
    press(rig)
    lift(rig)
    assert np.abs(rig.play(0.3)).max() > 0
    rig.play(0.3)
    assert_all_slots_free(rig)
    assert figure(rig, fields.N_LOST) == 0


def test_panic_silences_everything_within_five_milliseconds(rig: StageRig) -> None:
    rig.make_onsets()
    for key in (50, 57, 64):
        press(rig, key)
    rig.play(0.3)
    rig.feed(PanicAsked(0.0))
    rig.play(0.006)
    assert not rig.play(0.1).any()
    assert_all_slots_free(rig)


def test_sustain_holds_and_lets_go(rig: StageRig) -> None:
    rig.make_onsets()
    rig.feed(ControlChange(0.0, 0, 64, 127))
    press(rig)
    rig.play(0.2)
    lift(rig)
    assert np.abs(rig.play(0.4)[-2400:]).max() > 1e-4
    rig.feed(ControlChange(0.0, 0, 64, 0))
    rig.play(0.4)
    assert not rig.play(0.05).any()


def test_a_bend_moves_the_pulses_of_its_own_block(engine: Engine) -> None:
    heard = []
    for amount in (0.0, 1.0):
        rig = StageRig(engine)
        rig.make_onsets()
        press(rig)
        rig.play(0.2)
        rig.feed(PitchBend(0.0, 0, amount))
        heard.append(rig.play(0.02))
        rig.close()
    apart = np.abs(heard[0] - heard[1])
    period = 48_000 / 220.0
    assert np.argmax(apart > 0.02 * np.abs(heard[0]).max()) < 2 * period


def test_a_moved_lane_is_drawn_anew_and_soon_heard(engine: Engine) -> None:
    heard, redrawn = [], []
    for value in (None, 1.0):
        rig = StageRig(engine)
        rig.make_onsets()
        press(rig)
        rig.play(0.5)
        if value is not None:
            rig.feed(LaneMoved(0.0, "breathiness", value))
        heard.append(rig.play(0.2))
        redrawn.append(figure(rig, fields.REDRAWN))
        rig.close()
    apart = np.abs(heard[0] - heard[1]) > 1e-3 * np.abs(heard[0]).max()
    assert redrawn[0] == 0 < redrawn[1]
    assert apart.any()
    assert np.argmax(apart) < 0.06 * 48_000


def test_onsets_follow_where_hands_rest(rig: StageRig) -> None:
    rig.make_onsets()
    rig.feed(LaneMoved(0.0, "breathiness", 1.0))
    rig.play(0.1, steps=0)
    press(rig)
    rig.play(0.1)
    assert figure(rig, fields.MISSES) == 1
    lift(rig)
    rig.play(0.8)
    rig.make_onsets()
    press(rig)
    assert figure(rig, fields.HITS) == 1


def test_a_program_change_sings_the_next_note_with_another_preset(rig: StageRig) -> None:
    rig.make_onsets()
    press(rig, 50)
    rig.play(0.2)
    rig.feed(ProgramChange(0.0, 0, 1))
    press(rig, 60)
    audio = rig.play(0.1)
    assert PresetChosen("soft") in rig.said
    timbres = {voice.singer.preset.id for voice in rig.instrument.sounding}
    assert timbres == {"plain", "soft"}
    windows = np.abs(audio[: len(audio) // 240 * 240]).reshape(-1, 240).max(axis=1)
    assert windows.min() > 0


def test_a_program_that_is_not_there_changes_nothing_and_says_so(rig: StageRig) -> None:
    rig.said.clear()
    rig.feed(ProgramChange(0.0, 0, 99))
    assert [type(news) for news in rig.said] == [StageNotice]
    press(rig)
    assert next(iter(rig.instrument.sounding)).singer.preset.id == "plain"


def test_a_new_sampler_brings_held_notes_back(rig: StageRig) -> None:
    rig.make_onsets()
    press(rig)
    living = rig.play(0.5)
    rig.sampler = None
    dying = rig.play(1.2)
    assert np.abs(dying[:2400]).max() > 1e-4
    assert not dying[-2400:].any()
    assert figure(rig, fields.STARVED) == 1
    assert np.abs(np.diff(dying)).max() <= 1.5 * np.abs(np.diff(living)).max()
    rig.replace_sampler()
    assert np.abs(rig.play(0.5)[-2400:]).max() > 1e-4
    lift(rig)
    rig.play(0.6)
    assert not rig.play(0.05).any()
    assert_all_slots_free(rig)


def test_voices_yield_where_the_sampler_cannot_keep_up(rig: StageRig) -> None:
    rig.make_onsets()
    rig.meter.ints[fields.MAX_VOICES] = 2
    assert rig.sampler is not None
    sampler, rig.sampler = rig.sampler, None
    for key in (50, 54, 57):
        press(rig, key)
    rig.sampler = sampler
    assert len(list(rig.instrument.sounding)) == 2
    assert figure(rig, fields.STOLEN) == 1
    rig.instrument.sound(np.zeros(128, dtype=np.float32), rig.now_s, rig.now_s)
    assert figure(rig, fields.STOLEN_UNHEARD) == figure(rig, fields.N_LOST) == 1


def test_another_controller_lets_go_and_numbers_may_be_used_again(rig: StageRig) -> None:
    rig.make_onsets()
    press(rig)
    rig.play(0.2)
    rig.instrument.use_profile(default_profile("other"), rig.now_s)
    press(rig, 60)
    rig.play(0.6)
    assert [voice.start.note for voice in rig.instrument.sounding] == [60.0]


def test_storms_leave_no_note_behind(rig: StageRig) -> None:
    rng = np.random.default_rng(1)
    rig.make_onsets()
    for _ in range(40):
        for _ in range(int(rng.integers(1, 30))):
            channel, key, value = (int(rng.integers(0, n)) for n in (16, 128, 128))
            events = (
                NoteOn(0.0, channel, key, max(value, 1)),
                NoteOff(0.0, channel, key),
                ControlChange(0.0, channel, key, value),
                PitchBend(0.0, channel, value / 64 - 1),
                Pressure(0.0, channel, value),
                ProgramChange(0.0, channel, key),
            )
            rig.feed(events[int(rng.integers(0, len(events)))], int(rng.integers(0, BLOCK)))
        audio = rig.play(0.006, steps=2)
        assert np.isfinite(audio).all()
    for channel in range(16):
        rig.feed(ControlChange(0.0, channel, 123, 0))
    rig.play(2.5, steps=2)
    assert list(rig.instrument.sounding) == []
    assert not rig.play(0.05).any()


def test_keys_on_screen_play_fractional_notes(rig: StageRig) -> None:
    rig.make_onsets()
    rig.feed(KeyPressed(0.0, KEYBOARD, 5750, 57.5, 96.0))
    assert np.abs(rig.play(0.1)).max() > 0
    rig.feed(KeyLifted(0.0, KEYBOARD, 5750))
    rig.play(0.5)
    assert_all_slots_free(rig)


def test_keys_that_were_pressed_before_the_sampler_was_ready_sound_when_it_is(engine: Engine) -> None:
    rig = StageRig(engine)
    rig.sampler, rig.meter.ints[fields.SAMPLER_EPOCH] = None, 0
    press(rig)
    assert not rig.play(0.2).any()
    rig.replace_sampler()
    assert np.abs(rig.play(0.5)).max() > 1e-4
    lift(rig)
    rig.play(0.6)
    assert_all_slots_free(rig)
    rig.close()


def test_a_voice_that_is_no_number_ends_and_the_others_go_on(rig: StageRig) -> None:
    rig.make_onsets()
    press(rig)
    press(rig, KEY + 7)
    rig.play(0.2)
    broken = rig.instrument.sounding[0]
    rig.memory.frames.gain[broken.slot] = np.nan
    rig.memory.frames.pulse_filters[broken.slot] = np.nan
    after = rig.play(0.3)
    assert np.isfinite(after).all()
    assert np.abs(after[-2400:]).max() > 1e-4
    assert [voice.start.note for voice in rig.instrument.sounding] == [KEY + 7.0]
    assert any(isinstance(news, StageNotice) for news in rig.said)
    lift(rig, KEY + 7)
    rig.play(0.6)
    assert_all_slots_free(rig)


def test_program_numbers_change_under_a_held_note(rig: StageRig) -> None:
    """The note goes on to the sample as if nothing had happened, and the next program change calls by the new ones."""
    rig.make_onsets()
    press(rig)
    rig.play(0.2)
    (held,) = rig.instrument.sounding
    rig.instrument.know_preset(Preset("third", "Third", attack_s=0.0))
    rig.instrument.use_programs(("third", "soft", "plain"))
    assert rig.instrument.sounding == [held]
    assert held.released_s is None
    assert figure(rig, fields.PRESET) == 2  # what is sung next has not changed
    rig.feed(ProgramChange(0.0, 0, 0))
    press(rig, KEY + 4)
    assert [voice.singer.preset.id for voice in rig.instrument.sounding] == ["plain", "third"]
    rig.instrument.use_programs(("plain", "soft"))  # what is sung next has lost its number
    rig.feed(ProgramChange(0.0, 0, 2))
    press(rig, KEY + 7)
    assert rig.instrument.sounding[-1].singer.preset.id == "third"
    rig.feed(ProgramChange(0.0, 0, 1))
    press(rig, KEY + 9)
    assert rig.instrument.sounding[-1].singer.preset.id == "soft"


def test_onsets_are_wanted_for_the_nearest_of_a_bank_of_any_size(rig: StageRig) -> None:
    bank = [Preset(f"p{number}", "P", pitch_drift=number / 100) for number in range(80)]
    rig.instrument.use_bank(bank, 40, rig.now_s)
    near = np.argsort(rig.memory.group_rank + 1000 * (rig.memory.group_version == 0))[:3]
    assert rig.memory.group_drift[near[0]] == pytest.approx(0.40)
    before = rig.memory.group_version.copy()
    rig.feed(ProgramChange(0.0, 0, 41))
    assert (rig.memory.group_version != before).sum() == 1  # one comes, one goes: all others' onsets stay


def test_what_is_learnt_leaves_held_notes_and_faders_alone(rig: StageRig) -> None:
    profile = default_profile("Keystep")
    rig.instrument.use_profile(profile, rig.now_s)
    rig.make_onsets()
    press(rig)
    rig.feed(LaneMoved(0.0, "tension", 0.9))
    rig.play(0.2)
    rig.instrument.use_profile(profile.with_binding(Binding("cc20", "fry", 0.0, 1.0)), rig.now_s)
    rig.play(0.1)
    (held,) = rig.instrument.sounding
    assert held.released_s is None
    assert lane_of(rig, held, "tension") == pytest.approx(0.9)
    rig.feed(ControlChange(0.0, 0, 20, 127))
    rig.feed(LaneMoved(0.0, "tension", None))
    rig.play(0.3)
    assert lane_of(rig, held, "fry") == pytest.approx(1.0, abs=0.02)
    assert lane_of(rig, held, "tension") != pytest.approx(0.9, abs=0.05)


def test_another_controller_does_not_leave_lanes_where_nobody_can_move_them(rig: StageRig) -> None:
    rig.feed(ControlChange(0.0, 0, 1, 127))  # the wheel of the old one: roughness
    rig.feed(LaneMoved(0.0, "tension", 0.9))
    rig.play(0.2)
    rig.instrument.use_profile(default_profile("other"), rig.now_s)
    rig.play(0.3)
    press(rig)
    rig.play(0.05)
    (voice,) = rig.instrument.sounding
    assert lane_of(rig, voice, "roughness") == pytest.approx(resting(rig, "roughness"), abs=0.02)
    assert lane_of(rig, voice, "tension") == pytest.approx(resting(rig, "tension"), abs=0.02)


def lane_of(rig: StageRig, voice: SoundingVoice, lane_id: str) -> float:
    return float(rig.memory.lanes[voice.slot, LANE_IDS.index(lane_id)])


def resting(rig: StageRig, lane_id: str) -> float:
    return float(rig.instrument._singing.resting[LANE_IDS.index(lane_id)])
