"""F1 and F2 come back from voices whose harmonics are wider apart than their resonances."""

from __future__ import annotations

import numpy as np
import pytest

from synth.features import analyse
from synth.features.formants import measure_formants
from synth.features.vowels import HIGHEST_F0_HZ, measure_vowel
from tests.synth.features.voices import voice

INNER = slice(10, -10)


def _vowel(f0_hz: float, f1_hz: float, f2_hz: float, *, hnr_db: float = 25.0) -> tuple[float, float]:
    tract = ((f1_hz, 80.0), (f2_hz, 100.0), (2_600.0, 150.0), (3_500.0, 200.0))
    audio = voice(f0_hz, 0.6, formants_hz=tract, hnr_db=hnr_db)
    n_frames = len(audio) // 480
    voiced = np.full(n_frames, not np.isneginf(hnr_db))
    first, second = measure_vowel(audio, n_frames, np.full(n_frames, f0_hz), voiced, 2)
    return float(np.median(first[5:-5])), float(np.median(second[5:-5]))


@pytest.mark.parametrize("f0_hz", [62.0, 110.0, 175.0, 250.0])
@pytest.mark.parametrize(("f1_hz", "f2_hz"), [(350.0, 1_900.0), (480.0, 1_000.0), (620.0, 1_600.0), (780.0, 1_250.0)])
def test_vowel_comes_back_at_any_pitch(f0_hz: float, f1_hz: float, f2_hz: float) -> None:
    first_hz, second_hz = _vowel(f0_hz, f1_hz, f2_hz)
    assert first_hz == pytest.approx(f1_hz, rel=0.15)
    assert second_hz == pytest.approx(f2_hz, abs=max(0.1 * f2_hz, 0.8 * f0_hz))  # harmonics stand F0 apart


def test_openness_is_ordered_at_a_pitch_linear_prediction_fails_at() -> None:
    opening = [320.0, 400.0, 500.0, 620.0, 760.0]
    for f0_hz in (210.0, 235.0, 262.0):
        measured = [_vowel(f0_hz, f1_hz, 1_400.0)[0] for f1_hz in opening]
        assert (np.diff(measured) > 20.0).all(), f0_hz


def test_whisper_has_its_vowel() -> None:
    first_hz, second_hz = _vowel(140.0, 600.0, 1_500.0, hnr_db=-np.inf)
    assert first_hz == pytest.approx(600.0, rel=0.15)
    assert second_hz == pytest.approx(1_500.0, rel=0.1)


def test_level_and_slope_do_not_move_the_vowel() -> None:
    audio = voice(130.0, 0.6)
    bright = np.diff(audio, prepend=np.float32(0.0)).astype(np.float32)
    plain = analyse(audio).physical
    for other in (analyse((0.05 * audio).astype(np.float32)).physical, analyse(4.0 * bright).physical):
        for name in ("f1_hz", "f2_hz"):
            moved = np.log(other[name][INNER] / plain[name][INNER])
            assert abs(float(np.median(moved))) < 0.08, name


def test_above_all_vowels_the_neighbours_are_held() -> None:
    audio = voice(150.0, 0.6)
    n_frames = len(audio) // 480
    f0_hz = np.where(np.arange(n_frames) < 40, 150.0, 1.5 * HIGHEST_F0_HZ)
    everything = np.ones(n_frames, dtype=np.bool_)
    formants = measure_formants(audio, n_frames, f0_hz, everything, everything)
    assert np.ptp(formants.f1_hz[42:]) < 1e-6
    assert formants.f1_hz[50] == pytest.approx(formants.f1_hz[30], rel=0.1)
