"""Reads the bank that program changes choose from, on a thread: its files take longer than a window may wait."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

from app.state.preset import Preset

ReadBank = Callable[[], Sequence[Preset]]


class BankReader:
    """Main thread."""

    def __init__(self, read: ReadBank) -> None:
        """read   called on a thread; says itself what it cannot read"""
        self._read = read
        self._found: SimpleQueue[tuple[Preset, ...]] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._is_stale = False  # something has changed since it was last begun

    def ask(self) -> None:
        """Read it; take() hands it out. Asked again meanwhile, it is read once more."""
        self._is_stale = True
        self._begin()

    def take(self) -> tuple[Preset, ...] | None:
        """The bank, once after it has been read; None else."""
        self._begin()
        bank: tuple[Preset, ...] | None = None
        try:
            while True:
                bank = self._found.get_nowait()
        except Empty:
            return bank

    def close(self) -> None:
        """Wait until nothing is read any more."""
        if self._thread is not None:
            self._thread.join()

    def _begin(self) -> None:
        if self._is_stale and (self._thread is None or not self._thread.is_alive()):
            self._is_stale = False
            self._thread = threading.Thread(
                target=lambda: self._found.put(tuple(self._read())), name="bank-reader", daemon=True
            )
            self._thread.start()
