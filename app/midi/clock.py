"""MIDI clock: a tempo without the jitter of its ticks, and where in the song we are.

The filter is a second-order delay-locked loop (F. Adriaensen, Using a DLL to filter time, Linux Audio Conference 2005):
each tick corrects the predicted time of the next by b times the error, and the period by c times the error.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from app.midi.messages import ClockContinue, ClockMessage, ClockStart, ClockStop, ClockTick

TICKS_PER_BEAT: Final = 24
SIXTEENTHS_PER_BEAT: Final = 4
MIN_BPM: Final = 20.0
MAX_BPM: Final = 400.0
_MIN_PERIOD_S: Final = 60.0 / (MAX_BPM * TICKS_PER_BEAT)
_MAX_PERIOD_S: Final = 60.0 / (MIN_BPM * TICKS_PER_BEAT)
_SETTLING_TICKS: Final = 24  # the loop is fast while it locks, then slow enough to average jitter away
_FAST_BANDWIDTH: Final = 0.08  # times 2 pi: the loop's angle per tick
_SLOW_BANDWIDTH: Final = 0.012
_LOST_PERIODS: Final = 6.0  # a gap this long, or an error this large, begins anew
_LOST_ERROR: Final = 1.5
_TEMPO_STEP_BPM: Final = 0.1  # smaller changes are not told


@dataclass(frozen=True, slots=True)
class TempoChanged:
    """The filtered tempo, told when it has moved by 0.1 BPM."""

    t_s: float
    bpm: float


@dataclass(frozen=True, slots=True)
class TransportChanged:
    """The song starts, goes on or stops, at `beat` quarter notes from its start."""

    t_s: float
    is_running: bool
    beat: float


ClockNews = TempoChanged | TransportChanged


class MidiClock:
    """Follows one clock. Constant memory and time a tick, so a storm of ticks does no harm."""

    def __init__(self) -> None:
        self.is_running = False
        self._n_ticks = 0  # since the song's start
        self._n_seen = 0  # since the loop began
        self._period_s = 0.0
        self._next_s = 0.0
        self._last_s = -math.inf
        self._told_bpm = 0.0

    @property
    def bpm(self) -> float | None:
        """Filtered tempo; None until two ticks have come."""
        return 60.0 / (self._period_s * TICKS_PER_BEAT) if self._period_s > 0 else None

    @property
    def beat(self) -> float:
        """Quarter notes from the start of the song to the last tick."""
        return self._n_ticks / TICKS_PER_BEAT

    def take(self, message: ClockMessage) -> ClockNews | None:
        match message:
            case ClockTick(t_s=t_s):
                return self._tick(t_s)
            case ClockStart(t_s=t_s):
                self._n_ticks = 0
                self.is_running = True
            case ClockContinue(t_s=t_s):
                self.is_running = True
            case ClockStop(t_s=t_s):
                self.is_running = False
            case _:
                t_s = message.t_s
                self._n_ticks = message.sixteenths * TICKS_PER_BEAT // SIXTEENTHS_PER_BEAT
        return TransportChanged(t_s, self.is_running, self.beat)

    def beat_at(self, t_s: float) -> float:
        """Quarter notes at any time near now, by the filtered tempo."""
        if not self.is_running or self._period_s <= 0:
            return self.beat
        ahead = (t_s - (self._next_s - self._period_s)) / self._period_s
        return (self._n_ticks + min(max(ahead, 0.0), _LOST_PERIODS)) / TICKS_PER_BEAT

    def _tick(self, t_s: float) -> TempoChanged | None:
        if self.is_running:
            self._n_ticks += 1
        gap_s, self._last_s = t_s - self._last_s, t_s
        expected_s = self._period_s or _MAX_PERIOD_S
        error_s = t_s - self._next_s
        if gap_s < 0 or gap_s > _LOST_PERIODS * expected_s:
            self._n_seen = 0
        elif self._n_seen > 2 and abs(error_s) > _LOST_ERROR * expected_s:
            self._n_seen = 1
        if self._n_seen < 2:
            if self._n_seen == 1:
                self._period_s = min(max(gap_s, _MIN_PERIOD_S), _MAX_PERIOD_S)
            self._next_s = t_s + self._period_s
        else:
            bandwidth = _FAST_BANDWIDTH if self._n_seen < _SETTLING_TICKS else _SLOW_BANDWIDTH
            omega = 2.0 * math.pi * bandwidth
            self._next_s += self._period_s + math.sqrt(2.0) * omega * error_s
            self._period_s = min(max(self._period_s + omega * omega * error_s, _MIN_PERIOD_S), _MAX_PERIOD_S)
        self._n_seen += 1
        bpm = self.bpm
        if self._n_seen < TICKS_PER_BEAT // 4 or bpm is None or abs(bpm - self._told_bpm) < _TEMPO_STEP_BPM:
            return None
        self._told_bpm = bpm
        return TempoChanged(t_s, bpm)
