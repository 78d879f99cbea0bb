"""What is heard becomes what is played: one voice that begins and ends with the singer, its pitch a continuous bend.

Lanes are moved for all notes, so that a note begins with them, a recording keeps them, and keys that are played
meanwhile are sung as the singer sings. Pure: no clock, no device.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from app.live.performance.gestures import VOICE_IN, Gesture, KeyBent, KeyLifted, KeyPressed, LaneMoved
from app.state.preset import DEFAULT_VELOCITY
from synth.listening.heard import HOP_S, READ_LANES, Heard
from synth.spec.lanes import TECHNIQUES, lane

KEY: Final = 0
DRIVEN_LANES: Final = ("loudness", *READ_LANES, *(f"technique.{name}" for name in TECHNIQUES))

_FIRST_NOTE: Final = 57.0  # before any pitch has been heard
_WAITS_S: Final = 0.04  # for a pitch; without one it is a whisper or a consonant
_LANES_EVERY: Final = 2  # hops
_WORTH_TELLING: Final = 0.01  # of a lane's span
_WORTH_BENDING_CENTS: Final = 1.0
_SHARPENED: Final = 2.0  # exponent of technique weights: a doubtful second one is not sung
_LEAST_WEIGHT: Final = 0.05
_ONSET_FROM_S, _ONSET_UNTIL_S = 0.05, 0.25  # of a phrase: what the next one is expected to begin with
_PARKED_AFTER_S: Final = 0.3
_ONSETS_MADE_S: Final = 0.6  # about how long the sampler then needs to make an onset ahead
_A4_NOTE, _A4_HZ = 69.0, 440.0


def let_go(t_s: float) -> list[Gesture]:
    """What ends the guided voice and gives its lanes back."""
    return [KeyLifted(t_s, VOICE_IN, KEY), *(LaneMoved(t_s, lane_id, None) for lane_id in DRIVEN_LANES)]


class GestureMaker:
    """One singer. One thread. Gestures are stamped with the times that are handed in, which must not fall."""

    def __init__(self, sensitivity_db: float = 0.0) -> None:
        """sensitivity_db   is added to what is heard before it becomes the loudness lane"""
        self.sensitivity_db = sensitivity_db
        self._note = _FIRST_NOTE
        self._base = _FIRST_NOTE
        self._told_cents = 0.0
        self._told: dict[str, float] = {}
        self._is_sounding = False
        self._waited_s = 0.0
        self._sung_s = 0.0
        self._silent_s = 0.0
        self._hops = 0
        self._onset: dict[str, float] = {}
        self._n_onset = 0
        self._is_parked = False

    @property
    def is_sounding(self) -> bool:
        """Whether a note is held."""
        return self._is_sounding

    def take(self, heard: Heard, t_s: float) -> list[Gesture]:
        """The next hop, `t_s` on time.monotonic()'s clock -> what is played because of it."""
        self._hops += 1
        if heard.is_voiced and heard.hz > 0.0:
            self._note = _A4_NOTE + 12.0 * math.log2(heard.hz / _A4_HZ)
        if not heard.is_present:
            return self._absent(t_s)
        if self._is_sounding:
            return self._sing(heard, t_s)
        self._waited_s += HOP_S
        if not heard.lanes or not (heard.is_voiced or self._waited_s >= _WAITS_S):
            return []
        return self._begin(heard, t_s)

    def stop(self, t_s: float) -> list[Gesture]:
        """The input has gone: the voice is let go, the lanes are the preset's."""
        self._is_sounding = self._is_parked = False
        self._told.clear()
        self._onset.clear()
        return let_go(t_s)

    # ---- inside

    def _begin(self, heard: Heard, t_s: float) -> list[Gesture]:
        self._is_sounding = True
        self._sung_s = self._silent_s = 0.0
        self._base, self._told_cents = self._note, 0.0
        gestures: list[Gesture] = []
        lanes = self._lanes(heard)
        # Onsets have been made ahead for what the last phrase began with; another technique must be waited for.
        if not (self._is_parked and _main_technique(lanes) == _main_technique(self._told)):
            gestures += self._move(lanes, t_s)
        self._onset, self._n_onset = {}, 0
        self._is_parked = False
        gestures.append(KeyPressed(t_s, VOICE_IN, KEY, self._base, float(DEFAULT_VELOCITY)))
        return gestures

    def _sing(self, heard: Heard, t_s: float) -> list[Gesture]:
        self._sung_s += HOP_S
        gestures: list[Gesture] = []
        cents = 100.0 * (self._note - self._base)
        if abs(cents - self._told_cents) >= _WORTH_BENDING_CENTS:
            self._told_cents = cents
            gestures.append(KeyBent(t_s, VOICE_IN, KEY, cents))
        if self._hops % _LANES_EVERY == 0:
            lanes = self._lanes(heard)
            gestures += self._move(lanes, t_s)
            if _ONSET_FROM_S <= self._sung_s <= _ONSET_UNTIL_S:
                self._n_onset += 1
                for lane_id, value in lanes.items():
                    self._onset[lane_id] = self._onset.get(lane_id, 0.0) + value
        return gestures

    def _absent(self, t_s: float) -> list[Gesture]:
        self._waited_s = 0.0
        if self._is_sounding:
            self._is_sounding = False
            self._silent_s = 0.0
            return [KeyLifted(t_s, VOICE_IN, KEY)]
        self._silent_s += HOP_S
        if self._onset and self._silent_s >= _PARKED_AFTER_S:
            parked = {lane_id: total / self._n_onset for lane_id, total in self._onset.items()}
            self._onset = {}
            return self._move(parked, t_s)
        self._is_parked = bool(self._told) and not self._onset and self._silent_s >= _PARKED_AFTER_S + _ONSETS_MADE_S
        return []

    def _lanes(self, heard: Heard) -> dict[str, float]:
        loudness = lane("loudness")
        lanes = {"loudness": loudness.clamp(heard.level_db + self.sensitivity_db), **heard.lanes}
        weights = [weight**_SHARPENED for weight in heard.techniques]
        total = sum(weights) or 1.0
        weights = [weight / total if weight >= _LEAST_WEIGHT * total else 0.0 for weight in weights]
        total = sum(weights) or 1.0
        lanes |= {f"technique.{name}": weight / total for name, weight in zip(TECHNIQUES, weights, strict=True)}
        return lanes

    def _move(self, lanes: Mapping[str, float], t_s: float) -> list[Gesture]:
        gestures: list[Gesture] = []
        for lane_id, value in lanes.items():
            spec = lane(lane_id)
            told = self._told.get(lane_id)
            if told is None or abs(value - told) >= _WORTH_TELLING * (spec.maximum - spec.minimum):
                self._told[lane_id] = value
                gestures.append(LaneMoved(t_s, lane_id, value))
        return gestures


def _main_technique(lanes: Mapping[str, float]) -> str:
    return max(TECHNIQUES, key=lambda name: lanes.get(f"technique.{name}", 0.0))
