"""Synthesised voices with known properties, for the tests of the ears."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

SAMPLE_RATE_HZ = 48_000
FORMANTS_HZ = ((600.0, 80.0), (1_200.0, 100.0), (2_500.0, 150.0), (3_500.0, 200.0))

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]


def voice(
    f0_hz: float | Callable[[float], float],
    duration_s: float = 1.5,
    *,
    alternation: float = 0.0,
    jitter: float = 0.0,
    hnr_db: float = 25.0,
    modulation_hz: float = 70.0,
    modulation_depth: float = 0.0,
    seed: int = 0,
    formants_hz: tuple[tuple[float, float], ...] = FORMANTS_HZ,
) -> Float32Array:
    """Pulses through a tract, plus breath through the same tract. -> [n_samples] at 48 kHz, -26 dB RMS

    alternation  every second pulse has amplitude 1 - alternation;  jitter  relative deviation of cycle lengths
    hnr_db       of the mix where breathiness is heard (x[i] - 0.8 x[i - 1] at 16 kHz); -inf is a whisper
    """
    rng = np.random.default_rng(seed)
    n_samples = round(duration_s * SAMPLE_RATE_HZ)
    pulses = _pulses(f0_hz, n_samples, alternation, jitter, rng)
    sung = _tract(_filtered([1.0], np.convolve([1.0, -0.97], [1.0, -0.9]), pulses), formants_hz)
    breath = _tract(rng.standard_normal(n_samples), formants_hz)
    if np.isneginf(hnr_db):
        mixed = breath
    else:
        mixed = sung + breath * _bright_rms(sung) / _bright_rms(breath) * 10.0 ** (-hnr_db / 20.0)
    times_s = np.arange(n_samples) / SAMPLE_RATE_HZ
    mixed = mixed * (1.0 + modulation_depth * np.sin(2.0 * np.pi * modulation_hz * times_s))
    return (0.05 * mixed / np.sqrt(np.mean(mixed**2))).astype(np.float32)


def _pulses(
    f0_hz: float | Callable[[float], float], n_samples: int, alternation: float, jitter: float, rng: np.random.Generator
) -> Float64Array:
    """Band-limited impulses at sub-sample places. -> [n_samples]"""
    out = np.zeros(n_samples)
    reach = np.arange(-16, 17)
    time_s, count = 1e-3, 0
    while (place := time_s * SAMPLE_RATE_HZ) < n_samples - 40:
        whole = int(place)
        if whole > 20:
            amplitude = 1.0 - alternation if count % 2 else 1.0
            out[whole - 16 : whole + 17] += amplitude * np.sinc(reach - (place - whole)) * np.hanning(33)
        # The length of a cycle is that of its middle, to second order.
        rate_hz = f0_hz(time_s + 0.5 / f0_hz(time_s)) if callable(f0_hz) else f0_hz
        time_s += (1.0 + jitter * rng.standard_normal()) / rate_hz
        count += 1
    return out


def _tract(source: Float64Array, formants_hz: tuple[tuple[float, float], ...]) -> Float64Array:
    for centre_hz, width_hz in formants_hz:
        radius = np.exp(-np.pi * width_hz / SAMPLE_RATE_HZ)
        angle = 2.0 * np.pi * centre_hz / SAMPLE_RATE_HZ
        source = _filtered([1.0 - radius], [1.0, -2.0 * radius * np.cos(angle), radius**2], source)
    return np.diff(source, prepend=0.0)


def _filtered(numerator: list[float], denominator: NDArray[np.floating] | list[float], x: Float64Array) -> Float64Array:
    return np.asarray(lfilter(numerator, denominator, x), dtype=np.float64)


def _bright_rms(signal: Float64Array) -> float:
    """RMS after the pre-emphasis the ears use for breath (0.8 at 16 kHz is 0.93 at 48 kHz below 4 kHz)."""
    return float(np.std(lfilter([1.0, -0.93], [1.0], signal)))
