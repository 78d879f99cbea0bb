"""The sampler's end of the pipe: commands in, replies out."""

from __future__ import annotations

import threading
from multiprocessing.connection import Connection

from app.render.inbox import Inbox
from app.render.messages import Reply


class Disconnected(Exception):
    """The other end of the pipe has gone: nobody wants this process any more."""


class CommandPipe:
    """Any thread may send; one thread receives, into the inbox. All of it raises Disconnected."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._send_lock = threading.Lock()  # reading recordings in answers from its own thread
        self.inbox = Inbox()

    def send(self, reply: Reply) -> None:
        with self._send_lock:
            try:
                self._connection.send(reply)
            except OSError as fault:
                raise Disconnected from fault

    def receive(self, *, wait: bool) -> None:
        """Take in what has arrived; with `wait`, at least one command."""
        try:
            while self._connection.poll(None if wait else 0):
                self.inbox.put(self._connection.recv())
                wait = False
        except (EOFError, OSError) as fault:
            raise Disconnected from fault

    def interrupts(self) -> bool:
        """Asked between sampler steps: whether to leave the cell in hand for something more urgent."""
        self.receive(wait=False)
        return self.inbox.quit or bool(self.inbox.renders)
