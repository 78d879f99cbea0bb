"""Vowel resonances by linear prediction (autocorrelation method, Makhoul 1975)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synth.dsp.framing import centred_windows
from synth.dsp.resampling import resample
from synth.dsp.smoothing import fill_holes, moving_median, weighted_hann_mean
from synth.spec.audio import SAMPLE_RATE_HZ

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

_RATE_HZ = 11_000
_ORDER = 12
_WINDOW_SAMPLES = 440  # 40 ms
_N_FFT = 1_024
_NEUTRAL_F1_HZ, _NEUTRAL_F2_HZ = 500.0, 1_500.0
_NEUTRAL_SPACING_HZ = 1_000.0  # a tube of 17.5 cm closed at one end: 500, 1500, 2500, 3500 Hz
_WIDEST_HZ = 700.0
_SCALE_FRAMES = 101  # 1 s


@dataclass(frozen=True, slots=True)
class Formants:
    """f1_hz [n_frames], f2_hz [n_frames], formant_scale [n_frames]: 1 for a 17.5 cm tract, more if shorter."""

    f1_hz: Float64Array
    f2_hz: Float64Array
    formant_scale: Float64Array


def measure_formants(audio_mono: Float32Array, n_frames: int, has_energy: BoolArray) -> Formants:
    """Formants of mono audio [n] at 48 kHz; frames without energy hold their neighbours'."""
    signal = resample(audio_mono, SAMPLE_RATE_HZ, _RATE_HZ)
    emphasised = signal.copy()
    emphasised[1:] -= np.float32(0.97) * signal[:-1]
    # Resonances move slowly beside the frames: every second one is solved, the others lie between.
    windows = centred_windows(emphasised, n_frames, _RATE_HZ, _WINDOW_SAMPLES)[::2]
    frequencies, widths, strength = _resonances(windows)
    wanted = has_energy[::2] & (strength > 0.0)
    f1_hz, f2_hz, spacing_hz, spaced = _assign(frequencies, widths)
    found = wanted & np.isfinite(f1_hz) & np.isfinite(f2_hz)
    f1_hz = moving_median(fill_holes(np.nan_to_num(f1_hz), found, _NEUTRAL_F1_HZ), 5)
    f2_hz = moving_median(fill_holes(np.nan_to_num(f2_hz), found, _NEUTRAL_F2_HZ), 5)
    scale = _scale(spacing_hz, spaced & wanted)
    index = np.arange(n_frames) / 2.0
    half = np.arange(len(windows))
    return Formants(np.interp(index, half, f1_hz), np.interp(index, half, f2_hz), np.interp(index, half, scale))


def _resonances(windows: Float32Array) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Pole frequencies, ascending, their -3 dB widths (inf for absent ones), energy. -> [n, 6], [n, 6], [n]"""
    windowed = windows * np.hanning(_WINDOW_SAMPLES + 2)[1:-1].astype(np.float32)
    power = np.abs(np.fft.rfft(windowed, _N_FFT)) ** 2
    autocorrelation = np.fft.irfft(power, _N_FFT)[:, : _ORDER + 1].astype(np.float64)
    energy = autocorrelation[:, 0].copy()
    # 50 Hz of lag window and a -50 dB white floor keep poles off single harmonics of high voices.
    lags = np.arange(_ORDER + 1)
    autocorrelation *= np.exp(-0.5 * (2.0 * np.pi * 50.0 / _RATE_HZ * lags) ** 2)
    autocorrelation[:, 0] = autocorrelation[:, 0] * 1.00001 + 1e-12
    predictor = _levinson(autocorrelation)
    companion = np.zeros((len(windows), _ORDER, _ORDER))
    companion[:, np.arange(1, _ORDER), np.arange(_ORDER - 1)] = 1.0
    companion[:, 0, :] = -predictor[:, 1:]
    poles = np.linalg.eigvals(companion)
    angles = np.angle(poles)
    frequencies = np.where(poles.imag > 1e-6, angles * _RATE_HZ / (2.0 * np.pi), np.inf)
    widths = -np.log(np.maximum(np.abs(poles), 1e-9)) * _RATE_HZ / np.pi
    usable = (widths < _WIDEST_HZ) & (frequencies > 180.0) & (frequencies < 5_200.0)
    frequencies = np.where(usable, frequencies, np.inf)
    order = np.argsort(frequencies, axis=1)[:, : _ORDER // 2]
    rows = np.arange(len(windows))[:, None]
    return frequencies[rows, order], widths[rows, order], np.where(energy > 1e-9, energy, 0.0)


def _levinson(autocorrelation: Float64Array) -> Float64Array:
    """Prediction polynomials 1, a1, ... of every row (Levinson-Durbin). [n, order + 1] -> [n, order + 1]"""
    n, width = autocorrelation.shape
    polynomial = np.zeros((n, width))
    polynomial[:, 0] = 1.0
    error = autocorrelation[:, 0].copy()
    for order in range(1, width):
        reach = np.sum(polynomial[:, :order] * autocorrelation[:, order:0:-1], axis=1)
        reflection = (-reach / error)[:, None]
        polynomial[:, : order + 1] += reflection * polynomial[:, order::-1]
        error = error * (1.0 - reflection[:, 0] ** 2)
    return polynomial


def _assign(
    frequencies: Float64Array, widths: Float64Array
) -> tuple[Float64Array, Float64Array, Float64Array, BoolArray]:
    """F1, F2 (NaN where absent), formant spacing from F3 and F4, and where that is believable."""
    first = np.where(frequencies[:, 0] < 1_250.0, frequencies[:, 0], np.nan)
    has_first = np.isfinite(first)
    rows = np.arange(len(frequencies))
    at = np.where(has_first, 1, 0)
    second = frequencies[rows, at]
    second = np.where((second < 3_200.0) & (second - np.nan_to_num(first, nan=0.0) > 120.0), second, np.nan)
    third, fourth = frequencies[rows, at + 1], frequencies[rows, at + 2]
    believable = (third > 1_900.0) & (third < 3_900.0) & (fourth > 2_700.0) & (fourth < 5_000.0)
    # A uniform tube has F3 = 2.5 spacings and F4 = 3.5 spacings.
    spacing = np.where(believable, 0.5 * (third / 2.5 + fourth / 3.5), _NEUTRAL_SPACING_HZ)
    spacing = np.where(np.isfinite(spacing), spacing, _NEUTRAL_SPACING_HZ)
    return first, second, spacing, believable & has_first & np.isfinite(second)


def _scale(spacing_hz: Float64Array, believable: BoolArray) -> Float64Array:
    """Formant scale over about a second; 1 where nothing is known. -> [n]"""
    filled = moving_median(fill_holes(spacing_hz, believable, _NEUTRAL_SPACING_HZ), 9)
    weights = believable + 1e-6
    return np.clip(weighted_hann_mean(filled, weights, _SCALE_FRAMES // 2) / _NEUTRAL_SPACING_HZ, 0.6, 1.7)
