"""The sound server: a process that owns the output device and does nothing but play.

It exists so that no other Python code shares a GIL with the audio callback. Threads: PortAudio's, which runs the mixer
through DeviceStream; the control thread, which obeys the command pipe and looks after the device; read-ahead; the
silent clock, asleep while a device plays; and one that ends the process when its parent has died and the control
thread is stuck in a driver.

Streams run at 48 kHz. A device that does not do 48 kHz is opened at its own default rate and the sound is converted on
a thread (app/audio/rate.py), never in the callback.

A device that vanishes is reported and looked for; the playhead goes on silently. After a loss only the device that was
chosen is opened again; at other times the system's default stands in for one that is absent. A driver that hangs when
it is closed (PortAudio's JACK side does when its server was killed) costs the process: it ends with EXIT_REPLACE and
the supervisor starts another, which takes half a second.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import sys
import threading
import time
from multiprocessing import connection as mp_connection
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Final

from app.audio import shared
from app.audio.clip_file import ReadAhead, map_clip
from app.audio.messages import (
    Close,
    Command,
    DevicesChanged,
    PlayPreview,
    SelectDevice,
    Serving,
    SetClip,
    SetTransport,
    SoundEvent,
    SoundNotice,
)
from app.audio.mixer import Mixer
from app.audio.shared import SharedState
from app.audio.silence import SilentClock
from app.report import set_up_logging
from synth.errors import UserError

if TYPE_CHECKING:
    from app.audio.keeper import DeviceKeeper

_log = logging.getLogger(__name__)

EXIT_REPLACE: Final = 3
_NICENESS: Final = -11  # where the user may: rendering uses every core, and must not be heard
_SWITCH_INTERVAL_S: Final = 0.0005
_TICK_S: Final = 0.05
_FADE_OUT_S: Final = 0.04  # a pause takes 5 ms; the rest is for what the driver still holds
_ORPHAN_LIMIT_S: Final = 1.0  # how long a driver may take to give the device back once the parent has gone


def serve(connection: Connection, state_name: str) -> None:
    """Entry point of the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the terminal is the parent's business
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    if hasattr(os, "setpriority"):  # not on Windows
        with contextlib.suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, 0, _NICENESS)
    set_up_logging("sound")
    threading.Thread(target=_end_with_parent, name="parent-watch", daemon=True).start()
    server = Server(connection, SharedState.attach(state_name))
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        status = server.run()
    except Exception:
        _log.exception("the sound server failed")
        status = 1
    logging.shutdown()
    # Without the interpreter's own tear-down: PortAudio hangs in it, or aborts, when a driver has died.
    os._exit(status)


class Server:
    """The control thread's work."""

    def __init__(self, connection: Connection, state: SharedState) -> None:
        self._connection = connection
        self._state = state
        self._mixer = Mixer(state)
        self._serial = -1
        self._reported_fault: BaseException | None = None
        self._clock = SilentClock(self._mixer)
        self._clock.resume()
        self._read_ahead = ReadAhead(self._mixer)
        self._keeper = self._load_portaudio()

    def run(self) -> int:
        """Obey until the parent says Close or has gone -> exit status."""
        self._tell(Serving())
        parent = parent_process()
        waited_for = [self._connection, *([parent.sentinel] if parent is not None else [])]
        is_closing = False
        tick_at_s = 0.0
        while not is_closing:
            ready = mp_connection.wait(waited_for, timeout=_TICK_S)
            if self._connection in ready:
                try:
                    command = self._connection.recv()
                except (EOFError, OSError):
                    break
                is_closing = isinstance(command, Close)
                self._obey(command)
            elif ready:
                break  # the parent has gone
            now_s = time.monotonic()
            if now_s >= tick_at_s:
                tick_at_s = now_s + _TICK_S
                self._tick()
            if self._keeper is not None and self._keeper.is_stuck:
                return EXIT_REPLACE
        self._fade_and_close()
        return 0

    def _obey(self, command: Command) -> None:
        match command:
            case SetTransport(serial=serial):
                if serial >= self._serial:
                    self._serial = serial
                    self._mixer.set_transport(command)
            case SetClip(path, n_frames):
                self._set_clip(path, n_frames)
            case PlayPreview(path, n_frames):
                self._play_preview(path, n_frames)
            case SelectDevice(device_id, may_stand_in):
                if self._keeper is not None:
                    self._keeper.select(device_id, may_stand_in=may_stand_in)
            case Close():
                pass

    def _set_clip(self, path: str | None, n_frames: int) -> None:
        if path is None:
            self._read_ahead.follow(None)
            self._mixer.set_clip(None)
            return
        try:
            clip = map_clip(Path(path), n_frames)
        except UserError as fault:
            self._tell(SoundNotice(fault.message, fault.remedy))
            return
        self._read_ahead.follow(Path(path))
        self._mixer.set_clip(clip)

    def _play_preview(self, path: str | None, n_frames: int) -> None:
        try:
            # Read whole, here: it is short, and its pages shall not be fetched by the audio thread.
            self._mixer.preview.set(None if path is None else map_clip(Path(path), n_frames).copy())
        except UserError as fault:
            _log.info("no preview: %s", fault)

    def _tick(self) -> None:
        self._state.ints[shared.HEARTBEAT] += 1
        self._mixer.sweep()
        fault = self._mixer.fault
        if fault is not None and repr(fault) != repr(self._reported_fault):
            self._reported_fault = fault
            _log.error("the audio callback failed", exc_info=fault)
            self._tell(SoundNotice(f"Mixing failed and was replaced by silence ({fault!r}).", "Please report it."))
        if self._keeper is not None:
            self._keeper.check()

    def _load_portaudio(self) -> DeviceKeeper | None:
        try:
            from app.audio.devices import silence_libraries

            silence_libraries()
            from app.audio.keeper import DeviceKeeper  # loads PortAudio, which may be missing
        except OSError as fault:
            _log.info("no PortAudio: %s", fault)
            self._tell(DevicesChanged(()))
            self._tell(
                SoundNotice(
                    f"PortAudio cannot be loaded ({fault}): nothing can be heard.",
                    "Install it (on Debian and Ubuntu: apt install libportaudio2); everything else works.",
                )
            )
            return None
        return DeviceKeeper(self._mixer, self._state, self._clock, tell=self._tell)

    def _tell(self, event: SoundEvent | Serving) -> None:
        try:
            self._connection.send(event)
        except OSError:  # the parent has gone; run() notices
            _log.info("nobody to tell: %s", event)

    def _fade_and_close(self) -> None:
        self._mixer.set_transport(SetTransport(serial=self._serial, playing=False))
        time.sleep(_FADE_OUT_S + float(self._state.floats[shared.LATENCY_S]))
        if self._keeper is not None:
            self._keeper.close()


def _end_with_parent() -> None:
    """No orphan keeps a device, not even when the control thread hangs in a driver."""
    parent = parent_process()
    if parent is None:
        return
    mp_connection.wait([parent.sentinel])
    time.sleep(_ORPHAN_LIMIT_S)
    os._exit(1)
