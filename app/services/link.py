"""The line to the sampler process. Neither sending nor receiving ever makes the window wait.

Two threads a process life: one starts the process and listens, one speaks. They end with the process.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from queue import Empty, SimpleQueue

from app.render.messages import Command, Quit, Reply
from app.render.process import spawn_sampler
from app.render.worker import WorkerSettings

_log = logging.getLogger(__name__)

_QUIT_PATIENCE_S = 1.0
_KILL_PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class SamplerDied:
    """The process has ended without being told to."""

    exit_code: int | None


Heard = SimpleQueue[Reply | SamplerDied]


class SamplerLink:
    """Main thread only. `start` after `SamplerDied` gives a fresh process; what the old one had not done is lost."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self._heard: Heard = SimpleQueue()
        self._life: _Life | None = None

    @property
    def pid(self) -> int | None:
        """Process id, None until it runs."""
        return self._life.pid if self._life is not None else None

    def start(self) -> None:
        """Start a process; returns at once."""
        self._life = _Life(self._settings, self._heard)

    def post(self, command: Command) -> None:
        """Say something; dropped when there is no process (`SamplerDied` has then been or will be heard)."""
        if self._life is not None:
            self._life.said.put(command)

    def take(self) -> list[Reply | SamplerDied]:
        """Everything heard since the last call."""
        heard: list[Reply | SamplerDied] = []
        while True:
            try:
                heard.append(self._heard.get_nowait())
            except Empty:
                return heard

    def close(self) -> None:
        """End the process, by force if it does not listen. Idempotent."""
        if self._life is not None:
            self._life.close()
            self._life = None


class _Life:
    """One process from start to end."""

    def __init__(self, settings: WorkerSettings, heard: Heard) -> None:
        self.said: SimpleQueue[Command | None] = SimpleQueue()
        self.pid: int | None = None
        self._settings = settings
        self._heard = heard
        self._closing = False
        self._process: SpawnProcess | None = None
        self._listener = threading.Thread(target=self._listen, name="sampler-listener", daemon=True)
        self._listener.start()

    def close(self) -> None:
        self._closing = True
        self.said.put(Quit())
        self._listener.join(_QUIT_PATIENCE_S)
        if self._listener.is_alive() and self._process is not None:
            self._process.kill()
            self._listener.join(_KILL_PATIENCE_S)

    def _listen(self) -> None:
        process, connection = spawn_sampler(self._settings)
        self._process, self.pid = process, process.pid
        speaker = threading.Thread(target=self._speak, args=(connection,), name="sampler-speaker", daemon=True)
        speaker.start()
        try:
            while True:
                self._heard.put(connection.recv())
        except (EOFError, OSError) as fault:
            _log.info("sampler process %s hung up: %r", self.pid, fault)
        process.join(_KILL_PATIENCE_S)
        if process.is_alive():
            process.kill()
            process.join()
        exit_code = process.exitcode
        self.said.put(None)
        speaker.join()
        connection.close()
        process.close()
        if not self._closing:
            self._heard.put(SamplerDied(exit_code))

    def _speak(self, connection: Connection) -> None:
        while (command := self.said.get()) is not None:
            try:
                connection.send(command)
            except OSError:
                return  # the listener hears of it too
