"""Ticks and seconds of a MIDI file."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import Any

import mido

from app.state.passage import BPM_RANGE, MAX_DURATION_S, Tempo
from synth.errors import UserError

MidiMessage = Any  # mido sets the attributes of its messages at run time
DEFAULT_TEMPO_US = 500_000  # per quarter: 120 bpm, until a file says otherwise


class TickClock:
    """Turns absolute ticks into seconds by the tempo changes of all tracks."""

    def __init__(self, file: mido.MidiFile, name: str) -> None:
        division = file.ticks_per_beat
        if division == 0:
            raise UserError(f"{name} says 0 ticks to a beat.", remedy="Export the file again.")
        if division < 0:  # SMPTE: frames a second in the upper byte, ticks a frame in the lower
            frames_per_s, ticks_per_frame = -(division >> 8), division & 0xFF
            ticks_per_s = (30 / 1.001 if frames_per_s == 29 else frames_per_s) * ticks_per_frame
            if ticks_per_s == 0:
                raise UserError(f"{name} says 0 ticks to a frame.", remedy="Export the file again.")
            self._segments = [(0, 0.0, 1.0 / ticks_per_s)]
            self.tempo = Tempo()
            return
        changes = {0: DEFAULT_TEMPO_US}
        metres: dict[int, tuple[int, int]] = {0: (4, 4)}
        for tick, message in absolute_messages(mido.merge_tracks(file.tracks)):
            if message.type == "set_tempo" and message.tempo > 0:
                changes[tick] = message.tempo
            elif message.type == "time_signature":
                metres[tick] = (message.numerator, message.denominator)
        self._segments = []
        t_s, last_tick, s_per_tick = 0.0, 0, 0.0
        for tick, tempo_us in sorted(changes.items()):
            t_s += (tick - last_tick) * s_per_tick
            last_tick, s_per_tick = tick, tempo_us / division / 1e6
            self._segments.append((tick, t_s, s_per_tick))
        self.tempo = self._tempo_map(changes, metres)

    def seconds(self, tick: int) -> float:
        """Time of an absolute tick."""
        start_tick, start_s, s_per_tick = self._segments[bisect_right(self._segments, tick, key=_tick_of) - 1]
        return start_s + (tick - start_tick) * s_per_tick

    def _tempo_map(self, changes: dict[int, int], metres: dict[int, tuple[int, int]]) -> Tempo:
        """For the eye only: tempos beyond what the passage shows are limited; the seconds above are exact."""
        points = {round(self.seconds(tick), 6): round(6e7 / tempo_us, 4) for tick, tempo_us in sorted(changes.items())}
        shown = {round(self.seconds(tick), 6): metre for tick, metre in sorted(metres.items())}
        low, high = BPM_RANGE
        return Tempo(
            tuple((t_s, min(max(bpm, low), high)) for t_s, bpm in points.items() if t_s <= MAX_DURATION_S),
            tuple(
                (t_s, min(max(beats, 1), 64), min(unit, 64))
                for t_s, (beats, unit) in shown.items()
                if t_s <= MAX_DURATION_S
            ),
        )


def absolute_messages(track: mido.MidiTrack) -> Iterator[tuple[int, MidiMessage]]:
    """(absolute tick, message) of one track."""
    tick = 0
    for message in track:
        tick += int(message.time)
        yield tick, message


def _tick_of(segment: tuple[int, float, float]) -> int:
    return segment[0]
