"""Pitch: cents, octaves, alignment, the bottom of fry."""

from __future__ import annotations

import numpy as np
import pytest

from synth.features import track_f0
from synth.features.f0 import NEVER_VOICED_HZ
from tests.synth.features.voices import SAMPLE_RATE_HZ, voice


def _cents(measured: np.ndarray, expected: np.ndarray | float) -> np.ndarray:
    return 1200.0 * np.log2(measured / expected)


@pytest.mark.parametrize("f0_hz", [82.0, 146.8, 261.6, 523.25, 880.0])
def test_steady_notes_are_within_five_cents(f0_hz: float) -> None:
    track = track_f0(voice(f0_hz, 1.0))
    inner = slice(10, -10)
    assert track.voiced[inner].all()
    assert np.median(np.abs(_cents(track.f0_hz[inner], f0_hz))) < 5.0


@pytest.mark.parametrize("f0_hz", [24.0, 32.7, 45.0, 60.0])
def test_slow_pulses_are_followed_below_the_networks_range(f0_hz: float) -> None:
    track = track_f0(voice(f0_hz, 1.5))
    inner = slice(20, -20)
    assert track.voiced[inner].mean() > 0.9
    assert np.median(np.abs(_cents(track.f0_hz[inner], f0_hz))) < 10.0


def test_glide_is_followed_without_lag() -> None:
    track = track_f0(voice(lambda t_s: 150.0 * 2.0 ** (t_s / 1.5), 1.5))
    centres_s = (np.arange(len(track.f0_hz)) + 0.5) * 0.01
    error = _cents(track.f0_hz, 150.0 * 2.0 ** (centres_s / 1.5))[10:-10]
    # A lag of one frame would be 8 cents.
    assert abs(np.median(error)) < 2.0
    assert np.percentile(np.abs(error), 95) < 8.0


def test_pitch_step_falls_on_its_frame() -> None:
    track = track_f0(voice(lambda t_s: 200.0 if t_s < 0.75 else 250.0, 1.5))
    first_high = int(np.flatnonzero(track.f0_hz[10:-10] > np.sqrt(200.0 * 250.0))[0]) + 10
    assert abs(first_high - 75) <= 1


@pytest.mark.parametrize("alternation", [0.3, 0.6])
@pytest.mark.parametrize("f0_hz", [80.0, 150.0])
def test_period_doubling_keeps_the_pulse_rate(f0_hz: float, alternation: float) -> None:
    track = track_f0(voice(f0_hz, alternation=alternation))
    assert abs(np.median(_cents(track.f0_hz[10:-10], f0_hz))) < 20.0


def test_unvoiced_and_silent_audio_have_finite_pitch() -> None:
    rng = np.random.default_rng(0)
    silence = track_f0(np.zeros(SAMPLE_RATE_HZ, dtype=np.float32))
    assert not silence.voiced.any()
    assert np.allclose(silence.f0_hz, NEVER_VOICED_HZ)
    noise = track_f0((0.1 * rng.standard_normal(SAMPLE_RATE_HZ)).astype(np.float32))
    assert noise.voiced.mean() < 0.1
    assert np.isfinite(noise.f0_hz).all()


def test_unvoiced_stretch_is_interpolated_between_its_neighbours() -> None:
    noise = 0.003 * np.random.default_rng(1).standard_normal(24_000).astype(np.float32)
    track = track_f0(np.concatenate([voice(200.0, 0.5), noise, voice(300.0, 0.5)]))
    gap = slice(60, 90)
    assert not track.voiced[gap].any()
    assert (track.f0_hz[gap] > 190.0).all()
    assert (track.f0_hz[gap] < 310.0).all()
    assert (np.diff(track.f0_hz[gap]) >= 0.0).all()
