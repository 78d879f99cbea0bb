"""What each lane measures: known depth in, known depth out, and next to nothing of it in the other lanes."""

from __future__ import annotations

import time

import numpy as np
import pytest

from synth.features import Analysis, analyse, technique_features
from synth.features.analysis import PHYSICAL_NAMES
from synth.spec.audio import n_frames_for
from synth.spec.lanes import ACOUSTIC_LANES, TECHNIQUES
from tests.synth.features.voices import SAMPLE_RATE_HZ, voice

INNER = slice(20, -20)


def _median(analysis: Analysis, name: str) -> float:
    values = analysis.physical[name] if name in analysis.physical else analysis.lanes[name]
    return float(np.median(values[INNER]))


@pytest.mark.parametrize("n_samples", [1, 7, 480, 481, 1_439, 4_800, 24_001])
def test_any_length_gives_every_lane_without_holes(n_samples: int) -> None:
    audio = 0.1 * np.sin(2.0 * np.pi * 200.0 * np.arange(n_samples) / SAMPLE_RATE_HZ)
    analysis = analyse(audio.astype(np.float32))
    n_frames = n_frames_for(n_samples)
    assert analysis.n_frames == n_frames
    assert set(analysis.lanes) == {spec.id for spec in ACOUSTIC_LANES} - {"bend"}
    assert set(analysis.physical) == set(PHYSICAL_NAMES)
    assert analysis.mfcc.shape == (n_frames, 17)
    for name, values in {**analysis.lanes, **analysis.physical}.items():
        assert values.shape == (n_frames,), name
        assert values.dtype == np.float32, name
        assert name == "pitch" or np.isfinite(values).all(), name
    for spec in ACOUSTIC_LANES:
        if spec.id in analysis.lanes:
            values = analysis.lanes[spec.id]
            known = values[np.isfinite(values)]
            assert ((known >= spec.minimum) & (known <= spec.maximum)).all(), spec.id


@pytest.mark.parametrize("level", [0.0, 1e-6, 1.0])
def test_silence_and_full_scale_direct_current_are_measurable(level: float) -> None:
    analysis = analyse(np.full(9_600, level, dtype=np.float32))
    assert all(np.isfinite(values).all() for values in analysis.physical.values())
    assert np.isfinite(analysis.mfcc).all()
    if level < 1e-3:
        assert analysis.lanes["presence"].max() == 0.0
        assert analysis.physical["loudness_db"].max() <= -100.0


@pytest.mark.parametrize("bad", [np.zeros(0), np.zeros((10, 2)), np.array([0.0, np.nan]), np.array([np.inf])])
def test_unusable_audio_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="audio must be"):
        analyse(bad.astype(np.float32))


def test_same_audio_same_numbers() -> None:
    audio = voice(180.0, 0.5, hnr_db=10.0)
    first, second = analyse(audio), analyse(audio.copy())
    for name, values in first.physical.items():
        assert np.array_equal(values, second.physical[name]), name
    assert np.array_equal(first.mfcc, second.mfcc)


def test_click_is_loudest_in_its_own_frame() -> None:
    audio = np.zeros(48_000, dtype=np.float32)
    audio[50 * 480 + 240] = 0.9
    analysis = analyse(audio)
    loudness = analysis.physical["loudness_db"]
    assert int(np.argmax(loudness)) == 50
    assert abs(loudness[49] - loudness[51]) < 0.5


def test_loudness_is_rms_in_db() -> None:
    tone = np.sqrt(2.0) * 0.1 * np.sin(2.0 * np.pi * 997.0 * np.arange(24_000) / SAMPLE_RATE_HZ)
    assert _median(analyse(tone.astype(np.float32)), "loudness_db") == pytest.approx(-20.0, abs=0.1)


@pytest.mark.parametrize("f0_hz", [110.0, 220.0, 440.0])
def test_hnr_follows_the_mix(f0_hz: float) -> None:
    asked = [20.0, 12.0, 4.0, -2.0]
    measured = [_median(analyse(voice(f0_hz, hnr_db=level)), "hnr_db") for level in asked]
    assert (np.diff(measured) < -3.0).all()
    assert np.abs(np.array(measured) - asked).max() < 4.0
    whisper = analyse(voice(f0_hz, hnr_db=-np.inf))
    assert _median(whisper, "breathiness") > 0.85


@pytest.mark.parametrize("f0_hz", [150.0, 220.0, 330.0])
def test_modulation_depth_comes_back_as_roughness(f0_hz: float) -> None:
    asked = [0.0, 0.15, 0.3, 0.6]
    heard = [analyse(voice(f0_hz, modulation_depth=depth, modulation_hz=63.0)) for depth in asked]
    measured = [_median(analysis, "roughness_depth") for analysis in heard]
    assert measured[0] < 0.03
    assert np.abs(np.array(measured) / np.maximum(asked, 1e-9) - 0.9)[1:].max() < 0.25
    assert [_median(a, "roughness_rate_hz") for a in heard[1:]] == pytest.approx([63.0] * 3, abs=4.0)
    # Cross-talk: modulation is neither breath nor fry.
    assert _median(heard[0], "hnr_db") - _median(heard[2], "hnr_db") < 14.0
    assert max(_median(analysis, "fry_index") for analysis in heard) < 0.12


