"""A voice's lanes as one row of numbers, those of LANE_IDS, then adapters': what performer and sampler exchange."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from app.live.performance.performed import PerformedControls
from app.live.stage.memory import N_LANES, N_ROW
from app.state.passage import MAX_ADAPTER_STRENGTH, Note, Passage, Voice
from app.state.preset import DEFAULT_VELOCITY, Preset
from app.state.preset_parts import MAX_GESTURE_S
from app.state.resolve import resolve
from synth.spec.audio import FRAME_RATE_HZ
from synth.spec.controls import Float32Array
from synth.spec.lanes import LANE_IDS, LANES, TECHNIQUES, is_adapter_lane, lane

PITCH: Final = LANE_IDS.index("pitch")
BEND: Final = LANE_IDS.index("bend")
LOUDNESS: Final = LANE_IDS.index("loudness")
PRESENCE: Final = LANE_IDS.index("presence")
TECHNIQUE: Final = slice(
    LANE_IDS.index(f"technique.{TECHNIQUES[0]}"), LANE_IDS.index(f"technique.{TECHNIQUES[-1]}") + 1
)
SPANS: Final = np.array(
    [*(spec.maximum - spec.minimum for spec in LANES), *(MAX_ADAPTER_STRENGTH,) * (N_ROW - N_LANES)], dtype=np.float32
)
_INDEX: Final = {lane_id: index for index, lane_id in enumerate(LANE_IDS)}
_ANYWHERE: Final = (-np.inf, np.inf)
_SETTLED_S: Final = 20.0  # longer than any attack
_HELD_S: Final = MAX_GESTURE_S + 10.0


def resting_lanes(preset: Preset) -> Float32Array:
    """What a note begins with by this preset alone at DEFAULT_VELOCITY; presence as held -> [N_ROW], strengths 0."""
    course = lane_course(preset)
    if course is None:
        return _held(preset, round(_SETTLED_S * FRAME_RATE_HZ), 1)[:, 0]
    resting = course[:, 0].copy()
    resting[BEND] = 0.0  # a gesture's bend is in the pitch
    return resting


def lane_course(preset: Preset) -> Float32Array | None:
    """What a held note sings from its onset on, until the preset's gestures have come to rest; None without gestures.

    -> [N_ROW, n_frames], the last frame holding; presence 1, strengths 0
    """
    if not preset.gestures:
        return None
    last_s = max(points[-1][0] for points in preset.gestures.values())
    course = _held(preset, 0, round(last_s * FRAME_RATE_HZ) + 2)
    course[PRESENCE] = 1.0
    return course


def _held(preset: Preset, start_frame: int, n_frames: int) -> Float32Array:
    """Lanes of a note that begins at 0 and is held beyond all of these frames -> [N_ROW, n_frames], strengths 0."""
    voice = Voice("Live", preset.id, 0, (Note(0.0, _HELD_S, lane("pitch").default, DEFAULT_VELOCITY),))
    frames = resolve(Passage(_HELD_S, voices=(voice,)), voice, preset, start_frame, n_frames)
    return np.pad([frames.values[lane_id] for lane_id in LANE_IDS], ((0, N_ROW - N_LANES), (0, 0)))


class PlayedLanes:
    """Reads a voice's lanes at one moment. One thread; nothing is kept."""

    def __init__(self, performed: PerformedControls, adapter_index: Callable[[str], int | None]) -> None:
        """adapter_index   lane of an adapter -> its place in a row, None where it has none"""
        self._performed, self._adapter_index = performed, adapter_index

    def fill(
        self,
        voice: int,
        resting: Float32Array,
        t_s: float,
        out: Float32Array,
        ranges: Mapping[str, tuple[float, float]],
    ) -> None:
        """Lanes of `voice` at `t_s` into `out` [N_ROW], all but pitch and presence.

        resting   without hands
        ranges    lane -> the stretch in which hands may move it from there
        """
        np.copyto(out, resting)
        moved_techniques: list[int] = []
        for lane_id in self._performed.moved_lanes(voice):
            index = _INDEX.get(lane_id)
            if index is None and is_adapter_lane(lane_id):
                index = self._adapter_index(lane_id)
            if index is None or index in (PITCH, BEND, PRESENCE):
                continue
            rest = float(resting[index])
            value = self._performed.lane_at(voice, lane_id, rest, t_s)
            low, high = ranges.get(lane_id, _ANYWHERE)
            out[index] = min(max(value, min(low, rest)), max(high, rest))
            if TECHNIQUE.start <= index < TECHNIQUE.stop:
                moved_techniques.append(index)
        if moved_techniques:
            share_techniques(out, moved_techniques)


def share_techniques(lanes: Float32Array, asked: list[int]) -> None:
    """Let technique weights sum to at most 1, in place: those `asked` keep theirs, the others share what is left."""
    weights = lanes[TECHNIQUE]
    places = [index - TECHNIQUE.start for index in asked]
    wanted = float(weights[places].sum())
    if wanted > 1.0:
        weights[places] /= wanted
    others = float(weights.sum()) - min(wanted, 1.0)
    room = max(1.0 - wanted, 0.0)
    if others > room:
        kept = weights[places].copy()
        weights *= room / others
        weights[places] = kept
