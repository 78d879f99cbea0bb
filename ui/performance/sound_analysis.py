"""What scope and spectrum show of the live stream. Pure numpy; buffers are kept from one picture to the next."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from synth.spec import SAMPLE_RATE_HZ, Float32Array

SPECTRUM_SAMPLES: Final = 4096
LOWEST_HZ: Final = 40.0
HIGHEST_HZ: Final = 20_000.0
FLOOR_DB: Final = -110.0
N_BANDS: Final = 256
SMALLEST_PEAK: Final = 1e-4  # -80 dB: below it there is nothing to trigger on
_ARM_SHARE: Final = 0.1  # of the peak, which the signal must have been below zero by before it may trigger
_FALL_DB: Final = 1.0  # of a band, from one picture to the next
_HOLD_FALL_DB: Final = 0.12


def rising_crossing(audio: Float32Array, n_shown: int) -> int:
    """The newest rising zero crossing that n_shown samples follow -> its index; where there is none, the newest part.

    The signal must have gone a tenth of its peak below zero since the crossing before: noise about zero triggers
    nothing.
    """
    last = len(audio) - n_shown
    if last <= 0:
        return 0
    peak = float(np.abs(audio).max())
    if peak < SMALLEST_PEAK:
        return last
    head = audio[: last + 1]
    crossings = np.flatnonzero((head[:-1] < 0.0) & (head[1:] >= 0.0)) + 1
    low = np.flatnonzero(head < -_ARM_SHARE * peak)
    if len(crossings) == 0 or len(low) == 0:
        return last
    # A crossing counts when it is the first one after a low sample.
    before = np.searchsorted(low, crossings) - 1
    armed = before >= 0
    first_after = np.concatenate(([True], before[1:] != before[:-1]))
    fitting = crossings[armed & first_after]
    return int(fitting[-1]) if len(fitting) else last


def peak_db(audio: Float32Array) -> float:
    """The loudest sample, dB re full scale; FLOOR_DB for silence."""
    peak = float(np.abs(audio).max(initial=0.0))
    return max(20.0 * math.log10(peak), FLOOR_DB) if peak > 0.0 else FLOOR_DB


class SpectrumAnalyser:
    """Level in N_BANDS bands of equal width in log frequency, falling slowly, with the peaks held.

    bands_hz            [N_BANDS] centres
    levels_db, held_db  [N_BANDS] dB re a sine of full scale
    """

    def __init__(self) -> None:
        self.bands_hz: NDArray[np.float64] = np.geomspace(LOWEST_HZ, HIGHEST_HZ, N_BANDS)
        self.levels_db = np.full(N_BANDS, FLOOR_DB)
        self.held_db = np.full(N_BANDS, FLOOR_DB)
        self._window = np.hanning(SPECTRUM_SAMPLES).astype(np.float32)
        bin_hz = SAMPLE_RATE_HZ / SPECTRUM_SAMPLES
        edges_hz = np.sqrt(self.bands_hz[1:] * self.bands_hz[:-1])
        edges_hz = np.concatenate(([LOWEST_HZ], edges_hz, [HIGHEST_HZ]))
        self._first = np.floor(edges_hz[:-1] / bin_hz).astype(np.int64)
        self._position = self.bands_hz / bin_hz
        self._is_wide = np.diff(edges_hz) > 2.0 * bin_hz
        self._bins = np.arange(SPECTRUM_SAMPLES // 2 + 1, dtype=np.float64)

    def take(self, audio: Float32Array) -> None:
        """The newest SPECTRUM_SAMPLES of the stream."""
        magnitude = np.abs(np.fft.rfft(audio * self._window)) / (SPECTRUM_SAMPLES / 4)
        # Wide bands show the strongest bin in them, narrow ones lie between two bins.
        strongest = np.maximum.reduceat(magnitude, self._first)
        between = np.interp(self._position, self._bins, magnitude)
        now_db = 20.0 * np.log10(np.where(self._is_wide, strongest, between) + 1e-9)
        np.maximum(now_db, self.levels_db - _FALL_DB, out=self.levels_db)
        np.maximum(self.levels_db, FLOOR_DB, out=self.levels_db)
        np.maximum(self.levels_db, self.held_db - _HOLD_FALL_DB, out=self.held_db)

    def reset(self) -> None:
        """Forget what was held."""
        self.levels_db[:] = self.held_db[:] = FLOOR_DB
