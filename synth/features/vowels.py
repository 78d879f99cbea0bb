"""F1 and F2 by synthesis: which two resonances explain the levels of the voice's harmonics.

Linear prediction sees harmonics where a voice is higher than its first formant is wide. Here the spectrum is read only
where the voice has sounded it, in one band a harmonic, and compared with all-pole tracts on a grid. Resonances in
cascade add up in dB (Fant 1960), so each tract is a sum of rows of one table, and its distance from what is heard is a
sum of a few numbers. What else shapes a spectrum is an unknown of known size: level, slope and bend (the source and
its effort) and the lowest two harmonics (the open quotient) are drawn from Gaussians and integrated out. Whispers are
read in bands of the same kind, as if they had a pitch.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from synth.dsp.framing import centred_windows
from synth.dsp.resampling import resample
from synth.features.f0 import NEVER_VOICED_HZ
from synth.spec.audio import SAMPLE_RATE_HZ

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

HIGHEST_F0_HZ = 1_050.0  # three bands: above, no vowel can be told

_RATE_HZ = 12_000
_N_FFT = 1_024
_WINDOW_SAMPLES = 480  # 40 ms
_TOP_HZ = 4_000.0
_NARROWEST_HZ = 90.0  # bands of a lower voice hold several harmonics
_CLASSES_PER_OCTAVE = 48
_F1_HZ = np.geomspace(220.0, 1_080.0, 29)
_F2_HZ = np.geomspace(560.0, 2_800.0, 28)
_SCALES = np.linspace(0.74, 1.36, 9)  # of F3 and F4
_F1_WIDTHS_HZ = (75.0, 150.0)  # a closed and an open glottis
_F3_HZ, _F4_HZ, _F5_HZ = 2_550.0, 3_500.0, 4_450.0
_F5_WIDTH_HZ = 500.0  # broad: it stands for all that lies above
_NEAREST_HZ = 140.0  # F2 to F1
_SMOOTHING_FRAMES = 5
_FLOOR = 1e-6  # -60 dB under the loudest band the recording is heard, not the voice
# What a level may miss, in dB: everywhere, and more with every kHz.
_ERROR_DB, _ERROR_DB_PER_KHZ = 3.0, 1.0
_LEVEL_DB, _SLOPE_DB, _BEND_DB = 100.0, 6.0, 2.0  # standard deviations; per octave, per octave^2 from 1 kHz
_FIRST_DB, _SECOND_DB = 6.0, 3.0  # what the open quotient does to the first and second harmonic
_IMPOSSIBLE = 1e6


@dataclass(frozen=True, slots=True)
class _Tracts:
    """Every tract of the grid as heard in n_bands bands.

    weighted  [n_rows, n_bands]: rows of the tables times the inverse covariance
    inverse   [n_bands, n_bands] inverse covariance of what is not explained
    own       [n_f1 * n_widths, n_f2, n_scales]: squared norms of the sums of three rows
    """

    n_bands: int
    weighted: Float32Array
    inverse: Float32Array
    own: Float32Array


def measure_vowel(
    audio_mono: Float32Array, n_frames: int, f0_hz: NDArray[np.floating], voiced: BoolArray, stride: int
) -> tuple[Float64Array, Float64Array]:
    """F1 and F2 of every `stride`-th frame of mono audio [n] at 48 kHz. -> f1_hz, f2_hz [n_strided]

    Means over all tracts, in log frequency, each weighted by its likelihood: what the harmonics leave open (F1 under a
    high F0) lies in the middle of what they allow. Frames above HIGHEST_F0_HZ mean nothing.
    """
    signal = resample(audio_mono, SAMPLE_RATE_HZ, _RATE_HZ)
    windows = centred_windows(signal, n_frames, _RATE_HZ, _WINDOW_SAMPLES)[::stride]
    spectra = np.fft.rfft(windows * np.hanning(_WINDOW_SAMPLES + 2)[1:-1].astype(np.float32), _N_FFT)
    power = (spectra.real**2 + spectra.imag**2).astype(np.float32)
    spacing_hz = np.where(voiced, np.minimum(f0_hz, HIGHEST_F0_HZ), NEVER_VOICED_HZ)[::stride].astype(np.float64)
    spacing_hz = spacing_hz * np.ceil(_NARROWEST_HZ / spacing_hz)
    misfit = _smooth(_misfit(power, spacing_hz))
    misfit -= misfit.min(axis=(1, 2), keepdims=True)
    likelihood = np.exp(-0.5 * misfit)
    likelihood /= likelihood.sum(axis=(1, 2), keepdims=True)
    return np.exp(likelihood.sum(axis=2) @ np.log(_F1_HZ)), np.exp(likelihood.sum(axis=1) @ np.log(_F2_HZ))


def _smooth(misfit: Float32Array) -> Float32Array:
    """Hann-weighted mean over neighbouring frames, the ends held. [n, n_f1, n_f2] -> the same"""
    kernel = np.hanning(_SMOOTHING_FRAMES + 2)[1:-1].astype(np.float32)
    half = _SMOOTHING_FRAMES // 2
    padded = np.pad(misfit, ((half, half), (0, 0), (0, 0)), mode="edge")
    out = np.zeros_like(misfit)
    for at, weight in enumerate(kernel / kernel.sum()):
        out += weight * padded[at : at + len(misfit)]
    return out


def _misfit(power: Float32Array, spacing_hz: Float64Array) -> Float32Array:
    """Squared distance of the best tract from what is heard, for every F1 and F2. [n, n_bins] -> [n, n_f1, n_f2]"""
    cumulative = np.cumsum(power, axis=1, dtype=np.float64)
    classes = np.round(_CLASSES_PER_OCTAVE * np.log2(spacing_hz / _NARROWEST_HZ)).astype(np.int64)
    n_first, n_second = len(_F1_HZ) * len(_F1_WIDTHS_HZ), len(_F2_HZ)
    out = np.empty((len(power), len(_F1_HZ), n_second), dtype=np.float32)
    for spacing_class in np.unique(classes):
        members = np.flatnonzero(classes == spacing_class)
        tracts = _tracts(int(spacing_class))
        heard = _band_levels_db(cumulative[members], spacing_hz[members], tracts.n_bands)
        first, second, third = np.split(-2.0 * heard @ tracts.weighted.T, (n_first, n_first + n_second), axis=1)
        total = np.sum((heard @ tracts.inverse) * heard, axis=1)
        for row, member in enumerate(members):
            # The width of F1 and the scale are not asked for: the best of each counts.
            best = (tracts.own + third[row]).min(axis=2)
            best = best + first[row][:, None]
            out[member] = best.reshape(len(_F1_HZ), -1, n_second).min(axis=1) + second[row] + total[row]
    return out


def _band_levels_db(cumulative: Float64Array, spacing_hz: Float64Array, n_bands: int) -> Float32Array:
    """Level of each band, a harmonic wide, without their mean. [n, n_bins] -> [n, n_bands]"""
    edges = (np.arange(n_bands + 1) + 0.5) * spacing_hz[:, None] * (_N_FFT / _RATE_HZ) - 0.5
    below = edges.astype(np.int64)
    part = edges - below
    rows = np.arange(len(cumulative))[:, None]
    power = np.diff(cumulative[rows, below] * (1.0 - part) + cumulative[rows, below + 1] * part, axis=1)
    levels_db = 10.0 * np.log10(np.maximum(power, _FLOOR * power.max(axis=1, keepdims=True)) + 1e-14)
    return (levels_db - levels_db.mean(axis=1, keepdims=True)).astype(np.float32)


@cache
def _tracts(spacing_class: int) -> _Tracts:
    spacing_hz = _NARROWEST_HZ * 2.0 ** (spacing_class / _CLASSES_PER_OCTAVE)
    hz = spacing_hz * np.arange(1, max(int(_TOP_HZ / spacing_hz), 3) + 1)
    first = [_resonance_db(hz, centre_hz, width_hz) for centre_hz in _F1_HZ for width_hz in _F1_WIDTHS_HZ]
    second = [_resonance_db(hz, centre_hz, _width_hz(centre_hz)) for centre_hz in _F2_HZ]
    top = _resonance_db(hz, _F5_HZ, _F5_WIDTH_HZ)
    above = [
        top + sum(_resonance_db(hz, scale * centre_hz, _width_hz(scale * centre_hz)) for centre_hz in (_F3_HZ, _F4_HZ))
        for scale in _SCALES
    ]
    inverse = np.linalg.inv(_covariance(hz, spacing_hz))
    rows = np.stack([*first, *second, *above])
    products = rows @ inverse @ rows.T
    i, j = slice(0, len(first)), slice(len(first), len(first) + len(second))
    k = slice(j.stop, len(rows))
    norms = np.diag(products)
    own = norms[i, None, None] + norms[None, j, None] + norms[None, None, k]
    own = own + 2.0 * (products[i, j][:, :, None] + products[i, k][:, None, :] + products[j, k][None, :, :])
    apart = _F2_HZ[None, :] - np.repeat(_F1_HZ, len(_F1_WIDTHS_HZ))[:, None] > _NEAREST_HZ
    own = np.where(apart[:, :, None], own, _IMPOSSIBLE)
    return _Tracts(len(hz), (rows @ inverse).astype(np.float32), inverse.astype(np.float32), own.astype(np.float32))


def _covariance(hz: Float64Array, spacing_hz: float) -> Float64Array:
    """Of the levels about those of the right tract, in dB^2. -> [n_bands, n_bands]"""
    octaves = np.log2(hz / 1_000.0)
    variance = _ERROR_DB**2 + (_ERROR_DB_PER_KHZ * hz / 1_000.0) ** 2
    variance[0] += _FIRST_DB**2
    if spacing_hz > _NARROWEST_HZ:
        variance[1] += _SECOND_DB**2
    shared = _LEVEL_DB**2 + np.outer(octaves, octaves) * _SLOPE_DB**2 + np.outer(octaves**2, octaves**2) * _BEND_DB**2
    return np.diag(variance) + shared


def _width_hz(centre_hz: float) -> float:
    """-3 dB width of a formant: losses grow with frequency (after Hawks & Miller 1995, rounded), a quarter more for
    a glottis that is open some of the time."""
    return 1.25 * (62.0 + 0.018 * centre_hz + 4.2e-6 * centre_hz**2)


def _resonance_db(hz: Float64Array, centre_hz: float, width_hz: float) -> Float64Array:
    """Gain of one pole pair, 0 dB at 0 Hz. -> [n]"""
    radius = np.exp(-np.pi * width_hz / SAMPLE_RATE_HZ)
    turn = 2.0 * radius * np.cos(2.0 * np.pi * centre_hz / SAMPLE_RATE_HZ)
    z = np.exp(-2j * np.pi * hz / SAMPLE_RATE_HZ)
    return -20.0 * np.log10(np.abs(1.0 - turn * z + (radius * z) ** 2) / (1.0 - turn + radius**2))
