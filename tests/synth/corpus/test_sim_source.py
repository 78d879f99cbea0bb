"""Pulses, false folds, the tract filter and the level arithmetic, each alone."""

from __future__ import annotations

import numpy as np
import pytest

from synth.corpus.sim_level import apply_gain, block_centres, gate, mix_to_ratio, slow_power, to_loudness
from synth.corpus.vocal_tract import TractFrames, TractShape, filter_source, n_steps_for
from synth.corpus.voice_source import FoldCharacter, SourceFrames, false_fold_gain, render_source, smooth_noise
from synth.spec.audio import SAMPLE_RATE_HZ

_N_FRAMES = 200
_N_SAMPLES = _N_FRAMES * 480


def _source(**values: float) -> SourceFrames:
    plain = {
        "rate_hz": 100.0, "jitter_ratio": 0.0, "shimmer_db": 0.0, "subharmonic_depth": 0.0, "roughness_depth": 0.0,
        "roughness_rate_hz": 70.0, "gating": 0.0, "open_quotient": 0.6, "creak": 0.0,
    }  # fmt: skip
    return SourceFrames(**{name: np.full(_N_FRAMES, value) for name, value in {**plain, **values}.items()})


def _peaks(pulses: np.ndarray) -> np.ndarray:
    loud = np.abs(pulses)
    top = (loud[1:-1] > loud[:-2]) & (loud[1:-1] >= loud[2:]) & (loud[1:-1] > 0.1 * loud.max())
    found = np.flatnonzero(top) + 1
    return found[np.concatenate([[True], np.diff(found) > 100])]


def _tract(n_steps: int, **values: float) -> TractFrames:
    plain = {
        "f1_hz": 600.0, "f2_hz": 1_300.0, "formant_scale": 1.0, "widening": 1.0, "rate_hz": 120.0,
        "open_quotient": 0.6, "alpha_db": -12.0, "noise_alpha_db": -8.0, "ring_db": 0.0, "ingress": 0.0,
    }  # fmt: skip
    return TractFrames(**{name: np.full(n_steps, value) for name, value in {**plain, **values}.items()})


def test_pulses_come_at_the_rate() -> None:
    pulses, _ = render_source(_source(), FoldCharacter(), _N_SAMPLES, np.random.default_rng(1))
    periods = np.diff(_peaks(pulses))
    assert abs(periods.mean() - 480.0) < 0.5
    assert periods.std() < 1.0


def test_jitter_is_the_rms_difference_of_successive_periods() -> None:
    pulses, _ = render_source(_source(jitter_ratio=0.1), FoldCharacter(), _N_SAMPLES, np.random.default_rng(2))
    periods = np.diff(_peaks(pulses))
    assert np.sqrt(np.mean(np.diff(periods) ** 2)) / periods.mean() == pytest.approx(0.1, rel=0.2)


@pytest.mark.parametrize("order", [2, 3])
def test_every_nth_pulse_is_weaker_by_the_depth(order: int) -> None:
    frames = _source(subharmonic_depth=0.5)
    pulses, _ = render_source(frames, FoldCharacter(subharmonic_order=order), _N_SAMPLES, np.random.default_rng(3))
    heights = np.abs(pulses)[_peaks(pulses)][4:-4]
    weak = heights < 0.75 * heights.max()
    assert np.mean(weak) == pytest.approx(1.0 / order, abs=0.05)
    assert heights[weak].mean() / heights[~weak].mean() == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize("creak", [0.0, 1.0])
def test_creak_adds_a_small_pulse_before_each_main_one(creak: float) -> None:
    folds = FoldCharacter(double_pulse=0.5, double_place=0.3)
    pulses, _ = render_source(_source(creak=creak), folds, _N_SAMPLES, np.random.default_rng(3))
    at = _peaks(pulses)[4:-4]
    heights = np.abs(pulses)[at]
    main = at[heights > 0.8 * heights.max()]
    small = at[heights < 0.8 * heights.max()]
    assert len(small) == pytest.approx(creak * len(main), abs=2)
    assert np.abs(np.diff(main) - 480.0).max() < 2.0
    if creak:
        assert np.median(heights[heights < 0.8 * heights.max()]) / np.median(np.abs(pulses)[main]) == pytest.approx(
            0.5, abs=0.06
        )
        before = main[np.minimum(np.searchsorted(main, small), len(main) - 1)] - small
        assert np.median(before) == pytest.approx(0.3 * 480.0, abs=6.0)


@pytest.mark.parametrize("depth", [0.1, 0.3, 0.6])
def test_false_folds_have_the_depth_asked_for(depth: float) -> None:
    gain = false_fold_gain(_source(roughness_depth=depth), FoldCharacter(), _N_SAMPLES, np.random.default_rng(4))
    assert gain.min() > 0.0
    assert np.sqrt(2.0) * gain.std() / gain.mean() == pytest.approx(depth, rel=0.1)
    spectrum = np.abs(np.fft.rfft(gain - gain.mean())) ** 2
    hz = np.fft.rfftfreq(len(gain), 1.0 / 2_000.0)
    assert abs((spectrum * hz).sum() / spectrum.sum() - 70.0) < 30.0


def test_the_noise_follows_the_open_phase() -> None:
    pulses, noise = render_source(_source(gating=0.9), FoldCharacter(), _N_SAMPLES, np.random.default_rng(5))
    at = _peaks(pulses)[2:-3]
    place = np.arange(0, 480, 40)
    power = np.array([np.mean(noise[(at[:, None] + offset + np.arange(40)).ravel()] ** 2) for offset in place])
    assert power[-4:].mean() > 5.0 * power[:4].mean()  # open just before closure, closed just after


