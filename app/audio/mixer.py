"""The sound itself: a clip under a transport, the live engine's stream, a preview, a meter; no devices, no processes.

Control thread: set_clip(), set_transport(), preview.set(), sweep(). Audio thread: mix(), nothing else. Each attribute
that both see has one writer and is replaced in a single store; no locks, and nothing is freed on the audio thread.

Every jump is a cross-fade of two heads reading the same or different clips: 5 ms for play, pause, seek and the seam of
a loop, 10 ms for a new clip. A loop's period is exact to the sample: after the seam the first 5 ms blend the
material beyond the loop's end into that after its start.
"""

from __future__ import annotations

import time
from typing import Final

import numpy as np

from app.audio import shared
from app.audio.head import FADE_FRAMES, KEEP_CLIP_S, Head
from app.audio.live_ring import RingReader
from app.audio.messages import SetTransport
from app.audio.preview_voice import PreviewVoice
from app.audio.shared import SharedState
from synth.spec.audio import SAMPLE_RATE_HZ
from synth.spec.controls import Float32Array

MAX_BLOCK: Final = 4096
SWAP_FRAMES: Final = 480  # 10 ms
MIN_LOOP_FRAMES: Final = 960  # 20 ms: room for the seam
_N_FADING: Final = 4
_INAUDIBLE: Final = 1e-6  # gains closer than this to 0 or 1 have arrived
_MAX_WAIT_BLOCKS: Final = 8  # a wish waits for the fades before it, but not for ever: every loop has its seams
_PEAK_FALL_DB_PER_S: Final = 24.0
_PEAK_FALL_PER_FRAME: Final = 10.0 ** (-_PEAK_FALL_DB_PER_S / 20.0 / SAMPLE_RATE_HZ)
_RMS_TIME_FRAMES: Final = 0.3 * SAMPLE_RATE_HZ


