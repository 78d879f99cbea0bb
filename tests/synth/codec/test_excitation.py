"""Pulses lie where the pitch says, alone or in company."""

from __future__ import annotations

import numpy as np
import pytest

from synth.codec.excitation import (
    ExcitationFrames,
    excitation,
    free_phase,
    inner_phase,
    modulation,
    pinned_phase,
    voiced_source,
)
from synth.features.analysis import analyse
from synth.spec.audio import CELL_FRAMES, HOP_SAMPLES, SAMPLE_RATE_HZ

N_FRAMES = 3 * CELL_FRAMES
FIRST_FRAME = 40 * CELL_FRAMES


def frames(f0_hz: np.ndarray, **given: float) -> ExcitationFrames:
    values = {"roughness_depth": 0.0, "roughness_rate_hz": 70.0, "subharmonic_depth": 0.0, "jitter_ratio": 0.0}
    values = values | {"drift_cents": 0.0} | given
    return ExcitationFrames(f0_hz, **{name: np.full(len(f0_hz), v, np.float32) for name, v in values.items()})


def steady(f0_hz: float) -> np.ndarray:
    return np.full(N_FRAMES, f0_hz, dtype=np.float32)


def pulse_times(signal: np.ndarray) -> np.ndarray:
    """Sub-sample times of pulses by the parabola through each local maximum, in samples."""
    middle = signal[1:-1]
    peak = np.flatnonzero((middle > signal[:-2]) & (middle >= signal[2:]) & (middle > 0.3 * signal.max())) + 1
    left, centre, right = signal[peak - 1], signal[peak], signal[peak + 1]
    return peak + 0.5 * (left - right) / (left - 2 * centre + right)


@pytest.mark.parametrize("f0_hz", [41.2, 110.0, 233.1, 880.0])
def test_steady_pitch_is_exact(f0_hz: float) -> None:
    phase, first = pinned_phase(steady(f0_hz), FIRST_FRAME)
    pulses = excitation(phase, first, frames(steady(f0_hz)), FIRST_FRAME, seed=1)[0]
    times = pulse_times(pulses)
    measured_hz = (len(times) - 1) * SAMPLE_RATE_HZ / (times[-1] - times[0])
    assert abs(1200 * np.log2(measured_hz / f0_hz)) < 0.2
    assert np.abs(np.diff(times) - SAMPLE_RATE_HZ / f0_hz).max() < 1.0


