"""The host's side of the guided voice: starts the listening process when it is first needed, and again when it dies.

Until somebody chooses an input or asks which there are, there is no process and no microphone is open.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import queue
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from app.live.performance.gestures import Gesture
from app.live.voice_in.gestures import let_go
from app.live.voice_in.messages import (
    FromListener,
    InputDevice,
    InputsFound,
    ListeningEnded,
    ListeningNotice,
    ListenTo,
    LookForInputs,
    ToListener,
    UseSensitivity,
)
from app.live.voice_in.ring import GestureRing, VoiceInState

_log = logging.getLogger(__name__)

_LOOK_S: Final = 0.1
_CLOSE_S: Final = 1.0
_PAUSE_S: Final = 0.5
_MAX_STARTS: Final = 4
_STEADY_S: Final = 60.0


class VoiceIn:
    """Methods belong to one thread and return at once; close() may take a second.

    play   takes gestures to the performer when the process can no longer do so
    """

    def __init__(self, play: Callable[[Gesture], None]) -> None:
        self.ring = GestureRing.create()
        self._play = play
        self._said: queue.SimpleQueue[ToListener] = queue.SimpleQueue()
        self._heard: queue.SimpleQueue[FromListener] = queue.SimpleQueue()
        self._wanted = ListenTo()
        self._sensitivity = UseSensitivity(0.0)
        self._devices: tuple[InputDevice, ...] = ()
        self._is_closing = threading.Event()
        self._thread: threading.Thread | None = None

    def close(self) -> None:
        """End the process and let go of the memory. Idempotent."""
        if not self._is_closing.is_set():
            self._is_closing.set()
            if self._thread is not None:
                self._thread.join()
            self.ring.close()

    def poll(self) -> list[FromListener]:
        """What has happened since the last call."""
        news: list[FromListener] = []
        with contextlib.suppress(queue.Empty):
            while True:
                said = self._heard.get_nowait()
                if isinstance(said, InputsFound):
                    self._devices = said.devices
                news.append(said)
        return news

    def listen(self, *, device_id: str | None = None, path: Path | None = None) -> None:
        """To this input, now or as soon as it is there, or to this file once; to nothing without either."""
        self._wanted = ListenTo(device_id, path)
        if self._thread is not None or self._wanted != ListenTo():
            self._tell(self._wanted)

    def set_sensitivity(self, gain_db: float) -> None:
        """Hear so many decibels more quietly, and take it for so much louder."""
        self._sensitivity = UseSensitivity(gain_db)
        if self._thread is not None:
            self._tell(self._sensitivity)

    def look_for_inputs(self) -> None:
        """InputsFound follows from poll()."""
        self._tell(LookForInputs())

    @property
    def devices(self) -> tuple[InputDevice, ...]:
        """Inputs there were when last looked for."""
        return self._devices

    @property
    def wanted(self) -> ListenTo:
        """What was chosen last."""
        return self._wanted

    def state(self) -> VoiceInState:
        """How listening goes. Cheap."""
        return self.ring.state()

    # ---- thread

    def _tell(self, message: ToListener) -> None:
        self._said.put(message)
        if self._thread is None and not self._is_closing.is_set():
            self._thread = threading.Thread(target=self._watch, name="voice-in-watcher", daemon=True)
            self._thread.start()

    def _watch(self) -> None:
        starts = 0
        context = multiprocessing.get_context("spawn")
        while not self._is_closing.is_set() and starts < _MAX_STARTS:
            ours, theirs = context.Pipe()
            process = context.Process(target=_listen, args=(theirs, self.ring.name), name="stridor-voice-in")
            process.daemon = True
            try:
                process.start()
            except OSError as fault:
                ours.close()
                self._heard.put(
                    ListeningNotice(f"The listening process cannot be started ({fault}).", "Close other programs.")
                )
                return
            finally:
                theirs.close()
            started_s = time.monotonic()
            with contextlib.suppress(OSError):
                ours.send(self._sensitivity)
                if starts:  # the first is told it by _tell
                    ours.send(self._wanted)
            self._serve(ours)
            ours.close()
            process.join(_CLOSE_S)
            process.kill()
            process.join()
            _log.info("the listening process has ended with %s", process.exitcode)
            process.close()
            self._forget_voice()
            if self._is_closing.is_set():
                return
            starts = 1 if time.monotonic() - started_s > _STEADY_S else starts + 1
            self._heard.put(ListeningNotice("Listening stopped unexpectedly and is being started again."))
            self._is_closing.wait(_PAUSE_S * starts)
        if not self._is_closing.is_set():
            self._heard.put(ListeningNotice("Listening ends again and again: no voice is heard.", "See the log."))

    def _serve(self, connection: Connection) -> None:
        """Pass messages both ways until the process has ended or close() is called."""
        while not self._is_closing.is_set():
            try:
                with contextlib.suppress(queue.Empty):
                    while True:
                        connection.send(self._said.get_nowait())
                if connection.poll(_LOOK_S):
                    news = connection.recv()
                    if isinstance(news, ListeningEnded) and not news.is_waiting:
                        self._wanted = ListenTo()  # a file is listened to once
                    self._heard.put(news)
            except (EOFError, OSError):
                return

    def _forget_voice(self) -> None:
        """What the dead process held."""
        self.ring.set_state("off" if self._wanted == ListenTo() else "waiting")
        for gesture in let_go(time.monotonic()):
            self._play(gesture)


def _listen(connection: Connection, ring_name: str) -> None:
    from app.live.voice_in.process import listen_live  # scipy and the estimators: not in the window's process

    listen_live(connection, ring_name)
