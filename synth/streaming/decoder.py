"""Latents and pitch to audio in blocks of any size, for several voices at once.

It gives what synth.codec does with a whole passage and a free phase. The decoder's filters act on windows of 480
samples that overlap by half; the pulses of a window are filtered as they come, block by block, since filtering is
linear: what a window holds may be filtered in pieces. So a bend is in the next block's pulses. The breath is known
before it is heard (it is a function of seed and time), so its windows are filtered whole; how the glottal cycle gates
it is read from the phase as far as it is known, and from the pitch held beyond.

No threads, no files, one caller at a time. Sound is a function of what was pushed and played, never of block sizes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synth.codec.bands import FILTER_FFT
from synth.codec.excitation import KNOT_SAMPLES, glottal_gate
from synth.codec.model import FILTER_WINDOW, SUB_HOP, SUBFRAMES, Codec
from synth.spec.audio import HOP_SAMPLES
from synth.streaming.frames import MOST_AT_ONCE, RING_FRAMES, FramesState, StreamingFrames
from synth.streaming.pulses import PhaseTrack, PulseTrain

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


@dataclass(frozen=True, slots=True)
class DecoderState:
    """One voice at a sample position: enough to go on from there without a seam. About 170 kB.

    position   samples of the voice that have been heard
    """

    position: int
    fields: tuple[NDArray[np.generic], ...]
    frames: FramesState

    @property
    def n_bytes(self) -> int:
        """Memory it keeps."""
        arrays = (*self.fields, *self.frames.rings, self.frames.pending)
        tensors = (self.frames.network.inputs, *self.frames.network.memory)
        return sum(array.nbytes for array in arrays) + sum(tensor.nbytes for tensor in tensors)


class StreamingDecoder:
    """n_voices voices, each with its own time, pitch, seed and latents.

    look_ahead_samples   how long after a pitch came in it is heard. EXACT_LOOK_AHEAD_SAMPLES: equal to offline
                         decoding. Less: while the pitch moves, the gate of the breath foresees a pitch that is held.
                         Less than FILTER_WINDOW: the pulses' filters are not circular, too, so that nothing has to
                         sound before its pulse; about -50 dB from offline decoding. 0: a bend is in its own block.
    frames_at_once       frames the network makes in one pass where latents are there: fewer follow a bend's timbre
                         sooner, more cost less
    makes_frames         `process` runs the network when a frame is not there yet. False: only `prepare` does, so that
                         a block costs about the same every time; a frame that is not there is replaced by the last
                         one, and counted. A voice then begins to sound when its first frames have been prepared.

    With makes_frames=False one thread may call `process` and `stop` while another calls `push` and `prepare`, and
    `begin` or `restore` for voices that are not active: a frame is counted as ready once all of it is written.

    late_frames   [n_voices] blocks that had to do with a frame that was too old
    """

    def __init__(
        self,
        codec: Codec,
        n_voices: int,
        *,
        look_ahead_samples: int = 0,
        frames_at_once: int = 2,
        makes_frames: bool = True,
    ) -> None:
        if not 0 <= look_ahead_samples <= EXACT_LOOK_AHEAD_SAMPLES:
            raise ValueError(f"a look-ahead is 0 to {EXACT_LOOK_AHEAD_SAMPLES} samples, not {look_ahead_samples}")
        if not 1 <= frames_at_once <= MOST_AT_ONCE:
            raise ValueError(f"the network makes 1 to {MOST_AT_ONCE} frames in one pass, not {frames_at_once}")
        self.n_voices, self.look_ahead_samples = n_voices, look_ahead_samples
        self._at_once, self._makes_frames = frames_at_once, makes_frames
        self.late_frames = np.zeros(n_voices, dtype=np.int64)
        # With look-ahead to spare, pulses wait too: jitter may then place them early from the pitch as it really was.
        self._pulse_lag = max(0, look_ahead_samples - FILTER_WINDOW)
        self.frames = StreamingFrames(codec, n_voices, are_pulses_causal=look_ahead_samples < FILTER_WINDOW)
        back = max(look_ahead_samples - _SPREAD, self._pulse_lag + 1) + KNOT_SAMPLES
        self._track = PhaseTrack(self.frames, n_voices, BLOCK_SAMPLES + back)
        self._pulses = PulseTrain(self.frames, self._track, n_voices, BLOCK_SAMPLES)
        self._window = codec.decoder.window.cpu().numpy().astype(np.float32)
        self._tail = np.zeros(
            (n_voices, BLOCK_SAMPLES + self.frames.pulse_fft + FILTER_WINDOW + SUB_HOP), dtype=np.float32
        )
        self._next_window = np.zeros(n_voices, dtype=np.int64)
        self._stop_at = np.full(n_voices, _NEVER)
        self._fade = np.full(n_voices, FADE_SAMPLES)
        self._wait = np.zeros(n_voices, dtype=np.int64)
        self.active = np.zeros(n_voices, dtype=bool)
        n_pairs = n_voices * (2 + (BLOCK_SAMPLES + FILTER_WINDOW) // SUB_HOP + 1)
        self._lines = np.zeros((n_pairs, self.frames.pulse_fft), dtype=np.float32)

    @property
    def _fields(self) -> tuple[NDArray[np.generic], ...]:
        return (*self._track.fields, *self._pulses.fields, self._tail, self._next_window, self._stop_at, self._fade)

    # ---- voices

    def begin(
        self,
        voice: int,
        seed: int,
        *,
        f0_hz: float,
        delay_samples: int = 0,
        pitch_drift: float = 0.0,
        start_cycle: float = 0.0,
    ) -> None:
        """Let `voice` start `delay_samples` into the next block. Latents are pushed before that.

        f0_hz         what its first filters are made for, until a block says more
        pitch_drift   0..1 of the sampled drift of F0 that is heard
        start_cycle   phase the voice starts with, in cycles: its first pulse comes when that reaches the next whole
        """
        self.frames.begin(voice, seed, pitch_drift)
        self.frames.latest_hz[voice] = f0_hz
        self._track.begin(voice, start_cycle)
        self._pulses.begin(voice)
        self._tail[voice] = 0.0
        self._next_window[voice] = 0
        self._stop_at[voice] = _NEVER
        self._wait[voice] = delay_samples
        self.active[voice] = True

    def push(self, voice: int, latents: Float32Array, f0_hz: Float32Array | None = None) -> None:
        """The next frames of `voice`: [n_frames, latent_dim], in the codec's units (not normalised).

        f0_hz   [n_frames], the pitch its filters shall know of; None: the latest one when they are made
        """
        self.frames.push(voice, latents, f0_hz)

    def take_back(self, voice: int) -> int:
        """Forget the latents of `voice` that no filter has been made of -> the frame to push next.

        With StreamingSampler.rewind to that frame, a moved lane is drawn anew instead of waiting for what is drawn.
        """
        return self.frames.take_back(voice)

    def stop(self, voice: int, *, after_samples: int = 0, fade_samples: int = FADE_SAMPLES) -> None:
        """Let `voice` fade out in a straight line, from `after_samples` into the next block on."""
        self._stop_at[voice] = self.position(voice) + after_samples
        self._fade[voice] = max(fade_samples, 1)

    def position(self, voice: int) -> int:
        """How many samples of `voice` have been heard; negative while it waits for its look-ahead."""
        return int(self._track.end[voice]) - self.look_ahead_samples

    def latent_frames_needed(self, voice: int, n_samples: int) -> int:
        """How many frames of latents `voice` must have been given, in all, to sound `n_samples` more."""
        return int(self._needed(np.int64(self.position(voice)), n_samples)) + self.frames.look_ahead

    def save(self, voice: int) -> DecoderState:
        """`voice` as it is; the pitch it needs next is that of sample `position` (with look-ahead, as much later)."""
        end = int(self._track.end[voice])
        first = (end - self.look_ahead_samples - FILTER_WINDOW) // HOP_SAMPLES - 1
        fields = tuple(np.array(field[voice]) for field in self._fields)
        return DecoderState(self.position(voice), fields, self.frames.save(voice, first))

    def restore(self, voice: int, state: DecoderState, *, delay_samples: int = 0) -> None:
        """Let `voice` go on from `state`, `delay_samples` into the next block."""
        for field, kept in zip(self._fields, state.fields, strict=True):
            field[voice] = kept
        self.frames.restore(voice, state.frames)
        self._wait[voice] = delay_samples
        self.active[voice] = True

    def prepare(self) -> None:
        """Make filters before the block that needs them has to; call it where there is time, between blocks."""
        voices = np.flatnonzero(self.active)
        if len(voices):
            needed = self._needed(self._track.end[voices] - self.look_ahead_samples, BLOCK_SAMPLES)
            here = self.frames.ready[voices] + self.frames.come(voices)
            self.frames.prepare(voices, np.minimum(needed, here), self._at_once)

    # ---- sound

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
            can_sound = self.active if self._makes_frames else self.active & (self.frames.ready > 0)
            waiting = can_sound & (self._wait > 0)
            if waiting.any():  # a voice's first sample begins a block of its own
                n_now = min(n_now, int(self._wait[waiting].min()))
            voices = np.flatnonzero(can_sound & (self._wait == 0))
            if len(voices):
                piece = slice(done, done + n_now)
                out[voices, piece] = self._sound(voices, f0_hz[voices, piece].astype(np.float64))
            self._wait[waiting] -= n_now
            done += n_now

    def _needed(self, position: IntArray | np.int64, n_samples: int) -> IntArray:
        """Prepared frames that sounding `n_samples` from `position` takes."""
        return np.maximum((position + n_samples + EXACT_LOOK_AHEAD_SAMPLES - 2) // HOP_SAMPLES + 1, 1)

    def _sound(self, voices: IntArray, hz: Float64Array) -> Float32Array:
        """The next block of `voices` [n] from their pitch [n, n_samples] -> like `hz`."""
        n_samples = hz.shape[1]
        self._track.append(voices, hz)
        self.frames.latest_hz[voices] = hz[:, -1]
        heard = self._track.end[voices] - self.look_ahead_samples - n_samples
        needed = self._needed(heard, n_samples)
        if self._makes_frames:
            self.frames.prepare(voices, needed, self._at_once)
        else:
            self.late_frames[voices] += np.maximum(needed - self.frames.ready[voices], 0)
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
        pulses *= self.frames.gain[
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
            filters = self.frames.pulse_filters[of, self._ring(of, window // SUBFRAMES), window % SUBFRAMES]
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
        breath = self.frames.breath[of[:, None], self._ring(of[:, None], samples // HOP_SAMPLES), samples % HOP_SAMPLES]
        depth = self.frames.gates[of, place, sub][:, None]
        if depth.any():
            breath *= 1.0 + depth * glottal_gate(self._track.at(of, begin, FILTER_WINDOW))
        breath *= self._window
        breath[samples < 0] = 0.0
        lines = self._lines[: len(row), :FILTER_FFT]
        lines[:] = 0.0
        lines[:, _SPREAD : _SPREAD + FILTER_WINDOW] = breath  # in the transform's middle: zero phase spreads both ways
        self._add(lines, of, begin - _SPREAD - heard[row], self.frames.noise_filters[of, place, sub])

    def _ring(self, voices: IntArray, frame: IntArray) -> IntArray:
        """Where `frame` of `voices` lies in the rings; the first before it, the last one ready after it."""
        return np.clip(frame, 0, self.frames.ready[voices] - 1) % RING_FRAMES

    def _add(self, lines: Float32Array, voices: IntArray, offsets: IntArray, filters: NDArray[np.inexact]) -> None:
        """Filter `lines` [n, n_fft] and add them to the tails of `voices`, `offsets` samples from now."""
        n_fft = lines.shape[1]
        heard = np.fft.irfft(np.fft.rfft(lines) * filters, n=n_fft)
        for voice, offset, line in zip(voices, offsets, heard, strict=True):
            skip = max(-int(offset), 0)
            self._tail[voice, offset + skip : offset + n_fft] += line[skip:]
