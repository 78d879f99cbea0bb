"""A wire's bytes, as they come, become messages: running status, real-time bytes in between, garbage and all.

After MIDI 1.0 Detailed Specification 4.2: a real-time byte may stand anywhere and changes nothing; any other status
byte ends what was under way; a system common byte ends running status; data bytes without a status mean nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

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
    bend_amount,
)

MAX_SYSEX_BYTES: Final = 4096  # kept of one system exclusive message; the rest is counted and dropped
_SYSEX: Final = 0xF0
_SONG_POSITION: Final = 0xF2
_END_OF_SYSEX: Final = 0xF7
_FIRST_REAL_TIME: Final = 0xF8
_REAL_TIME: Final[dict[int, Callable[[float], StreamMessage]]] = {
    0xF8: ClockTick,
    0xFA: ClockStart,
    0xFB: ClockContinue,
    0xFC: ClockStop,
    0xFF: SystemReset,
}
_N_DATA: Final = {0xF1: 1, _SONG_POSITION: 2, 0xF3: 1}  # of the system common messages that carry data
_NO_STATUS: Final = 0


class MidiStream:
    """One input's parser. feed() belongs to one thread, never raises and keeps at most MAX_SYSEX_BYTES."""

    def __init__(self) -> None:
        self._status = _NO_STATUS  # running, or of the system message under way
        self._n_needed = 0
        self._first = -1  # the first data byte of two, -1 while it has not come
        self._sysex = bytearray()
        self._n_sysex = 0
        self.n_ignored_bytes = 0  # data without a status, undefined status bytes, messages that were cut off

    def feed(self, data: bytes, t_s: float) -> list[StreamMessage]:
        """The messages that end in `data`, stamped `t_s`. The same bytes give the same messages however cut."""
        messages: list[StreamMessage] = []
        for byte in data:
            if byte < 0x80:
                self._take_data(byte, t_s, messages)
            elif byte >= _FIRST_REAL_TIME:
                real_time = _REAL_TIME.get(byte)
                if real_time is not None:
                    messages.append(real_time(t_s))
            else:
                self._take_status(byte, t_s, messages)
        return messages

    def reset(self) -> None:
        """Forget what is under way, as when the cable was pulled."""
        self._status = _NO_STATUS
        self._first = -1
        self._sysex.clear()
        self._n_sysex = 0

    def _take_status(self, byte: int, t_s: float, messages: list[StreamMessage]) -> None:
        if self._status == _SYSEX:
            if byte == _END_OF_SYSEX:
                messages.append(SystemExclusive(t_s, bytes(self._sysex), self._n_sysex))
            else:
                self.n_ignored_bytes += self._n_sysex
        elif self._first >= 0:
            self.n_ignored_bytes += 1
        self.reset()
        if byte < 0xF0:
            self._status = byte
            self._n_needed = 1 if byte & 0xE0 == 0xC0 else 2
        elif byte == _SYSEX:
            self._status = _SYSEX
        elif byte in _N_DATA:
            self._status = byte
            self._n_needed = _N_DATA[byte]

    def _take_data(self, byte: int, t_s: float, messages: list[StreamMessage]) -> None:
        status = self._status
        if status == _NO_STATUS:
            self.n_ignored_bytes += 1
        elif status == _SYSEX:
            self._n_sysex += 1
            if len(self._sysex) < MAX_SYSEX_BYTES:
                self._sysex.append(byte)
        elif self._n_needed == 2 and self._first < 0:
            self._first = byte
        else:
            if status < 0xF0:
                messages.append(_channel_message(status, self._first, byte, t_s))
            else:
                self._status = _NO_STATUS
                if status == _SONG_POSITION:
                    messages.append(SongPosition(t_s, byte << 7 | self._first))
            self._first = -1


def _channel_message(status: int, first: int, last: int, t_s: float) -> StreamMessage:
    kind, channel = status & 0xF0, status & 0x0F
    if kind == 0x90:
        return NoteOn(t_s, channel, first, last) if last else NoteOff(t_s, channel, first)
    if kind == 0xB0:
        return ControlChange(t_s, channel, first, last)
    if kind == 0xE0:
        return PitchBend(t_s, channel, bend_amount(first, last))
    if kind == 0xD0:
        return Pressure(t_s, channel, last)
    if kind == 0x80:
        return NoteOff(t_s, channel, first, last)
    if kind == 0xA0:
        return Pressure(t_s, channel, last, note=first)
    return ProgramChange(t_s, channel, last)
