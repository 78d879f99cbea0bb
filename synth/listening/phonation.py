"""What says how a voice is phonated, from the last 130 ms: cycles, spectrum, modulation. A row every 10 ms.

The measures are those of synth/features, made short and one-sided; what they mean in lanes and techniques is fitted
(synth.listening.reading). Level is not among them: a whisper brought close to the microphone stays a whisper.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from synth.dsp.mel import dct_matrix, mel_filterbank
from synth.listening.filters import band_pass
from synth.listening.pitch import PitchHeard
from synth.listening.resampling import LISTENING_RATE_HZ
from synth.spec.controls import Float32Array

FRAME_SAMPLES: Final = 160  # 10 ms
NAMES: Final = (
    "bright_repeats", "flat_repeats", "twice_as_long", "clarity", "voiced", "octaves", "jitter", "alpha_ratio",
    "centroid", "zero_crossings", "rough_slow", "rough_middle", "rough_fast", "fluctuates", "level_moves",
    *(f"cepstrum{i}" for i in range(1, 14)),
)  # fmt: skip
AVERAGES_S: Final = (0.04, 0.15)  # beside the frame itself
N_NUMBERS: Final = len(NAMES) * (1 + len(AVERAGES_S))

_UNVOICED_HZ: Final = 140.0
_BRIGHTENING, _FLATTENING = 0.8, 0.95  # as synth.features.periodicity
_SHORTEST_WINDOW: Final = 112
_LAG_SEARCH: Final = 0.15
_KEPT: Final = 1_280
_MODULATION_EVERY: Final = 2  # frames
_KEPT_SQUARES: Final = 656  # as many, and the longest period
_N_TAPS: Final = 65
_N_FFT: Final = 512
_N_MELS, _N_CEPSTRA = 24, 14
_BANDS_HZ: Final = ((80.0, 900.0), (900.0, 2_600.0), (2_600.0, 7_000.0))
_ENVELOPE_STEP: Final = 16  # 1 kHz
_ENVELOPE_POINTS: Final = 128
_ROUGH_EDGES_HZ: Final = (31.0, 62.0, 100.0, 150.0)
_HIGHEST_PERIOD_SHARE: Final = 0.78
_SMALLEST_WEIGHT: Final = 1e-3
_JITTER_LIMIT: Final = 0.3


@dataclass(frozen=True, slots=True)
class _Tables:
    mel: Float32Array
    cosines: Float32Array
    window: Float32Array
    envelope_window: NDArray[np.float64]
    envelope_scale: float
    envelope_hz: NDArray[np.float64]
    filters: tuple[Float32Array, ...]


def _tables() -> _Tables:
    envelope_window = np.hanning(_ENVELOPE_POINTS + 2)[1:-1]
    return _Tables(
        mel=mel_filterbank(_N_MELS, _N_FFT, LISTENING_RATE_HZ, 50.0, 8_000.0),
        cosines=dct_matrix(_N_MELS, _N_CEPSTRA),
        window=np.hanning(_N_FFT + 1)[:-1].astype(np.float32),
        envelope_window=envelope_window,
        # Parseval: the sum over bins of |X|^2 is (depth^2 / 4) * sum of squares of the window * points.
        envelope_scale=4.0 / (float(np.sum(envelope_window**2)) * _ENVELOPE_POINTS),
        envelope_hz=np.fft.rfftfreq(_ENVELOPE_POINTS, _ENVELOPE_STEP / LISTENING_RATE_HZ).astype(np.float64),
        filters=tuple(band_pass(low, high, LISTENING_RATE_HZ, _N_TAPS) for low, high in _BANDS_HZ),
    )


class Phonation:
    """One voice. One thread; `process` takes FRAME_SAMPLES at a time."""

    def __init__(self) -> None:
        self._t = _tables()
        self._kept = np.zeros(_KEPT, dtype=np.float32)
        self._squares = np.zeros((len(_BANDS_HZ), _KEPT_SQUARES))
        self._envelopes = np.zeros((len(_BANDS_HZ), _ENVELOPE_POINTS))
        self._n_frames = 0
        self._rough = ([0.0, 0.0, 0.0], 0.0)
        self._log_lag = math.log(LISTENING_RATE_HZ / _UNVOICED_HZ)
        self._level_db = -100.0
        self._sums = np.zeros((len(AVERAGES_S), len(NAMES)))
        self._weights = np.zeros(len(AVERAGES_S))
        self._decays = np.exp(-FRAME_SAMPLES / LISTENING_RATE_HZ / np.asarray(AVERAGES_S))
        self._pairs = tuple(combinations(range(len(_BANDS_HZ)), 2))

    def process(self, audio: Float32Array, pitch: PitchHeard, level_db: float, *, is_present: bool) -> Float32Array:
        """The next frame of speech [FRAME_SAMPLES] with its pitch and level -> [N_NUMBERS]: now, and averaged."""
        n = len(audio)
        self._kept[:-n] = self._kept[n:]
        self._kept[-n:] = audio
        now = self._now(pitch, level_db)
        weight = 1.0 if is_present else _SMALLEST_WEIGHT
        self._sums = self._sums * self._decays[:, None] + weight * now
        self._weights = self._weights * self._decays + weight
        averages = self._sums / self._weights[:, None]
        return np.concatenate((now, averages.ravel())).astype(np.float32)

    def _now(self, pitch: PitchHeard, level_db: float) -> NDArray[np.float64]:
        hz = pitch.hz if pitch.is_voiced and pitch.hz > 0.0 else _UNVOICED_HZ
        period = LISTENING_RATE_HZ / hz
        bright, twice, lag = self._repeats(_BRIGHTENING, period)
        flat, _, _ = self._repeats(_FLATTENING, period)
        log_lag = math.log(lag)
        jitter = min(abs(log_lag - self._log_lag), _JITTER_LIMIT)
        self._log_lag = log_lag
        moves = min(abs(level_db - self._level_db), 20.0)
        self._level_db = level_db
        self._n_frames += 1
        if self._n_frames % _MODULATION_EVERY == 0:  # a window of 128 ms need not move every 10
            self._rough = self._modulation(period)
        rough, fluctuates = self._rough
        alpha_db, centroid, cepstra = self._spectrum()
        recent = self._kept[-480:]
        crossings = np.count_nonzero(np.signbit(recent[1:]) != np.signbit(recent[:-1])) / len(recent)
        first = [
            bright, flat, twice - bright, pitch.clarity, float(pitch.is_voiced),
            math.log2(hz / 200.0) * pitch.is_voiced, 10.0 * jitter, 0.1 * alpha_db, centroid, 10.0 * crossings,
            *rough, fluctuates, 0.2 * moves,
        ]  # fmt: skip
        return np.concatenate((first, cepstra))

    def _repeats(self, zero: float, period: float) -> tuple[float, float, float]:
        """How well the last cycle repeats the one before, and the one before that -> (r, r two back, lag)."""
        window = max(round(period), _SHORTEST_WINDOW)
        reach = math.ceil(_LAG_SEARCH * period)
        low, high = max(round(period) - reach, 2), round(period) + reach
        needed = window + 2 * high + 1
        speech = self._kept[-needed - 1 :]
        speech = (speech[1:] - np.float32(zero) * speech[:-1]).astype(np.float32)
        recent = speech[-window:]
        own = float(recent @ recent)
        total = np.concatenate(([0.0], np.cumsum(speech.astype(np.float64) ** 2)))
        best, lag = _best(speech, recent, own, total, low, high)
        reach_two = max(reach // 3, 2)
        two_low, two_high = 2 * lag - reach_two, min(2 * lag + reach_two, 2 * high)
        twice, _ = _best(speech, recent, own, total, two_low, max(two_high, two_low + 1))
        return best, twice, float(lag)

    def _modulation(self, period: float) -> tuple[list[float], float]:
        """Depth of what moves all bands together, in three ranges of rate, and of what moves any of them."""
        t = self._t
        n = _MODULATION_EVERY * FRAME_SAMPLES
        self._squares[:, :-n] = self._squares[:, n:]
        for band, taps in enumerate(t.filters):
            filtered = np.convolve(self._kept[-n - len(taps) + 1 :], taps, "valid")
            np.multiply(filtered, filtered, out=self._squares[band, -n:])
        total = np.cumsum(self._squares, axis=1)
        n_new = n // _ENVELOPE_STEP
        stops = _KEPT_SQUARES - 1 - _ENVELOPE_STEP * np.arange(n_new)[::-1]
        whole = int(period)
        # One period exactly: the pulses themselves vanish from such an envelope.
        power = total[:, stops] - total[:, stops - whole] + (period - whole) * self._squares[:, stops - whole]
        envelopes = self._envelopes
        envelopes[:, :-n_new] = envelopes[:, n_new:]
        envelopes[:, -n_new:] = np.sqrt(np.maximum(power, 0.0) / period)
        means = envelopes.mean(axis=1, keepdims=True)
        relative = np.where(means > 1e-7, envelopes / np.maximum(means, 1e-7) - 1.0, 0.0)
        spectra = np.fft.rfft(relative * t.envelope_window, axis=1)
        edge = np.clip((_HIGHEST_PERIOD_SHARE - t.envelope_hz * period / LISTENING_RATE_HZ) / 0.08, 0.0, 1.0)
        shared = sum((spectra[a] * np.conj(spectra[b])).real for a, b in self._pairs) / len(self._pairs) * edge
        own = float(np.sum(np.mean(np.abs(spectra) ** 2, axis=0) * edge * (t.envelope_hz >= _ROUGH_EDGES_HZ[0])))
        edges = np.searchsorted(t.envelope_hz, _ROUGH_EDGES_HZ)
        depths = [
            math.sqrt(max(float(np.sum(shared[low:high])) * t.envelope_scale, 0.0)) for low, high in pairwise(edges)
        ]
        return [3.0 * depth for depth in depths], math.sqrt(own * t.envelope_scale)

    def _spectrum(self) -> tuple[float, float, NDArray[np.float64]]:
        """Alpha ratio in dB, centroid in units of 2 kHz, and cepstra [13] of the last 32 ms."""
        spectrum = np.fft.rfft(self._kept[-_N_FFT:] * self._t.window)
        power = (spectrum.real**2 + spectrum.imag**2) * np.float32(1.0 / (_N_FFT * 0.375 * _N_FFT))
        low, high = float(power[2:32].sum()), float(power[32:160].sum())
        alpha_db = 10.0 * math.log10((high + 1e-12) / (low + 1e-12))
        energy = float(power[2:].sum())
        bin_hz = LISTENING_RATE_HZ / _N_FFT
        centroid = float(power[2:] @ np.arange(2, len(power))) * bin_hz / (energy + 1e-12) / 2_000.0
        log_mel = np.log(power @ self._t.mel + 1e-10)
        return alpha_db, centroid, (log_mel @ self._t.cosines)[1:].astype(np.float64)


def _best(
    speech: Float32Array, recent: Float32Array, own: float, total: NDArray[np.float64], low: int, high: int
) -> tuple[float, int]:
    """Highest normalised correlation of `recent` with what lies low..high samples before it -> (r, lag)."""
    window, n = len(recent), len(speech)
    past = speech[n - window - high : n - low]
    products = np.correlate(past, recent, "valid")
    first = n - window - high
    energies = total[first + window : first + window + len(products)] - total[first : first + len(products)]
    r = products / np.sqrt(np.maximum(own * energies, 1e-18))
    index = int(np.argmax(r))
    return float(r[index]), high - index
