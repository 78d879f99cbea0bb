"""Bytes go through the ring as they came, in order, and nobody waits."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.midi.messages import NoteOn, SystemExclusive
from app.midi.ring import N_RECORDS, MidiRing
from app.midi.stream import MidiStream


@pytest.fixture
def ring() -> Iterator[MidiRing]:
    made = MidiRing.create()
    yield made
    made.close()


def test_what_goes_in_comes_out_in_order_with_its_time(ring: MidiRing) -> None:
    other = MidiRing.attach(ring.name)
    sent = [(bytes((0x90, key, 100)), key / 10) for key in range(100)]
    for data, t_s in sent:
        ring.push(data, t_s)
    assert other.take() == sent
    assert other.take() == []
    other.close()


def test_long_messages_lie_in_several_records(ring: MidiRing) -> None:
    sysex = bytes((0xF0, *([1, 2, 3] * 100), 0xF7))
    ring.push(sysex, 1.0)
    ring.push(bytes((0x91, 60, 1)), 2.0)
    stream = MidiStream()
    messages = [message for data, t_s in ring.take() for message in stream.feed(data, t_s)]
    assert messages == [SystemExclusive(1.0, sysex[1:-1], len(sysex) - 2), NoteOn(2.0, 1, 60, 1)]


def test_a_full_ring_drops_and_counts_and_goes_on(ring: MidiRing) -> None:
    for index in range(N_RECORDS + 5):
        ring.push(bytes((0xFE,)), float(index))
    assert ring.n_lost == 5
    assert len(ring.take()) == N_RECORDS
    ring.push(b"\xf8", 9.0)
    assert ring.take() == [(b"\xf8", 9.0)]


def test_the_ring_goes_round(ring: MidiRing) -> None:
    for turn in range(3):
        for index in range(N_RECORDS // 2 + 1):
            ring.push(bytes((index % 128,)), float(turn))
        taken = ring.take()
        assert [data[0] for data, _ in taken] == [index % 128 for index in range(N_RECORDS // 2 + 1)]