@pytest.mark.parametrize("f0_hz", [90.0, 150.0, 240.0])
def test_alternating_pulses_are_fry_not_roughness(f0_hz: float) -> None:
    heard = [analyse(voice(f0_hz, alternation=depth)) for depth in (0.0, 0.1, 0.3, 0.5)]
    measured = [_median(analysis, "subharmonic_depth") for analysis in heard]
    assert measured[0] < 0.03
    assert (np.diff(measured) > 0.04).all()
    assert max(_median(analysis, "roughness_depth") for analysis in heard) < 0.05
    assert _median(heard[2], "fry") > 0.2


def test_jitter_is_heard_and_noise_is_not_jitter() -> None:
    measured = [_median(analyse(voice(70.0, 2.0, jitter=jitter)), "jitter_ratio") for jitter in (0.0, 0.03, 0.08)]
    assert measured[0] < 0.01
    assert (np.diff(measured) > 0.015).all()
    assert _median(analyse(voice(150.0, hnr_db=8.0)), "jitter_ratio") < 0.02


@pytest.mark.parametrize("f0_hz", [30.0, 42.0])
def test_slow_separate_pulses_are_fry(f0_hz: float) -> None:
    assert _median(analyse(voice(f0_hz)), "fry") > 0.55
    assert _median(analyse(voice(100.0)), "fry") < 0.05


@pytest.mark.parametrize("hnr_db", [5.0, -np.inf])
def test_breath_is_neither_rough_nor_fry(hnr_db: float) -> None:
    analysis = analyse(voice(200.0, 3.0, hnr_db=hnr_db))
    assert _median(analysis, "roughness_depth") < 0.1
    assert _median(analysis, "fry_index") < 0.1


def test_modulated_noise_is_rough() -> None:
    heard = [analyse(voice(200.0, 2.0, hnr_db=-np.inf, modulation_depth=depth)) for depth in (0.0, 0.5)]
    assert _median(heard[1], "roughness_depth") > 0.3 + _median(heard[0], "roughness_depth")


def test_brighter_source_is_tenser() -> None:
    dark = voice(150.0)
    bright = np.diff(dark, prepend=np.float32(0.0)).astype(np.float32) * 8.0
    assert _median(analyse(bright), "tension") > _median(analyse(dark), "tension") + 0.15


@pytest.mark.parametrize(("f1_hz", "f2_hz"), [(320.0, 800.0), (700.0, 1_150.0), (300.0, 2_200.0)])
def test_vowels_have_their_formants(f1_hz: float, f2_hz: float) -> None:
    tract = ((f1_hz, 60.0), (f2_hz, 90.0), (2_700.0, 150.0), (3_600.0, 200.0))
    analysis = analyse(voice(125.0, formants_hz=tract))
    assert _median(analysis, "f1_hz") == pytest.approx(f1_hz, abs=90.0)  # harmonics are 125 Hz apart
    assert _median(analysis, "f2_hz") == pytest.approx(f2_hz, rel=0.08)


@pytest.mark.parametrize("scale", [0.85, 1.0, 1.2])
def test_formant_scale_is_the_tracts(scale: float) -> None:
    tract = tuple((scale * centre_hz, 90.0) for centre_hz in (500.0, 1_500.0, 2_500.0, 3_500.0))
    assert _median(analyse(voice(125.0, formants_hz=tract)), "formant_scale") == pytest.approx(scale, abs=0.05)


def test_presence_has_a_floor_and_hysteresis() -> None:
    rng = np.random.default_rng(0)
    levels_db = (-60.0, -45.0, -53.0, -60.0)
    audio = np.concatenate([10.0 ** (level / 20.0) * rng.standard_normal(24_000) for level in levels_db])
    presence = analyse(audio.astype(np.float32)).lanes["presence"]
    expected = (0.0, 1.0, 1.0, 0.0)
    for part, value in enumerate(expected):
        assert np.median(presence[part * 50 + 10 : part * 50 + 40]) == value, part


def test_thirty_times_real_time() -> None:
    audio = voice(200.0, 5.0, hnr_db=10.0)
    analyse(audio)
    # Processor time: other programs on the machine must not decide.
    started_s = time.process_time()
    analyse(audio)
    assert 5.0 / (time.process_time() - started_s) > 20.0


def test_classifier_adds_technique_lanes() -> None:
    hiss = 1e-3 * np.random.default_rng(0).standard_normal(24_000).astype(np.float32)
    audio = (voice(200.0, 0.5, hnr_db=10.0) + hiss).astype(np.float32)

    def always_growl(features: np.ndarray) -> np.ndarray:
        weights = np.zeros((len(features), len(TECHNIQUES)), dtype=np.float32)
        weights[:, TECHNIQUES.index("growl")] = 1.0
        return weights

    analysis = analyse(audio, technique_classifier=always_growl)
    assert analysis.lanes["technique.growl"].min() == 1.0
    assert analysis.lanes["technique.modal"].max() == 0.0
    features = technique_features(analysis)
    assert features.shape == (analysis.n_frames, 56)
    assert np.isfinite(features).all()
    # Level must not matter.
    quieter = technique_features(analyse(0.5 * audio))
    assert np.abs(quieter - features).max() < 0.5
