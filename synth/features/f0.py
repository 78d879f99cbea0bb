"""Fundamental frequency: SwiftF0 where it hears a voice, our own cycle tracker below its range and where it is unsure.

SwiftF0 (Nieradzik 2025) covers 47-2093 Hz at a 16 ms hop. Its values are interpolated to our frames in log frequency.
The cycle tracker correlates adjacent stretches of the signal over lags of 2-50 ms: vocal fry down to 20 Hz, growls.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from swift_f0 import SwiftF0

from synth.dsp.framing import frame_centres_samples, windows_at
from synth.dsp.resampling import resample
from synth.dsp.smoothing import fill_holes, moving_median
from synth.features.periodicity import FLATTENING, PERIODICITY_RATE_HZ, cycle_correlation, pre_emphasise
from synth.spec.audio import HOP_S, SAMPLE_RATE_HZ, n_frames_for

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

NEVER_VOICED_HZ = 140.0
LOWEST_HZ = 20.0
HIGHEST_HZ = 2100.0

_SWIFT_RATE_HZ = 16_000
_SWIFT_HOP_S = 256 / 16_000
_SWIFT_VOICED = 0.5

_TRACKER_RATE_HZ = 4_000
_TRACKER_WINDOW_SAMPLES = 160  # 40 ms: two cycles of a 50 Hz creak
_TRACKER_SHORTEST_SAMPLES = 8  # 500 Hz
_TRACKER_LONGEST_SAMPLES = 200  # 20 Hz
_TRACKER_VOICED = 0.62  # noise of this band and window reaches 0.5 in one frame of a hundred
_TRACKER_OCTAVE_COST = 0.12  # per octave of lag: two periods correlate as well as one, or a little better
# How alike halves of a cycle must be to be pulses of their own. Those of modal cycles correlate 0.6 at most, 0.75 in
# the lowest notes, whose resonances ring on (measured on sung notes from 73 Hz up).
_RINGING_DECAY = 0.1
_FASTEST_DOUBLED_HZ = 275.0  # above, half a cycle is too short for a resonance to be told from a pulse
_PULSES_ALIKE = ((90.0, 0.8), (120.0, 0.7))
_CHUNK_FRAMES = 1_000


@dataclass(frozen=True, slots=True)
class F0Track:
    """F0 at FRAME_RATE_HZ.

    f0_hz       [n_frames] > 0 always: interpolated in log frequency through unvoiced frames, held at the ends
    confidence  [n_frames] 0..1
    voiced      [n_frames] whether f0_hz was heard rather than interpolated
    """

    f0_hz: Float32Array
    confidence: Float32Array
    voiced: BoolArray


@cache
def _swift() -> SwiftF0:
    return SwiftF0(threads=1, spin=False)


def track_f0(audio_mono: Float32Array) -> F0Track:
    """F0 of mono audio [n] at 48 kHz, any n > 0. Octaves follow SwiftF0 unless cycles of its period do not repeat."""
    n_frames = n_frames_for(len(audio_mono))
    speech = resample(audio_mono, SAMPLE_RATE_HZ, _SWIFT_RATE_HZ)
    f0_hz, confidence = _swift_at_frames(speech, n_frames)
    tracker_hz, tracker_r = _track_cycles(speech, n_frames)
    voiced = confidence >= _SWIFT_VOICED

    emphasised = pre_emphasise(speech, FLATTENING)
    repeats, _ = cycle_correlation(emphasised, np.where(voiced, f0_hz, NEVER_VOICED_HZ))
    slower = voiced & (f0_hz < 110.0) & (tracker_hz < 0.7 * f0_hz) & (repeats < 0.35) & (tracker_r > 0.8)
    adopted = (slower | ~voiced) & _lasting(tracker_r >= _TRACKER_VOICED, tracker_hz)
    f0_hz = np.where(adopted, tracker_hz, f0_hz)
    confidence = np.where(adopted, np.maximum(confidence, np.clip(tracker_r, 0.0, 1.0)), confidence)
    voiced = voiced | adopted

    f0_hz = _prefer_pulses(emphasised, f0_hz, voiced)
    f0_hz = _refine(emphasised, f0_hz, voiced)
    filled = np.exp(fill_holes(np.log(np.maximum(f0_hz, LOWEST_HZ)), voiced, float(np.log(NEVER_VOICED_HZ))))
    filled = np.clip(filled, LOWEST_HZ, HIGHEST_HZ)
    return F0Track(filled.astype(np.float32), np.clip(confidence, 0.0, 1.0).astype(np.float32), voiced)


def _swift_at_frames(speech: Float32Array, n_frames: int) -> tuple[Float64Array, Float64Array]:
    """SwiftF0's pitch and confidence at our frame centres. -> f0_hz [n_frames], confidence [n_frames]"""
    result = _swift().detect(speech, _SWIFT_RATE_HZ)
    times_s = np.arange(len(result.pitch_hz)) * _SWIFT_HOP_S
    centres_s = (np.arange(n_frames) + 0.5) * HOP_S
    log_f0 = np.log(np.maximum(result.pitch_hz, LOWEST_HZ))
    # Across a jump of more than a third the mean of two notes is neither: take the nearer one.
    right = np.clip(np.searchsorted(times_s, centres_s), 1, max(len(times_s) - 1, 1))
    left = right - 1
    right = np.minimum(right, len(times_s) - 1)
    nearer = np.where(centres_s - times_s[left] < times_s[right] - centres_s, left, right)
    smooth = np.abs(log_f0[left] - log_f0[right]) < np.log(4.0 / 3.0)
    log_at_frames = np.where(smooth, np.interp(centres_s, times_s, log_f0), log_f0[nearer])
    return np.exp(log_at_frames), np.interp(centres_s, times_s, result.confidence)


