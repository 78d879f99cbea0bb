"""Pitch as it comes: normalised square differences over two periods that have just been heard, and a path through them.

McLeod and Wyvill's function (2005), n(lag) = 2 c(lag) / (E + E(lag)), over a window as long as the lag, 7 ms at least:
an answer never spans more than two periods, and stands for what was heard one period ago. Of its summits a path is
chosen as by Viterbi's algorithm, but with no look ahead: the best end of all paths so far, whose past fades by a third
a hop. An octave therefore has to be better for about 15 ms before it is believed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from synth.listening.resampling import LISTENING_RATE_HZ
from synth.spec.controls import Float32Array

LOWEST_HZ: Final = 50.0
HIGHEST_HZ: Final = 1_300.0
HOP_SAMPLES: Final = 80  # 5 ms at LISTENING_RATE_HZ

_RATE_HZ: Final = LISTENING_RATE_HZ // 2  # where summits are looked for
_SHORTEST_WINDOW: Final = 60  # 7.5 ms at _RATE_HZ
_LAG_EDGES: Final = (int(_RATE_HZ / HIGHEST_HZ), 60, 100, math.ceil(_RATE_HZ / LOWEST_HZ))
_KEPT: Final = 2 * (_LAG_EDGES[-1] + 4)
_REFINED_OVER: Final = 100  # samples at LISTENING_RATE_HZ: short periods are measured several at a time
_SHORTEST_REFINED: Final = 112
_KEPT_FINE: Final = 1_024
_DECIMATOR: Final = (np.hanning(13)[1:-1] * np.sinc(np.arange(-5, 6) * 0.5)).astype(np.float32)

_LEAST_SUMMIT: Final = 0.25
_MOST_CANDIDATES: Final = 6
_OCTAVE_COST: Final = 0.09  # an octave lower repeats as well: it must do so better
_MEMORY: Final = 0.67  # of a path, a hop
_LEAP_COST: Final = 0.55  # per octave...
_MOST_LEAP_COST: Final = 0.13  # ...but no more: steps are sung, too
_VOICED_FROM: Final = 0.8
_VOICED_UNTIL: Final = 0.6
_HOPS_TO_BE_SURE: Final = 2


@dataclass(frozen=True, slots=True)
class PitchHeard:
    """hz: the last pitch that was heard, 0 before the first; clarity: of the best repetition now, -1..1."""

    hz: float
    clarity: float
    is_voiced: bool


@dataclass(slots=True)
class _Path:
    lag: float
    score: float


class PitchTracker:
    """One voice. One thread; `process` takes HOP_SAMPLES at a time."""

    def __init__(self) -> None:
        self._fine = np.zeros(_KEPT_FINE, dtype=np.float32)
        self._low = np.zeros(_KEPT, dtype=np.float32)
        self._paths: list[_Path] = []
        self._hz = 0.0
        self._is_voiced = False
        self._hops = 0  # that say otherwise
        self._decimator = _DECIMATOR / _DECIMATOR.sum()

    def process(self, audio: Float32Array) -> PitchHeard:
        """The next hop of speech [HOP_SAMPLES] at LISTENING_RATE_HZ, free of rumble."""
        n = len(audio)
        self._fine[:-n] = self._fine[n:]
        self._fine[-n:] = audio
        new = np.convolve(self._fine[-n - len(self._decimator) + 1 :], self._decimator, "valid")[::2]
        self._low[: -len(new)] = self._low[len(new) :]
        self._low[-len(new) :] = new
        best = self._best_path()
        if best is None:
            self._settle(0.0)
            return PitchHeard(self._hz, 0.0, self._is_voiced)
        lag, clarity = self._refined(2.0 * best)
        self._settle(clarity)
        if self._is_voiced or clarity > _VOICED_UNTIL:
            self._hz = LISTENING_RATE_HZ / lag
        return PitchHeard(self._hz, clarity, self._is_voiced)

    # ---- inside

    def _settle(self, clarity: float) -> None:
        """Decide whether this is a voice: one clear hop, or two that are clear enough; two to end it."""
        differs = clarity < _VOICED_UNTIL if self._is_voiced else clarity > _VOICED_FROM
        self._hops = self._hops + 1 if differs else 0
        if self._hops >= _HOPS_TO_BE_SURE:
            self._is_voiced, self._hops = not self._is_voiced, 0

    def _best_path(self) -> float | None:
        """Add this hop's summits to the paths -> lag at _RATE_HZ of the best end; None where nothing repeats."""
        candidates = self._summits()
        if not candidates:
            self._paths = []
            return None
        paths: list[_Path] = []
        for lag, score in candidates:
            if self._paths:
                score += max(
                    _MEMORY * path.score - min(_LEAP_COST * abs(math.log2(lag / path.lag)), _MOST_LEAP_COST)
                    for path in self._paths
                )
            paths.append(_Path(lag, score))
        self._paths = paths
        return max(paths, key=lambda path: path.score).lag

    def _summits(self) -> list[tuple[float, float]]:
        """The best local maxima of n(lag) -> (lag at _RATE_HZ, score), sub-sample, at most _MOST_CANDIDATES."""
        found: list[tuple[float, float]] = []
        total = _energy_until(self._low)
        for first, last in pairwise(_LAG_EDGES):
            low, high = first - 1, last + 1
            values = _square_difference(self._low, total, max(last, _SHORTEST_WINDOW), low, high)
            middle = values[1:-1]
            is_summit = (middle > values[:-2]) & (middle >= values[2:]) & (middle > _LEAST_SUMMIT)
            for index in np.flatnonzero(is_summit):
                shift, value = _parabola(*values[index : index + 3].tolist())
                lag = low + 1 + int(index) + shift
                found.append((lag, value - _OCTAVE_COST * math.log2(lag / _LAG_EDGES[0])))
        found.sort(key=lambda summit: -summit[1])
        return found[:_MOST_CANDIDATES]

    def _refined(self, lag: float) -> tuple[float, float]:
        """The same summit at LISTENING_RATE_HZ, over as many periods as go into _REFINED_OVER -> (lag, clarity)."""
        n_periods = max(int(_REFINED_OVER / lag), 1)
        window = max(math.ceil(lag), _SHORTEST_REFINED)
        reach = 2 if n_periods == 1 else 1 + math.ceil(0.1 * n_periods)
        at = round(n_periods * lag)
        recent = self._fine[-window - at - reach - 2 :]
        values = _square_difference(recent, _energy_until(recent), window, at - reach - 1, at + reach + 1)
        index = min(max(int(np.argmax(values)), 1), len(values) - 2)
        shift, value = _parabola(float(values[index - 1]), float(values[index]), float(values[index + 1]))
        return (at - reach - 1 + index + shift) / n_periods, value


def _energy_until(signal: Float32Array) -> NDArray[np.float64]:
    """-> [n + 1]"""
    total = np.zeros(len(signal) + 1)
    np.cumsum(signal * signal, dtype=np.float64, out=total[1:])
    return total


def _square_difference(
    signal: Float32Array, total: NDArray[np.float64], window: int, low: int, high: int
) -> NDArray[np.float64]:
    """n(lag) of the last `window` samples for the lags low..high -> [high - low + 1]"""
    n = len(signal)
    start = n - window
    products = np.correlate(signal[start - high : n - low], signal[start:], "valid")
    energies = total[n - high : n - low + 1] - total[start - high : start - low + 1]
    return (2.0 * products / (total[n] - total[start] + energies + 1e-12))[::-1]


def _parabola(before: float, at: float, after: float) -> tuple[float, float]:
    """Summit of the parabola through three neighbours -> (shift -0.5..0.5, value)."""
    bend = before - 2.0 * at + after
    if bend > -1e-12:
        return 0.0, at
    shift = min(max(0.5 * (before - after) / bend, -0.5), 0.5)
    return shift, at - 0.25 * (before - after) * shift