class Mixer:
    """Mixes blocks of float32 stereo at 48 kHz and publishes what it does in the shared state."""

    def __init__(self, state: SharedState) -> None:
        self._stream = RingReader(state, MAX_BLOCK)
        self.preview = PreviewVoice(self._read)
        self.fault: BaseException | None = None  # the last one; the control thread reports it
        self._state = state
        # Written by the control thread
        self._wanted = SetTransport(serial=0, playing=False)
        self._wanted_clip: Float32Array | None = None
        self._kept: list[tuple[Float32Array | None, float]] = []  # replaced clips and when
        # Written by the audio thread
        self._obeyed = self._wanted
        self._clip: Float32Array | None = None
        self._playing = False
        self._position = 0  # of the playhead while paused
        self._loop_start = self._loop_end = 0
        self._blocks_waited = 0
        self._head = Head()
        self._fading = tuple(Head() for _ in range(_N_FADING))
        self._mean_square_left = self._mean_square_right = 0.0
        # Scratch
        # Both channels: broadcasting one would make numpy allocate a buffer.
        self._steps = np.repeat(np.arange(1, MAX_BLOCK + 1, dtype=np.float32)[:, None], 2, axis=1)
        self._gains = np.zeros((MAX_BLOCK, 2), dtype=np.float32)
        self._scratch = np.zeros((MAX_BLOCK, 2), dtype=np.float32)
        self._peaks = np.zeros(2, dtype=np.float32)
        self._powers = np.zeros(2, dtype=np.float32)

    # ---- control thread

    def set_clip(self, clip: Float32Array | None) -> None:
        """Cross-fade to `clip` [n, 2] at the same playhead; None is silence without an end."""
        self._kept.append((self._wanted_clip, time.monotonic()))
        self._wanted_clip = clip

    def set_transport(self, wanted: SetTransport) -> None:
        """Carry this out with the next block; a command that a newer one overtakes is only carried out in part."""
        pending = self._wanted
        if wanted.start_frame is None and pending is not self._obeyed and pending.start_frame is not None:
            wanted = SetTransport(
                wanted.serial, wanted.playing, pending.start_frame, wanted.loop_start, wanted.loop_end
            )
        self._wanted = wanted

    def sweep(self) -> None:
        """Let go of what the audio thread no longer uses. Call it a few times a second."""
        now_s = time.monotonic()
        in_use = (self._clip, self._head.clip, *(head.clip for head in self._fading))
        self._kept = [
            (clip, since_s)
            for clip, since_s in self._kept
            if now_s - since_s < KEEP_CLIP_S or any(clip is used for used in in_use)
        ]
        self.preview.sweep()

    @property
    def upcoming(self) -> tuple[int, int, int]:
        """(playhead, loop start, loop end) in frames, for reading ahead. Any thread; may be a block old."""
        return int(self._state.ints[shared.PLAYHEAD]), self._loop_start, self._loop_end

    # ---- audio thread

    def mix(self, out: Float32Array) -> None:
        """Audio thread. Fill `out` [n, 2]. Never raises: a fault is silence, stored and counted."""
        try:
            n_frames = out.shape[0]
            done = 0
            while done < n_frames:
                count = min(MAX_BLOCK, n_frames - done)
                self._mix_block(out[done : done + count])
                done += count
        except BaseException as fault:
            out.fill(0.0)
            self.fault = fault
            self._state.ints[shared.FAULTS] += 1

    def _mix_block(self, out: Float32Array) -> None:
        """Audio thread."""
        out.fill(0.0)
        self._blocks_waited += 1
        if self._blocks_waited > _MAX_WAIT_BLOCKS or not self._is_fading():
            self._blocks_waited = 0
            self._take_wishes()
        for head in self._fading:
            if head.is_reading:
                self._read(head, out)
        if self._playing:
            self._play(out)
        self._stream.mix(out)
        self.preview.mix(out)
        self._guard_and_measure(out)
        self._publish(out.shape[0])

    def _is_fading(self) -> bool:
        """Audio thread."""
        if self._playing and self._head.slope != 0.0:
            return True
        for head in self._fading:  # noqa: SIM110 - any() would make a generator here
            if head.is_reading:
                return True
        return False

    def _take_wishes(self) -> None:
        """Audio thread. Begin what the control thread asked for; the next wish waits until its fades are over."""
        clip = self._wanted_clip
        if clip is not self._clip:
            self._clip = clip
            if self._playing:
                self._jump(self._head.position, SWAP_FRAMES)
                return
        wanted = self._wanted
        if wanted is self._obeyed:
            return
        self._loop_start = wanted.loop_start
        self._loop_end = max(wanted.loop_end, wanted.loop_start + MIN_LOOP_FRAMES) if wanted.loop_end > 0 else 0
        start = self._head.position if self._playing else self._position
        if wanted.start_frame is not None:
            start = wanted.start_frame
        if wanted.playing and not self._playing:
            self._head.start(self._clip, start, 0.0, 1.0 / FADE_FRAMES)
        elif wanted.playing and wanted.start_frame is not None:
            self._jump(start, FADE_FRAMES)
        elif self._playing and not wanted.playing:
            self._fade_out(FADE_FRAMES)
        self._playing = wanted.playing
        self._position = start
        self._obeyed = wanted

    def _jump(self, position: int, fade_frames: int) -> None:
        """Audio thread. Cross-fade to `position` of the current clip."""
        self._fade_out(fade_frames)
        self._head.start(self._clip, position, 0.0, 1.0 / fade_frames)

    def _fade_out(self, fade_frames: int) -> Head:
        """Audio thread. Let what is heard die away in a head of its own -> that head."""
        chosen = self._fading[0]
        for head in self._fading:
            if not head.is_reading:
                chosen = head
                break
        chosen.start(self._head.clip, self._head.position, self._head.gain, -1.0 / fade_frames)
        return chosen

    def _play(self, out: Float32Array) -> None:
        """Audio thread. The current head, round the loop, to the end of the clip."""
        n_frames = out.shape[0]
        done = 0
        head = self._head
        while done < n_frames:
            is_looped = self._loop_end > 0 and head.position < self._loop_end
            count = n_frames - done
            if is_looped:
                count = min(count, self._loop_end - head.position)
            elif self._clip is not None:
                count = min(count, self._clip.shape[0] - head.position)
                if count <= 0:
                    self._playing = False
                    self._position = min(head.position, self._clip.shape[0])
                    head.clip = None
                    return
            self._read(head, out[done : done + count])
            done += count
            if is_looped and head.position == self._loop_end:
                seam = self._fade_out(FADE_FRAMES)
                if done < n_frames:
                    self._read(seam, out[done:])
                head.start(self._clip, self._loop_start, 0.0, 1.0 / FADE_FRAMES)

    def _read(self, head: Head, out: Float32Array) -> None:
        """Audio thread. Add the head's next len(out) frames at its gain, and move it on."""
        count = out.shape[0]
        position = head.position
        head.position = position + count
        n_there = 0 if head.clip is None else min(max(head.clip.shape[0] - position, 0), count)
        if head.slope == 0.0:
            if n_there and head.clip is not None:
                np.add(out[:n_there], head.clip[position : position + n_there], out=out[:n_there])
            return
        gains = self._gains[:count]
        np.multiply(self._steps[:count], head.slope, out=gains)
        np.add(gains, head.gain, out=gains)
        np.maximum(gains, 0.0, out=gains)
        np.minimum(gains, 1.0, out=gains)
        if n_there and head.clip is not None:
            faded = self._scratch[:n_there]
            np.multiply(head.clip[position : position + n_there], gains[:n_there], out=faded)
            np.add(out[:n_there], faded, out=out[:n_there])
        head.gain = min(max(head.gain + head.slope * count, 0.0), 1.0)
        if head.gain <= _INAUDIBLE:
            head.is_reading = False
            head.clip = None
        elif head.gain >= 1.0 - _INAUDIBLE:
            head.gain = 1.0
            head.slope = 0.0

    def _guard_and_measure(self, out: Float32Array) -> None:
        """Audio thread. Keep the device from what is not sound or beyond full scale; update the meter."""
        n_frames = out.shape[0]
        scratch = self._scratch[:n_frames]
        np.abs(out, out=scratch)
        np.maximum.reduce(scratch, axis=0, out=self._peaks)
        left, right = float(self._peaks[0]), float(self._peaks[1])
        if not left + right < np.inf:  # also when NaN
            out.fill(0.0)
            scratch.fill(0.0)
            left = right = 0.0
            self._state.ints[shared.FAULTS] += 1
        elif left > 1.0 or right > 1.0:
            np.maximum(out, -1.0, out=out)
            np.minimum(out, 1.0, out=out)
        np.multiply(scratch, scratch, out=scratch)
        np.add.reduce(scratch, axis=0, out=self._powers)
        blend = min(n_frames / _RMS_TIME_FRAMES, 1.0)
        self._mean_square_left += blend * (float(self._powers[0]) / n_frames - self._mean_square_left)
        self._mean_square_right += blend * (float(self._powers[1]) / n_frames - self._mean_square_right)
        fall = _PEAK_FALL_PER_FRAME**n_frames
        floats = self._state.floats
        floats[shared.PEAK_LEFT] = max(left, floats[shared.PEAK_LEFT] * fall)
        floats[shared.PEAK_RIGHT] = max(right, floats[shared.PEAK_RIGHT] * fall)
        floats[shared.RMS_LEFT] = self._mean_square_left**0.5
        floats[shared.RMS_RIGHT] = self._mean_square_right**0.5

    def _publish(self, n_frames: int) -> None:
        """Audio thread. Playhead and state, between two steps of the version so that a reader sees them whole."""
        ints = self._state.ints
        ints[shared.VERSION] += 1
        ints[shared.ACKNOWLEDGED] = self._obeyed.serial
        ints[shared.PLAYING] = self._playing
        ints[shared.PLAYHEAD] = self._head.position if self._playing else self._position
        ints[shared.MIXED_FRAMES] += n_frames
        self._state.floats[shared.MIXED_AT_S] = time.monotonic()
        ints[shared.VERSION] += 1
