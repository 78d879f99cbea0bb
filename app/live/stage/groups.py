"""Which onsets are wanted ahead, and which of those that are there fits a note that begins now. Performer's side.

A group is a set of lanes: one for every preset of the bank, and group 0 for what the next note would sing with the
controls as they stand, where that is something else. A note may begin with an onset of a group whose lanes differ from
its own by less than one hears in the first moments; the sampler goes on from it with the lanes as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from app.live.stage.lanes import LOUDNESS, PITCH, PRESENCE, SPANS
from app.live.stage.memory import MISS, N_GROUPS, StageMemory
from app.state.preset import DEFAULT_VELOCITY, TIMBRE_DIM, Preset
from synth.spec.controls import Float32Array
from synth.streaming.onsets import Variations, layer_of, region_of

NEAR: Final = 0.08  # of a lane's span: closer sets of lanes may share an onset
NEAR_DB: Final = 4.0
STANDING: Final = 0  # the group of the controls as they stand
_STILL_S: Final = 0.3  # hands must have rested so long before onsets are made for where they rest
_NOT_COMPARED: Final = (PITCH, LOUDNESS, PRESENCE)


@dataclass(frozen=True, slots=True)
class Singer:
    """A preset with what is read of it at every note.

    resting   [N_ROW] see app.live.stage.lanes.resting_lanes
    timbre    [TIMBRE_DIM]; NaN: the technique's own
    gain      of the finished voice, linear
    course    [N_ROW, n_frames] from a note's onset on, see app.live.stage.lanes.lane_course; None: always resting
    strengths adapter lane -> strength without hands; resting and course have them in their columns
    """

    preset: Preset
    resting: Float32Array
    timbre: Float32Array
    gain: float = 1.0
    course: Float32Array | None = None
    strengths: Mapping[str, float] = field(default_factory=dict)

    @property
    def adapters(self) -> list[str]:
        """The adapters it sings with, the strongest use of each counting."""
        return list(dict.fromkeys(lane_id.split(".")[1] for lane_id, value in self.strengths.items() if value > 0.0))


def timbre_row(preset: Preset) -> Float32Array:
    """The preset's timbre, NaN where it has none -> [TIMBRE_DIM]."""
    if preset.timbre is None:
        return np.full(TIMBRE_DIM, np.nan, dtype=np.float32)
    return np.array(preset.timbre, dtype=np.float32)


class OnsetGroups:
    """Publishes what is wanted, finds what fits. One thread."""

    def __init__(self, memory: StageMemory, n_variations: int, locked: int | None) -> None:
        self._memory = memory
        self._variations = Variations(n_variations, locked=locked)
        self._versions = 0
        self._presets: dict[int, str] = {}  # group -> id of the preset it is for
        self._standing: Float32Array | None = None
        self._still_since_s = 0.0

    def lock_variation(self, index: int | None) -> None:
        """Let notes begin with this variation from now on; None: go round."""
        self._variations.locked = index

    def want(self, singers: list[Singer], chosen: int) -> None:
        """Onsets for these are wanted, those nearest to the chosen one in the bank first."""
        memory = self._memory
        near = sorted(range(len(singers)), key=lambda index: abs(index - chosen))
        places: dict[str, int] = {}
        for index in near:
            if len(places) < N_GROUPS - 1:
                places.setdefault(singers[index].preset.id, index)
        # A group stays with its preset: onsets that are there already need not be made again.
        self._presets = {group: preset_id for group, preset_id in self._presets.items() if preset_id in places}
        free = iter([group for group in range(1, N_GROUPS) if group not in self._presets])
        for preset_id in [preset_id for preset_id in places if preset_id not in self._presets.values()]:
            self._presets[next(free)] = preset_id
        for group in range(1, N_GROUPS):
            index = places.get(self._presets.get(group, ""))
            if index is None:
                memory.group_version[group] = 0
                continue
            self._publish(group, singers[index], singers[index].resting)
            memory.group_rank[group] = 1 + abs(index - chosen)
        memory.group_version[STANDING] = 0
        self._standing = None

    def follow_hands(self, singer: Singer, lanes: Float32Array, t_s: float) -> None:
        """The next note would sing `lanes`: once they stand still, want onsets for them, unless a group is near."""
        if self._standing is None or _distance(self._standing[None], lanes)[0] > 0.5 * NEAR:
            self._standing = lanes.copy()
            self._still_since_s = t_s
        elif t_s - self._still_since_s > _STILL_S:
            self._still_since_s = np.inf
            if self._nearest(lanes, singer, DEFAULT_VELOCITY) is None:
                self._publish(STANDING, singer, lanes)
                self._memory.group_rank[STANDING] = 0

    def find(self, singer: Singer, lanes: Float32Array, note: float, velocity: float) -> int:
        """An onset that is ready for this note -> its entry, or MISS."""
        memory = self._memory
        group = self._nearest(lanes, singer, velocity)
        if group is None:
            return MISS
        variation = self._variations.take(note)
        fits = (memory.onset_version > 0) & (memory.onset_group == group)
        fits &= (memory.onset_region == region_of(note)) & (memory.onset_layer == layer_of(round(velocity)))
        entries = np.flatnonzero(fits)
        if len(entries) == 0:
            return MISS
        chosen = entries[memory.onset_variation[entries] == variation]
        return int(chosen[0] if len(chosen) else entries[variation % len(entries)])

    def _nearest(self, lanes: Float32Array, singer: Singer, velocity: float) -> int | None:
        memory = self._memory
        louder_db = memory.group_velocity_db * (velocity - DEFAULT_VELOCITY) / 127.0
        near_db = np.abs(memory.group_lanes[:, LOUDNESS] + louder_db - lanes[LOUDNESS]) < NEAR_DB
        timbres = memory.group_timbre  # copies of presets', so equal to the bit or others
        same = ((timbres == singer.timbre) | (np.isnan(timbres) & np.isnan(singer.timbre))).all(axis=1)
        same &= memory.group_drift == singer.preset.pitch_drift
        distance = np.where((memory.group_version > 0) & near_db & same, _distance(memory.group_lanes, lanes), np.inf)
        nearest = int(np.argmin(distance))
        return nearest if distance[nearest] < NEAR else None

    def _publish(self, group: int, singer: Singer, lanes: Float32Array) -> None:
        """Want onsets of `lanes`; nothing where that is wanted already."""
        memory, preset = self._memory, singer.preset
        told = (
            memory.group_lanes[group], memory.group_timbre[group], memory.group_attack_s[group],
            memory.group_drift[group], memory.group_velocity_db[group],
        )  # fmt: skip
        wanted = (lanes, singer.timbre, preset.attack_s, preset.pitch_drift, preset.velocity_to_loudness_db)
        if memory.group_version[group] and all(
            np.array_equal(old, new, equal_nan=True) for old, new in zip(told, wanted, strict=True)
        ):
            return
        memory.group_version[group] = 0
        memory.group_lanes[group] = lanes
        memory.group_timbre[group] = singer.timbre
        memory.group_attack_s[group] = preset.attack_s
        memory.group_drift[group] = preset.pitch_drift
        memory.group_velocity_db[group] = preset.velocity_to_loudness_db
        self._versions += 1
        memory.group_version[group] = self._versions


def _distance(groups: Float32Array, lanes: Float32Array) -> Float32Array:
    """How far `groups` [n, n_lanes] are from `lanes`, the furthest lane in shares of its span -> [n]."""
    apart = np.abs(groups - lanes) / SPANS
    apart[:, _NOT_COMPARED] = 0.0
    return apart.max(axis=1)
