"""Ctrl-C and SIGTERM end a training after the step it is in, not in the middle of it."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

log = logging.getLogger(__name__)

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """Within, the first signal only sets what the yielded function tells; a second one acts as it did before.

    Does nothing on another thread than the main one, where signals cannot be handled.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    came = threading.Event()
    before: dict[int, Any] = {int(number): signal.getsignal(number) for number in _SIGNALS}

    def note(number: int, _frame: FrameType | None) -> None:
        came.set()
        signal.signal(number, before[number] or signal.SIG_DFL)
        with suppress(RuntimeError):  # Python refuses a reentrant call: the signal came while a line was being written
            log.info("stopping after this step; the same command goes on later")

    for number in _SIGNALS:
        signal.signal(number, note)
    try:
        yield came.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
