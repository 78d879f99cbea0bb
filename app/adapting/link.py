"""One process of an adaptation, as the window holds it. Nothing here waits: a thread listens, news lie in a queue."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from queue import Empty, SimpleQueue
from typing import Any, Final

from app.adapting.messages import Failed, Finished, Looked, News, Recorded, Stopped

_log = logging.getLogger(__name__)

_KILL_PATIENCE_S: Final = 5.0
_LAST_WORDS = (Finished, Failed, Looked, Stopped, Recorded)


class Task:
    """A process from start to end. Main thread only; `take` until `is_over`."""

    def __init__(self, target: Callable[..., None], *arguments: Any, name: str) -> None:
        """target(connection, *arguments) is the process's work: a function of an importable module."""
        self._news: SimpleQueue[News] = SimpleQueue()
        self._connection: Connection | None = None
        self._process: SpawnProcess | None = None
        self._has_last_words = False
        self._wants_stop = threading.Event()
        self._is_killed = False
        self._thread = threading.Thread(target=self._listen, args=(target, arguments, name), name=name, daemon=True)
        self._thread.start()

    @property
    def is_over(self) -> bool:
        """Whether the process has ended and all it said has been taken."""
        return not self._thread.is_alive() and self._news.empty()

    @property
    def pid(self) -> int | None:
        """Of the process, once it runs."""
        process = self._process
        return process.pid if process is not None else None

    def take(self) -> list[News]:
        """Everything said since the last call. A process that dies without last words is told of as Failed."""
        news: list[News] = []
        while True:
            try:
                news.append(self._news.get_nowait())
            except Empty:
                return news

    def stop(self) -> None:
        """Ask it to end; its last words follow."""
        self._wants_stop.set()
        connection = self._connection
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.send(None)

    def kill(self) -> None:
        """End it now, without last words. Idempotent."""
        self._is_killed = True
        self._wants_stop.set()
        process = self._process
        if process is not None:
            with contextlib.suppress(ValueError):  # closed meanwhile
                process.kill()

    def close(self, patience_s: float) -> None:
        """Ask it to end, wait so long, then make it."""
        self.stop()
        self._thread.join(patience_s)
        if self._thread.is_alive():
            self.kill()
            self._thread.join(_KILL_PATIENCE_S)

    def _listen(self, target: Callable[..., None], arguments: tuple[Any, ...], name: str) -> None:
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=target, args=(theirs, *arguments), name=f"stridor-{name}")
        process.daemon = name != "adapting"  # a training starts processes of its own, which a daemon may not
        try:
            process.start()
        except OSError as fault:
            self._news.put(Failed(f"The process cannot be started ({fault}).", "Close other programs."))
            return
        theirs.close()
        self._connection, self._process = ours, process
        if self._wants_stop.is_set():
            process.kill() if self._is_killed else ours.send(None)
        try:
            while True:
                news = ours.recv()
                self._has_last_words = self._has_last_words or isinstance(news, _LAST_WORDS)
                self._news.put(news)
        except (EOFError, OSError) as fault:
            _log.info("%s hung up: %r", name, fault)
        process.join(_KILL_PATIENCE_S)
        if process.is_alive():
            process.kill()
            process.join()
        status = process.exitcode
        if not self._has_last_words and not self._is_killed and name != "microphones":
            why = "was killed, perhaps because memory ran out" if status is not None and status < 0 else "ended"
            self._news.put(Failed(f"The process {why} (status {status}).", "What its last checkpoint holds is kept."))
        self._connection = None
        ours.close()
        process.close()
