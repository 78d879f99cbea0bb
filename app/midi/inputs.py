"""MIDI inputs for the window process: names, the chosen one, and its messages on a thread.

Where the machine has no ALSA sequencer, no JACK server and no controller, the list is empty and nothing else happens.
A controller that is unplugged is an InputLost, and is listened to again when it comes back.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import queue
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Final

from app.midi.messages import ControlChange, MidiMessage, NoteOff, NoteOn, PitchBend, Pressure, ProgramChange
from app.midi.reader import InputLost, InputOpened, InputsChanged, MidiEvent, OpenInput, read_midi

__all__ = [
    "ControlChange",
    "InputLost",
    "InputOpened",
    "InputsChanged",
    "MidiEvent",
    "MidiInputs",
    "MidiMessage",
    "NoteOff",
    "NoteOn",
    "PitchBend",
    "Pressure",
    "ProgramChange",
]

_log = logging.getLogger(__name__)

_CLOSE_LIMIT_S: Final = 0.5
_RESTART_S: Final = 1.0
_MAX_STARTS: Final = 5


class MidiInputs:
    """Every method returns at once and belongs to one thread; close() may take a second."""

    def __init__(self, on_message: Callable[[MidiMessage], None], *, ring_name: str | None = None) -> None:
        """
        on_message   called on the thread midi-receiver for every message of the chosen input; it must not block
        ring_name    of a MidiRing that gets every byte; on_message may then miss some of a storm
        """
        self._ring_name = ring_name
        self._on_message = on_message
        self._events: queue.SimpleQueue[MidiEvent] = queue.SimpleQueue()
        self._names: tuple[str, ...] = ()
        self._chosen: str | None = None
        self._connection: Connection | None = None
        self._order = threading.Lock()  # between choosing and a process that has just started
        self._is_closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="midi-receiver", daemon=True)

    def start(self) -> None:
        """Start looking for inputs; InputsChanged follows from poll()."""
        self._thread.start()

    def close(self) -> None:
        """End the MIDI process. Idempotent."""
        if self._is_closing.is_set():
            return
        self._is_closing.set()
        with self._order:
            connection = self._connection
            if connection is not None:
                with contextlib.suppress(OSError):
                    connection.send(OpenInput(None))
        if self._thread.ident is not None:
            self._thread.join()

    def poll(self) -> list[MidiEvent]:
        """What has happened since the last call."""
        events: list[MidiEvent] = []
        with contextlib.suppress(queue.Empty):
            while True:
                event = self._events.get_nowait()
                if isinstance(event, InputsChanged):
                    self._names = event.names
                events.append(event)
        return events

    def names(self) -> list[str]:
        """Inputs that can be opened, as of the last poll()."""
        return list(self._names)

    def open(self, name: str | None) -> None:
        """Listen to this input, now or as soon as it is there; None = to none. InputOpened follows."""
        with self._order:
            self._chosen = name
            if self._connection is not None:
                with contextlib.suppress(OSError):  # the process has died; its successor is told
                    self._connection.send(OpenInput(name))

    # ---- receiver thread

    def _run(self) -> None:
        context = multiprocessing.get_context("spawn")
        for _ in range(_MAX_STARTS):
            ours, theirs = context.Pipe()
            process = context.Process(
                target=read_midi, args=(theirs, self._ring_name), name="stridor-midi", daemon=True
            )
            try:
                process.start()
            except OSError as fault:
                _log.info("no MIDI process: %s", fault)
                return
            theirs.close()
            with self._order:
                self._connection = ours
                ours.send(OpenInput(self._chosen))
            lost = self._receive(ours)
            with self._order:
                self._connection = None
            ours.close()
            _end(process)
            if self._is_closing.is_set():
                return
            _log.info("the MIDI process has ended; starting it again")
            if lost is not None:
                self._events.put(InputLost(lost))
            self._is_closing.wait(_RESTART_S)
        self._events.put(InputsChanged(()))

    def _receive(self, connection: Connection) -> str | None:
        """Pass on what comes until the process ends or close() is called -> the input open at that time."""
        opened: str | None = None
        while not self._is_closing.is_set():
            try:
                if not connection.poll(0.1):
                    continue
                news = connection.recv()
            except (EOFError, OSError):
                break
            if not isinstance(news, InputsChanged | InputOpened | InputLost):
                self._on_message(news)
                continue
            if not isinstance(news, InputsChanged):
                opened = news.name if isinstance(news, InputOpened) else None
            self._events.put(news)
        return opened


def _end(process: SpawnProcess) -> None:
    process.join(_CLOSE_LIMIT_S)
    process.kill()
    process.join()
    process.close()
