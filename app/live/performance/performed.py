"""The engine's side: commands become control values that can be read per block.

A lane at any moment is (preset's value, replaced by what all voices were told, replaced by what this voice was told)
plus the offsets of both, within the lane's range. Replacing and giving back are cross-fades with the command's time
constant, so no lane steps.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from app.live.performance.commands import (
    ALL_VOICES,
    Command,
    Glide,
    OffsetLane,
    Retune,
    SetLane,
    Silence,
    StartVoice,
)
from app.live.performance.trajectory import Trajectory, standing
from app.state.passage import lane_range
from synth.spec.controls import Float32Array

_NOTHING: Final = standing(0.0)
_WHOLE: Final = standing(1.0)
_CENTS: Final = 0.01  # semitones


@dataclass(slots=True)
class _Lane:
    value: Trajectory = _NOTHING
    weight: Trajectory = _NOTHING  # 1 where `value` replaces what stood before, 0 where it does not
    offset: Trajectory = _NOTHING

    def set(self, value: float | None, t_s: float, smoothing_s: float) -> None:
        if value is None:
            self.weight = self.weight.towards(t_s, 0.0, smoothing_s)
            return
        is_new = self.weight.at(t_s) == 0.0
        self.value = standing(value) if is_new else self.value.towards(t_s, value, smoothing_s)
        self.weight = self.weight.towards(t_s, 1.0, smoothing_s)


@dataclass(slots=True)
class _Voice:
    note: Trajectory
    cents: Trajectory
    lanes: dict[str, _Lane] = field(default_factory=dict)


class PerformedControls:
    """Every voice's pitch and lanes as told so far. One thread. Reading allocates only while a value moves."""

    def __init__(self, max_block: int) -> None:
        """max_block   the longest block that is ever read"""
        self._voices: dict[int, _Voice] = {}
        self._shared: dict[str, _Lane] = {}
        self._level = np.zeros(max_block, dtype=np.float32)
        self._weight = np.zeros(max_block, dtype=np.float32)

    def apply(self, command: Command) -> None:
        """Take up one command. Those about unknown voices, and those that end a voice's note, change nothing here."""
        match command:
            case StartVoice(t_s=t_s, voice=voice, note=note):
                if command.glide_from is None:
                    pitch = standing(note)
                else:
                    pitch = Trajectory(t_s, command.glide_from, note, command.glide_time_s, command.glide_is_linear)
                lanes = {lane_id: _Lane(standing(value), _WHOLE) for lane_id, value in command.lanes.items()}
                for lane_id, offset in command.offsets.items():
                    lanes.setdefault(lane_id, _Lane()).offset = standing(offset)
                self._voices[voice] = _Voice(pitch, standing(command.cents), lanes)
            case Retune(t_s, voice, cents, smoothing_s):
                if voice in self._voices:
                    heard = self._voices[voice]
                    heard.cents = heard.cents.towards(t_s, cents, smoothing_s)
            case Glide(t_s, voice, note, time_s, is_linear):
                if voice in self._voices:
                    heard = self._voices[voice]
                    heard.note = heard.note.towards(t_s, note, time_s, is_linear=is_linear)
            case SetLane(t_s, voice, lane_id, value, smoothing_s):
                if (lanes := self._lanes(voice)) is not None:
                    lanes.setdefault(lane_id, _Lane()).set(value, t_s, smoothing_s)
            case OffsetLane(t_s, voice, lane_id, offset, smoothing_s):
                if (lanes := self._lanes(voice)) is not None:
                    told = lanes.setdefault(lane_id, _Lane())
                    told.offset = told.offset.towards(t_s, offset, smoothing_s)
            case Silence():
                self._voices.clear()
            case _:
                pass

    def forget(self, voice: int) -> None:
        """The voice is no longer read: its tail, or its fade after a Kill, is over."""
        self._voices.pop(voice, None)

    def knows(self, voice: int) -> bool:
        """Whether the voice's pitch can be read."""
        return voice in self._voices

    def moved_lanes(self, voice: int) -> frozenset[str]:
        """Lanes that may differ from the preset's for this voice. `pitch` is read by fill_pitch."""
        own = self._voices[voice].lanes if voice in self._voices else {}
        return frozenset((*self._shared, *own)) - {"pitch"}

    def fill_pitch(self, voice: int, out: Float32Array, start_s: float, step_s: float) -> None:
        """MIDI note number with glide and bend, at start_s, start_s + step_s, ... into `out` [n]. Not limited."""
        heard = self._voices[voice]
        heard.note.fill(out, start_s, step_s)
        self._replace_and_add("pitch", heard.lanes, out, start_s, step_s)
        bend = self._level[: len(out)]
        heard.cents.fill(bend, start_s, step_s)
        bend *= _CENTS
        out += bend

    def fill_lane(
        self, voice: int, lane_id: str, base: float | Float32Array, out: Float32Array, start_s: float, step_s: float
    ) -> None:
        """The lane in its own unit into `out` [n]; `base` is what it is by preset and technique, one value or [n].

        For ALL_VOICES, and for a voice that is not there, what all voices were told.
        """
        out[:] = base
        own = self._voices[voice].lanes if voice in self._voices else {}
        self._replace_and_add(lane_id, own, out, start_s, step_s)
        low, high = lane_range(lane_id)
        np.clip(out, low, high, out=out)

    def note_at(self, voice: int, t_s: float) -> float:
        """What fill_pitch gives at one moment, for a fraction of what a block costs."""
        heard = self._voices[voice]
        note = self._told_at("pitch", heard.lanes, heard.note.at(t_s), t_s)
        return note + _CENTS * heard.cents.at(t_s)

    def lane_at(self, voice: int, lane_id: str, base: float, t_s: float) -> float:
        """What fill_lane gives at one moment."""
        own = self._voices[voice].lanes if voice in self._voices else {}
        low, high = lane_range(lane_id)
        return min(max(self._told_at(lane_id, own, base, t_s), low), high)

    def _told_at(self, lane_id: str, own: dict[str, _Lane], value: float, t_s: float) -> float:
        """As _replace_and_add, at one moment."""
        told = [lanes[lane_id] for lanes in (self._shared, own) if lane_id in lanes]
        for lane in told:
            weight = lane.weight.at(t_s)
            if weight != 0.0:
                value += weight * (lane.value.at(t_s) - value)
        return value + sum(lane.offset.at(t_s) for lane in told)

    def _lanes(self, voice: int) -> dict[str, _Lane] | None:
        if voice == ALL_VOICES:
            return self._shared
        return self._voices[voice].lanes if voice in self._voices else None

    def _replace_and_add(
        self, lane_id: str, own: dict[str, _Lane], out: Float32Array, start_s: float, step_s: float
    ) -> None:
        told = [lanes[lane_id] for lanes in (self._shared, own) if lane_id in lanes]
        level, weight = self._level[: len(out)], self._weight[: len(out)]
        for lane in told:
            if lane.weight.target != 0.0 or start_s < lane.weight.settled_s:
                lane.weight.fill(weight, start_s, step_s)
                lane.value.fill(level, start_s, step_s)
                level -= out
                level *= weight
                out += level
        for lane in told:
            lane.offset.fill(level, start_s, step_s)
            out += level
