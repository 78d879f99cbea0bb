"""The window's handle on the sound server.

Nothing here waits for the server: commands go through a queue to a thread that writes the pipe, the server's news come
through another thread, and playhead, level and counters are read from shared memory. A server that dies or hangs is
replaced, and told where the transport stood. Where no server runs, the playhead follows the clock: everything but
hearing works.
"""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from app.audio import shared
from app.audio.messages import (
    Command,
    DeviceInfo,
    DeviceLost,
    DeviceOpened,
    DevicesChanged,
    PlayPreview,
    SelectDevice,
    SetClip,
    SetTransport,
    SoundEvent,
    SoundNotice,
)
from app.audio.shared import SharedState
from app.audio.supervisor import Supervisor
from synth.spec import SAMPLE_RATE_HZ, Float32Array

__all__ = ["DeviceInfo", "DeviceLost", "DeviceOpened", "DevicesChanged", "SoundClient", "SoundEvent", "SoundNotice"]

_SILENCE_DB: Final = -100.0
_MAX_INTERPOLATION_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class _Wish:
    """What the window last asked of the transport, and when."""

    command: SetTransport
    asked_at_s: float
    playhead: int  # frame at that time


class SoundClient:
    """Plays clips and live notes through the sound server.

    Transport methods and poll() belong to one thread, the window's; the live_ methods may be called from any one other
    thread at a time. Every method returns at once; close() may take up to 2 s.
    """

    def __init__(self, *, device_id: str | None = None) -> None:
        """device_id   as in DeviceInfo.id, None = the system's default"""
        self._state = SharedState.create()
        self._device_id = device_id
        self._clip = SetClip(None, 0)
        self._wish = _Wish(SetTransport(serial=0, playing=False), 0.0, 0)
        self._events: queue.SimpleQueue[SoundEvent] = queue.SimpleQueue()
        self._devices: tuple[DeviceInfo, ...] = ()
        self._device: DeviceInfo | None = None
        self._order = threading.Lock()  # held for microseconds: what is asked and what is sent stay in one order
        self._supervisor = Supervisor(self._state, self._events, self._greet)
        self._is_open = True

    # ---- life

    def start(self) -> None:
        """Start the server and return; DeviceOpened or SoundNotice follows from poll()."""
        self._supervisor.start()

    def close(self) -> None:
        """Fade out, end the server, free the memory. Idempotent."""
        if not self._is_open:
            return
        self._is_open = False
        self._supervisor.close()
        self._state.close()

    def poll(self) -> list[SoundEvent]:
        """What has happened since the last call."""
        events: list[SoundEvent] = []
        while True:
            try:
                event = self._events.get_nowait()
            except queue.Empty:
                return events
            if isinstance(event, DeviceOpened):
                self._device = event.device
            elif isinstance(event, DeviceLost):
                self._device = None
            elif isinstance(event, DevicesChanged):
                self._devices = event.devices
            events.append(event)

    # ---- devices

    @property
    def available(self) -> bool:
        """Whether an output device is open, so that something can be heard."""
        return self._is_open and self._supervisor.is_serving and bool(self._state.ints[shared.SOUNDING])

    @property
    def has_given_up(self) -> bool:
        """Whether no sound server will be started any more: nothing can be heard before the program is restarted."""
        return self._supervisor.has_given_up

    @property
    def asked_at_s(self) -> float:
        """When the live stream was asked for last, on time.monotonic()'s clock; 0: never."""
        return float(self._state.floats[shared.LIVE_READ_AT_S]) if self._is_open else 0.0

    @property
    def device(self) -> DeviceInfo | None:
        """The open device, as of the last poll()."""
        return self._device

    @property
    def latency_s(self) -> float:
        """From mixing to the loudspeaker, as the driver says; 0 without a device."""
        return float(self._state.floats[shared.LATENCY_S]) if self._is_open else 0.0

    @property
    def server_pid(self) -> int | None:
        """Process id of the sound server, None where there is none."""
        return self._supervisor.server_pid

    @property
    def callback_s(self) -> float:
        """The slowest callback of the last seconds; 0 where there was none."""
        return float(self._state.floats[shared.CALLBACK_S]) if self._is_open else 0.0

    def devices(self) -> list[DeviceInfo]:
        """Output devices, as of the last poll()."""
        return list(self._devices)

    def set_device(self, device_id: str | None) -> None:
        """Play on this device, or the system's default when None; the default stands in for one that is absent."""
        with self._order:
            self._device_id = device_id
            self._send(SelectDevice(device_id))

    def preview(self, path: Path | None, n_frames: int) -> None:
        """Sound a file like a clip's once, at once, in place of the preview before; None ends that one.

        It is heard beside clip and live notes, whatever the transport does. The file may be deleted meanwhile.
        """
        self._send(PlayPreview(str(path) if path is not None else None, n_frames))

    # ---- transport

    def set_clip(self, path: Path | None, n_samples: int) -> None:
        """Play this file from now on: raw little-endian float32 [n_samples, 2] at 48 kHz.

        It may still be being written: what is in it when the playhead comes by is heard. The server cross-fades over
        10 ms at the same playhead. The file may be deleted, but not truncated, while it is in use.
        """
        with self._order:
            self._clip = SetClip(str(path) if path is not None else None, n_samples)
            self._send(self._clip)

    def play(self, start_s: float, loop: tuple[float, float] | None = None) -> None:
        """Play from `start_s` (faded in over 5 ms), round and round [start, end) when `loop` is given.

        Loops shorter than 20 ms are lengthened to that. While playing this is a seek.
        """
        loop_start, loop_end = (_to_frames(loop[0]), _to_frames(loop[1])) if loop is not None else (0, 0)
        self._ask(SetTransport(0, True, _to_frames(start_s), loop_start, loop_end))

    def pause(self) -> None:
        """Fade out over 5 ms; the playhead stays where it was."""
        self._ask(replace(self._wish.command, playing=False, start_frame=None))

    def seek(self, start_s: float) -> None:
        """Move the playhead, playing or not."""
        self._ask(replace(self._wish.command, playing=self.is_playing, start_frame=_to_frames(start_s)))

    def set_loop(self, loop: tuple[float, float] | None) -> None:
        """Change the loop without moving the playhead, playing or not."""
        loop_start, loop_end = (_to_frames(loop[0]), _to_frames(loop[1])) if loop is not None else (0, 0)
        command = self._wish.command
        playing = self.is_playing
        self._ask(replace(command, playing=playing, start_frame=None, loop_start=loop_start, loop_end=loop_end))

    @property
    def playhead_s(self) -> float:
        """Where playing is, seconds of the clip."""
        return self._playhead() / SAMPLE_RATE_HZ

    @property
    def is_playing(self) -> bool:
        """Whether the playhead moves: True from play() until pause() or the end of the clip."""
        if self._is_open and self._is_acknowledged():
            return bool(self._state.ints[shared.PLAYING])
        if not self._wish.command.playing:
            return False
        n_frames = self._clip.n_frames
        return self._wish.command.loop_end > 0 or n_frames == 0 or self._clock_playhead() < n_frames

    # ---- meters

    @property
    def level_db(self) -> tuple[float, float]:
        """Peak (left, right), dB re full scale, falling 24 dB/s; -100 is silence."""
        return self._meter_db(shared.PEAK_LEFT)

    @property
    def rms_db(self) -> tuple[float, float]:
        """RMS over about 0.3 s (left, right), dB re full scale."""
        return self._meter_db(shared.RMS_LEFT)

    @property
    def under_runs(self) -> int:
        """Blocks the device did not get in time since the start."""
        return int(self._state.ints[shared.UNDER_RUNS]) if self._is_open else 0

    @property
    def faults(self) -> int:
        """Blocks replaced by silence because mixing failed or was not finite."""
        return int(self._state.ints[shared.FAULTS]) if self._is_open else 0

    # ---- the live engine's stream

    @property
    def shared_name(self) -> str:
        """Of the SharedState whose ring the live engine writes."""
        return self._state.name

    @property
    def live_losses(self) -> tuple[int, int]:
        """Blocks of the live stream that came too late, and frames lost by it, since the start."""
        ints = self._state.ints
        if not self._is_open:
            return 0, 0
        return int(ints[shared.LIVE_UNDER_RUNS]), int(ints[shared.LIVE_ZERO_FRAMES])

    @property
    def block_frames(self) -> int:
        """How many frames the device asks for at once; 0 before it has."""
        return int(self._state.ints[shared.LIVE_BLOCK]) if self._is_open else 0

    def live_frames(self) -> tuple[int, int]:
        """Frames of the live stream that have been asked for, and that have been written."""
        if not self._is_open:
            return 0, 0
        return int(self._state.ints[shared.LIVE_READ]), int(self._state.ints[shared.LIVE_WRITTEN])

    def live_audio(self, start: int, n_frames: int) -> Float32Array:
        """A copy of frames [start, start + n_frames) of the live stream, at most shared.RING_FRAMES back. -> [n]"""
        if not self._is_open:
            return np.zeros(n_frames, dtype=np.float32)
        return self._state.ring[(start + np.arange(n_frames)) % shared.RING_FRAMES]

    # ---- inside

    def _send(self, command: Command) -> None:
        if self._is_open:
            self._supervisor.send(command)

    def _ask(self, command: SetTransport) -> None:
        playhead = command.start_frame if command.start_frame is not None else self._playhead()
        command = replace(command, serial=self._wish.command.serial + 1)
        with self._order:
            self._wish = _Wish(command, time.monotonic(), playhead)
            self._send(command)

    def _is_acknowledged(self) -> bool:
        serial = self._wish.command.serial
        return serial > 0 and self._supervisor.is_serving and int(self._state.ints[shared.ACKNOWLEDGED]) == serial

    def _playhead(self) -> int:
        if self._is_open and self._is_acknowledged():
            return self._served_playhead()
        return self._clock_playhead()

    def _served_playhead(self) -> int:
        """The server's playhead, moved on by the time since it mixed its last block (at most 50 ms of it)."""
        ints, floats = self._state.ints, self._state.floats
        for _ in range(8):  # the audio thread writes for microseconds: a second look is almost always clean
            version = int(ints[shared.VERSION])
            playhead, playing = int(ints[shared.PLAYHEAD]), bool(ints[shared.PLAYING])
            mixed_at_s = float(floats[shared.MIXED_AT_S])
            if version % 2 == 0 and version == int(ints[shared.VERSION]):
                break
        else:
            return self._clock_playhead()
        if not playing:
            return playhead
        since_s = min(max(time.monotonic() - mixed_at_s, 0.0), _MAX_INTERPOLATION_S)
        return self._within(playhead, playhead + _to_frames(since_s))

    def _clock_playhead(self) -> int:
        """Where the playhead would be by the clock alone."""
        wish = self._wish
        if not wish.command.playing:
            return wish.playhead
        return self._within(wish.playhead, wish.playhead + _to_frames(time.monotonic() - wish.asked_at_s))

    def _within(self, start: int, frame: int) -> int:
        """Where a playhead gets to that would run from `start` to `frame` without a loop or an end."""
        loop_start, loop_end = self._wish.command.loop_start, self._wish.command.loop_end
        if loop_end > loop_start and start < loop_end:
            return frame if frame < loop_end else loop_start + (frame - loop_end) % (loop_end - loop_start)
        return min(frame, self._clip.n_frames) if self._clip.n_frames else frame

    def _greet(self, *, is_replacement: bool) -> None:
        """Tell a new server how things stand. On the supervisor's thread."""
        with self._order:
            command = replace(self._wish.command, start_frame=self._clock_playhead())
            for greeting in (self._clip, command, SelectDevice(self._device_id, may_stand_in=not is_replacement)):
                self._supervisor.send(greeting)

    def _meter_db(self, field: int) -> tuple[float, float]:
        if not self._is_open:
            return _SILENCE_DB, _SILENCE_DB
        left, right = self._state.floats[field : field + 2]
        return _to_db(float(left)), _to_db(float(right))


def _to_frames(time_s: float) -> int:
    return max(round(time_s * SAMPLE_RATE_HZ), 0)


def _to_db(linear: float) -> float:
    return max(20.0 * float(np.log10(linear)), _SILENCE_DB) if linear > 0.0 else _SILENCE_DB
