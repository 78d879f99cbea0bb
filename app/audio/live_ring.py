"""The live engine's stream, from the performer process to the audio callback: one ring, two counters, no lock.

Frame f of the stream lies at f % RING_FRAMES. The audio thread asks for block after block whether they are there or
not, so LIVE_READ is the stream's clock; the performer writes ahead of it. Frames that are not there in time are
silence, counted; the edges are short fades, so that a gap is a gap and not a click as well. Where the performer leaves
frames out, the ring is silent there, too: it would hold what was heard a ring's length ago.
"""

from __future__ import annotations

import time
from typing import Final

import numpy as np

from app.audio import shared
from app.audio.shared import RING_FRAMES, SharedState
from synth.spec.controls import Float32Array

EDGE_FRAMES: Final = 32


class RingReader:
    """The audio thread's end."""

    def __init__(self, state: SharedState, max_block: int) -> None:
        """max_block   the most frames mix() is given at once"""
        self._state = state
        self._mono = np.zeros(max_block, dtype=np.float32)
        self._fall = np.linspace(1.0, 0.0, EDGE_FRAMES + 1, dtype=np.float32)[1:]
        self._rise = np.linspace(0.0, 1.0, EDGE_FRAMES, dtype=np.float32)
        self._edge = np.zeros(EDGE_FRAMES, dtype=np.float32)
        self._last = 0.0  # the sample before this block
        self._is_dry = True
        self._was_playing = False  # in the block before

    def mix(self, out: Float32Array) -> None:
        """Audio thread. Add the next len(out) frames of the stream to `out` [n, 2], and tell when they were due."""
        ints = self._state.ints
        n_frames = out.shape[0]
        read = int(ints[shared.LIVE_READ])
        self._tell(read + n_frames, n_frames)
        is_playing = bool(ints[shared.LIVE_PLAYING])
        lead = n_there = 0
        if is_playing:
            written = int(ints[shared.LIVE_WRITTEN])  # before the first: start() may be between the two
            lead = min(max(int(ints[shared.LIVE_FIRST]) - read, 0), n_frames)
            n_there = max(min(written - read, n_frames) - lead, 0)
            n_zero = n_frames - n_there
            if n_zero and (self._was_playing or n_zero > lead):  # who has just begun has left nothing out
                ints[shared.LIVE_UNDER_RUNS] += 1
                ints[shared.LIVE_ZERO_FRAMES] += n_zero
        self._was_playing = is_playing
        if lead:
            self._fall_silent(out[:lead])
        if n_there:
            self._add(out[lead:], read + lead, n_there)
        if lead + n_there < n_frames:
            self._fall_silent(out[lead + n_there :])

    def _fall_silent(self, out: Float32Array) -> None:
        """Audio thread. Let what sounded before `out` [n, 2] end there without a click."""
        if not self._is_dry:
            count = min(EDGE_FRAMES, out.shape[0])
            edge = self._edge[:count]
            np.multiply(self._fall[:count], self._last, out=edge)
            _add_mono(edge, out[:count])
            self._last, self._is_dry = 0.0, True

    def _add(self, out: Float32Array, read: int, n_there: int) -> None:
        """Audio thread."""
        mono = self._mono[:n_there]
        start = read % RING_FRAMES
        first = min(n_there, RING_FRAMES - start)
        np.copyto(mono[:first], self._state.ring[start : start + first])
        np.copyto(mono[first:], self._state.ring[: n_there - first])
        if self._is_dry:
            count = min(EDGE_FRAMES, n_there)
            np.multiply(mono[:count], self._rise[:count], out=mono[:count])
            self._is_dry = False
        self._last = float(mono[n_there - 1])
        _add_mono(mono, out[:n_there])

    def _tell(self, read: int, n_frames: int) -> None:
        """Audio thread. Where the stream is, between two steps of the version so that the performer sees it whole."""
        ints = self._state.ints
        ints[shared.LIVE_VERSION] += 1
        ints[shared.LIVE_READ] = read
        ints[shared.LIVE_BLOCK] = n_frames
        self._state.floats[shared.LIVE_READ_AT_S] = time.monotonic()
        ints[shared.LIVE_VERSION] += 1


class RingWriter:
    """The performer's end. One thread."""

    def __init__(self, state: SharedState) -> None:
        self._state = state

    def start(self, frame: int) -> None:
        """Write from `frame` of the stream on; what was not written before it is silence."""
        ints = self._state.ints
        left_out = np.arange(max(self.written, frame - RING_FRAMES), frame) % RING_FRAMES
        self._state.ring[left_out] = 0.0
        ints[shared.LIVE_FIRST] = frame
        ints[shared.LIVE_WRITTEN] = frame
        ints[shared.LIVE_PLAYING] = 1

    def stop(self) -> None:
        """Nobody writes any more."""
        self._state.ints[shared.LIVE_PLAYING] = 0

    @property
    def written(self) -> int:
        """The frame of the stream that is written next."""
        return int(self._state.ints[shared.LIVE_WRITTEN])

    def clock(self) -> tuple[int, int, float]:
        """(frames the mixer has asked for, how many it asked for last, when it did)."""
        ints, floats = self._state.ints, self._state.floats
        told = 0, 0, 0.0
        for _ in range(8):  # the audio thread writes for a microsecond
            version = int(ints[shared.LIVE_VERSION])
            told = int(ints[shared.LIVE_READ]), int(ints[shared.LIVE_BLOCK]), float(floats[shared.LIVE_READ_AT_S])
            if version % 2 == 0 and version == int(ints[shared.LIVE_VERSION]):
                break
        return told

    def write(self, audio: Float32Array) -> None:
        """The stream's next frames [n]."""
        written = self.written
        start = written % RING_FRAMES
        first = min(len(audio), RING_FRAMES - start)
        self._state.ring[start : start + first] = audio[:first]
        self._state.ring[: len(audio) - first] = audio[first:]
        self._state.ints[shared.LIVE_WRITTEN] = written + len(audio)


def _add_mono(mono: Float32Array, out: Float32Array) -> None:
    """Audio thread. Add `mono` [n] to both channels of `out` [n, 2]."""
    left, right = out[:, 0], out[:, 1]
    np.add(left, mono, out=left)
    np.add(right, mono, out=right)
