"""The UDP port, and requests that come before their time."""

from __future__ import annotations

import queue
import socket

import pytest

from app.live.performance.gestures import LaneMoved, PanicAsked
from app.osc.addresses import Request
from app.osc.endpoint import MAX_AHEAD_S, MAX_WAITING, OscEndpoint, Schedule
from app.osc.packet import OscMessage, decode_packet, encode_bundle, encode_message
from synth.errors import UserError


def lane(value: float) -> OscMessage:
    return OscMessage("/stridor/lane/fry", (value,))


def test_time_tags_are_kept() -> None:
    schedule = Schedule()
    assert schedule.feed(encode_bundle([lane(0.5)], 1000.5), 10.0, 1000.0) == []
    assert schedule.feed(encode_bundle([lane(0.25)], 1000.25), 10.0, 1000.0) == []
    assert schedule.next_s == pytest.approx(10.25)
    assert schedule.due(10.2) == []
    due = schedule.due(10.6)
    assert [(r.t_s, r.value) for r in due if isinstance(r, LaneMoved)] == [
        (pytest.approx(10.25), 0.25), (pytest.approx(10.5), 0.5),
    ]  # fmt: skip
    assert schedule.next_s is None


def test_late_and_immediate_are_now() -> None:
    schedule = Schedule()
    for unix_s in (None, 900.0):
        assert schedule.feed(encode_bundle([lane(0.5)], unix_s), 10.0, 1000.0) == [LaneMoved(10.0, "fry", 0.5)]


def test_what_waits_is_bounded() -> None:
    schedule = Schedule()
    schedule.feed(encode_bundle([lane(0.5)], 1001.0 + MAX_AHEAD_S), 10.0, 1000.0)
    assert schedule.n_refused == 1
    for _ in range(3):
        for _ in range(15):
            schedule.feed(encode_bundle([lane(0.5)] * 100, 1001.0), 10.0, 1000.0)
    assert len(schedule.due(99.0)) <= MAX_WAITING
    assert schedule.n_refused > 1
    assert "wait" in schedule.last_fault
    schedule.feed(b"junk", 10.0, 1000.0)
    assert "no address" in schedule.last_fault or "string" in schedule.last_fault


def test_over_the_wire() -> None:
    heard: queue.SimpleQueue[Request] = queue.SimpleQueue()
    endpoint = OscEndpoint(heard.put, port=0)
    port = endpoint.start()
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.bind(("127.0.0.1", 0))
            client.settimeout(10.0)
            for message in (OscMessage("/junk"), OscMessage("/stridor/panic")):
                client.sendto(encode_message(message), ("127.0.0.1", port))
            assert isinstance(heard.get(timeout=10.0), PanicAsked)
            client.sendto(
                encode_message(OscMessage("/stridor/subscribe", (client.getsockname()[1],))), ("127.0.0.1", port)
            )
            client.sendto(encode_message(OscMessage("/stridor/ping")), ("127.0.0.1", port))
            assert decode_packet(client.recv(1000)).messages[0].message == OscMessage("/stridor/pong")
            endpoint.send(OscMessage("/stridor/tempo", (120.0,)))
            assert decode_packet(client.recv(1000)).messages[0].message == OscMessage("/stridor/tempo", (120.0,))
        with pytest.raises(UserError, match="cannot be opened"):
            OscEndpoint(heard.put, port=port).start()
    finally:
        endpoint.close()
    endpoint.close()
