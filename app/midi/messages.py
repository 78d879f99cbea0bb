"""What a MIDI controller says, as values. Channels are 0..15; times are time.monotonic() seconds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NoteOn:
    t_s: float
    channel: int
    note: int  # 0..127
    velocity: int  # 1..127


@dataclass(frozen=True, slots=True)
class NoteOff:
    t_s: float
    channel: int
    note: int


@dataclass(frozen=True, slots=True)
class PitchBend:
    t_s: float
    channel: int
    amount: float  # -1..1 of the bend range


@dataclass(frozen=True, slots=True)
class ControlChange:
    t_s: float
    channel: int
    number: int  # 0..127
    value: int  # 0..127


@dataclass(frozen=True, slots=True)
class Pressure:
    """Of the channel, or of one key when `note` is given."""

    t_s: float
    channel: int
    value: int  # 0..127
    note: int | None = None


@dataclass(frozen=True, slots=True)
class ProgramChange:
    t_s: float
    channel: int
    program: int  # 0..127


MidiMessage = NoteOn | NoteOff | PitchBend | ControlChange | Pressure | ProgramChange

_BEND_CENTRE = 8192


def parse(data: bytes, t_s: float) -> MidiMessage | None:
    """One complete message -> its value; None for what we do not use (clock, system exclusive) or cannot be read."""
    if not data or any(byte > 127 for byte in data[1:]):
        return None
    kind, channel = data[0] & 0xF0, data[0] & 0x0F
    n_needed = 2 if kind in (0xC0, 0xD0) else 3
    if kind in (0xF0,) or data[0] < 0x80 or len(data) != n_needed:
        return None
    first, last = data[1], data[-1]
    match kind:
        case 0x80:
            return NoteOff(t_s, channel, first)
        case 0x90:
            return NoteOn(t_s, channel, first, last) if last else NoteOff(t_s, channel, first)
        case 0xA0:
            return Pressure(t_s, channel, last, note=first)
        case 0xB0:
            return ControlChange(t_s, channel, first, last)
        case 0xC0:
            return ProgramChange(t_s, channel, first)
        case 0xD0:
            return Pressure(t_s, channel, first)
        case _:
            value = (last << 7 | first) - _BEND_CENTRE
            # Both ends are reached: 14 bits have one step more below the centre than above.
            return PitchBend(t_s, channel, value / _BEND_CENTRE if value < 0 else value / (_BEND_CENTRE - 1))
