"""Frames and pitch to audio in blocks of any size, for several voices at once. Needs no network and no torch call.

The decoder's filters act on windows of 480 samples that overlap by half; the pulses of a window are filtered as they
come, block by block, since filtering is linear: what a window holds may be filtered in pieces. So a bend is in the next
block's pulses. The breath is known before it is heard (it is a function of seed and time), so its windows are filtered
whole; how the glottal cycle gates it is read from the phase as far as it is known, and from the pitch held beyond.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synth.codec.bands import FILTER_FFT
from synth.codec.excitation import KNOT_SAMPLES, glottal_gate
from synth.codec.model import FILTER_WINDOW, SUB_HOP, SUBFRAMES
from synth.spec.audio import HOP_SAMPLES
from synth.streaming.pulses import PhaseTrack, PulseTrain
from synth.streaming.rings import RING_FRAMES, FrameRings

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

BLOCK_SAMPLES = 512  # longer blocks are made of these
# A window begins half a hop before its sub-frame, and the breath's zero-phase filter spreads this much further back.
_WINDOW_LEAD = SUB_HOP // 2
_SPREAD = (FILTER_FFT - FILTER_WINDOW) // 2
_BREATH_LEAD = _WINDOW_LEAD + _SPREAD
# From the first sample a window of breath sounds at to the last one it is made of.
EXACT_LOOK_AHEAD_SAMPLES = _BREATH_LEAD + FILTER_WINDOW - _WINDOW_LEAD
_NEVER = np.iinfo(np.int64).max
FADE_SAMPLES = 240
_WARM_HZ = 220.0


def frames_needed(position: IntArray | np.int64 | int, n_samples: int) -> IntArray:
    """How many frames of a voice must be ready to sound `n_samples` from `position` on."""
    needed = (np.asarray(position) + n_samples + EXACT_LOOK_AHEAD_SAMPLES - 2) // HOP_SAMPLES + 1
    return np.maximum(needed, 1)


def decoder_window() -> Float32Array:
    """The window of the decoder's filters, as synth.codec.model has it -> [FILTER_WINDOW]."""
    return np.hanning(FILTER_WINDOW + 1)[:-1].astype(np.float32)


def warm_up(pulse_fft: int) -> None:
    """Sound a voice that nobody hears, before there is any hurry.

    numpy imports parts of itself where they are first used: in the first block of the first note that takes 14 ms.
    pulse_fft   as the rings have it that will be sounded from
    """
    rings = FrameRings(1, pulse_fft)
    rings.ready[:] = RING_FRAMES
    sounder = FrameSounder(rings, decoder_window())
    sounder.start(0)
    out = np.zeros((1, 2 * HOP_SAMPLES), dtype=np.float32)
    sounder.process(np.full(out.shape, _WARM_HZ), out)


