"""One MIDI channel of one track, read into notes and controller curves. Times are seconds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from app.store.midi_time import MidiMessage, TickClock

Event = tuple[float, float]  # (t_s, value)
WHEEL_TOP = 8191.0  # the wheel's upper half is one step shorter than its lower half
DEFAULT_BEND_RANGE = 2.0  # semitones, until RPN 0 says otherwise


@dataclass(slots=True)
class PlayedNote:
    """A note as played, before it becomes a voice's note."""

    start_s: float
    end_s: float
    key: int
    velocity: int


@dataclass(slots=True)
class ChannelScore:
    """What one channel did.

    controls    0..1 by source: "cc1", "cc2", "cc7", "cc11", "cc74", "pressure" (channel and key pressure)
    bend        semitones
    hung        notes nobody released, closed at the end
    """

    notes: list[PlayedNote] = field(default_factory=list)
    controls: dict[str, list[Event]] = field(default_factory=dict)
    bend: list[Event] = field(default_factory=list)
    program: int | None = None
    hung: int = 0


def read_channel(messages: Iterable[tuple[int, MidiMessage]], clock: TickClock, end_tick: int) -> ChannelScore:
    """Follow one channel's messages (absolute ticks, ascending) to `end_tick`."""
    reader = _ChannelReader()
    for tick, message in messages:
        reader.feed(clock.seconds(tick), message)
    reader.close(clock.seconds(end_tick))
    return reader.score


class _ChannelReader:
    """State of one channel: sounding notes, bend and its range, the parameter number being set."""

    def __init__(self) -> None:
        self.score = ChannelScore()
        self._sounding: dict[int, list[PlayedNote]] = {}
        self._wheel = 0
        self._range_semitones, self._range_cents = int(DEFAULT_BEND_RANGE), 0
        self._parameter: list[int | None] = [None, None]  # RPN MSB and LSB; None: none, or an NRPN

    def feed(self, t_s: float, message: MidiMessage) -> None:
        if message.type == "note_on" and message.velocity > 0:
            note = PlayedNote(t_s, t_s, message.note, message.velocity)
            self.score.notes.append(note)
            self._sounding.setdefault(message.note, []).append(note)
        elif message.type in ("note_on", "note_off"):
            waiting = self._sounding.get(message.note)
            if waiting:
                waiting.pop(0).end_s = t_s
        elif message.type == "control_change":
            self._control(t_s, message.control, message.value)
        elif message.type == "pitchwheel":
            self._wheel = message.pitch
            self._bend(t_s)
        elif message.type == "aftertouch" or (message.type == "polytouch" and self._sounding.get(message.note)):
            self._put("pressure", t_s, message.value)
        elif message.type == "program_change" and self.score.program is None:
            self.score.program = message.program

    def close(self, end_s: float) -> None:
        for waiting in self._sounding.values():
            for note in waiting:
                note.end_s = max(end_s, note.start_s)
                self.score.hung += 1
        self._sounding.clear()

    def _control(self, t_s: float, control: int, value: int) -> None:
        if control in (1, 2, 7, 11, 74):
            self._put(f"cc{control}", t_s, value)
        elif control in (101, 100):
            self._parameter[control == 100] = value
        elif control in (99, 98):  # a non-registered parameter: data entry is not for us until an RPN is chosen
            self._parameter = [None, None]
        elif control in (6, 38) and self._parameter == [0, 0]:
            if control == 6:
                self._range_semitones = value
            else:
                self._range_cents = value
            self._bend(t_s)
        elif control in (120, 123):  # all sound off, all notes off
            for waiting in self._sounding.values():
                for note in waiting:
                    note.end_s = t_s
            self._sounding.clear()
        elif control == 121:  # reset all controllers: wheel, modulation, expression, pressure (RP-015)
            self._wheel = 0
            self._bend(t_s)
            for source, rest in (("cc1", 0), ("cc11", 127), ("pressure", 0)):
                if source in self.score.controls:
                    self._put(source, t_s, rest)

    def _put(self, source: str, t_s: float, value: int) -> None:
        _set(self.score.controls.setdefault(source, []), t_s, value / 127.0)

    def _bend(self, t_s: float) -> None:
        reach = self._range_semitones + self._range_cents / 100.0
        semitones = self._wheel / (8192.0 if self._wheel < 0 else WHEEL_TOP) * reach
        if semitones or self.score.bend:
            _set(self.score.bend, t_s, semitones)


def _set(events: list[Event], t_s: float, value: float) -> None:
    """Append; of events at the same time the last stands."""
    if events and t_s <= events[-1][0]:
        events[-1] = (events[-1][0], value)
    else:
        events.append((t_s, value))
