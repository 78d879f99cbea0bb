"""Latents and pitch to audio in blocks of any size, for several voices at once.

It gives what synth.codec does with a whole passage and a free phase: frames are made from latents (frames.py) and
sounded (sounding.py) in one object, for one process. No threads, no files, one caller at a time. Sound is a function of
what was pushed and played, never of block sizes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synth.codec.model import FILTER_WINDOW, Codec
from synth.spec.audio import HOP_SAMPLES
from synth.streaming.frames import MOST_AT_ONCE, FramesState, StreamingFrames
from synth.streaming.sounding import (
    BLOCK_SAMPLES,
    EXACT_LOOK_AHEAD_SAMPLES,
    FADE_SAMPLES,
    Float32Array,
    FrameSounder,
    IntArray,
    frames_needed,
)

__all__ = ["BLOCK_SAMPLES", "EXACT_LOOK_AHEAD_SAMPLES", "FADE_SAMPLES", "DecoderState", "StreamingDecoder"]


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


class StreamingDecoder(FrameSounder):
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
        self._at_once, self._makes_frames = frames_at_once, makes_frames
        self.frames = StreamingFrames(codec, n_voices, are_pulses_causal=look_ahead_samples < FILTER_WINDOW)
        window = codec.decoder.window.cpu().numpy().astype(np.float32)
        super().__init__(self.frames, window, look_ahead_samples=look_ahead_samples)

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
        self.start(voice, delay_samples=delay_samples, start_cycle=start_cycle)

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

    def latent_frames_needed(self, voice: int, n_samples: int) -> int:
        """How many frames of latents `voice` must have been given, in all, to sound `n_samples` more."""
        return int(frames_needed(self.position(voice), n_samples)) + self.frames.look_ahead

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
            needed = frames_needed(self._track.end[voices] - self.look_ahead_samples, BLOCK_SAMPLES)
            here = self.frames.ready[voices] + self.frames.come(voices)
            self.frames.prepare(voices, np.minimum(needed, here), self._at_once)

    # ---- sound

    def _can_sound(self) -> NDArray[np.bool_]:
        return self.active if self._makes_frames else super()._can_sound()

    def _see_to(self, voices: IntArray, needed: IntArray) -> None:
        if self._makes_frames:
            self.frames.prepare(voices, needed, self._at_once)
        else:
            super()._see_to(voices, needed)
