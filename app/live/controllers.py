"""How a controller's knobs and wheels become lane values: the default map, the same as for imported MIDI files."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from app.midi.messages import ControlChange, MidiMessage, PitchBend, Pressure

SUSTAIN: Final = 64
ALL_SOUND_OFF: Final = 120
RESET_CONTROLLERS: Final = 121
ALL_NOTES_OFF: Final = 123
BEND_RANGE_SEMITONES: Final = 2.0
_MAX: Final = 127
_LANE_OF_CONTROL: Final[Mapping[int, str]] = MappingProxyType({1: "roughness", 2: "breathiness"})
_LEVEL_CONTROLS: Final = (7, 11)  # volume and expression
_SILENT_DB: Final = -60.0


@dataclass(frozen=True, slots=True)
class Performed:
    """What the player's hands ask for beyond notes, as it stands at one moment.

    lanes               lane id -> value, only lanes a controller has touched; `bend` in semitones
    loudness_offset_db  <= 0, added to the loudness the preset and the velocity ask for
    """

    lanes: Mapping[str, float] = field(default_factory=dict)
    loudness_offset_db: float = 0.0


class Controllers:
    """Follows one controller's messages. Not thread-safe; its owner holds a lock."""

    def __init__(self) -> None:
        self._lanes: dict[str, float] = {}
        self._levels: dict[int, int] = {}
        self.is_sustaining = False

    def handle(self, message: MidiMessage) -> None:
        """Take up a message; those that mean nothing here are ignored."""
        match message:
            case PitchBend(amount=amount):
                self._lanes["bend"] = amount * BEND_RANGE_SEMITONES
            case Pressure(value=value, note=None):
                self._lanes["tension"] = value / _MAX
            case ControlChange(number=number, value=value):
                if number == SUSTAIN:
                    self.is_sustaining = value >= 64
                elif number == RESET_CONTROLLERS:
                    self.reset()
                elif number in _LEVEL_CONTROLS:
                    self._levels[number] = value
                elif number in _LANE_OF_CONTROL:
                    self._lanes[_LANE_OF_CONTROL[number]] = value / _MAX
            case _:
                pass

    def reset(self) -> None:
        """As if nothing had been touched."""
        self._lanes.clear()
        self._levels.clear()
        self.is_sustaining = False

    @property
    def performed(self) -> Performed:
        """As it stands now."""
        # MIDI's own recommendation for volume and expression: 40 log10(value / 127) dB.
        offset_db = sum(40.0 * math.log10(value / _MAX) if value else _SILENT_DB for value in self._levels.values())
        return Performed(MappingProxyType(dict(self._lanes)), max(offset_db, _SILENT_DB))
