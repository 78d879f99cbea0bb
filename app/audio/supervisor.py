"""Starts the sound server, carries commands and events, and replaces a server that has died or hangs.

Two threads in the window process: one writes the pipe, so that a full pipe stops nobody else; one starts the server,
reads its events and watches it.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import queue
import threading
import time
from multiprocessing import connection as mp_connection
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Final, Protocol

from app.audio import shared
from app.audio.messages import Close, Command, DeviceLost, Serving, SoundEvent, SoundNotice
from app.audio.server import EXIT_REPLACE, serve
from app.audio.shared import SharedState

_log = logging.getLogger(__name__)

_LOOK_S: Final = 0.2
_START_LIMIT_S: Final = 30.0  # PortAudio's search for devices can be slow
_STALL_LIMIT_S: Final = 12.0  # so can opening one, and libjack waits 5 s for a server that is just starting
_CLOSE_LIMIT_S: Final = 1.2
_FIRST_PAUSE_S: Final = 0.2  # before a restart; doubled each time
_MAX_STARTS: Final = 6
_STEADY_S: Final = 60.0  # a server that ran so long starts a new count


class Greet(Protocol):
    """How a server that replaces another differs: it must not play on a device nobody chose."""

    def __call__(self, *, is_replacement: bool) -> None: ...


class Supervisor:
    """One sound server at a time."""

    def __init__(self, state: SharedState, events: queue.SimpleQueue[SoundEvent], greet: Greet) -> None:
        """greet   send()s a new server everything it must know; called on the supervisor's thread"""
        self.is_serving = False  # watch thread; the server answers and the shared state is its own
        self.has_given_up = False  # watch thread; no server will be started any more
        self._state = state
        self._events = events
        self._greet = greet
        self._commands: queue.SimpleQueue[Command | None] = queue.SimpleQueue()
        self._connection: Connection | None = None  # watch thread
        self._pid: int | None = None  # watch thread
        self._n_servers = 0  # watch thread
        self._is_closing = threading.Event()
        self._sender = threading.Thread(target=self._send_all, name="sound-sender", daemon=True)
        self._watcher = threading.Thread(target=self._watch, name="sound-watcher", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._sender.start()
        self._watcher.start()

    def send(self, command: Command) -> None:
        """Queue a command. Without a server it is dropped: `greet` tells the next one how things stand."""
        self._commands.put(command)

    def close(self) -> None:
        """Let the server fade out and end, by force if it does not. Takes up to 2 s."""
        if self._is_closing.is_set():
            return
        self._is_closing.set()
        self._commands.put(Close())
        self._commands.put(None)
        if self._watcher.ident is not None:
            self._watcher.join()
            self._sender.join()

    @property
    def server_pid(self) -> int | None:
        """Process id of the server that serves now."""
        return self._pid if self.is_serving else None

    # ---- sender thread

    def _send_all(self) -> None:
        while (command := self._commands.get()) is not None:
            connection = self._connection
            if connection is None:
                continue
            # The server has died, and its pipe may be closed in the middle of this; the watch thread sees it too.
            with contextlib.suppress(OSError, TypeError):
                connection.send(command)

    # ---- watch thread

    def _watch(self) -> None:
        n_starts = 0
        while not self._is_closing.is_set():
            started_at_s = time.monotonic()
            ours, theirs = multiprocessing.get_context("spawn").Pipe()
            process = multiprocessing.get_context("spawn").Process(
                target=serve, args=(theirs, self._state.name), name="stridor-sound", daemon=True
            )
            try:
                process.start()
            except OSError as fault:
                self.has_given_up = True
                self._events.put(SoundNotice(f"The sound server cannot be started ({fault}): nothing can be heard."))
                return
            theirs.close()
            self._n_servers += 1
            self._pid = process.pid
            why = self._follow(process, ours)
            self.is_serving = False
            self._connection = None
            status = self._end(process)
            ours.close()
            if self._is_closing.is_set():
                return
            self._state.reset()
            if status == EXIT_REPLACE:  # it has told why
                continue
            n_starts = 1 if time.monotonic() - started_at_s > _STEADY_S else n_starts + 1
            _log.info("sound server %s %s", self._pid, why)
            if n_starts >= _MAX_STARTS:
                self.has_given_up = True
                self._events.put(
                    SoundNotice(
                        f"The sound server {why} again and again: nothing can be heard.",
                        "Try another audio device, or restart the program; everything else works.",
                    )
                )
                return
            self._events.put(DeviceLost(f"The sound server {why}; it is being started again."))
            self._is_closing.wait(_FIRST_PAUSE_S * 2 ** (n_starts - 1))

    def _follow(self, process: SpawnProcess, connection: Connection) -> str:
        """Pass on what the server says until it is over -> what became of it."""
        alive_at_s = time.monotonic()
        heartbeat = -1
        close_by_s = float("inf")
        while True:
            if self._is_closing.is_set():
                close_by_s = min(close_by_s, time.monotonic() + _CLOSE_LIMIT_S)
            for ready in mp_connection.wait([connection, process.sentinel], timeout=_LOOK_S):
                if ready is not connection:
                    return "has stopped"
                try:
                    event = connection.recv()
                except (EOFError, OSError):
                    return "has stopped"
                if not isinstance(event, Serving):
                    self._events.put(event)
                    continue
                self._welcome(connection)
            now_s = time.monotonic()
            if now_s > close_by_s:
                return "does not end"
            beat = int(self._state.ints[shared.HEARTBEAT])
            if beat != heartbeat:
                heartbeat, alive_at_s = beat, now_s
            if now_s - alive_at_s > (_STALL_LIMIT_S if self.is_serving else _START_LIMIT_S):
                return "does not answer"

    def _welcome(self, connection: Connection) -> None:
        if self._is_closing.is_set():  # the Close in the queue found no server to go to
            with contextlib.suppress(OSError):
                connection.send(Close())
            return
        with contextlib.suppress(queue.Empty):
            while True:
                self._commands.get_nowait()  # meant for the server before this one
        self._connection = connection
        self._greet(is_replacement=self._n_servers > 1)
        self.is_serving = True

    def _end(self, process: SpawnProcess) -> int | None:
        for end in (process.terminate, process.kill):
            process.join(_LOOK_S)
            if process.exitcode is not None:
                break
            end()
        process.join()
        status = process.exitcode
        process.close()
        return status
