"""A UDP port that speaks the address space: requests come in at their time, what is played goes out to subscribers."""

from __future__ import annotations

import contextlib
import heapq
import logging
import socket
import threading
import time
from collections.abc import Callable
from itertools import count
from typing import Final

from app.osc.addresses import (
    DEFAULT_PORT,
    ROOT,
    AnswerAsked,
    Request,
    SubscriptionAsked,
    understand,
)
from app.osc.packet import MAX_PACKET_BYTES, OscMessage, decode_packet, encode_message
from synth.errors import UserError

_log = logging.getLogger(__name__)

MAX_WAITING: Final = 4096  # requests meant for later
MAX_AHEAD_S: Final = 60.0
MAX_SUBSCRIBERS: Final = 16
_WAKE_S: Final = 0.1


class Schedule:
    """Requests meant for later, in the order they are due. Bounded; one thread."""

    def __init__(self) -> None:
        self._waiting: list[tuple[float, int, Request]] = []
        self._order = count()
        self.n_refused = 0
        self.last_fault = ""

    def feed(self, data: bytes, now_s: float, unix_s: float) -> list[Request]:
        """Take up a packet that came at `now_s` (monotonic), `unix_s` (wall clock) -> what is to be done now.

        Time tags in the past mean now. What is meant for more than MAX_AHEAD_S from now is refused.
        """
        packet = decode_packet(data)
        if packet.fault:
            self._refuse(packet.fault)
        due_now: list[Request] = []
        for timed in packet.messages:
            ahead_s = 0.0 if timed.unix_s is None else max(timed.unix_s - unix_s, 0.0)
            understood = understand(timed.message, now_s + ahead_s)
            if understood.fault:
                self._refuse(understood.fault)
            if ahead_s == 0.0:
                due_now += understood.requests
            elif ahead_s > MAX_AHEAD_S or len(self._waiting) + len(understood.requests) > MAX_WAITING:
                self._refuse(f"{timed.message.address}: {ahead_s:.0f} s ahead, or too many wait")
            else:
                for request in understood.requests:
                    heapq.heappush(self._waiting, (request.t_s, next(self._order), request))
        return due_now

    def due(self, now_s: float) -> list[Request]:
        """What has become due."""
        requests: list[Request] = []
        while self._waiting and self._waiting[0][0] <= now_s:
            requests.append(heapq.heappop(self._waiting)[2])
        return requests

    @property
    def next_s(self) -> float | None:
        """When due() has something to give."""
        return self._waiting[0][0] if self._waiting else None

    def _refuse(self, fault: str) -> None:
        self.n_refused += 1
        self.last_fault = fault[:200]


class OscEndpoint:
    """One UDP port. start() and close() from one thread; send() from any; requests come on the thread osc-receiver."""

    def __init__(
        self, on_request: Callable[[Request], None], *, host: str = "127.0.0.1", port: int = DEFAULT_PORT
    ) -> None:
        """
        on_request   must not block; subscriptions and pings are answered here and not passed on
        host         127.0.0.1 hears this machine only, 0.0.0.0 the whole network
        port         0 = any free one
        """
        self._on_request = on_request
        self._place = (host, port)
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._is_closing = threading.Event()
        self._subscribers: tuple[tuple[str, int], ...] = ()
        self.schedule = Schedule()

    def start(self) -> int:
        """Open the port -> its number. Raises UserError where it cannot be had."""
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            opened.bind(self._place)
        except OSError as fault:
            opened.close()
            problem = f"OSC port {self._place[1]} cannot be opened: {fault.strerror or fault}."
            raise UserError(problem, remedy="Choose another port, or none.") from fault
        self._socket = opened
        self._thread = threading.Thread(target=self._run, args=(opened,), name="osc-receiver", daemon=True)
        self._thread.start()
        return opened.getsockname()[1]

    def close(self) -> None:
        """Close the port. Idempotent."""
        self._is_closing.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def send(self, message: OscMessage) -> None:
        """Tell every subscriber; nothing without subscribers. Never blocks for long and never raises."""
        for subscriber in self._subscribers:
            self._send_to(message, subscriber)

    def _send_to(self, message: OscMessage, place: tuple[str, int]) -> None:
        sender = self._socket
        if sender is not None:
            with contextlib.suppress(OSError):  # nobody listens there any more
                sender.sendto(encode_message(message), place)

    def _run(self, receiver: socket.socket) -> None:
        while not self._is_closing.is_set():
            next_s = self.schedule.next_s
            wait_s = _WAKE_S if next_s is None else min(max(next_s - time.monotonic(), 0.0005), _WAKE_S)
            receiver.settimeout(wait_s)
            requests: list[Request] = []
            sender: tuple[str, int] | None = None
            try:
                data, sender = receiver.recvfrom(MAX_PACKET_BYTES)
                requests = self.schedule.feed(data, time.monotonic(), time.time())
            except TimeoutError:
                pass
            except OSError as fault:  # a subscriber's closed port comes back as an error here
                _log.debug("OSC: %s", fault)
            for request in (*self.schedule.due(time.monotonic()), *requests):
                self._do(request, sender)

    def _do(self, request: Request, sender: tuple[str, int] | None) -> None:
        match request:
            case AnswerAsked():
                if sender is not None:
                    self._send_to(OscMessage(f"{ROOT}/pong"), sender)
            case SubscriptionAsked(port=port):
                if sender is not None:
                    others = tuple(place for place in self._subscribers if place[0] != sender[0] or place[1] != port)
                    if port == 0:
                        self._subscribers = tuple(place for place in others if place[0] != sender[0])
                    else:
                        self._subscribers = (*others, (sender[0], port))[-MAX_SUBSCRIBERS:]
            case _:
                self._on_request(request)
