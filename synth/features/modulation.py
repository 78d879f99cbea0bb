"""What the cycles' amplitudes do: rough modulation that ignores F0, and sub-harmonics locked to it.

The envelope is the RMS over exactly one period, so that the pulses of the voice themselves vanish from it. It is taken
in several bands: a modulated voice moves them together, while the fluctuation of aspiration noise is independent from
band to band and vanishes from the products of different bands. So breath has no floor to be guessed and subtracted.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from synth.dsp.framing import centred_windows
from synth.dsp.smoothing import hann_mean
from synth.spec.audio import FRAME_RATE_HZ

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]

ENVELOPE_RATE_HZ = 2_000
ROUGHNESS_BAND_HZ = (30.0, 150.0)
DEFAULT_RATE_HZ = 70.0

_SPEECH_RATE_HZ = 16_000
_BAND_EDGES_HZ = (80.0, 600.0, 1_300.0, 2_300.0, 3_600.0, 5_200.0, 7_600.0)
_CROSSOVER = 0.3  # half width of the slope between bands, of its frequency, up to 300 Hz: both sidebands must pass
_STRIDE_SAMPLES = _SPEECH_RATE_HZ // ENVELOPE_RATE_HZ
_SLOW_WIDTH = 201  # 100 ms: the slow mean the modulation is relative to
_WINDOW = 400  # 200 ms
_N_FFT = 512
_MEAN_FRAMES = 15
_CHANCE = 0.015
_MIRRORED = 0.4
_FULL_FROM_HZ, _NOTHING_BELOW_HZ = 40.0, 28.0  # the slope keeps the onsets of syllables out
_LOCKED_FRAMES = 41  # 400 ms: how long a component must keep step with F0 to count as a sub-harmonic
_BESIDE_HZ = 4.0  # what lies beside a locked component is the floor it must exceed
_LOCKED_RATIOS = (1.0 / 2.0, 1.0 / 3.0, 2.0 / 3.0)
# Where each pulse has died away before the next, an envelope of exactly one period steps from pulse to pulse: a square
# wave, up to twice the sine that the period's own gain stands for (measured on voices whose pulses
# are known); slow pulses keep step too badly for that.
_PULSES_APART_HZ = (45.0, 90.0, 120.0, 180.0, 250.0, 300.0)
_PULSES_APART = (1.25, 1.65, 1.6, 1.42, 1.08, 1.0)
_HIGHEST_PERIOD_SHARE = 0.78  # modulation nearer to F0 than this is gone from a one-period envelope


@dataclass(frozen=True, slots=True)
class Modulation:
    """Per frame.

    roughness_depth    [n_frames] >= 0; a sinusoidal modulation of depth m reads 0.8-1 m, up to 1.3 m where F0 is
                       below 150 Hz (its mirror image in the cycles counts as well)
    roughness_rate_hz  [n_frames] 30..150; DEFAULT_RATE_HZ where there is next to none
    subharmonic_depth  [n_frames] 0..1: s where every second (or third) cycle has amplitude 1 - s
    """

    roughness_depth: Float64Array
    roughness_rate_hz: Float64Array
    subharmonic_depth: Float64Array


def measure_modulation(emphasised: Float32Array, f0_hz: NDArray[np.floating], voiced: NDArray[np.bool_]) -> Modulation:
    """Modulation of pre-emphasised speech [n] at 16 kHz with known f0_hz, voiced [n_frames].

    Nothing is locked to the F0 of an unvoiced frame: it is only interpolated.
    """
    n_frames = len(f0_hz)
    n_envelope = n_frames * ENVELOPE_RATE_HZ // FRAME_RATE_HZ
    envelope_times = (np.arange(n_envelope) + 0.5) * FRAME_RATE_HZ / ENVELOPE_RATE_HZ - 0.5
    f0_dense = np.exp(np.interp(envelope_times, np.arange(n_frames), np.log(f0_hz)))
    bands, energies = _band_envelopes(emphasised, f0_dense)
    phase = 2.0 * np.pi * np.cumsum(f0_dense) / ENVELOPE_RATE_HZ
    energies = energies.reshape(len(bands), n_frames, -1).mean(axis=2)
    frame_weights = np.sqrt(energies / np.maximum(energies.sum(axis=0), 1e-20))

    sounding = np.interp(envelope_times, np.arange(n_frames), voiced.astype(np.float64))
    seconds = np.arange(n_envelope) / ENVELOPE_RATE_HZ
    beside = [np.exp(2j * np.pi * offset_hz * seconds) for offset_hz in (-_BESIDE_HZ, _BESIDE_HZ)]
    locked_power = np.zeros(n_frames)
    for ratio in _LOCKED_RATIOS:
        carrier = np.exp(1j * ratio * phase) * np.where(f0_dense * ratio < 0.45 * ENVELOPE_RATE_HZ, sounding, 0.0)
        amplitudes = np.stack([_locked(band * np.conj(carrier), n_frames) for band in bands])
        floor = np.zeros(n_frames)
        for turn in beside:
            beside_it = np.stack([_locked(band * np.conj(carrier * turn), n_frames) for band in bands])
            floor = np.maximum(floor, _pair_mean(beside_it, frame_weights))
        coherent = _pair_mean(amplitudes, frame_weights) - floor
        locked_power += 4.0 * np.maximum(coherent, 0.0) / np.sinc(ratio) ** 2
        for band, amplitude in zip(bands, amplitudes, strict=True):
            band -= 2.0 * np.real(_dense(amplitude, envelope_times) * carrier)
    depth, rate = _roughness(bands, frame_weights, f0_hz)
    apart = np.interp(np.log(f0_hz), np.log(_PULSES_APART_HZ), _PULSES_APART)
    return Modulation(depth, rate, _alternation(np.sqrt(locked_power) / apart))


def _band_envelopes(emphasised: Float32Array, f0_dense: Float64Array) -> tuple[list[Float64Array], Float64Array]:
    """One-period RMS over its slow mean, minus 1. -> list of [n_envelope], energies [n_bands, n_envelope]"""
    n = len(emphasised)
    n_fft = 1 << int(np.ceil(np.log2(n + _SPEECH_RATE_HZ // 10)))
    spectrum = np.fft.rfft(emphasised, n_fft)
    frequencies = (np.arange(n_fft // 2 + 1) * (_SPEECH_RATE_HZ / n_fft)).astype(np.float32)
    half = 0.5 * _SPEECH_RATE_HZ / f0_dense
    centres = (np.arange(len(f0_dense)) + 0.5) * _STRIDE_SAMPLES - 0.5
    start = np.clip(centres - half + 0.5, 0.0, n)
    stop = np.clip(centres + half + 0.5, 0.0, n)
    grid = np.arange(n + 1)
    bands, energies = [], []
    for low_hz, high_hz in pairwise(_BAND_EDGES_HZ):
        signal = np.fft.irfft(spectrum * (_rise(frequencies, low_hz) - _rise(frequencies, high_hz)), n_fft)[:n]
        total = np.concatenate(([0.0], np.cumsum(signal.astype(np.float64) ** 2)))
        power = (np.interp(stop, grid, total) - np.interp(start, grid, total)) / np.maximum(stop - start, 1.0)
        rms = np.sqrt(np.maximum(power, 0.0))
        slow = hann_mean(rms, _SLOW_WIDTH)
        bands.append(np.clip(rms / np.maximum(slow, 1e-7) - 1.0, -1.0, 3.0) * (slow > 1e-6))
        energies.append(slow**2)
    return bands, np.asarray(energies)


def _rise(frequencies: Float32Array, edge_hz: float) -> Float32Array:
    """A straight slope from 0 to 1 around an edge: it leaves the depth of a modulation as it is."""
    half = min(_CROSSOVER * edge_hz, 300.0)
    return np.clip((frequencies - edge_hz + half) / (2.0 * half), 0.0, 1.0)


def _locked(turned: NDArray[np.inexact], n_frames: int) -> NDArray[np.complex128]:
    """What of a demodulated envelope stands still over about 400 ms. [n_envelope] -> [n_frames]"""
    means = turned.reshape(n_frames, -1).mean(axis=1)
    return hann_mean(means.real, _LOCKED_FRAMES) + 1j * hann_mean(means.imag, _LOCKED_FRAMES)


def _dense(amplitude: NDArray[np.complex128], envelope_times: Float64Array) -> NDArray[np.complex128]:
    """Frame values at envelope times (in frames). [n_frames] -> [n_envelope]"""
    index = np.arange(len(amplitude))
    return np.interp(envelope_times, index, amplitude.real) + 1j * np.interp(envelope_times, index, amplitude.imag)


def _pair_mean(values: NDArray[np.complexfloating], weights: Float64Array) -> Float64Array:
    """Weighted mean of Re(a conj(b)) over pairs of bands that do not touch. [n_bands, n, ...], [n_bands, n] -> [n, ...]

    Neighbours overlap in their crossover: they share noise.
    """
    spread = weights.reshape(weights.shape + (1,) * (values.ndim - 2))
    weighted = values * spread
    shared = np.sum(np.abs(weighted) ** 2, axis=0) + 2.0 * np.sum((weighted[1:] * np.conj(weighted[:-1])).real, axis=0)
    pairs = np.sum(spread, axis=0) ** 2 - np.sum(spread**2, axis=0) - 2.0 * np.sum(spread[1:] * spread[:-1], axis=0)
    return (np.abs(weighted.sum(axis=0)) ** 2 - shared) / np.maximum(pairs, 1e-9)


def _roughness(
    bands: list[Float64Array], frame_weights: Float64Array, f0_hz: NDArray[np.floating]
) -> tuple[Float64Array, Float64Array]:
    """Depth and rate of what remains in 30-150 Hz. -> depth [n_frames], rate_hz [n_frames]"""
    n_frames = len(f0_hz)
    hann = np.hanning(_WINDOW + 2)[1:-1]
    frequencies = np.arange(int(160.0 * _N_FFT / ENVELOPE_RATE_HZ) + 1) * ENVELOPE_RATE_HZ / _N_FFT
    spectra = np.stack(
        [
            np.fft.rfft(centred_windows(band.astype(np.float32), n_frames, ENVELOPE_RATE_HZ, _WINDOW) * hann, _N_FFT)[
                :, : len(frequencies)
            ]
            for band in bands
        ]
    )
    spread = frame_weights[:, :, None]
    own = np.sum(np.abs(spread * spectra) ** 2, axis=0) / np.maximum(np.sum(spread**2, axis=0), 1e-9)
    # What chance leaves in the products of this few bands and 200 ms.
    power = _pair_mean(spectra, frame_weights) - _CHANCE * own

    share = frequencies / np.asarray(f0_hz, dtype=np.float64)[:, None]
    gain = np.maximum(np.abs(np.sinc(share)), 0.25)
    low_hz, high_hz = ROUGHNESS_BAND_HZ
    edge = np.clip((_HIGHEST_PERIOD_SHARE - share) / 0.08, 0.0, 1.0)
    # Cycles sample their modulation: what lies above F0 / 2 has a mirror image below, and the other way round.
    edge = edge * np.clip(1.0 - (share - 0.48) / 0.08, _MIRRORED, 1.0)
    inside = np.clip((frequencies - _NOTHING_BELOW_HZ) / (_FULL_FROM_HZ - _NOTHING_BELOW_HZ), 0.0, 1.0)
    inside = inside * np.clip((high_hz + 5.0 - frequencies) / 10.0, 0.0, 1.0)
    power = power / gain**2 * edge * inside
    # Parseval: sum over positive bins of |X|^2 = (m^2 / 4) * sum of squares of the window * N_FFT.
    scale = 4.0 / (np.sum(hann**2) * _N_FFT)
    # Products of noise are as often negative as positive: they cancel in the mean, not once clipped.
    depth = np.sqrt(np.maximum(hann_mean(power.sum(axis=1) * scale, _MEAN_FRAMES), 0.0))
    log_frequencies = np.log(np.maximum(frequencies, 1.0))
    positive = np.maximum(power, 0.0) ** 1.5  # the summit, not the skirt
    centroid = np.exp(positive @ log_frequencies / np.maximum(positive.sum(axis=1), 1e-20))
    certain = np.clip((depth - 0.04) / 0.08, 0.0, 1.0) * (positive.sum(axis=1) > 1e-12)
    rate = np.exp(certain * np.log(np.maximum(centroid, low_hz)) + (1.0 - certain) * np.log(DEFAULT_RATE_HZ))
    return depth, np.clip(rate, low_hz, high_hz)


def _alternation(relative_amplitude: Float64Array) -> Float64Array:
    """Relative amplitude of the alternation -> s, where every second cycle has amplitude 1 - s.

    The envelope of such cycles is 1 - s/2 +- s/2; so a = s / (2 - s), and s = 2 a / (1 + a).
    """
    amplitude = np.clip(relative_amplitude, 0.0, 1.0)
    return 2.0 * amplitude / (1.0 + amplitude)
