"""Phase and pulses of voices whose pitch comes in with every block.

What is known of the pitch ends with the block; beyond it the last pitch is held. A pulse that jitter moves forward
is placed before its due time has been reached, from that prediction, and remembered by its cycle.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synth.codec.excitation import (
    KNOT_SAMPLES,
    MAX_F0_HZ,
    MIN_F0_HZ,
    PULSE_HALF_TAPS,
    PULSE_SHIFT_LIMIT,
    pulse_amplitude,
    pulse_shift,
    pulse_taps,
)
from synth.spec.audio import SAMPLE_RATE_HZ
from synth.streaming.rings import KNOTS_PER_FRAME, RING_FRAMES, FrameRings, IntArray

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]

# Jitter moves a pulse by half a period at most (ratio 0.5 at the slowest pitch).
_LONGEST_SHIFT = int(PULSE_SHIFT_LIMIT * 0.5 / 6.0**0.5 * SAMPLE_RATE_HZ / MIN_F0_HZ) + 1


class PhaseTrack:
    """Pitch and phase of n_voices: the last `history` samples of each, and a straight line beyond.

    end   [n_voices] the sample of each voice where its known pitch ends; below 0 where it is yet to begin
    """

    def __init__(self, frames: FrameRings, n_voices: int, history: int) -> None:
        self._frames, self._history = frames, history
        self.end = np.zeros(n_voices, dtype=np.int64)
        self.held_hz = np.full(n_voices, 220.0)
        self.start_cycle = np.zeros(n_voices)
        self.total = np.zeros(n_voices)  # Hz times samples: summed like synth.codec.excitation.free_phase, to the bit
        self.hz = np.zeros((n_voices, history))
        self.phase = np.zeros((n_voices, history))

    @property
    def fields(self) -> tuple[NDArray[np.generic], ...]:
        """Every array whose rows are voices."""
        return (self.end, self.held_hz, self.start_cycle, self.total, self.hz, self.phase)

    def begin(self, voice: int, start_cycle: float) -> None:
        """Sample 0 is next."""
        self.end[voice] = 0
        self.total[voice] = 0.0
        self.start_cycle[voice] = start_cycle
        self.hz[voice] = 0.0
        self.phase[voice] = start_cycle

    def append(self, voices: IntArray, hz: Float64Array) -> None:
        """The pitch of the next samples, [n, n_samples] for `voices` [n]. Before sample 0 phase stands still."""
        n_samples = hz.shape[1]
        advance = np.clip(hz, MIN_F0_HZ, MAX_F0_HZ)
        if (self.end[voices] < 0).any():
            early = self.end[voices][:, None] + np.arange(n_samples) < 0
            hz, advance = np.where(early, 0.0, hz), np.where(early, 0.0, advance)
        sums = np.cumsum(np.concatenate([self.total[voices][:, None], advance], axis=1), axis=1)[:, 1:]
        self.total[voices] = sums[:, -1]
        phase = self.start_cycle[voices][:, None] + sums / SAMPLE_RATE_HZ
        self.hz[voices] = np.concatenate([self.hz[voices], hz], axis=1)[:, -self._history :]
        self.phase[voices] = np.concatenate([self.phase[voices], phase], axis=1)[:, -self._history :]
        self.held_hz[voices] = hz[:, -1]
        self.end[voices] += n_samples

    def at(self, voices: IntArray, first: IntArray, n_samples: int) -> Float64Array:
        """Phase in cycles with its drift at samples [first, first + n_samples) -> [n, n_samples]."""
        rows = voices[:, None]
        samples = first[:, None] + np.arange(n_samples)
        beyond = samples - self.end[rows]
        known = self.phase[rows, np.clip(beyond + self._history, 0, self._history - 1)]
        step = np.clip(self.held_hz[voices], MIN_F0_HZ, MAX_F0_HZ) / SAMPLE_RATE_HZ
        phase = known + np.maximum(beyond + 1, 0) * step[:, None]
        if self._frames.drifts[voices].any():
            phase += self._drift(rows, samples)
        return phase

    def _drift(self, rows: IntArray, samples: IntArray) -> Float64Array:
        """Cycles of drift, joined by straight lines between knots -> like `samples`."""
        first = samples[:, :1] // KNOT_SAMPLES
        knots = first + np.arange(samples.shape[1] // KNOT_SAMPLES + 3)
        beyond = knots * KNOT_SAMPLES - self.end[rows]
        hz = self.hz[rows, np.clip(beyond + self._history, 0, self._history - 1)]
        hz = np.where(beyond >= 0, self.held_hz[rows], hz)
        kept = np.clip(knots, 0, self._frames.ready[rows] * KNOTS_PER_FRAME - 1)
        cycles = hz * self._frames.drift_s[rows, kept // KNOTS_PER_FRAME % RING_FRAMES, kept % KNOTS_PER_FRAME]
        place = samples - first * KNOT_SAMPLES
        lower = place // KNOT_SAMPLES
        low, high = np.take_along_axis(cycles, lower, 1), np.take_along_axis(cycles, lower + 1, 1)
        return low + (high - low) * ((place % KNOT_SAMPLES) / KNOT_SAMPLES)


class PulseTrain:
    """The pulses of n_voices, block after block."""

    def __init__(self, frames: FrameRings, track: PhaseTrack, n_voices: int, most_samples: int) -> None:
        self._frames, self._track = frames, track
        self.next_cycle = np.zeros(n_voices, dtype=np.int64)
        self.ahead = np.zeros((n_voices, most_samples + 2 * _LONGEST_SHIFT + 4 * PULSE_HALF_TAPS), dtype=np.float32)

    @property
    def fields(self) -> tuple[NDArray[np.generic], ...]:
        """Every array whose rows are voices."""
        return (self.next_cycle, self.ahead)

    def begin(self, voice: int) -> None:
        """Nothing has been placed yet."""
        self.next_cycle[voice] = np.iinfo(np.int64).min
        self.ahead[voice] = 0.0

    def take(self, voices: IntArray, first: IntArray, n_samples: int) -> Float32Array:
        """The pulses at samples [first, first + n_samples) -> [n, n_samples]; every sample once and in order."""
        self._place(voices, first, n_samples)
        now = self.ahead[voices, :n_samples]
        self.ahead[voices, :-n_samples] = self.ahead[voices, n_samples:]
        self.ahead[voices, -n_samples:] = 0.0
        return now

    def _place(self, voices: IntArray, first: IntArray, n_samples: int) -> None:
        """Put every pulse whose first tap or whose due time lies in the block into `ahead`."""
        frames = self._frames
        period = SAMPLE_RATE_HZ / np.clip(self._track.held_hz[voices], MIN_F0_HZ, MAX_F0_HZ)
        shift = (PULSE_SHIFT_LIMIT / 6.0**0.5 * frames.most_jitter(voices) * period).max()
        horizon = min(int(shift) + 1, _LONGEST_SHIFT) + PULSE_HALF_TAPS
        phase = self._track.at(voices, first - 1, 1 + n_samples + horizon)
        cycles = np.floor(phase)
        row, column = np.nonzero(np.diff(cycles) > 0)
        due_at, cycle = first[row] + column, cycles[row, column + 1]
        new = (due_at >= 1) & (cycle >= self.next_cycle[voices[row]])
        if not new.any():
            return
        row, column, due_at, cycle = row[new], column[new], due_at[new], cycle[new]
        of = voices[row]
        step = phase[row, column + 1] - phase[row, column]
        pulse_at = due_at - np.clip((phase[row, column + 1] - cycle) / np.maximum(step, 1e-9), 0.0, 1.0)
        period = 1.0 / np.maximum(step, 1e-6)
        jitter, subharmonic = frames.jitter_and_subharmonic(of, pulse_at)
        for voice in np.unique(of):
            mine = of == voice
            moved = pulse_shift(int(frames.seeds[voice]), pulse_at[mine], period[mine], jitter[mine])
            pulse_at[mine] += moved
        # A bend can make a pulse due whose early place has gone by: then it comes as early as it still can.
        earliest = np.where(first[row] > 0, first[row] + PULSE_HALF_TAPS - 1, -np.inf)
        pulse_at = np.maximum(pulse_at, earliest)
        index, shapes = pulse_taps(pulse_at, pulse_amplitude(cycle, period, subharmonic))
        self._emit(of, row, first, due_at, cycle, index, shapes, n_samples)

    def _emit(
        self,
        of: IntArray,
        row: IntArray,
        first: IntArray,
        due_at: IntArray,
        cycle: Float64Array,
        index: IntArray,
        shapes: Float64Array,
        n_samples: int,
    ) -> None:
        """Add the pulses that begin in the block, and all before them."""
        end = first[row] + n_samples
        begins = (due_at < end) | (index[:, 0] < end)
        for voice in np.unique(of[begins]):
            mine = np.flatnonzero(of == voice)
            last = mine[begins[mine]][-1]
            start = int(first[row[last]])
            for pulse in mine[: np.searchsorted(mine, last) + 1]:
                places, heard = index[pulse] - start, index[pulse] >= max(start, 0)
                self.ahead[voice, places[heard]] += shapes[pulse, heard]
            self.next_cycle[voice] = int(cycle[last]) + 1
