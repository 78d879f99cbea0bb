"""The three distances a codec is judged by: spectra, levels of 100 ms, and how bands are modulated."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from synth.dsp.mel import mel_filterbank
from synth.evaluate.distances import mr_stft_distance
from synth.spec.audio import HOP_SAMPLES, SAMPLE_RATE_HZ
from synth.spec.controls import Float32Array

Float64Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

DISTANCES = ("mr_stft", "log_mel_100ms_db", "modulation_db")
_LOW_HZ, _HIGH_HZ = 40.0, 16_000.0
_FLOOR = 1e-8  # as of the frame-by-frame distance: white noise at -80 dB re full scale
_BLOCK_FRAMES = 10
_SUNG = 0.5
# Band levels for modulation: short windows, 400 a second, so that growls (30-150 Hz) are within reach.
_FAST_FFT, _FAST_HOP, _FAST_BANDS = 512, HOP_SAMPLES // 4, 24
_RATES_HZ = (2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)
_DEPTH_FLOOR_DB2 = 0.1
_SHORTEST_MODULATION = 100  # band levels: a quarter of a second


def codec_distances(made: Float32Array, real: Float32Array, presence: Float32Array) -> dict[str, float]:
    """DISTANCES of `made` from `real` [n_samples]; presence [n_frames] is the recording's."""
    n = min(len(made), len(real))
    return {
        "mr_stft": mr_stft_distance(made[:n], real[:n]),
        "log_mel_100ms_db": averaged_log_mel_distance(made[:n], real[:n], presence),
        "modulation_db": modulation_spectrum_distance(made[:n], real[:n], presence),
    }


def averaged_log_mel_distance(made: Float32Array, real: Float32Array, presence: Float32Array) -> float:
    """RMS over 80 mel bands of the difference of their 100 ms powers in dB, mean over the blocks that sound."""
    a, b = (_block_levels_db(side) for side in (made, real))
    blocks = presence[: len(presence) // _BLOCK_FRAMES * _BLOCK_FRAMES].reshape(-1, _BLOCK_FRAMES).mean(axis=1)
    counts = blocks[: len(a)] > _SUNG
    if not counts.any():
        return float("nan")
    difference = (a - b)[: len(counts)][counts]
    return float(np.mean(np.sqrt(np.mean(difference**2, axis=1))))


def modulation_spectrum_distance(made: Float32Array, real: Float32Array, presence: Float32Array) -> float:
    """Mean |difference| of modulation depth in dB over 24 mel bands and octaves of rate from 2 to 128 Hz.

    From the first sounding frame to the last. NaN where that is less than a quarter of a second.
    """
    sung = np.flatnonzero(presence > _SUNG)
    if len(sung) == 0:
        return float("nan")
    first, last = int(sung[0]) * HOP_SAMPLES, (int(sung[-1]) + 1) * HOP_SAMPLES
    a, b = (modulation_depths_db(side[first:last]) for side in (made, real))
    return float(np.mean(np.abs(a - b))) if a.size else float("nan")


def modulation_depths_db(audio: Float32Array) -> Float64Array:
    """Energy of the bands' levels (in dB) by octave of modulation rate, in dB -> [n_rates, 24]; empty when short."""
    levels = _band_levels_db(audio, _FAST_FFT, _FAST_HOP, _FAST_BANDS)
    if len(levels) < _SHORTEST_MODULATION:
        return np.zeros((0, _FAST_BANDS))
    centred = (levels - levels.mean(axis=0)) * np.hanning(len(levels))[:, None]
    energy = np.abs(np.fft.rfft(centred, axis=0)) ** 2 / len(levels)
    rates_hz = np.fft.rfftfreq(len(levels), _FAST_HOP / SAMPLE_RATE_HZ)
    inside = [energy[(rates_hz >= low) & (rates_hz < high)] for low, high in pairwise(_RATES_HZ)]
    return np.array([10.0 * np.log10(band.mean(axis=0) + _DEPTH_FLOOR_DB2) for band in inside if len(band)])


def _block_levels_db(audio: Float32Array) -> Float64Array:
    """Mel powers averaged over 100 ms, dB -> [n_blocks, 80]."""
    padded = np.pad(audio, (2_048 - HOP_SAMPLES) // 2)
    power = 10.0 ** (_band_levels_db(padded, 2_048, HOP_SAMPLES, 80, floor=0.0) / 10.0)
    whole = power[: len(power) // _BLOCK_FRAMES * _BLOCK_FRAMES].reshape(-1, _BLOCK_FRAMES, power.shape[1])
    return 10.0 * np.log10(np.maximum(whole.mean(axis=1), _FLOOR))


def _band_levels_db(audio: Float32Array, n_fft: int, hop: int, n_bands: int, *, floor: float = _FLOOR) -> Float64Array:
    if len(audio) < n_fft:
        return np.zeros((0, n_bands))
    window = np.hanning(n_fft)
    frames = np.lib.stride_tricks.sliding_window_view(audio.astype(np.float64), n_fft)[::hop]
    power = np.abs(np.fft.rfft(frames * window)) ** 2 / np.sum(window**2)
    return 10.0 * np.log10(np.maximum(power @ _bank(n_fft, n_bands), max(floor, 1e-20)))


@cache
def _bank(n_fft: int, n_bands: int) -> Float32Array:
    return mel_filterbank(n_bands, n_fft, SAMPLE_RATE_HZ, _LOW_HZ, _HIGH_HZ)
