"""How well adjacent cycles of the voice repeat: harmonic-to-noise ratio, cycle lengths, jitter.

Adjacent stretches of one period are correlated, each normalised by its own energy and the lag searched +-15 % around
the period, so that neither amplitude modulation nor jitter counts as noise. After Yumoto et al. (1982) and the
cross-correlation method of Boersma (1993), whose r gives HNR = 10 log10(r / (1 - r)).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synth.dsp.framing import frame_centres_samples, windows_at
from synth.dsp.smoothing import hann_mean, weighted_hann_mean

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]

PERIODICITY_RATE_HZ = 16_000
LAG_SEARCH = 0.15
FLATTENING = 0.95
# What breathiness is heard in: with less the lowest harmonics drown the breath, with more a dark voice's room noise
# is breath (measured: sung notes and whispers are furthest apart here).
BRIGHTENING = 0.8

_SHORTEST_WINDOW_SAMPLES = 112  # 7 ms
_WINDOW_PERIODS = 1.0
_UPSAMPLING = 4
_PULSE_PLACES = 24  # in a period
_STRUCK, _BEFORE_PULSE = 0.25, 0.2  # of a period: how long a pulse is loud, and how long before it its cycle begins
_CHUNK_FRAMES = 500
_WINDOW_CLASSES_PER_OCTAVE = 3
_JITTER_HIDDEN, _MOST_HIDDEN, _JITTER_OF_NEIGHBOURS = 0.8, 1.7, 0.95
_LOWEST_HNR_DB = -12.0
_HIGHEST_HNR_DB = 40.0
_NOISE_BIAS = 1.6


def pre_emphasise(speech: Float32Array, zero: float) -> Float32Array:
    """x[i] - zero * x[i - 1]: FLATTENING undoes the voice's slope, BRIGHTENING half of it. [n] -> [n]"""
    emphasised = np.asarray(speech, dtype=np.float32).copy()
    emphasised[1:] -= np.float32(zero) * speech[:-1]
    return emphasised


def cycle_correlation(
    emphasised: Float32Array,
    f0_hz: NDArray[np.floating],
    *,
    follow_gain: bool = False,
    from_pulse_to_pulse: bool = False,
) -> tuple[Float64Array, Float64Array]:
    """Correlation of adjacent cycles and the lag where it peaks, around each frame.

    emphasised   [n] at PERIODICITY_RATE_HZ;  f0_hz  [n_frames]
    follow_gain  let the second cycle be the first times a gain that changes linearly within the window, so that
                 modulation faster than a cycle (a growl) does not read as noise
    from_pulse_to_pulse  move the cycles, by half a period at most, to where a pulse begins: what is left of the
                 pulse before is least there, and no jitter between the two counts as noise
    -> r [n_frames] -1..1, 0 where there is no energy; lag_samples [n_frames], sub-sample
    """
    n_frames = len(f0_hz)
    periods = PERIODICITY_RATE_HZ / np.asarray(f0_hz, dtype=np.float64)
    centres = frame_centres_samples(n_frames, PERIODICITY_RATE_HZ)
    if from_pulse_to_pulse:
        centres = _between_pulses(emphasised, centres, periods)
    octaves = np.log2(np.maximum(_WINDOW_PERIODS * periods / _SHORTEST_WINDOW_SAMPLES, 1.0))
    classes = np.ceil(octaves * _WINDOW_CLASSES_PER_OCTAVE - 1e-9).astype(np.int64)
    # Short periods share the shortest window, but not the width of the search.
    classes = np.where(classes == 0, np.minimum(0, np.ceil(np.log2(periods / _SHORTEST_WINDOW_SAMPLES)) - 1), classes)
    r = np.zeros(n_frames)
    lags = periods.copy()
    for size_class in np.unique(classes):
        members = np.flatnonzero(classes == size_class)
        for at in range(0, len(members), _CHUNK_FRAMES):
            chunk = members[at : at + _CHUNK_FRAMES]
            window = round(_SHORTEST_WINDOW_SAMPLES * 2 ** (max(int(size_class), 0) / _WINDOW_CLASSES_PER_OCTAVE))
            r[chunk], lags[chunk] = _correlate(emphasised, centres[chunk], periods[chunk], window, follow_gain)
    return r, lags


