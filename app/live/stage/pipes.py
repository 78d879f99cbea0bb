"""Looking into a pipe some thousand times a second: a hundredth of what Connection.poll(0) costs."""

from __future__ import annotations

import select
from collections.abc import Callable
from multiprocessing.connection import Connection


def news_of(connection: Connection) -> Callable[[], bool]:
    """-> a function that tells whether something, or the end of the pipe, waits to be received. Never blocks."""
    if not hasattr(select, "poll"):  # Windows
        return lambda: connection.poll(0)
    poller = select.poll()
    poller.register(connection.fileno(), select.POLLIN | select.POLLHUP)
    return lambda: bool(poller.poll(0))
