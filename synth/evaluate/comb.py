"""The pitch of a voice that may be sub-harmonic: a harmonic comb, and whether its F0 is the asked one over 1, 2 or 3.

Period trackers built for modal voices are at a loss in fry, growl and creaky onsets, where every second or third pulse
is another one; a comb's tooth at F0 / 2 or F0 / 3 is then as right as one at F0 (Sun 2002; Keating et al. 2015).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synth.dsp.framing import centred_windows
from synth.dsp.resampling import resample
from synth.spec.audio import SAMPLE_RATE_HZ, n_frames_for
from synth.spec.controls import Float32Array

Float64Array = NDArray[np.float64]

_RATE_HZ = 8_000
_N_FFT = 8_192
_LOWEST_HZ, _HIGHEST_HZ = 12.0, 1_100.0
_STEPS_PER_OCTAVE = 96  # 12.5 cents
_TOP_HZ = 2_500.0
_N_TEETH = 16
_SHORTEST_WINDOW_S, _LONGEST_WINDOW_S = 0.06, 0.2
_WINDOW_PERIODS = 5.0
_FLOOR = 1e-3  # of the frame's largest amplitude: 60 dB under it nothing is heard
_DECAY = 0.86  # weight of each further tooth (Hermes 1988 uses 0.84)
_CLASSES_PER_OCTAVE = 1
DIVISORS = (1, 2, 3)
RIGHT_CENTS = 100.0  # what lies further out is a gross error elsewhere, too


def comb_f0_hz(audio: Float32Array, expected_hz: NDArray[np.floating]) -> Float64Array:
    """The F0 whose comb fits each frame best, between 12 Hz and 1.1 kHz. -> [n_frames]

    audio        mono [n] at 48 kHz
    expected_hz  [n_frames], sets the length of the window alone (five periods), not where the comb looks

    Score of f: sum over teeth k of decay^k (A(k f) - A((k - 1/2) f)), A the amplitude spectrum compressed by a square
    root; what lies between the teeth counts against a comb that is an octave too high, teeth that find nothing against
    one too low. After subharmonic summation (Hermes 1988) and the harmonic sieve of SWIPE' (Camacho and Harris 2008).
    """
    speech = resample(audio, SAMPLE_RATE_HZ, _RATE_HZ)
    n_frames = n_frames_for(len(audio))
    wanted_s = np.clip(_WINDOW_PERIODS / np.asarray(expected_hz), _SHORTEST_WINDOW_S, _LONGEST_WINDOW_S)
    classes = np.ceil(np.log2(wanted_s / _SHORTEST_WINDOW_S) * _CLASSES_PER_OCTAVE - 1e-9).astype(np.int64)
    found = np.full(n_frames, np.nan)
    for size_class in np.unique(classes):
        members = np.flatnonzero(classes[:n_frames] == size_class)
        window = round(_SHORTEST_WINDOW_S * _RATE_HZ * 2 ** (int(size_class) / _CLASSES_PER_OCTAVE))
        frames = centred_windows(speech, n_frames, _RATE_HZ, window)[members]
        found[members] = _best(np.abs(np.fft.rfft(frames * np.hanning(window), _N_FFT)))
    return found


def _best(amplitudes: Float64Array) -> Float64Array:
    """[n_frames, bins] -> the best comb's F0 [n_frames]; NaN in silence."""
    top = amplitudes.max(axis=1, keepdims=True)
    compressed = np.sqrt(np.maximum(amplitudes / np.maximum(top, 1e-12) - _FLOOR, 0.0))
    n_octaves = np.log2(_HIGHEST_HZ / _LOWEST_HZ)
    candidates_hz = _LOWEST_HZ * 2.0 ** (np.arange(int(n_octaves * _STEPS_PER_OCTAVE) + 1) / _STEPS_PER_OCTAVE)
    scores = np.zeros((len(amplitudes), len(candidates_hz)))
    total = np.zeros(len(candidates_hz))
    for tooth in range(1, _N_TEETH + 1):
        weight = _DECAY ** (tooth - 1) * (tooth * candidates_hz <= _TOP_HZ)
        scores += weight * (_at(compressed, tooth * candidates_hz) - _at(compressed, (tooth - 0.5) * candidates_hz))
        total += weight
    best = candidates_hz[np.argmax(scores / np.sqrt(np.maximum(total, 1e-9)), axis=1)]
    return np.where(top[:, 0] > 1e-6, best, np.nan)


def _at(spectra: Float64Array, hz: Float64Array) -> Float64Array:
    """Linear interpolation of [n_frames, bins] at frequencies [n] -> [n_frames, n]."""
    place = np.minimum(hz * _N_FFT / _RATE_HZ, spectra.shape[1] - 1.001)
    below = place.astype(np.int64)
    part = place - below
    return spectra[:, below] * (1.0 - part) + spectra[:, below + 1] * part


def agreement(
    found_hz: Float64Array, asked_hz: NDArray[np.floating], tolerance_cents: float = RIGHT_CENTS
) -> Float64Array:
    """Which divisor of the asked F0 the found one is, within the tolerance: 1, 2 or 3; 0 for none. -> [n_frames]"""
    which = np.zeros(len(found_hz))
    for divisor in reversed(DIVISORS):
        with np.errstate(invalid="ignore"):
            cents = 1200.0 * np.log2(found_hz * divisor / np.asarray(asked_hz, dtype=np.float64))
            which = np.where(np.abs(cents) <= tolerance_cents, float(divisor), which)
    return which
