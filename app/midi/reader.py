"""The MIDI process: looks for inputs once a second and passes on what the open one says.

A process of its own because a JACK client that shares the window's GIL would hold up JACK's whole graph, because MIDI
drivers hang and write on stderr, and because listing ports must not stop the window.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import threading
import time
from dataclasses import dataclass
from multiprocessing import connection as mp_connection
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from typing import Final

from app.midi.messages import MidiMessage, parse
from app.midi.ring import MidiRing
from app.midi.sources import Source, sources
from app.report import set_up_logging

_log = logging.getLogger(__name__)

_SCAN_S: Final = 1.0
# Controls rest and all notes end, on every channel.
_LET_GO: Final = bytes(byte for status in range(0xB0, 0xC0) for byte in (status, 121, 0, status, 123, 0))
_SHOWN_AHEAD: Final = 64  # messages for the window that may wait; a storm goes to the performer alone


@dataclass(frozen=True, slots=True)
class InputsChanged:
    """These inputs can be opened now."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InputOpened:
    """Messages of this input arrive from now on."""

    name: str


@dataclass(frozen=True, slots=True)
class InputLost:
    """The open input has gone: notes it holds must be released. It is opened again when it comes back."""

    name: str


MidiEvent = InputsChanged | InputOpened | InputLost


@dataclass(frozen=True, slots=True)
class OpenInput:
    """Listen to this input, now or as soon as it is there; None = to none."""

    name: str | None


def read_midi(connection: Connection, ring_name: str | None = None) -> None:
    """Entry point of the process. It ends when its parent closes the pipe or dies.

    ring_name   of a MidiRing that gets every byte, as it comes; the parent then only gets what it has time for
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    set_up_logging("midi")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)  # ALSA and JACK complain there about everything that is absent
    outgoing: queue.SimpleQueue[MidiMessage | MidiEvent] = queue.SimpleQueue()
    threading.Thread(target=_send_all, args=(connection, outgoing), name="midi-sender", daemon=True).start()
    ring = None if ring_name is None else MidiRing.attach(ring_name)
    reader = Reader(sources(), outgoing, ring)
    parent = parent_process()
    waited_for = [connection, *([parent.sentinel] if parent is not None else [])]
    scan_at_s = 0.0
    while True:
        if time.monotonic() >= scan_at_s:
            reader.scan()
            scan_at_s = time.monotonic() + _SCAN_S
        ready = mp_connection.wait(waited_for, timeout=_SCAN_S)
        if connection in ready:
            try:
                reader.choose(connection.recv().name)
            except (EOFError, OSError):
                break
        elif ready:
            break
    logging.shutdown()
    os._exit(0)  # drivers may hang in their own tear-down


class Reader:
    """Which input is wanted, which is open. One thread; messages may come from the sources' threads."""

    def __init__(
        self,
        midi_sources: list[Source],
        outgoing: queue.SimpleQueue[MidiMessage | MidiEvent],
        ring: MidiRing | None = None,
    ) -> None:
        self._sources = midi_sources
        self._ring = ring
        self._outgoing = outgoing
        self._known: tuple[str, ...] | None = None
        self._wanted: str | None = None
        self._open: tuple[str, Source] | None = None
        self._last_s = 0.0  # stamp of the last message

    def choose(self, name: str | None) -> None:
        """Listen to this input, or to none."""
        self._close()
        self._wanted = name
        self._try_to_open()

    def scan(self) -> None:
        """Look for inputs; close one that has gone, open a wanted one that has come."""
        places = self._places()
        known = tuple(places)
        if self._open is not None and self._open[0] not in places:
            name = self._open[0]
            self._close()
            self._outgoing.put(InputLost(name))
        if known != self._known:
            self._known = known
            self._outgoing.put(InputsChanged(known))
        if self._open is None:
            self._try_to_open(places)

    def _places(self) -> dict[str, Source]:
        return {name: source for source in self._sources for name in source.names()}

    def _try_to_open(self, places: dict[str, Source] | None = None) -> None:
        name = self._wanted
        if name is None:
            return
        source = (self._places() if places is None else places).get(name)
        if source is not None and source.open(name, self._on_bytes):
            self._open = (name, source)
            self._outgoing.put(InputOpened(name))

    def _close(self) -> None:
        opened, self._open = self._open, None
        if opened is not None:
            opened[1].close()
            if self._ring is not None:  # behind its last note, whose end will not come; JACK's lie ahead of now
                self._ring.push(_LET_GO, max(time.monotonic(), self._last_s))

    def _on_bytes(self, data: bytes, t_s: float) -> None:
        if self._ring is not None:
            self._last_s = t_s
            self._ring.push(data, t_s)
            if self._outgoing.qsize() > _SHOWN_AHEAD:
                return
        message = parse(data, t_s)
        if message is not None:
            self._outgoing.put(message)


def _send_all(connection: Connection, outgoing: queue.SimpleQueue[MidiMessage | MidiEvent]) -> None:
    while True:
        try:
            connection.send(outgoing.get())
        except OSError:  # the parent has gone; the main thread sees it too
            return