def _track_cycles(speech: Float32Array, n_frames: int) -> tuple[Float64Array, Float64Array]:
    """Best repetition over 20-500 Hz by normalised cross-correlation. -> f0_hz [n_frames], correlation [n_frames]"""
    low = resample(speech, _SWIFT_RATE_HZ, _TRACKER_RATE_HZ)
    low = np.diff(low, prepend=np.float32(0.0)).astype(np.float32)  # rumble must not count as repetition
    centres = frame_centres_samples(n_frames, _TRACKER_RATE_HZ)
    parts = [_best_lags(low, centres[at : at + _CHUNK_FRAMES]) for at in range(0, n_frames, _CHUNK_FRAMES)]
    lags = np.concatenate([lag for lag, _ in parts])
    correlations = np.concatenate([r for _, r in parts])
    return _TRACKER_RATE_HZ / lags, correlations


def _best_lags(low: Float32Array, centres: NDArray[np.int64]) -> tuple[Float64Array, Float64Array]:
    """Lag (samples, interpolated) and normalised correlation of the best repetition around each centre. -> [n], [n]

    For each lag the two stretches lie symmetrically about the centre only for the middle lag; the window is
    centred for a lag of 10 ms, the middle of the range in log frequency.
    """
    window, longest = _TRACKER_WINDOW_SAMPLES, _TRACKER_LONGEST_SAMPLES
    segments = windows_at(low, centres - (window + 40) // 2, window + longest).astype(np.float64)
    n_fft = 512
    head = np.fft.rfft(segments[:, :window], n_fft)
    cross = np.fft.irfft(np.conj(head) * np.fft.rfft(segments, n_fft), n_fft)[:, : longest + 1]
    energy = np.cumsum(np.pad(segments**2, ((0, 0), (1, 0))), axis=1)
    tails = energy[:, window : window + longest + 1] - energy[:, : longest + 1]
    correlation = cross / np.sqrt(np.maximum(tails * tails[:, :1], 1e-18))
    lags = np.arange(longest + 1)
    cost = _TRACKER_OCTAVE_COST * np.log2(np.maximum(lags, 1) / _TRACKER_SHORTEST_SAMPLES)
    inner = slice(_TRACKER_SHORTEST_SAMPLES, longest)
    score = (correlation - cost)[:, inner]
    # Only summits count: the slope of lag 0 is no repetition.
    is_peak = (correlation[:, inner] >= correlation[:, _TRACKER_SHORTEST_SAMPLES - 1 : longest - 1]) & (
        correlation[:, inner] > correlation[:, _TRACKER_SHORTEST_SAMPLES + 1 : longest + 1]
    )
    best = np.argmax(np.where(is_peak, score, -2.0), axis=1) + _TRACKER_SHORTEST_SAMPLES
    rows = np.arange(len(best))
    before, at, after = (correlation[rows, best + step] for step in (-1, 0, 1))
    bend = before - 2.0 * at + after
    shift = np.where(np.abs(bend) > 1e-9, 0.5 * (before - after) / np.where(np.abs(bend) > 1e-9, bend, 1.0), 0.0)
    return best + np.clip(shift, -0.5, 0.5), at


def _lasting(candidate: BoolArray, f0_hz: Float64Array) -> BoolArray:
    """Candidates that agree (within a fifth) with the median of 7 frames and fill most of it. -> [n_frames]"""
    if len(candidate) == 0:
        return candidate
    agrees = np.abs(np.log2(f0_hz / np.exp(moving_median(np.log(f0_hz), 7)))) < 7.0 / 12.0
    solid = (candidate & agrees).astype(np.float64)
    share = np.convolve(solid, np.ones(7) / 7.0)[3 : 3 + len(solid)]
    return (candidate & agrees) & (share > 0.6)


def _prefer_pulses(emphasised: Float32Array, f0_hz: Float64Array, voiced: BoolArray) -> Float64Array:
    """Double or treble F0 where the parts of its cycle are the same pulse at different strengths. -> [n_frames]

    That is period doubling (fry, growl): F0 stays the rate of the pulses, their alternation is a sub-harmonic.
    """
    for multiple in (2, 3):
        candidates = np.flatnonzero(voiced & (f0_hz * multiple < _FASTEST_DOUBLED_HZ))
        if len(candidates) == 0:
            continue
        alike = np.zeros(len(f0_hz))
        alike[candidates] = cycle_correlation(emphasised, f0_hz * multiple)[0][candidates]
        enough = np.interp(f0_hz, *np.transpose(_PULSES_ALIKE))
        struck = moving_median(_evenness(emphasised, f0_hz * multiple), 9) > _RINGING_DECAY
        f0_hz = np.where(voiced & struck & (moving_median(alike, 9) > enough), f0_hz * multiple, f0_hz)
    return f0_hz


def _evenness(emphasised: Float32Array, f0_hz: Float64Array) -> Float64Array:
    """Treble energy of a cycle over that of its neighbour (the lesser over the greater), where it is least. -> 0..1

    A resonance that rings on looks like a pulse of its own, but its treble is gone. Cut in the middle of a pulse, any
    two cycles are even: so the least of four cuts counts.
    """
    total = np.concatenate(([0.0], np.cumsum(np.diff(emphasised, prepend=np.float32(0.0)).astype(np.float64) ** 2)))
    centres = frame_centres_samples(len(f0_hz), PERIODICITY_RATE_HZ).astype(np.float64)
    period = PERIODICITY_RATE_HZ / f0_hz
    index = np.arange(len(total))
    least = np.ones(len(f0_hz))
    for cut in (-0.5, -0.25, 0.0, 0.25):
        places = (np.interp(centres + (cut + side) * period, index, total) for side in (-1.0, 0.0, 1.0))
        before, at, after = places
        first, second = at - before, after - at
        least = np.minimum(least, np.minimum(first, second) / np.maximum(np.maximum(first, second), 1e-12))
    return least


def _refine(emphasised: Float32Array, f0_hz: Float64Array, voiced: BoolArray) -> Float64Array:
    """f0_hz drawn towards the local cycle length where cycles repeat well (within 4 %). -> [n_frames]"""
    if not voiced.any():
        return f0_hz
    r, lag_samples = cycle_correlation(emphasised, f0_hz)
    cycle_hz = PERIODICITY_RATE_HZ / np.maximum(lag_samples, 1.0)
    deviation = np.log(cycle_hz / f0_hz)
    trusted = voiced & (np.abs(deviation) < 0.04)
    weight = np.where(trusted, np.clip((r - 0.7) / 0.2, 0.0, 1.0), 0.0)
    # Three frames of mean: single cycles carry jitter, which is an observation of its own.
    smooth = np.convolve(weight * deviation, [0.25, 0.5, 0.25], mode="same")
    return f0_hz * np.exp(smooth)
