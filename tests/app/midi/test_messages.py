"""Bytes become values; what cannot be read becomes nothing."""

from __future__ import annotations

import mido
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.midi.messages import (
    ControlChange,
    MidiMessage,
    NoteOff,
    NoteOn,
    PitchBend,
    Pressure,
    ProgramChange,
    parse,
)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ([0x93, 60, 100], NoteOn(1.5, 3, 60, 100)),
        ([0x93, 60, 0], NoteOff(1.5, 3, 60)),
        ([0x83, 60, 40], NoteOff(1.5, 3, 60)),
        ([0xA0, 60, 7], Pressure(1.5, 0, 7, note=60)),
        ([0xB1, 74, 127], ControlChange(1.5, 1, 74, 127)),
        ([0xC2, 5], ProgramChange(1.5, 2, 5)),
        ([0xD2, 99], Pressure(1.5, 2, 99)),
        ([0xE0, 0, 64], PitchBend(1.5, 0, 0.0)),
        ([0xE0, 0, 0], PitchBend(1.5, 0, -1.0)),
        ([0xE0, 127, 127], PitchBend(1.5, 0, 1.0)),
    ],
)
def test_messages_are_read(data: list[int], expected: MidiMessage) -> None:
    assert parse(bytes(data), 1.5) == expected


@pytest.mark.parametrize(
    "data", [[], [60], [60, 100, 3], [0x90], [0x90, 60], [0x90, 60, 200], [0x90, 60, 1, 2], [0xF8], [0xF0, 1, 0xF7]]
)
def test_what_we_do_not_use_is_nothing(data: list[int]) -> None:
    assert parse(bytes(data), 0.0) is None


@given(st.binary(max_size=6))
def test_no_bytes_raise(data: bytes) -> None:
    parse(data, 0.0)


@given(st.integers(-8192, 8191), st.integers(0, 15))
def test_bend_agrees_with_mido(pitch: int, channel: int) -> None:
    data = bytes(mido.Message("pitchwheel", pitch=pitch, channel=channel).bytes())
    message = parse(data, 0.0)
    assert isinstance(message, PitchBend)
    assert message.channel == channel
    assert message.amount * (8192 if pitch < 0 else 8191) == pytest.approx(pitch)
