"""What a voice engine is told. Times are those of the events that caused it, on time.monotonic()'s clock.

A voice's life: StartVoice, then any number of Retune, Glide, SetLane and OffsetLane, then Release, Kill, or a Release
and later a Kill of its tail. Voice numbers are never used again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from app.midi.clock import ClockNews

ALL_VOICES: Final = -1


@dataclass(frozen=True, slots=True)
class StartVoice:
    """A note begins.

    note            MIDI note number, fractional: where its pitch is, or glides to
    velocity        1..127, fractional, after the velocity curve
    cents           the bend it starts with
    lanes           lane id -> value that holds for this voice alone
    offsets         lane id -> what is added to the lane for this voice alone
    glide_from      note its pitch starts at, when it glides in as `glide_time_s` and `glide_is_linear` say
    """

    t_s: float
    voice: int
    note: float
    velocity: float
    cents: float
    lanes: Mapping[str, float]
    offsets: Mapping[str, float]
    glide_from: float | None = None
    glide_time_s: float = 0.0
    glide_is_linear: bool = True


@dataclass(frozen=True, slots=True)
class Retune:
    """The voice's whole bend, replacing the one before: approach it with this time constant."""

    t_s: float
    voice: int
    cents: float
    smoothing_s: float


@dataclass(frozen=True, slots=True)
class Glide:
    """The voice sings another note without a new onset. time_s: duration if linear, else time constant."""

    t_s: float
    voice: int
    note: float
    time_s: float
    is_linear: bool


@dataclass(frozen=True, slots=True)
class SetLane:
    """The lane is `value` from now on, for one voice or ALL_VOICES (later ones too); None: as the preset has it.

    A voice's own value stands before that of all voices.
    """

    t_s: float
    voice: int
    lane: str
    value: float | None
    smoothing_s: float


@dataclass(frozen=True, slots=True)
class OffsetLane:
    """This much is added to the lane: the sum of a voice's own and that of ALL_VOICES counts. 0 = nothing."""

    t_s: float
    voice: int
    lane: str
    offset: float
    smoothing_s: float


@dataclass(frozen=True, slots=True)
class Release:
    """The note is over: its tail, as the preset has it, begins. `velocity`: how fast the key came up, 0..127."""

    t_s: float
    voice: int
    velocity: float


@dataclass(frozen=True, slots=True)
class Kill:
    """Silence the voice within fade_s; nothing may be left of it."""

    t_s: float
    voice: int
    fade_s: float


@dataclass(frozen=True, slots=True)
class Silence:
    """Everything stops at once, whatever the engine believes to be sounding."""

    t_s: float


@dataclass(frozen=True, slots=True)
class LoadPreset:
    """A program was chosen. preset_id is None where the bank has no such program; then the old preset stays."""

    t_s: float
    bank: int
    program: int
    preset_id: str | None


VoiceCommand = StartVoice | Retune | Glide | SetLane | OffsetLane | Release | Kill
Command = VoiceCommand | Silence | LoadPreset | ClockNews
