"""Phrases as people shape them: notes, vibrato, breaks, sobs, sighs, vowels, and the people themselves."""

from __future__ import annotations

import numpy as np
import pytest

from synth.corpus.gestures import hold_note
from synth.corpus.habits import HABITS, compass, manner_of, somebody
from synth.corpus.intonation import intone
from synth.corpus.phrases import VOWELS_HZ, break_register, delayed, melody, sigh, sob, vowels
from synth.corpus.speakers import SpeakerSpec, random_speaker
from synth.corpus.voice_source import Float64Array
from synth.spec.calibration import to_physical
from synth.spec.lanes import TECHNIQUES, lane

_N = 300


def _plain_lanes() -> dict[str, Float64Array]:
    values = {"pitch": 60.0, "loudness": -24.0, "breathiness": 0.2, "roughness": 0.0, "fry": -0.2, "tension": 0.5}
    return {name: np.full(_N, value) for name, value in values.items()}


def _speakers(count: int) -> list[SpeakerSpec]:
    return [random_speaker(np.random.default_rng(seed), chaos=0.2) for seed in range(count)]


def test_vibrato_comes_in_late_on_every_note() -> None:
    share = delayed(100, np.array([0, 50]), np.array([10.0, 20.0]), 5.0)
    assert share[:11].max() == 0.0
    assert share[16:50].min() == 1.0
    assert share[50:71].max() == 0.0
    assert share[76:].min() == 1.0


def test_melodies_stay_about_their_compass_and_notes_are_joined() -> None:
    for seed in range(60):
        pitch, vibrato = melody(np.random.default_rng(seed), _N, (50.0, 70.0), 60.0)
        assert pitch.shape == vibrato.shape == (_N,)
        assert pitch.min() > 46.0
        assert pitch.max() < 74.0
        assert np.abs(np.diff(pitch)).max() < 3.5  # portamento, even over a fifth: no step within one frame
        assert 0.0 <= vibrato.min() <= vibrato.max() <= 1.0


def test_a_register_break_jumps_and_is_disordered_for_a_moment() -> None:
    for seed in range(20):
        lanes = _plain_lanes()
        break_register(np.random.default_rng(seed), lanes)
        jump = np.abs(lanes["pitch"] - 60.0).max()
        assert 4.0 <= jump <= 12.0
        disordered = lanes["fry"] > -0.1
        assert 2 <= disordered.sum() <= 60
        assert lanes["loudness"].min() < -26.5


def test_a_sob_breaks_off_again_and_again() -> None:
    lanes = _plain_lanes()
    sob(np.random.default_rng(2), lanes)
    quiet = lanes["loudness"] < -28.0
    assert 6 <= np.count_nonzero(np.diff(quiet.astype(int)) == 1) <= 18


def test_a_sigh_falls_and_ends_in_breath() -> None:
    for seed in range(20):
        lanes = _plain_lanes()
        sigh(np.random.default_rng(seed), lanes)
        assert lanes["pitch"][-1] < lanes["pitch"][0] - 3.9
        assert lanes["loudness"][-1] < lanes["loudness"][0] - 7.9
        assert lanes["breathiness"][-1] > 1.0
        assert lanes["breathiness"][_N // 3] < lanes["breathiness"][-1] - 0.3


def test_whispered_vowels_lie_higher_as_measured_in_throats() -> None:
    """Swerdlin, Smith & Wolfe 2010: whispering raises R1 by 255 Hz on average."""

    def mean_f1_hz(technique: str) -> float:
        calibration = lane("vowel_open").calibration
        assert calibration is not None
        found = [vowels(np.random.default_rng(seed), 50, technique, 1.0)[0][0] for seed in range(400)]
        return float(to_physical(calibration, np.clip(found, 0.0, 1.0)).mean())

    spoken = float(np.mean([f1_hz for f1_hz, _ in VOWELS_HZ]))
    assert mean_f1_hz("modal") == pytest.approx(spoken, abs=60.0)
    assert 120.0 < mean_f1_hz("whisper") - mean_f1_hz("modal") < 300.0


def test_small_tracts_sing_high() -> None:
    people = [somebody(np.random.default_rng(seed)) for seed in range(200)]
    tract, middle = np.array([(person.tract, person.middle_note) for person in people]).T
    assert np.corrcoef(tract, middle)[0, 1] < -0.9
    assert tract.min() < 0.0
    assert tract.max() > 0.9
    for person in people[:40]:
        for habit in HABITS.values():
            low, high = compass(habit, person)
            assert habit.pitch[0] <= low < high <= habit.pitch[1]
            assert high - low >= 8.0


def test_false_folds_of_growls_keep_step_or_do_not() -> None:
    manners = [manner_of(np.random.default_rng(seed), "growl") for seed in range(200)]
    locked = [manner["fry"][0] >= 0.4 for manner in manners]
    assert 0.25 < np.mean(locked) < 0.55


def test_people_differ_as_published() -> None:
    """Vibrato 4.5-7 Hz, its extent below a whole tone, jitter and shimmer of healthy voices, tremor at 3.8-5.5 Hz."""
    people = _speakers(300)
    assert all(4.5 <= person.vibrato_hz <= 7.0 for person in people)
    singers = [person.vibrato_cents for person in people if person.vibrato_cents > 0.0]
    assert 0.35 < len(singers) / 300 < 0.65
    assert 30.0 < np.median(singers) < 80.0
    assert max(singers) <= 130.0
    # Mean absolute difference of periods is 0.8 of its rms for Gaussian jitter; MDVP's threshold is 1.04 %.
    assert np.percentile([0.8 * person.jitter_ratio for person in people], 95) < 0.0104
    assert 0.0 < np.mean([person.tremor_cents > 0.0 for person in people]) < 0.15
    assert all(3.8 <= person.tremor_hz <= 5.5 for person in people if person.tremor_cents > 0.0)


def test_a_held_note_is_never_straight_and_vibrato_has_its_rate() -> None:
    for seed, person in enumerate(_speakers(12)):
        rng = np.random.default_rng(seed)
        held = intone(np.zeros(1_000), person, rng)
        assert 2.0 < held.cents.std() < 70.0
        assert 0.3 < held.level_db.std() < 3.5
        assert 0.2 < held.alpha_db.std() < 3.0
        assert np.abs(held.vowel_ratio - 1.0).max() < 0.15
        if person.vibrato_cents < 30.0 or person.tremor_cents > 0.0:
            continue
        sung = intone(np.ones(1_000), person, rng).cents
        power = np.abs(np.fft.rfft((sung - sung.mean()) * np.hanning(1_000))) ** 2
        hz = np.fft.rfftfreq(1_000, 0.01)
        band = (hz > 3.0) & (hz < 9.0)
        assert (power[band] * hz[band]).sum() / power[band].sum() == pytest.approx(person.vibrato_hz, abs=0.7)


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_held_notes_are_of_the_technique(technique: str) -> None:
    gesture = hold_note(np.random.default_rng(1), 100, technique)
    assert gesture.technique[technique].min() == 1.0
    assert gesture.lanes["presence"].min() == 1.0
    low, high = HABITS[technique].pitch
    assert gesture.lanes["pitch"].max() <= high
    if technique != "sigh":
        assert gesture.lanes["pitch"].min() >= low
        assert np.ptp(gesture.lanes["pitch"]) == 0.0
