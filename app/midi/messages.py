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
    velocity: int = 64  # how fast the key came up, 0..127; 64 where the keyboard does not say


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


@dataclass(frozen=True, slots=True)
class SystemExclusive:
    """`data` is what stands between 0xF0 and 0xF7, cut at the parser's limit; `n_bytes` is how long it was."""

    t_s: float
    data: bytes
    n_bytes: int


@dataclass(frozen=True, slots=True)
class SongPosition:
    t_s: float
    sixteenths: int  # 0..16383, from the start of the song


@dataclass(frozen=True, slots=True)
class ClockTick:
    """One twenty-fourth of a quarter note has passed."""

    t_s: float


@dataclass(frozen=True, slots=True)
class ClockStart:
    t_s: float


@dataclass(frozen=True, slots=True)
class ClockContinue:
    t_s: float


@dataclass(frozen=True, slots=True)
class ClockStop:
    t_s: float


@dataclass(frozen=True, slots=True)
class SystemReset:
    t_s: float


MidiMessage = NoteOn | NoteOff | PitchBend | ControlChange | Pressure | ProgramChange
ClockMessage = ClockTick | ClockStart | ClockContinue | ClockStop | SongPosition
SystemMessage = ClockMessage | SystemExclusive | SystemReset
StreamMessage = MidiMessage | SystemMessage

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
            return PitchBend(t_s, channel, bend_amount(first, last))


def bend_amount(low: int, high: int) -> float:
    """A bend's two data bytes -> -1..1. Both ends are reached: 14 bits have one step more below the centre."""
    value = (high << 7 | low) - _BEND_CENTRE
    return value / _BEND_CENTRE if value < 0 else value / (_BEND_CENTRE - 1)