def _between_pulses(emphasised: Float32Array, centres: NDArray[np.int64], periods: Float64Array) -> NDArray[np.int64]:
    """Where a pair of cycles that begin shortly before a pulse is centred, half a period from `centres` at most.

    A pulse is where the energy of the following quarter of a period is greatest.
    """
    total = np.concatenate(([0.0], np.cumsum(emphasised.astype(np.float64) ** 2)))
    index = np.arange(len(total))
    places = np.linspace(-0.5, 0.5, _PULSE_PLACES, endpoint=False)
    starts = centres[:, None] + (places - 1.0 + _BEFORE_PULSE) * periods[:, None]
    struck = np.interp(starts + _STRUCK * periods[:, None], index, total) - np.interp(starts, index, total)
    first = starts[np.arange(len(starts)), np.argmax(struck, axis=1)] - _BEFORE_PULSE * periods
    return np.round(first + periods).astype(np.int64)


def _correlate(
    emphasised: Float32Array, centres: NDArray[np.int64], periods: Float64Array, window: int, follow_gain: bool
) -> tuple[Float64Array, Float64Array]:
    """Normalised cross-correlation of x[a : a + window] with its surroundings one period later. -> r, lag"""
    reach = int(np.ceil(LAG_SEARCH * periods.max())) + 1
    whole = np.round(periods).astype(np.int64)
    starts = centres - (whole + window) // 2
    left = windows_at(emphasised, starts, window)
    right = windows_at(emphasised, starts + whole - reach, window + 2 * reach)
    energy = np.cumsum(np.pad(right.astype(np.float64) ** 2, ((0, 0), (1, 0))), axis=1)
    right_energy = energy[:, window:] - energy[:, : 2 * reach + 1]
    fine = np.arange(2 * reach * _UPSAMPLING + 1) / _UPSAMPLING
    below = np.minimum(fine.astype(np.int64), 2 * reach - 1)
    part = fine - below
    right_energy = right_energy[:, below] * (1.0 - part) + right_energy[:, below + 1] * part
    n_fft = _even_fast_length(window + 2 * reach)
    right_spectrum = np.fft.rfft(right, n_fft)

    def cross(template: Float32Array) -> Float64Array:
        # Zero-padding the spectrum interpolates the correlation: harmonics near 8 kHz need finer lags than a sample.
        spectrum = np.conj(np.fft.rfft(template, n_fft)) * right_spectrum
        return np.fft.irfft(spectrum, n_fft * _UPSAMPLING)[:, : len(fine)] * _UPSAMPLING

    plain = cross(left)
    left_energy = np.sum(left.astype(np.float64) ** 2, axis=1, keepdims=True)
    explained = plain**2 / np.maximum(left_energy, 1e-12)
    if follow_gain:
        # Gram-Schmidt: the part of slope * left that left itself does not explain.
        slope = np.linspace(-1.0, 1.0, window, dtype=np.float32) * left
        overlap = (np.sum(slope * left, axis=1, keepdims=True) / np.maximum(left_energy, 1e-12)).astype(np.float32)
        tilted = slope - overlap * left
        tilted_energy = np.sum(tilted.astype(np.float64) ** 2, axis=1, keepdims=True)
        explained = explained + cross(tilted) ** 2 / np.maximum(tilted_energy, 1e-12)
    correlation = np.sign(plain) * np.sqrt(explained / np.maximum(right_energy, 1e-12))
    lags = whole[:, None] - reach + fine
    inside = np.abs(lags / periods[:, None] - 1.0) <= LAG_SEARCH + 0.5 / periods[:, None]
    return _peak(np.where(inside, correlation, -1.0), lags)


