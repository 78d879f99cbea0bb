"""Live notes: mono blocks that arrive while they sound, mixed without a click and without waiting.

The control thread hands blocks to voices and reclaims voices that are over; the audio thread only reads blocks and
counts. Each attribute below names the one thread that writes it. A note that runs dry fades out over the last 5 ms of
what it has and back in when more arrives.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np

from app.audio.shared import N_VOICES, SharedState
from synth.spec.controls import Float32Array

QUEUE_BLOCKS: Final = 8  # per note; the player asks for one cell ahead
ATTACK_FRAMES: Final = 96  # 2 ms
FADE_FRAMES: Final = 240  # 5 ms
_N_REMEMBERED: Final = 256
_INAUDIBLE: Final = 1e-6  # -120 dB


class _Voice:
    """One sounding note. `index` is its place in the shared voice table."""

    __slots__ = (
        "active",  # control thread; the voice belongs to note_id
        "consumed",  # audio thread; blocks that have sounded
        "ended",  # control thread; nothing more will be pushed
        "finished",  # audio thread; the control thread may reclaim the voice
        "gain",  # audio thread
        "index",
        "lengths",  # control thread, ahead of `pushed`
        "note_id",  # control thread, while not active
        "offset",  # audio thread; frames of the current block that have sounded
        "played",  # audio thread; frames that have sounded
        "pushed",  # control thread; blocks handed over
        "pushed_frames",  # control thread; frames handed over, stored before `pushed`
        "release_frames",  # control thread; 0 = held
        "releasing",  # audio thread
        "slope",  # audio thread; gain per frame
        "slots",  # control thread, ahead of `pushed`
    )

    def __init__(self, index: int) -> None:
        self.index = index
        self.slots = [0] * QUEUE_BLOCKS
        self.lengths = [0] * QUEUE_BLOCKS
        self.active = False
        self.clear(0)

    def clear(self, note_id: int) -> None:
        """Control thread, while not active."""
        self.note_id = note_id
        self.pushed = self.pushed_frames = self.consumed = self.offset = self.played = self.release_frames = 0
        self.ended = self.finished = self.releasing = False
        self.gain = self.slope = 0.0


class LiveVoices:
    """The live notes of one mixer."""

    def __init__(self, state: SharedState, max_block: int) -> None:
        """max_block   the most frames mix() is given at once"""
        self.dropped_blocks = 0  # control thread
        self._state = state
        self._voices = tuple(_Voice(index) for index in range(N_VOICES))
        self._over: deque[int] = deque(maxlen=_N_REMEMBERED)  # blocks that come too late must not start a note again
        self._steps = np.arange(1, max_block + 1, dtype=np.float32)
        self._gains = np.zeros(max_block, dtype=np.float32)

    # ---- control thread

    def push(self, note_id: int, slot: int, n_frames: int) -> None:
        """Queue a block for its note; the first one starts the note. Blocks nobody can play are dropped and counted."""
        voice = self._voice_of(note_id)
        if voice is None and note_id not in self._over:
            voice = self._start(note_id)
        if voice is None or voice.ended or voice.release_frames or voice.pushed - voice.consumed >= QUEUE_BLOCKS:
            self._state.slot_busy[slot] = 0
            self.dropped_blocks += 1
            return
        voice.slots[voice.pushed % QUEUE_BLOCKS] = slot
        voice.lengths[voice.pushed % QUEUE_BLOCKS] = n_frames
        voice.pushed_frames += n_frames
        voice.pushed += 1

    def release(self, note_id: int, release_frames: int) -> None:
        """Fade the note out."""
        self._over.append(note_id)
        voice = self._voice_of(note_id)
        if voice is not None:
            voice.release_frames = max(release_frames, 1)

    def end(self, note_id: int) -> None:
        """The note ends with what is queued."""
        self._over.append(note_id)
        voice = self._voice_of(note_id)
        if voice is not None:
            voice.ended = True

    def panic(self) -> None:
        """Fade every note out over 5 ms."""
        for voice in self._voices:
            if voice.active:
                self.release(voice.note_id, FADE_FRAMES)

    def sweep(self) -> None:
        """Reclaim the voices that are over and the blocks they did not play."""
        for voice in self._voices:
            if voice.active and voice.finished:
                for block in range(voice.consumed, voice.pushed):
                    self._state.slot_busy[voice.slots[block % QUEUE_BLOCKS]] = 0
                voice.active = False

    def _voice_of(self, note_id: int) -> _Voice | None:
        return next((v for v in self._voices if v.active and not v.finished and v.note_id == note_id), None)

    def _start(self, note_id: int) -> _Voice | None:
        self.sweep()
        voice = next((v for v in self._voices if not v.active), None)
        if voice is not None:
            voice.clear(note_id)
            voice.active = True
        return voice

    # ---- audio thread

    def mix(self, out: Float32Array) -> None:
        """Audio thread. Add every sounding note to `out` [n, 2]."""
        for voice in self._voices:
            if voice.active and not voice.finished:
                self._mix_voice(voice, out)

    def _mix_voice(self, voice: _Voice, out: Float32Array) -> None:
        """Audio thread."""
        n_frames = out.shape[0]
        done = 0
        while done < n_frames:
            pushed = voice.pushed
            if not voice.releasing and voice.release_frames:
                voice.releasing = True
                voice.slope = -max(voice.gain, _INAUDIBLE) / voice.release_frames
            left = voice.pushed_frames - voice.played
            if voice.consumed == pushed or left <= 0:
                voice.gain = voice.slope = 0.0  # dry: fade in again when more comes
                if voice.ended or voice.releasing:
                    self._finish(voice)
                break
            place = voice.consumed % QUEUE_BLOCKS
            count = min(n_frames - done, voice.lengths[place] - voice.offset)
            if not voice.releasing:
                count = self._steer(voice, left, count)
            self._add(voice, out[done : done + count], voice.slots[place])
            done += count
            voice.played += count
            voice.offset += count
            if voice.offset >= voice.lengths[place]:
                self._state.slot_busy[voice.slots[place]] = 0
                voice.offset = 0
                voice.consumed += 1
            if voice.releasing and voice.gain <= _INAUDIBLE:
                self._finish(voice)
                break
        if not voice.finished:
            self._state.voice_notes[voice.index] = voice.note_id
            self._state.voice_frames[voice.index] = voice.played

    def _steer(self, voice: _Voice, left: int, count: int) -> int:
        """Audio thread. Set the slope of a held note with `left` frames to play -> how many frames it holds for."""
        if left <= FADE_FRAMES:
            voice.slope = -voice.gain / left
            return min(count, left)
        voice.slope = 1.0 / ATTACK_FRAMES if voice.gain < 1.0 else 0.0
        return min(count, left - FADE_FRAMES)

    def _add(self, voice: _Voice, out: Float32Array, slot: int) -> None:
        """Audio thread. Add the next len(out) frames of the current block at the voice's gain."""
        count = out.shape[0]
        block = self._state.slots[slot, voice.offset : voice.offset + count]
        gains = self._gains[:count]
        np.multiply(self._steps[:count], voice.slope, out=gains)
        np.add(gains, voice.gain, out=gains)
        np.maximum(gains, 0.0, out=gains)
        np.minimum(gains, 1.0, out=gains)
        voice.gain = float(gains[count - 1])
        np.multiply(gains, block, out=gains)
        left, right = out[:, 0], out[:, 1]
        np.add(left, gains, out=left)
        np.add(right, gains, out=right)

    def _finish(self, voice: _Voice) -> None:
        """Audio thread."""
        self._state.voice_notes[voice.index] = 0
        self._state.voice_frames[voice.index] = 0
        voice.finished = True