def test_glide_is_within_the_anchors_tolerance() -> None:
    f0_hz = (130.0 * 2.0 ** np.linspace(0, 1.5, N_FRAMES)).astype(np.float32)
    phase, _ = pinned_phase(f0_hz, FIRST_FRAME)
    made_hz = np.diff(phase) * SAMPLE_RATE_HZ
    sample_frame = (np.arange(len(made_hz)) + 1.0) / HOP_SAMPLES - 0.5
    cents = 1200 * np.log2(np.clip(made_hz, 1, None) / np.interp(sample_frame, np.arange(N_FRAMES), f0_hz))
    inside = np.ones(len(cents), bool)
    inside[CELL_FRAMES // 2 * HOP_SAMPLES - 1 :: CELL_FRAMES * HOP_SAMPLES] = False  # the restarts, modulo one cycle
    bound = 1200 * np.log2(1 + 0.5 / (0.8 * f0_hz.min()))
    assert np.abs(cents[inside]).max() < bound + 0.5


def test_phase_far_from_a_pitch_edit_is_untouched() -> None:
    before = (150.0 + 20.0 * np.sin(np.arange(N_FRAMES) / 9.0)).astype(np.float32)
    edited = before.copy()
    edited[:40] *= 1.3
    phase_before, _ = pinned_phase(before, FIRST_FRAME)
    phase_edited, _ = pinned_phase(edited, FIRST_FRAME)
    second = 2 * CELL_FRAMES * HOP_SAMPLES
    assert np.array_equal(phase_before[second:], phase_edited[second:])
    assert not np.array_equal(phase_before[:second], phase_edited[:second])


def test_a_later_pitch_edit_does_not_reach_back() -> None:
    before = steady(200.0)
    edited = before.copy()
    edited[2 * CELL_FRAMES + 5 :] = 300.0
    phase_before, _ = pinned_phase(before, FIRST_FRAME)
    phase_edited, _ = pinned_phase(edited, FIRST_FRAME)
    assert np.array_equal(phase_before[: CELL_FRAMES * HOP_SAMPLES], phase_edited[: CELL_FRAMES * HOP_SAMPLES])


def test_power_does_not_depend_on_pitch() -> None:
    powers = []
    for f0_hz in (80.0, 200.0, 600.0):
        phase, first = pinned_phase(steady(f0_hz), FIRST_FRAME)
        powers.append(np.mean(excitation(phase, first, frames(steady(f0_hz)), FIRST_FRAME, seed=1)[0] ** 2))
    assert np.ptp(10 * np.log10(powers)) < 0.5


def test_the_same_samples_come_from_any_window() -> None:
    """Noise, modulation, jitter and drift are functions of absolute time."""
    phase, first = pinned_phase(steady(200.0), FIRST_FRAME)
    given = {"roughness_depth": 0.5, "subharmonic_depth": 0.3, "jitter_ratio": 0.05, "drift_cents": 12.0}
    whole = excitation(phase, first, frames(steady(200.0), **given), FIRST_FRAME, seed=9, drift_amount=1.0)
    skip = 60
    part = excitation(
        phase[skip * HOP_SAMPLES :],
        first + skip * HOP_SAMPLES,
        frames(steady(200.0)[skip:], **given),
        FIRST_FRAME + skip,
        seed=9,
        drift_amount=1.0,
    )
    inner = slice(2400, -2400)
    assert np.allclose(whole[:, skip * HOP_SAMPLES :][:, inner], part[:, inner], atol=2e-5)


def test_subharmonic_depth_weakens_every_second_pulse() -> None:
    phase, first = pinned_phase(steady(100.0), FIRST_FRAME)
    pulses = excitation(phase, first, frames(steady(100.0), subharmonic_depth=0.5), FIRST_FRAME, seed=1)[0]
    spectrum = np.abs(np.fft.rfft(pulses[: 2 * SAMPLE_RATE_HZ]))
    half, full = spectrum[100:3000:200].mean(), spectrum[200:3000:200].mean()
    assert 0.2 < half / full < 0.5  # amplitude 1 and 1/2 alternating: (1 - 1/2) / (1 + 1/2)


def test_jitter_is_as_large_as_asked() -> None:
    phase, first = pinned_phase(steady(100.0), FIRST_FRAME)
    pulses = excitation(phase, first, frames(steady(100.0), jitter_ratio=0.06), FIRST_FRAME, seed=3)[0]
    periods = np.diff(pulse_times(pulses))
    measured = np.sqrt(np.mean(np.diff(periods) ** 2)) / periods.mean()
    assert 0.045 < measured < 0.075


def test_modulation_lies_at_the_asked_rate_with_unit_power() -> None:
    t_s = np.arange(8 * 2000) / 2000.0
    gain = modulation(5, t_s, np.full(len(t_s), 0.5), np.full(len(t_s), 90.0))
    power = np.abs(np.fft.rfft((gain - gain.mean()) * np.hanning(len(gain)))) ** 2
    hz = np.fft.rfftfreq(len(gain), 1 / 2000.0)
    band = (hz > 25) & (hz < 200)
    centroid_hz = np.exp((np.log(hz[band]) * power[band]).sum() / power[band].sum())
    assert 80 < centroid_hz < 105
    assert 0.85 < np.mean(gain**2) < 1.15
    assert gain.min() > 0


def test_silence_in_the_depths_leaves_the_excitation_plain() -> None:
    phase, first = pinned_phase(steady(150.0), FIRST_FRAME)
    plain = excitation(phase, first, frames(steady(150.0)), FIRST_FRAME, seed=4)
    assert plain.shape == (3, N_FRAMES * HOP_SAMPLES)
    assert np.isfinite(plain).all()
    assert abs(plain[1].std() - 1) < 0.02


def test_drift_reads_back_as_the_ears_measure_it() -> None:
    """An explicit channel means what its estimator measures: asked for so many cents, a held note reads so many."""
    read = []
    for seed in range(6):
        given = frames(steady(180.0), drift_cents=12.0)
        pulses = voiced_source(free_phase(steady(180.0)), 0, given, 0, seed=seed, drift_amount=1.0).pulses
        # A gentle slope, or the tracker hears the upper harmonics first.
        audio = np.convolve(pulses, 0.95 ** np.arange(200), mode="same").astype(np.float32) * 0.05
        read.append(float(np.nanmedian(analyse(audio).physical["drift_cents"][30:-30])))
    assert np.mean(read) == pytest.approx(12.0, rel=0.25)


def test_the_inner_phase_is_that_of_a_longer_stretch_to_the_bit() -> None:
    f0_hz = (200.0 + 90.0 * np.sin(np.arange(5 * CELL_FRAMES) / 17.0)).astype(np.float32)
    whole, first = pinned_phase(f0_hz, FIRST_FRAME)
    inner, inner_first = inner_phase(f0_hz[CELL_FRAMES:-CELL_FRAMES], FIRST_FRAME + CELL_FRAMES)
    start = inner_first - first
    assert start == (CELL_FRAMES + CELL_FRAMES // 2) * HOP_SAMPLES
    assert len(inner) == 2 * CELL_FRAMES * HOP_SAMPLES
    assert np.array_equal(inner, whole[start : start + len(inner)])
