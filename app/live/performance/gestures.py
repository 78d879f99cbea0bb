"""What is played by other means than MIDI: on-screen keys, OSC. Keys have their own numbers; notes are fractional."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

KEYBOARD: Final = -1  # the channel of on-screen keys
NETWORK: Final = -2  # the channel of OSC
VOICE_IN: Final = -3  # the channel of a voice that is listened to


@dataclass(frozen=True, slots=True)
class KeyPressed:
    t_s: float
    channel: int  # KEYBOARD, NETWORK or VOICE_IN
    key: int
    note: float  # MIDI note number
    velocity: float  # 1..127


@dataclass(frozen=True, slots=True)
class KeyLifted:
    t_s: float
    channel: int
    key: int


@dataclass(frozen=True, slots=True)
class KeyBent:
    """The bend of one key's note, replacing the one before."""

    t_s: float
    channel: int
    key: int
    cents: float


@dataclass(frozen=True, slots=True)
class KeyLane:
    """A lane of one key's note."""

    t_s: float
    channel: int
    key: int
    lane: str
    value: float | None  # None: as all other notes have it


@dataclass(frozen=True, slots=True)
class LaneMoved:
    """A lane of all notes, by name."""

    t_s: float
    lane: str
    value: float | None  # None: as the preset has it


@dataclass(frozen=True, slots=True)
class PanicAsked:
    t_s: float


@dataclass(frozen=True, slots=True)
class ReleaseAsked:
    """Let every note go, pedal or not."""

    t_s: float


Gesture = KeyPressed | KeyLifted | KeyBent | KeyLane | LaneMoved | PanicAsked | ReleaseAsked
