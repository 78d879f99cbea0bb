"""Level and shape of the short-time spectrum at 48 kHz."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from synth.dsp.framing import centred_windows
from synth.dsp.mel import dct_matrix, mel_filterbank
from synth.dsp.smoothing import hann_mean
from synth.spec.audio import HOP_SAMPLES, SAMPLE_RATE_HZ, SILENCE_DB

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]

N_MFCC = 17
N_MELS = 64
MEL_LOW_HZ, MEL_HIGH_HZ = 50.0, 16_000.0
MEL_FLOOR = 1e-10  # mean power per band; -100 dB

_N_FFT = 2_048
_LEVEL_WINDOW_SAMPLES = 1_920  # 40 ms
_CHUNK_FRAMES = 500
_ROLLOFF_SHARE = 0.85


@dataclass(frozen=True, slots=True)
class Spectrum:
    """Per frame: loudness_db RMS re full scale (>= -100), alpha_ratio_db, centroid_hz, rolloff_hz (85 % of the
    energy above 50 Hz), zero_crossing_rate (share of samples 0..1), mfcc [n_frames, 17], bands [n_frames, 64]
    (natural-log mel power)."""

    loudness_db: Float64Array
    alpha_ratio_db: Float64Array
    centroid_hz: Float64Array
    rolloff_hz: Float64Array
    zero_crossing_rate: Float64Array
    mfcc: Float32Array
    log_mel: Float32Array


@cache
def _mel_bank() -> Float32Array:
    return mel_filterbank(N_MELS, _N_FFT, SAMPLE_RATE_HZ, MEL_LOW_HZ, MEL_HIGH_HZ)


def measure_spectrum(audio_mono: Float32Array, n_frames: int) -> Spectrum:
    """Spectrum of mono audio [n] at 48 kHz around each of n_frames frame centres."""
    starts = range(0, n_frames, _CHUNK_FRAMES)
    parts = [_chunk(audio_mono, at, min(at + _CHUNK_FRAMES, n_frames)) for at in starts]
    mel, high, low, centroid, rolloff = (np.concatenate(column) for column in zip(*parts, strict=True))
    log_mel = np.log(np.maximum(mel, MEL_FLOOR)).astype(np.float32)
    high, low = hann_mean(high, 9), hann_mean(low, 9)
    alpha_ratio_db = 10.0 * np.log10((high + 1e-14) / (low + 1e-14))
    return Spectrum(
        loudness_db=_loudness_db(audio_mono, n_frames),
        alpha_ratio_db=np.clip(alpha_ratio_db, -60.0, 40.0),
        centroid_hz=centroid,
        rolloff_hz=rolloff,
        zero_crossing_rate=_zero_crossing_rate(audio_mono, n_frames),
        mfcc=(log_mel @ dct_matrix(N_MELS, N_MFCC)).astype(np.float32),
        log_mel=log_mel,
    )


def _chunk(audio_mono: Float32Array, first: int, last: int) -> tuple[NDArray[np.floating], ...]:
    """mel [n, 64], energy in 1-5 kHz [n] and 50 Hz-1 kHz [n], centroid_hz [n], rolloff_hz [n] of frames first..last."""
    lead_frames = max(0, first * HOP_SAMPLES - _N_FFT) // HOP_SAMPLES
    piece = audio_mono[lead_frames * HOP_SAMPLES : last * HOP_SAMPLES + _N_FFT]
    n_before = first - lead_frames
    window = np.hanning(_N_FFT + 1)[:-1].astype(np.float32)
    frames = centred_windows(piece, n_before + last - first, SAMPLE_RATE_HZ, _N_FFT)[n_before:]
    spectra = np.fft.rfft(frames * window)
    power = (spectra.real**2 + spectra.imag**2).astype(np.float32) * np.float32(1.0 / np.sum(window**2) / _N_FFT)
    frequencies = (np.arange(_N_FFT // 2 + 1) * (SAMPLE_RATE_HZ / _N_FFT)).astype(np.float32)
    bin_hz = SAMPLE_RATE_HZ / _N_FFT
    low_bin, middle_bin, high_bin = round(50.0 / bin_hz), round(1_000.0 / bin_hz), round(5_000.0 / bin_hz)
    audible = power[:, low_bin:]
    energy = audible.sum(axis=1)
    tiny = np.float32(1e-14)
    centroid = (audible @ frequencies[low_bin:]) / (energy + tiny)
    cumulative = np.cumsum(audible, axis=1)
    rolloff = frequencies[low_bin:][np.argmax(cumulative >= _ROLLOFF_SHARE * energy[:, None], axis=1)]
    rolloff = np.where(energy > tiny, rolloff, 0.0)
    high = power[:, middle_bin:high_bin].sum(axis=1)
    return power @ _mel_bank() * _N_FFT, high, power[:, low_bin:middle_bin].sum(axis=1), centroid, rolloff


def _loudness_db(audio_mono: Float32Array, n_frames: int) -> Float64Array:
    """RMS dB in a Hann window of 40 ms on power. -> [n_frames] >= SILENCE_DB"""
    # Sub-blocks of 2 ms keep it cheap and exact to 0.01 dB for anything above 20 Hz.
    block = HOP_SAMPLES // 5
    squares = np.zeros(n_frames * HOP_SAMPLES, dtype=np.float64)
    squares[: len(audio_mono)] = audio_mono.astype(np.float64) ** 2
    blocks = squares.reshape(-1, block).mean(axis=1)
    width = _LEVEL_WINDOW_SAMPLES // block
    smooth = hann_mean(blocks, width + 1)
    power = smooth[2::5]
    return np.maximum(10.0 * np.log10(np.maximum(power, 1e-20)), SILENCE_DB)


def _zero_crossing_rate(audio_mono: Float32Array, n_frames: int) -> Float64Array:
    """Share of samples at which the sign changes, over 30 ms. -> [n_frames] 0..1"""
    crossings = np.zeros(n_frames * HOP_SAMPLES)
    negative = np.signbit(audio_mono)
    crossings[1 : len(audio_mono)] = negative[1:] != negative[:-1]
    return hann_mean(crossings.reshape(n_frames, -1).mean(axis=1), 3)