def _peak(correlation: Float64Array, lags: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Parabolic summit of each row. -> r [n] <= 1, lag [n]"""
    rows = np.arange(len(correlation))
    best = np.clip(np.argmax(correlation, axis=1), 1, correlation.shape[1] - 2)
    before, at, after = (correlation[rows, best + step] for step in (-1, 0, 1))
    bend = before - 2.0 * at + after
    is_summit = (bend < -1e-9) & (at >= before) & (at >= after)
    shift = np.where(is_summit, 0.5 * (before - after) / np.where(is_summit, bend, 1.0), 0.0)
    summit = at - 0.25 * (before - after) * shift
    return np.clip(summit, -1.0, 1.0), lags[rows, best] + shift / _UPSAMPLING


def _even_fast_length(length: int) -> int:
    """The smallest 2^a * 3^b >= length with a >= 1."""
    candidates = [3**power for power in range(8)]
    return min(odd << max(1, int(np.ceil(np.log2(max(length / odd, 1.0))))) for odd in candidates)


def debias(r: Float64Array, f0_hz: NDArray[np.floating]) -> Float64Array:
    """r without what the best lag of pure noise reaches: sqrt((r^2 - b^2) / (1 - b^2)). -> [n_frames] 0..1

    The square of the best of n correlations of N independent samples grows as ln(n) / N; the constants put whispered
    words (whose resonances leave about a third of the samples independent) near 0 at any held F0.
    """
    periods = PERIODICITY_RATE_HZ / np.asarray(f0_hz, dtype=np.float64)
    independent = np.maximum(_WINDOW_PERIODS * periods, _SHORTEST_WINDOW_SAMPLES) / 3.0
    n_lags = np.maximum(2.0 * LAG_SEARCH * periods / 3.0, 1.5)
    bias_squared = np.minimum(_NOISE_BIAS * (1.0 + np.log(n_lags)) / independent, 0.3)
    return np.sqrt(np.maximum(np.maximum(r, 0.0) ** 2 - bias_squared, 0.0) / (1.0 - bias_squared))


def smooth_correlation(r: Float64Array, energy: NDArray[np.floating]) -> Float64Array:
    """Energy-weighted mean of r over about 80 ms. -> [n_frames]"""
    return weighted_hann_mean(r, np.asarray(energy, dtype=np.float64) + 1e-12, 9)


def hnr_db(r: NDArray[np.floating]) -> Float64Array:
    """Harmonic-to-noise ratio of correlation r, -12..40 dB."""
    harmonic = np.clip(r, 1e-6, 1.0 - 1e-6)
    return np.clip(10.0 * np.log10(harmonic / (1.0 - harmonic)), _LOWEST_HNR_DB, _HIGHEST_HNR_DB)


def jitter_ratio(
    lag_samples: Float64Array, r: Float64Array, f0_hz: NDArray[np.floating], frame_rate_hz: int
) -> Float64Array:
    """RMS relative difference of successive cycle lengths over about 150 ms, slow drift removed. -> [n_frames] >= 0

    Frames whose cycles do not repeat carry little weight (their lag is arbitrary), so that noise is not jitter.
    """
    n_frames = len(lag_samples)
    log_lag = np.log(np.maximum(lag_samples, 1.0))
    step = np.maximum(1, np.round(frame_rate_hz / np.asarray(f0_hz, dtype=np.float64))).astype(np.int64)
    index = np.arange(n_frames)
    later, earlier = np.minimum(index + (step + 1) // 2, n_frames - 1), np.maximum(index - step // 2, 0)
    trust = np.clip((np.minimum(r[later], r[earlier]) - 0.35) / 0.3, 0.0, 1.0) ** 2
    # A change of octave or of note is no jitter.
    difference = np.clip(log_lag[later] - log_lag[earlier], -0.3, 0.3)
    difference = difference - weighted_hann_mean(difference, trust + 1e-6, 15)
    power = weighted_hann_mean(difference**2, trust + 1e-3, 15)
    # Windows longer than a cycle, and cycles that are no neighbours, hide some of it (measured on known jitter).
    excess = _SHORTEST_WINDOW_SAMPLES * np.asarray(f0_hz, dtype=np.float64) / PERIODICITY_RATE_HZ - 1.0
    hidden = np.clip(1.0 + _JITTER_HIDDEN * excess, 1.0, _MOST_HIDDEN) / _JITTER_OF_NEIGHBOURS
    return np.sqrt(power) * hidden * np.clip(hann_mean(trust, 15) * 2.0, 0.0, 1.0)