def test_constant_filters_make_no_sound_of_their_own_grid() -> None:
    """A noise-free pulse train through a still tract has partials only: nothing 90 dB down between them."""
    pulses = np.zeros(_N_SAMPLES, dtype=np.float32)
    pulses[::400] = 1.0
    voiced, turbulent = filter_source(pulses, np.zeros_like(pulses), _tract(n_steps_for(_N_SAMPLES)), TractShape())
    assert not turbulent.any()
    middle = voiced[24_000:72_000] * np.blackman(48_000)
    power = np.abs(np.fft.rfft(middle)) ** 2
    hz = np.arange(len(power))
    between = (np.abs(hz / 120.0 - np.rint(hz / 120.0)) > 0.2) & (hz < 20_000)
    assert 10.0 * np.log10(power[between].max() / power.max()) < -90.0


def test_formants_stand_where_asked() -> None:
    noise = np.random.default_rng(6).standard_normal(_N_SAMPLES).astype(np.float32)
    frames = _tract(n_steps_for(_N_SAMPLES), f1_hz=700.0, f2_hz=1_800.0)
    _, turbulent = filter_source(np.zeros_like(noise), noise, frames, TractShape())
    power = np.abs(np.fft.rfft(turbulent)) ** 2
    hz = np.fft.rfftfreq(_N_SAMPLES, 1.0 / SAMPLE_RATE_HZ)
    smooth = np.convolve(power, np.hanning(161), mode="same")
    for formant_hz in (700.0, 1_800.0):
        near = np.abs(hz - formant_hz) < 250.0
        assert abs(hz[near][np.argmax(smooth[near])] - formant_hz) < 70.0


def test_the_anticausal_part_precedes_the_pulse_and_dies_away() -> None:
    pulses = np.zeros(_N_SAMPLES, dtype=np.float32)
    pulses[48_000] = 1.0
    voiced, _ = filter_source(pulses, np.zeros_like(pulses), _tract(n_steps_for(_N_SAMPLES)), TractShape())
    energy = voiced.astype(np.float64) ** 2
    assert energy[47_000:48_000].sum() > 1e-3 * energy.sum()
    assert energy[:46_900].sum() + energy[50_300:].sum() < 1e-5 * energy.sum()


def test_mix_has_the_ratio_asked_for() -> None:
    rng = np.random.default_rng(7)
    tone = np.sin(2.0 * np.pi * 1_000.0 * np.arange(_N_SAMPLES) / SAMPLE_RATE_HZ).astype(np.float32)
    noise = (0.01 * rng.standard_normal(_N_SAMPLES)).astype(np.float32)
    n_blocks = _N_SAMPLES // 240
    full = np.ones(n_blocks)
    mixed = mix_to_ratio(tone, noise, 200.0 * full * 0.05, full, 200.0 * full)
    only = mix_to_ratio(tone, noise * 0.0, 200.0 * full * 0.05, full, 200.0 * full)
    differenced = [np.diff(part.astype(np.float64)) for part in (only, mixed - only)]
    low = []
    for part in differenced:
        power = np.abs(np.fft.rfft(part)) ** 2
        low.append(power[: int(len(power) * 7_800 / 24_000)].sum())
    assert 10.0 * np.log10(low[0] / low[1]) == pytest.approx(10.0, abs=1.0)


def test_loudness_never_exceeds_full_scale() -> None:
    pulses = np.zeros(_N_SAMPLES, dtype=np.float32)
    pulses[::1_600] = 1.0
    n_blocks = _N_SAMPLES // 240
    loud, reached_db = to_loudness(pulses, np.full(n_blocks, -9.0), np.full(n_blocks, 30.0))
    assert 0.9 < np.abs(loud).max() <= 1.0
    assert reached_db.mean() < -20.0
    assert 10.0 * np.log10(np.mean(loud**2)) == pytest.approx(reached_db.mean(), abs=1.0)


def test_slow_power_does_not_follow_thirty_hertz() -> None:
    t_s = np.arange(_N_SAMPLES) / SAMPLE_RATE_HZ
    audio = ((1.0 + 0.8 * np.sin(2 * np.pi * 30.0 * t_s)) * np.sin(2 * np.pi * 900.0 * t_s)).astype(np.float32)
    power = slow_power(audio, np.full(_N_SAMPLES // 240, 200.0))[30:-30]
    assert power.std() / power.mean() < 0.05


def test_gain_is_linear_in_decibels_and_gates_end_where_presence_ends() -> None:
    ones = np.ones(2_400, dtype=np.float32)
    gained = apply_gain(ones, np.linspace(0.0, -18.0, 10))
    assert gained[0] == pytest.approx(1.0)
    assert 20.0 * np.log10(gained[int(block_centres(10)[5])]) == pytest.approx(-10.0, abs=0.1)
    presence = np.array([0, 1, 1, 1, 1, 0, 0, 1], dtype=np.float64)
    opening = gate(presence, 8 * 480, 480, 240)
    assert opening[:480].max() == 0.0
    assert opening[5 * 480 : 7 * 480].max() == 0.0
    assert opening[2 * 480 : 4 * 480].min() == 1.0
    assert np.abs(np.diff(opening)).max() < 0.02


def test_smooth_noise_has_unit_variance() -> None:
    values = smooth_noise(np.random.default_rng(8), 200_000, 12.0)
    assert values.std() == pytest.approx(1.0, abs=0.05)
    assert np.abs(np.diff(values)).max() < 0.5