class FrameSounder:
    """Sounds n_voices from the frames in `rings`, each with its own time and pitch. One thread at a time.

    A voice begins to sound when its first frames are ready; a frame that is not there in time is replaced by the last
    one.

    window               [FILTER_WINDOW] of the codec's decoder
    look_ahead_samples   how long after a pitch came in it is heard; see StreamingDecoder
    active               [n_voices] whether a voice sounds, or waits to
    late_frames          [n_voices] blocks that had to do with a frame that was too old
    """

    def __init__(self, rings: FrameRings, window: Float32Array, *, look_ahead_samples: int = 0) -> None:
        n_voices = rings.n_voices
        self._rings = rings
        self.n_voices, self.look_ahead_samples = n_voices, look_ahead_samples
        self.late_frames = np.zeros(n_voices, dtype=np.int64)
        # With look-ahead to spare, pulses wait too: jitter may then place them early from the pitch as it really was.
        self._pulse_lag = max(0, look_ahead_samples - FILTER_WINDOW)
        back = max(look_ahead_samples - _SPREAD, self._pulse_lag + 1) + KNOT_SAMPLES
        self._track = PhaseTrack(rings, n_voices, BLOCK_SAMPLES + back)
        self._pulses = PulseTrain(rings, self._track, n_voices, BLOCK_SAMPLES)
        self._window = window
        self._tail = np.zeros((n_voices, BLOCK_SAMPLES + rings.pulse_fft + FILTER_WINDOW + SUB_HOP), dtype=np.float32)
        self._next_window = np.zeros(n_voices, dtype=np.int64)
        self._stop_at = np.full(n_voices, _NEVER)
        self._fade = np.full(n_voices, FADE_SAMPLES)
        self._wait = np.zeros(n_voices, dtype=np.int64)
        self.active = np.zeros(n_voices, dtype=bool)
        n_pairs = n_voices * (2 + (BLOCK_SAMPLES + FILTER_WINDOW) // SUB_HOP + 1)
        self._lines = np.zeros((n_pairs, rings.pulse_fft), dtype=np.float32)

    @property
    def _fields(self) -> tuple[NDArray[np.generic], ...]:
        return (*self._track.fields, *self._pulses.fields, self._tail, self._next_window, self._stop_at, self._fade)

    def start(self, voice: int, *, delay_samples: int = 0, start_cycle: float = 0.0) -> None:
        """Let `voice` sound from its frame 0, `delay_samples` into the next block, or as soon as that is ready."""
        self._track.begin(voice, start_cycle)
        self._pulses.begin(voice)
        self._tail[voice] = 0.0
        self._next_window[voice] = 0
        self._stop_at[voice] = _NEVER
        self._wait[voice] = delay_samples
        self.active[voice] = True

    def stop(self, voice: int, *, after_samples: int = 0, fade_samples: int = FADE_SAMPLES) -> None:
        """Let `voice` fade out in a straight line, from `after_samples` into the next block on.

        One that fades already goes on from the level it has, from the next sample on, and no slower than before.
        """
        position, fade = self.position(voice), max(fade_samples, 1)
        passed = position - int(self._stop_at[voice])
        if passed > 0:
            before = int(self._fade[voice])
            fade = min(fade, before)
            self._stop_at[voice] = position - round(passed / before * fade)
        else:
            self._stop_at[voice] = position + after_samples
        self._fade[voice] = fade

    def position(self, voice: int) -> int:
        """How many samples of `voice` have been heard; negative while it waits for its look-ahead."""
        return int(self._track.end[voice]) - self.look_ahead_samples

    def process(self, f0_hz: Float32Array | Float64Array, out: Float32Array) -> None:
        """Write the next samples of every voice to `out` [n_voices, n_samples]; 0 where none sounds.

        f0_hz   [n_voices, n_samples], the pitch of the samples that will be heard `look_ahead_samples` later
        """
        n_samples, done = out.shape[1], 0
        if f0_hz.shape != out.shape or out.shape[0] != self.n_voices:
            raise ValueError(f"pitch {f0_hz.shape} and audio {out.shape} must both be [{self.n_voices}, n_samples]")
        out[:] = 0.0
        while done < n_samples:
            n_now = min(n_samples - done, BLOCK_SAMPLES)
            can_sound = self._can_sound()
            begins = can_sound & (self._wait > 0) & (self._wait < n_now) & (self._track.end == 0)
            if begins.any():  # silent up to their first samples, so that all voices sound in one go
                self._track.end[begins] = -self._wait[begins]
                self._wait[begins] = 0
            waiting = can_sound & (self._wait > 0)
            if waiting.any():  # the first sample of one that was heard before begins a block of its own
                n_now = min(n_now, int(self._wait[waiting].min()))
            voices = np.flatnonzero(can_sound & (self._wait == 0))
            if len(voices):
                piece = slice(done, done + n_now)
                out[voices, piece] = self._sound(voices, f0_hz[voices, piece].astype(np.float64))
            self._wait[waiting] -= n_now
            done += n_now

    def _can_sound(self) -> NDArray[np.bool_]:
        """Which voices have something to sound."""
        return self.active & (self._rings.ready > 0)

    def _see_to(self, voices: IntArray, needed: IntArray) -> None:
        """Before `voices` [n] are sounded with frames up to `needed` [n]."""
        self.late_frames[voices] += np.maximum(needed - self._rings.ready[voices], 0)

    def _sound(self, voices: IntArray, hz: Float64Array) -> Float32Array:
        """The next block of `voices` [n] from their pitch [n, n_samples] -> like `hz`."""
        n_samples = hz.shape[1]
        self._track.append(voices, hz)
        self._rings.latest_hz[voices] = hz[:, -1]
        heard = self._track.end[voices] - self.look_ahead_samples - n_samples
        self._see_to(voices, frames_needed(heard, n_samples))
        self._filter_pulses(voices, heard, n_samples)
        self._filter_breath(voices, heard, n_samples)
        audio = self._tail[voices, :n_samples]
        self._tail[voices, :-n_samples] = self._tail[voices, n_samples:]
        self._tail[voices, -n_samples:] = 0.0
        for row in np.flatnonzero((heard < 0) | (self._stop_at[voices] < heard + n_samples)):
            self._shape(audio[row], int(voices[row]), int(heard[row]))
        return audio

    def _shape(self, audio: Float32Array, voice: int, heard: int) -> None:
        """Silence before the voice's first sample, and its fade."""
        audio[: max(-heard, 0)] = 0.0
        stop, fade = int(self._stop_at[voice]), int(self._fade[voice])
        if stop < heard + len(audio):
            left = 1.0 - (np.arange(heard, heard + len(audio)) - stop) / fade
            audio *= np.clip(left, 0.0, 1.0).astype(np.float32)
            self.active[voice] = heard + len(audio) < stop + fade

    def _filter_pulses(self, voices: IntArray, heard: IntArray, n_samples: int) -> None:
        """Add what the block's pulses give, through every window they lie in."""
        first = self._track.end[voices] - self._pulse_lag - n_samples
        pulses = self._pulses.take(voices, first, n_samples)
        samples = first[:, None] + np.arange(n_samples)
        pulses *= self._rings.gain[
            voices[:, None], self._ring(voices[:, None], samples // HOP_SAMPLES), samples % HOP_SAMPLES
        ]
        pairs: list[tuple[int, int]] = []
        for row in range(len(voices)):
            start = int(first[row])
            for window in range(
                max(0, (start - _WINDOW_LEAD) // SUB_HOP), (start + n_samples + _WINDOW_LEAD - 1) // SUB_HOP + 1
            ):
                begin = window * SUB_HOP - _WINDOW_LEAD
                low, high = max(begin, start), min(begin + FILTER_WINDOW, start + n_samples)
                piece = pulses[row, low - start : high - start]
                if low < high and piece.any():
                    line = self._lines[len(pairs)]
                    line[:] = 0.0
                    np.multiply(piece, self._window[low - begin : high - begin], out=line[low - begin : high - begin])
                    pairs.append((row, window))
        if pairs:
            row, window = np.array(pairs).T
            of = voices[row]
            filters = self._rings.pulse_filters[of, self._ring(of, window // SUBFRAMES), window % SUBFRAMES]
            self._add(self._lines[: len(row)], of, window * SUB_HOP - _WINDOW_LEAD - heard[row], filters)

    def _filter_breath(self, voices: IntArray, heard: IntArray, n_samples: int) -> None:
        """Add the windows of breath that begin to sound in this block."""
        last = (heard + n_samples - 1 + _BREATH_LEAD) // SUB_HOP
        count = np.maximum(last - self._next_window[voices] + 1, 0)
        row = np.repeat(np.arange(len(voices)), count)
        if len(row) == 0:
            return
        of = voices[row]
        window = self._next_window[of] + np.concatenate([np.arange(n) for n in count])
        self._next_window[voices] += count
        begin = window * SUB_HOP - _WINDOW_LEAD
        samples = begin[:, None] + np.arange(FILTER_WINDOW)
        place, sub = self._ring(of, window // SUBFRAMES), window % SUBFRAMES
        breath = self._rings.breath[of[:, None], self._ring(of[:, None], samples // HOP_SAMPLES), samples % HOP_SAMPLES]
        depth = self._rings.gates[of, place, sub][:, None]
        if depth.any():
            breath *= 1.0 + depth * glottal_gate(self._track.at(of, begin, FILTER_WINDOW))
        breath *= self._window
        breath[samples < 0] = 0.0
        lines = self._lines[: len(row), :FILTER_FFT]
        lines[:] = 0.0
        lines[:, _SPREAD : _SPREAD + FILTER_WINDOW] = breath  # in the transform's middle: zero phase spreads both ways
        self._add(lines, of, begin - _SPREAD - heard[row], self._rings.noise_filters[of, place, sub])

    def _ring(self, voices: IntArray, frame: IntArray) -> IntArray:
        """Where `frame` of `voices` lies in the rings; the first before it, the last one ready after it."""
        return np.clip(frame, 0, self._rings.ready[voices] - 1) % RING_FRAMES

    def _add(self, lines: Float32Array, voices: IntArray, offsets: IntArray, filters: NDArray[np.inexact]) -> None:
        """Filter `lines` [n, n_fft] and add them to the tails of `voices`, `offsets` samples from now."""
        n_fft = lines.shape[1]
        heard = np.fft.irfft(np.fft.rfft(lines) * filters, n=n_fft)
        for voice, offset, line in zip(voices, offsets, heard, strict=True):
            skip = max(-int(offset), 0)
            self._tail[voice, offset + skip : offset + n_fft] += line[skip:]
