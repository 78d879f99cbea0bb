"""Levels over time: slow power envelopes, the mix of pulses and turbulence, and the gain that obeys the loudness lane.

Envelopes are measured every 5 ms. Their smoothing is slower than the false folds and sub-harmonics, so that setting a
level never irons out the roughness of a voice.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from synth.spec.audio import SAMPLE_RATE_HZ

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]

BLOCK_SAMPLES = 240
_FAST_BLOCKS, _SLOW_BLOCKS = 16, 64  # Hann windows of 80 and 320 ms
_SLOW_BELOW_HZ, _FAST_ABOVE_HZ = 35.0, 80.0
_PEAK = 0.97
_PEAK_BLOCKS = 10
_FLOOR = 1e-14
# A zero close to 0 Hz before a 7.8 kHz low-pass; at 48 kHz 0.983 is what 0.95 is at 16 kHz.
_EMPHASIS = np.concatenate(
    [[[1.0, -0.983, 0.0, 1.0, 0.0, 0.0]], np.asarray(butter(4, 7_800.0, fs=SAMPLE_RATE_HZ, output="sos"))]
)


def block_centres(n_blocks: int) -> Float64Array:
    """Sample positions of the blocks' centres -> [n_blocks]."""
    return (np.arange(n_blocks, dtype=np.float64) + 0.5) * BLOCK_SAMPLES


def _block_power(audio: Float32Array) -> Float64Array:
    padded = np.pad(audio, (0, -len(audio) % BLOCK_SAMPLES)).reshape(-1, BLOCK_SAMPLES)
    return np.einsum("bs,bs->b", padded, padded).astype(np.float64) / BLOCK_SAMPLES


def _hann_smoothed(values: Float64Array, n_blocks: int) -> Float64Array:
    kernel = np.hanning(n_blocks + 3)[1:-1]
    half = len(kernel) // 2
    padded = np.pad(values, (half, len(kernel) - 1 - half), mode="reflect" if len(values) > len(kernel) else "edge")
    return np.convolve(padded, kernel / kernel.sum(), mode="valid").astype(np.float64)


def slow_power(audio: Float32Array, slowest_hz: Float64Array) -> Float64Array:
    """Mean square of `audio` [n_samples] every 5 ms -> [n_blocks].

    slowest_hz  [n_blocks] lowest periodicity of the voice: below 80 Hz the average gets longer.
    """
    power = _block_power(audio)
    slow = (_FAST_ABOVE_HZ - slowest_hz) / (_FAST_ABOVE_HZ - _SLOW_BELOW_HZ)
    slow = np.clip(slow, 0.0, 1.0)
    fast_power = _hann_smoothed(power, _FAST_BLOCKS)
    if not slow.any():
        return np.maximum(fast_power, _FLOOR)
    return np.maximum((1.0 - slow) * fast_power + slow * _hann_smoothed(power, _SLOW_BLOCKS), _FLOOR)


def apply_gain(audio: Float32Array, gain_db: Float64Array) -> Float32Array:
    """`audio` times a gain given at block centres, linear in dB between them."""
    n_samples = len(audio)
    centres = block_centres(len(gain_db))
    quarter = np.arange(0, n_samples + 16, 16, dtype=np.float64)
    coarse = 10.0 ** (np.interp(quarter, centres, gain_db) / 20.0)
    fine = np.interp(np.arange(n_samples, dtype=np.float64), quarter, coarse)
    return audio * fine.astype(np.float32)


def _emphasised(audio: Float32Array) -> Float32Array:
    """What periodicity is judged by: below 8 kHz, rising 6 dB an octave, as in synth.features.periodicity."""
    return np.asarray(sosfilt(_EMPHASIS, audio), dtype=np.float32)


def mix_to_ratio(
    voiced: Float32Array, noise: Float32Array, hnr_db: Float64Array, voicing: Float64Array, slowest_hz: Float64Array
) -> Float32Array:
    """Pulses and turbulence, each brought to unit emphasised slow power and mixed at `hnr_db` -> [n_samples].

    hnr_db   [n_blocks] ratio of their emphasised powers while voicing is 1
    voicing  [n_blocks] 0..1: 0 leaves turbulence only
    """
    share = 1.0 / (1.0 + 10.0 ** (-hnr_db / 10.0))
    harmonic = np.maximum(share * voicing**2, 1e-9)
    voiced_db = 10.0 * np.log10(harmonic / slow_power(_emphasised(voiced), slowest_hz))
    noise_db = 10.0 * np.log10((1.0 - share + share * (1.0 - voicing**2)) / slow_power(_emphasised(noise), slowest_hz))
    return apply_gain(voiced, voiced_db) + apply_gain(noise, noise_db)


