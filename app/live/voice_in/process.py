"""The listening process: sound in, gestures into the performer's ring. It records nothing and sends no sound anywhere.

Its own process because listening is Python that must not share an interpreter with what sounds, and because input
drivers hang.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import signal
import time
from collections.abc import Callable
from multiprocessing import connection as mp_connection
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from typing import Final

import numpy as np

from app.live.voice_in.gestures import GestureMaker
from app.live.voice_in.messages import (
    FromListener,
    InputsFound,
    ListeningBegan,
    ListeningEnded,
    ListeningNotice,
    ListenTo,
    LookForInputs,
    ToListener,
    UseSensitivity,
)
from app.live.voice_in.ring import GestureRing
from app.live.voice_in.sources import DeviceSource, FileSource, Source, find_inputs, look_again
from app.report import set_up_logging
from synth.errors import UserError
from synth.listening.heard import HOP_S, Heard
from synth.listening.listener import Listener

_log = logging.getLogger(__name__)

_WAIT_S: Final = 0.02
_IDLE_S: Final = 0.2
_RETRY_S: Final = 1.0
_WARN_AGAIN_S: Final = 10.0
_CLIPPED_HOPS: Final = 4  # one overshoot is no news
_LOAD_HOPS: Final = 200
_NICENESS: Final = -10

OpenSource = Callable[[ListenTo], Source]


def listen_live(connection: Connection, ring_name: str) -> None:
    """Entry point of the process. It ends when its parent closes the pipe or dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    set_up_logging("voice-in")
    if hasattr(os, "setpriority"):
        with contextlib.suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, 0, _NICENESS)
    ring = GestureRing.attach(ring_name)
    guide = Guide(ring, open_source, connection.send)
    parent = parent_process()
    waited_for = [connection, *([parent.sentinel] if parent is not None else [])]
    try:
        while True:
            patience_s = 0.0 if guide.is_listening else _IDLE_S
            ready = mp_connection.wait(waited_for, timeout=patience_s)
            if connection in ready:
                guide.obey(connection.recv())
            elif ready:
                break
            guide.work(_WAIT_S)
    except (EOFError, OSError):
        pass
    except Exception:
        _log.exception("listening failed")
    guide.close()
    logging.shutdown()
    os._exit(0)  # input drivers may hang in their own tear-down


def open_source(wanted: ListenTo) -> Source:
    """Raises UserError where that cannot be listened to."""
    if wanted.path is not None:
        return FileSource(wanted.path)
    try:
        return DeviceSource(wanted.device_id or "")
    except OSError as fault:
        raise UserError(
            f"PortAudio cannot be loaded ({fault}).", remedy="On Debian and Ubuntu: apt install libportaudio2."
        ) from fault


