"""The voices that sound or are about to, and which of them yields when there are too many."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from itertools import count

from app.live.performance.control_map import LaneState


class Phase(IntEnum):
    """Where a note is in its life; the smaller, the sooner it yields to another."""

    TAIL = 0  # released; rings out
    PEDALLED = 1  # its key is up, a pedal holds it
    HELD = 2
    LATCHED = 3  # over, but not yet heard: it must sound first


@dataclass(slots=True)
class Voice:
    """One note. Belongs to the pool's thread."""

    number: int
    channel: int  # 0..15, or a gesture channel below 0
    group: int  # what shares pedals: a zone by its master, all channels outside zones, a gesture channel
    key: int
    note: float
    velocity: float
    started_s: float
    state: LaneState
    phase: Phase = Phase.HELD
    sounded_s: float | None = None
    over_s: float = 0.0  # when it was latched or released
    lift_velocity: float = 64.0
    is_captured: bool = False  # by sostenuto
    is_attached: bool = True  # follows its channel's controls; not once another note has taken a member channel
    own_cents: float = 0.0  # of gestures, or frozen when it was detached
    told_cents: float = 0.0


class VoicePool:
    """At most `polyphony` voices, in the order they began."""

    def __init__(self, polyphony: int, stealing: str) -> None:
        """stealing   "oldest" or "quietest": which held note yields"""
        self.limit(polyphony, stealing)
        self._numbers = count(1)
        self.newest = 0  # number of the voice that began last
        self._voices: dict[int, Voice] = {}

    def limit(self, polyphony: int, stealing: str) -> None:
        """From now on. Voices that are too many yield when another begins."""
        self._polyphony = polyphony
        self._is_by_velocity = stealing == "quietest"

    def __len__(self) -> int:
        return len(self._voices)

    def __iter__(self) -> Iterator[Voice]:
        """A copy's: voices may be removed meanwhile."""
        return iter(tuple(self._voices.values()))

    def get(self, number: int) -> Voice | None:
        return self._voices.get(number)

    def add(self, channel: int, group: int, key: int, note: float, velocity: float, t_s: float) -> Voice:
        number = self.newest = next(self._numbers)
        voice = Voice(number, channel, group, key, note, velocity, t_s, LaneState(number))
        self._voices[number] = voice
        return voice

    def remove(self, voice: Voice) -> None:
        del self._voices[voice.number]

    def of_key(self, channel: int, key: int) -> list[Voice]:
        """Notes of one key that are not over."""
        return [
            voice
            for voice in self._voices.values()
            if voice.key == key and voice.channel == channel and voice.phase in (Phase.HELD, Phase.PEDALLED)
        ]

    def next_victim(self) -> Voice | None:
        """Who must yield before another may begin; None while there is room."""
        if len(self._voices) < self._polyphony:
            return None
        return min(self._voices.values(), key=self._rank)

    def _rank(self, voice: Voice) -> tuple[int, float, float]:
        phase = voice.phase
        if phase is Phase.TAIL:
            return int(phase), voice.over_s, 0.0
        if voice.sounded_s is None:
            phase = Phase.LATCHED  # a note nobody has heard yet is the last to go
        loudness = voice.velocity if self._is_by_velocity and phase is Phase.HELD else 0.0
        return int(phase), loudness, voice.started_s