def to_loudness(
    audio: Float32Array, loudness_db: Float64Array, slowest_hz: Float64Array
) -> tuple[Float32Array, Float64Array]:
    """Scale `audio` so that its slow RMS is `loudness_db` [n_blocks] -> (audio, the loudness reached).

    Where peaks would clip, the loudness is lowered smoothly and the lowered value returned.
    """
    gain_db = loudness_db - 10.0 * np.log10(slow_power(audio, slowest_hz))
    loud = apply_gain(audio, gain_db)
    padded = np.pad(np.abs(loud), (0, -len(loud) % BLOCK_SAMPLES)).reshape(-1, BLOCK_SAMPLES)
    over_db = np.maximum(20.0 * np.log10(np.maximum(padded.max(axis=1), 1e-6) / _PEAK), 0.0)
    if over_db.any():
        reach = 2 * _PEAK_BLOCKS + 1
        held = np.lib.stride_tricks.sliding_window_view(np.pad(over_db, reach - 1, mode="edge"), reach).max(axis=1)
        kernel = np.hanning(reach + 2)[1:-1]
        reduction_db = np.convolve(held, kernel / kernel.sum(), mode="valid")
        # One block more than needed on either side keeps the interpolated gain under the peak as well.
        reduction_db = np.maximum(reduction_db, np.maximum.reduce([over_db, np.roll(over_db, 1), np.roll(over_db, -1)]))
        loud = apply_gain(loud, -reduction_db)
        loudness_db = loudness_db - reduction_db
    return np.clip(loud, -1.0, 1.0), loudness_db


def gate(presence: Float64Array, n_samples: int, frame_samples: int, ramp_samples: int) -> Float32Array:
    """Smooth on and off ramps around a 0/1 presence at frame rate -> [n_samples], exactly 0 inside absences."""
    on = np.repeat(presence, frame_samples)[:n_samples]
    if not (on < 1.0).any():
        return np.ones(n_samples, dtype=np.float32)
    kernel = np.hanning(ramp_samples + 2)[1:-1]
    edges = np.diff(on, prepend=on[0])
    out = np.full(n_samples, on[0], dtype=np.float64)
    # Ramps lie inside the presence: after it begins, and before it ends.
    rise = np.cumsum(kernel) / kernel.sum()
    out = on.copy()
    for edge in np.flatnonzero(edges > 0):
        stop = min(edge + ramp_samples, n_samples)
        out[edge:stop] = np.minimum(out[edge:stop], rise[: stop - edge])
    for edge in np.flatnonzero(edges < 0):
        start = max(edge - ramp_samples, 0)
        out[start:edge] = np.minimum(out[start:edge], rise[::-1][ramp_samples - (edge - start) :])
    return out.astype(np.float32)


def alpha_ratio_db(audio: Float32Array) -> tuple[Float64Array, Float64Array]:
    """Level of 1-5 kHz over 50 Hz-1 kHz in 43 ms windows every 20 ms -> (sample positions, dB), both [n_windows]."""
    length, hop = 2_048, 960
    padded = np.pad(audio, (length // 2, length))
    n_windows = len(audio) // hop + 1
    views = np.lib.stride_tricks.sliding_window_view(padded, length)[::hop][:n_windows]
    spectra = np.fft.rfft(views * np.hanning(length).astype(np.float32), axis=1)
    power = spectra.real**2 + spectra.imag**2
    hz = np.fft.rfftfreq(length, 1.0 / SAMPLE_RATE_HZ)
    low = power[:, (hz >= 50.0) & (hz < 1_000.0)].sum(axis=1)
    high = power[:, (hz >= 1_000.0) & (hz <= 5_000.0)].sum(axis=1)
    ratio = 10.0 * np.log10((high + _FLOOR) / (low + _FLOOR))
    audible = low + high > 1e-7
    positions = np.arange(n_windows, dtype=np.float64) * hop
    if not audible.any():
        return positions[:1], np.array([-14.0])
    return positions[audible], ratio[audible]