class Guide:
    """What is listened to, and what becomes of it. One thread; `work` takes no longer than its wait and a block."""

    def __init__(self, ring: GestureRing, opens: OpenSource, tell: Callable[[FromListener], None]) -> None:
        self._ring, self._opens, self._tell = ring, opens, tell
        self._wanted = ListenTo()
        self._source: Source | None = None
        self._listener: Listener | None = None
        self._maker = GestureMaker()
        self._sensitivity_db = 0.0
        self._retry_at_s = 0.0
        self._has_complained = False
        self._clipped = 0
        self._warned_at_s = -math.inf
        self._hops = 0
        self._cpu_s = time.process_time()

    @property
    def is_listening(self) -> bool:
        """Whether an input is open."""
        return self._source is not None

    def obey(self, message: ToListener) -> None:
        """Take up what the host says."""
        match message:
            case ListenTo():
                self._leave("off")
                self._wanted, self._retry_at_s, self._has_complained = message, 0.0, False
            case UseSensitivity(gain_db):
                self._sensitivity_db = self._maker.sensitivity_db = gain_db
                if self._listener is not None:
                    self._listener.gate.sensitivity_db = gain_db
            case LookForInputs():
                if self._source is None:
                    look_again()
                self._tell(InputsFound(tuple(find_inputs())))

    def work(self, wait_s: float) -> None:
        """Listen to what has come, or try to open what is wanted."""
        if self._source is None:
            if self._wanted != ListenTo() and time.monotonic() >= self._retry_at_s:
                self._open()
            return
        audio = self._source.read(wait_s)
        if audio is None:
            self._lose()
            return
        self._ring.count(dropped=self._source.take_dropped())
        if len(audio) and self._listener is not None:
            for heard in self._listener.push(audio):
                self._play(heard)

    def close(self) -> None:
        """Let the voice go."""
        self._leave("off")

    # ---- inside

    def _play(self, heard: Heard) -> None:
        for gesture in self._maker.take(heard, time.monotonic()):
            self._ring.push(gesture)
        self._ring.count(hops=1, clipped=heard.is_clipped, damaged=heard.is_damaged)
        self._hops += 1
        load = self._ring.state().load
        if self._hops % _LOAD_HOPS == 0:
            cpu_s = time.process_time()
            load, self._cpu_s = (cpu_s - self._cpu_s) / (_LOAD_HOPS * HOP_S), cpu_s
        note = 69.0 + 12.0 * math.log2(heard.hz / 440.0) if heard.is_voiced and heard.hz > 0.0 else math.nan
        self._ring.tell(
            level_db=heard.level_db, note=note, is_present=heard.is_present, techniques=heard.techniques, load=load
        )
        self._warn(heard)

    def _warn(self, heard: Heard) -> None:
        self._clipped = self._clipped + 1 if heard.is_clipped else max(self._clipped - 0.02, 0)
        now_s = time.monotonic()
        if self._clipped >= _CLIPPED_HOPS and now_s - self._warned_at_s > _WARN_AGAIN_S:
            self._warned_at_s, self._clipped = now_s, 0
            self._tell(ListeningNotice("The voice input is too loud: it clips.", "Turn its gain down."))

    def _open(self) -> None:
        try:
            source = self._opens(self._wanted)
            listener = Listener(source.rate_hz, sensitivity_db=self._sensitivity_db)
        except (UserError, ValueError) as fault:
            self._refuse(fault)
            return
        self._source, self._listener = source, listener
        self._maker = GestureMaker(self._sensitivity_db)
        self._has_complained = False
        self._hops, self._cpu_s = 0, time.process_time()
        # The first blocks must not wait for tables to be made.
        listener.push(np.zeros(round(source.rate_hz * 2.0 * HOP_S), dtype=np.float32))
        self._ring.set_state("listening", source.latency_s)
        self._tell(ListeningBegan(self._name, source.rate_hz, 1000.0 * source.latency_s))

    def _refuse(self, fault: UserError | ValueError) -> None:
        """A device is tried again, a file is not."""
        if not self._has_complained:
            if isinstance(fault, UserError):
                self._tell(ListeningNotice(fault.message, fault.remedy))
            else:
                self._tell(ListeningNotice(f"{self._name}: {fault}.", "Use an input of 4 to 384 kHz."))
        self._has_complained = True
        if self._wanted.path is not None:
            self._wanted = ListenTo()
            return
        self._ring.set_state("waiting")
        self._retry_at_s = time.monotonic() + _RETRY_S
        look_again()

    def _lose(self) -> None:
        """The file is over, or the device has gone."""
        is_file = self._wanted.path is not None
        name = self._name
        self._leave("off" if is_file else "waiting")
        if is_file:
            self._wanted = ListenTo()
        else:
            self._retry_at_s = time.monotonic() + _RETRY_S
            self._has_complained = True
            look_again()
        self._tell(ListeningEnded(name, is_waiting=not is_file))

    def _leave(self, state: str) -> None:
        source, self._source, self._listener = self._source, None, None
        if source is not None:
            for gesture in self._maker.stop(time.monotonic()):
                self._ring.push(gesture)
            source.close()
        self._ring.set_state(state)

    @property
    def _name(self) -> str:
        if self._wanted.path is not None:
            return self._wanted.path.name
        return self._wanted.device_id or ""
