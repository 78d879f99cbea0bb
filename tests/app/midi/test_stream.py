"""A wire's bytes: running status, real time in between, system exclusive of any length, garbage."""

from __future__ import annotations

import itertools

import mido
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.midi.messages import (
    ClockContinue,
    ClockStart,
    ClockStop,
    ClockTick,
    ControlChange,
    NoteOff,
    NoteOn,
    PitchBend,
    Pressure,
    ProgramChange,
    SongPosition,
    StreamMessage,
    SystemExclusive,
    SystemReset,
)
from app.midi.stream import MAX_SYSEX_BYTES, MidiStream

wire = st.lists(
    st.one_of(
        st.integers(0, 255),
        st.sampled_from([0x90, 0x80, 0xB0, 0xC5, 0xD5, 0xE0, 0xF0, 0xF7, 0xF2, 0xF8, 0xFE, 60, 64, 0]),
    ),
    max_size=60,
).map(bytes)


def read(hexadecimal: str) -> list[StreamMessage]:
    return MidiStream().feed(bytes.fromhex(hexadecimal), 1.0)


@pytest.mark.parametrize(
    ("hexadecimal", "expected"),
    [
        ("903c64 40 00", [NoteOn(1.0, 0, 60, 100), NoteOff(1.0, 0, 64)]),  # running status, velocity 0
        ("833c28", [NoteOff(1.0, 3, 60, 40)]),
        ("a03c07 d163 c205", [Pressure(1.0, 0, 7, note=60), Pressure(1.0, 1, 99), ProgramChange(1.0, 2, 5)]),
        ("d163 64", [Pressure(1.0, 1, 99), Pressure(1.0, 1, 100)]),
        ("e00040 7f7f", [PitchBend(1.0, 0, 0.0), PitchBend(1.0, 0, 1.0)]),
        ("90 f8 3c f8 64", [ClockTick(1.0), ClockTick(1.0), NoteOn(1.0, 0, 60, 100)]),
        ("fa fb fc ff", [ClockStart(1.0), ClockContinue(1.0), ClockStop(1.0), SystemReset(1.0)]),
        ("f2 0a01", [SongPosition(1.0, 138)]),
        ("903c64 f6 3c64", [NoteOn(1.0, 0, 60, 100)]),  # a system common byte ends running status
        ("903c b00740", [ControlChange(1.0, 0, 7, 64)]),  # a truncated message leaves nothing behind
        ("f0 7e f8 01 f7 3c64", [ClockTick(1.0), SystemExclusive(1.0, b"\x7e\x01", 2)]),
        ("f0 7e01 903c64", [NoteOn(1.0, 0, 60, 100)]),  # exclusive cut off by another status
        ("f7 f4 f5 f9 fd fe 3c 64 00", []),
        ("f301 f105", []),  # song select and time code are of no use to us, but carry their data away
    ],
)
def test_the_wire_is_read(hexadecimal: str, expected: list[StreamMessage]) -> None:
    assert read(hexadecimal) == expected


@given(wire, st.lists(st.integers(0, 60), max_size=8))
def test_any_bytes_give_the_same_messages_however_cut(data: bytes, cuts: list[int]) -> None:
    whole, parts = MidiStream(), MidiStream()
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    chunks = [data[start:end] for start, end in itertools.pairwise(edges)]
    assert [m for chunk in chunks for m in parts.feed(chunk, 2.0)] == whole.feed(data, 2.0)
    assert parts.n_ignored_bytes == whole.n_ignored_bytes


@given(wire)
def test_what_comes_out_is_in_range_and_what_follows_is_heard(data: bytes) -> None:
    stream = MidiStream()
    for message in stream.feed(data, 0.0):
        if isinstance(message, NoteOn):
            assert 0 <= message.note <= 127
            assert 1 <= message.velocity <= 127
        if isinstance(message, PitchBend):
            assert -1.0 <= message.amount <= 1.0
    assert stream.feed(bytes([0x95, 1, 2]), 1.0)[-1] == NoteOn(1.0, 5, 1, 2)


@given(st.lists(st.tuples(st.sampled_from([0x80, 0x90, 0xA0, 0xB0, 0xE0]), st.integers(0, 127), st.integers(0, 127))))
def test_as_many_messages_as_mido_finds(parts: list[tuple[int, int, int]]) -> None:
    data = bytes(byte for part in parts for byte in part)
    assert len(MidiStream().feed(data, 0.0)) == len(mido.parse_all(data))


def test_endless_system_exclusive_keeps_little() -> None:
    stream = MidiStream()
    stream.feed(b"\xf0", 0.0)
    for _ in range(100):
        assert stream.feed(b"\x01" * 10_000, 0.0) == []
    (message,) = stream.feed(b"\xf7", 3.0)
    assert message == SystemExclusive(3.0, b"\x01" * MAX_SYSEX_BYTES, 1_000_000)
